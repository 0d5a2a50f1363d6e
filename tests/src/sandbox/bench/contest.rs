//! Contenders that take turns.

use std::time::Duration;

use super::BenchError;
use super::sample::Sample;

/// One way of doing what a row measures. `run` prepares what must be prepared, then does the work
/// once and says how long the work alone took.
pub(super) struct Contender<'a> {
    pub(super) name: &'static str,
    run: Box<dyn FnMut() -> Result<Duration, BenchError> + 'a>,
}

impl<'a> Contender<'a> {
    pub(super) fn new(
        name: &'static str,
        run: impl FnMut() -> Result<Duration, BenchError> + 'a,
    ) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }
}

/// A row of the table: ours first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) samples: Vec<(&'static str, Sample)>,
}

/// Runs every contender once without counting, and then `runs` times in turns. Who begins
/// alternates, so that nobody always works in what another one has just warmed.
pub(super) fn contest(
    what: &str,
    runs: usize,
    contenders: &mut [Contender<'_>],
) -> Result<Row, BenchError> {
    for contender in contenders.iter_mut() {
        (contender.run)()?;
    }
    let mut times: Vec<Vec<Duration>> = vec![Vec::with_capacity(runs); contenders.len()];
    for round in 0..runs {
        for turn in 0..contenders.len() {
            let index = if round % 2 == 0 {
                turn
            } else {
                contenders.len() - 1 - turn
            };
            times[index].push((contenders[index].run)()?);
        }
    }
    let samples = contenders
        .iter()
        .zip(times)
        .map(|(contender, times)| (contender.name, Sample::new(times)))
        .collect();
    Ok(Row {
        what: what.to_owned(),
        samples,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn contenders_take_turns_and_the_first_round_does_not_count() {
        let order = RefCell::new(String::new());
        let turn = |name: char, millis: u64| {
            order.borrow_mut().push(name);
            Ok(Duration::from_millis(millis))
        };
        let row = contest(
            "work",
            3,
            &mut [
                Contender::new("a", || turn('a', 1)),
                Contender::new("b", || turn('b', 2)),
            ],
        )
        .unwrap();
        assert_eq!(order.borrow().as_str(), "ababbaab");
        assert_eq!(row.samples[0].1.runs(), 3);
        assert_eq!(row.samples[1].1.median(), Duration::from_millis(2));
    }

    #[test]
    fn a_contender_that_fails_ends_the_row() {
        let failing = || {
            Err(BenchError::Wrong {
                what: "It".into(),
                why: "did not".into(),
            })
        };
        assert!(contest("work", 3, &mut [Contender::new("a", failing)]).is_err());
    }
}
