//! Who waits for whom, be it by way of others. No change may close a circle: its work would stop without a
//! word.
//!
//! A task waits for what blocks it, and for its parts, after which it is done. Both count alike, so that no
//! circle is made of some of each.
//!
//! A part does not wait for what its whole waits for: it is begun all the same, as only its own blockers
//! are asked for ([`relations::open_blockers`]). So a part may hold up what its whole waits for.
//!
//! What is done, cancelled or archived counts like all else. It holds nobody up, but it is opened again or
//! restored without a question, and that would close the circle.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use super::error::TaskError;
use super::relations;
use crate::tasks::model::Task;
use kernel::TaskId;
use store::{Read, ReadExt as _, StoreError};

/// How many tasks a search for a circle looks at.
pub const FAR: usize = 10_000;
/// How many steps of a circle are told.
const MOST_TOLD: usize = 6;

/// Relations that come with the same change and are in no list yet: who is to wait for a task.
pub type Coming = HashMap<TaskId, Vec<TaskId>>;

/// What a task waits for.
#[derive(Clone, Copy, Debug)]
struct Step {
    on: TaskId,
    /// Whether that is a part of it.
    is_part: bool,
}

/// All that waits for a task, be it by way of others.
#[derive(Clone, Debug)]
pub struct Waiting {
    on: TaskId,
    /// The next step of each on a shortest way to the task.
    next: HashMap<TaskId, Step>,
}

impl Waiting {
    /// Looks for what waits for a task, the nearest first, and ends when that is too much.
    pub fn of(read: &dyn Read, on: TaskId, coming: &Coming) -> Result<Self, StoreError> {
        let (mut next, mut queue) = (HashMap::new(), VecDeque::from([on]));
        while let Some(id) = queue.pop_front() {
            let whole = read.get::<Task>(id)?.and_then(|task| task.parent);
            let mut waiters: Vec<(TaskId, bool)> = whole.map(|id| (id, true)).into_iter().collect();
            let soon = coming.get(&id).into_iter().flatten().copied();
            let held = relations::waiter_ids(read, id)?.into_iter().chain(soon);
            waiters.extend(held.map(|id| (id, false)));
            for (waiter, is_part) in waiters {
                if let Entry::Vacant(free) = next.entry(waiter) {
                    free.insert(Step { on: id, is_part });
                    queue.push_back(waiter);
                }
            }
            if FAR < next.len() {
                break;
            }
        }
        Ok(Self { on, next })
    }

    /// The task may wait for what does not wait for it.
    ///
    /// # Errors
    /// When that waits for it already, or too much does to tell.
    pub fn may_wait(&self, read: &dyn Read, blocker: TaskId) -> Result<(), TaskError> {
        let way = self.way(blocker);
        if way.is_empty() {
            return self.is_seen(read, "other");
        }
        let (task, blocker) = (called(read, self.on)?, called(read, blocker)?);
        let parts = way.iter().filter(|(_, step)| step.is_part).count();
        Err(match parts {
            0 => TaskError::WaitCycle { task, blocker },
            all if all == way.len() => TaskError::WaitsForWhole { task, whole: blocker },
            _ => TaskError::WaitsAround { task, blocker, way: describe(read, &way)? },
        })
    }

    /// The task, which waits for its parts, may get one that does not wait for it.
    ///
    /// # Errors
    /// When that waits for it already, or too much does to tell.
    pub fn may_have_part(&self, read: &dyn Read, part: TaskId) -> Result<(), TaskError> {
        let way = self.way(part);
        if way.is_empty() {
            return self.is_seen(read, "parent");
        }
        let (part, whole) = (called(read, part)?, called(read, self.on)?);
        Err(TaskError::PartCycle { part, whole, way: describe(read, &way)? })
    }

    /// How a task waits for this one, step by step; nothing when it does not.
    fn way(&self, from: TaskId) -> Vec<(TaskId, Step)> {
        let (mut way, mut at) = (Vec::new(), from);
        // In a circle that was made before this was asked, the task itself has a step.
        while let Some(step) = self.next.get(&at).filter(|_| at != self.on) {
            way.push((at, *step));
            at = step.on;
        }
        way
    }

    /// What was found is all there is.
    fn is_seen(&self, read: &dyn Read, field: &'static str) -> Result<(), TaskError> {
        match FAR < self.next.len() {
            true => Err(TaskError::TooManyWait { task: called(read, self.on)?, field }),
            false => Ok(()),
        }
    }
}

fn called(read: &dyn Read, id: TaskId) -> Result<String, TaskError> {
    Ok(super::name(read, super::get(read, id)?.number)?)
}

/// The steps in words, the first ones of many.
fn describe(read: &dyn Read, way: &[(TaskId, Step)]) -> Result<String, TaskError> {
    let mut words = Vec::new();
    for (id, step) in way.iter().take(MOST_TOLD) {
        let (who, on) = (called(read, *id)?, called(read, step.on)?);
        let its = if step.is_part { "its part " } else { "" };
        words.push(format!("{who} waits for {its}{on}"));
    }
    if MOST_TOLD < way.len() {
        words.push("and so on".to_owned());
    }
    Ok(words.join(", "))
}
