//! Detects masked secrets in text that an agent writes. Agents see values that look like keys only as masks
//! (`ghp_aB…1xY2`). Writing such a text back would permanently replace the value with its mask.

use std::collections::{BTreeMap, BTreeSet};

use crypto::redact::{Redactor, Spot};
use git::files::AgentFiles;

use super::{FilePlan, ToolCx, ToolError, text};

/// Maximum file size to check, in bytes. No agent has read a larger file as a whole.
const MAX_READ: u64 = 10 << 20;
/// The mask that shows nothing of its value. In Markdown it is also a horizontal rule.
const PLAIN: &str = "***";

/// A line that contains a mask in place of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masked {
    /// Index of the new text.
    pub text: usize,
    /// Line number, from 1.
    pub line: usize,
    /// The mask.
    pub shown: String,
}

impl std::fmt::Display for Masked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "line {} contains the mask of a secret: \"{}\" is only how the file is shown, and \
             writing it would destroy the secret; leave that line as it is and only change other \
             lines",
            self.line, self.shown
        )
    }
}

/// Substrings of the redactor's masks, including spellings that models use.
const IN_MASKS: [&str; 4] = ["[secret:", "…", "...", "***"];

/// Returns `true` if a text may contain a mask. Most texts do not, which avoids reading and searching for values.
fn may_hold_mask(text: &str) -> bool {
    IN_MASKS.iter().any(|part| text.contains(part))
}

/// The first new line that contains the mask of a value that the old texts have in plain.
#[must_use]
pub fn written(redactor: &Redactor, before: &[&str], after: &[&str]) -> Option<Masked> {
    if !after.iter().any(|text| may_hold_mask(text)) {
        return None;
    }
    let mut masks: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for text in before {
        for one in redactor.hidden(Spot::Tools, text.as_bytes()) {
            // ok: a mask that ends within a character hides no text
            let value = text.get(one.at).unwrap_or_default();
            masks.entry(one.shown).or_default().insert(value);
        }
    }
    if masks.is_empty() {
        return None;
    }
    let known: BTreeSet<&str> = before.iter().flat_map(|text| text.lines()).collect();
    let count = |texts: &[&str], what: &str| -> usize {
        texts.iter().map(|text| text.matches(what).count()).sum()
    };
    let is_written = |shown: &str, values: &BTreeSet<&str>, spelling: &str| {
        let is_lost = || values.iter().any(|one| count(after, one) < count(before, one));
        let is_new = || shown != PLAIN && count(before, spelling) < count(after, spelling);
        is_new() || is_lost()
    };
    for (at, text) in after.iter().enumerate() {
        for (line, words) in text.lines().enumerate().filter(|(_, words)| !known.contains(words)) {
            let found = masks.iter().find(|(shown, values)| {
                spellings(shown)
                    .iter()
                    .any(|spelling| words.contains(spelling) && is_written(shown, values, spelling))
            });
            if let Some((shown, _)) = found {
                return Some(Masked { text: at, line: line + 1, shown: shown.clone() });
            }
        }
    }
    None
}

/// The plan of a file tool, unless it replaces a value with its mask.
///
/// # Errors
/// `masked_value`, with file and line.
pub(crate) async fn kept_out(cx: &ToolCx, plan: FilePlan) -> Result<FilePlan, ToolError> {
    let contents = plan.changes.iter().filter_map(|change| change.content.as_deref());
    let mut texts = contents.filter_map(|bytes| std::str::from_utf8(bytes).ok());
    if plan.changes.iter().all(|change| change.before.is_none()) || !texts.any(may_hold_mask) {
        return Ok(plan);
    }
    let (root, redactor) = (cx.folder.clone(), cx.ws.app.redactor.clone());
    let early = |_| {
        let message = "a file task panicked".to_owned();
        ToolError::Failed { code: "internal", message }
    };
    let checked = move || {
        let files = AgentFiles::open(&root)?;
        let mut before = Vec::with_capacity(plan.changes.len());
        for change in plan.changes.iter().filter(|change| change.before.is_some()) {
            let now = files.read_up_to(&change.path, MAX_READ)?;
            // ok: content that is not text is shown without masks
            before.extend(now.and_then(|now| String::from_utf8(now.bytes).ok()));
        }
        let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone()?).ok();
        let after: Vec<(String, &str)> = plan
            .changes
            .iter()
            // ok: content that is not text contains no masks
            .filter_map(|change| Some((text(&change.content)?, change.path.as_str())))
            .collect();
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        let texts: Vec<&str> = after.iter().map(|(text, _)| text.as_str()).collect();
        match written(&redactor, &before, &texts) {
            Some(found) => {
                let message = format!("{}: {found}", after[found.text].1);
                Err(ToolError::refused("masked_value", message))
            }
            None => Ok(plan),
        }
    };
    app::blocking(checked, early).await.flatten()
}

/// Extends a "not found" error if the searched text contains a mask.
#[must_use]
pub fn explained<'w>(
    redactor: &Redactor,
    whole: &str,
    wanted: impl IntoIterator<Item = &'w str>,
    error: ToolError,
) -> ToolError {
    let ToolError::Refused { code: "not_found" | "hunk_not_found", .. } = &error else {
        return error;
    };
    let hidden = redactor.hidden(Spot::Tools, whole.as_bytes());
    let named = wanted.into_iter().find_map(|wanted| {
        let is_named =
            |shown: &str| spellings(shown).iter().any(|spelling| wanted.contains(spelling));
        hidden.iter().find(|one| is_named(&one.shown))
    });
    let Some(one) = named else { return error };
    let (line, shown) = (text::line_of(whole, one.at.start), &one.shown);
    ToolError::refused(
        "masked_value",
        format!(
            "line {line} contains a secret that is shown to you as its mask \"{shown}\", so the \
             text differs in the file; use text without the mask: other lines, or what comes \
             before or after it in that line"
        ),
    )
}

/// Spellings of a mask: as displayed, and as models tend to type it.
fn spellings(shown: &str) -> Vec<String> {
    let mut all = vec![shown.to_owned()];
    if shown.contains('…') {
        all.push(shown.replace('…', "..."));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::keyring::Secret;

    const KEY: &str = "ghp_abcdefghijklmnopqrstuvwx";
    const MASK: &str = "ghp_ab…uvwx";

    fn redactor() -> Redactor {
        let redactor = Redactor::new();
        redactor.add("MAIL", Secret::new("correct-horse-battery"));
        redactor
    }

    fn line(before: &str, after: &str) -> Option<usize> {
        written(&redactor(), &[before], &[after]).map(|one| one.line)
    }

    #[test]
    fn a_mask_does_not_take_the_place_of_its_value() {
        let before = format!("a=1\nb=2\nkey={KEY}\nmail=correct-horse-battery\n");
        assert_eq!(line(&before, &before.replace("a=1", "a=2")), None);
        assert_eq!(line(&before, &before.replace(KEY, MASK)), Some(3));
        assert_eq!(line(&before, &before.replace(KEY, "ghp_ab...uvwx")), Some(3), "as it is typed");
        assert_eq!(line(&before, &before.replace(KEY, "ghp_new")), None, "another value");
        let mail = before.replace("correct-horse-battery", "[secret:MAIL]");
        assert_eq!(line(&before, &mail), Some(4));
        assert_eq!(line(&before, &format!("{before}again={MASK}\n")), Some(5), "beside its value");
        assert_eq!(line("no key\n", &format!("key={MASK}\n")), None, "of no value that is here");
        assert_eq!(line(&before.replace('\n', "\r\n"), &before.replace(KEY, MASK)), Some(3));
    }

    #[test]
    fn a_mask_that_stands_there_as_such_may_stay() {
        let before = format!("keys look like {MASK}\nkey={KEY}\n");
        assert_eq!(line(&before, &before.replace("keys look", "they all look")), None);
        let gone = format!("they are keys\nkey={MASK}\n");
        assert_eq!(line(&before, &gone), Some(2), "moved over the value");
    }

    #[test]
    fn a_rule_across_the_page_is_a_mask_only_where_a_value_goes() {
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{0}\n{0}\n-----END PRIVATE KEY-----\n",
            "Q".repeat(64)
        );
        let before = format!("# Key\n{pem}");
        assert_eq!(line(&before, &format!("# Key\n\n***\n{pem}")), None);
        assert_eq!(line(&before, "# Key\n***\n"), Some(2));
    }

    #[test]
    fn a_value_does_not_move_into_another_file_as_its_mask() {
        let (from, to) = (format!("key={KEY}\n"), format!("key={MASK}\n"));
        let found = written(&redactor(), &[&from, "x"], &["y", &to]);
        assert_eq!(found.map(|one| (one.text, one.line)), Some((1, 1)));
        assert_eq!(written(&redactor(), &[&from, ""], &["", &from]), None, "it moves as it is");
    }

    #[test]
    fn who_looks_for_a_mask_is_told_so() {
        let whole = format!("a\nb\nkey={KEY}\n");
        let refusal = |wanted: &str| {
            let error = ToolError::refused("not_found", "nothing there");
            let text = explained(&redactor(), &whole, [wanted], error);
            text.into_output().expect("a refusal").text
        };
        let text = refusal(&format!("key={MASK}"));
        assert!(text.starts_with("Error(masked_value): line 3 "), "{text}");
        assert_eq!(refusal("key=other"), "Error(not_found): nothing there");
    }
}
