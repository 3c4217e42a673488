//! Reads of inbox items.

pub mod broken;
pub mod list;
pub mod order;
pub mod pace;
pub mod view;
pub mod why;

use kernel::key::KeyBuf;
use kernel::{AgentId, ItemKind, ItemState, TaskId, Timestamp};
use store::{Hit, Range, Read, ReadExt, StoreError};

use super::model::{BY_AGENT, DUE, Item, OPEN_BY_TASK};

/// Pending item that a new reason of the same kind joins.
pub fn pending(
    tx: &dyn Read,
    agent: AgentId,
    kind: ItemKind,
    task: Option<TaskId>,
) -> Result<Option<Item>, StoreError> {
    Ok(open(tx, agent, 200)?
        .into_iter()
        .find(|i| i.state == ItemState::Pending && i.kind == kind && i.task == task))
}

/// Like [`pending`], if it has fewer than this many reasons.
pub fn with_room(
    tx: &dyn Read,
    agent: AgentId,
    kind: ItemKind,
    task: Option<TaskId>,
    most: usize,
) -> Result<Option<Item>, StoreError> {
    let joins = |i: &Item| i.state == ItemState::Pending && i.kind == kind && i.task == task;
    let mut open = open(tx, agent, 200)?.into_iter();
    Ok(open.find(|item| joins(item) && item.reasons.len() < most))
}

/// Items that may start now, longest due first.
pub fn due(tx: &dyn Read, now: Timestamp, limit: usize) -> Result<Vec<Item>, StoreError> {
    let end = KeyBuf::of(&(now.as_millisecond() + 1));
    tx.scan(DUE, &Range::between(KeyBuf::new(), end).limit(limit))
}

/// Open items of an agent, oldest first: waiting, leased or to be retried.
pub fn open(tx: &dyn Read, agent: AgentId, limit: usize) -> Result<Vec<Item>, StoreError> {
    let mut open = KeyBuf::of(&agent);
    open.u8(0);
    tx.scan(BY_AGENT, &Range::prefix(open).limit(limit))
}

/// Like [`open`], but stops after `most` waiting items. Leased items do not count, because runs may hold them for days
/// while waiting for people.
pub fn open_until(tx: &dyn Read, agent: AgentId, most: usize) -> Result<Vec<Item>, StoreError> {
    let mut open = KeyBuf::of(&agent);
    open.u8(0);
    let mut rest = Range::prefix(open).limit(most);
    let (mut found, mut waiting) = (Vec::new(), 0);
    loop {
        let page = tx.hits::<Item>(BY_AGENT, &rest)?;
        let behind = page.last().filter(|_| page.len() == most).map(|hit| hit.key.clone());
        for hit in page {
            waiting += usize::from(hit.record.state != ItemState::Leased);
            found.push(hit.record);
            if waiting == most {
                return Ok(found);
            }
        }
        let Some(behind) = behind else { return Ok(found) };
        rest = rest.after(&behind);
    }
}

/// Next time after `now` at which an item becomes due.
pub fn next_due(tx: &dyn Read, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let start = KeyBuf::of(&(now.as_millisecond() + 1));
    let end = KeyBuf::of(&i64::MAX);
    let next: Vec<Item> = tx.scan(DUE, &Range::between(start, end).limit(1))?;
    Ok(next.first().and_then(|item| item.not_before))
}

/// Open or closed items of an agent, newest first.
pub fn of_agent(
    tx: &dyn Read,
    agent: AgentId,
    over: bool,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Hit<Item>>, StoreError> {
    let mut key = KeyBuf::of(&agent);
    key.u8(u8::from(over));
    let mut range = Range::prefix(key).reverse().limit(limit);
    if let Some(after) = after {
        range = range.after(after);
    }
    tx.hits(BY_AGENT, &range)
}

/// Number of open items of an agent, counted up to 100.
pub fn open_count(tx: &dyn Read, agent: AgentId) -> Result<usize, StoreError> {
    let mut key = KeyBuf::of(&agent);
    key.u8(0);
    tx.len(BY_AGENT, &Range::prefix(key).limit(100))
}

/// Open items of a task.
pub fn open_of_task(tx: &dyn Read, task: TaskId) -> Result<Vec<Item>, StoreError> {
    tx.scan(OPEN_BY_TASK, &Range::prefix(KeyBuf::of(&task)).limit(50))
}
