//! The pull secret: read, merge, write, and never take away what others put there.
//!
//! It is updated in place. A secret that is deleted and made anew has another UID, and from
//! Kubernetes 1.35 on the kubelet then asks the registry again for every cached image.

mod apply;
mod assess;
mod auths;
mod marks;
mod owner;
mod plan;
mod reason;
mod spelling;
mod survey;
mod view;

pub use apply::{
    Change, MAX_ATTEMPTS, Outcome, PullSecretError, SecretRef, apply, read, sync, sync_from,
};
pub use assess::{aged, assess, due_at};
pub use auths::{Credential, Document, Entry, Expiry};
pub use marks::Origin;
pub use owner::Owner;
pub use plan::{Fresh, Plan, Policy, RegistryLogin, Write, plan, refusal};
pub use reason::{Obstacle, Reason, Refusal};
pub use survey::survey;
pub use view::{PullSecretView, RegistryView, view};

/// The type of Secret that the kubelet reads registry logins from.
pub const SECRET_TYPE: &str = "kubernetes.io/dockerconfigjson";
/// Its only data key.
pub const DATA_KEY: &str = ".dockerconfigjson";
/// The type before it, and its key.
pub const LEGACY_TYPE: &str = "kubernetes.io/dockercfg";
/// The data key of [`LEGACY_TYPE`].
pub const LEGACY_KEY: &str = ".dockercfg";

/// When the first of our logins expires, RFC 3339.
pub const ANNOTATION_EXPIRES_AT: &str = "kubectl-hybrid.dev/expires-at";
/// When the first of our logins was issued, RFC 3339.
pub const ANNOTATION_ISSUED_AT: &str = "kubectl-hybrid.dev/issued-at";
/// What is known of each of our logins, as JSON: by registry, `expiresAt`, `issuedAt`, `principal`
/// and `source`.
pub const ANNOTATION_LOGINS: &str = "kubectl-hybrid.dev/logins";
/// How the principals were come by: profile, SSO session, role. Separated by commas.
pub const ANNOTATION_SOURCE: &str = "kubectl-hybrid.dev/source";
/// The registries that we keep, separated by commas.
pub const ANNOTATION_REGISTRIES: &str = "kubectl-hybrid.dev/registries";
/// The ARNs of the AWS identities that the logins stand for, separated by commas.
pub const ANNOTATION_PRINCIPAL: &str = "kubectl-hybrid.dev/principal";
/// Which tool wrote last, with its version.
pub const ANNOTATION_REFRESHED_BY: &str = "kubectl-hybrid.dev/refreshed-by";
/// Says who made the object. We set it only on a secret that we made.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
