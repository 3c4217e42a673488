//! The writer of a run: every write of the engine for a run goes through here, fenced, with the run as actor.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use app::Ws;
use crypto::redact::Spot;
use features::runs::model::{Body, CallStatus, EventKind, FileMark};
use features::trust::model::CallRecord;
use kernel::text::head_tail;
use kernel::{Actor, AgentId, Cause, PermissionId, RunId, TypedId};
use parking_lot::Mutex;
use providers::model::Reply;
use serde::{Deserialize, Serialize};
use tool::{MAX_OUTPUT, Picture};

use super::EngineError;
use super::command::journal::Append;
use super::command::tool::Ready;
use super::command::{Applied, CommandHeader, Entry, First, Order};
use super::context;
use super::fetch_blobs;
use super::history::History;
use super::port::{Handed, Port};
use super::remote::link;
use super::run_slot::RunSlot;

/// Largest assistant message in a record, in bytes: well below the limit of a record and far above what a model writes.
const MAX_INLINE_PARTS: usize = 160 * 1024;

pub(super) struct Journal {
    pub ws: Ws,
    /// The run's slot, if a task works on it.
    pub seat: Option<RunSlot>,
    pub run: RunId,
    /// The run's number in the workspace.
    pub number: u32,
    pub agent: AgentId,
    /// The epoch with which the run was started.
    pub epoch: u64,
    /// The number of the run's last command.
    pub applied: u64,
    /// The conversation, updated with each appended event.
    pub history: History,
    /// Tool calls so far; also the number of the last step.
    pub steps: u32,
    /// Measures the run's working time.
    pub watch: Watch,
    /// The agent's files as the run last saw them.
    pub seen: Seen,
    /// Paths of the agent's files that changed since the last commit.
    pub paths: BTreeSet<String>,
    /// A program was cut off, so its changes are unknown.
    pub unsure: bool,
    /// The run has changed something in the workspace or in files.
    pub effective: bool,
    /// Permissions that decided the calls of the next command.
    pub decided: Vec<PermissionId>,
    /// Decisions on those calls. The record of an approval request is stored with the request.
    pub judged: Vec<CallRecord>,
    /// Bytes of results that were stored whole since this task took the run over.
    pub kept: AtomicU64,
}

/// Measures how long a run works by elapsed time, not by the clock. A clock change neither ends a run nor gives it more
/// time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// Working time up to `since`.
    worked: Duration,
    /// Start of the present working period; `None` during a pause.
    since: Option<Duration>,
}

impl Watch {
    /// For a run that has worked for `worked_ms` and continues now.
    pub(super) fn of(worked_ms: i64, now: Duration) -> Self {
        let worked = Duration::from_millis(u64::try_from(worked_ms).unwrap_or(0));
        Self { worked, since: Some(now) }
    }

    fn worked(&self, now: Duration) -> Duration {
        self.worked + self.since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    fn worked_ms(&self, now: Duration) -> i64 {
        i64::try_from(self.worked(now).as_millis()).unwrap_or(i64::MAX)
    }

    fn hold(&mut self, now: Duration) {
        *self = Self { worked: self.worked(now), since: None };
    }

    fn go_on(&mut self, now: Duration) {
        self.since.get_or_insert(now);
    }
}

/// Most bytes of full results stored per run, beside what its model reads.
const KEEPS: u64 = 256 * 1024 * 1024;
/// Bytes stored per result after that.
const KEEPS_THEN: usize = 64 * 1024;

/// Shortens a result if `before` bytes are stored already, so that a run with endless output does not fill the disk.
fn within(before: u64, result: String) -> String {
    match before + result.len() as u64 <= KEEPS || result.len() <= KEEPS_THEN {
        true => result,
        false => {
            let marker = "\n[… this run has stored 256 MB of results, the maximum; the rest of this one \
                 wasn't stored …]\n";
            head_tail(&result, KEEPS_THEN, marker)
        }
    }
}

impl Journal {
    /// Writes an entry and adds its events to the history.
    pub(super) async fn apply<E: Entry>(&mut self, entry: E) -> Result<E::Answer, EngineError> {
        self.apply_first(None, entry, None).await
    }

    /// The same, for a run that may have to be started first, and with the change of the entry's workspace tool.
    pub(super) async fn apply_first<E: Entry>(
        &mut self,
        first: Option<Box<First>>,
        entry: E,
        tool: Option<Ready>,
    ) -> Result<E::Answer, EngineError> {
        self.apply_handed(first, &handed(entry), tool).await
    }

    /// The same, but an entry that the fence rejects stays in `entry`.
    pub(super) async fn apply_handed<E: Entry>(
        &mut self,
        first: Option<Box<First>>,
        entry: &Handed<E>,
        tool: Option<Ready>,
    ) -> Result<E::Answer, EngineError> {
        let number = self.applied + 1;
        let (run, epoch, worked_ms) = (self.run, self.epoch, self.works());
        let (decided, judged) =
            (std::mem::take(&mut self.decided), std::mem::take(&mut self.judged));
        let hand =
            CommandHeader { run, epoch, worked_ms, number, first, decided, judged, cut: None };
        let noted = self.enter(hand, entry, tool).await?;
        let Applied { answer, epoch, appended } = noted;
        (self.epoch, self.applied) = (epoch, number);
        fetch_blobs::bring(&self.ws, fetch_blobs::shown(&appended)).await;
        self.take(&appended);
        Ok(answer)
    }

    /// Discards the decisions on calls that will be checked again or not be made.
    pub(super) fn unjudge(&mut self) {
        self.decided.clear();
        self.judged.clear();
    }

    /// Sends an entry and waits until it is written. If that takes long because the link is down, the run pauses and
    /// gives its slot back.
    async fn enter<E: Entry>(
        &mut self,
        hand: CommandHeader,
        entry: &Handed<E>,
        tool: Option<Ready>,
    ) -> Result<Applied<E::Answer>, EngineError> {
        let (by, ws) = ((self.actor(), self.cause()), self.ws.clone());
        // The future is large; without the box each caller on the stack would hold a copy.
        self.heard(Box::pin(ws.enter(by, hand, entry, tool))).await
    }

    /// Sends an order and waits for the link as an entry does.
    pub(super) async fn order<O: Order>(
        &mut self,
        by: (Actor, Cause),
        order: O,
    ) -> Result<O::Answer, O::Error> {
        let ws = self.ws.clone();
        self.heard(Box::pin(ws.order(by, order))).await
    }

    async fn heard<T>(&mut self, answer: impl Future<Output = T>) -> T {
        let Self { ws, seat, watch, run, .. } = self;
        let (ws, run) = (&*ws, *run);
        let (Some(up), Some(seat)) = (&ws.upstream, seat) else { return answer.await };
        let aside = async {
            watch.hold(ws.app.clock.passed());
            link::waits((ws, &**up), run).await;
        };
        let (noted, stood_aside) = seat.keep(&**up, answer, aside).await;
        if stood_aside {
            link::goes_on(ws, run).await;
            watch.go_on(ws.app.clock.passed());
        }
        noted
    }

    /// Marks the run as working, also after a pause. Returns the working time in milliseconds.
    pub(super) fn works(&mut self) -> i64 {
        let now = self.ws.app.clock.passed();
        self.watch.go_on(now);
        self.watch.worked_ms(now)
    }

    /// Pauses the working time until the next write.
    pub(super) fn pauses(&mut self) {
        self.watch.hold(self.ws.app.clock.passed());
    }

    /// The working time in milliseconds.
    pub(super) fn worked_ms(&self) -> i64 {
        self.watch.worked_ms(self.ws.app.clock.passed())
    }

    /// A new id that is valid here and on the primary.
    pub(super) fn new_id<T: TypedId>(&self) -> T {
        let app = &self.ws.app;
        T::from_uuid(app.ids.next(app.clock.now_ms()))
    }

    /// Appends events and nothing else.
    pub(super) async fn append(&mut self, events: Vec<EventKind>) -> Result<(), EngineError> {
        self.apply(Append { events }).await
    }

    /// Adds appended events to the conversation.
    fn take(&mut self, appended: &[EventKind]) {
        for kind in appended {
            self.history.push(kind);
            self.seen.push(kind);
            if let EventKind::ToolFinished { paths, .. } = kind {
                self.steps += 1;
                self.paths.extend(paths.iter().cloned());
            }
            if let EventKind::Attached { files, .. } = kind {
                context::attach(&mut self.history, (&self.ws, self.agent), files, &mut 0);
            }
            if let EventKind::Remembered { path, .. } = kind {
                self.paths.insert(path.clone());
            }
        }
    }

    pub(super) fn actor(&self) -> Actor {
        Actor::Agent { agent: self.agent, run: self.run }
    }

    pub(super) fn cause(&self) -> Cause {
        Cause::Step(self.run, self.steps + 1)
    }

    /// A tool's text as stored: secrets masked, inline up to 16 KiB. A longer one is stored whole in a blob, with at
    /// most `cap` bytes for the model.
    pub(super) async fn body(
        &self,
        step: u32,
        (text, whole): (String, Option<String>),
        cap: usize,
    ) -> Result<Body, EngineError> {
        let text = match self.ws.app.redactor.masked(Spot::Tools, &text) {
            Cow::Owned(clean) => clean,
            Cow::Borrowed(_) => text,
        };
        let whole =
            whole.map(|whole| self.ws.app.redactor.masked(Spot::Tools, &whole).into_owned());
        if text.len() <= cap.min(MAX_OUTPUT) && whole.is_none() {
            return Ok(Body::Inline(text));
        }
        let kept = whole.unwrap_or_else(|| text.clone());
        let before = self.kept.fetch_add(kept.len() as u64, Ordering::Relaxed);
        let kept = within(before, kept);
        let len = kept.len() as u64;
        let name = format!("result:{}.{step}", self.number);
        let marker =
            format!("\n[… {len} bytes in total; read or search the rest with path \"{name}\" …]\n");
        let head = match text.len() <= cap {
            true => text,
            false => head_tail(&text, cap.saturating_sub(marker.len() + 8), &marker),
        };
        let ws = self.ws.clone();
        let id = blocking(move || ws.blobs.put(kept.as_bytes())).await??;
        Ok(Body::Blob { id, len, head })
    }

    /// Counts a file that is to be stored with a result. Returns `false` if the run has stored too much.
    pub(super) fn may_store(&self, bytes: u64) -> bool {
        let before = self.kept.load(Ordering::Relaxed);
        let is_within = before + bytes <= KEEPS || bytes <= KEEPS_THEN as u64;
        if is_within {
            self.kept.fetch_add(bytes, Ordering::Relaxed);
        }
        is_within
    }

    /// Stores a picture and returns its event.
    pub(super) async fn picture(
        &self,
        call_id: &str,
        picture: &Picture,
    ) -> Result<EventKind, EngineError> {
        let (ws, data) = (self.ws.clone(), picture.data.clone());
        let len = data.len() as u64;
        let id = blocking(move || ws.blobs.put(&data)).await??;
        let (call_id, media_type) = (call_id.to_owned(), picture.media_type.clone());
        Ok(EventKind::Picture { call_id, media_type, id, len })
    }

    /// An assistant message as stored. Secrets that the model repeats are masked before they reach a tool or a summary.
    pub(super) fn parts(&self, reply: &mut Reply) -> Result<Body, Unkept> {
        let json = serde_json::to_string(&reply.parts).map_err(|_| Unkept::Unreadable)?;
        let json = match self.ws.app.redactor.text(&json) {
            Cow::Borrowed(_) => json,
            Cow::Owned(clean) => {
                reply.parts = serde_json::from_str(&clean).map_err(|_| Unkept::Unreadable)?;
                clean
            }
        };
        match json.len() {
            len if len > MAX_INLINE_PARTS => Err(Unkept::TooLong(len)),
            _ => Ok(Body::Inline(json)),
        }
    }
}

/// Why a response cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unkept {
    /// It has this many bytes.
    TooLong(usize),
    /// Masking a secret in it would break its JSON.
    Unreadable,
}

impl Unkept {
    /// A stable code.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::TooLong(_) => "answer_too_long",
            Self::Unreadable => "answer_unreadable",
        }
    }

    /// A description for people and for the model.
    pub(super) fn describe(self) -> String {
        match self {
            Self::TooLong(len) => format!(
                "the answer had {} KB, more than the limit of {} KB, so nothing in it was done",
                len / 1024,
                MAX_INLINE_PARTS / 1024
            ),
            Self::Unreadable => {
                "the answer contained a secret that couldn't be removed, so nothing in it was done"
                    .to_owned()
            }
        }
    }

    /// Advice for the model.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::TooLong(_) => "Write less at once: split a long file into several calls.",
            Self::Unreadable => "Answer again without the secret.",
        }
    }
}

/// The agent's files as a run last read or wrote them.
#[derive(Default)]
pub(super) struct Seen {
    files: Arc<BTreeMap<String, [u8; 32]>>,
    /// Files that the running call is about to write.
    begun: Vec<FileMark>,
}

impl Seen {
    /// Applies one event of the run.
    pub(super) fn push(&mut self, kind: &EventKind) {
        match kind {
            EventKind::ToolStarted { file, .. } => self.begun = file.iter().cloned().collect(),
            EventKind::FilesStarted { files, .. } => self.begun.clone_from(files),
            EventKind::ToolFinished { status, paths, .. } => {
                for mark in std::mem::take(&mut self.begun) {
                    if *status != CallStatus::Ok || !paths.contains(&mark.path) {
                        continue;
                    }
                    match mark.after {
                        Some(hash) => Arc::make_mut(&mut self.files).insert(mark.path, hash),
                        None => Arc::make_mut(&mut self.files).remove(&mark.path),
                    };
                }
            }
            EventKind::FilesSeen { files } => {
                let known = Arc::make_mut(&mut self.files);
                known.extend(files.iter().map(|file| (file.path.clone(), file.hash)));
            }
            _ => {}
        }
    }

    /// Hashes (SHA-256) by path.
    pub(super) fn files(&self) -> Arc<BTreeMap<String, [u8; 32]>> {
        Arc::clone(&self.files)
    }
}

/// Wraps an entry for its writer.
pub(super) fn handed<E>(entry: E) -> Handed<E> {
    Arc::new(Mutex::new(Some(entry)))
}

/// Runs a blocking function on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    app::blocking(body, |_| EngineError::Broken("a blocking task of a run panicked")).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{KEEPS, KEEPS_THEN, Watch, within};

    #[test]
    fn what_passes_while_a_run_pauses_does_not_count() {
        let at = Duration::from_secs;
        let mut watch = Watch::of(5_000, at(100));
        assert_eq!(watch.worked_ms(at(103)), 8_000);
        watch.hold(at(103));
        assert_eq!(watch.worked_ms(at(200)), 8_000);
        watch.go_on(at(200));
        watch.go_on(at(201));
        assert_eq!(watch.worked_ms(at(202)), 10_000);
        watch.hold(at(202));
        watch.hold(at(300));
        assert_eq!(watch.worked_ms(at(300)), 10_000);
    }

    #[test]
    fn a_run_keeps_so_much_as_a_whole_and_of_what_comes_then_a_part() {
        let large = "x".repeat(4 * KEEPS_THEN);
        assert_eq!(within(0, large.clone()), large);
        assert_eq!(within(KEEPS - large.len() as u64, large.clone()), large);
        let cut = within(KEEPS, large);
        assert!(
            cut.len() <= KEEPS_THEN + 200
                && cut.contains(
                    "has stored 256 \
            MB"
                ),
            "{}",
            cut.len()
        );
        assert_eq!(within(2 * KEEPS, "short".to_owned()), "short");
    }
}
