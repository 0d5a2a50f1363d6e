//! Docker.

use crate::diagnosis::catalogue::DK001;
use crate::diagnosis::facts::{Facts, Known};
use crate::diagnosis::finding::Finding;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    match &facts.engine {
        Known::Known(engine) => vec![
            Finding::ok(DK001, format!("Docker engine {} answers", engine.version))
                .evidence("docker context", &engine.context)
                .evidence("platform", &engine.platform),
        ],
        Known::Unknown { reason, hint } => {
            vec![Finding::error(DK001, reason).maybe_fix(hint.as_deref())]
        }
        Known::NotAsked => Vec::new(),
    }
}
