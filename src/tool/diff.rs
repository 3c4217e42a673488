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

/// The unified diff of a file at full length. Only a line feed ends a line: other line ends are part of its text.
#[must_use]
pub fn whole(path: &str, old: &str, new: &str) -> String {
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let mut config = TextDiff::configure();
    config.algorithm(Algorithm::Patience).timeout(PATIENCE);
    let diff = config.diff_slices(old.as_slice(), new.as_slice());
    let mut unified = diff.unified_diff();
    unified.context_radius(AROUND);
    let mut text = String::new();
    for hunk in unified.iter_hunks() {
        if text.is_empty() {
            let path = path.replace(char::is_control, "\u{fffd}");
            text = format!("--- a/{path}\n+++ b/{path}\n");
        }
        text.push_str(&format!("{}\n", hunk.header()));
        for change in hunk.iter_changes() {
            let line: &str = change.value();
            text.push_str(&format!("{}{line}", change.tag()));
            if !line.ends_with('\n') {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    text
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

/// The lines of unified diffs of one or more files, as from [`whole`]; empty if the text is no diff. People decide by
/// these lines, so none is left out: a line that no hunk accounts for is a line that stays, with its sign.
#[must_use]
pub fn lines(text: &str) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    let mut is_diff = false;
    // Lines of the hunk that are still to come, before and after the change. They may look like the header of a file.
    let (mut old, mut new) = (0_usize, 0_usize);
    let mut rest = text.split_terminator('\n').peekable();
    while let Some(line) = rest.next() {
        // Lines of a hunk begin with a sign, so this is a header even where more of them should come.
        if let Some(counts) = hunk(line) {
            (old, new) = counts;
            is_diff = true;
            if !matches!(found.last(), None | Some(Line::File(_))) {
                found.push(Line::Gap);
            }
            continue;
        }
        let (sign, words) = line.split_at_checked(1).unwrap_or_default();
        match sign {
            "-" if 0 < old => {
                old -= 1;
                found.push(Line::Old(words.to_owned()));
            }
            "+" if 0 < new => {
                new -= 1;
                found.push(Line::New(words.to_owned()));
            }
            " " if 0 < old && 0 < new => {
                (old, new) = (old - 1, new - 1);
                found.push(Line::Same(words.to_owned()));
            }
            _ => match file(line, rest.peek().copied()) {
                Some(path) => {
                    rest.next();
                    found.push(Line::File(path.to_owned()));
                }
                None => found.push(Line::Same(line.to_owned())),
            },
        }
    }
    if is_diff { found } else { Vec::new() }
}

/// The numbers of lines in `@@ -1,3 +1,4 @@`.
fn hunk(line: &str) -> Option<(usize, usize)> {
    let (old, new) = line.strip_prefix("@@ -")?.strip_suffix(" @@")?.split_once(" +")?;
    Some((count(old)?, count(new)?))
}

/// The number of lines in `1,3`, or in `1`.
fn count(range: &str) -> Option<usize> {
    let (start, count) = range.split_once(',').unwrap_or((range, "1"));
    // ok: what is no number is no header.
    start.parse::<usize>().ok()?;
    count.parse().ok()
}

/// The path in the two lines `--- a/path` and `+++ b/path`.
fn file<'a>(line: &'a str, next: Option<&str>) -> Option<&'a str> {
    let path = line.strip_prefix("--- a/")?;
    (next?.strip_prefix("+++ b/")? == path).then_some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Line, lines, unified, whole};

    /// Parts of texts that may be taken for line ends or headers.
    static HOSTILE: &[&str] = &[
        "a",
        "b\n",
        "\n",
        "\r",
        "\r\n",
        "\u{b}",
        "\u{c}",
        "\u{85}",
        "\u{2028}",
        "\u{2029}",
        "é",
        " ",
        "-",
        "+",
        "@@ -1 +1 @@",
        "@@ -1,9 +1,9 @@\n",
        "--- a/SOUL.md\n",
        "+++ b/SOUL.md\n",
        "-- a/SOUL.md\n",
        "++ b/SOUL.md\n",
        "\\ No newline at end of file\n",
    ];

    fn hostile() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(HOSTILE), 0..40).prop_map(|all| all.concat())
    }

    /// The lines of one diff, apart from its headers. Lines of a hunk begin with a sign.
    fn body(diff: &str) -> Vec<String> {
        let lines = diff.split_terminator('\n').skip(2).filter(|line| !line.starts_with("@@"));
        lines.map(str::to_owned).collect()
    }

    /// The lines as they are in the diff, apart from its headers.
    fn signed(told: &[Line]) -> Vec<String> {
        let text = |line: &Line| match line {
            Line::File(_) | Line::Gap => None,
            Line::Same(text) if text.starts_with('\\') => Some(text.clone()),
            Line::Same(text) => Some(format!(" {text}")),
            Line::New(text) => Some(format!("+{text}")),
            Line::Old(text) => Some(format!("-{text}")),
        };
        told.iter().filter_map(text).collect()
    }

    proptest! {
        #[test]
        fn every_line_of_a_diff_is_told(old in hostile(), new in hostile(), more in hostile()) {
            let (first, second) = (whole("SOUL.md", &old, &new), whole("USER.md", &new, &more));
            let told = lines(&format!("{first}{second}"));
            // A line that begins with a backslash stays as it is: its sign is lost, but not its text.
            let unsigned = |line: String| match line.strip_prefix(" \\") {
                Some(rest) => format!("\\{rest}"),
                None => line,
            };
            let expected = body(&first).into_iter().chain(body(&second)).map(unsigned);
            prop_assert_eq!(signed(&told), expected.collect::<Vec<_>>());
            let files = told.iter().filter(|line| matches!(line, Line::File(_))).count();
            let changed = [&first, &second].iter().filter(|diff| !diff.is_empty()).count();
            prop_assert_eq!(files, changed);
        }

        #[test]
        fn no_line_of_any_text_is_lost(text in hostile()) {
            let text = format!("@@ -1,2 +1,2 @@\n{text}");
            let told = lines(&text);
            for line in text.split_terminator('\n') {
                let is_header = ["@@ -", "--- a/", "+++ b/"].iter().any(|start| line.starts_with(start));
                let is_told = told.iter().any(|one| match one {
                    Line::Same(text) | Line::New(text) | Line::Old(text) => {
                        text == line || line.get(1..) == Some(text.as_str())
                    }
                    Line::File(_) | Line::Gap => false,
                });
                prop_assert!(is_header || is_told, "{line:?} of {text:?}: {told:?}");
            }
        }
    }

    #[test]
    fn a_carriage_return_hides_nothing_that_follows() {
        let middle = "kept\n".repeat(20);
        let old = format!("a\n{middle}b\n");
        let told = lines(&whole("SOUL.md", &old, &format!("x\ry\n{middle}evil\n")));
        for line in ["x\ry", "evil"] {
            assert!(told.contains(&Line::New(line.into())), "{told:?}");
        }
        assert!(told.contains(&Line::Old("b".into())), "{told:?}");
        // A question that was stored when a carriage return still counted as a line.
        let stored = "--- a/S\n+++ b/S\n@@ -1 +1,2 @@\n-a\n+x\\u{d}y\n@@ -20 +21 @@\n-b\n+evil\n";
        let told = lines(stored);
        assert_eq!(told[3..], [Line::Gap, Line::Old("b".into()), Line::New("evil".into())]);
    }

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
