//! What of a session a run's model is shown: the newest summary, and the events after it.

use std::collections::HashMap;

use crate::app::Ws;
use crate::features::runs::model::{CallStatus, Context, EventKind, Run, Session, SessionEvent};
use crate::features::runs::queries;
use crate::features::runs::rules::RunError;
use crate::kernel::{RunId, SessionId};
use crate::store::ReadExt;

use super::history::History;
use super::journal::{Journal, Seen};
use super::prune::Level;
use super::{EngineError, commit};

/// How many of a session's last events make the conversation.
const MAX_EVENTS: u32 = 2_000;
/// How many of the newest pictures a model is shown again.
const MAX_PICTURES: usize = 6;
/// A larger one is not read again, in bytes.
const MAX_PICTURE: u64 = 4 * 1024 * 1024;

/// What a model is shown.
pub(super) struct Shown {
    pub context: Context,
    /// What came before the events.
    pub summary: Option<String>,
    /// In order.
    pub events: Vec<SessionEvent>,
    /// What the run did before them.
    own: Vec<SessionEvent>,
    /// Whether the events begin anywhere.
    cut_off: bool,
    /// The numbers of the runs whose results are shortened.
    runs: HashMap<RunId, u32>,
}

impl Shown {
    /// Reads what the model of a run is shown.
    pub(super) fn read(
        tx: &impl ReadExt,
        session: SessionId,
        run: RunId,
    ) -> Result<Self, EngineError> {
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
        let events = queries::events(tx, id, from, u32::MAX)?;
        let mut runs = HashMap::new();
        for of in events.iter().filter(|event| event.n < context.trimmed).filter_map(|e| e.run) {
            if !runs.contains_key(&of) {
                runs.extend(tx.get::<Run>(of)?.map(|run| (of, run.number)));
            }
        }
        let cut_off = context.first_kept < from;
        Ok(Self { context, summary, events, own, cut_off, runs })
    }

    /// What is shown of an old result in place of it.
    fn short<'e>(&self, event: &'e SessionEvent) -> Option<(&'e str, CallStatus, String)> {
        let EventKind::ToolFinished { step, call_id, status, result, .. } = &event.kind else {
            return None;
        };
        let number = self.runs.get(&event.run?)?;
        let name = format!("result:{number}.{step}");
        let short = Level::of(&self.context, event.n).short(&name, result.head())?;
        Some((call_id, *status, short))
    }

    /// The same after a compaction that keeps the events from `first` on.
    pub(super) fn after(mut self, first: u32, summary: String) -> Self {
        self.events.retain(|event| first <= event.n);
        self.summary = Some(summary);
        self
    }

    /// The conversation as the model sees it.
    pub(super) fn history(&self, ws: &Ws) -> History {
        let mut history = History::guarded(ws.app.redactor.clone());
        if let Some(summary) = &self.summary {
            history.begin_with(summary);
        }
        let is_picture = |event: &&SessionEvent| matches!(event.kind, EventKind::Picture { .. });
        let pictures = self.events.iter().filter(is_picture).count();
        let mut old = pictures.saturating_sub(MAX_PICTURES);
        for event in &self.events {
            match self.short(event) {
                Some((call_id, status, text)) => history.result(call_id, status, &text),
                None => history.push(&event.kind),
            }
            if event.n < self.context.pruned_at {
                history.uncounted();
            }
            if let EventKind::Picture { media_type, id, .. } = &event.kind {
                let data = ws.blobs.get(*id, MAX_PICTURE).ok().filter(|_| old == 0);
                old = old.saturating_sub(1);
                match data {
                    Some(data) => history.picture(media_type.clone(), data),
                    None => history.without_picture(),
                }
            }
        }
        if self.cut_off {
            history.begin_clean();
        }
        history
    }

    /// The run's pen with the conversation so far.
    pub(super) fn journal(&self, ws: &Ws, run: &Run) -> Journal {
        let mut seen = Seen::default();
        let all = || self.own.iter().chain(&self.events);
        for event in all().filter(|event| event.run == Some(run.id)) {
            seen.push(&event.kind);
        }
        Journal {
            ws: ws.clone(),
            run: run.id,
            number: run.number,
            agent: run.agent,
            epoch: run.epoch,
            history: self.history(ws),
            steps: run.steps,
            worked_ms: run.worked_ms,
            since: ws.app.clock.now(),
            seen,
            paths: commit::noted(run, all()),
            unsure: false,
            effective: run.effective,
        }
    }
}
