//! Reactions of tasks to events of other nouns.

use jiff::ToSpan;

use super::model::Task;
use super::queries::relations::keeps_waiting;
use super::queries::{self, error::TaskError};
use super::rules::templates::Spawn;
use super::rules::{self, NewTask};
use crate::routines::model::{Firing, Routine};
use crate::routines::queries::plan;
use crate::workspace::model::Settings;
use kernel::{AgentId, Assignee, Event, FiringId, RoutineId, TaskField, Verdict};
use store::{ReadExt as _, WriteTx};

/// Handles one event in the transaction that emitted it.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), TaskError> {
    match event {
        Event::RunStarted { agent, task: Some(task), .. } => {
            rules::begin(tx, *task, Assignee::Agent(*agent))
        }
        Event::DeliverableReviewed { task, verdict: Verdict::Approved, .. } => {
            rules::complete_if_accepted(tx, *task).map(|_| ())
        }
        Event::TaskStatusChanged { task, from, to, .. }
            if keeps_waiting(*from) && !keeps_waiting(*to) =>
        {
            rules::relations::settle(tx, *task)
        }
        Event::TaskChanged { task, fields } if fields.contains(&TaskField::Archived) => {
            match tx.get::<Task>(*task)? {
                Some(task) if task.archived_at.is_some() && keeps_waiting(task.status) => {
                    rules::relations::settle(tx, task.id)
                }
                _ => Ok(()),
            }
        }
        Event::AgentSucceeded { agent, tasks, .. } => {
            Ok(rules::pass_on(tx, Assignee::Agent(*agent), *tasks)?)
        }
        Event::RoutineFired { routine, firing, agent } => made(tx, *routine, *firing, *agent),
        _ => Ok(()),
    }
}

/// Creates the task of a fired routine, or a task with the items of a template as its subtasks.
fn made(
    tx: &mut WriteTx<'_>,
    routine: RoutineId,
    firing: FiringId,
    agent: AgentId,
) -> Result<(), TaskError> {
    let (Some(routine), Some(firing)) = (tx.get::<Routine>(routine)?, tx.get::<Firing>(firing)?)
    else {
        return Ok(());
    };
    let Some(form) = routine.action.task() else { return Ok(()) };
    let zone = tx.get::<Settings>(())?.map_or_else(|| "UTC".to_owned(), |one| one.zone);
    let due_at = match form.due_days {
        Some(days) => {
            let zone = queries::due::zone(&zone);
            let day = queries::due::day(tx.now(), &zone).checked_add(i64::from(days).days());
            match day {
                Ok(day) => queries::due::parse(&day.to_string(), &zone, tx.now())?,
                Err(_) => None,
            }
        }
        None => None,
    };
    let new = NewTask {
        description: firing.instruction.clone(),
        priority: form.priority,
        assignee: form.assigned.then_some(Assignee::Agent(agent)),
        due_at,
        ..NewTask::titled(firing.title.clone())
    };
    // Plan first: if the template is gone, nothing is created.
    let plan = match routine.action.tasks() {
        Some(form) => Some((form.template, plan::of(tx, (&routine, form), &firing)?)),
        None => None,
    };
    let above = rules::create(tx, new)?;
    if let Some((template, plan)) = plan {
        let how = Spawn { parent: Some(above.id), roles: plan.roles, ..Spawn::default() };
        rules::templates::make(tx, (template, &plan.items), &how)?;
    }
    Ok(())
}
