//! Marks notifications as read for all recipients once nobody needs to act: after an answer, a review, a retry, or the
//! end of a run or task; and for a person who acts on their subject. Same transaction as the event.

use crate::agents::model::Agent;
use crate::comments::model::Comment;
use crate::deliverables::model::Deliverable;
use crate::inbox::model::{DROPPED_AFTER, Item};
use crate::inbox::queries::broken;
use crate::notifications::rules::NotificationError;
use crate::notifications::rules::settling::{acted, settle};
use crate::runs::model::Run;
use crate::tasks::queries::standing;
use crate::trust::queries as trust;
use kernel::{
    About, AgentId, AgentStatus, Event, ItemId, ItemKind, ItemState, NoticeKind, RunId, RunState,
    TaskId, TaskStatus, WaitFor,
};
use store::{ReadExt as _, WriteTx};

/// Kinds that report the state of a task.
const TASK_STATE: &[NoticeKind] = &[
    NoticeKind::TaskAssigned,
    NoticeKind::TaskBlocked,
    NoticeKind::TaskCompleted,
    NoticeKind::TaskOverdue,
    NoticeKind::TaskReminder,
    NoticeKind::BlockerResolved,
    NoticeKind::WorkFailed,
];
/// Kinds that report what was said.
const DISCUSSION: &[NoticeKind] =
    &[NoticeKind::AgentComment, NoticeKind::Comment, NoticeKind::Mention];

pub(super) fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), NotificationError> {
    if let (Some(member), Some((about, kinds))) = (tx.by().account(), acted_on(tx, event)?) {
        acted(tx, member, about, kinds)?;
    }
    match event {
        Event::RunAnswered { run, .. } | Event::ApprovalAnswered(_, run, ..) => asks(tx, *run),
        Event::RunEnded { run, agent, item, outcome, .. } => {
            asks(tx, *run)?;
            if item.is_some() && outcome == "done" && works(tx, *agent)? {
                settle(tx, About::Agent(*agent), NoticeKind::AgentStalled)?;
            }
            Ok(())
        }
        Event::DeliverableReviewed { deliverable, task, .. } => {
            let task = tx.get::<Deliverable>(*deliverable)?.map_or(*task, |piece| piece.task);
            if standing::in_review(tx, task)? {
                return Ok(());
            }
            settle(tx, About::Task(task), NoticeKind::DeliverableSubmitted)
        }
        Event::TaskStatusChanged { task, from, to, .. } => moved(tx, *task, *from, *to),
        // A person's comment answers the question asked on the task.
        Event::CommentAdded { comment, .. } => match tx.get::<Comment>(*comment)? {
            Some(comment) if comment.author.account().is_some() => {
                settle(tx, comment.on.about(), NoticeKind::QuestionAsked)
            }
            _ => Ok(()),
        },
        Event::ItemEnqueued { item, .. } => taken_up(tx, *item),
        Event::ItemEnded { item, .. } => dropped(tx, *item),
        Event::AgentStatusChanged { agent, from: AgentStatus::Error, to } => match to {
            AgentStatus::Error => Ok(()),
            _ => settle(tx, About::Agent(*agent), NoticeKind::AgentStalled),
        },
        _ => Ok(()),
    }
}

/// The subject of an event and the kinds of notifications that its actor no longer needs. Whoever comments has read the
/// discussion. Any other change of a task, which may be a drag or a script, proves only that its state is known.
fn acted_on(
    tx: &WriteTx<'_>,
    event: &Event,
) -> Result<Option<(About, &'static [NoticeKind])>, NotificationError> {
    Ok(match event {
        Event::TaskStatusChanged { task, .. }
        | Event::TaskAssigned { task, .. }
        | Event::DeliverableReviewed { task, .. } => Some((About::Task(*task), TASK_STATE)),
        Event::CommentAdded { comment, .. } => {
            tx.get::<Comment>(*comment)?.map(|comment| (comment.on.about(), DISCUSSION))
        }
        _ => None,
    })
}

fn works(tx: &WriteTx<'_>, agent: AgentId) -> Result<bool, NotificationError> {
    Ok(tx.get::<Agent>(agent)?.is_some_and(|agent| agent.status != AgentStatus::Error))
}

/// Settles the requests of a run that are no longer pending.
fn asks(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), NotificationError> {
    let Some(run) = tx.get::<Run>(run)? else { return Ok(()) };
    let is_over = run.state == RunState::Ended;
    let waits_for = run.waits_for();
    if is_over || trust::waiting_of(tx, run.id)?.is_none() {
        settle(tx, About::Run(run.id), NoticeKind::ApprovalRequested)?;
    }
    let asks = |what: WaitFor| what.needs_person() && what != WaitFor::Approval;
    if is_over || !waits_for.is_some_and(asks) {
        settle(tx, About::Run(run.id), NoticeKind::QuestionAsked)?;
    }
    Ok(())
}

fn moved(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    from: TaskStatus,
    to: TaskStatus,
) -> Result<(), NotificationError> {
    let about = About::Task(task);
    if from == TaskStatus::Blocked && to != from {
        settle(tx, about, NoticeKind::TaskBlocked)?;
    }
    if !matches!(to, TaskStatus::Done | TaskStatus::Cancelled) {
        return Ok(());
    }
    for kind in [
        NoticeKind::WorkFailed,
        NoticeKind::DeliverableSubmitted,
        NoticeKind::QuestionAsked,
        NoticeKind::TaskReminder,
        NoticeKind::TaskOverdue,
    ] {
        settle(tx, about, kind)?;
    }
    Ok(())
}

/// Failed work was retried. An escalation to another agent does not count.
fn taken_up(tx: &mut WriteTx<'_>, item: ItemId) -> Result<(), NotificationError> {
    match tx.get::<Item>(item)? {
        Some(item) if item.kind != ItemKind::TaskEscalation => no_longer_failed(tx, &item),
        _ => Ok(()),
    }
}

/// Failed work was dropped.
fn dropped(tx: &mut WriteTx<'_>, item: ItemId) -> Result<(), NotificationError> {
    let is_dropped = |item: &Item| {
        let why = item.last_error.as_deref().unwrap_or_default();
        item.state == ItemState::Cancelled && why.starts_with(DROPPED_AFTER)
    };
    match tx.get::<Item>(item)?.filter(is_dropped) {
        Some(item) => no_longer_failed(tx, &item),
        None => Ok(()),
    }
}

fn no_longer_failed(tx: &mut WriteTx<'_>, item: &Item) -> Result<(), NotificationError> {
    let Some(task) = item.task else {
        // A notification without a task may cover several items.
        let agent: Vec<Agent> = tx.get::<Agent>(item.agent)?.into_iter().collect();
        let left = broken::of(tx, &agent, tx.now())?;
        if left.iter().any(|one| one.task.is_none()) {
            return Ok(());
        }
        return settle(tx, About::Agent(item.agent), NoticeKind::WorkFailed);
    };
    settle(tx, About::Task(task), NoticeKind::WorkFailed)
}
