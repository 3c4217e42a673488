//! Reactions of runs to events of other nouns.

use crate::agents::model::Agent;
use crate::comments::model::{COMMENTS, Comment};
use crate::comments::queries as comments;
use crate::deliverables::model::{Content, Deliverable, Version};
use crate::inbox::model::Item;
use crate::jobs::model::Job;
use crate::tasks::model::Task;
use crate::trust::model::Approval;
use crate::workspace::model::{Member, Settings};
use kernel::key::decode;
use kernel::text::ellipsis;
use kernel::{
    Actor, AgentId, AgentStatus, ApprovalId, Assignee, CommentId, Event, ItemKind, RoutineAct,
    RowAct, RunId, RunState, RunTrigger, SessionId, TaskField, TaskId, WaitFor, WheelAct,
};
use store::{Read, ReadExt, StoreError, WriteTx};
use tool::untrusted;

use super::model::{COMMENT_BY, HaltOf, Place, Run};
use super::queries;
use super::rules::{self, RunError, Wake};

/// Handles one event.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), RunError> {
    label(tx, event)?;
    match event {
        Event::CommentAdded { comment, task, mentions, note_only } => {
            steer(tx, *comment, *task, mentions, *note_only)
        }
        Event::TaskAssigned { task, from, to, .. } if from != to => {
            match from.and_then(Assignee::agent) {
                Some(former) => stop_on(tx, *task, Some(former)),
                None => Ok(()),
            }
        }
        Event::TaskStatusChanged { task, to, .. } if !to.is_open() => {
            rules::park::task_ended(tx, *task, *to)?;
            stop_on(tx, *task, None)
        }
        Event::TaskChanged { task, fields } if fields.contains(&TaskField::Archived) => {
            match tx.get::<Task>(*task)? {
                Some(task) if task.archived_at.is_some() => {
                    rules::park::task_archived(tx, task.id)?;
                    stop_on(tx, task.id, None)
                }
                _ => Ok(()),
            }
        }
        Event::ApprovalAnswered(approval, run, ..) => decided(tx, *approval, *run),
        Event::WheelTurned(agent, WheelAct::HandedBack) => rules::park::handed_back(tx, *agent),
        Event::AgentArchived { agent } => {
            for run in queries::live_of_agent(tx, *agent)? {
                stop(tx, run.id)?;
            }
            Ok(())
        }
        Event::UndoApplied { inputs, stops, .. } => {
            rules::withdraw(tx, inputs)?;
            for run in stops {
                stop(tx, *run)?;
            }
            Ok(())
        }
        Event::AgentStatusChanged { agent, to: AgentStatus::Ready, .. } => {
            rules::halt::lift(tx, HaltOf::Agent(*agent)).map(drop)
        }
        Event::JobEnded { job, session, .. } => match tx.get::<Job>(*job)? {
            Some(job) => hear(tx, *session, &job),
            None => Ok(()),
        },
        Event::MemberLeft { account } => rules::marks::forget(tx, *account),
        // The inbox reacts first and has turned unread comments into items.
        Event::RunEnded { run, .. } => match tx.get::<Run>(*run)? {
            Some(run) if run.task.is_some() => rules::drop_comments(tx, run.session),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Sets or clears the taint label of written content, depending on its author.
fn label(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), StoreError> {
    match event {
        Event::CommentAdded { comment, .. } => rules::taint::written(tx, Place::Comment(*comment)),
        Event::TaskCreated { task, .. } => rules::taint::written(tx, Place::Task(*task)),
        Event::TaskChanged { task, fields }
            if fields
                .iter()
                .any(|field| matches!(field, TaskField::Title | TaskField::Description)) =>
        {
            rules::taint::written(tx, Place::Task(*task))
        }
        Event::ItemEnqueued { item, .. } => match tx.get::<Item>(*item)? {
            Some(item) if says_more_than_a_title(item.kind) => {
                rules::taint::passed_on(tx, Place::of(item.id))
            }
            _ => Ok(()),
        },
        Event::DeliverableSubmitted { deliverable, .. } => {
            let name = match tx.get::<Deliverable>(*deliverable)? {
                Some(work) => match tx.get::<Version>(work.version)?.map(|one| one.content) {
                    Some(Content::File { name, .. }) => name,
                    _ => String::new(),
                },
                None => String::new(),
            };
            rules::taint::delivered(tx, Place::of(*deliverable), &name)
        }
        Event::FileAdded { file, name, .. } => rules::taint::delivered(tx, Place::of(*file), name),
        Event::StreamCreated { stream } | Event::StreamChanged { stream } => {
            rules::taint::written(tx, Place::of(*stream))
        }
        Event::RoutineChanged {
            routine, act: RoutineAct::Created | RoutineAct::Changed, ..
        } => rules::taint::written(tx, Place::of(*routine)),
        Event::Row { table, id, act: RowAct::Created | RowAct::Changed, .. } => {
            let place = match *table == COMMENTS.number {
                true => decode(id).map(Place::Comment),
                false => decode(id).map(Place::Record),
            };
            match place {
                Some(place) => rules::taint::written(tx, place),
                None => Ok(()),
            }
        }
        // The label is deleted with its record. Undo restores both.
        Event::Row { id, act: RowAct::Deleted, .. } => match decode(id).map(Place::Record) {
            Some(place) => rules::taint::accept(tx, &place).map(drop),
            None => Ok(()),
        },
        Event::FileRemoved { file, .. } => rules::taint::accept(tx, &Place::of(*file)).map(drop),
        Event::RoutineChanged { routine, act: RoutineAct::Deleted, .. } => {
            rules::taint::accept(tx, &Place::of(*routine)).map(drop)
        }
        // Changes made by runs are labelled through their own events.
        Event::AgentFilesChanged { agent, path, .. } => {
            let place = Place::File { agent: *agent, path: path.clone() };
            rules::taint::written(tx, place)
        }
        _ => Ok(()),
    }
}

/// Whether an item of this kind carries text of its author beyond the task title, which has its own label.
fn says_more_than_a_title(kind: ItemKind) -> bool {
    !matches!(
        kind,
        ItemKind::TaskAssignment
            | ItemKind::TaskReassignment
            | ItemKind::TaskOverdue
            | ItemKind::StartNow
    )
}

/// Resumes the run whose call was approved or denied. If an answer to another call of the same message already
/// resumed the run, the run reaches this call by itself.
fn decided(tx: &mut WriteTx<'_>, approval: ApprovalId, run: RunId) -> Result<(), RunError> {
    let approval = tx.get::<Approval>(approval)?;
    let waits =
        |run: &Run| run.state == RunState::Waiting && run.waits_for() == Some(WaitFor::Approval);
    let run = tx.get::<Run>(run)?.filter(waits);
    let (Some(run), Some(answer)) = (run, approval.and_then(|one| one.answer)) else {
        return Ok(());
    };
    let message = match answer.note.as_str() {
        "" => answer.answer.label().to_owned(),
        note => format!("{}: {note}", answer.answer.label()),
    };
    rules::park::decided(tx, run, &message).map(drop)
}

/// Reports the end of a job to its session. A job stopped by the agent is not reported. A job stopped by a person
/// does not wake the session.
fn hear(tx: &mut WriteTx<'_>, session: SessionId, job: &Job) -> Result<(), RunError> {
    match &job.stop {
        Some(stop) if stop.by.is_none() => Ok(()),
        Some(_) => {
            let text = job_ended(tx, job)?;
            rules::tell(tx, session, &text, Wake::Later)
        }
        None => {
            let text = job_ended(tx, job)?;
            rules::tell(tx, session, &text, Wake::Now)?;
            rules::park::job_ended(tx, session)
        }
    }
}

/// Text about an ended job, as its session reads it. The output is marked untrusted if the job may use the network or
/// its session is tainted.
fn job_ended(tx: &dyn Read, job: &Job) -> Result<String, StoreError> {
    let is_untrusted = queries::taint::is_of_job(tx, job.agent, job.session)?;
    let how = job.outcome.as_ref().map(|outcome| outcome.describe()).unwrap_or_default();
    let seconds = job.ended_at.map_or(0, |at| job.seconds(at));
    let command = ellipsis(job.command.trim(), 200);
    let tail = match job.tail.trim_end() {
        "" => "It had no output.".to_owned(),
        tail if is_untrusted => {
            let marked = untrusted::wrap(&untrusted::id_of(&job.id.to_string()), tail);
            format!("Last output:\n{marked}\n")
        }
        tail => format!("Last output:\n{tail}"),
    };
    let number = job.number;
    Ok(format!("[Program {number} has ended after {seconds} s: {how}. Command: {command}. {tail}]"))
}

/// Stops the runs on a task that a person took away. An agent that closes or hands over its own task reports its
/// outcome itself.
fn stop_on(tx: &mut WriteTx<'_>, task: TaskId, agent: Option<AgentId>) -> Result<(), RunError> {
    if tx.by().account().is_none() {
        return Ok(());
    }
    for run in queries::live_on_task(tx, task)? {
        let works = run.item.is_some() || run.trigger == RunTrigger::Child;
        if agent.is_none_or(|agent| agent == run.agent) && works {
            stop(tx, run.id)?;
        }
    }
    Ok(())
}

/// Stops a run that is still live. An earlier stop in the loop may have ended it.
fn stop(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), RunError> {
    if tx.get::<Run>(run)?.is_some_and(|run| run.is_live()) {
        rules::request_stop(tx, run, tx.by().account())?;
    }
    Ok(())
}

/// Delivers a comment to agents that work on the task; they read it at their next step.
fn steer(
    tx: &mut WriteTx<'_>,
    comment: CommentId,
    task: TaskId,
    mentions: &[AgentId],
    note_only: bool,
) -> Result<(), RunError> {
    let (Some(comment), Some(task)) = (tx.get::<Comment>(comment)?, tx.get::<Task>(task)?) else {
        return Ok(());
    };
    let mut agents = comments::called(tx, tx.now(), &comment, mentions)?.to_vec();
    let reaches = tx.get::<Settings>(())?.is_none_or(|s| s.comments_reach_assignee);
    if let Some(agent) = task.assignee.and_then(Assignee::agent)
        && comment.author.account().is_some()
        && !note_only
        && reaches
        && !agents.contains(&agent)
    {
        agents.push(agent);
    }
    for agent in agents {
        if let Some(run) = queries::live_of_task(tx, task.id, agent)? {
            let name = match comment.author {
                Actor::Person { account, .. } => tx.get::<Member>(account)?.map(|m| m.name),
                Actor::Agent { agent, .. } => tx.get::<Agent>(agent)?.map(|a| a.name),
                _ => None,
            };
            let name = name.unwrap_or_else(|| "HQ".to_owned());
            let text = format!("{COMMENT_BY}{name}:\n\n{}", comment.body);
            rules::steer(tx, &run, comment.id, &text)?;
        }
    }
    Ok(())
}
