//! The loop of one run: model call, tool calls, model call, … until it ends.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::app::Ws;
use crate::features::agents::model::Agent;
use crate::features::connections::queries::{self as connections, Asked};
use crate::features::inbox::model::Item;
use crate::features::runs::model::{Body, EventKind, Run, Session};
use crate::features::runs::queries as runs;
use crate::features::runs::rules::{self, Pen, RunError};
use crate::features::tasks::model::Task;
use crate::features::usage::queries::Budget;
use crate::features::usage::rules::{self as money, Admitted, UsageError};
use crate::kernel::{
    Actor, Cause, Outcome, Part, RunId, RunState, RunTrigger, SessionId, Timestamp, WaitFor,
};
use crate::providers::bound::Size;
use crate::providers::error::ErrorClass;
use crate::providers::model::{SystemPart, ToolDef};
use crate::store::{ReadExt, WriteTx};

use super::chosen::{self, Chosen};
use super::history::History;
use super::journal::{Journal, blocking, save};
use super::model_call::{Answer, Called, Question};
use super::{Engine, EngineError, card, commit, prompt, resume, toolbox};

/// The most model calls of a run.
const MAX_CALLS: u32 = 200;
/// The most tool calls of a run.
const MAX_STEPS: u32 = 400;
/// The longest that a run works.
const MAX_TIME: SignedDuration = SignedDuration::from_hours(2);
/// The longest that one answer may take.
pub(super) const MAX_CALL: Duration = Duration::from_mins(10);
/// How often the same call with the same arguments may come in a row.
const MAX_REPEATS: u32 = 8;
/// How many of a session's last events make the conversation.
const MAX_EVENTS: usize = 2_000;

const REMINDER: &str = "You ended without saying what became of the work. Call work_done, work_fail or work_snooze now.";

/// A run at work.
pub(super) struct Turn {
    pub engine: Engine,
    pub journal: Journal,
    pub agent: Agent,
    pub session: SessionId,
    pub trigger: RunTrigger,
    pub item: Option<Item>,
    pub run: Run,
    pub chosen: Chosen,
    pub system: Vec<SystemPart>,
    pub tools: Vec<ToolDef>,
    pub cancel: CancellationToken,
    /// Whether the run was begun by this task.
    pub begun: bool,
    /// Failed calls in a row.
    pub failures: u32,
    /// The last call's name and arguments, and how often it came in a row.
    pub repeated: (String, u32),
    /// Set when the next call is the last one, with the limit that was reached.
    pub wrap_up: Option<String>,
    /// Whether the conversation was shortened for a model that could not take it.
    pub shortened: bool,
}

/// What the first transaction of a call came to.
enum Begun {
    Admitted(u32, Box<Admitted>),
    Parked,
    Ended,
}

/// Works on a run until it ends, waits or is taken away.
pub(super) async fn drive(engine: Engine, ws: Ws, run: RunId, cancel: CancellationToken) {
    let work = AssertUnwindSafe(work(&engine, &ws, run, cancel)).catch_unwind().await;
    ws.live.finish(run);
    let (code, reason) = match work {
        Ok(Ok(())) => return,
        Ok(Err(error)) if error.is_fenced() => {
            tracing::debug!(run.id = %run, "run {run} was taken away");
            return;
        }
        Ok(Err(error)) => {
            tracing::warn!(run.id = %run, %error, "run {run} failed");
            (error.word(), error.to_string())
        }
        Err(_) => ("internal", "a bug in HQ ended this run; the log has the details".to_owned()),
    };
    let outcome = Outcome::Failed { code: code.to_owned(), reason };
    let (actor, cause) = (Actor::System(Part::Engine), Cause::Timer);
    let ended = ws
        .store
        .write(actor, cause, move |tx| rules::force_end(tx, run, outcome, "").map(|_| ()))
        .await;
    if let Err(error) = ended {
        tracing::error!(run.id = %run, %error, "the end of run {run} could not be written");
    }
}

async fn work(
    engine: &Engine,
    ws: &Ws,
    run: RunId,
    cancel: CancellationToken,
) -> Result<(), EngineError> {
    let mut turn = Turn::load(engine, ws, run, cancel).await?;
    if turn.run.attempt > 0 {
        resume::settle(&mut turn).await?;
    }
    while turn.step().await? {}
    Ok(())
}

impl Turn {
    /// Reads everything that the run needs.
    async fn load(
        engine: &Engine,
        ws: &Ws,
        id: RunId,
        cancel: CancellationToken,
    ) -> Result<Self, EngineError> {
        let loaded = ws.read(|snap| {
            let run = snap.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
            let session =
                snap.get::<Session>(run.session)?.ok_or(RunError::NoSession(run.session))?;
            let agent = snap.get::<Agent>(run.agent)?.ok_or(RunError::NoAgent(run.agent))?;
            let item = match run.item {
                Some(item) => snap.get::<Item>(item)?,
                None => None,
            };
            let task = match run.task {
                Some(task) => snap.get::<Task>(task)?,
                None => None,
            };
            let asked = runs::open_inputs(snap, session.id)?.into_iter().find_map(|i| i.model);
            let asked = Asked { message: asked.as_deref(), task: task.as_ref(), agent: &agent };
            let choice = connections::resolve(snap, asked)?;
            let events = runs::last_events(snap, session.id, MAX_EVENTS)?;
            Ok::<_, EngineError>((run, session, agent, item, choice, events))
        })?;
        let (run, session, agent, item, choice, events) = loaded;
        let chosen = chosen::connect(ws, choice)?;
        let mut history = History::default();
        let mut paths = Vec::new();
        for event in &events {
            history.push(&event.kind);
            match &event.kind {
                EventKind::ToolFinished { paths: changed, .. } if event.run == Some(id) => {
                    paths.extend(changed.iter().cloned());
                }
                EventKind::Committed { .. } => paths.clear(),
                _ => {}
            }
        }
        let known = &chosen.known;
        let room = u64::from(known.window.saturating_sub(known.max_output / 2)).max(4_096) * 2;
        history.cut_to(usize::try_from(room).unwrap_or(usize::MAX));
        let facts = prompt::Facts::read(ws, agent.clone(), run.trigger)?;
        let folder = ws.agent_folder(&agent.slug);
        let system = blocking(move || prompt::system(&facts, &folder)).await?;
        let tools = toolbox::offered(engine, &agent, run.trigger, &session.loaded_tools);
        let journal = Journal {
            ws: ws.clone(),
            run: id,
            agent: agent.id,
            epoch: run.epoch,
            history,
            steps: run.steps,
            paths,
            effective: run.effective,
        };
        Ok(Self {
            engine: engine.clone(),
            journal,
            session: session.id,
            trigger: run.trigger,
            agent,
            item,
            run,
            chosen,
            system,
            tools,
            cancel,
            begun: false,
            failures: 0,
            repeated: (String::new(), 0),
            wrap_up: None,
            shortened: false,
        })
    }

    /// One model call and what follows from it. Answers whether the run goes on.
    async fn step(&mut self) -> Result<bool, EngineError> {
        if self.cancel.is_cancelled() && self.begun {
            return self.stopped().await;
        }
        let (call, admitted) = match self.begin_call().await? {
            Begun::Admitted(call, admitted) => (call, admitted),
            Begun::Parked | Begun::Ended => return Ok(false),
        };
        let wrap_up = self.wrap_up.is_some();
        match self.call(call, *admitted, wrap_up).await? {
            Called::Answered(answer) => {
                self.failures = 0;
                self.answered(*answer).await
            }
            Called::Stopped => self.stopped().await,
            Called::Retry(at) => {
                let pause = at.duration_since(self.journal.ws.app.clock.now());
                let pause = Duration::try_from(pause).unwrap_or_default();
                tokio::select! {
                    () = tokio::time::sleep(pause) => Ok(true),
                    () = self.cancel.cancelled() => self.stopped().await,
                }
            }
            Called::Failed(error)
                if error.class == ErrorClass::ContextTooLong && !self.shortened =>
            {
                self.shortened = true;
                let half = self.journal.history.bytes() / 2;
                self.journal.history.cut_to(half);
                Ok(true)
            }
            Called::Failed(error) => {
                let reason = format!("{} {}", error.class.advice(), error.message);
                let code = error.class.word().to_owned();
                self.end(Outcome::Failed { code, reason }, "").await
            }
        }
    }

    /// The transaction before a call: begins the run if need be, reads what was said, reserves the
    /// money, notes the call.
    async fn begin_call(&mut self) -> Result<Begun, EngineError> {
        self.check_limits();
        let request = self.request(self.wrap_up.is_some());
        let question = Question {
            chosen: self.chosen.clone(),
            size: Size::of(&request),
            max_output: self.agent.max_output,
            wrap_up: self.wrap_up.is_some(),
        };
        let first = (!self.begun).then(|| FirstEvents {
            item: self.item.clone().filter(|_| self.run.attempt == 0),
            chosen: self.chosen.clone(),
            request_bytes: u32::try_from(question.size.bytes).unwrap_or(u32::MAX),
        });
        let notice = self.wrap_up.as_ref().map(|which| {
            format!("You have reached this run's limit ({which}). Say in a few lines what is done and what is left. No tools can be used any more.")
        });
        let (run, epoch, begun) = (self.journal.run, self.journal.epoch, self.begun);
        let (actor, cause) = (self.journal.actor(), self.journal.cause());
        let written = self.journal.ws.store.write(actor, cause, move |tx| {
            let mut pen = match first {
                Some(first) => first.write(tx, run)?,
                None => Pen::open(tx, run, epoch)?,
            };
            debug_assert!(begun || pen.run.attempt > 0);
            pen.read_inputs(tx)?;
            if let Some(text) = notice {
                pen.append(tx, EventKind::Notice { text })?;
            }
            let epoch = pen.run.epoch;
            match question.ask(tx, &mut pen) {
                Ok((call, admitted)) => {
                    let appended = save(tx, pen)?;
                    Ok((Begun::Admitted(call, Box::new(admitted)), appended, epoch))
                }
                Err(EngineError::Usage(refusal @ UsageError::OverBudget { .. })) => {
                    let (begun, appended) = over_budget(tx, pen, &refusal)?;
                    Ok((begun, appended, epoch))
                }
                Err(error) => Err(error),
            }
        });
        let (begun, appended, epoch): (Begun, Vec<EventKind>, u64) = written.await?;
        self.journal.epoch = epoch;
        self.begun = true;
        self.journal.take(&appended);
        Ok(begun)
    }

    fn check_limits(&mut self) {
        if self.wrap_up.is_some() {
            return;
        }
        let now = self.journal.ws.app.clock.now();
        let began = self.run.started_at.unwrap_or(now);
        let calls = self.run.calls;
        self.wrap_up = if calls >= MAX_CALLS {
            Some("calls".to_owned())
        } else if self.journal.steps >= MAX_STEPS {
            Some("tools".to_owned())
        } else if now.duration_since(began) > MAX_TIME {
            Some("time".to_owned())
        } else if self.repeated.1 >= MAX_REPEATS {
            Some("loop".to_owned())
        } else {
            None
        };
        self.run.calls += 1;
        self.run.started_at = Some(began);
    }

    /// Writes an answer down and does what it asks for.
    async fn answered(&mut self, answer: Answer) -> Result<bool, EngineError> {
        let json = serde_json::to_string(&answer.reply.parts)
            .map_err(|_| EngineError::Broken("an answer could not be written as JSON"))?;
        let parts = Journal::parts(self.journal.ws.app.redactor.text(&json).into_owned())?;
        let calls: Vec<toolbox::Call> = answer.reply.calls().map(toolbox::Call::of).collect();
        if calls.is_empty() || self.wrap_up.is_some() {
            return self.last_word(answer, parts).await;
        }
        let event = answer.event(parts);
        let (reservation, spent) = (answer.admitted.reservation, answer.spent);
        let first = calls[0].name.clone();
        self.journal
            .write(move |tx, mut pen| {
                money::settle(tx, reservation, spent)?;
                pen.append(tx, event)?;
                pen.run.activity = first;
                save(tx, pen).map(|appended| ((), appended))
            })
            .await?;
        self.journal.ws.live.finish(self.journal.run);
        for call in &calls {
            let key = format!("{} {}", call.name, call.arguments);
            self.repeated =
                if self.repeated.0 == key { (key, self.repeated.1 + 1) } else { (key, 1) };
        }
        self.run_tools(calls).await
    }

    /// An answer without tool calls: the end, unless somebody has said something meanwhile.
    async fn last_word(&mut self, answer: Answer, parts: Body) -> Result<bool, EngineError> {
        let committed = commit::files(&mut self.journal).await?;
        let text = answer.reply.text();
        let event = answer.event(parts);
        let (reservation, spent) = (answer.admitted.reservation, answer.spent);
        let limit = self.wrap_up.clone();
        let (effective, serves_item) = (self.journal.effective, self.item.is_some());
        let goes_on = self
            .journal
            .write(move |tx, mut pen| {
                money::settle(tx, reservation, spent)?;
                pen.append(tx, event)?;
                if let Some(committed) = committed {
                    pen.append(tx, committed)?;
                }
                pen.run.effective |= effective;
                if limit.is_none() && !runs::open_inputs(tx, pen.session.id)?.is_empty() {
                    return save(tx, pen).map(|appended| (true, appended));
                }
                let outcome = match limit {
                    Some(which) => Outcome::Limit { which },
                    None if !serves_item || pen.run.effective => Outcome::Done,
                    None if !pen.run.reminded => {
                        pen.run.reminded = true;
                        pen.append(tx, EventKind::Notice { text: REMINDER.to_owned() })?;
                        return save(tx, pen).map(|appended| (true, appended));
                    }
                    None => Outcome::NoOutcome,
                };
                let appended = std::mem::take(&mut pen.appended);
                pen.end(tx, outcome, &text)?;
                Ok((false, appended))
            })
            .await?;
        self.journal.ws.live.finish(self.journal.run);
        Ok(goes_on)
    }

    /// Ends the run as stopped by the person who asked.
    pub(super) async fn stopped(&mut self) -> Result<bool, EngineError> {
        let id = self.journal.run;
        let stop = self
            .journal
            .ws
            .read(|snap| Ok::<_, EngineError>(snap.get::<Run>(id)?.and_then(|run| run.stop)))?;
        match stop {
            Some(stop) => self.end(Outcome::Stopped { by: stop.by }, "").await,
            // Nobody asked: the program ends, and the next start takes the run up again.
            None => {
                self.journal
                    .write(move |tx, mut pen| {
                        pen.run.state = RunState::Queued;
                        save(tx, pen).map(|appended| ((), appended))
                    })
                    .await?;
                Ok(false)
            }
        }
    }

    /// Commits files and ends the run.
    pub(super) async fn end(
        &mut self,
        outcome: Outcome,
        summary: &str,
    ) -> Result<bool, EngineError> {
        let committed = commit::files(&mut self.journal).await?;
        let summary = summary.to_owned();
        self.journal
            .write(move |tx, mut pen| {
                if let Some(committed) = committed {
                    pen.append(tx, committed)?;
                }
                pen.end(tx, outcome, &summary)?;
                Ok(((), Vec::new()))
            })
            .await?;
        Ok(false)
    }
}

/// What is written when a run begins or goes on.
struct FirstEvents {
    item: Option<Item>,
    chosen: Chosen,
    request_bytes: u32,
}

impl FirstEvents {
    fn write(self, tx: &mut WriteTx<'_>, run: RunId) -> Result<Pen, EngineError> {
        let Chosen { connection, model, source, thinking, .. } = self.chosen;
        let mut pen = rules::begin(tx, run)?;
        (pen.run.connection, pen.run.model_source) = (connection, source);
        (pen.run.model, pen.run.thinking) = (model.clone(), thinking);
        let attempt = pen.run.attempt;
        pen.append(
            tx,
            EventKind::RunStarted { attempt, model, thinking, request_bytes: self.request_bytes },
        )?;
        if let Some(item) = self.item {
            let text = Body::Inline(card::write(tx, &item)?);
            let by = Actor::System(Part::Engine);
            pen.append(tx, EventKind::Input { input: None, text, by, steered: false })?;
        }
        Ok(pen)
    }
}

/// Parks a run whose next call no budget can pay; a run's own cap ends it.
fn over_budget(
    tx: &mut WriteTx<'_>,
    mut pen: Pen,
    refusal: &UsageError,
) -> Result<(Begun, Vec<EventKind>), EngineError> {
    let appended = std::mem::take(&mut pen.appended);
    if let UsageError::OverBudget { budget: Budget::Run, .. } = refusal {
        pen.end(tx, Outcome::Limit { which: "cost".to_owned() }, &refusal.to_string())?;
        return Ok((Begun::Ended, appended));
    }
    let until = next_month(tx.now());
    pen.wait(tx, WaitFor::Budget, &refusal.to_string(), Some(until))?;
    Ok((Begun::Parked, appended))
}

/// The first moment of the next month in UTC, when budgets begin anew.
fn next_month(now: Timestamp) -> Timestamp {
    let zoned = now.to_zoned(jiff::tz::TimeZone::UTC);
    let first = zoned.date().last_of_month().tomorrow();
    first
        .and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC))
        .map_or(now + SignedDuration::from_hours(24 * 28), |zoned| zoned.timestamp())
}
