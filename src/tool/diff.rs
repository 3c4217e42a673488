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

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn a_change_is_told_with_its_place() {
        let diff = unified("notes.md", "a\nb\nc\n", "a\nx\nc\n");
        assert_eq!(diff, "--- a/notes.md\n+++ b/notes.md\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        let long = unified("n", "", &"line\n".repeat(5_000));
        assert!(long.len() < 7_000 && long.ends_with("more bytes of this diff]"));
    }
}
