//! `test`: every test, from single functions to the whole on real parts.

mod tally;
mod terraform;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tally::{Counts, Tally};

use super::product::{Cargo, not_started};
use super::up;
use super::up::remove_dir;
use crate::package::krew;
use crate::sandbox::lock::Lock;
use crate::sandbox::report::{Report, duration};
use crate::sandbox::supply::{self, Item, Supplies};
use crate::sandbox::{Environment, Layout, SandboxError, parts};
use crate::source_tree;

/// How much of a failed step's output is shown, in lines.
const SHOWN: usize = 400;
/// The tests of the product's rooms on real parts, without those of the Terraform room.
const ROOMS: [&str; 3] = ["cluster_real", "docker_real", "rollout_real"];
/// How many of them run at once: each makes what it needs, and waits more than it works.
const AT_ONCE: &str = "--test-threads=8";
/// The tests of the bridge and the delivery, one after the other. None starts Terraform, and what
/// they let fail concerns nobody else. The clients come before those that end every token: the kubelet
/// keeps what its provider gave it.
const DELIVERY: [(&str, &str); 3] = [
    ("regcred", "regcred_real"),
    ("clients", "clients"),
    ("roll-out", "roll_out"),
];
/// The tests of the Terraform configuration, and its modules that deploy.
const CONFIGURATION: &str = "terraform_configuration";
const DEPLOYING: [&str; 2] = ["foreign::", "shared::"];
/// The tests of the whole. They use the sandbox one at a time, and the last takes it down and up.
const WHOLE: [(&str, &str); 5] = [
    ("init", "init"),
    ("end to end", "end_to_end"),
    ("faults", "faults"),
    ("manners", "manners"),
    ("the sandbox heals", "sandbox_heals"),
];
/// The tests of the room that need OpenTofu.
const TOFU: [&str; 2] = [
    "tofu::the_state_and_opentofu_say_the_same",
    "tofu::an_encrypted_state_is_left_to_opentofu",
];
/// What some tests of the bridge and the delivery need, and the rest of the sandbox does not. Where it
/// cannot be had they are passed over.
const EXTRAS: [Extra; 3] = [
    Extra {
        item: Item::Faketime,
        suite: "regcred_real",
        variable: "HYBRID_TEST_FAKETIME",
        tests: &[
            "watch::a_watch_whose_computer_was_suspended_renews_what_is_due_by_the_clock_on_the_wall",
        ],
    },
    Extra {
        item: Item::Buildkit,
        suite: "roll_out",
        variable: "HYBRID_TEST_BUILDKITD",
        tests: &[
            "buildkit::a_builder_of_ones_own_has_a_private_base_and_a_cache_in_a_folder",
            "buildkit::a_builder_whose_disk_is_full_is_named_and_the_next_deploy_goes_on",
        ],
    },
    Extra {
        item: Item::DockerdOfToday,
        suite: "roll_out",
        variable: "HYBRID_TEST_DOCKERD",
        tests: &[
            "engine_of_today::a_deploy_is_as_with_any_engine_and_the_next_one_has_nothing_to_do",
            "engine_of_today::a_registry_that_stumbles_is_outlasted_and_one_that_is_down_is_named",
            "engine_of_today::a_token_that_the_registry_refuses_is_renewed",
            "engine_of_today::a_login_that_ends_half_way_is_named_with_its_command",
        ],
    },
];

struct Extra {
    item: Item,
    suite: &'static str,
    /// Tells the tests where it is.
    variable: &'static str,
    tests: &'static [&'static str],
}
/// Variables that point at the sandbox: the tests that need none must do without.
const OF_THE_SANDBOX: [&str; 7] = [
    "AWS_",
    "CHECKPOINT_",
    "DOCKER_",
    "HYBRID_",
    "KUBECONFIG",
    "TF_",
    "KUBE_",
];

/// Runs every test, or those whose names hold one of `filters`. Gives the closing lines and
/// whether all went well.
pub fn test(
    layout: &Layout,
    filters: &[String],
    report: &Report,
) -> Result<(String, bool), SandboxError> {
    let _alone = Lock::for_tests(layout, |holder| {
        report.say(format!(
            "Another run of the tests uses the sandbox ({holder}); waiting for it."
        ));
    })?;
    up(layout, report)?;
    let supplies = supply::ensure_all(&parts::ITEMS, layout.cache(), report)?;
    let environment = Environment::new(layout)?
        .with("HYBRID_SANDBOX", "1")
        .with("HYBRID_TEST_MOTO", supplies.path(Item::Moto)?)
        .with("HYBRID_TEST_REGISTRY", supplies.path(Item::DockerRegistry)?);
    let run = Run {
        layout,
        report,
        filters,
        supplies: &supplies,
        environment,
        cargo: Cargo::new(layout)?,
        record: Mutex::default(),
    };
    fs::create_dir_all(layout.log_dir()).map_err(SandboxError::io("create", layout.log_dir()))?;
    if run.build() {
        // Those of Terraform wait for much. They follow each other: while one runs on this machine,
        // another cannot tell whether the holder of a lock is dead.
        thread::scope(|scope| {
            scope.spawn(|| {
                run.of_terraform();
                run.without_the_sandbox();
            });
            run.of_the_rooms();
            run.one_by_one(&DELIVERY);
        });
        run.of_the_whole();
    }
    Ok(run.closing())
}

struct Run<'a> {
    layout: &'a Layout,
    report: &'a Report,
    filters: &'a [String],
    supplies: &'a Supplies,
    environment: Environment,
    cargo: Cargo,
    record: Mutex<Record>,
}

/// What came of the steps until now.
#[derive(Default)]
struct Record {
    tally: Tally,
    ended: Vec<Ended>,
}

/// A step that has ended.
struct Ended {
    name: String,
    elapsed: Duration,
    ok: bool,
    counts: Counts,
}

impl Run<'_> {
    /// Builds the product and the tests together: built apart they would share less.
    fn build(&self) -> bool {
        let command = self
            .cargo
            .build(&["--workspace", "--bins", "--tests", "--color=never"]);
        self.step("build", vec![command], |_, _| Counts::default())
    }

    fn without_the_sandbox(&self) {
        let mut plain = self
            .cargo
            .test(&self.environment, &["--workspace", "--no-fail-fast"]);
        let ours: Vec<_> = self
            .environment
            .vars()
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in ours {
            let is_ours = |text: &str| OF_THE_SANDBOX.iter().any(|it| text.starts_with(it));
            if name.to_str().is_some_and(is_ours) {
                plain.env_remove(name);
            }
        }
        self.cargo_step("tests that need no sandbox", plain, &[]);
    }

    fn of_the_rooms(&self) {
        for room in ROOMS {
            self.cargo_step(room, self.real(&["--test", room]), &["--ignored", AT_ONCE]);
        }
        let front: &[&str] = if self.filters.is_empty() {
            &["--ignored", "front::tests::real"]
        } else {
            &["--ignored"]
        };
        self.cargo_step("front", self.real(&["--lib"]), front);
    }

    fn of_terraform(&self) {
        let mut command = self.real(&["--test", "terraform_real"]);
        // Their Terraform folders are their own.
        command.env_remove("TF_DATA_DIR");
        // One after the other: they share their connections between the tests' runtimes.
        let mut of_the_tests = vec!["--ignored", "--test-threads=1"];
        match self.tofu() {
            Ok(tofu) => {
                command.env("HYBRID_TEST_TOFU", tofu);
            }
            Err(reason) => {
                of_the_tests.push("--skip=tofu::");
                for name in TOFU {
                    self.skip("terraform_real", name, &reason);
                }
            }
        }
        self.cargo_step("terraform_real", command, &of_the_tests);
        let mut of_the_tests = vec!["--ignored", "--test-threads=1"];
        if self.filters.is_empty() {
            for module in DEPLOYING {
                of_the_tests.extend(["--skip", module]);
            }
        }
        let command = self.real(&["--test", CONFIGURATION]);
        self.cargo_step("terraform configuration", command, &of_the_tests);
        // They have names of another kind.
        if self.filters.is_empty() {
            self.terraform_steps();
            self.krew();
        }
    }

    fn of_the_whole(&self) {
        if self.filters.is_empty() {
            let mut of_the_tests = vec!["--ignored", "--test-threads=1"];
            of_the_tests.extend(DEPLOYING);
            let command = self.real(&["--test", CONFIGURATION]);
            self.cargo_step("terraform configuration, deployed", command, &of_the_tests);
        }
        self.one_by_one(&WHOLE);
    }

    /// Suites whose tests share the sandbox.
    fn one_by_one(&self, suites: &[(&str, &str)]) {
        for &(name, suite) in suites {
            let mut of_the_tests = vec!["--ignored", "--test-threads=1"];
            let mut command = self.real(&["--test", suite]);
            if suite == "clients" && !self.has_podman() {
                of_the_tests.extend(["--skip", "podman"]);
            }
            for extra in EXTRAS.iter().filter(|extra| extra.suite == suite) {
                match supply::ensure(extra.item, self.layout.cache(), self.report) {
                    Ok(part) => {
                        command.env(extra.variable, part.path);
                    }
                    Err(error) => {
                        for test in extra.tests {
                            of_the_tests.extend(["--skip", test]);
                            let why = format!("{} cannot be had: {error}", extra.item);
                            self.skip(name, test, &why);
                        }
                    }
                }
            }
            self.cargo_step(name, command, &of_the_tests);
        }
    }

    /// Podman is installed for its one test; where that cannot be, the test is passed over.
    fn has_podman(&self) -> bool {
        let found = supply::ensure(Item::Podman, self.layout.cache(), self.report);
        found.map_err(|error| self.report.warn(error)).is_ok()
    }

    /// OpenTofu, or why its tests are passed over.
    fn tofu(&self) -> Result<PathBuf, String> {
        supply::ensure(Item::OpenTofu, self.layout.cache(), self.report)
            .map(|part| part.path)
            .map_err(|error| format!("OpenTofu cannot be had: {error}"))
    }

    /// Tests on real parts. Of the whole workspace, since a package alone is built anew.
    fn real(&self, arguments: &[&str]) -> Command {
        let mut all = vec!["--workspace", "--no-fail-fast"];
        all.extend(arguments);
        self.cargo.test(&self.environment, &all)
    }

    fn cargo_step(&self, name: &str, mut command: Command, of_the_tests: &[&str]) {
        command
            .arg("--color=never")
            .arg("--")
            .args(of_the_tests)
            .args(self.filters);
        self.step(name, vec![command], Tally::cargo);
    }

    fn terraform_steps(&self) {
        let Ok(terraform) = self.supplies.path(Item::Terraform).map(PathBuf::from) else {
            return;
        };
        let source = source_tree().join("terraform");
        let mut fmt = self.environment.command(&terraform);
        fmt.args(["fmt", "-check", "-recursive", "-no-color"])
            .arg(&source);
        self.step("terraform fmt", vec![fmt], |_, _| Counts::default());

        self.checkov(&source);

        let copy = self.layout.state().join("terraform-test");
        let made =
            remove_dir(&copy).and_then(|()| terraform::copy(&self.layout.terraform(), &copy));
        if let Err(error) = made {
            self.end("terraform test", Duration::ZERO, false, Counts::default());
            self.report.warn(error);
            return;
        }
        for folder in terraform::FOLDERS {
            let name = format!("terraform test {folder}");
            let of = |arguments: &[&str]| {
                let folder = copy.join(folder);
                let mut command = terraform::command(&terraform, &self.environment, &folder);
                command.args(arguments);
                command
            };
            let commands = vec![
                of(&["init", "-no-color", "-input=false", "-backend=false"]),
                of(&["validate", "-no-color"]),
                of(&["test", "-no-color"]),
            ];
            self.step(name.trim_end(), commands, |_, output| {
                tally::terraform(output)
            });
        }
    }

    /// The rules of the trade; those that are passed over are in the configuration's own list.
    fn checkov(&self, source: &Path) {
        let name = "checkov";
        let program = match supply::ensure(Item::Checkov, self.layout.cache(), self.report) {
            Ok(part) => part.path,
            Err(error) => {
                let reason = format!("cannot be had here: {error}");
                self.skip(name, "the rules of checkov", &reason);
                return;
            }
        };
        let mut command = self.environment.command(program);
        // Local folders and the list alone: nothing is asked of the network.
        command
            .args(["--framework=terraform", "--skip-download", "--compact"])
            .args(["--quiet", "--directory=.", "--config-file=.checkov.yaml"])
            .current_dir(source)
            .stdin(Stdio::null());
        self.step(name, vec![command], |_, _| Counts::default());
    }

    /// The plugin as krew installs it.
    fn krew(&self) {
        let begun = Instant::now();
        let result = self.report.step("krew installs the plugin", || {
            let krew = supply::ensure(Item::Krew, self.layout.cache(), &Report::silent())
                .map_err(|error| error.to_string())?;
            let kubectl = self
                .supplies
                .path(Item::Kubectl)
                .map_err(|error| error.to_string())?;
            krew::Trial {
                krew: &krew.path,
                kubectl,
                binaries: &self.cargo.binaries,
                folder: &self.layout.state().join("krew"),
                version: env!("CARGO_PKG_VERSION"),
            }
            .run()
            .map_err(|error| error.to_string())
        });
        let ok = result.is_ok();
        if let Err(why) = result {
            self.report.say(why);
        }
        let counts = Counts {
            passed: usize::from(ok),
            failed: 0,
        };
        self.end("krew installs the plugin", begun.elapsed(), ok, counts);
    }

    /// Runs commands one after the other until one fails. Their output goes to a log, and is shown
    /// when one fails.
    fn step(
        &self,
        name: &str,
        commands: Vec<Command>,
        count: impl FnOnce(&mut Tally, &str) -> Counts,
    ) -> bool {
        let log = self
            .layout
            .log(&format!("test {name}").replace([' ', '/'], "-"));
        let begun = Instant::now();
        let step = self.report.begin(name);
        let result = logged(commands, &log);
        let output = fs::read(&log).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        let counts = count(&mut self.record().tally, &output);
        let ok = matches!(result, Ok(true));
        if ok {
            step.done();
        } else {
            step.failed();
            self.report.say(worth_showing(&output));
            if let Err(error) = result {
                self.report.say(error);
            }
            self.report
                .say(format!("The whole log is {}", log.display()));
        }
        self.end(name, begun.elapsed(), ok, counts);
        ok
    }

    fn end(&self, name: &str, elapsed: Duration, ok: bool, mut counts: Counts) {
        // What failed before it could count is a failure all the same.
        if !ok && counts.failed == 0 {
            counts.failed = 1;
        }
        self.record().ended.push(Ended {
            name: name.to_owned(),
            elapsed,
            ok,
            counts,
        });
    }

    fn skip(&self, program: &str, name: &str, reason: &str) {
        self.record().tally.skip(program, name, reason);
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closing(&self) -> (String, bool) {
        let record = self.record();
        closing(&record.ended, &record.tally)
    }
}

/// A line for each step, the skipped tests with their reasons, and the counts in a line of their
/// own.
fn closing(ended: &[Ended], tally: &Tally) -> (String, bool) {
    let mut lines = vec![String::new()];
    let mut total = Counts::default();
    for step in ended {
        let Counts { passed, failed } = step.counts;
        total.passed += passed;
        total.failed += failed;
        let mark = if step.ok { "ok" } else { "failed" };
        let tested = if passed + failed > 0 {
            format!(": {passed} passed, {failed} failed")
        } else {
            String::new()
        };
        lines.push(format!(
            "{mark:<6}  {:>7}  {}{tested}",
            duration(step.elapsed),
            step.name
        ));
    }
    let skipped: Vec<_> = tally.skipped().collect();
    for (name, reason) in &skipped {
        lines.push(format!("skipped          {name}: {reason}"));
    }
    lines.push(format!(
        "{} passed, {} failed, {} skipped\n",
        total.passed,
        total.failed,
        skipped.len()
    ));
    (lines.join("\n"), total.failed == 0)
}

/// Runs the commands with their output in the order in which they write it.
fn logged(commands: Vec<Command>, log: &PathBuf) -> Result<bool, SandboxError> {
    let file = File::create(log).map_err(SandboxError::io("create", log))?;
    for mut command in commands {
        let shown = command.get_program().to_string_lossy().into_owned();
        let copy = || file.try_clone().map_err(SandboxError::io("write", log));
        let status = command
            .stdout(copy()?)
            .stderr(copy()?)
            .status()
            .map_err(not_started(&shown))?;
        if !status.success() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The end of an output, without what went well.
fn worth_showing(output: &str) -> String {
    let went_well = |line: &str| {
        line.trim().is_empty()
            || line.trim_start().starts_with("Compiling ")
            || (line.starts_with("test ")
                && (line.ends_with(" ... ok") || line.contains(" ... ignored")))
    };
    let lines: Vec<&str> = output.lines().filter(|line| !went_well(line)).collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_counts_what_failed_before_it_could_count_and_ends_with_the_totals() {
        let mut tally = Tally::default();
        tally.skip("terraform test", "x", "why not");
        let step = |name: &str, ok, passed, failed| Ended {
            name: name.to_owned(),
            elapsed: Duration::from_secs(2),
            ok,
            counts: Counts { passed, failed },
        };
        let (text, ok) = closing(&[step("a", true, 3, 0), step("b", false, 1, 2)], &tally);
        assert!(!ok);
        assert_eq!(
            text,
            "\nok         2.0s  a: 3 passed, 0 failed\nfailed     2.0s  b: 1 passed, 2 failed\n\
             skipped          x: why not\n4 passed, 2 failed, 1 skipped\n"
        );
        assert!(closing(&[step("a", true, 3, 0)], &tally).1);
    }

    #[test]
    fn what_went_well_is_not_shown_with_a_failure() {
        let output = "   Compiling x\ntest a ... ok\ntest b ... ignored, why\ntest c ... FAILED\n\nfailures:\n";
        assert_eq!(worth_showing(output), "test c ... FAILED\nfailures:");
    }

    #[test]
    fn commands_end_with_the_first_that_fails_and_their_output_is_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let commands = vec![
            shell("echo 1; echo 2 >&2; echo 3"),
            shell("echo 4; exit 1"),
            shell("echo 5"),
        ];
        assert!(!logged(commands, &log).unwrap());
        assert_eq!(fs::read_to_string(&log).unwrap(), "1\n2\n3\n4\n");
    }
}
