//! `lock leave`: a state lock that nobody will release, left by a real Terraform.

use crate::sandbox::report::Report;
use crate::sandbox::supervisor::Supervisor;
use crate::sandbox::terraform::{Settings, leave_lock};
use crate::sandbox::{Environment, Layout, SandboxError, parts, supply};

/// Leaves the lock and returns what `terraform force-unlock` would ask for.
pub fn leave(layout: &Layout, report: &Report) -> Result<String, SandboxError> {
    if Supervisor::find(layout).is_none() {
        return Err(SandboxError::NotRunning {
            state: layout.state().to_owned(),
        });
    }
    let supplies = supply::ensure_all(&parts::ITEMS, layout.cache(), report)?;
    let settings = Settings::new(layout, &Environment::new(layout)?, &supplies)?;
    let lock = report.step("terraform killed while it holds the lock", || {
        leave_lock(&settings)
    })?;
    Ok(format!(
        "The state of workspace {} is locked by {} with id {}\n",
        settings.workspace, lock.who, lock.id
    ))
}
