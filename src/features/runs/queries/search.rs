//! Full-text search in an agent's conversations, newest first, within an event budget.
//!
//! Events within the budget are read directly, so no hit among them is missing or stale. Older hits come from the
//! search index and are checked against the stored event before they are shown.

use std::collections::BTreeSet;

use crate::global_search::model::{Found, Kind};
use crate::global_search::queries::document;
use crate::runs::model::{EventKind, Run, Session, SessionEvent};
use app::Ws;
use kernel::key::decode;
use kernel::{AccountId, Actor, AgentId, RunId, SessionId, Timestamp};
use providers::model::Part;
use search::{Ask, Typos, Wanted};
use store::{Cursor, Read, ReadExt, StoreError};
use tool::rank::{Query, Ranking};

use super::{branches, children, events, sessions, talk};

/// Default event budget of one search.
pub const EVENTS: u32 = 20_000;
/// Events read per chunk.
const CHUNK: u32 = 256;
/// Maximum number of passages ranked.
const MOST: usize = 2_000;
/// Maximum number of older passages taken from the index.
const OLDER: usize = 500;
/// Maximum lag of the index in feed entries at which it still covers everything older than the budget.
const NEAR: u64 = 2_000;
/// Maximum length of a snippet in bytes.
const SNIPPET: usize = 700;
/// Bytes of a snippet before the first match.
const BEFORE: usize = 160;

/// A hit.
#[derive(Clone, Debug)]
pub struct Said {
    pub session: SessionId,
    /// Event number in the session.
    pub n: u32,
    pub run: Option<RunId>,
    pub at: Timestamp,
    /// Author; `None` for the agent.
    pub by: Option<Actor>,
    /// Snippet around the match.
    pub text: String,
    /// Relevance, at most 1.
    pub score: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Searched {
    /// Best first.
    pub hits: Vec<Said>,
    /// Whether the whole range was searched.
    pub complete: bool,
    /// Whether the index covered the older part: everything that a person's own search may find.
    pub indexed: bool,
    /// Time of the oldest event read without the index.
    pub until: Option<Timestamp>,
}

impl Searched {
    /// The unsearched part and its end in time; `None` if the search was complete.
    #[must_use]
    pub fn unseen(&self) -> Option<(&'static str, Timestamp)> {
        let what = match self.indexed {
            true => "Sub-agent and program messages",
            false => "Messages",
        };
        self.until.filter(|_| !self.complete).map(|until| (what, until))
    }
}

/// Search parameters.
pub struct ConversationSearch<'a> {
    pub agent: AgentId,
    /// Filter for the visible conversations.
    pub may: &'a dyn Fn(&Session) -> bool,
    pub query: &'a Query,
    /// Excludes older events.
    pub since: Option<Timestamp>,
    /// Maximum number of hits.
    pub most: usize,
    /// Event budget.
    pub events: u32,
    pub now: Timestamp,
}

/// Searches the conversations of an agent. Blocking.
pub fn search(ws: &Ws, wish: &ConversationSearch<'_>) -> Result<Searched, StoreError> {
    ws.read(|snap| look_through(ws, snap, wish))
}

fn look_through(
    ws: &Ws,
    tx: &dyn Read,
    wish: &ConversationSearch<'_>,
) -> Result<Searched, StoreError> {
    let (mut all, complete) = talk::newest(tx, wish.agent, wish.may)?;
    let mut searched = Searched { complete, ..Searched::default() };
    all.sort_by_key(|session| std::cmp::Reverse(session.last_at));
    let mut looking = Looking {
        ranking: Ranking::new(wish.query.clone()),
        known: Vec::new(),
        left: wish.events,
        until: None,
    };
    let mut left = Vec::new();
    for session in all {
        if wish.since.is_some_and(|since| session.last_at < since) {
            break;
        }
        if !left.is_empty() || !looking.through(tx, wish, &session)? {
            left.push(session);
        }
    }
    if !left.is_empty() {
        searched.indexed = complete && looking.behind(ws, tx, wish, &left)?;
        // The index does not contain conversations without an audience.
        let all = left.iter().all(|session| document::audience(session).is_some());
        searched.complete = searched.indexed && all;
    }
    searched.until = looking.until;
    searched.hits = looking.best(wish);
    Ok(searched)
}

/// Searches the conversations with an agent that the person's own list shows.
pub async fn among_theirs(
    ws: &Ws,
    agent: AgentId,
    account: AccountId,
    words: &str,
    most: usize,
) -> Result<Searched, StoreError> {
    let Some(query) = Query::of(words) else {
        return Ok(Searched { complete: true, ..Searched::default() });
    };
    ws.read_blocking(move |ws| {
        let may = |session: &Session| sessions::is_listed(session, account);
        let now = ws.app.clock.now();
        let (may, query) = (&may, &query);
        let wish = ConversationSearch { agent, may, query, since: None, most, events: EVENTS, now };
        search(ws, &wish)
    })
    .await
}

struct Looking {
    ranking: Ranking,
    known: Vec<(Said, String)>,
    left: u32,
    until: Option<Timestamp>,
}

impl Looking {
    /// Searches one conversation from its end. Returns whether the budget sufficed.
    fn through(
        &mut self,
        tx: &dyn Read,
        wish: &ConversationSearch<'_>,
        session: &Session,
    ) -> Result<bool, StoreError> {
        // Shared events are found in the other conversation.
        let first = branches::first_own(tx, session.id)?;
        let is_part = children::is_key(&session.key);
        let mut to = session.events;
        while first < to {
            let from = to.saturating_sub(CHUNK.min(self.left.max(1))).max(first);
            let mut some = events(tx, session.id, from, to)?;
            some.reverse();
            for event in some {
                if wish.since.is_some_and(|since| event.at < since) {
                    return Ok(true);
                }
                if is_part && is_copy(tx, session, event.run)? {
                    continue;
                }
                self.until = self.until.into_iter().chain([event.at]).min();
                self.add_event(event, wish);
            }
            self.left = self.left.saturating_sub(to - from);
            to = from;
            if self.left == 0 || MOST <= self.known.len() {
                return Ok(to == first && 0 < self.left);
            }
        }
        Ok(true)
    }

    /// Finds hits beyond the budget with the index. Returns whether an index covers these conversations. The first
    /// call starts building the index.
    fn behind(
        &mut self,
        ws: &Ws,
        tx: &dyn Read,
        wish: &ConversationSearch<'_>,
        left: &[Session],
    ) -> Result<bool, StoreError> {
        let finding = &ws.finding;
        finding.ask();
        let Some(wanted) = Wanted::of(wish.query.text()) else { return Ok(false) };
        if !finding.index.is_begun() || finding.building().is_some() {
            return Ok(false);
        }
        // Events newer than the index were read directly, unless there are too many.
        let head = ws.store.head();
        let reaches = |seen: Cursor| {
            seen.incarnation == head.incarnation && head.seq.saturating_sub(seen.seq) <= NEAR
        };
        if !finding.seen().is_some_and(reaches) {
            return Ok(false);
        }
        let mut groups = Vec::new();
        let mut audiences = BTreeSet::new();
        for session in left {
            if let Some(audience) = document::audience(session) {
                groups.push(session.id.to_string());
                audiences.insert(audience);
            }
        }
        if groups.is_empty() {
            return Ok(true);
        }
        let audiences: Vec<String> = audiences.into_iter().collect();
        let ask = Ask {
            wanted: &wanted,
            // The caller may see these conversations, whoever owns them.
            audiences: &audiences,
            kinds: &[Kind::Message.number()],
            status: None,
            groups: &groups,
            any: true,
            most: OLDER,
            now: wish.now.as_second(),
            typos: Typos::Never,
        };
        let found = match finding.index.find(&ask) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the search index of {} did not answer", ws.slug);
                return Ok(false);
            }
        };
        let mut seen: BTreeSet<(SessionId, u32)> =
            self.known.iter().map(|(one_hit, _)| (one_hit.session, one_hit.n)).collect();
        for hit in found.hits {
            let key = Found::named(&hit.key).and_then(|one| decode::<(SessionId, u32)>(&one.key));
            let Some(key) = key.filter(|key| seen.insert(*key)) else { continue };
            // Read the current event: it may have been deleted.
            let Some(event) = tx.get::<SessionEvent>(key)? else { continue };
            let is_old = wish.since.is_some_and(|since| event.at < since);
            if !is_old && left.iter().any(|session| session.id == event.session) {
                self.add_event(event, wish);
            }
        }
        Ok(true)
    }

    fn add_event(&mut self, event: SessionEvent, wish: &ConversationSearch<'_>) {
        let Some((by, text)) = words(&event.kind) else { return };
        let days = wish.now.duration_since(event.at).as_secs() / 86_400;
        if self.ranking.add(&text, Some(days)).is_some() {
            let SessionEvent { session, n, run, at, .. } = event;
            self.known
                .push((Said { session, n, run, at, by, text: String::new(), score: 0.0 }, text));
        }
    }

    fn best(self, wish: &ConversationSearch<'_>) -> Vec<Said> {
        let best = self.ranking.best(wish.most).into_iter();
        best.map(|(at, score)| {
            let (hit, whole) = &self.known[at];
            Said { text: around(whole, wish.query), score, ..hit.clone() }
        })
        .collect()
    }
}

/// Whether an event of a sub-agent's conversation is a copy from its parent's conversation, where the original is
/// found.
fn is_copy(tx: &dyn Read, session: &Session, run: Option<RunId>) -> Result<bool, StoreError> {
    let Some(run) = run else { return Ok(false) };
    Ok(tx.get::<Run>(run)?.is_some_and(|run| run.session != session.id))
}

/// Author and text of an event: a message of a person or HQ, or text of the agent.
#[must_use]
pub fn words(kind: &EventKind) -> Option<(Option<Actor>, String)> {
    match kind {
        EventKind::Input { text, by, .. } | EventKind::Answered { text, by, .. } => {
            Some((Some(*by), text.head().to_owned()))
        }
        EventKind::Assistant { parts, .. } => {
            let parts: Vec<Part> = serde_json::from_str(parts.head()).ok()?;
            let texts = parts.into_iter().filter_map(|part| match part {
                Part::Text { text } if !text.trim().is_empty() => Some(text),
                _ => None,
            });
            let text = texts.collect::<Vec<_>>().join("\n");
            (!text.is_empty()).then_some((None, text))
        }
        _ => None,
    }
}

/// Snippet around the first match.
fn around(text: &str, query: &Query) -> String {
    if text.len() <= SNIPPET {
        return text.to_owned();
    }
    let mut from = query.first_in(text).unwrap_or(0).saturating_sub(BEFORE);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let part = kernel::text::cut(&text[from..], SNIPPET);
    let (head, tail) =
        (if from > 0 { "…" } else { "" }, if from + part.len() < text.len() { "…" } else { "" });
    format!("{head}{}{tail}", part.trim())
}

/// Up to `count` messages before and after an event, in order.
pub fn said_around(
    tx: &dyn Read,
    session: &Session,
    n: u32,
    count: usize,
) -> Result<Vec<SessionEvent>, StoreError> {
    let says = |event: &SessionEvent| words(&event.kind).is_some();
    let (from, to) = (n.saturating_sub(4 * CHUNK), (n + 1).saturating_add(4 * CHUNK));
    let mut before = events(tx, session.id, from, n)?;
    before.retain(says);
    let skip = before.len().saturating_sub(count);
    let mut around = before.split_off(skip);
    let mut after = events(tx, session.id, n, to.min(session.events))?;
    after.retain(says);
    after.truncate(count + 1);
    around.append(&mut after);
    Ok(around)
}
