//! `down`: ends everything and keeps the state.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::up::{clean_up, remove_dir};
use crate::sandbox::lock::Lock;
use crate::sandbox::report::{Report, duration};
use crate::sandbox::supervisor::{Event, Supervisor};
use crate::sandbox::{Layout, SandboxError, gate, prerequisites};

/// Stops the sandbox; with `purge` also removes its state and the builds.
pub fn down(layout: &Layout, purge: bool, report: &Report) -> Result<(), SandboxError> {
    let begun = Instant::now();
    prerequisites::root()?;
    prerequisites::outside()?;
    if !layout.state().exists() && !purge {
        report.say("There is no sandbox.");
        return Ok(());
    }
    {
        let _lock = Lock::take(layout, |holder| {
            report.say(format!(
                "Another command works on the sandbox ({holder}); waiting for it."
            ));
        })?;
        if let Some(supervisor) = Supervisor::find(layout) {
            // What does not end by itself is ended below.
            if let Err(error) = stop(&supervisor, report) {
                report.warn(error);
            }
        }
        gate::close(layout);
        clean_up(layout, report)?;
        if purge {
            report.step("state removed", || remove_dir(layout.state()))?;
            report.step("builds removed", || {
                remove_dir(&layout.cache().builds())
                    .and_then(|()| remove_dir(&layout.cache().downloads()))
            })?;
        }
    }
    report.say(format!(
        "The sandbox is down after {}.",
        duration(begun.elapsed())
    ));
    Ok(())
}

fn stop(supervisor: &Supervisor, report: &Report) -> Result<(), SandboxError> {
    let mut killed = HashMap::new();
    let step = report.begin("parts stopped");
    supervisor.shutdown(|event| {
        if let Event::Stopped {
            part,
            millis,
            killed: true,
        } = event
        {
            killed.insert(part, Duration::from_millis(millis));
        }
    })?;
    step.done();
    for (part, after) in killed {
        report.warn(format!(
            "{part} did not end and was killed after {}.",
            duration(after)
        ));
    }
    // PID 1 ends by itself now; whoever comes next must not find it half there.
    supervisor
        .process()
        .end(rustix::process::Signal::CONT, Duration::from_secs(5));
    Ok(())
}
