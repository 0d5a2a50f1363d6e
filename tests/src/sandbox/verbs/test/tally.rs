//! How many tests passed, failed and were skipped, as cargo and Terraform print it.

use std::collections::{BTreeMap, BTreeSet};

/// Counts of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

/// Which tests were passed over, and which of them have been run in another step.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The test's program and its name, with the reason.
    ignored: BTreeMap<(String, String), String>,
    run: BTreeSet<(String, String)>,
}

impl Tally {
    /// Reads the output of one `cargo test`.
    pub(super) fn cargo(&mut self, output: &str) -> Counts {
        let mut counts = Counts::default();
        let mut program = String::new();
        for line in output.lines() {
            let text = line.trim_start();
            if let Some(running) = text.strip_prefix("Running ") {
                if let Some(name) = program_name(running) {
                    program = name;
                }
            } else if text.starts_with("Doc-tests ") {
                text.clone_into(&mut program);
            } else if let Some(result) = line.strip_prefix("test result: ") {
                counts.passed += number_before(result, " passed");
                counts.failed += number_before(result, " failed");
            } else if let Some((name, end)) = line
                .strip_prefix("test ")
                .and_then(|test| test.split_once(" ... "))
            {
                let key = (program.clone(), name.to_owned());
                match end.strip_prefix("ignored") {
                    Some(reason) => {
                        let reason = reason.trim_start_matches([',', ' ']);
                        self.ignored.insert(key, reason.to_owned());
                    }
                    // Whatever follows: a child of the test may have written into the line.
                    None => {
                        self.run.insert(key);
                    }
                }
            }
        }
        counts
    }

    /// Notes a test that this run cannot have.
    pub(super) fn skip(&mut self, program: &str, name: &str, reason: &str) {
        self.ignored
            .insert((program.to_owned(), name.to_owned()), reason.to_owned());
    }

    /// The tests that no step has run, with the reason.
    pub(super) fn skipped(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ignored
            .iter()
            .filter(|(test, _)| !self.run.contains(*test))
            .map(|((_, name), reason)| {
                let reason = if reason.is_empty() {
                    "no reason given"
                } else {
                    reason
                };
                (name.as_str(), reason)
            })
    }
}

/// Reads the output of one `terraform test`.
pub(super) fn terraform(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines() {
        if let Some(result) = line
            .strip_prefix("Success! ")
            .or_else(|| line.strip_prefix("Failure! "))
        {
            counts.passed += number_before(result, " passed");
            counts.failed += number_before(result, " failed");
        }
    }
    counts
}

/// `tests/x.rs (target/debug/deps/x-0123)` without the hash, which is another one in each build.
fn program_name(running: &str) -> Option<String> {
    let (source, path) = running.strip_suffix(')')?.split_once(" (")?;
    let file = path.rsplit(['/', '\\']).next()?;
    let stem = file.rsplit_once('-').map_or(file, |(stem, _)| stem);
    Some(format!("{source} {stem}"))
}

fn number_before(text: &str, word: &str) -> usize {
    text.split_once(word)
        .and_then(|(before, _)| before.rsplit(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "
     Running unittests src/lib.rs (target/debug/deps/hybrid_tests-0a)

running 4 tests
test front::a ... ok
test front::b ... FAILED
test front::c ... ignored, needs the emulator
test front::d ... ignored

test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running tests/real.rs (target/debug/deps/real-0b)
test front::c ... ignored, needs the sandbox
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests hybrid_tests
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn results_of_all_programs_are_added_up() {
        let counts = Tally::default().cargo(PLAIN);
        assert_eq!(
            counts,
            Counts {
                passed: 15,
                failed: 1
            }
        );
    }

    #[test]
    fn an_ignored_test_counts_as_skipped_until_the_same_one_was_run() {
        let mut tally = Tally::default();
        tally.cargo(PLAIN);
        assert_eq!(tally.skipped().count(), 3);
        tally.cargo(
            "     Running tests/real.rs (elsewhere/deps/real-ff)\n\
             test front::c ... a child says something\nok\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out\n",
        );
        let skipped: Vec<_> = tally.skipped().collect();
        assert_eq!(
            skipped,
            [
                ("front::c", "needs the emulator"),
                ("front::d", "no reason given")
            ]
        );
    }

    #[test]
    fn terraforms_own_runs_are_counted() {
        let cases = [
            ("x... pass\n\nSuccess! 8 passed, 0 failed.\n", (8, 0)),
            ("Failure! 7 passed, 1 failed, 2 skipped.\n", (7, 1)),
            ("Error: no such folder\n", (0, 0)),
        ];
        for (output, (passed, failed)) in cases {
            assert_eq!(terraform(output), Counts { passed, failed }, "{output}");
        }
    }
}
