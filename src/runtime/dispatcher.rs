//! Who works when: queued runs get a slot, due items become runs, stops reach their task.
//!
//! Woken by each commit that matters and at each due instant; there is nothing to lose, because
//! all it knows is read from the store. Talk first, then items by priority. One background run an
//! agent, one run a session, a limit for the host.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::app::Ws;
use crate::features::agents::model::{AGENTS, Agent};
use crate::features::inbox::model::Item;
use crate::features::inbox::{queries as inbox, rules as inbox_rules};
use crate::features::runs::model::Run;
use crate::features::runs::queries as runs;
use crate::features::runs::rules::{self, RunSpec, SessionSpec};
use crate::features::usage::queries as usage;
use crate::features::workspace::model::SETTINGS;
use crate::kernel::text::ellipsis;
use crate::kernel::{
    Actor, AgentId, Cause, Event, Outcome, Part, RunId, RunState, RunTrigger, TaskId, Timestamp,
    WaitFor,
};
use crate::store::{Entry, ReadExt};

use super::{Engine, EngineError, resume, turn};

/// How many due items one pass looks at.
const ITEMS: usize = 200;
/// How long a stopped run's task may take before the run is ended without it.
const STOP_GRACE: Duration = Duration::from_millis(950);
/// How often the dispatcher looks although nothing woke it: a net below all others.
const AT_LEAST: Duration = Duration::from_secs(60);

/// A run that a task works on.
struct Working {
    agent: AgentId,
    background: bool,
    cancel: CancellationToken,
}

struct Parts {
    engine: Engine,
    ws: Ws,
    working: Mutex<HashMap<RunId, Working>>,
    wake: Notify,
    /// Set when an agent or the settings changed: a limit may have been raised.
    limits_changed: AtomicBool,
}

/// The dispatcher of one workspace.
#[derive(Clone)]
struct Dispatcher(Arc<Parts>);

/// Resumes what a crash interrupted and begins to dispatch.
pub fn start(engine: Engine, ws: Ws) {
    let dispatcher = Dispatcher(Arc::new(Parts {
        engine,
        ws,
        working: Mutex::default(),
        wake: Notify::new(),
        limits_changed: AtomicBool::new(true),
    }));
    let own = dispatcher.clone();
    dispatcher.0.ws.app.spawn("dispatcher", async move { own.run().await });
}

impl Dispatcher {
    async fn run(self) {
        match resume::recover(&self.0.ws).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "{count} runs go on after a restart"),
            Err(error) => tracing::error!(%error, "runs could not be resumed"),
        }
        let mut feed = self.0.ws.store.subscribe();
        let stopping = self.0.ws.app.stopping.clone();
        loop {
            let next = match self.pass().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "a dispatcher pass failed; trying again");
                    Some(self.0.ws.app.clock.now() + SignedDuration::from_secs(1))
                }
            };
            if !self.sleep(&mut feed, next, &stopping).await {
                break;
            }
        }
        for working in self.0.working.lock().values() {
            working.cancel.cancel();
        }
    }

    /// Waits for something that matters. Answers false when the program ends.
    async fn sleep(
        &self,
        feed: &mut tokio::sync::broadcast::Receiver<Arc<Entry>>,
        next: Option<Timestamp>,
        stopping: &CancellationToken,
    ) -> bool {
        let app = &self.0.ws.app;
        let pause = next.map_or(AT_LEAST, |at| {
            Duration::try_from(at.duration_since(app.clock.now())).unwrap_or_default()
        });
        let timer = tokio::time::sleep(pause.min(AT_LEAST));
        tokio::pin!(timer);
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return false,
                entry = feed.recv() => match entry {
                    Ok(entry) => if self.notice(&entry) { return true; },
                    Err(RecvError::Lagged(_)) => return true,
                    Err(RecvError::Closed) => return false,
                },
                () = self.0.wake.notified() => return true,
                () = app.clock_moved.notified() => return true,
                () = &mut timer => return true,
            }
        }
    }

    /// Hands a stop to its task; answers whether a pass is due.
    fn notice(&self, entry: &Entry) -> bool {
        let mut due = entry
            .changes
            .iter()
            .any(|change| change.table == AGENTS.number || change.table == SETTINGS.number);
        if due {
            self.0.limits_changed.store(true, Ordering::Relaxed);
        }
        for event in &entry.events {
            match event {
                Event::RunStopRequested { run, by } => self.stop(*run, *by),
                Event::ItemEnqueued { .. }
                | Event::ItemEnded { .. }
                | Event::InputQueued { .. }
                | Event::RunEnded { .. }
                | Event::AgentStatusChanged { .. }
                | Event::ConnectionChanged { .. } => due = true,
                _ => {}
            }
        }
        due
    }

    /// Cancels a run's task; ends the run without it when it hangs.
    fn stop(&self, run: RunId, by: Option<crate::kernel::AccountId>) {
        let Some(cancel) = self.0.working.lock().get(&run).map(|w| w.cancel.clone()) else {
            return;
        };
        cancel.cancel();
        let own = self.clone();
        self.0.ws.app.spawn("stop", async move {
            tokio::time::sleep(STOP_GRACE).await;
            let outcome = Outcome::Stopped { by };
            let (actor, cause) = (Actor::System(Part::Engine), Cause::Timer);
            let ended = own
                .0
                .ws
                .store
                .write(actor, cause, move |tx| rules::force_end(tx, run, outcome, "").map(|_| ()))
                .await;
            if let Err(error) = ended {
                tracing::error!(run.id = %run, %error, "run {run} could not be stopped");
            }
        });
    }

    /// Starts what can be started. Answers when something becomes due by itself.
    async fn pass(&self) -> Result<Option<Timestamp>, EngineError> {
        if self.0.ws.app.stopping.is_cancelled() {
            return Ok(None);
        }
        let now = self.0.ws.app.clock.now();
        self.wake_waiting(now).await?;
        self.start_queued()?;
        self.start_items(now).await?;
        self.0.ws.read(|snap| {
            let item = inbox::next_due(snap, now)?;
            let waits = runs::live(snap)?.into_iter().filter_map(|run| run.waiting?.until);
            Ok(item.into_iter().chain(waits).filter(|at| *at > now).min())
        })
    }

    /// Waiting runs whose wait is over go back to the queue.
    async fn wake_waiting(&self, now: Timestamp) -> Result<(), EngineError> {
        let raised = self.0.limits_changed.swap(false, Ordering::Relaxed);
        let due = self.0.ws.read(|snap| {
            let mut due = Vec::new();
            for run in runs::live(snap)? {
                let Some(waiting) = &run.waiting else { continue };
                let budget = raised
                    && waiting.waits_for == WaitFor::Budget
                    && usage::over_budget(snap, run.agent, now)?.is_none();
                if budget || waiting.until.is_some_and(|until| until <= now) {
                    due.push(run.id);
                }
            }
            Ok::<_, EngineError>(due)
        })?;
        for run in due {
            let (actor, cause) = (Actor::System(Part::Engine), Cause::Timer);
            self.0.ws.store.write(actor, cause, move |tx| rules::wake(tx, run)).await?;
        }
        Ok(())
    }

    /// Queued runs get a slot, talk before work.
    fn start_queued(&self) -> Result<(), EngineError> {
        let mut queued = self.0.ws.read(|snap| {
            let mut queued = Vec::new();
            for run in runs::live(snap)?.into_iter().filter(|r| r.state == RunState::Queued) {
                let agent = snap.get::<Agent>(run.agent)?;
                if agent.as_ref().is_some_and(|agent| rules::held(agent).is_none()) {
                    queued.push(run);
                }
            }
            Ok::<_, EngineError>(queued)
        })?;
        queued.sort_by_key(|run| (run.item.is_some(), run.id));
        for run in queued {
            if !self.begin(&run) {
                break;
            }
        }
        Ok(())
    }

    /// Gives a run its task. Answers false when the host has no slot left.
    fn begin(&self, run: &Run) -> bool {
        let mut working = self.0.working.lock();
        let background = run.item.is_some();
        let busy = background
            && working.values().any(|other| other.background && other.agent == run.agent);
        if working.contains_key(&run.id) || busy {
            return true;
        }
        let Ok(permit) = Arc::clone(&self.0.engine.slots).try_acquire_owned() else {
            return false;
        };
        let cancel = self.0.ws.app.stopping.child_token();
        let entry = Working { agent: run.agent, background, cancel: cancel.clone() };
        working.insert(run.id, entry);
        drop(working);
        self.launch(run.id, cancel, permit);
        true
    }

    fn launch(&self, run: RunId, cancel: CancellationToken, permit: OwnedSemaphorePermit) {
        let own = self.clone();
        self.0.ws.app.spawn("run", async move {
            turn::drive(own.0.engine.clone(), own.0.ws.clone(), run, cancel).await;
            own.0.working.lock().remove(&run);
            drop(permit);
            own.0.wake.notify_one();
        });
    }

    /// Due items become runs, the most urgent first.
    async fn start_items(&self, now: Timestamp) -> Result<(), EngineError> {
        let mut items = self.0.ws.read(|snap| inbox::due(snap, now, ITEMS))?;
        items.sort_by_key(|item| (std::cmp::Reverse(urgency(item, now)), item.created_at, item.id));
        for item in items {
            if self.0.engine.slots.available_permits() == 0 {
                return Ok(());
            }
            self.start_item(item, now).await?;
        }
        Ok(())
    }

    async fn start_item(&self, item: Item, now: Timestamp) -> Result<(), EngineError> {
        let agent_id = item.agent;
        let found = self.0.ws.read(|snap| {
            let agent = snap.get::<Agent>(agent_id)?;
            let busy = runs::has_background_run(snap, agent_id)?;
            let over = usage::over_budget(snap, agent_id, now)?.is_some();
            Ok::<_, EngineError>((agent, busy, over))
        })?;
        let (Some(agent), busy, over) = found else { return Ok(()) };
        if busy {
            return Ok(());
        }
        let held = rules::held(&agent).or(over.then_some("over_budget"));
        let (actor, cause) = (Actor::System(Part::Engine), Cause::Timer);
        if let Some(reason) = held {
            let until = (reason == "over_budget").then(|| now + SignedDuration::from_mins(10));
            self.0
                .ws
                .store
                .write(actor, cause, move |tx| inbox_rules::hold(tx, item.id, reason, until))
                .await?;
            return Ok(());
        }
        let run = self.0.ws.store.write(actor, cause, move |tx| make_run(tx, &item, &agent)).await;
        match run {
            Ok(Some(run)) => {
                self.begin(&run);
                Ok(())
            }
            Ok(None) => Ok(()),
            // Somebody was faster: there is nothing to do any more.
            Err(EngineError::Inbox(inbox_rules::InboxError::WrongState { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Makes the run of an item and leases the item to it, in one transaction.
fn make_run(
    tx: &mut crate::store::WriteTx<'_>,
    item: &Item,
    agent: &Agent,
) -> Result<Option<Run>, EngineError> {
    let title = match item.task {
        Some(task) => tx
            .get::<crate::features::tasks::model::Task>(task)?
            .map_or_else(|| item.kind.label().to_owned(), |task| task.title),
        None => item.reasons.last().map_or_else(String::new, |r| ellipsis(&r.summary, 80)),
    };
    let key = session_key(&agent.slug, item.task);
    let session = SessionSpec { agent: agent.id, key, owner: None, task: item.task };
    let spec = RunSpec { trigger: RunTrigger::Item, item: Some(item.id), task: item.task, title };
    let Some(run) = rules::make_item_run(tx, session, spec)? else { return Ok(None) };
    inbox_rules::lease(tx, item.id, run)?;
    Ok(tx.get::<Run>(run)?)
}

fn session_key(slug: &str, task: Option<TaskId>) -> String {
    match task {
        Some(task) => format!("agent:{slug}:task:{task}"),
        None => format!("agent:{slug}:work"),
    }
}

/// Priority, raised one level for each half hour of waiting.
fn urgency(item: &Item, now: Timestamp) -> i64 {
    let waited = now.duration_since(item.created_at).as_secs().max(0);
    item.priority as i64 + (waited / 1_800).min(3)
}
