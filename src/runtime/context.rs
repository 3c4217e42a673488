//! The part of a session that a run's model reads: the newest summary and the events after it.

use std::collections::HashMap;
use std::sync::Arc;

use app::Ws;
use features::runs::model::{
    Attachment, CallStatus, Context, EventKind, MAX_ATTACHED_BYTES, Run, Session, SessionEvent,
};
use features::runs::queries;
use features::runs::rules::RunError;
use features::workspace::queries as workspace;
use kernel::{AgentId, RunId, SessionId};
use store::{Read, ReadExt};

use super::history::{History, People};
use super::journal::{Journal, Seen, Watch};
use super::prune::Level;
use super::tools::progress;
use super::{EngineError, commit, inbox};

/// Most recent events of a session that form the conversation.
const MAX_EVENTS: u32 = 2_000;
/// Most recent pictures and documents that are sent again.
const MAX_PICTURES: usize = 8;
/// Their total size, in bytes.
const MAX_PICTURE_BYTES: u64 = MAX_ATTACHED_BYTES;

/// Heading of the plan at the end of a summary.
pub(super) const PLAN: &str = "\n\n## The plan\n\n";

/// What a model reads of a session.
pub(super) struct Shown {
    pub context: Context,
    agent: AgentId,
    /// Instructions of an API client; they are part of the system prompt and never summarised.
    pub instructions: Option<String>,
    /// The summary of what precedes the events.
    pub summary: Option<String>,
    pub events: Vec<SessionEvent>,
    /// The run's own events before them.
    own: Vec<SessionEvent>,
    /// The events do not start at the beginning or at a summary.
    cut_off: bool,
    /// The numbers of the runs whose results are shortened.
    runs: HashMap<RunId, u32>,
    pub(super) people: Arc<People>,
}

impl Shown {
    /// Reads what the model of a run is shown.
    pub(super) fn read(tx: &dyn Read, session: SessionId, run: RunId) -> Result<Self, EngineError> {
        let id = session;
        let session = tx.get::<Session>(id)?.ok_or(RunError::NoSession(id))?;
        let run = tx.get::<Run>(run)?.ok_or_else(|| RunError::NotFound(run.to_string()))?;
        let context = queries::context(tx, id)?;
        let last = session.events.saturating_sub(MAX_EVENTS);
        let from = context.first_kept.max(last);
        let summary = match context.summary {
            Some(n) => queries::events(tx, id, n, n + 1)?.pop(),
            None => None,
        };
        let summary = summary.and_then(|event| match event.kind {
            EventKind::Compacted { summary, .. } => Some(summary),
            _ => None,
        });
        let own = match run.started_at.is_some() && run.first_event < from {
            true => queries::events(tx, id, run.first_event, from)?,
            false => Vec::new(),
        };
        let first = match queries::talk::is_throw_away(&session.key) {
            true => queries::events(tx, id, 0, 1)?.pop(),
            false => None,
        };
        let instructions = first.and_then(|event| event.instructions().map(str::to_owned));
        let mut events = queries::events(tx, id, from, u32::MAX)?;
        events.retain(|event| instructions.is_none() || 0 < event.n);
        let mut runs = HashMap::new();
        for of in events.iter().filter(|event| event.n < context.trimmed).filter_map(|e| e.run) {
            if !runs.contains_key(&of) {
                runs.extend(tx.get::<Run>(of)?.map(|run| (of, run.number)));
            }
        }
        let cut_off = context.first_kept < from;
        let members = workspace::members(tx)?.into_iter();
        let names = members.map(|member| (member.account, member.name)).collect();
        let people = Arc::new(People { owner: session.owner, names });
        let agent = session.agent;
        Ok(Self { context, agent, instructions, summary, events, own, cut_off, runs, people })
    }

    /// The newest unfinished plan, if the events from `first` on do not contain it.
    pub(super) fn plan_before(&self, first: u32) -> Option<&str> {
        let newest =
            self.own.iter().chain(&self.events).rev().find_map(|event| match &event.kind {
                EventKind::ToolFinished { name, status: CallStatus::Ok, result, .. }
                    if name == progress::NAME =>
                {
                    Some((event.n, result.head()))
                }
                _ => None,
            });
        match newest {
            Some((n, result)) if n < first => progress::open_plan(result),
            Some(_) => None,
            // It may be in the previous summary.
            None => self.summary.as_ref()?.split_once(PLAN).map(|(_, plan)| plan),
        }
    }

    /// The replacement of an old result.
    fn short<'e>(&self, event: &'e SessionEvent) -> Option<(&'e str, CallStatus, String)> {
        let EventKind::ToolFinished { step, call_id, status, result, .. } = &event.kind else {
            return None;
        };
        let number = self.runs.get(&event.run?)?;
        let name = format!("result:{number}.{step}");
        let short = Level::of(&self.context, event.n).short(&name, result.head())?;
        Some((call_id, *status, short))
    }

    /// The state after a compaction that keeps the events from `first` on.
    pub(super) fn after(mut self, first: u32, summary: String) -> Self {
        self.events.retain(|event| first <= event.n);
        self.summary = Some(summary);
        self
    }

    /// The conversation for the model.
    pub(super) fn history(&self, ws: &Ws) -> History {
        let mut history = History::guarded(ws.app.redactor.clone()).among(Arc::clone(&self.people));
        if let Some(summary) = &self.summary {
            history.begin_with(summary);
        }
        for event in &self.own {
            // The first shown event may be the response to the run's last call.
            if let EventKind::CallStarted { provider, model, .. } = &event.kind {
                history.was_asked(provider, model);
            }
        }
        let mut old = self.old_pictures();
        for event in &self.events {
            match self.short(event) {
                Some((call_id, status, text)) => history.result(call_id, status, &text),
                None => history.push(&event.kind),
            }
            if event.n < self.context.pruned_at {
                history.uncounted();
            }
            match &event.kind {
                EventKind::Picture { media_type, id, .. } => {
                    let shown = old == 0;
                    old = old.saturating_sub(1);
                    match shown.then(|| ws.blobs.get(*id, MAX_PICTURE_BYTES)) {
                        Some(Ok(data)) => history.picture(media_type.clone(), data),
                        _ => history.without_picture(),
                    }
                }
                EventKind::Attached { files, .. } => {
                    attach(&mut history, (ws, self.agent), files, &mut old);
                }
                _ => {}
            }
        }
        if self.cut_off {
            history.begin_clean();
        }
        history
    }

    /// Number of the oldest pictures and documents that are not sent again.
    fn old_pictures(&self) -> usize {
        let all = self.events.iter().rev().flat_map(|event| match &event.kind {
            EventKind::Picture { len, .. } => vec![*len],
            EventKind::Attached { files, .. } => {
                files.iter().rev().filter(|file| is_seen(file)).map(|file| file.len).collect()
            }
            _ => Vec::new(),
        });
        let (mut shown, mut bytes, mut old) = (0, 0_u64, 0);
        for len in all {
            bytes = bytes.saturating_add(len);
            if old == 0 && shown < MAX_PICTURES && bytes <= MAX_PICTURE_BYTES {
                shown += 1;
            } else {
                old += 1;
            }
        }
        old
    }

    /// The run's own events, in order.
    pub(super) fn of_run(&self, run: RunId) -> impl Iterator<Item = &SessionEvent> {
        let all = self.own.iter().chain(&self.events);
        all.filter(move |event| event.run == Some(run))
    }

    /// The run's writer with the conversation so far.
    pub(super) fn journal(&self, ws: &Ws, run: &Run) -> Journal {
        let mut seen = Seen::default();
        for event in self.of_run(run.id) {
            seen.push(&event.kind);
        }
        Journal {
            ws: ws.clone(),
            seat: None,
            run: run.id,
            number: run.number,
            agent: run.agent,
            epoch: run.epoch,
            applied: run.applied,
            history: self.history(ws),
            steps: run.steps,
            watch: Watch::of(run.worked_ms, ws.app.clock.passed()),
            seen,
            paths: commit::noted(run, self.of_run(run.id)),
            unsure: false,
            effective: run.effective,
            decided: Vec::new(),
            judged: Vec::new(),
            kept: std::sync::atomic::AtomicU64::new(0),
        }
    }
}

/// Returns `true` if a file is sent as a picture or document, not as text.
fn is_seen(file: &Attachment) -> bool {
    file.is_picture() || file.is_document()
}

/// Adds the files of a message. The first `old` pictures and documents are only mentioned.
pub(super) fn attach(
    history: &mut History,
    (ws, agent): (&Ws, AgentId),
    files: &[Attachment],
    old: &mut usize,
) {
    inbox::lay(ws, agent, files);
    for file in files {
        let shown = !is_seen(file) || *old == 0;
        if is_seen(file) {
            *old = old.saturating_sub(1);
        }
        // ok: a missing file is mentioned instead.
        let data = shown.then(|| ws.blobs.get(file.blob, MAX_PICTURE_BYTES).ok()).flatten();
        history.attach(file, data);
    }
    history.places(files.iter().filter(|file| is_seen(file)));
}
