//! Passed due dates. People are notified of each once. Inactive tasks become missed some days later and can be reopened
//! with a new date.

use super::TaskPatch;
use crate::agents::model::Agent;
use crate::agents::queries::lines;
use crate::tasks::model::Task;
use crate::tasks::model::overdue::{OverdueMark, TaskRules};
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::overdue::{self as reads, Fell};
use crate::tasks::queries::{self, checks};
use kernel::{About, Assignee, Notice, NoticeKind, TaskId, TaskStatus, Timestamp};
use store::{ReadExt as _, StoreError, WriteTx};

/// Upper limit of `missed_after_days`.
const MOST: u16 = 365;

/// Applies the consequences of passed due dates. Skips entries that no longer hold.
pub fn settle(tx: &mut WriteTx<'_>, fallen: &[Fell]) -> Result<(), TaskError> {
    let passed = reads::passed(tx, tx.now())?;
    for fell in fallen {
        let (Fell::Overdue(id) | Fell::Noted(id) | Fell::Missed(id, _)) = *fell;
        let task = tx.get::<Task>(id)?;
        let Some(task) = task.filter(|t| passed.is_overdue(t) && t.archived_at.is_none()) else {
            continue;
        };
        let Some(due_at) = task.due_at else { continue };
        if let Fell::Missed(_, since) = fell {
            if reads::is_lost(tx, &task, *since)? {
                super::set_status(tx, id, TaskStatus::Missed)?;
            }
            continue;
        }
        tx.put(&OverdueMark { task: id, due_at })?;
        if let Fell::Overdue(_) = fell {
            tell(tx, &task)?;
        }
    }
    Ok(())
}

/// Notifies the assignee, the watchers and the person responsible for the agent. The agent itself is notified by its
/// inbox.
fn tell(tx: &mut WriteTx<'_>, task: &Task) -> Result<(), StoreError> {
    let name = queries::name(tx, task.number)?;
    let title = format!("{name} \u{201c}{}\u{201d} is overdue", task.title);
    let mut notice = Notice::new(NoticeKind::TaskOverdue, About::Task(task.id), title).or_admins();
    match task.assignee {
        Some(Assignee::Person(account)) => notice = notice.to(account),
        Some(Assignee::Agent(id)) => {
            if let Some(agent) = tx.get::<Agent>(id)? {
                notice = notice.body(format!("{} has not finished it.", agent.name));
                if let Some(person) = lines::first_person(tx, id)? {
                    notice = notice.to(person);
                }
            }
        }
        Some(Assignee::System) | None => {}
    }
    tx.emit(notice.event());
    Ok(())
}

/// Reopens a missed task with a future due date and its former status.
///
/// # Errors
/// If the task is not missed or the date is not in the future.
pub fn reopen(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    due_at: Option<Timestamp>,
    due_has_time: bool,
) -> Result<Task, TaskError> {
    let task = checks::in_use(tx, id)?;
    if task.status != TaskStatus::Missed {
        return Err(TaskError::field("status", "only a missed task can be reopened"));
    }
    let Some(due_at) = due_at.filter(|at| *at > tx.now()) else {
        return Err(TaskError::field("due", "choose a future date"));
    };
    let patch = TaskPatch { due_at: Some(Some(due_at)), due_has_time, ..TaskPatch::default() };
    super::update(tx, id, patch)?;
    super::set_status(tx, id, task.before_missed.unwrap_or(TaskStatus::Todo))
}

/// Replaces the task rules.
///
/// # Errors
/// If `missed_after_days` is too large.
pub fn set_rules(tx: &mut WriteTx<'_>, rules: TaskRules) -> Result<TaskRules, TaskError> {
    if MOST < rules.missed_after_days {
        return Err(TaskError::field("missed_after_days", format!("use 0 to {MOST} days")));
    }
    tx.put(&rules)?;
    Ok(rules)
}
