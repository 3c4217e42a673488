//! Looks through conversations for words, the newest first, as far as a budget reaches: what was said is read
//! where it lies, so nothing of that can be missing or stale. What lies behind it the index of the workspace
//! finds, and it is read there, too, before anybody sees it.

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

/// How many events are read for one search, unless asked otherwise.
pub const EVENTS: u32 = 20_000;
/// How many events are read at once.
const CHUNK: u32 = 256;
/// The most passages that are kept for the ranking.
const MOST: usize = 2_000;
/// How many passages of what is older are taken from the index.
const OLDER: usize = 500;
/// So many entries of the feed the index may be behind and still has what is older than the events that are read.
const NEAR: u64 = 2_000;
/// How much of a passage is given, in bytes.
const SNIPPET: usize = 700;
/// How much of it stands before the first word that was found, in bytes.
const BEFORE: usize = 160;

/// Something that was said and found.
#[derive(Clone, Debug)]
pub struct Said {
    /// The conversation.
    pub session: SessionId,
    /// The number of its event.
    pub n: u32,
    pub run: Option<RunId>,
    pub at: Timestamp,
    /// Who said it; none for the agent.
    pub by: Option<Actor>,
    /// The words around what was found.
    pub text: String,
    /// How well it fits, at most 1.
    pub score: f64,
}

/// What a search came to.
#[derive(Clone, Debug, Default)]
pub struct Searched {
    /// Best first.
    pub hits: Vec<Said>,
    /// Whether everything was looked through.
    pub complete: bool,
    /// Whether the index has looked through what is older: it has all that somebody finds among theirs.
    pub indexed: bool,
    /// The oldest moment that was looked at without the index.
    pub until: Option<Timestamp>,
}

impl Searched {
    /// What was not looked through, and before which moment; nothing when all was.
    #[must_use]
    pub fn unseen(&self) -> Option<(&'static str, Timestamp)> {
        let what = match self.indexed {
            true => "What sub-agents and programs said",
            false => "What was said",
        };
        self.until.filter(|_| !self.complete).map(|until| (what, until))
    }
}

/// What is searched.
pub struct ConversationSearch<'a> {
    pub agent: AgentId,
    /// Which conversations may be seen.
    pub may: &'a dyn Fn(&Session) -> bool,
    /// What is looked for.
    pub query: &'a Query,
    /// Nothing older.
    pub since: Option<Timestamp>,
    /// The most hits.
    pub most: usize,
    /// The most events that are read.
    pub events: u32,
    /// This moment.
    pub now: Timestamp,
}

/// Looks through the conversations of an agent. Blocking.
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
        // Of what is among nobody's nothing is in the index.
        let all = left.iter().all(|session| document::audience(session).is_some());
        searched.complete = searched.indexed && all;
    }
    searched.until = looking.until;
    searched.hits = looking.best(wish);
    Ok(searched)
}

/// Looks through the conversations with an agent that a person finds among theirs.
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
    /// Looks through one conversation from its end. Answers whether the budget reached.
    fn through(
        &mut self,
        tx: &dyn Read,
        wish: &ConversationSearch<'_>,
        session: &Session,
    ) -> Result<bool, StoreError> {
        // What it shares with another conversation is found there.
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
                self.look(event, wish);
            }
            self.left = self.left.saturating_sub(to - from);
            to = from;
            if self.left == 0 || MOST <= self.known.len() {
                return Ok(to == first && 0 < self.left);
            }
        }
        Ok(true)
    }

    /// Finds by the index what lies behind the budget, in these conversations. Answers whether there is an index that
    /// has it: the first question begins one.
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
        // What is newer than the index was read one by one, as long as that is not too much.
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
            // Whoever asks may see these conversations, whosever they are.
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
            self.known.iter().map(|(said, _)| (said.session, said.n)).collect();
        for hit in found.hits {
            let key = Found::named(&hit.key).and_then(|one| decode::<(SessionId, u32)>(&one.key));
            let Some(key) = key.filter(|key| seen.insert(*key)) else { continue };
            // As it is now: it may be gone.
            let Some(event) = tx.get::<SessionEvent>(key)? else { continue };
            let is_old = wish.since.is_some_and(|since| event.at < since);
            if !is_old && left.iter().any(|session| session.id == event.session) {
                self.look(event, wish);
            }
        }
        Ok(true)
    }

    fn look(&mut self, event: SessionEvent, wish: &ConversationSearch<'_>) {
        let Some((by, text)) = words(&event.kind) else { return };
        let days = wish.now.duration_since(event.at).as_secs() / 86_400;
        if self.ranking.look(&text, Some(days)).is_some() {
            let SessionEvent { session, n, run, at, .. } = event;
            self.known
                .push((Said { session, n, run, at, by, text: String::new(), score: 0.0 }, text));
        }
    }

    fn best(self, wish: &ConversationSearch<'_>) -> Vec<Said> {
        let best = self.ranking.best(wish.most).into_iter();
        best.map(|(at, score)| {
            let (said, whole) = &self.known[at];
            Said { text: around(whole, wish.query), score, ..said.clone() }
        })
        .collect()
    }
}

/// Whether an event of a sub-agent's conversation is a copy: it began with another one, where the same is
/// found.
fn is_copy(tx: &dyn Read, session: &Session, run: Option<RunId>) -> Result<bool, StoreError> {
    let Some(run) = run else { return Ok(false) };
    Ok(tx.get::<Run>(run)?.is_some_and(|run| run.session != session.id))
}

/// What an event says: a person's or HQ's message, or the agent's words.
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

/// The words around the first one that was found.
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

/// What was said in a conversation around an event: so many messages before and after it, in order.
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
