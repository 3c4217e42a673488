//! Server-sent events. [`PageStream`] is the single stream of a page. It names changed records without their content,
//! and carries live model output.
//!
//! ```text
//! id: <links>~<incarnation>.<seq>                a position, see [`Position`]
//! event: hq
//! data: {"t":[["tasks","<id>"],["inbox"]]}      no id: any record of the table
//!
//! event: hq-run      a piece of model output (`live::Piece`) of a run that the person may read
//! event: hq-resync   too many entries were missed: refetch every region
//! ```
//!
//! The first change is sent immediately; later ones are batched, with a longer delay in a long series. More than 64
//! ids of one table are replaced by the table. Three topics are not tables: `disk` (disk full or free again), `hosts`
//! (link of a host up or down) and `agent_files` (an agent's files changed, with the agent's id). A resumed stream
//! gets up to 1,000 missed entries. A stream ends with the process, with its sign-in, or after 30 minutes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
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
use store::{Cursor, DecodeError, Entry, Schema, StoreError};

/// Batching delay after the first, the second and each further message of a series. The short first delay lets two
/// unrelated changes appear without a noticeable wait.
const GATHER: [Duration; 3] =
    [Duration::from_millis(25), Duration::from_millis(50), Duration::from_millis(100)];
/// A message after a pause of this length starts a new series.
const REST: Duration = Duration::from_millis(250);
/// Interval of keep-alive comments. Some proxies close a connection after 10 s of silence.
pub const BEAT: Duration = Duration::from_secs(7);
/// Interval of the sign-in check without other activity.
pub const CHECK: Duration = Duration::from_secs(60);
/// Maximum lifetime of a stream. The page then opens a new one.
pub const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Maximum number of ids per table in a message.
const MAX_IDS: usize = 64;
/// Maximum number of missed entries that are replayed.
const MAX_MISSED: usize = 1_000;
/// Maximum number of cached permission decisions for runs.
const MAX_HEARD: usize = 256;
/// Table of memberships. A change can end a stream or change which runs it may carry.
const MEMBERS: &str = "members";
/// Tables of the system store that pages show: workspaces and accounts.
const OF_SYSTEM: [&str; 2] = ["workspaces", "accounts"];

/// Encodes one message.
#[must_use]
pub fn frame(event: &str, id: &str, data: &Value) -> Bytes {
    let id = if id.is_empty() { String::new() } else { format!("id: {id}\n") };
    Bytes::from(format!("{id}event: {event}\ndata: {data}\n\n"))
}

/// A comment that keeps the connection alive.
#[must_use]
pub fn beat() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// An empty message with an id, so that a client that is disconnected before the first message can resume.
#[must_use]
pub fn place(id: &str) -> Bytes {
    Bytes::from(format!("id: {id}\n\n"))
}

/// A streaming response.
pub fn respond(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures_util::StreamExt;
    let mut response = Response::new(Body::from_stream(frames.map(Ok::<_, Infallible>)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Changed records by table.
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
            // The end of a run commits its files, and their records are the steps of the run.
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

/// Times of sent messages.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    /// Number of preceding messages in the series.
    followed: usize,
}

impl Pace {
    /// Earliest time of the next message; `None` for immediately.
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

/// Takes a stream slot of this sign-in and of this workspace.
///
/// # Errors
/// When all slots are taken.
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
            let text = "too many live pages are open; close some and reload this one";
            Err(PageError(Failure::new(ProblemKind::Limited, "too_many_streams", text)))
        }
    }
}

/// Whether the viewer of a page may read a run's output. Called once per run, and again after a change of the
/// members.
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
    /// Cached permission decisions for active runs.
    heard_of: HashMap<RunId, bool>,
    entries: broadcast::Receiver<Arc<Entry>>,
    accounts: broadcast::Receiver<Arc<Entry>>,
    pieces: broadcast::Receiver<Arc<Piece>>,
    /// Changes of host links.
    moves: watch::Receiver<u64>,
    /// Last value of `moves` that the page knows.
    links: u64,
    cursor: Cursor,
    topics: Topics,
    queue: VecDeque<Bytes>,
    /// Time at which the batch may be sent.
    due: Option<Instant>,
    pace: Pace,
    checked: Instant,
    end: Instant,
    ended: bool,
    /// Last reported disk state: nearly full, and full.
    disk: (bool, bool),
    _places: Vec<Place>,
}

/// Topic for a changed disk state.
pub const DISK: &str = "disk";
/// Topic for a changed link of a host.
pub const HOSTS: &str = "hosts";
/// Topic for changed files of an agent, with the agent's id.
pub const AGENT_FILES: &str = "agent_files";

/// What a page shows. Written as `<links>~<incarnation>.<seq>` with `links` in hexadecimal.
pub struct Position {
    /// Last entry of the feed.
    pub cursor: Cursor,
    /// Count of link changes of hosts, which are not in the feed. If it is left out, changes since the page was
    /// rendered are not repeated.
    pub links: Option<u64>,
}

impl Position {
    /// The position of a page that is rendered from now on.
    #[must_use]
    pub fn now(ws: &Ws) -> Self {
        Self { cursor: ws.store.head(), links: Some(*ws.app.hosts.moves().borrow()) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(links) = self.links {
            write!(f, "{links:x}~")?;
        }
        self.cursor.fmt(f)
    }
}

impl FromStr for Position {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let (links, cursor) = match text.split_once('~') {
            Some((links, cursor)) => {
                (Some(u64::from_str_radix(links, 16).map_err(|_| DecodeError::Short)?), cursor)
            }
            None => (None, text),
        };
        Ok(Self { cursor: cursor.parse()?, links })
    }
}

impl PageStream {
    /// Opens a stream that starts after a position, or now.
    pub fn open(
        ws: Ws,
        (alive, hears): (Alive, Hears),
        after: Option<Position>,
        places: Vec<Place>,
    ) -> Result<Self, StoreError> {
        // Subscribe first, then read missed entries, so that no entry is lost.
        let entries = ws.store.subscribe();
        let head = ws.store.head();
        let now = Instant::now();
        let moves = ws.app.hosts.moves();
        let links = *moves.borrow();
        let known = after.as_ref().and_then(|after| after.links).unwrap_or(links);
        let mut stream = Self {
            entries,
            accounts: ws.app.system.subscribe(),
            pieces: ws.live.subscribe(),
            moves,
            links,
            cursor: after.map_or(head, |after| after.cursor),
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
        // The sign-in may have ended since the request was authorised.
        stream.check();
        if !stream.ended {
            if known != links {
                stream.topics.name(HOSTS, None);
            }
            stream.catch_up(head)?;
            for piece in stream.ws.live.blocks() {
                stream.push_piece(&piece);
            }
        }
        Ok(stream)
    }

    /// Converts to a stream of encoded messages.
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
        self.queue.push_back(frame("hq-resync", &self.position(), &json!({})));
    }

    fn take_in(&mut self, entry: &Entry) {
        if entry.seq <= self.cursor.seq {
            return;
        }
        self.cursor.seq = entry.seq;
        let store = self.ws.store.clone();
        self.topics.add(store.schema(), entry);
    }

    fn position(&self) -> String {
        Position { cursor: self.cursor, links: Some(self.links) }.to_string()
    }

    fn flush(&mut self) {
        self.due = None;
        if !self.topics.is_empty() {
            let data = self.topics.take();
            self.queue.push_back(frame("hq", &self.position(), &data));
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
                    self.links = *self.moves.borrow_and_update();
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

    /// Reports a changed disk state. A full disk blocks the writes that would otherwise trigger a message.
    fn look_at_disk(&mut self) {
        let now = disk(&self.ws);
        if now != std::mem::replace(&mut self.disk, now) {
            let data = json!({ "t": [[DISK]] });
            self.queue.push_back(frame("hq", &self.position(), &data));
        }
    }

    /// Processes a feed entry; `None` if the store is closed.
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
                // A missed entry may have ended the membership.
                self.check();
                let head = self.ws.store.head();
                self.resync(head);
            }
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }

    /// Sends the batch now, or schedules it for when the delay has passed.
    fn hand_out(&mut self) {
        match self.pace.next(Instant::now()) {
            Some(at) => self.due = Some(at),
            None => self.flush(),
        }
    }

    /// Processes an entry of the system store: the sign-in may have ended, or a workspace may have changed its state.
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
        // Without ids, because other accounts are private. Not batched, so that the message is sent even if the
        // stream ends now.
        let topics: Vec<_> = OF_SYSTEM.iter().filter(named).map(|name| json!([name])).collect();
        if !topics.is_empty() {
            let data = json!({ "t": topics });
            self.queue.push_back(frame("hq", &self.position(), &data));
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

    /// Delay until the next message, in milliseconds.
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
