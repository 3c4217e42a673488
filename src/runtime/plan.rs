//! The dispatcher's tasks, computed from one snapshot. Nothing that could be lost is kept between two passes.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::SignedDuration;

use features::agents::model::Agent;
use features::connections::queries::turns;
use features::inbox::model::Item;
use features::inbox::model::pace::Pace;
use features::inbox::queries as inbox;
use features::inbox::queries::order::{LONGEST_WAIT, is_stale, place};
use features::inbox::queries::pace;
use features::runs::model::Run;
use features::runs::queries as runs;
use features::runs::queries::halt;
use features::runs::rules::link;
use features::tasks::queries::relations;
use features::usage::queries::{self as usage, budgets, prices, waiting};
use kernel::{
    AccountId, AgentId, ConnectionId, HaltHow, ItemId, ItemState, Payer, RunId, RunState,
    Timestamp, WaitFor,
};
use store::{Range, Read, ReadExt, StoreError};

use super::chosen::choose;
use super::remote::{PAUSED, Places, SILENT};

/// If the last pass is longer ago, the clock was moved or the machine slept, so no run could start meanwhile. Passes
/// are at most a minute apart.
const AWAY: SignedDuration = SignedDuration::from_hours(1);
/// The reason of items that wait because no budget can pay more.
const OVER_BUDGET: &str = "over_budget";
/// Most waiting items of one agent that are examined.
const ITEMS: usize = 500;

/// State from the last pass, so that notes are written only when they change.
#[derive(Default)]
pub(super) struct PassState {
    /// What held each agent that has work.
    pub reasons: HashMap<AgentId, Option<&'static str>>,
    /// Agents that got an item since the last pass.
    pub fresh: HashSet<AgentId>,
    /// The model for which each run with a budget wait was woken; a run is woken once per model.
    pub woken: HashMap<RunId, Model>,
    /// Agents with an item that quiet hours or a limit held back.
    pub gated: HashSet<AgentId>,
    /// When an item was last seen waiting for other tasks or for its conversation.
    pub rested: HashMap<ItemId, Timestamp>,
    /// The earliest start of counted waiting time; `None` before the first pass.
    counts_from: Option<Timestamp>,
    /// The clock time of the last pass.
    looked_at: Option<Timestamp>,
}

type Model = (Option<ConnectionId>, String);

impl PassState {
    /// Records a pass. Waiting counts from the first pass, and again from the first one after a gap: an item that seems
    /// old then may be new, because the clock may have moved.
    pub(super) fn record_pass(&mut self, now: Timestamp) {
        let seen = |last: Timestamp| last <= now && now.duration_since(last) <= AWAY;
        if !self.looked_at.is_some_and(seen) {
            self.counts_from = Some(now);
        }
        self.looked_at = Some(now);
    }

    fn is_news(&self, agent: AgentId, reason: Option<&'static str>) -> bool {
        match self.reasons.get(&agent) {
            // A new item already has the reason from the agent's state.
            Some(known) if *known == reason => {
                matches!(reason, Some(OVER_BUDGET | SILENT | PAUSED)) && self.fresh.contains(&agent)
            }
            _ => true,
        }
    }
}

#[derive(Default)]
pub(super) struct Plan {
    /// Runs with a stop request. The last value is `None` for local runs, else whether the run's host is linked.
    pub stops: Vec<(RunId, Option<AccountId>, Option<bool>)>,
    /// Working runs that must pause at once.
    pub rests: Vec<RunId>,
    /// Runs that should have a task.
    pub running: Vec<RunId>,
    /// Runs whose wait is over.
    pub wakes: Vec<RunId>,
    /// Runs whose API client sent no results in time.
    pub gone: Vec<RunId>,
    /// Runs that may start: conversations before work, then oldest first.
    pub queued: Vec<Run>,
    /// The most urgent startable item of each free agent, most urgent first.
    pub items: Vec<(Item, Agent)>,
    /// Agents whose items need another waiting reason.
    pub notes: Vec<(AgentId, Option<&'static str>)>,
    /// Single items that need another waiting reason.
    pub marks: Vec<(ItemId, Option<&'static str>)>,
    /// Items that nothing blocked and that have waited too long.
    pub stale: Vec<ItemId>,
    /// Items whose run is gone.
    pub lost: Vec<ItemId>,
    /// Agents with an item that quiet hours or a limit hold back.
    pub gated: HashSet<AgentId>,
    /// Items that wait for other tasks or for their conversation, with the time of this pass.
    pub rested: HashMap<ItemId, Timestamp>,
    /// The model for which each run waits for a budget or was woken.
    pub woken: HashMap<RunId, Model>,
    /// A run waits for a budget.
    pub poor: bool,
    /// Agents with a run that waits for a budget: a new run of theirs would wait, too.
    broke: HashSet<AgentId>,
    /// When the next item or run becomes due.
    pub next: Option<Timestamp>,
    /// Agents that work on other hosts.
    places: Places,
}

impl Plan {
    /// Examines all runs and items.
    pub(super) fn read(
        tx: &dyn Read,
        noted: &PassState,
        places: Places,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut plan = Self { next: inbox::next_due(tx, now)?, places, ..Self::default() };
        let agents: Vec<Agent> = tx.list(&Range::all())?;
        let mut busy = HashSet::new();
        for run in runs::live(tx)? {
            // A run that waits behind another run of its task does not keep its agent busy.
            if run.keeps_agent_busy() && runs::branches::held(tx, &run)?.is_none() {
                busy.insert(run.agent);
            }
            if let Some(model) = noted.woken.get(&run.id) {
                plan.woken.insert(run.id, model.clone());
            }
            plan.look_at_run(tx, run, &agents, now)?;
        }
        plan.queued.sort_by_key(|run| (run.item.is_some(), run.id));
        if plan.poor {
            plan.soon(usage::next_release(tx, now)?, now);
            plan.soon(prices::next_begin(tx, now)?, now);
        }
        for agent in agents {
            let is_busy = busy.contains(&agent.id);
            plan.look_at_agent(tx, agent, is_busy, noted, now)?;
        }
        plan.items.sort_by_key(|(item, _)| place(item, now));
        Ok(plan)
    }

    /// The tasks of a host for its agents: runs that the primary has created, and stop requests for them.
    pub(super) fn of_host(
        tx: &dyn Read,
        agents: &BTreeSet<AgentId>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut plan = Self::default();
        let ours: Vec<Agent> = tx.list(&Range::all())?;
        for run in runs::live(tx)?.into_iter().filter(|run| agents.contains(&run.agent)) {
            // The primary ends all other waits.
            if run.waiting.is_none() || run.stop.is_some() || run.is_at_work() {
                plan.look_at_run(tx, run, &ours, now)?;
            } else if link::is_waiting(&run) {
                // The task stays alive during this wait.
                plan.running.push(run.id);
            }
        }
        plan.queued.sort_by_key(|run| (run.item.is_some(), run.id));
        Ok(plan)
    }

    /// Returns `true` if the agent's runs work on another host.
    fn is_away(&self, agent: AgentId) -> bool {
        self.places.contains_key(&agent)
    }

    fn soon(&mut self, at: Option<Timestamp>, now: Timestamp) {
        let at = at.filter(|at| *at > now);
        self.next = self.next.into_iter().chain(at).min();
    }

    fn look_at_run(
        &mut self,
        tx: &dyn Read,
        run: Run,
        agents: &[Agent],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(stop) = &run.stop {
            let linked = self.places.get(&run.agent).map(|(_, why)| *why != Some(SILENT));
            self.stops.push((run.id, stop.by, linked));
            return Ok(());
        }
        let halt = halt::of_agent(tx, run.agent)?;
        if run.is_at_work() {
            match halt.is_some_and(|halt| halt.how == HaltHow::Now) {
                _ if self.is_away(run.agent) => {}
                true => self.rests.push(run.id),
                false => self.running.push(run.id),
            }
            return Ok(());
        }
        if halt.is_some() {
            return Ok(());
        }
        if let Some(waiting) = &run.waiting {
            let budget = waiting.waits_for == WaitFor::Budget;
            self.soon(waiting.until, now);
            if run.waits_for_client() {
                let over = waiting.until.is_some_and(|until| until <= now);
                self.gone.extend(over.then_some(run.id));
                return Ok(());
            }
            let paid = match waiting.needs_micros.filter(|_| budget) {
                Some(needed) => {
                    self.is_paid(tx, &run, needed, now)?
                        || self.has_other(tx, &run, agents)?
                        || prices::began_since(tx, waiting.since, now)?
                }
                None => false,
            };
            let back =
                waiting.waits_for == WaitFor::Provider && is_answered(tx, &run, agents, now)?;
            let due = waiting.until.is_some_and(|until| until <= now);
            if paid || back || due || runs::park::is_in_vain(tx, &run)? {
                self.wakes.push(run.id);
            }
            return Ok(());
        }
        let agent = agents.iter().find(|agent| agent.id == run.agent);
        if let Some(agent) = agent.filter(|_| run.state == RunState::Queued)
            && !self.is_away(run.agent)
            && halt::held(tx, agent)?.is_none()
            && runs::branches::held(tx, &run)?.is_none()
        {
            self.queued.push(run);
        }
        Ok(())
    }

    /// Returns `true` if the budgets can pay a waiting run now. Marks its agent as broke, unless the budget of a task,
    /// a stream or a routine is used up: other runs of a broke agent could not be paid either.
    fn is_paid(
        &mut self,
        tx: &dyn Read,
        run: &Run,
        micros: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.poor = true;
        let wait = waiting::of_run(tx, run.id)?;
        let others_pay = matches!(
            wait.as_ref().map(|wait| wait.payer),
            Some(Payer::Task(_) | Payer::Stream(_) | Payer::Routine(_))
        );
        if !others_pay {
            self.broke.insert(run.agent);
        }
        let needs = wait.map_or((micros, 0), |wait| (wait.micros, wait.tokens));
        budgets::can_pay(tx, run, needs, now)
    }

    /// Returns `true` if another, perhaps cheaper, model was chosen since the run began to wait. A model that could not
    /// be paid either does not end the wait again.
    fn has_other(
        &mut self,
        tx: &dyn Read,
        run: &Run,
        agents: &[Agent],
    ) -> Result<bool, StoreError> {
        let Some(agent) = agents.iter().find(|agent| agent.id == run.agent) else {
            return Ok(false);
        };
        let choice = choose(tx, run, agent, None)?;
        let model = (choice.connection, choice.model);
        if model == (run.connection, run.model.clone()) || self.woken.get(&run.id) == Some(&model) {
            return Ok(false);
        }
        self.woken.insert(run.id, model);
        Ok(true)
    }

    fn look_at_agent(
        &mut self,
        tx: &dyn Read,
        agent: Agent,
        busy: bool,
        noted: &PassState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let oldest = inbox::open(tx, agent.id, 1)?;
        let Some(oldest) = oldest.first().map(|item| item.created_at) else { return Ok(()) };
        let over = budgets::over_budget(tx, agent.id, now)?;
        let reason = match halt::held(tx, &agent)? {
            Some(reason) => Some(reason),
            None if self.broke.contains(&agent.id) || over.is_some() => Some(OVER_BUDGET),
            None => self.places.get(&agent.id).and_then(|(_, why)| *why),
        };
        if noted.is_news(agent.id, reason) {
            self.notes.push((agent.id, reason));
        }
        if reason == Some(OVER_BUDGET) {
            self.soon(over.and_then(|over| over.budget.period.ends(now)), now);
        }
        if reason.is_some() {
            return Ok(());
        }
        let pace = pace::of(tx, agent.id)?;
        // For a working agent only items that may need a note or may be given up are examined.
        let old = LONGEST_WAIT <= now.duration_since(oldest);
        if busy && !old && pace.quiet.is_none() && !noted.gated.contains(&agent.id) {
            return Ok(());
        }
        self.look_at_items(tx, agent, &pace, busy, noted, now)
    }

    /// Finds the agent's next item and the reasons why the others wait.
    fn look_at_items(
        &mut self,
        tx: &dyn Read,
        agent: Agent,
        pace: &Pace,
        busy: bool,
        noted: &PassState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut open = inbox::open_until(tx, agent.id, ITEMS)?;
        open.sort_by_key(|item| place(item, now));
        let strict = |item: &Item| item.state != ItemState::Leased && !pace::is_asked(item, now);
        let quiet = pace::quiet_until(tx, pace, now)?;
        let full = match open.iter().any(strict) {
            true => pace::full_until(tx, pace, now)?,
            false => None,
        };
        let mut next = None;
        for item in open {
            if item.state == ItemState::Leased {
                self.lost.extend(has_lost_its_run(tx, &item)?.then_some(item.id));
                continue;
            }
            if item.not_before.is_some_and(|at| now < at) {
                continue;
            }
            let held = pace::holds(&item, quiet.is_some(), full.is_some(), now);
            if item.held_reason.as_deref() != held {
                self.marks.push((item.id, held));
            }
            if held.is_some() {
                self.gated.insert(agent.id);
                continue;
            }
            if busy || next.is_some() {
                self.look_at_waiting(tx, &agent, &item, noted, now)?;
            } else if rests(tx, &agent, &item)? {
                self.rested.insert(item.id, now);
            } else {
                next = Some(item);
            }
        }
        if self.gated.contains(&agent.id) {
            self.soon(quiet.into_iter().chain(full).min(), now);
        }
        self.items.extend(next.map(|item| (item, agent)));
        Ok(())
    }

    /// Checks whether a waiting item is too old. Time in which it waited for tasks or its conversation does not count.
    fn look_at_waiting(
        &mut self,
        tx: &dyn Read,
        agent: &Agent,
        item: &Item,
        noted: &PassState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let counts_from = noted.counts_from.unwrap_or(now);
        if !is_stale(item, now, counts_from) {
            return Ok(());
        }
        if rests(tx, agent, item)? {
            self.rested.insert(item.id, now);
            return Ok(());
        }
        match noted.rested.get(&item.id) {
            Some(rested) if !is_stale(item, now, counts_from.max(*rested)) => {
                self.rested.insert(item.id, *rested);
            }
            _ => self.stale.push(item.id),
        }
        Ok(())
    }
}

/// Returns `true` if an item waits for other tasks, or for a run that uses its conversation.
fn rests(tx: &dyn Read, agent: &Agent, item: &Item) -> Result<bool, StoreError> {
    if waits_for_others(tx, item)? {
        return Ok(true);
    }
    let key = runs::item_session_key(tx, &agent.slug, item)?;
    let session = runs::session_by_key(tx, &key)?;
    Ok(session.is_some_and(|session| session.active_run.is_some()))
}

/// Returns `true` if an item is taken by a run that has ended or does not exist.
fn has_lost_its_run(tx: &dyn Read, item: &Item) -> Result<bool, StoreError> {
    let run = item.run.map(|run| tx.get::<Run>(run)).transpose()?.flatten();
    Ok(run.is_none_or(|run| run.state == RunState::Ended))
}

/// Returns `true` if blocking tasks of an item are still open.
fn waits_for_others(tx: &dyn Read, item: &Item) -> Result<bool, StoreError> {
    match item.task.filter(|_| item.waits_for_blockers()) {
        Some(task) => Ok(!relations::open_blockers(tx, task)?.is_empty()),
        None => Ok(false),
    }
}

/// Returns `true` if a candidate can answer a run that waits for the end of all cooldowns.
fn is_answered(
    tx: &dyn Read,
    run: &Run,
    agents: &[Agent],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(agent) = agents.iter().find(|agent| agent.id == run.agent) else { return Ok(false) };
    turns::can_answer(tx, &choose(tx, run, agent, None)?, agent, now)
}

#[cfg(test)]
mod tests {
    use super::{AWAY, PassState};
    use jiff::SignedDuration;
    use kernel::time::from_ms;

    #[test]
    fn waiting_counts_from_the_first_look_after_a_time_in_which_nobody_looked() {
        let at = |minutes: i64| from_ms(1_700_000_000_000) + SignedDuration::from_mins(minutes);
        let mut noted = PassState::default();
        assert_eq!(noted.counts_from, None);
        noted.record_pass(at(0));
        for minute in 1..300 {
            noted.record_pass(at(minute));
        }
        assert_eq!(noted.counts_from, Some(at(0)), "it was there all the time");
        noted.record_pass(at(299 + AWAY.as_mins()));
        assert_eq!(noted.counts_from, Some(at(0)));
        // The machine slept for three days.
        noted.record_pass(at(5_000));
        assert_eq!(noted.counts_from, Some(at(5_000)));
        noted.record_pass(at(5_001));
        assert_eq!(noted.counts_from, Some(at(5_000)));
        // The clock was set back, and forward again.
        noted.record_pass(at(10));
        assert_eq!(noted.counts_from, Some(at(10)));
        noted.record_pass(at(5_002));
        assert_eq!(noted.counts_from, Some(at(5_002)));
    }
}
