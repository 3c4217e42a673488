//! Wait cycles between tasks. No change may close a cycle, because its tasks would stop silently.
//!
//! A task waits for its blockers and for its subtasks. Both count, so that no cycle mixes them. A subtask does not wait
//! for the blockers of its parent: it starts regardless, because only its own blockers are checked
//! ([`relations::open_blockers`]). So a subtask may block what its parent waits for.
//!
//! Done, cancelled and archived tasks count too. They block nobody, but they can be reopened or restored without a
//! check, which would close the cycle.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use super::error::TaskError;
use super::relations;
use crate::tasks::model::Task;
use kernel::TaskId;
use store::{Read, ReadExt as _, StoreError};

/// Maximum number of tasks in a cycle search.
pub const FAR: usize = 10_000;
/// Maximum number of steps of a cycle in a message.
const MOST_TOLD: usize = 6;

/// Relations of the current change that are not stored yet: task to the tasks that will wait for it.
pub type Coming = HashMap<TaskId, Vec<TaskId>>;

/// One wait edge.
#[derive(Clone, Copy, Debug)]
struct Step {
    on: TaskId,
    /// `true` if `on` is a subtask of the waiting task.
    is_part: bool,
}

/// All tasks that wait for a task, directly or indirectly.
#[derive(Clone, Debug)]
pub struct Waiting {
    on: TaskId,
    /// Next step of each task on a shortest path to `on`.
    next: HashMap<TaskId, Step>,
}

impl Waiting {
    /// Breadth-first search for the tasks that wait for `on`. Stops after [`FAR`] tasks.
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

    /// Checks that the task may wait for `blocker`.
    ///
    /// # Errors
    /// If `blocker` already waits for the task, or too many tasks wait for it to tell.
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

    /// Checks that the task may get `part` as a subtask, because it then waits for it.
    ///
    /// # Errors
    /// If `part` already waits for the task, or too many tasks wait for it to tell.
    pub fn may_have_part(&self, read: &dyn Read, part: TaskId) -> Result<(), TaskError> {
        let way = self.way(part);
        if way.is_empty() {
            return self.is_seen(read, "parent");
        }
        let (part, whole) = (called(read, part)?, called(read, self.on)?);
        Err(TaskError::PartCycle { part, whole, way: describe(read, &way)? })
    }

    /// Path on which `from` waits for this task. Empty if it does not wait.
    fn way(&self, from: TaskId) -> Vec<(TaskId, Step)> {
        let (mut way, mut at) = (Vec::new(), from);
        // In a cycle from before this check existed, the task itself has a step.
        while let Some(step) = self.next.get(&at).filter(|_| at != self.on) {
            way.push((at, *step));
            at = step.on;
        }
        way
    }

    /// Checks that the search was complete.
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

/// The first [`MOST_TOLD`] steps in words.
fn describe(read: &dyn Read, way: &[(TaskId, Step)]) -> Result<String, TaskError> {
    let mut words = Vec::new();
    for (id, step) in way.iter().take(MOST_TOLD) {
        let (who, on) = (called(read, *id)?, called(read, step.on)?);
        let its = if step.is_part { "its subtask " } else { "" };
        words.push(format!("{who} waits for {its}{on}"));
    }
    if MOST_TOLD < way.len() {
        words.push("and so on".to_owned());
    }
    Ok(words.join(", "))
}
