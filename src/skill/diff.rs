//! Differences between two versions of a package.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use similar::{Algorithm, ChangeTag, TextDiff};

use crate::{File, Package, SKILL_MD};

/// Number of context lines.
const AROUND: usize = 3;
/// Time limit per file. The remaining lines are then shown as replaced.
const PATIENCE: Duration = Duration::from_millis(100);
/// Maximum number of lines of a file.
const MAX_LINES: usize = 1_000;
/// Maximum number of lines of all files together.
const MAX_TOTAL: usize = 5_000;
/// Maximum length of a line, in bytes.
const MAX_LINE: usize = 1_000;
/// End of a line that was cut.
const CUT: &str = " […]";
/// Maximum size of a text that is compared, in bytes.
const MAX_TEXT: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiff {
    pub path: String,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `is_cut`: lines or parts of lines are missing. A binary file has no lines and is cut.
    Added {
        lines: Vec<DiffLine>,
        is_cut: bool,
    },
    /// Number of its lines; 0 for a binary file.
    Removed {
        lines: usize,
    },
    Changed {
        lines: Vec<DiffLine>,
        is_cut: bool,
    },
    /// Changed, and one of its versions is binary.
    Binary,
    ModeChanged {
        is_executable: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiffLine {
    Same(String),
    New(String),
    Old(String),
    /// Number of omitted unchanged lines.
    Skipped(usize),
}

impl DiffLine {
    /// Whether the end of the line is missing.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        match self {
            Self::Same(text) | Self::New(text) | Self::Old(text) => MAX_LINE < text.len(),
            Self::Skipped(_) => false,
        }
    }
}

/// Changed files: `SKILL.md`, then the others by path. A file whose executable bit changed, too, has two entries.
#[must_use]
pub fn diff(before: &Package, after: &Package) -> Vec<FileDiff> {
    file_changes(&before.files, &after.files)
}

/// The same for files that are not a package.
#[must_use]
pub fn file_changes(before: &[File], after: &[File]) -> Vec<FileDiff> {
    let by_path = |files: &[File]| -> BTreeMap<String, usize> {
        files.iter().enumerate().map(|(at, file)| (file.path.clone(), at)).collect()
    };
    let (old, new) = (by_path(before), by_path(after));
    let paths: BTreeSet<(bool, &String)> =
        old.keys().chain(new.keys()).map(|path| (path != SKILL_MD, path)).collect();
    let mut left = MAX_TOTAL;
    let mut changes = Vec::new();
    for (_, path) in paths {
        let mut push = |change| changes.push(FileDiff { path: path.clone(), change });
        let old = old.get(path).map(|at| &before[*at]);
        let new = new.get(path).map(|at| &after[*at]);
        match (old, new) {
            (Some(old), Some(new)) => {
                if old.bytes != new.bytes {
                    push(changed(old, new, &mut left));
                }
                if old.is_executable != new.is_executable {
                    push(Change::ModeChanged { is_executable: new.is_executable });
                }
            }
            (Some(old), None) => {
                push(Change::Removed { lines: old.text().map_or(0, |text| text.lines().count()) });
            }
            (None, Some(new)) => push(added(new, &mut left)),
            (None, None) => {}
        }
    }
    changes
}

fn added(file: &File, left: &mut usize) -> Change {
    let Some(text) = file.text() else {
        return Change::Added { lines: Vec::new(), is_cut: true };
    };
    let most = MAX_LINES.min(*left);
    let lines: Vec<_> = text.lines().take(most).map(|line| DiffLine::New(short(line))).collect();
    *left -= lines.len();
    let is_cut = text.lines().nth(lines.len()).is_some() || lines.iter().any(DiffLine::is_cut);
    Change::Added { lines, is_cut }
}

fn changed(old: &File, new: &File, left: &mut usize) -> Change {
    let (Some(old), Some(new)) = (old.text(), new.text()) else { return Change::Binary };
    if MAX_TEXT < old.len().max(new.len()) {
        return Change::Changed { lines: Vec::new(), is_cut: true };
    }
    let mut config = TextDiff::configure();
    config.algorithm(Algorithm::Patience).timeout(PATIENCE);
    let diff = config.diff_lines(old, new);
    let most = MAX_LINES.min(*left);
    let (mut lines, mut shown, mut is_cut) = (Vec::new(), 0, false);
    'all: for group in diff.grouped_ops(AROUND) {
        for op in group {
            let start = op.old_range().start;
            if shown < start {
                lines.push(DiffLine::Skipped(start - shown));
            }
            shown = op.old_range().end;
            for change in diff.iter_changes(&op) {
                if most <= lines.len() {
                    is_cut = true;
                    break 'all;
                }
                let text = short(change.value().trim_end_matches('\n'));
                lines.push(match change.tag() {
                    ChangeTag::Equal => DiffLine::Same(text),
                    ChangeTag::Insert => DiffLine::New(text),
                    ChangeTag::Delete => DiffLine::Old(text),
                });
            }
        }
    }
    let total = old.lines().count();
    if !is_cut && !lines.is_empty() && shown < total {
        lines.push(DiffLine::Skipped(total - shown));
    }
    *left = left.saturating_sub(lines.len());
    let is_cut = is_cut || lines.iter().any(DiffLine::is_cut);
    Change::Changed { lines, is_cut }
}

fn short(line: &str) -> String {
    // Other characters have at most four bytes, so that a cut line is longer than one that was not.
    match line.len() <= MAX_LINE {
        true => line.to_owned(),
        false => format!("{}{CUT}", kernel::text::cut(line, MAX_LINE)),
    }
}
