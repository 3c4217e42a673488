//! Parses a run card: the task, its title, why the run started. Reads plain text, because the practice provider sees
//! only what a model would see.

/// The subject of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Card {
    /// Task reference, such as `MC-142`.
    pub task: Option<String>,
    /// Title of the task, or a placeholder.
    pub title: String,
    /// Why the run started.
    pub cause: Cause,
}

/// Why a run started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// There is work to do.
    Work,
    /// Changes were requested, with this note.
    Changes(String),
    /// A comment was written.
    Comment,
}

const CHANGES: &[&str] = &[
    "changes requested",
    "changes_requested",
    "asked for changes",
    "ask for changes",
    "revision requested",
];
const COMMENT: &[&str] =
    &["mentioned you", "kind: mention", "kind: task_comment", "kind: comment", "new comment"];
/// Words with a number that are not task references.
const NOT_TASKS: &[&str] =
    &["UTF", "SHA", "GPT", "ISO", "RFC", "ASCII", "MD", "HTTP", "COVID", "CVE"];

/// Parses a card.
pub(super) fn read(text: &str) -> Card {
    let reference = reference(text);
    let title = title(text, reference.as_deref()).unwrap_or_else(|| "the task".to_owned());
    Card { task: reference, title, cause: cause(text) }
}

/// Returns `true` if a text looks like a card and not like a remark.
pub(super) fn looks_like_card(text: &str) -> bool {
    reference(text).is_some() && text.trim().lines().nth(1).is_some()
}

/// The first task reference, preferably in a line that mentions a task.
pub(super) fn reference(text: &str) -> Option<String> {
    let in_line = |line: &str| words(line).find_map(as_reference);
    let about = text.lines().filter(|l| l.to_lowercase().contains("task")).find_map(in_line);
    about.or_else(|| text.lines().find_map(in_line))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
}

fn as_reference(word: &str) -> Option<String> {
    let (key, number) = word.split_once('-')?;
    let is_key = (1..=10).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let is_number = (1..=9).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    (is_key && is_number && !NOT_TASKS.contains(&key)).then(|| word.to_owned())
}

fn title(text: &str, reference: Option<&str>) -> Option<String> {
    let named = text.lines().map(plain).find_map(|line| {
        let (label, value) = line.split_once(':')?;
        label.trim().eq_ignore_ascii_case("title").then(|| value.trim().to_owned())
    });
    let title = named.filter(|t| !t.is_empty()).or_else(|| {
        let reference = reference?;
        let line = text.lines().map(plain).find(|l| words(l).any(|w| w == reference))?;
        let after = line.split_once(reference).map(|(_, after)| after)?;
        quoted(after).or_else(|| Some(after.to_owned()))
    })?;
    let title = title.trim_matches(|c: char| c.is_whitespace() || ":·-—–|,.()[]\"“”*`".contains(c));
    (!title.is_empty()).then(|| kernel::text::cut(title, 120).to_owned())
}

fn quoted(text: &str) -> Option<String> {
    let start = text.find(['"', '“'])?;
    let rest = text[start..].trim_start_matches(['"', '“']);
    let end = rest.find(['"', '”'])?;
    Some(rest[..end].to_owned())
}

/// A line without leading Markdown markup.
fn plain(line: &str) -> &str {
    line.trim().trim_start_matches(['#', '-', '*', '>', ' ']).trim_end_matches('*')
}

fn cause(text: &str) -> Cause {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let lower = line.to_lowercase();
        if !CHANGES.iter().any(|w| lower.contains(w)) {
            continue;
        }
        let here = line.split_once(':').map_or("", |(_, note)| note.trim());
        let note = if here.is_empty() {
            let below =
                lines.skip_while(|l| l.trim().is_empty()).take_while(|l| !l.trim().is_empty());
            below.map(plain).collect::<Vec<_>>().join(" ")
        } else {
            here.to_owned()
        };
        let note = note.trim_matches(['"', '“', '”', ' ']);
        return Cause::Changes(kernel::text::cut(note, 300).to_owned());
    }
    let lower = text.to_lowercase();
    if COMMENT.iter().any(|w| lower.contains(w)) { Cause::Comment } else { Cause::Work }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_and_title_are_found_in_many_forms() {
        for (text, task, title) in [
            ("Task MC-142: Write the brief\nPriority: high", "MC-142", "Write the brief"),
            ("# Run card\n**Task:** MC-7 · Plan the trip\nUTF-8", "MC-7", "Plan the trip"),
            ("You were assigned MC-9 \"Ship it\" by Mira.\nDue: 2026-11-20", "MC-9", "Ship it"),
            ("Kind: assignment\nTask: AB2-30\nTitle: Find a name\n", "AB2-30", "Find a name"),
            ("Encode as UTF-8, then do HQ-1 — Tidy up", "HQ-1", "Tidy up"),
        ] {
            let card = read(text);
            assert_eq!((card.task.as_deref(), card.title.as_str()), (Some(task), title), "{text}");
            assert_eq!(card.cause, Cause::Work);
        }
        assert_eq!(read("Hello there").task, None);
    }

    #[test]
    fn a_note_on_delivered_work_is_found() {
        let same_line = read("Task MC-1: X\nChanges requested: make it shorter");
        assert_eq!(same_line.cause, Cause::Changes("make it shorter".into()));
        let below = read(
            "Task MC-1: X\n## Changes requested\n\n> Make it shorter,\n> and kinder.\n\nDeliverable: v1",
        );
        assert_eq!(below.cause, Cause::Changes("Make it shorter, and kinder.".into()));
        assert_eq!(read("Task MC-1: X\nMira mentioned you in a comment").cause, Cause::Comment);
    }
}
