//! `api`: faults and delays of AWS calls, and their counts.

use std::fmt::Write;

use crate::front::Admin;
use crate::sandbox::cli::ApiVerb;
use crate::sandbox::{Endpoints, Layout, SandboxError, gate};

/// Does what the verb says and returns lines about it.
pub fn api(layout: &Layout, verb: &ApiVerb) -> Result<String, SandboxError> {
    let admin = admin(layout)?;
    match verb {
        ApiVerb::Fail { fault } => {
            admin.fail_spec(fault)?;
            Ok(format!("Set: {fault}\n"))
        }
        ApiVerb::Delay { delay } => {
            admin.delay_spec(delay)?;
            Ok(format!("Set: {delay} ms\n"))
        }
        ApiVerb::Clear => {
            admin.clear()?;
            Ok("No call fails or waits any more\n".to_owned())
        }
        ApiVerb::Calls { reset } => {
            let calls = admin.calls()?;
            if *reset {
                admin.reset_calls()?;
            }
            let width = calls.keys().map(String::len).max().unwrap_or(0);
            let mut text = String::new();
            for (action, count) in &calls {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{action:width$}  {count}");
            }
            Ok(text)
        }
    }
}

/// The front's admin, when the sandbox is there to be asked.
pub(super) fn admin(layout: &Layout) -> Result<Admin, SandboxError> {
    // The port may be another sandbox's.
    if gate::find(layout).is_none() {
        return Err(SandboxError::NotRunning {
            state: layout.state().to_owned(),
        });
    }
    Ok(Admin::new(Endpoints::default().aws))
}
