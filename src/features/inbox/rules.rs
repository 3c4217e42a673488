//! All writes of inbox items.

use jiff::SignedDuration;

use crate::features::runs::model::Run;
use crate::kernel::text::ellipsis;
use crate::kernel::{
    AgentId, Event, ItemId, ItemKind, ItemState, Outcome, Priority, Problem, ProblemKind, RunId,
    TaskId, Timestamp,
};
use crate::store::{KeyBuf, Range, ReadExt, StoreError, WriteTx};

use super::model::{BY_AGENT, BY_KEY, Item, OPEN_BY_TASK, Reason};
use super::queries;

/// How often a run is started for an item before it is given up.
pub const MAX_ATTEMPTS: u32 = 3;
/// How many reasons one item gathers.
const MAX_REASONS: usize = 10;
/// How deep agents may cause work for each other.
const MAX_DEPTH: u8 = 5;
/// Waiting times before the second and third try.
const RETRY_SECS: [i64; 3] = [30, 120, 600];

/// What a rule of the inbox refuses.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// No such item.
    #[error("inbox item {0} does not exist")]
    NotFound(ItemId),
    /// The item is in another state.
    #[error("this item is {state}; {hint}")]
    WrongState {
        /// Its state.
        state: &'static str,
        /// The way out.
        hint: &'static str,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for InboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "item_not_found",
            Self::WrongState { .. } => "item_state",
            Self::Store(error) => error.code(),
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::WrongState { .. } => ProblemKind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
}

/// A reason for an agent to act.
pub struct NewItem {
    /// For whom.
    pub agent: AgentId,
    /// Why.
    pub kind: ItemKind,
    /// The task.
    pub task: Option<TaskId>,
    /// Kind, subject and generation: the same key never makes a second item.
    pub key: String,
    /// How urgent it is.
    pub priority: Priority,
    /// The reason.
    pub reason: Reason,
}

/// Adds a reason: a new item, or one more reason of a pending one. A key that was used before
/// changes nothing.
///
/// # Errors
/// When the store refuses.
pub fn enqueue(tx: &mut WriteTx<'_>, new: NewItem) -> Result<Option<ItemId>, InboxError> {
    let mut key = KeyBuf::new();
    key.text(&new.key);
    if tx.taken(BY_KEY, &key)? {
        return Ok(None);
    }
    let depth = depth(tx)?;
    if depth > MAX_DEPTH {
        tracing::warn!(agent.id = %new.agent, "a chain of agents went too deep; no item was made");
        return Ok(None);
    }
    let now = tx.now();
    if let Some(mut item) = queries::pending(tx, new.agent, new.kind, new.task)?
        && item.reasons.len() < MAX_REASONS
    {
        item.reasons.push(new.reason);
        item.priority = item.priority.max(new.priority);
        item.updated_at = now;
        tx.put(&item)?;
        return Ok(Some(item.id));
    }
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
        not_before: None,
        held_reason: None,
        last_error: None,
        depth,
        created_at: now,
        updated_at: now,
        ended_at: None,
    };
    tx.put(&item)?;
    tx.emit(Event::ItemEnqueued { item: item.id, agent: item.agent });
    Ok(Some(item.id))
}

/// One deeper than the item that the acting agent's run serves; 0 for a person.
fn depth(tx: &WriteTx<'_>) -> Result<u8, InboxError> {
    let Some(run) = tx.by().run() else { return Ok(0) };
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
    item.not_before = None;
    item.held_reason = None;
    item.ended_at = Some(tx.now());
    save(tx, item)?;
    tx.emit(Event::ItemEnded { item: item.id, agent: item.agent, task: item.task });
    Ok(())
}

/// Gives an open item to a run.
///
/// # Errors
/// `WrongState` when another run was faster or it is over.
pub fn lease(tx: &mut WriteTx<'_>, id: ItemId, run: RunId) -> Result<Item, InboxError> {
    let mut item = load(tx, id)?;
    if item.state == ItemState::Leased || !item.is_open() {
        return Err(InboxError::WrongState {
            state: item.state.word(),
            hint: "another run has taken it or it is over",
        });
    }
    item.state = ItemState::Leased;
    item.run = Some(run);
    item.attempts += 1;
    item.not_before = None;
    item.held_reason = None;
    save(tx, &mut item)?;
    Ok(item)
}

/// Notes why an item that is due is not begun; nothing is written when it is known already.
///
/// # Errors
/// When the store refuses.
pub fn hold(
    tx: &mut WriteTx<'_>,
    id: ItemId,
    reason: &str,
    until: Option<Timestamp>,
) -> Result<(), InboxError> {
    let mut item = load(tx, id)?;
    if item.held_reason.as_deref() == Some(reason) && item.not_before == until {
        return Ok(());
    }
    item.held_reason = Some(reason.to_owned());
    item.not_before = until;
    save(tx, &mut item)
}

/// Closes the item of a run that has ended.
///
/// # Errors
/// When the store refuses.
pub fn close(tx: &mut WriteTx<'_>, id: ItemId, run: &Run) -> Result<(), InboxError> {
    let mut item = load(tx, id)?;
    if item.state != ItemState::Leased || item.run != Some(run.id) {
        return Ok(());
    }
    match run.outcome.as_ref().unwrap_or(&Outcome::Done) {
        Outcome::Done => over(tx, &mut item, ItemState::Done),
        Outcome::Snoozed { until } => {
            item.state = ItemState::Pending;
            item.not_before = Some(*until);
            // Waiting is no failed try.
            item.attempts = item.attempts.saturating_sub(1);
            save(tx, &mut item)
        }
        Outcome::Stopped { .. } => finish_failed(tx, &mut item, "stopped"),
        Outcome::NoOutcome => finish_failed(tx, &mut item, "no_outcome"),
        Outcome::Limit { which } => finish_failed(tx, &mut item, &format!("limit: {which}")),
        Outcome::CrashLoop => finish_failed(tx, &mut item, "crash_loop"),
        Outcome::Interrupted => retry_later(tx, &mut item, "interrupted"),
        Outcome::Failed { code, reason } => match code.as_str() {
            // A person has to act first: the same try would fail again.
            "auth" | "billing" | "model_not_found" | "invalid_request" | "content_refused"
            | "agent" => finish_failed(tx, &mut item, reason),
            _ => retry_later(tx, &mut item, reason),
        },
    }
}

fn finish_failed(tx: &mut WriteTx<'_>, item: &mut Item, why: &str) -> Result<(), InboxError> {
    item.last_error = Some(ellipsis(why, 500));
    over(tx, item, ItemState::Failed)
}

fn retry_later(tx: &mut WriteTx<'_>, item: &mut Item, why: &str) -> Result<(), InboxError> {
    item.last_error = Some(ellipsis(why, 500));
    if item.attempts >= MAX_ATTEMPTS {
        return over(tx, item, ItemState::DeadLetter);
    }
    let at = usize::try_from(item.attempts.saturating_sub(1)).unwrap_or(2).min(2);
    item.state = ItemState::Failed;
    item.not_before = Some(tx.now() + SignedDuration::from_secs(RETRY_SECS[at]));
    save(tx, item)
}

/// Lets an item that failed, was given up or waits be taken at once.
///
/// # Errors
/// `WrongState` when it is in work or done.
pub fn retry(tx: &mut WriteTx<'_>, id: ItemId) -> Result<(), InboxError> {
    let mut item = load(tx, id)?;
    match item.state {
        ItemState::Leased | ItemState::Done => {
            return Err(InboxError::WrongState {
                state: item.state.word(),
                hint: "only waiting, failed or given-up items can be tried again",
            });
        }
        ItemState::Pending | ItemState::Failed | ItemState::DeadLetter | ItemState::Cancelled => {}
    }
    item.state = ItemState::Pending;
    (item.attempts, item.not_before, item.held_reason, item.ended_at) = (0, None, None, None);
    save(tx, &mut item)?;
    tx.emit(Event::ItemEnqueued { item: item.id, agent: item.agent });
    Ok(())
}

/// Cancels an item that no run has; says whether it was open.
///
/// # Errors
/// When the store refuses.
pub fn cancel(tx: &mut WriteTx<'_>, id: ItemId, reason: &str) -> Result<bool, InboxError> {
    let mut item = load(tx, id)?;
    if item.state == ItemState::Leased || !item.is_open() {
        return Ok(false);
    }
    item.last_error = Some(reason.to_owned());
    over(tx, &mut item, ItemState::Cancelled)?;
    Ok(true)
}

/// Cancels what waits for a task, of one agent or of all.
///
/// # Errors
/// When the store refuses.
pub fn cancel_for_task(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    agent: Option<AgentId>,
    reason: &str,
) -> Result<(), InboxError> {
    let items: Vec<Item> = tx.scan(OPEN_BY_TASK, &Range::prefix(KeyBuf::of(&task)).limit(500))?;
    for item in items {
        if agent.is_none_or(|agent| agent == item.agent) {
            cancel(tx, item.id, reason)?;
        }
    }
    Ok(())
}

/// Cancels all that waits for an agent.
///
/// # Errors
/// When the store refuses.
pub fn cancel_for_agent(
    tx: &mut WriteTx<'_>,
    agent: AgentId,
    reason: &str,
) -> Result<(), InboxError> {
    let mut open = KeyBuf::of(&agent);
    open.u8(0);
    let items: Vec<Item> = tx.scan(BY_AGENT, &Range::prefix(open).limit(500))?;
    for item in items {
        cancel(tx, item.id, reason)?;
    }
    Ok(())
}
