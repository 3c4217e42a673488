//! Writer for a run that is being worked on. Opening the writer checks the epoch, which fences out older writers.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::runs::model::{
    Body, CallStatus, EventKind, Input, InputState, PAUSE, Run, Session, SessionEvent, Waiting,
};
use crate::runs::queries;
use kernel::text::ellipsis;
use kernel::{Event, InputId, Outcome, RunId, RunState, RunTrigger, Timestamp, WaitFor};
use store::{ReadExt, WriteTx};

use super::RunError;
use super::children;
use super::dropped::{close_unread, tell_overflowed};
use super::link;
use super::marks;
use super::queue::hand_over;
use super::taint;

pub struct RunWriter {
    pub run: Run,
    pub session: Session,
    /// Events appended so far, for the writer's own view of the conversation.
    pub appended: Vec<EventKind>,
    /// Total work time in milliseconds, as measured by the writer. Without it the time is computed from stored
    /// timestamps, which a clock jump falsifies.
    worked_ms: Option<i64>,
    /// Time at which a host wrote the event, before the primary received it.
    at: Option<Timestamp>,
}

/// Model options requested by messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asks {
    /// The latest requested model.
    pub model: Option<String>,
}

/// Parameters of a wait.
pub struct Pause {
    pub waits_for: WaitFor,
    /// One sentence.
    pub detail: String,
    /// Maximum cost of the next call in micro-dollars, for a wait on a budget.
    pub needs_micros: Option<i64>,
    /// Deadline of the wait.
    pub until: Option<Timestamp>,
}

impl RunWriter {
    /// Opens a run without checks.
    pub(super) fn of(run: Run, session: Session) -> Self {
        Self { run, session, appended: Vec::new(), worked_ms: None, at: None }
    }

    /// Sets the work time measured by the writer.
    #[must_use]
    pub fn measured(self, worked_ms: i64) -> Self {
        Self { worked_ms: Some(worked_ms), ..self }
    }

    /// Sets the time at which the host wrote the event, by its own clock.
    #[must_use]
    pub fn written_at(self, at: Option<Timestamp>) -> Self {
        Self { at, ..self }
    }

    /// Timestamp of appended events, clamped so that a wrong clock never breaks their order.
    fn moment(&self, now: Timestamp) -> Timestamp {
        self.at.map_or(now, |at| at.max(self.session.last_at).min(now))
    }

    /// Opens a run that this writer began with this epoch.
    ///
    /// # Errors
    /// `Fenced` if another writer has the session.
    pub fn open(tx: &WriteTx<'_>, run: RunId, epoch: u64) -> Result<Self, RunError> {
        let run = tx.get::<Run>(run)?.ok_or_else(|| RunError::NotFound(run.to_string()))?;
        let id = run.session;
        let session = tx.get::<Session>(id)?.ok_or(RunError::NoSession(id))?;
        let held = run.is_held() || link::is_waiting(&run);
        if session.epoch != epoch
            || session.active_run != Some(run.id)
            || !(held || run.state == RunState::Running)
        {
            return Err(RunError::Fenced);
        }
        let mut pen = Self::of(run, session);
        if held {
            (pen.run.state, pen.run.waiting) = (RunState::Running, None);
            pen.run.working_since = Some(tx.now());
        }
        Ok(pen)
    }

    /// Pauses the run before it retries its provider. Its task stays and opens the run again.
    pub fn hold(&mut self, tx: &WriteTx<'_>, until: Timestamp, detail: String) {
        self.rest(tx.now());
        self.run.state = RunState::Waiting;
        self.run.waiting = Some(Waiting {
            waits_for: WaitFor::Provider,
            since: tx.now(),
            detail,
            needs_micros: None,
            until: Some(until),
        });
    }

    /// Appends an event and updates the run's counters and the taint label.
    pub fn append(&mut self, tx: &mut WriteTx<'_>, kind: EventKind) -> Result<(), RunError> {
        match &kind {
            // A response that only repeats the call that crashed HQ is no progress.
            EventKind::Assistant { parts, .. }
                if 0 < self.run.crashes && !queries::has_calls(parts) =>
            {
                self.run.crashes = 0;
            }
            EventKind::CallStarted { .. } => self.run.calls += 1,
            EventKind::ToolFinished { status, .. } => {
                if !matches!(status, CallStatus::Unknown | CallStatus::Skipped) {
                    self.run.crashes = 0;
                }
                self.run.steps += 1;
            }
            _ => {}
        }
        if let EventKind::Assistant { parts, .. } = &kind {
            marks::answered(tx, &self.session, &self.run, parts)?;
        }
        taint::note(tx, self.session.id, &self.run, &kind)?;
        let at = self.moment(tx.now());
        let event = SessionEvent {
            session: self.session.id,
            n: self.session.events,
            run: Some(self.run.id),
            at,
            kind,
        };
        tx.put(&event)?;
        self.appended.push(event.kind);
        self.session.events += 1;
        self.session.last_at = at;
        Ok(())
    }

    pub fn save(self, tx: &mut WriteTx<'_>) -> Result<Run, RunError> {
        tx.put(&self.run)?;
        tx.put(&self.session)?;
        Ok(self.run)
    }

    /// Moves unread messages into the session. Returns the model options that they request.
    pub fn read_inputs(&mut self, tx: &mut WriteTx<'_>) -> Result<Option<Asks>, RunError> {
        children::release(tx, &self.run)?;
        self.tell_overflowed(tx)?;
        let heard = queries::queue::heard(tx, self.session.id, self.run.id)?;
        self.read(tx, heard)
    }

    /// Like [`Self::read_inputs`] for a writer on a host: reads only the messages that the host knew.
    pub fn read_known(
        &mut self,
        tx: &mut WriteTx<'_>,
        known: &[InputId],
    ) -> Result<Option<Asks>, RunError> {
        if !tx.schema().is_mirror() {
            children::release(tx, &self.run)?;
        }
        if self.at.is_none() && !tx.schema().is_mirror() {
            self.tell_overflowed(tx)?;
            let mut heard = queries::queue::heard(tx, self.session.id, self.run.id)?;
            heard.retain(|input| known.contains(&input.id));
            return self.read(tx, heard);
        }
        // The host's model has read these messages, whatever happened to them since.
        let mut read = Vec::new();
        for id in known {
            let input = tx.get::<Input>(*id)?.filter(|input| input.session == self.session.id);
            read.extend(input.filter(|input| !matches!(input.state, InputState::Consumed(_))));
        }
        self.read(tx, read)
    }

    fn tell_overflowed(&mut self, tx: &mut WriteTx<'_>) -> Result<(), RunError> {
        match tell_overflowed(tx, &self.run)? {
            Some(text) => self.append(tx, EventKind::Notice { text }),
            None => Ok(()),
        }
    }

    fn read(&mut self, tx: &mut WriteTx<'_>, heard: Vec<Input>) -> Result<Option<Asks>, RunError> {
        let mut asks = None;
        for mut input in heard {
            let steered = input.state == InputState::Accepted;
            if input.model.is_some() || input.thinking.is_some() || input.fast.is_some() {
                let before = asks.and_then(|asks: Asks| asks.model);
                asks = Some(Asks { model: input.model.clone().or(before) });
            }
            let text = Body::Inline(input.text.clone());
            self.append(
                tx,
                EventKind::Input { input: Some(input.id), text, by: input.by, steered },
            )?;
            if !input.attached.is_empty() {
                let files = input.attached.clone();
                self.append(tx, EventKind::Attached { input: input.id, files })?;
            }
            input.state = InputState::Consumed(self.run.id);
            tx.put(&input)?;
        }
        Ok(asks)
    }

    /// Closes the unanswered calls of the last response with `why`.
    pub fn close_calls(
        &mut self,
        tx: &mut WriteTx<'_>,
        status: CallStatus,
        why: &str,
    ) -> Result<(), RunError> {
        for call in queries::open_calls(tx, &self.run)? {
            let status = if call.started.is_some() { status } else { CallStatus::Skipped };
            let finished = EventKind::ToolFinished {
                step: self.run.steps + 1,
                call_id: call.id,
                name: call.name,
                status,
                result: Body::Inline(why.to_owned()),
                millis: 0,
                paths: Vec::new(),
                seq: None,
            };
            self.append(tx, finished)?;
        }
        Ok(())
    }

    /// Ends the current period of work and adds its duration.
    pub(super) fn rest(&mut self, now: Timestamp) {
        self.run.worked_ms = self.worked_ms.unwrap_or_else(|| self.run.worked(now));
        self.run.working_since = None;
    }

    /// Requeues the run, so that the next start of HQ resumes it.
    pub fn requeue(mut self, tx: &mut WriteTx<'_>) -> Result<Run, RunError> {
        self.rest(tx.now());
        self.run.state = RunState::Queued;
        self.save(tx)
    }

    /// Ends the run. Unread messages are handed to a new run in the same transaction.
    pub fn end(
        mut self,
        tx: &mut WriteTx<'_>,
        outcome: Outcome,
        summary: &str,
    ) -> Result<Run, RunError> {
        let (text, summary) = (summary, ellipsis(summary.trim(), 2_000));
        self.rest(tx.now());
        self.append(
            tx,
            EventKind::RunEnded { outcome: outcome.clone(), summary: summary.clone() },
        )?;
        let Self { mut run, mut session, .. } = self;
        run.state = RunState::Ended;
        run.waiting = None;
        run.ended_at = Some(tx.now());
        run.summary = summary;
        let word = outcome.word().to_owned();
        marks::ended(tx, &session, &outcome)?;
        run.outcome = Some(outcome);
        tx.put(&run)?;
        session.active_run = None;
        close_unread(tx, &run)?;
        hand_over(tx, &mut session)?;
        if run.trigger == RunTrigger::Child && session.active_run.is_none() {
            session.archived_at = Some(tx.now());
        }
        tx.put(&session)?;
        children::ended(tx, &run, text)?;
        tx.emit(Event::RunEnded {
            run: run.id,
            agent: run.agent,
            item: run.item,
            task: run.task,
            outcome: word,
        });
        Ok(run)
    }

    /// Gives the slot back until the awaited event happens.
    pub fn wait(mut self, tx: &mut WriteTx<'_>, pause: Pause) -> Result<Run, RunError> {
        let Pause { waits_for, detail, needs_micros, mut until } = pause;
        if waits_for == WaitFor::Provider {
            // A shorter wait would look like a pause during which the task is still there.
            let least = tx.now() + PAUSE + SignedDuration::from_millis(1);
            until = until.map(|until| until.max(least));
        }
        self.rest(tx.now());
        self.append(tx, EventKind::Waiting { waits_for, detail: detail.clone(), until })?;
        if waits_for.is_question() {
            marks::mark_spoken(tx, &self.session, None)?;
        }
        self.run.state = RunState::Waiting;
        self.run.waiting =
            Some(Waiting { waits_for, since: tx.now(), detail, needs_micros, until });
        if waits_for.needs_person() {
            tx.emit(Event::RunAsks { run: self.run.id, agent: self.run.agent, waits_for });
        }
        self.save(tx)
    }
}
