//! Event streams. [`PageStream`] is the one stream of a page: it names what changed, never what it
//! says, and carries running text.
//!
//! ```text
//! id: <incarnation>.<seq>
//! event: hq
//! data: {"t":[["tasks","<id>"],["inbox"]]}      no id: anything in the table
//!
//! event: hq-run      a piece of running text, as `live::Piece`, of runs that the person may see
//! event: hq-resync   too much was missed: fetch every region again
//! ```
//!
//! The first change goes out at once, further ones are gathered, the longer the more follow each other; more
//! than 64 ids of one table become the table. A disk that fills up, or has room again, is told as a change of `disk`,
//! a machine whose link comes or goes as one of `hosts`, and files of an agent that changed as one of `agent_files`, with the
//! agent's id; none of them is a table.
//! A stream that resumes is told what changed meanwhile, up to 1,000 entries.
//! It ends with the program, with the sign-in that opened it, or after half an hour.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::Response;
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::{Failure, PageError};
use crate::session::{Alive, Person};
use app::Ws;
use app::limits::Place;
use app::live::Piece;
use kernel::{Event, ProblemKind, RunId, Via};
use store::{Cursor, Entry, Schema, StoreError};

/// How long changes are gathered after the first message, after the second and after each further one of those
/// that follow each other. Two changes that meet by chance are both seen at once.
const GATHER: [Duration; 3] =
    [Duration::from_millis(25), Duration::from_millis(50), Duration::from_millis(100)];
/// After so long without one the next message is a first one.
const REST: Duration = Duration::from_millis(250);
/// A comment keeps the connection open through what lies between; some proxies cut a quiet one after 10 s.
pub const BEAT: Duration = Duration::from_secs(7);
/// How often the sign-in is looked at although nothing happened.
pub const CHECK: Duration = Duration::from_secs(60);
/// A stream ends after so long; the page opens another.
pub const LONGEST: Duration = Duration::from_secs(30 * 60);
/// How many ids of one table are named.
const MAX_IDS: usize = 64;
/// How many missed entries are told.
const MAX_MISSED: usize = 1_000;
/// Of how many runs it is remembered whether they may be heard.
const MAX_HEARD: usize = 256;
/// What a page learns of people by: a change of it may end a stream, and what may be heard on it.
const MEMBERS: &str = "members";
/// What pages show of the system's store: the list of workspaces, and who can sign in.
const OF_SYSTEM: [&str; 2] = ["workspaces", "accounts"];

/// One message as it goes over the wire.
#[must_use]
pub fn frame(event: &str, id: &str, data: &Value) -> Bytes {
    let id = if id.is_empty() { String::new() } else { format!("id: {id}\n") };
    Bytes::from(format!("{id}event: {event}\ndata: {data}\n\n"))
}

/// A comment: nothing to hear, but the connection lives.
#[must_use]
pub fn beat() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// Nothing to hear, but where the stream is: a client that is cut off before the first message can
/// go on from there.
#[must_use]
pub fn place(id: &str) -> Bytes {
    Bytes::from(format!("id: {id}\n\n"))
}

/// An answer that goes on for as long as the stream does.
pub fn respond(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures_util::StreamExt;
    let mut response = Response::new(Body::from_stream(frames.map(Ok::<_, Infallible>)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// What changed, by table.
#[derive(Debug, Default)]
struct Topics(BTreeMap<&'static str, Named>);

#[derive(Debug)]
enum Named {
    Ids(BTreeSet<String>),
    All,
}

impl Topics {
    fn add(&mut self, schema: &Schema, entry: &Entry) {
        let changes = entry.changes.iter().map(|change| (change.table, change.key.as_slice()));
        let roots = entry.roots.iter().map(|root| (root.table, root.key.as_slice()));
        for (table, key) in changes.chain(roots) {
            let Some(info) = schema.table(table) else { continue };
            self.name(info.name, info.ops.as_ref().and_then(|ops| (ops.key_text)(key)));
        }
        for event in &entry.events {
            // A run that ends has committed its files; their records are its steps.
            if let Event::AgentFilesChanged { agent, .. } | Event::RunEnded { agent, .. } = event {
                self.name(AGENT_FILES, Some(agent.to_string()));
            }
        }
    }

    fn name(&mut self, table: &'static str, id: Option<String>) {
        let named = self.0.entry(table).or_insert_with(|| Named::Ids(BTreeSet::new()));
        match (&mut *named, id) {
            (Named::Ids(ids), Some(id)) => {
                ids.insert(id);
                if MAX_IDS < ids.len() {
                    *named = Named::All;
                }
            }
            (_, _) => *named = Named::All,
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self) -> Value {
        let mut all = Vec::new();
        for (table, named) in std::mem::take(&mut self.0) {
            match named {
                Named::All => all.push(json!([table])),
                Named::Ids(ids) => all.extend(ids.into_iter().map(|id| json!([table, id]))),
            }
        }
        json!({ "t": all })
    }
}

/// When messages went out.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    /// How many of those before it each followed another.
    followed: usize,
}

impl Pace {
    /// When the next may go out; none when it may do so at once.
    fn next(&self, now: Instant) -> Option<Instant> {
        let gather = GATHER[self.followed.min(GATHER.len() - 1)];
        self.last.map(|at| at + gather).filter(|at| now < *at)
    }

    fn sent(&mut self, now: Instant) {
        let follows = self.last.is_some_and(|at| now < at + REST);
        self.followed = if follows { self.followed + 1 } else { 0 };
        self.last = Some(now);
    }
}

/// A place among the streams of this sign-in and of this workspace.
///
/// # Errors
/// When all are taken.
pub fn places(ws: &Ws, who: &Person) -> Result<Vec<Place>, PageError> {
    let limits = &ws.app.config.limits;
    let key = match who.via {
        Via::SignIn(id) => id.to_string(),
        Via::Token(id) => id.to_string(),
        _ => who.account.to_string(),
    };
    let own = ws.app.limiter.place("streams", &key, limits.streams_per_sign_in);
    let all = ws.app.limiter.place("streams", &ws.slug, limits.streams_per_workspace);
    match (own, all) {
        (Some(own), Some(all)) => Ok(vec![own, all]),
        _ => {
            let text = "too many live pages are open; close some and load this one again";
            Err(PageError(Failure::new(ProblemKind::Limited, "too_many_streams", text)))
        }
    }
}

/// Whether who looks at a page may read what a run writes. Asked once for each run, and anew when
/// something about the members has changed.
pub struct Hears(pub Box<dyn Fn(RunId) -> bool + Send>);

/// Whether the disk is nearly full, and full.
fn disk(ws: &Ws) -> (bool, bool) {
    ws.store.room().map_or((false, false), |room| (room.is_low(), room.is_full()))
}

/// The stream of one page.
pub struct PageStream {
    ws: Ws,
    alive: Alive,
    hears: Hears,
    /// What was answered for the runs that write now.
    heard_of: HashMap<RunId, bool>,
    entries: broadcast::Receiver<Arc<Entry>>,
    accounts: broadcast::Receiver<Arc<Entry>>,
    pieces: broadcast::Receiver<Arc<Piece>>,
    /// Links of other machines that come and go.
    moves: watch::Receiver<u64>,
    cursor: Cursor,
    topics: Topics,
    queue: VecDeque<Bytes>,
    /// When what was gathered may go out.
    due: Option<Instant>,
    pace: Pace,
    checked: Instant,
    end: Instant,
    ended: bool,
    /// Whether the disk is nearly full, and full, as the page knows it.
    disk: (bool, bool),
    _places: Vec<Place>,
}

/// What is named when the disk fills up or has room again.
pub const DISK: &str = "disk";
/// What is named when the link of another machine comes or goes.
pub const HOSTS: &str = "hosts";
/// What is named, with the agent's id, when files of an agent have changed.
pub const AGENT_FILES: &str = "agent_files";

impl PageStream {
    /// Begins after a place in the feed; without one, now.
    pub fn open(
        ws: Ws,
        (alive, hears): (Alive, Hears),
        after: Option<Cursor>,
        places: Vec<Place>,
    ) -> Result<Self, StoreError> {
        // Listen first, look back second: nothing falls between.
        let entries = ws.store.subscribe();
        let head = ws.store.head();
        let now = Instant::now();
        let mut stream = Self {
            entries,
            accounts: ws.app.system.subscribe(),
            pieces: ws.live.subscribe(),
            moves: ws.app.hosts.moves(),
            cursor: after.unwrap_or(head),
            topics: Topics::default(),
            queue: VecDeque::from([beat()]),
            due: None,
            pace: Pace::default(),
            checked: now,
            end: now + LONGEST,
            ended: false,
            disk: disk(&ws),
            _places: places,
            heard_of: HashMap::new(),
            hears,
            alive,
            ws,
        };
        // What ended since the request was let in.
        stream.check();
        if !stream.ended {
            stream.catch_up(head)?;
            for piece in stream.ws.live.blocks() {
                stream.push_piece(&piece);
            }
        }
        Ok(stream)
    }

    /// As a stream of messages.
    pub fn frames(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut this| async move {
            let frame = this.next().await?;
            Some((frame, this))
        })
    }

    fn catch_up(&mut self, head: Cursor) -> Result<(), StoreError> {
        if !self.ws.store.knows(self.cursor)? {
            self.resync(head);
            return Ok(());
        }
        let missed = self.ws.store.entries_after(self.cursor.seq, MAX_MISSED + 1)?;
        if MAX_MISSED < missed.len() {
            self.resync(head);
            return Ok(());
        }
        for entry in missed {
            self.take_in(&entry);
        }
        self.flush();
        Ok(())
    }

    fn resync(&mut self, head: Cursor) {
        self.cursor = head;
        self.topics = Topics::default();
        self.due = None;
        self.queue.push_back(frame("hq-resync", &head.to_string(), &json!({})));
    }

    fn take_in(&mut self, entry: &Entry) {
        if entry.seq <= self.cursor.seq {
            return;
        }
        self.cursor.seq = entry.seq;
        let store = self.ws.store.clone();
        self.topics.add(store.schema(), entry);
    }

    fn flush(&mut self) {
        self.due = None;
        if !self.topics.is_empty() {
            let data = self.topics.take();
            self.queue.push_back(frame("hq", &self.cursor.to_string(), &data));
            self.pace.sent(Instant::now());
        }
    }

    fn push_piece(&mut self, piece: &Piece) {
        if MAX_HEARD < self.heard_of.len() {
            self.heard_of.clear();
        }
        let hears = &self.hears;
        let may = *self.heard_of.entry(piece.run).or_insert_with(|| (hears.0)(piece.run));
        if may && let Ok(data) = serde_json::to_value(piece) {
            self.queue.push_back(frame("hq-run", "", &data));
        }
    }

    fn check(&mut self) {
        self.checked = Instant::now();
        self.heard_of.clear();
        self.ended |= !(self.alive.0)();
    }

    async fn next(&mut self) -> Option<Bytes> {
        let stopping = self.ws.app.stopping.clone();
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            let due = self.due.unwrap_or(self.end);
            let beat_at = Instant::now() + BEAT;
            tokio::select! {
                biased;
                () = stopping.cancelled() => return None,
                entry = self.entries.recv() => self.heard(entry)?,
                account = self.accounts.recv() => self.heard_of_accounts(&account),
                piece = self.pieces.recv() => self.written(piece)?,
                Ok(()) = self.moves.changed() => {
                    self.topics.name(HOSTS, None);
                    self.hand_out();
                }
                () = tokio::time::sleep_until(due) => {
                    if self.end <= Instant::now() {
                        return None;
                    }
                    self.flush();
                }
                () = tokio::time::sleep_until(beat_at) => {
                    if self.checked + CHECK <= Instant::now() {
                        self.check();
                    }
                    self.look_at_disk();
                    self.queue.push_back(beat());
                }
            }
        }
    }

    /// Says when the disk fills up or has room again: nothing is written then that would.
    fn look_at_disk(&mut self) {
        let now = disk(&self.ws);
        if now != std::mem::replace(&mut self.disk, now) {
            let data = json!({ "t": [[DISK]] });
            self.queue.push_back(frame("hq", &self.cursor.to_string(), &data));
        }
    }

    /// Takes in an entry; none when the store is closed.
    fn heard(&mut self, entry: Result<Arc<Entry>, RecvError>) -> Option<()> {
        match entry {
            Ok(entry) => {
                self.take_in(&entry);
                if self.topics.0.contains_key(MEMBERS) {
                    self.check();
                }
                if !self.ended {
                    self.hand_out();
                }
            }
            Err(RecvError::Lagged(_)) => {
                // The membership may have ended among what was missed.
                self.check();
                let head = self.ws.store.head();
                self.resync(head);
            }
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }

    /// Sends what was gathered, now or as soon as the last message is old enough.
    fn hand_out(&mut self) {
        match self.pace.next(Instant::now()) {
            Some(at) => self.due = Some(at),
            None => self.flush(),
        }
    }

    /// Accounts changed: the sign-in may be over, a workspace may have another standing.
    fn heard_of_accounts(&mut self, entry: &Result<Arc<Entry>, RecvError>) {
        if matches!(entry, Err(RecvError::Closed)) {
            return;
        }
        self.check();
        let system = self.ws.app.system.schema();
        let has = |entry: &Entry, name: &str| {
            let mut tables = entry.changes.iter().filter_map(|one| system.table(one.table));
            tables.any(|info| info.name == name)
        };
        let named = |name: &&&str| entry.as_ref().map_or(true, |entry| has(entry, name));
        // Which one is told to nobody: others may have nothing to do with it. Not gathered with the
        // rest, so that it is heard also where this ends the stream.
        let told: Vec<_> = OF_SYSTEM.iter().filter(named).map(|name| json!([name])).collect();
        if !told.is_empty() {
            let data = json!({ "t": told });
            self.queue.push_back(frame("hq", &self.cursor.to_string(), &data));
        }
    }

    fn written(&mut self, piece: Result<Arc<Piece>, RecvError>) -> Option<()> {
        match piece {
            Ok(piece) => self.push_piece(&piece),
            Err(RecvError::Lagged(_)) => {
                for piece in self.ws.live.blocks() {
                    self.push_piece(&piece);
                }
            }
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Pace;

    /// How long after the last message the next may go out.
    fn gap(pace: &Pace, now: Instant) -> u128 {
        pace.next(now).map_or(0, |at| at.duration_since(now).as_millis())
    }

    #[test]
    fn changes_are_gathered_the_longer_the_more_follow_each_other() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        assert_eq!(gap(&pace, now), 0, "the first goes out at once");
        for wanted in [25, 50, 100, 100] {
            pace.sent(now);
            assert_eq!(gap(&pace, now), wanted);
            now = pace.next(now).expect("a moment");
            assert_eq!(gap(&pace, now), 0, "it is there");
        }
        now += Duration::from_millis(250);
        pace.sent(now);
        assert_eq!(gap(&pace, now), 25, "after a rest it begins anew");
    }
}
