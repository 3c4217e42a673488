//! The scripted model and the ledger of its responses. A response depends on the conversation only, so a repeated call
//! gets the same response with another number.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use serde_json::{Value, json};

use support::model::{Seen, Tokens, Turn};

/// File that programs append to.
pub const LOG: &str = "log.txt";
/// Suffix of a command that appends a line.
const APPENDS: &str = " >> log.txt";
/// Prefix of the unique word of a piece of work.
pub const WORD: &str = "bell-";
/// Prefix of an answer, and of one that repeats a program whose outcome was unknown.
const ANSWERS: [&str; 2] = ["Answer ", "Again "];

/// Numbers of all answers given, with the word that each belongs to.
static GIVEN: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());

/// Numbers of the answers given to a piece of work.
pub fn given(word: &str) -> BTreeSet<u64> {
    GIVEN.lock().iter().filter(|(_, to)| *to == word).map(|(number, _)| *number).collect()
}

/// Records one more answer.
fn give(word: &str) -> u64 {
    let mut given = GIVEN.lock();
    let number = given.last_key_value().map_or(1, |(last, _)| last + 1);
    given.insert(number, word.to_owned());
    number
}

/// Lines that the programs of a piece of work append.
pub fn lines(word: &str) -> [String; 2] {
    [format!("{word}-a"), format!("{word}-b")]
}

pub fn comments(word: &str) -> [String; 2] {
    [format!("{word} is begun."), format!("{word} is counted.")]
}

/// File that a piece of work leaves.
pub fn note(word: &str) -> String {
    format!("notes/{word}.md")
}

/// Number of an answer, parsed from its text.
pub fn number(said: &str) -> Option<u64> {
    let behind = ANSWERS.iter().find_map(|begins| said.split_once(*begins))?.1;
    let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    behind[..end].parse().ok()
}

/// The model's answer to a request.
pub fn answer(seen: &Seen) -> Option<Turn> {
    if seen.tools().is_empty() {
        return Some(Turn::text("Bells are counted."));
    }
    let messages = seen.body["messages"].as_array()?;
    let mut told = messages.iter().filter(|message| message["role"] == "user");
    let word = told.find_map(|message| word_in(&message["content"].to_string()))?;
    let number = give(&word);
    // Each answer has a unique token count, which identifies it in the bookings.
    let tokens = Tokens { input: 100, cache_read: 0, cache_write: 0, output: number };
    let unsure = unsure(messages);
    if !unsure.is_empty() {
        let turn = Turn::text(&format!("Again {number}."));
        let again = |turn: Turn, line: String| {
            let command = format!("grep -qxF {line} {LOG} || echo {line}{APPENDS}");
            turn.and_call("exec", json!({ "command": command }))
        };
        return Some(unsure.into_iter().fold(turn, again).usage(tokens));
    }
    let is_step = |message: &&Value| {
        message["role"] == "assistant" && message["content"].to_string().contains(ANSWERS[0])
    };
    let turn = Turn::text(&format!("Answer {number}."));
    let ([one, other], [begun, counted]) = (lines(&word), comments(&word));
    let append = |line: &str| json!({ "command": format!("echo {line}{APPENDS}") });
    let turn = match messages.iter().filter(is_step).count() {
        0 => turn.and_call("task_get", json!({})),
        1 => turn.and_call("comment_add", json!({ "body": begun })),
        2 => turn.and_call("exec", append(&one)),
        3 => turn.and_call("write", json!({ "path": note(&word), "content": word })),
        4 => turn
            .and_call("exec", append(&other))
            .and_call("comment_add", json!({ "body": counted })),
        _ => turn.and_call(
            "work_done",
            json!({ "summary": format!("{word} rings."), "task_state": "complete" }),
        ),
    };
    Some(turn.usage(tokens))
}

/// The word of a piece of work in a text.
fn word_in(text: &str) -> Option<String> {
    let from = &text[text.find(WORD)?..];
    let is_of_it = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let end = from.find(|c: char| !is_of_it(c)).unwrap_or(from.len());
    Some(from[..end].to_owned())
}

/// Lines of killed programs that may or may not have been appended.
fn unsure(messages: &[Value]) -> Vec<String> {
    let last = messages.iter().rposition(|message| message["role"] == "assistant");
    let Some(last) = last else { return Vec::new() };
    let is_unsure = |id: &Value| {
        messages[last..].iter().any(|message| {
            message["tool_call_id"] == *id
                && message["content"].to_string().contains("interrupted_unknown")
        })
    };
    let calls = messages[last]["tool_calls"].as_array().into_iter().flatten();
    let unsure = calls.filter(|call| is_unsure(&call["id"]));
    unsure.filter_map(|call| line_of(call["function"]["arguments"].as_str()?)).collect()
}

/// The line that a program was to append.
fn line_of(arguments: &str) -> Option<String> {
    let arguments: Value = serde_json::from_str(arguments).ok()?;
    let line = arguments["command"].as_str()?.strip_suffix(APPENDS)?.rsplit(' ').next()?;
    Some(line.to_owned())
}
