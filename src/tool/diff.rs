//! Unified diffs, for results that a model reads.

use std::time::Duration;

use similar::{Algorithm, TextDiff};

use kernel::text::cut;

/// Number of context lines around a change.
const AROUND: usize = 3;
/// Time limit of the comparison. The remainder is shown as replaced.
const PATIENCE: Duration = Duration::from_millis(200);
/// Maximum size of a shown diff, in bytes.
const MAX_TOLD: usize = 6 * 1024;

/// The unified diff of a file, shortened if long.
#[must_use]
pub fn unified(path: &str, old: &str, new: &str) -> String {
    let text = whole(path, old, new);
    if text.len() <= MAX_TOLD {
        return text;
    }
    format!("{}\n[… {} more bytes of this diff]", cut(&text, MAX_TOLD), text.len() - MAX_TOLD)
}

/// The unified diff of a file at full length.
#[must_use]
pub fn whole(path: &str, old: &str, new: &str) -> String {
    let mut config = TextDiff::configure();
    config.algorithm(Algorithm::Patience).timeout(PATIENCE);
    let diff = config.diff_lines(old, new);
    diff.unified_diff()
        .context_radius(AROUND)
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string()
}

/// A line of a unified diff, without its sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Path of the file that the following lines are about.
    File(String),
    /// Lines are left out here.
    Gap,
    /// A line that stays.
    Same(String),
    /// An added line.
    New(String),
    /// A removed line.
    Old(String),
}

/// The lines of unified diffs of one or more files, as from [`whole`].
#[must_use]
pub fn lines(text: &str) -> Vec<Line> {
    let mut found = Vec::new();
    // Lines of the hunk that are still to come, before and after the change. They may look like a header.
    let (mut old, mut new) = (0_usize, 0_usize);
    for line in text.lines() {
        let is_in_hunk = 0 < old || 0 < new;
        let (sign, rest) = line.split_at(line.chars().next().map_or(0, char::len_utf8));
        if is_in_hunk {
            let rest = rest.to_owned();
            match sign {
                "-" => {
                    old = old.saturating_sub(1);
                    found.push(Line::Old(rest));
                }
                "+" => {
                    new = new.saturating_sub(1);
                    found.push(Line::New(rest));
                }
                "\\" => {}
                _ => {
                    (old, new) = (old.saturating_sub(1), new.saturating_sub(1));
                    found.push(Line::Same(rest));
                }
            }
        } else if let Some(ranges) = line.strip_prefix("@@ ") {
            (old, new) = counts(ranges);
            if !matches!(found.last(), None | Some(Line::File(_))) {
                found.push(Line::Gap);
            }
        } else if let Some(path) = line.strip_prefix("+++ ") {
            found.push(Line::File(path.strip_prefix("b/").unwrap_or(path).to_owned()));
        }
    }
    found
}

/// The numbers of lines in `-1,3 +1,4 @@`.
fn counts(ranges: &str) -> (usize, usize) {
    let mut parts = ranges.split(' ').map(|range| {
        let count = range.split_once(',').map_or("1", |(_, count)| count);
        // ok: a range that is cut off has no more lines.
        count.parse().unwrap_or(0)
    });
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{Line, lines, unified, whole};

    #[test]
    fn a_diff_is_taken_apart_into_its_lines() {
        let old = "a\n-- b\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n";
        let new = old.replace("-- b\n", "++ b\n").replace("k\n", "");
        let both = whole("SOUL.md", old, &new) + &whole("IDENTITY.md", "", "x");
        let told = lines(&both);
        assert_eq!(told[0], Line::File("SOUL.md".into()));
        let came: Vec<_> = told.iter().filter(|line| matches!(line, Line::New(_))).collect();
        let gone: Vec<_> = told.iter().filter(|line| matches!(line, Line::Old(_))).collect();
        assert_eq!(came, [&Line::New("++ b".into()), &Line::New("x".into())]);
        assert_eq!(gone, [&Line::Old("-- b".into()), &Line::Old("k".into())]);
        assert_eq!(told.iter().filter(|line| matches!(line, Line::Gap)).count(), 1);
        assert!(told.contains(&Line::File("IDENTITY.md".into())), "{told:?}");
        assert!(lines("").is_empty() && lines("make deploy").is_empty());
    }

    #[test]
    fn a_change_is_told_with_its_place() {
        let diff = unified("notes.md", "a\nb\nc\n", "a\nx\nc\n");
        assert_eq!(diff, "--- a/notes.md\n+++ b/notes.md\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        let long = unified("n", "", &"line\n".repeat(5_000));
        assert!(long.len() < 7_000 && long.ends_with("more bytes of this diff]"));
    }
}
