//! Who works when: queued runs get a slot, due items become runs, stops reach their task.
//!
//! Woken by each commit that matters and at each due instant; there is nothing to lose, because
//! all it knows is read from the store. Talk first, then items by priority. One background run an
//! agent, one run a session, a limit for the host.

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
use super::plan::{Noted, Plan};
use super::port::Port;
use super::run_slot::RunSlot;
use super::turn::RunControl;
use super::{BY, Engine, EngineError, items, remote, resume, turn};

/// How often the dispatcher looks although nothing woke it: a net below all others.
const AT_LEAST: Duration = Duration::from_secs(60);
/// The pause after a look that failed.
const AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// Why a run goes on whose task is gone.
const LOST: &str = "HQ could not write down what happened";

/// A run that a task works on.
struct Working {
    agent: AgentId,
    background: bool,
    /// It is given up when it ends the program once more.
    suspect: bool,
    control: RunControl,
}

struct Parts {
    engine: Engine,
    ws: Ws,
    working: Mutex<HashMap<RunId, Working>>,
    memory: Mutex<Memory>,
    wake: Notify,
    /// Counts changes after which another model may be chosen: runs look again then.
    choices: Arc<AtomicU64>,
}

#[derive(Default)]
struct Memory {
    noted: Noted,
    /// A run had to wait because the host had no slot left.
    starved: bool,
    /// A run waits for a budget.
    poor: bool,
    /// Runs that were there when the program began and that no task has taken up since.
    recovered: HashSet<RunId>,
    /// A suspect waits until another was tried.
    held_back: bool,
    /// Runs of other machines that are being ended.
    ending: HashSet<RunId>,
}

/// The dispatcher of one workspace.
#[derive(Clone)]
struct Dispatcher(Arc<Parts>);

/// What an entry of the feed means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// Nothing that is not done already.
    Nothing,
    /// A look is due.
    Look,
}

/// Resumes what a crash interrupted and begins to dispatch; on a host, to drive what home has made.
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
            // Before the look, so that no move of the clock in between is missed.
            let moved = app.clock_moved.notified();
            let next = match self.look(&mut recovered, &cut_off).await {
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

    async fn look(
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

    /// Waits for something that matters. Answers false when the program ends.
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
                        // Another model may have been chosen.
                        self.0.choices.fetch_add(1, Ordering::Relaxed);
                    }
                    return true;
                }
                () = &mut moved => return true,
                () = &mut timer => return true,
            }
        }
    }

    /// Takes in what is there already: one look serves it all.
    fn hear_all(&self, feed: &mut Receiver<Arc<Entry>>) {
        loop {
            match feed.try_recv() {
                Ok(entry) => {
                    self.hear(&entry);
                }
                // What was missed is found by the look.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Hands a stop to its task and a message to its run.
    fn hear(&self, entry: &Entry) -> Heard {
        let mut heard = Heard::Nothing;
        let changed = |table: u16| entry.changes.iter().any(|change| change.table == table);
        let chosen = [AGENTS, SETTINGS, BUDGETS, PRICES, FALLBACKS, USUAL_THINKING];
        if chosen.iter().any(|table| changed(table.number)) {
            // A limit may have been raised, a model chosen.
            self.0.choices.fetch_add(1, Ordering::Relaxed);
            heard = Heard::Look;
        }
        let (poor, held_back) = {
            let memory = self.0.memory.lock();
            let freed = changed(RESERVATIONS.number) || changed(RUN_GRANTS.number);
            (memory.poor && freed, memory.held_back && changed(RUNS.number))
        };
        // A run that begins again may begin: it was made, or what it waited for has gone back. So may what
        // people no longer want held, and what waited for another machine.
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
                // What kept a task waiting may have gone.
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

    /// Begins the run that a message in a session waits for, without a look at everything else.
    fn begin_in(&self, session: SessionId) {
        let found = self.0.ws.read(|snap| {
            let Some(run) = snap.get::<Session>(session)?.and_then(|s| s.active_run) else {
                return Ok(None);
            };
            let Some(run) = snap.get::<Run>(run)? else { return Ok(None) };
            if run.state == RunState::Waiting {
                // Its moment may have moved.
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
            // The next look finds it.
            Err(error) => {
                tracing::warn!(%error, "a message could not be looked up");
                self.0.wake.notify_one();
            }
        }
    }

    /// What was said and not read by a run that ended has its next run already.
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

    /// A run that should be worked on and is not: its task could not write the end, because the
    /// disk was full for example. It goes on from what is durable. Answers whether that was written.
    async fn take_up(&self, run: RunId) -> bool {
        if self.0.working.lock().contains_key(&run) {
            return true;
        }
        // What has ended since the look stays as it is.
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

    /// Starts what can be started. Answers when something becomes due by itself.
    async fn pass(&self) -> Result<Option<Timestamp>, EngineError> {
        let now = self.0.ws.app.clock.now();
        let plan = {
            let mut memory = self.0.memory.lock();
            (memory.starved, memory.held_back) = (false, false);
            memory.noted.look(now);
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
                // It was stopped meanwhile.
                Err(RunError::Ended(_)) => {}
                // What cannot go on holds nobody up: it is tried again with the next look.
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
        let again = (!written).then_some(now + AGAIN);
        Ok(plan.next.into_iter().chain(again).min())
    }

    /// Gives a run its task, if the host has a slot and the agent's folder no other writer. When the program
    /// is about to end, the next start does.
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

    /// Whether a suspect works that has not made a step since. They are tried one by one, so that none is given
    /// up for what another does.
    fn is_trying(&self, working: &HashMap<RunId, Working>) -> bool {
        let tried = |id: RunId| match self.0.ws.read(|snap| snap.get::<Run>(id)) {
            Ok(run) => run.is_some_and(|run| is_suspect(&run) && run.is_live()),
            // The next look tells.
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
            let again = own.0.memory.lock().recovered.remove(&run);
            if again && let Err(error) = ws.order(BY, RunTakenUp { run }).await {
                tracing::warn!(run.id = %run, %error, "it is not noted that run {run} is taken up");
            }
            let waits = turn::drive(engine, ws, run, control).await;
            own.0.working.lock().remove(&run);
            seat.leave();
            if background || waits {
                // The agent is free for its next item only now; a wait may be over already.
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
            // Somebody was faster: there is nothing to do any more.
            Ok(None) | Err(EngineError::Inbox(InboxError::WrongState { .. })) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Whether a run would be given up if it ended the program once more.
fn is_suspect(run: &Run) -> bool {
    rules::MAX_CRASHES <= run.crashes + 1
}
