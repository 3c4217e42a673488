//! All writes of inbox items.

pub mod pace;
pub mod waiting;

use jiff::SignedDuration;

use crate::agents::model::Agent;
use crate::routines::model::{item_key, of_item_key};
use crate::runs::model::{Run, TAKEN_BACK};
use crate::runs::queries::halt::held;
use crate::runs::queries::taint;
use kernel::key::KeyBuf;
use kernel::text::ellipsis;
use kernel::{
    Actor, AgentId, Event, ItemId, ItemKind, ItemState, Outcome, Priority, Problem, ProblemKind,
    RunId, TaskId, Timestamp,
};
use providers::error::ErrorClass;
use store::{Range, ReadExt, StoreError, WriteTx};

use super::model::{BY_KEY, DROPPED_AFTER, Item, OPEN_BY_TASK, Reason};
use super::queries;

/// Retry delays. After the last one an item has failed permanently.
pub const RETRY_SECS: [i64; 3] = [30, 120, 600];
/// Error codes, besides provider errors, that a retry would not fix because a person has to act first.
const FINAL: &[&str] = &[
    "agent",
    "agent_not_found",
    "answer_too_long",
    "answer_unreadable",
    "connection_not_found",
    "internal",
    "key_unreadable",
    "no_tools",
];
/// Maximum number of reasons per item.
pub const MAX_REASONS: usize = 10;
/// Maximum length of a chain of agents that cause work for each other.
const MAX_DEPTH: u8 = 5;
/// Maximum number of an agent's items to process together.
const PAGE: usize = 500;

#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    #[error("inbox item {0} does not exist")]
    NotFound(ItemId),
    /// The operation is not allowed in the item's state.
    #[error("this item is {state}; {hint}")]
    WrongState {
        state: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    /// The chain of agents that cause work for each other is too long.
    #[error(
        "this has already been passed between {MAX_DEPTH} agents; finish it yourself or ask a \
         person"
    )]
    TooDeep,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for InboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "item_not_found",
            Self::WrongState { .. } => "item_state",
            Self::TooDeep => "chain_too_deep",
            Self::Store(error) => error.code(),
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::WrongState { .. } | Self::TooDeep => ProblemKind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
}

/// A reason for an agent to act.
pub struct NewItem {
    pub agent: AgentId,
    pub kind: ItemKind,
    pub task: Option<TaskId>,
    /// Kind, subject and generation. A key creates an item only once.
    pub key: String,
    pub priority: Priority,
    /// Actor that caused it. Determines the depth in the chain of agents.
    pub by: Actor,
    pub reason: Reason,
}

/// Returns `true` if the causing run has read untrusted content.
fn is_tainted(tx: &WriteTx<'_>, by: Actor) -> Result<bool, StoreError> {
    match by.run().map(|run| tx.get::<Run>(run)).transpose()?.flatten() {
        Some(run) => Ok(taint::of(tx, run.session)?.is_some()),
        None => Ok(false),
    }
}

/// Adds the reason of another agent to an item in progress. From then on the stricter permissions of both apply.
pub fn also_asked(tx: &mut WriteTx<'_>, item: ItemId, reason: Reason) -> Result<(), InboxError> {
    if let Some(mut item) = tx.get::<Item>(item)?
        && item.reasons.iter().all(|known| known.agent != reason.agent)
    {
        item.reasons.push(reason);
        tx.put(&item)?;
    }
    Ok(())
}

/// Adds a reason: creates an item or joins a pending one. A key that was used before changes nothing.
///
/// # Errors
/// `TooDeep` if the chain of agents is too long.
pub fn enqueue(tx: &mut WriteTx<'_>, new: NewItem) -> Result<Option<ItemId>, InboxError> {
    gather(tx, new, None)
}

/// Like `enqueue`, for a reason that others should join: starts no earlier than `until`, unless a reason arrives that
/// need not wait.
pub fn gather(
    tx: &mut WriteTx<'_>,
    new: NewItem,
    until: Option<Timestamp>,
) -> Result<Option<ItemId>, InboxError> {
    let mut key = KeyBuf::new();
    key.text(&new.key);
    if tx.taken(BY_KEY, &key)? {
        return Ok(None);
    }
    let mut depth = depth(tx, new.by)?;
    if new.kind == ItemKind::DelegationResult {
        // A result returns to the delegating task, like the answer to a question.
        depth = depth.saturating_sub(2);
    }
    if new.kind == ItemKind::TaskEscalation {
        // An escalation does not count as delegation; its consequences do.
        depth = depth.saturating_sub(1);
    }
    if depth > MAX_DEPTH {
        return Err(InboxError::TooDeep);
    }
    let now = tx.now();
    // Each firing of a routine has its own instruction.
    let joins = !matches!(new.kind, ItemKind::RoutineSchedule | ItemKind::RoutineEvent);
    if joins
        && let Some(mut item) = queries::with_room(tx, new.agent, new.kind, new.task, MAX_REASONS)?
    {
        let by_person = new.reason.person.is_some();
        let waited = item.held_reason.is_some() || item.not_before.is_some_and(|at| now < at);
        item.reasons.push(new.reason);
        item.priority = item.priority.max(new.priority);
        item.depth = item.depth.min(depth);
        // A new reason restarts the waiting time, and a person's reason cancels a later start.
        item.waits_from = now;
        if by_person {
            (item.asked_at, item.not_before) = (Some(now), None);
        }
        if new.kind == ItemKind::DelegationResult && until.is_none() {
            item.not_before = None;
        }
        item.updated_at = now;
        tx.put(&item)?;
        if waited || is_tainted(tx, new.by)? {
            // The item may be startable now, or its taint has changed.
            tx.emit(Event::ItemEnqueued { item: item.id, agent: item.agent });
        }
        return Ok(Some(item.id));
    }
    // Determined here, so that the item need not be written a second time.
    let held_reason = match tx.get::<Agent>(new.agent)? {
        Some(agent) => held(tx, &agent)?.map(str::to_owned),
        None => None,
    };
    let asked_at = new.reason.person.map(|_| now);
    let item = Item {
        id: tx.new_id(),
        agent: new.agent,
        kind: new.kind,
        task: new.task,
        key: new.key,
        state: ItemState::Pending,
        priority: new.priority,
        reasons: vec![new.reason],
        run: None,
        attempts: 0,
        not_before: until,
        held_since: held_reason.as_ref().map(|_| now),
        held_reason,
        last_error: None,
        depth,
        created_at: now,
        updated_at: now,
        ended_at: None,
        front_at: None,
        waits_from: now,
        asked_at,
        pressed: false,
    };
    tx.put(&item)?;
    tx.emit(Event::ItemEnqueued { item: item.id, agent: item.agent });
    Ok(Some(item.id))
}

/// Depth of the acting run's item plus one. 0 for a person.
fn depth(tx: &WriteTx<'_>, by: Actor) -> Result<u8, InboxError> {
    let Some(run) = by.run() else { return Ok(0) };
    let item = tx.get::<Run>(run)?.and_then(|run| run.item);
    let depth = match item {
        Some(item) => tx.get::<Item>(item)?.map_or(0, |item| item.depth),
        None => 0,
    };
    Ok(depth.saturating_add(1))
}

fn load(tx: &WriteTx<'_>, id: ItemId) -> Result<Item, InboxError> {
    tx.get::<Item>(id)?.ok_or(InboxError::NotFound(id))
}

fn save(tx: &mut WriteTx<'_>, item: &mut Item) -> Result<(), InboxError> {
    item.updated_at = tx.now();
    tx.put(item)?;
    Ok(())
}

fn over(tx: &mut WriteTx<'_>, item: &mut Item, state: ItemState) -> Result<(), InboxError> {
    item.state = state;
    (item.not_before, item.front_at, item.pressed) = (None, None, false);
    (item.held_reason, item.held_since) = (None, None);
    item.ended_at = Some(tx.now());
    save(tx, item)?;
    tx.emit(Event::ItemEnded { item: item.id, agent: item.agent, task: item.task });
    Ok(())
}

/// Leases an open item to a run.
///
/// # Errors
/// `WrongState` if another run has it or it is closed.
pub fn lease(tx: &mut WriteTx<'_>, id: ItemId, run: RunId) -> Result<Item, InboxError> {
    let mut item = load(tx, id)?;
    if item.state == ItemState::Leased || !item.is_open() {
        return Err(InboxError::WrongState {
            state: item.state.word(),
            hint: "another run is working on it, or it has ended",
        });
    }
    item.state = ItemState::Leased;
    item.run = Some(run);
    item.attempts += 1;
    (item.not_before, item.front_at, item.pressed) = (None, None, false);
    (item.held_reason, item.held_since) = (None, None);
    save(tx, &mut item)?;
    Ok(item)
}

/// Creates a copy of an item for a run that restarts its work and leases it at once. Cancels the pending item if the
/// new run replaces it.
///
/// # Errors
/// If the item does not exist.
pub fn restart(tx: &mut WriteTx<'_>, id: ItemId, in_its_place: bool) -> Result<ItemId, InboxError> {
    let old = load(tx, id)?;
    if in_its_place {
        cancel(tx, id, "started again")?;
    }
    let (new, now) = (tx.new_id::<ItemId>(), tx.now());
    let item = Item {
        id: new,
        key: match of_item_key(&old.key) {
            // The instruction comes from its firing.
            Some(firing) => format!("again:{new}:{}", item_key(firing)),
            None => format!("again:{new}"),
        },
        state: ItemState::Pending,
        run: None,
        attempts: 0,
        not_before: None,
        held_reason: None,
        held_since: None,
        last_error: None,
        created_at: now,
        updated_at: now,
        ended_at: None,
        front_at: None,
        waits_from: now,
        pressed: false,
        ..old
    };
    tx.put(&item)?;
    tx.emit(Event::ItemEnqueued { item: new, agent: item.agent });
    Ok(new)
}

/// Defers an item until a moment.
///
/// # Errors
/// If the item does not exist.
pub fn hold_until(tx: &mut WriteTx<'_>, id: ItemId, until: Timestamp) -> Result<(), InboxError> {
    let mut item = load(tx, id)?;
    item.not_before = Some(until);
    save(tx, &mut item)
}

/// Closes the item of an ended run.
pub fn close(tx: &mut WriteTx<'_>, id: ItemId, run: &Run) -> Result<(), InboxError> {
    let mut item = load(tx, id)?;
    if item.state != ItemState::Leased || item.run != Some(run.id) {
        return Ok(());
    }
    match run.outcome.as_ref().unwrap_or(&Outcome::Done) {
        Outcome::Done => over(tx, &mut item, ItemState::Done),
        Outcome::Snoozed { until } => {
            item.state = ItemState::Pending;
            (item.not_before, item.waits_from) = (Some(*until), *until);
            // Snoozing is not a failed attempt.
            item.attempts = item.attempts.saturating_sub(1);
            save(tx, &mut item)
        }
        Outcome::Stopped { .. } => finish_failed(tx, &mut item, "stopped"),
        Outcome::NoOutcome => finish_failed(tx, &mut item, "no_outcome"),
        Outcome::Limit { which } => finish_failed(tx, &mut item, &format!("limit: {which}")),
        Outcome::CrashLoop => finish_failed(tx, &mut item, "crash_loop"),
        Outcome::Interrupted => finish_failed(tx, &mut item, "interrupted"),
        Outcome::Failed { code, .. } if code == TAKEN_BACK => begin_anew(tx, item),
        Outcome::Failed { code, reason } if is_final(code) => finish_failed(tx, &mut item, reason),
        Outcome::Failed { reason, .. } => retry_later(tx, &mut item, reason),
    }
}

/// Makes an item pending again without counting the attempt, because its run was taken back from a silent host.
fn begin_anew(tx: &mut WriteTx<'_>, mut item: Item) -> Result<(), InboxError> {
    item.state = ItemState::Pending;
    item.attempts = item.attempts.saturating_sub(1);
    (item.not_before, item.waits_from) = (None, tx.now());
    save(tx, &mut item)?;
    tx.emit(Event::ItemEnqueued { item: item.id, agent: item.agent });
    Ok(())
}

/// Returns `true` if a retry would fail in the same way.
fn is_final(code: &str) -> bool {
    match ErrorClass::named(code) {
        Some(class) => !class.retryable(),
        None => FINAL.contains(&code),
    }
}

fn finish_failed(tx: &mut WriteTx<'_>, item: &mut Item, why: &str) -> Result<(), InboxError> {
    item.last_error = Some(ellipsis(why, 500));
    over(tx, item, ItemState::Failed)
}

fn retry_later(tx: &mut WriteTx<'_>, item: &mut Item, why: &str) -> Result<(), InboxError> {
    item.last_error = Some(ellipsis(why, 500));
    let tried = usize::try_from(item.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(pause) = RETRY_SECS.get(tried) else {
        return over(tx, item, ItemState::DeadLetter);
    };
    item.state = ItemState::Failed;
    let next = tx.now() + SignedDuration::from_secs(*pause);
    (item.not_before, item.waits_from) = (Some(next), next);
    save(tx, item)
}

/// Makes a failed or waiting item startable at once, ignoring quiet hours and limits.
///
/// # Errors
/// `WrongState` if it is leased or done.
pub fn retry(tx: &mut WriteTx<'_>, id: ItemId) -> Result<(), InboxError> {
    let mut item = load(tx, id)?;
    match item.state {
        ItemState::Leased | ItemState::Done => {
            return Err(InboxError::WrongState {
                state: item.state.word(),
                hint: "only waiting or failed items can be retried",
            });
        }
        ItemState::Pending | ItemState::Failed | ItemState::DeadLetter | ItemState::Cancelled => {}
    }
    item.state = ItemState::Pending;
    (item.attempts, item.not_before, item.ended_at) = (0, None, None);
    (item.held_reason, item.held_since) = (None, None);
    (item.waits_from, item.pressed) = (tx.now(), true);
    save(tx, &mut item)?;
    tx.emit(Event::ItemEnqueued { item: item.id, agent: item.agent });
    Ok(())
}

/// Moves a waiting item before all others of its agent.
///
/// # Errors
/// `WrongState` if it is leased or closed.
pub fn to_front(tx: &mut WriteTx<'_>, id: ItemId) -> Result<(), InboxError> {
    let mut item = load(tx, id)?;
    if item.state == ItemState::Leased || !item.is_open() {
        return Err(InboxError::WrongState {
            state: item.state.word(),
            hint: "only waiting items can be moved",
        });
    }
    item.front_at = Some(tx.now());
    save(tx, &mut item)
}

/// Drops a waiting or failed item.
///
/// # Errors
/// `WrongState` if it is leased, done or cancelled.
pub fn discard(tx: &mut WriteTx<'_>, id: ItemId) -> Result<(), InboxError> {
    let mut item = load(tx, id)?;
    match item.state {
        ItemState::Pending => cancel(tx, id, "dropped").map(|_| ()),
        ItemState::Failed if item.is_open() => cancel(tx, id, "dropped").map(|_| ()),
        ItemState::Failed | ItemState::DeadLetter => {
            // Its end was already reported.
            item.state = ItemState::Cancelled;
            let before = item.last_error.as_deref().unwrap_or("it failed");
            item.last_error = Some(ellipsis(&format!("{DROPPED_AFTER}{before}"), 500));
            save(tx, &mut item)
        }
        ItemState::Leased => {
            Err(InboxError::WrongState { state: item.state.word(), hint: "stop its run instead" })
        }
        ItemState::Done | ItemState::Cancelled => Err(InboxError::WrongState {
            state: item.state.word(),
            hint: "there is nothing to drop",
        }),
    }
}

/// Cancels an unleased item. Returns whether it was open.
pub fn cancel(tx: &mut WriteTx<'_>, id: ItemId, reason: &str) -> Result<bool, InboxError> {
    let mut item = load(tx, id)?;
    if item.state == ItemState::Leased || !item.is_open() {
        return Ok(false);
    }
    item.last_error = Some(reason.to_owned());
    over(tx, &mut item, ItemState::Cancelled)?;
    Ok(true)
}

/// Cancels an item on behalf of a person.
///
/// # Errors
/// `WrongState` if it is leased or closed.
pub fn call_off(tx: &mut WriteTx<'_>, id: ItemId) -> Result<(), InboxError> {
    if cancel(tx, id, "a person cancelled it")? {
        return Ok(());
    }
    let state = load(tx, id)?.state;
    let hint = match state {
        ItemState::Leased => "stop its run instead",
        _ => "there is nothing left to cancel",
    };
    Err(InboxError::WrongState { state: state.word(), hint })
}

/// Declines an item on behalf of its agent. An agent cannot decline a person's request.
///
/// # Errors
/// `WrongState` if a person requested it, it is leased, or it is closed.
pub fn decline(tx: &mut WriteTx<'_>, id: ItemId, reason: &str) -> Result<(), InboxError> {
    let item = load(tx, id)?;
    if item.reasons.iter().any(|one| one.person.is_some()) {
        return Err(InboxError::WrongState {
            state: "requested by a person",
            hint: "do it, or say in a comment why not",
        });
    }
    let reason = ellipsis(&format!("declined: {}", reason.trim()), 500);
    if cancel(tx, id, &reason)? {
        return Ok(());
    }
    Err(InboxError::WrongState {
        state: item.state.word(),
        hint: "end your current work with work_done or work_fail",
    })
}

/// Cancels the items of a task, for one agent or for all. If a person acts, a leased item's run is stopped too; an
/// agent's own run reports its outcome itself.
pub fn cancel_for_task(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    agent: Option<AgentId>,
    reason: &str,
) -> Result<(), InboxError> {
    let by_person = tx.by().account().is_some();
    let items: Vec<Item> = tx.scan(OPEN_BY_TASK, &Range::prefix(KeyBuf::of(&task)).limit(PAGE))?;
    for mut item in items {
        let meant = agent.is_none_or(|agent| agent == item.agent);
        if meant && (by_person || item.state != ItemState::Leased) {
            item.last_error = Some(reason.to_owned());
            over(tx, &mut item, ItemState::Cancelled)?;
        }
    }
    Ok(())
}

/// Cancels these items if they are open.
pub fn cancel_items(
    tx: &mut WriteTx<'_>,
    items: &[ItemId],
    reason: &str,
) -> Result<(), InboxError> {
    for id in items {
        if let Some(mut item) = tx.get::<Item>(*id)?.filter(Item::is_open) {
            item.last_error = Some(reason.to_owned());
            over(tx, &mut item, ItemState::Cancelled)?;
        }
    }
    Ok(())
}

/// Cancels all waiting items of an agent.
pub fn cancel_for_agent(
    tx: &mut WriteTx<'_>,
    agent: AgentId,
    reason: &str,
) -> Result<(), InboxError> {
    for mut item in queries::open(tx, agent, PAGE)? {
        item.last_error = Some(reason.to_owned());
        over(tx, &mut item, ItemState::Cancelled)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ErrorClass, is_final};

    #[test]
    fn what_only_a_person_can_mend_is_not_tried_again() {
        for class in ErrorClass::ALL {
            assert_ne!(is_final(class.word()), class.retryable(), "{class}");
        }
        for code in ["auth_permanent", "sign_in_needed", "answer_too_long", "internal"] {
            assert!(is_final(code), "{code}");
        }
        assert!(!is_final("storage_full"));
    }
}
