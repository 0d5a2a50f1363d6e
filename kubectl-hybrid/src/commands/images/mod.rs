//! Images on their way from sources to the registry, for `build` and for `deploy`.

mod credentials;
mod nodes;
mod plan;
mod workshop;

pub(super) use nodes::Nodes;
pub(super) use plan::{ImagePlan, ImageRequest, plan, registry_error};
pub(super) use workshop::{Workshop, log_folder};
