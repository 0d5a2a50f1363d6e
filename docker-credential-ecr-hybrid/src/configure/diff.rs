//! The difference of two texts, line by line, as `diff -u` and `git` show it.

use std::fmt::Write as _;

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// The most pairs of lines that are compared; beyond that everything between the first and the last
/// difference counts as changed.
const LARGEST: usize = 4_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Same,
    Gone,
    New,
}

/// The unified difference; nothing when there is none.
pub(super) fn unified(path: &str, before: Option<&str>, after: &str) -> String {
    let old: Vec<&str> = before.unwrap_or_default().split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    if before == Some(after) {
        return String::new();
    }
    let script = script(&old, &new);
    let from = if before.is_some() { path } else { "/dev/null" };
    let mut shown = format!("--- {from}\n+++ {path}\n");
    for (start, end) in hunks(&script) {
        let passed = |kind| script[..start].iter().filter(|line| **line != kind).count();
        let within = |kind| {
            script[start..end]
                .iter()
                .filter(|line| **line != kind)
                .count()
        };
        let (mut at_old, mut at_new) = (passed(Line::New), passed(Line::Gone));
        // Writing to a string cannot fail.
        let _ = writeln!(
            shown,
            "@@ -{} +{} @@",
            range(at_old, within(Line::New)),
            range(at_new, within(Line::Gone)),
        );
        for line in &script[start..end] {
            let (sign, text) = match line {
                Line::Same => (' ', old[at_old]),
                Line::Gone => ('-', old[at_old]),
                Line::New => ('+', new[at_new]),
            };
            at_old += usize::from(*line != Line::New);
            at_new += usize::from(*line != Line::Gone);
            shown.push(sign);
            shown.push_str(text);
            if !text.ends_with('\n') {
                shown.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    shown
}

fn range(start: usize, length: usize) -> String {
    match length {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        _ => format!("{},{length}", start + 1),
    }
}

/// What becomes of each line, by the longest common subsequence of what lies between the common
/// beginning and the common end.
fn script(old: &[&str], new: &[&str]) -> Vec<Line> {
    let shorter = old.len().min(new.len());
    let head = (0..shorter).take_while(|at| old[*at] == new[*at]).count();
    let tail = (0..shorter - head)
        .take_while(|at| old[old.len() - 1 - at] == new[new.len() - 1 - at])
        .count();
    let (old, new) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut script = vec![Line::Same; head];
    if old.len().saturating_mul(new.len()) > LARGEST {
        script.extend(old.iter().map(|_| Line::Gone));
        script.extend(new.iter().map(|_| Line::New));
    } else {
        script.extend(common(old, new));
    }
    script.extend((0..tail).map(|_| Line::Same));
    script
}

fn common(old: &[&str], new: &[&str]) -> Vec<Line> {
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut script = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            script.push(Line::Same);
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]
        {
            script.push(Line::Gone);
            i += 1;
        } else {
            script.push(Line::New);
            j += 1;
        }
    }
    script
}

/// The stretches that are shown: changes with their surroundings.
fn hunks(script: &[Line]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (at, _) in script
        .iter()
        .enumerate()
        .filter(|(_, line)| **line != Line::Same)
    {
        let (start, end) = (
            at.saturating_sub(CONTEXT),
            (at + CONTEXT + 1).min(script.len()),
        );
        match hunks.last_mut() {
            Some(last) if last.1 >= start => last.1 = end,
            _ => hunks.push((start, end)),
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_difference_is_shown_with_its_surroundings() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let new = "a\nb\nc\nd\nE\nf\ng\nh\ni";
        let expected = "--- p\n+++ p\n@@ -2,7 +2,8 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n+i\n\\ No newline at end of file\n";
        assert_eq!(unified("p", Some(old), new), expected);
        assert_eq!(unified("p", Some(old), old), "");
        assert_eq!(
            unified("p", None, "{}\n"),
            "--- /dev/null\n+++ p\n@@ -0,0 +1 @@\n+{}\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_not_gone_is_the_new_text(old in "[ab\n]{0,12}", new in "[ab\n]{0,12}") {
            let olds: Vec<&str> = old.split_inclusive('\n').collect();
            let news: Vec<&str> = new.split_inclusive('\n').collect();
            let (mut i, mut j) = (0, 0);
            for line in script(&olds, &news) {
                if line == Line::Same {
                    prop_assert_eq!(olds[i], news[j]);
                }
                i += usize::from(line != Line::New);
                j += usize::from(line != Line::Gone);
            }
            prop_assert_eq!((i, j), (olds.len(), news.len()));
        }
    }
}
