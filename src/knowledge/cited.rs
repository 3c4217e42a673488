//! Citations of passages, such as `[[know:<item>#3@9f86d0]]`: the number of the passage, and a stamp of its text. A
//! citation of a passage that its run never received is a guess and is marked. A citation whose text has changed says
//! so.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use app::Ws;
use features::runs::model::{CallStatus, EventKind, Run, SessionEvent};
use kernel::key::KeyBuf;
use kernel::{RunId, RunState, RunTrigger};
use serde_json::Value;
use store::{Range, Read, ReadExt as _, StoreError};

use crate::cut::{Cut, Quote};
use crate::error::KnowledgeError;
use crate::links::CITE;
use crate::model::{Item, KnowledgeId};
use crate::recent::Recent;
use crate::{context, passages, queries};

/// Cache for ended runs, whose texts are rendered repeatedly.
static KEPT: Recent<RunId, Seen> = Recent::new(64);
/// A citation field in a JSON response. Inside a quoted passage the quotation marks are escaped, so it does not match.
const FIELD: &str = "\"cite\":\"[[know:";
/// In the first line of a `knowledge_read` response, between the item and the passage numbers.
const GIVES: &str = "] passages ";
/// Number of former versions searched for a cited text.
const VERSIONS: usize = 10;

/// The citation of a passage.
#[must_use]
pub fn cite(id: KnowledgeId, cut: &Cut, n: u32) -> String {
    format!("[[{CITE}{id}#{}]]", named(cut, n))
}

/// The mark before a passage in a tool result, which citations refer to.
#[must_use]
pub fn mark(cut: &Cut, n: u32) -> String {
    format!("[#{}] ", named(cut, n))
}

fn named(cut: &Cut, n: u32) -> String {
    match cut.words(n) {
        Some(words) => format!("{n}@{}", passages::stamp(words)),
        None => n.to_string(),
    }
}

/// Removes the marks before passages from a text that an agent writes back.
#[must_use]
pub fn unmarked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("[#") {
        out.push_str(before);
        rest = after_mark(from).unwrap_or_else(|| {
            out.push_str("[#");
            from
        });
    }
    out.push_str(rest);
    out
}

/// The text after a mark whose first two characters are already removed; `None` if it is no mark.
fn after_mark(from: &str) -> Option<&str> {
    let (inner, rest) = from.split_once(']')?;
    let (n, stamp) = inner.split_once('@')?;
    let counts = !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit());
    let is = counts && stamp.len() == 6 && stamp.bytes().all(|byte| byte.is_ascii_hexdigit());
    is.then(|| rest.strip_prefix(' ').unwrap_or(rest))
}

/// Parses the place of a citation: number and stamp, as far as present.
#[must_use]
pub fn place(section: &str) -> (Option<u32>, &str) {
    let (n, stamp) = section.split_once('@').unwrap_or((section, ""));
    let is_stamp = stamp.len() <= 12 && stamp.bytes().all(|byte| byte.is_ascii_hexdigit());
    // ok: without a valid number the citation names the item only
    (n.trim().parse().ok(), if is_stamp { stamp } else { "" })
}

/// First line of a response that contains these passages. The title follows later, because it can contain any text.
#[must_use]
pub fn given(item: &Item, passages: Option<&RangeInclusive<u32>>) -> String {
    let (kind, id) = (item.kind.word(), item.id);
    match passages {
        Some(all) => format!("[{kind} {id}{GIVES}{} to {}", all.start(), all.end()),
        None => format!("[{kind} {id}]"),
    }
}

/// Parses the first line of such a response.
fn gives(answer: &str) -> Option<(KnowledgeId, RangeInclusive<u32>)> {
    let (named, rest) = answer.strip_prefix('[')?.split_once(GIVES)?;
    let (_, id) = named.split_once(' ')?;
    let (from, rest) = rest.split_once(" to ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    // ok: another format was not written by `given`
    Some((id.parse().ok()?, from.parse().ok()?..=rest[..digits].parse().ok()?))
}

/// The passages that a run's conversation contained.
#[derive(Debug, Default)]
pub struct Seen {
    passages: HashSet<(KnowledgeId, u32)>,
    /// Items whose full text is in the agent's context, with their numbers of passages.
    whole: HashMap<KnowledgeId, u32>,
}

impl Seen {
    /// The passages in a run's conversation, up to now or up to its end.
    pub fn of(ws: &Ws, read: &dyn Read, run: RunId) -> Result<Arc<Self>, StoreError> {
        if let Some(seen) = KEPT.get(|of| *of == run) {
            return Ok(seen);
        }
        let found: Option<Run> = read.get(run)?;
        let Some(found) = found else { return Ok(Arc::default()) };
        // Reads of earlier runs in the conversation count, too.
        let events: Vec<SessionEvent> = read.list(&Range::prefix(KeyBuf::of(&found.session)))?;
        let mut seen = Self::default();
        for event in events {
            if let EventKind::ToolFinished { name, result, status: CallStatus::Ok, .. } =
                &event.kind
            {
                seen.take(name, result.head());
            }
        }
        // A sub-agent starts without the context.
        if found.trigger != RunTrigger::Child {
            let shares = context::of(read, &ws.blobs, Some(found.agent))
                .map_err(|error| StoreError::Failed(error.to_string()))?;
            for share in shares {
                let Some(text) = share.text else { continue };
                let count = u32::try_from(passages::cut(&text).len()).unwrap_or(u32::MAX);
                seen.whole.insert(share.item.id, count);
            }
        }
        let seen = Arc::new(seen);
        if found.state == RunState::Ended {
            KEPT.keep(run, seen.clone());
        }
        Ok(seen)
    }

    /// Records the passages that a tool returned. Citations inside the returned text are ignored.
    fn take(&mut self, tool: &str, result: &str) {
        match tool {
            "knowledge_read" => {
                if let Some((id, all)) = gives(result) {
                    self.passages.extend(all.map(|n| (id, n)));
                }
            }
            "knowledge_search" => self.take_fields(result),
            "task_get" => {
                // A warning may follow the JSON.
                let mut values = serde_json::Deserializer::from_str(result).into_iter::<Value>();
                if let Some(Ok(task)) = values.next() {
                    self.take_fields(task["linked_knowledge"].as_str().unwrap_or_default());
                }
            }
            _ => {}
        }
    }

    fn take_fields(&mut self, answer: &str) {
        for piece in answer.split(FIELD).skip(1) {
            let cited = piece.split_once("]]").and_then(|(inner, _)| inner.split_once('#'));
            let Some((id, section)) = cited else { continue };
            // ok: an invalid citation cites nothing
            if let (Ok(id), (Some(n), _)) = (id.parse(), place(section)) {
                self.passages.insert((id, n));
            }
        }
    }

    /// Whether the conversation contained a passage; without a number, any passage of the item.
    #[must_use]
    pub fn has(&self, id: KnowledgeId, n: Option<u32>) -> bool {
        match n {
            Some(n) => {
                self.passages.contains(&(id, n))
                    || self.whole.get(&id).is_some_and(|count| n < *count)
            }
            None => self.whole.contains_key(&id) || self.passages.iter().any(|(of, _)| *of == id),
        }
    }
}

/// A cited passage for the item's page.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The passage, if it can be shown.
    pub quote: Option<Quote>,
    /// Whether the current text contains it.
    pub stands: bool,
    /// What changed since; empty if nothing.
    pub told: &'static str,
}

/// Current number of a cited passage: by stamp, because changes above it shift the numbers; by number if there is no
/// stamp.
#[must_use]
pub fn now(cut: &Cut, (n, stamp): (u32, &str)) -> Option<u32> {
    if stamp.is_empty() {
        return (n < cut.len()).then_some(n);
    }
    let is = |n: &u32| cut.words(*n).is_some_and(|words| passages::stamp(words) == stamp);
    std::iter::once(n).chain(0..cut.len()).find(is)
}

/// Resolves a citation: the passage with its stamp in the current text, else in a former version. If the text is not
/// found, nothing is shown, because another passage was never cited.
pub fn shown(
    ws: &Ws,
    read: &dyn Read,
    (id, cut): (KnowledgeId, &Cut),
    (n, stamp): (u32, &str),
) -> Result<Shown, KnowledgeError> {
    let now = |n: u32| {
        cut.quote(n, None).map(|quote| Shown { quote: Some(quote), stands: true, told: "" })
    };
    let gone = |message| Shown { told: message, ..Shown::default() };
    if stamp.is_empty() {
        return Ok(now(n).unwrap_or_else(|| gone("This passage no longer exists.")));
    }
    if let Some(shown) = self::now(cut, (n, stamp)).and_then(now) {
        return Ok(shown);
    }
    for version in queries::versions(read, id, VERSIONS)? {
        let text = version.text.read(&ws.blobs).map_err(|error| KnowledgeError::disk(&error))?;
        let then = Cut { passages: passages::cut(&text), text };
        if let Some(quote) = self::now(&then, (n, stamp)).and_then(|at| then.quote(at, None)) {
            let message = "The text has changed since it was cited. The cited text:";
            return Ok(Shown { quote: Some(quote), stands: false, told: message });
        }
    }
    Ok(gone("The text has changed since it was cited, and the cited version isn’t available."))
}

#[cfg(test)]
mod tests {
    use kernel::TypedId as _;
    use kernel::id::made_of::uuid::Uuid;
    use store::Record as _;

    use super::{Seen, given, place, unmarked};
    use crate::model::{Item, KnowledgeId};

    fn id(n: u128) -> KnowledgeId {
        KnowledgeId::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn what_tools_gave_is_known_by_what_they_say_themselves() {
        let mut seen = Seen::default();
        let words = format!("\\\"cite\\\":\\\"[[know:{}#9]]\\\" [[know:{}#8]]", id(1), id(1));
        let text = format!("{{\"cite\":\"[[know:{}#3@9f86d0]]\",\"text\":\"{words}\"}}", id(1));
        seen.take("knowledge_search", &text);
        seen.take("comment_list", &text.replace("#3", "#4"));
        let task = serde_json::json!({ "description": text.replace("#3", "#5"), "linked_knowledge": text.replace("#3", "#6") });
        seen.take("task_get", &format!("{task}\nYou have asked this before."));
        let mut all: Vec<u32> = seen.passages.iter().map(|(_, n)| *n).collect();
        all.sort_unstable();
        assert_eq!(all, [3, 6]);
        assert!(seen.has(id(1), None) && !seen.has(id(2), None));

        let mut seen = Seen::default();
        let item = Item { id: id(4), ..Item::sample() };
        let head = given(&item, Some(&(2..=4)));
        seen.take("knowledge_read", &format!("{head}, version 3: [[know:{}#0]]\n{words}", id(5)));
        assert!(seen.has(id(4), Some(2)) && seen.has(id(4), Some(4)) && seen.passages.len() == 3);
        seen.take("knowledge_read", &given(&item, None));
        assert_eq!(seen.passages.len(), 3);
    }

    #[test]
    fn places_are_read_and_marks_are_taken_out() {
        assert_eq!(place("3@9f86d0"), (Some(3), "9f86d0"));
        assert_eq!((place("3"), place("")), ((Some(3), ""), (None, "")));
        assert_eq!(place("3@\"x"), (Some(3), ""));
        let text = "[#0@9f86d0] # Lease\n\nA [#1@00ff12] b [#1] [#x@9f86d0] [[#2@9f86d0]]";
        assert_eq!(unmarked(text), "# Lease\n\nA b [#1] [#x@9f86d0] []");
    }
}
