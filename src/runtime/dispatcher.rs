//! Decides which run works when: queued runs get a slot, due items become runs, stops reach their task.
//!
//! The dispatcher wakes on each relevant commit and at each due instant. A crash loses nothing, because its whole state
//! is read from the store. Conversations come first, then items by priority. Limits: one background run per agent, one
//! run per session, and a number of slots per host.

mod elsewhere;
mod ends;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::futures::Notified;

use app::Ws;
use features::agents::model::{AGENTS, Agent};
use features::connections::model::{FALLBACKS, USUAL_THINKING};
use features::history::model::FILE_REVERTS;
use features::inbox::model::Item;
use features::inbox::model::pace::PACES;
use features::inbox::rules::InboxError;
use features::runs::model::{BRANCHES, RUNS, Run, Session};
use features::runs::queries as runs;
use features::runs::rules::{self, RunError};
use features::usage::model::RESERVATIONS;
use features::usage::model::budget::BUDGETS;
use features::usage::model::grant::RUN_GRANTS;
use features::usage::model::price::PRICES;
use features::workspace::model::SETTINGS;
use gateways::model::{AGENT_PLACES, GATEWAYS};
use kernel::{AgentId, Event, RunId, RunState, SessionId, TaskField, Timestamp};
use store::{Entry, ReadExt, StoreError};

use super::command::orders::{AgentHeld, CallerGone, RunMade, RunTakenUp, RunWoken};
use super::plan::{PassState, Plan};
use super::port::Port;
use super::run_slot::RunSlot;
use super::turn::RunControl;
use super::{BY, Engine, EngineError, items, remote, resume, turn};

/// Longest interval between two passes, in case a wake-up was missed.
const AT_LEAST: Duration = Duration::from_secs(60);
/// Delay after a failed pass.
const AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// Reason for resuming a run whose task is gone.
const LOST: &str = "HQ could not write down what happened";

/// A run with a task of its own.
struct Working {
    agent: AgentId,
    background: bool,
    /// Another crash would make HQ give this run up.
    suspect: bool,
    control: RunControl,
}

struct Parts {
    engine: Engine,
    ws: Ws,
    working: Mutex<HashMap<RunId, Working>>,
    memory: Mutex<Memory>,
    wake: Notify,
    /// Counts changes after which a run may have to choose another model.
    choices: Arc<AtomicU64>,
}

#[derive(Default)]
struct Memory {
    noted: PassState,
    /// A run waits because the host has no free slot.
    starved: bool,
    /// A run waits for a budget.
    poor: bool,
    /// Runs that existed at program start and that no task has resumed since.
    recovered: HashSet<RunId>,
    /// A suspect run waits until another suspect has been tried.
    held_back: bool,
    /// Runs of other hosts that are being ended.
    ending: HashSet<RunId>,
}

#[derive(Clone)]
struct Dispatcher(Arc<Parts>);

/// What the dispatcher has to do about a feed entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// Nothing more to do.
    Nothing,
    /// A pass is due.
    Look,
}

/// Resumes interrupted runs and starts dispatching. A host only drives the runs that the primary has created.
pub fn start(engine: Engine, ws: Ws) {
    let cut_off = match ws.upstream {
        None => resume::cut_off(&ws),
        Some(_) => HashSet::new(),
    };
    let dispatcher = Dispatcher(Arc::new(Parts {
        engine,
        ws,
        working: Mutex::default(),
        memory: Mutex::default(),
        wake: Notify::new(),
        choices: Arc::default(),
    }));
    let own = dispatcher.clone();
    dispatcher.0.ws.spawn("dispatcher", async move { own.run(cut_off).await });
}

impl Dispatcher {
    async fn run(self, cut_off: HashSet<RunId>) {
        let mut feed = self.0.ws.store.subscribe();
        let mut moves = match &self.0.ws.upstream {
            Some(up) => up.moves(),
            None => self.0.ws.app.hosts.moves(),
        };
        let mut freed = self.0.engine.freed.subscribe();
        let stopping = self.0.ws.halt();
        let (app, mut recovered) = (&self.0.ws.app, false);
        while !stopping.is_cancelled() {
            // Subscribe before the pass, so that no clock change during the pass is missed.
            let moved = app.clock_moved.notified();
            let next = match self.run_pass(&mut recovered, &cut_off).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "the dispatcher failed; it tries again");
                    Some(app.clock.now() + AGAIN)
                }
            };
            if !self.sleep(&mut feed, (&mut freed, &mut moves), moved, next).await {
                break;
            }
        }
        for working in self.0.working.lock().values() {
            working.control.cancel.cancel();
        }
    }

    async fn run_pass(
        &self,
        recovered: &mut bool,
        cut_off: &HashSet<RunId>,
    ) -> Result<Option<Timestamp>, EngineError> {
        if let Some(up) = &self.0.ws.upstream {
            return self.look_away(&**up, recovered).await;
        }
        if !*recovered {
            let going = resume::recover(&self.0.ws, cut_off).await?;
            if !going.is_empty() {
                let count = going.len();
                tracing::info!(count, "{count} runs go on after a restart");
            }
            self.0.memory.lock().recovered = going;
            *recovered = true;
        }
        self.pass().await
    }

    /// Waits for a relevant change or for `next`. Returns `false` when the program ends.
    async fn sleep(
        &self,
        feed: &mut Receiver<Arc<Entry>>,
        (freed, moves): (
            &mut tokio::sync::watch::Receiver<u64>,
            &mut tokio::sync::watch::Receiver<u64>,
        ),
        moved: Notified<'_>,
        next: Option<Timestamp>,
    ) -> bool {
        let app = &self.0.ws.app;
        tokio::pin!(moved);
        let pause = next.map_or(AT_LEAST, |at| {
            Duration::try_from(at.duration_since(app.clock.now())).unwrap_or_default()
        });
        let timer = tokio::time::sleep(pause.min(AT_LEAST));
        tokio::pin!(timer);
        let halt = self.0.ws.halt();
        loop {
            let starved = self.0.memory.lock().starved;
            tokio::select! {
                biased;
                () = halt.cancelled() => return false,
                entry = feed.recv() => match entry {
                    Ok(entry) => if self.hear(&entry) == Heard::Look {
                        self.hear_all(feed);
                        return true;
                    },
                    Err(RecvError::Lagged(_)) => return true,
                    Err(RecvError::Closed) => return false,
                },
                () = self.0.wake.notified() => return true,
                Ok(()) = freed.changed(), if starved => return true,
                Ok(()) = moves.changed() => {
                    if self.0.ws.upstream.is_some() {
                        // The choice of model may have changed.
                        self.0.choices.fetch_add(1, Ordering::Relaxed);
                    }
                    return true;
                }
                () = &mut moved => return true,
                () = &mut timer => return true,
            }
        }
    }

    /// Drains the queued feed entries: one pass serves all of them.
    fn hear_all(&self, feed: &mut Receiver<Arc<Entry>>) {
        loop {
            match feed.try_recv() {
                Ok(entry) => {
                    self.hear(&entry);
                }
                // The next pass finds what the missed entries changed.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Passes a stop to its task and a message to its run.
    fn hear(&self, entry: &Entry) -> Heard {
        let mut heard = Heard::Nothing;
        let changed = |table: u16| entry.changes.iter().any(|change| change.table == table);
        let chosen = [AGENTS, SETTINGS, BUDGETS, PRICES, FALLBACKS, USUAL_THINKING];
        if chosen.iter().any(|table| changed(table.number)) {
            // A limit may have been raised or another model chosen.
            self.0.choices.fetch_add(1, Ordering::Relaxed);
            heard = Heard::Look;
        }
        let (poor, held_back) = {
            let memory = self.0.memory.lock();
            let freed = changed(RESERVATIONS.number) || changed(RUN_GRANTS.number);
            (memory.poor && freed, memory.held_back && changed(RUNS.number))
        };
        // A retried run may now start: its branch was created, or the file reverts that it waited for are done. The
        // same holds for work that limits held back, and for work that waited for another host.
        let back = [PACES, BRANCHES, FILE_REVERTS, AGENT_PLACES, GATEWAYS];
        let back = back.iter().any(|table| changed(table.number));
        if poor || held_back || back {
            heard = Heard::Look;
        }
        for event in &entry.events {
            match event {
                Event::RunStopRequested { run, by } if self.stop(*run, *by) => {}
                Event::RunStopRequested { .. } => heard = Heard::Look,
                Event::InputQueued { session, .. } | Event::CompactionAsked { session, .. } => {
                    self.begin_in(*session);
                }
                Event::ItemEnqueued { agent, .. } => {
                    self.0.memory.lock().noted.fresh.insert(*agent);
                    heard = Heard::Look;
                }
                Event::RunEnded { run, item, .. } => {
                    if item.is_some() {
                        heard = Heard::Look;
                    } else {
                        self.begin_after(*run);
                    }
                }
                Event::TaskChanged { fields, .. }
                    if fields.contains(&TaskField::Model)
                        || fields.contains(&TaskField::Thinking) =>
                {
                    self.0.choices.fetch_add(1, Ordering::Relaxed);
                    heard = Heard::Look;
                }
                // The blocker of a waiting task may be gone.
                Event::TaskChanged { fields, .. } if fields.contains(&TaskField::Relations) => {
                    heard = Heard::Look;
                }
                Event::TaskUnblocked { .. } => heard = Heard::Look,
                Event::ConnectionChanged { .. } | Event::UndoApplied { .. } => {
                    self.0.choices.fetch_add(1, Ordering::Relaxed);
                    heard = Heard::Look;
                }
                Event::RunAnswered { session, .. } => self.begin_in(*session),
                Event::ItemEnded { .. }
                | Event::CountingReset { .. }
                | Event::AgentStatusChanged { .. }
                | Event::WorkHalted { .. }
                | Event::WorkGoesOn { .. } => heard = Heard::Look,
                _ => {}
            }
        }
        heard
    }

    /// Starts the run that a message in this session waits for, without a full pass.
    fn begin_in(&self, session: SessionId) {
        let found = self.0.ws.read(|snap| {
            let Some(run) = snap.get::<Session>(session)?.and_then(|s| s.active_run) else {
                return Ok(None);
            };
            let Some(run) = snap.get::<Run>(run)? else { return Ok(None) };
            if run.state == RunState::Waiting {
                // The time until which the run waits may have changed.
                self.0.wake.notify_one();
            }
            if run.state != RunState::Queued {
                return Ok(None);
            }
            let held = match snap.get::<Agent>(run.agent)? {
                Some(agent) => rules::held(snap, &agent)?,
                None => Some("agent_archived"),
            };
            let waits = held.is_some() || runs::branches::held(snap, &run)?.is_some();
            Ok::<_, StoreError>((!waits).then_some(run))
        });
        match found {
            Ok(Some(run)) => self.begin(&run),
            Ok(None) => {}
            // The next pass finds the run.
            Err(error) => {
                tracing::warn!(%error, "a message could not be looked up");
                self.0.wake.notify_one();
            }
        }
    }

    /// Starts the next run of the session, which exists already if messages of the ended run are unread.
    fn begin_after(&self, run: RunId) {
        match self.0.ws.read(|snap| snap.get::<Run>(run)) {
            Ok(Some(run)) => self.begin_in(run.session),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "a run could not be looked up");
                self.0.wake.notify_one();
            }
        }
    }

    /// Resumes a run that should be working but has no task, for example because a full disk prevented writing its end.
    /// The run continues from its durable state. Returns whether the change was written.
    async fn take_up(&self, run: RunId) -> bool {
        if self.0.working.lock().contains_key(&run) {
            return true;
        }
        // A run that ended since the pass stays ended.
        match resume::recover_one(&self.0.ws, run, (LOST, None)).await {
            Ok(taken) => {
                tracing::warn!(run.id = %run, state = ?taken.state, "run {run} was taken up again");
                self.begin_in(taken.session);
                true
            }
            Err(error) => {
                tracing::warn!(run.id = %run, %error, "run {run} cannot go on yet");
                false
            }
        }
    }

    /// Starts every run that can start. Returns when the next one becomes due.
    async fn pass(&self) -> Result<Option<Timestamp>, EngineError> {
        let now = self.0.ws.app.clock.now();
        let plan = {
            let mut memory = self.0.memory.lock();
            (memory.starved, memory.held_back) = (false, false);
            memory.noted.record_pass(now);
            let plan = self.0.ws.read(|snap| {
                let places = remote::places(&self.0.ws, snap)?;
                Plan::read(snap, &memory.noted, places, now)
            })?;
            memory.noted.fresh.clear();
            memory.noted.woken.clone_from(&plan.woken);
            memory.noted.gated.clone_from(&plan.gated);
            memory.noted.rested.clone_from(&plan.rested);
            memory.poor = plan.poor;
            plan
        };
        let mut written = true;
        for (run, by, away) in plan.stops {
            written &= match away {
                Some(linked) => self.stop_away(run, by, linked),
                None => self.stop(run, by) || self.end_stopped(run, by).await,
            };
        }
        for run in plan.rests {
            written &= self.suspend(run).await;
        }
        for run in plan.running {
            written &= self.take_up(run).await;
        }
        for run in plan.wakes {
            match self.0.ws.order(BY, RunWoken { run }).await {
                Ok(run) => self.begin_in(run.session),
                // The run was stopped meanwhile.
                Err(RunError::Ended(_)) => {}
                // One failing run does not block the others; the next pass retries it.
                Err(error) => {
                    tracing::warn!(run.id = %run, %error, "run {run} could not be woken");
                    written = false;
                }
            }
        }
        for run in plan.gone {
            let given_up = self.0.ws.order(BY, CallerGone { run }).await;
            if let Err(error) = given_up {
                tracing::warn!(run.id = %run, %error, "the wait of run {run} could not be ended");
                written = false;
            }
        }
        for run in plan.queued {
            self.begin(&run);
        }
        for (agent, reason) in plan.notes {
            let held = AgentHeld { agent, reason: reason.map(str::to_owned) };
            let noted = self.0.ws.order(BY, held).await;
            match noted {
                Ok(()) => {
                    self.0.memory.lock().noted.reasons.insert(agent, reason);
                }
                Err(error) => {
                    tracing::warn!(agent.id = %agent, %error, "why agent {agent} waits is not noted");
                    written = false;
                }
            }
        }
        written &= items::tidy(&self.0.ws, plan.marks, plan.stale, plan.lost).await;
        for (item, agent) in plan.items {
            let (id, name) = (item.id, agent.slug.clone());
            if let Err(error) = self.start_item(item, agent).await {
                tracing::warn!(item.id = %id, %error, "item {id} of {name} could not be begun");
                written = false;
            }
        }
        let retry_at = (!written).then_some(now + AGAIN);
        Ok(plan.next.into_iter().chain(retry_at).min())
    }

    /// Starts the task of a run if the host has a free slot and no other run writes to the agent's folder. During
    /// shutdown the run is left to the next start.
    fn begin(&self, run: &Run) {
        if self.0.ws.app.closing.is_cancelled() {
            return;
        }
        match remote::is_elsewhere(&self.0.ws, run.agent) {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => {
                tracing::warn!(run.id = %run.id, %error, "where a run works could not be looked up");
                self.0.wake.notify_one();
                return;
            }
        }
        let mut working = self.0.working.lock();
        let background = run.item.is_some();
        let busy = background
            && working.values().any(|other| other.background && other.agent == run.agent);
        if working.contains_key(&run.id) || busy {
            return;
        }
        let suspect = is_suspect(run);
        if suspect && self.is_trying(&working) {
            self.0.memory.lock().held_back = true;
            return;
        }
        let cancel = self.0.ws.halt().child_token();
        let Some(seat) = RunSlot::take(&self.0.engine, run.trigger, &cancel) else {
            self.0.memory.lock().starved = true;
            return;
        };
        let control = RunControl {
            cancel,
            rests: Arc::default(),
            choices: Arc::clone(&self.0.choices),
            drained: self.0.ws.upstream.as_ref().map_or(0, |up| up.drained(run.id)),
            seat,
        };
        let entry = Working { agent: run.agent, background, suspect, control: control.clone() };
        working.insert(run.id, entry);
        drop(working);
        self.launch((run.id, run.agent), background, control);
    }

    /// Returns `true` if a suspect run is working and has not completed a step yet. Suspects are tried one at a time,
    /// so that none is given up because of another one's crash.
    fn is_trying(&self, working: &HashMap<RunId, Working>) -> bool {
        let tried = |id: RunId| match self.0.ws.read(|snap| snap.get::<Run>(id)) {
            Ok(run) => run.is_some_and(|run| is_suspect(&run) && run.is_live()),
            // The next pass decides.
            Err(_) => true,
        };
        working.iter().any(|(id, other)| other.suspect && tried(*id))
    }

    fn launch(&self, (run, agent): (RunId, AgentId), background: bool, control: RunControl) {
        let (own, seat) = (self.clone(), control.seat.clone());
        self.0.ws.spawn("run", async move {
            let Parts { engine, ws, .. } = &*own.0;
            if let Some(up) = &ws.upstream {
                remote::files::prepare((ws, &**up), run, agent, &control.cancel).await;
            }
            let was_recovered = own.0.memory.lock().recovered.remove(&run);
            if was_recovered && let Err(error) = ws.order(BY, RunTakenUp { run }).await {
                tracing::warn!(run.id = %run, %error, "it is not noted that run {run} is taken up");
            }
            let waits = turn::drive(engine, ws, run, control).await;
            own.0.working.lock().remove(&run);
            seat.release();
            if background || waits {
                // Only now is the agent free for its next item; a wait may also be over already.
                own.0.wake.notify_one();
            }
        });
    }

    async fn start_item(&self, item: Item, agent: Agent) -> Result<(), EngineError> {
        if self.0.ws.app.closing.is_cancelled() {
            return Ok(());
        }
        if self.0.engine.slots.available_permits() == 0 {
            self.0.memory.lock().starved = true;
            return Ok(());
        }
        let made = self.0.ws.order(BY, RunMade { item, agent }).await;
        match made {
            Ok(Some(run)) => self.begin(&run),
            // The item was taken or closed meanwhile.
            Ok(None) | Err(EngineError::Inbox(InboxError::WrongState { .. })) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Returns `true` if HQ would give this run up after one more crash.
fn is_suspect(run: &Run) -> bool {
    rules::MAX_CRASHES <= run.crashes + 1
}
