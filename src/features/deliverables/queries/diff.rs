//! Line diff between two versions of a text.

use std::time::Duration;

use similar::{Algorithm, ChangeTag, TextDiff};

/// Number of context lines.
const AROUND: usize = 2;
/// Time limit. The remaining lines are then shown as replaced.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Same(String),
    New(String),
    Old(String),
    /// Number of omitted unchanged lines.
    Skipped(usize),
}

/// Changes with context. Empty if both texts are equal.
#[must_use]
pub fn changes(old: &str, new: &str) -> Vec<Line> {
    let mut config = TextDiff::configure();
    config.algorithm(Algorithm::Patience).timeout(PATIENCE);
    let diff = config.diff_lines(old, new);
    let mut lines = Vec::new();
    let mut shown = 0;
    for group in diff.grouped_ops(AROUND) {
        for op in group {
            let start = op.old_range().start;
            if shown < start {
                lines.push(Line::Skipped(start - shown));
            }
            shown = op.old_range().end;
            for change in diff.iter_changes(&op) {
                let text = change.value().trim_end_matches('\n').to_owned();
                lines.push(match change.tag() {
                    ChangeTag::Equal => Line::Same(text),
                    ChangeTag::Insert => Line::New(text),
                    ChangeTag::Delete => Line::Old(text),
                });
            }
        }
    }
    let total = old.lines().count();
    if !lines.is_empty() && shown < total {
        lines.push(Line::Skipped(total - shown));
    }
    lines
}

/// Number of added and removed words.
#[must_use]
pub fn words(lines: &[Line]) -> (usize, usize) {
    let count = |text: &str| text.split_whitespace().count();
    lines.iter().fold((0, 0), |(new, old), line| match line {
        Line::New(text) => (new + count(text), old),
        Line::Old(text) => (new, old + count(text)),
        _ => (new, old),
    })
}

#[cfg(test)]
mod tests {
    use super::{Line, changes, words};

    #[test]
    fn changes_stand_among_a_few_lines_that_stayed() {
        let old: String = (1..=9).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 5", "fifth line now");
        let lines = changes(&old, &new);
        let same = |n: usize| Line::Same(format!("line {n}"));
        assert_eq!(
            lines,
            [
                Line::Skipped(2),
                same(3),
                same(4),
                Line::Old("line 5".into()),
                Line::New("fifth line now".into()),
                same(6),
                same(7),
                Line::Skipped(2),
            ]
        );
        assert_eq!(words(&lines), (3, 2));
        assert!(changes(&old, &old).is_empty());
    }
}
