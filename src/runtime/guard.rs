//! Detects loops: the same call again and again, or errors that never change.
//!
//! Only calls since the last progress count. Progress is a successful change that this run has not made before, so
//! reading a file again after an edit is no loop. At first the model is warned in the result, then the call is blocked.
//! If a blocked call comes again, the run ends after a final text. (Alternating between two calls needs no rule of its
//! own: each of them repeats.)

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

/// Number of recent calls that are compared.
const WINDOW: usize = 20;
/// Tools that may be called repeatedly, because their results change by themselves.
const POLLS: &[&str] = &["agent_list", "exec", "process", "task_get", "task_list"];
/// Repetitions of such a call without progress.
const MAX_POLLS: usize = 8;
/// Shorter results may be equal by chance, in bytes.
const TELLING: usize = 80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    Go,
    /// Block the call.
    Block,
    /// Block the call and end the run.
    End,
}

/// The guard's findings about a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// A warning to append to the result.
    pub warning: Option<&'static str>,
    /// The other calls of the message are skipped.
    pub block: bool,
    pub end: bool,
}

/// The result of a call.
pub struct Seen<'a> {
    /// The text for the model.
    pub text: &'a str,
    pub is_error: bool,
    /// There is no such tool.
    pub unknown: bool,
    /// The call changes something.
    pub changes: bool,
}

struct Made {
    call: u64,
    /// Hash of the result; `None` while the call runs or if it was blocked.
    result: Option<u64>,
    error: Option<u64>,
    unknown: bool,
    blocked: bool,
}

/// The calls of a run since its last progress.
#[derive(Default)]
pub struct Guard {
    made: VecDeque<Made>,
    changes: HashSet<u64>,
}

/// The result of a blocked call.
pub const BLOCKED: &str = "Error(loop): refused because you made this same call several times and \
     nothing has changed. Do something else, or end the run and say what is missing.";

const REPEATED: &str = "[You made this same call before, and nothing has changed since.]";
const SAME_RESULT: &str = "[Different calls keep giving this same result.]";
const SAME_ERROR: &str = "[This error keeps occurring. Try another way.]";
const UNKNOWN: &str = "[Use only tools that are listed; tool_search finds more.]";

/// The text of a result without the guard's warning.
pub fn without_warning(text: &str) -> &str {
    let mut all = [REPEATED, SAME_RESULT, SAME_ERROR, UNKNOWN].into_iter();
    let plain = all.find_map(|warning| text.strip_suffix(warning)?.strip_suffix('\n'));
    plain.unwrap_or(text)
}

impl Guard {
    /// Decides before a call, and counts it.
    pub fn before(&mut self, tool: &str, arguments: &str) -> Advice {
        let call = key_of(tool, arguments);
        let same: Vec<&Made> = self.made.iter().filter(|made| made.call == call).collect();
        let advice = if same.iter().any(|made| made.blocked) {
            Advice::End
        } else {
            let alike = same.iter().map(|one| {
                same.iter().filter(|o| one.result.is_some() && o.result == one.result).count()
            });
            let (alike, count) = (alike.max().unwrap_or(0) + 1, same.len() + 1);
            let block = match POLLS.contains(&tool) {
                true => alike >= MAX_POLLS || count >= WINDOW,
                false => count >= 4 || alike >= 3,
            };
            if block { Advice::Block } else { Advice::Go }
        };
        let blocked = advice != Advice::Go;
        self.push(Made { call, result: None, error: None, unknown: false, blocked });
        advice
    }

    /// Examines the result of a call.
    pub fn after(&mut self, tool: &str, arguments: &str, seen: &Seen<'_>) -> Note {
        let call = key_of(tool, arguments);
        if seen.changes && !seen.is_error && self.changes.insert(call) {
            self.made.clear();
            return Note::default();
        }
        let result = hash(seen.text);
        let error = seen.is_error.then(|| hash(&without_numbers(seen.text)));
        let open = |made: &&mut Made| made.call == call && made.result.is_none() && !made.blocked;
        if let Some(made) = self.made.iter_mut().find(open) {
            (made.result, made.error, made.unknown) = (Some(result), error, seen.unknown);
        }
        let count = |of: &dyn Fn(&Made) -> bool| self.made.iter().filter(|m| of(m)).count();
        if seen.unknown {
            let unknown = count(&|m| m.unknown);
            let warning = (unknown >= 2).then_some(UNKNOWN);
            return Note { warning, block: unknown >= 3, end: unknown >= 4 };
        }
        let errors = count(&|m| error.is_some() && m.error == error);
        if errors >= 3 {
            return Note { warning: Some(SAME_ERROR), block: errors >= 5, end: errors >= 7 };
        }
        let results = count(&|m| m.result == Some(result) && m.call != call);
        if seen.text.len() >= TELLING && results >= 4 {
            return Note { warning: Some(SAME_RESULT), block: results >= 5, end: results >= 6 };
        }
        let repeats = count(&|m| m.call == call);
        let alike = count(&|m| m.call == call && m.result == Some(result));
        let warn = !POLLS.contains(&tool) && (repeats >= 3 || alike >= 2);
        Note { warning: warn.then_some(REPEATED), ..Note::default() }
    }

    /// Removes calls that were counted but not made, because a call of their message was blocked.
    pub fn unmade(&mut self) {
        self.made.retain(|made| made.result.is_some() || made.blocked);
    }

    fn push(&mut self, made: Made) {
        if self.made.len() >= WINDOW {
            self.made.pop_front();
        }
        self.made.push_back(made);
    }
}

/// A hash of the call that does not depend on the formatting of its arguments.
fn key_of(tool: &str, arguments: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    tool.hash(&mut hasher);
    match serde_json::from_str::<Value>(arguments) {
        Ok(value) => hash_value(&value, &mut hasher),
        Err(_) => arguments.hash(&mut hasher),
    }
    hasher.finish()
}

fn hash_value(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(map) => {
            let mut names: Vec<&String> = map.keys().collect();
            names.sort();
            for name in names {
                name.hash(hasher);
                hash_value(&map[name], hasher);
            }
        }
        Value::Array(list) => {
            list.len().hash(hasher);
            list.iter().for_each(|one| hash_value(one, hasher));
        }
        other => other.to_string().hash(hasher),
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn without_numbers(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Advice, Guard, Note, Seen};

    fn read(text: &str) -> Seen<'_> {
        Seen { text, is_error: false, unknown: false, changes: false }
    }

    fn change() -> Seen<'static> {
        Seen { text: "done", is_error: false, unknown: false, changes: true }
    }

    fn error(text: &str) -> Seen<'_> {
        Seen { text, is_error: true, unknown: false, changes: false }
    }

    fn go(guard: &mut Guard, tool: &str, arguments: &str, seen: &Seen<'_>) -> Note {
        assert_eq!(guard.before(tool, arguments), Advice::Go, "{tool} {arguments}");
        guard.after(tool, arguments, seen)
    }

    #[test]
    fn the_same_call_with_the_same_result_is_warned_then_refused_then_ends_the_run() {
        let mut guard = Guard::default();
        assert_eq!(go(&mut guard, "read", r#"{"path":"a","limit":1}"#, &read("x")).warning, None);
        let second = go(&mut guard, "read", r#"{"limit":1, "path":"a"}"#, &read("x"));
        assert!(second.warning.is_some());
        assert_eq!(guard.before("read", r#"{"path":"a","limit":1}"#), Advice::Block);
        assert_eq!(guard.before("read", r#"{"path":"a","limit":1}"#), Advice::End);
    }

    #[test]
    fn a_call_whose_result_changes_may_come_a_little_more_often() {
        let mut guard = Guard::default();
        assert_eq!(go(&mut guard, "read", "{}", &read("1")).warning, None);
        assert_eq!(go(&mut guard, "read", "{}", &read("2")).warning, None);
        assert!(go(&mut guard, "read", "{}", &read("3")).warning.is_some());
        assert_eq!(guard.before("read", "{}"), Advice::Block);
    }

    #[test]
    fn a_call_that_was_not_made_is_no_repetition() {
        let mut guard = Guard::default();
        for _ in 0..5 {
            assert_eq!(guard.before("read", "{}"), Advice::Go);
            guard.unmade();
        }
        go(&mut guard, "read", "{}", &read("1"));
        guard.unmade();
        assert_eq!(go(&mut guard, "read", "{}", &read("1")).warning, Some(super::REPEATED));
    }

    #[test]
    fn reading_again_after_a_change_is_no_circle() {
        let mut guard = Guard::default();
        for n in 0..30 {
            assert_eq!(go(&mut guard, "read", "{}", &read("same")).warning, None);
            go(&mut guard, "edit", &format!(r#"{{"new":"{n}"}}"#), &change());
        }
    }

    #[test]
    fn changing_there_and_back_again_is_a_circle() {
        let mut guard = Guard::default();
        let mut advice = Vec::new();
        for _ in 0..5 {
            for to in ["a", "b"] {
                let arguments = format!(r#"{{"to":"{to}"}}"#);
                let one = guard.before("task_update", &arguments);
                if one == Advice::Go {
                    guard.after("task_update", &arguments, &change());
                }
                advice.push(one);
            }
        }
        assert!(advice.contains(&Advice::Block) && advice.contains(&Advice::End), "{advice:?}");
    }

    #[test]
    fn looking_whether_something_has_changed_is_allowed_for_longer() {
        let mut guard = Guard::default();
        for _ in 0..7 {
            assert_eq!(go(&mut guard, "task_get", "{}", &read("todo")).warning, None);
        }
        assert_eq!(guard.before("task_get", "{}"), Advice::Block);
    }

    #[test]
    fn an_error_that_never_changes_ends_the_run() {
        let mut guard = Guard::default();
        let notes: Vec<Note> = (0..7)
            .map(|n| go(&mut guard, "read", &format!("{{\"n\":{n}}}"), &error("no file 12")))
            .collect();
        assert!(notes[1].warning.is_none() && notes[2].warning.is_some());
        assert!(!notes[3].block && notes[4].block);
        assert!(!notes[5].end && notes[6].end);
    }

    #[test]
    fn inventing_tools_ends_the_run() {
        let mut guard = Guard::default();
        let unknown = Seen { text: "none", is_error: true, unknown: true, changes: false };
        let notes: Vec<Note> =
            (0..4).map(|n| go(&mut guard, &format!("tool{n}"), "{}", &unknown)).collect();
        assert!(notes[0].warning.is_none() && notes[1].warning.is_some());
        assert!(!notes[2].end && notes[3].end);
    }
}
