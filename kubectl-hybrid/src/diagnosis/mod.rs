//! From facts to findings: pure checks that name a cause and a fix.
//!
//! Facts are gathered once. Checks are functions of the facts alone, so that each is a table test,
//! and a deploy that fails can ask the same question that `doctor` asks.

pub mod catalogue;
mod checks;
mod facts;
mod finding;
mod gather_cluster;
mod pull_cause;

pub(crate) use checks::in_words;
pub use checks::{run, summary};
pub use facts::{
    ClusterFacts, ContextFacts, ContractFacts, EngineFacts, Facts, IdentityFacts, Known, LockFacts,
    PodFacts, WorkloadFacts,
};
pub use finding::{CheckId, Evidence, Finding, Fix, Severity, Summary};
pub use gather_cluster::{ClusterQuestion, ServiceQuestion, gather_cluster};
pub use pull_cause::{PullCause, PullContext, explain_pull};
