//! Inbox items for events, in the transaction that emits them.

mod line;

use crate::agents::model::Agent;
use crate::comments::model::{COMMENTS, Comment};
use crate::comments::queries as comments;
use crate::deliverables::model::{self as deliverables, Deliverable, Review};
use crate::deliverables::queries::describe;
use crate::places::Spot;
use crate::routines::model::{Firing, Routine};
use crate::runs::model::{Child, Run, Session};
use crate::runs::queries as runs;
use crate::tasks::model::Task;
use crate::workspace::model::Settings;
use kernel::key::{KeyBuf, decode};
use kernel::text::{cut, ellipsis};
use kernel::{
    About, Actor, AgentId, Assignee, CommentId, DeliverableId, DeliverableState, Event, FiredBy,
    FiringId, ItemKind, NoticeKind, Outcome, Priority, RunId, TaskField, TaskId, TaskStatus,
    Verdict, VersionId,
};
use store::{Range, ReadExt, WriteTx};

use super::model::{Item, Reason};
use super::queries;
use super::rules::{self, InboxError, NewItem};

pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), InboxError> {
    match event {
        Event::TaskAssigned { task, from, to, assignment } => {
            assigned(tx, *task, *from, *to, *assignment)
        }
        Event::TaskStatusChanged { task, from, to, .. } => {
            if !to.is_open() {
                rules::cancel_for_task(tx, *task, None, "task closed")?;
            }
            match to {
                TaskStatus::Blocked => {
                    line::blocked(tx, *task)?;
                    line::came_back(tx, *task)
                }
                to if !to.is_open() => line::came_back(tx, *task),
                _ if *from == TaskStatus::Blocked => line::taken_up(tx, *task),
                _ => Ok(()),
            }
        }
        Event::TaskEscalated { task, agent, to, text } => {
            line::escalated(tx, *task, *agent, *to, text)
        }
        Event::DeliverableSubmitted { deliverable, task, .. } => {
            line::delivered(tx, *deliverable, *task)
        }
        Event::TaskChanged { task, fields } if fields.contains(&TaskField::Archived) => {
            match tx.get::<Task>(*task)? {
                Some(task) if task.archived_at.is_some() => {
                    rules::cancel_for_task(tx, task.id, None, "task archived")
                }
                _ => Ok(()),
            }
        }
        Event::CommentAdded { comment, task, mentions, note_only } => {
            commented(tx, *comment, *task, mentions, *note_only)
        }
        Event::Row { table, id, .. } if *table == COMMENTS.number => match decode(id) {
            Some(comment) => named_on(tx, comment),
            None => Ok(()),
        },
        Event::DeliverableReviewed { deliverable, version, task, verdict, submitter } => {
            match submitter {
                Some(agent) if *verdict != Verdict::Approved || is_left(tx, *task, *agent)? => {
                    reviewed(tx, *deliverable, *version, *task, *agent)
                }
                _ => Ok(()),
            }
        }
        Event::TaskUnblocked { task, by } => unblocked(tx, *task, *by),
        Event::TaskStartAsked { task } => start_asked(tx, *task),
        Event::AgentMessageSent { from, to, task, text } => messaged(tx, *from, *to, *task, text),
        Event::AgentArchived { agent } => rules::cancel_for_agent(tx, *agent, "agent archived"),
        Event::RunEnded { run, .. } => ended(tx, *run),
        Event::ChildEnded { run, parent, .. } => part_ended(tx, *run, *parent),
        Event::NoticeGiven { notice } if notice.kind == NoticeKind::TaskOverdue => {
            match notice.about {
                About::Task(task) => overdue(tx, task),
                _ => Ok(()),
            }
        }
        Event::UndoApplied { items, .. } => rules::cancel_items(tx, items, "undone"),
        Event::RoutineFired { firing, agent, .. } => fired(tx, *firing, *agent),
        _ => Ok(()),
    }
}

fn reason(by: Actor, summary: String) -> Reason {
    Reason {
        summary: ellipsis(&summary, 300),
        comment: None,
        deliverable: None,
        person: by.account(),
        agent: by.agent(),
        text: String::new(),
    }
}

/// Work assigned by a person has at least high priority.
fn priority(by: Actor, task: &Task) -> Priority {
    match by.account() {
        Some(_) => task.priority.max(Priority::High),
        None => task.priority,
    }
}

fn is_workable(task: &Task) -> bool {
    task.status.is_open() && task.archived_at.is_none()
}

fn assigned(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    from: Option<Assignee>,
    to: Option<Assignee>,
    assignment: u32,
) -> Result<(), InboxError> {
    let former = from.and_then(Assignee::agent);
    if let Some(former) = former.filter(|_| from != to) {
        rules::cancel_for_task(tx, task, Some(former), "reassigned")?;
    }
    let (Some(agent), Some(task)) = (to.and_then(Assignee::agent), tx.get::<Task>(task)?) else {
        return Ok(());
    };
    if !is_workable(&task) {
        return Ok(());
    }
    let kind = match former {
        Some(former) if former != agent => ItemKind::TaskReassignment,
        _ => ItemKind::TaskAssignment,
    };
    let new = NewItem {
        agent,
        kind,
        task: Some(task.id),
        key: format!("{kind}:{}:{assignment}", task.id),
        priority: priority(tx.by(), &task),
        by: tx.by(),
        reason: reason(tx.by(), format!("Task assigned: {}", task.title)),
    };
    rules::enqueue(tx, new).map(|_| ())
}

fn commented(
    tx: &mut WriteTx<'_>,
    comment: CommentId,
    task: TaskId,
    mentions: &[AgentId],
    note_only: bool,
) -> Result<(), InboxError> {
    let (Some(comment), Some(task)) = (tx.get::<Comment>(comment)?, tx.get::<Task>(task)?) else {
        return Ok(());
    };
    let kind = ItemKind::TaskCommentMention;
    for agent in comments::called(tx, tx.now(), &comment, mentions)? {
        match runs::live_of_task(tx, task.id, *agent)? {
            None => enqueue_comment(tx, &task, &comment, *agent, kind)?,
            // The run reads the comment at its next step and from then on also acts for the comment's author.
            Some(Run { item: Some(item), .. }) if comment.author.agent().is_some() => {
                let summary = format!("You were mentioned on: {}", task.title);
                let reason =
                    Reason { comment: Some(comment.id), ..reason(comment.author, summary) };
                rules::also_asked(tx, item, reason)?;
            }
            Some(_) => {}
        }
    }
    let Some(agent) = task.assignee.and_then(Assignee::agent) else { return Ok(()) };
    let reaches = tx.get::<Settings>(())?.is_none_or(|s| s.comments_reach_assignee);
    let by_person = comment.author.account().is_some();
    let called = !by_person || note_only || !reaches || mentions.contains(&agent);
    // A run working on the task reads the comment at its next step; `runs` steers it.
    if called || !is_workable(&task) || runs::live_of_task(tx, task.id, agent)?.is_some() {
        return Ok(());
    }
    enqueue_comment(tx, &task, &comment, agent, ItemKind::TaskComment)
}

/// A mention on a record becomes work without a task.
fn named_on(tx: &mut WriteTx<'_>, comment: CommentId) -> Result<(), InboxError> {
    let Some(comment) = tx.get::<Comment>(comment)? else { return Ok(()) };
    let Some(spot) = Spot::read(tx, comment.on)? else { return Ok(()) };
    let kind = ItemKind::TaskCommentMention;
    for agent in comments::called(tx, tx.now(), &comment, &comment.mentions)? {
        if tx.get::<Agent>(*agent)?.is_none_or(|agent| agent.archived_at.is_some()) {
            continue;
        }
        let summary = format!("You were mentioned on {} ({})", spot.name, spot.word());
        let by_person = comment.author.account().is_some();
        let new = NewItem {
            agent: *agent,
            kind,
            task: None,
            key: format!("{kind}:{}:{agent}", comment.id),
            priority: if by_person { Priority::High } else { Priority::Medium },
            by: comment.author,
            reason: Reason {
                comment: Some(comment.id),
                text: cut(&comment.body, 1024).to_owned(),
                ..reason(comment.author, summary)
            },
        };
        rules::enqueue(tx, new)?;
    }
    Ok(())
}

fn enqueue_comment(
    tx: &mut WriteTx<'_>,
    task: &Task,
    comment: &Comment,
    agent: AgentId,
    kind: ItemKind,
) -> Result<(), InboxError> {
    if tx.get::<Agent>(agent)?.is_none_or(|a| a.archived_at.is_some()) {
        return Ok(());
    }
    let summary = match kind {
        ItemKind::TaskCommentMention => format!("You were mentioned on: {}", task.title),
        _ => format!("New comment on: {}", task.title),
    };
    let reason = Reason {
        comment: Some(comment.id),
        text: cut(&comment.body, 1024).to_owned(),
        ..reason(comment.author, summary)
    };
    let new = NewItem {
        agent,
        kind,
        task: Some(task.id),
        key: format!("{kind}:{}:{agent}", comment.id),
        priority: priority(comment.author, task),
        by: comment.author,
        reason,
    };
    rules::enqueue(tx, new).map(|_| ())
}

/// A due date has passed. Informs the assigned agent, once per date.
fn overdue(tx: &mut WriteTx<'_>, task: TaskId) -> Result<(), InboxError> {
    let Some(task) = tx.get::<Task>(task)?.filter(is_workable) else { return Ok(()) };
    let (Some(agent), Some(due)) = (task.assignee.and_then(Assignee::agent), task.due_at) else {
        return Ok(());
    };
    let kind = ItemKind::TaskOverdue;
    let new = NewItem {
        agent,
        kind,
        task: Some(task.id),
        key: format!("{kind}:{}:{}", task.id, due.as_millisecond()),
        priority: task.priority.max(Priority::High),
        by: tx.by(),
        reason: reason(tx.by(), format!("Overdue: {}", task.title)),
    };
    rules::enqueue(tx, new)?;
    line::late(tx, &task, agent, due)
}

/// Closes the item of an ended run. Comments that the run has not read become work.
fn ended(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), InboxError> {
    let Some(run) = tx.get::<Run>(run)? else { return Ok(()) };
    // An undo may have deleted the item with its task.
    if let Some(item) = run.item
        && tx.get::<Item>(item)?.is_some()
    {
        rules::close(tx, item, &run)?;
        line::given_up(tx, item, &run)?;
    }
    let Some(task) = run.task else { return Ok(()) };
    let left = runs::open_inputs(tx, run.session)?;
    let Some(task) = tx.get::<Task>(task)?.filter(|t| !left.is_empty() && t.archived_at.is_none())
    else {
        return Ok(());
    };
    for comment in left.into_iter().filter_map(|input| input.comment) {
        let Some(comment) = tx.get::<Comment>(comment)? else { continue };
        if comment.mentions.contains(&run.agent) {
            late_comment(tx, &task, &comment, run.agent, ItemKind::TaskCommentMention)?;
        } else if task.assignee == Some(Assignee::Agent(run.agent)) {
            late_comment(tx, &task, &comment, run.agent, ItemKind::TaskComment)?;
        }
    }
    Ok(())
}

/// A comment that a run has not read. If the chain is too deep it creates no work and must not prevent the run from
/// ending.
fn late_comment(
    tx: &mut WriteTx<'_>,
    task: &Task,
    comment: &Comment,
    agent: AgentId,
    kind: ItemKind,
) -> Result<(), InboxError> {
    match enqueue_comment(tx, task, comment, agent, kind) {
        Err(InboxError::TooDeep) => Ok(()),
        other => other,
    }
}

/// A sub-agent ended after its parent's work was done for now. The result is queued in the parent's conversation, which
/// continues with it. Work that failed is left for a person to resume.
fn part_ended(tx: &mut WriteTx<'_>, child: RunId, parent: RunId) -> Result<(), InboxError> {
    let (Some(run), Some(child)) = (tx.get::<Run>(child)?, tx.get::<Child>(child)?) else {
        return Ok(());
    };
    let Some(parent) = tx.get::<Run>(parent)?.filter(|parent| parent.item.is_some()) else {
        return Ok(());
    };
    let rests = tx.get::<Session>(parent.session)?.is_some_and(|s| s.active_run.is_none());
    if child.told || child.input.is_none() || parent.outcome != Some(Outcome::Done) || !rests {
        return Ok(());
    }
    let task = match parent.task {
        Some(task) => match tx.get::<Task>(task)?.filter(is_workable) {
            Some(task) => Some(task),
            None => return Ok(()),
        },
        None => None,
    };
    let by = tx.by();
    let new = NewItem {
        agent: run.agent,
        kind: ItemKind::DelegationResult,
        task: task.as_ref().map(|task| task.id),
        key: format!("subagent_result:{}", run.id),
        priority: task.as_ref().map_or(Priority::Medium, |task| task.priority),
        by,
        reason: reason(by, format!("Sub-agent {} has ended: {}", run.name(), run.title)),
    };
    match rules::enqueue(tx, new) {
        Ok(_) | Err(InboxError::TooDeep) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A blocker of a task is done. The waiting assignment absorbs this reason; otherwise it becomes an item.
fn unblocked(tx: &mut WriteTx<'_>, task: TaskId, by: TaskId) -> Result<(), InboxError> {
    let (Some(task), Some(over)) = (tx.get::<Task>(task)?, tx.get::<Task>(by)?) else {
        return Ok(());
    };
    let Some(agent) = task.assignee.and_then(Assignee::agent).filter(|_| is_workable(&task)) else {
        return Ok(());
    };
    // A run that unblocked its own task continues with it.
    let own = match tx.by().run() {
        Some(run) => tx.get::<Run>(run)?.is_some_and(|run| run.task == Some(task.id)),
        None => false,
    };
    if own {
        return Ok(());
    }
    let key = tx.get::<Settings>(())?.map_or_else(|| "HQ".to_owned(), |s| s.task_key);
    let state = match (over.archived_at, over.status.is_open()) {
        (Some(_), true) => "archived",
        (_, true) => "no longer blocking",
        (_, false) => over.status.word(),
    };
    let name = format!("{key}-{} \"{}\"", over.number, over.title);
    let mut kind = ItemKind::BlockerResolved;
    for waiting in [ItemKind::TaskAssignment, ItemKind::TaskReassignment] {
        if queries::pending(tx, agent, waiting, Some(task.id))?.is_some() {
            kind = waiting;
        }
    }
    let seq = tx.seq()?;
    let new = NewItem {
        agent,
        kind,
        task: Some(task.id),
        key: format!("blocker_resolved:{}:{}:{seq}", task.id, over.id),
        priority: priority(tx.by(), &task),
        by: tx.by(),
        reason: reason(tx.by(), format!("{name} is {state}; this task is no longer blocked")),
    };
    match rules::enqueue(tx, new) {
        // A chain that is too deep must not prevent the other task from being closed.
        Ok(_) | Err(InboxError::TooDeep) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A person started the task: replaces the assignment that waits for other tasks.
fn start_asked(tx: &mut WriteTx<'_>, task: TaskId) -> Result<(), InboxError> {
    let Some(task) = tx.get::<Task>(task)?.filter(is_workable) else { return Ok(()) };
    let Some(agent) = task.assignee.and_then(Assignee::agent) else { return Ok(()) };
    for waiting in [ItemKind::TaskAssignment, ItemKind::TaskReassignment] {
        if let Some(item) = queries::pending(tx, agent, waiting, Some(task.id))? {
            rules::cancel(tx, item.id, "started by a person")?;
        }
    }
    let seq = tx.seq()?;
    let new = NewItem {
        agent,
        kind: ItemKind::StartNow,
        task: Some(task.id),
        key: format!("start_now:{}:{seq}", task.id),
        priority: Priority::Urgent,
        by: tx.by(),
        reason: reason(tx.by(), format!("Start requested: {}", task.title)),
    };
    rules::enqueue(tx, new).map(|_| ())
}

/// Returns `true` if an agent still has work on a task after an approval: the task is open and nothing else on it waits
/// for a person.
fn is_left(tx: &WriteTx<'_>, task: TaskId, agent: AgentId) -> Result<bool, InboxError> {
    let Some(task) = tx.get::<Task>(task)?.filter(is_workable) else { return Ok(false) };
    if task.assignee != Some(Assignee::Agent(agent)) {
        return Ok(false);
    }
    let pieces: Vec<Deliverable> =
        tx.scan(deliverables::BY_TASK, &Range::prefix(KeyBuf::of(&task.id)))?;
    Ok(pieces.iter().all(|piece| piece.state != DeliverableState::InReview))
}

fn reviewed(
    tx: &mut WriteTx<'_>,
    deliverable: DeliverableId,
    version: VersionId,
    task: TaskId,
    agent: AgentId,
) -> Result<(), InboxError> {
    let (Some(work), Some(task), Some(review)) =
        (tx.get::<Deliverable>(deliverable)?, tx.get::<Task>(task)?, tx.get::<Review>(version)?)
    else {
        return Ok(());
    };
    let summary = match review.verdict {
        Verdict::Rejected => format!("Deliverable rejected: {}", work.title),
        Verdict::Approved => format!("Deliverable approved: {}", work.title),
        Verdict::ChangesRequested => format!("Changes requested on deliverable: {}", work.title),
    };
    let reason = Reason {
        deliverable: Some(deliverable),
        text: cut(&describe(&review), 1024).to_owned(),
        ..reason(tx.by(), summary)
    };
    let new = NewItem {
        agent,
        kind: ItemKind::DeliverableReview,
        task: Some(task.id),
        key: format!("deliverable_review:{version}"),
        priority: priority(tx.by(), &task),
        by: tx.by(),
        reason,
    };
    rules::enqueue(tx, new).map(|_| ())
}

/// A routine fired that wakes its agent.
fn fired(tx: &mut WriteTx<'_>, firing: FiringId, agent: AgentId) -> Result<(), InboxError> {
    let Some(firing) = tx.get::<Firing>(firing)?.filter(|one| one.title.is_empty()) else {
        return Ok(());
    };
    let name = tx.get::<Routine>(firing.routine)?.map(|routine| routine.name);
    let name = name.unwrap_or_else(|| "A routine".to_owned());
    let summary = match firing.subject.as_str() {
        "" => name,
        subject => format!("{name}: {subject}"),
    };
    let kind = match firing.by {
        FiredBy::Event | FiredBy::Digest => ItemKind::RoutineEvent,
        FiredBy::Schedule | FiredBy::CatchUp | FiredBy::Manual => ItemKind::RoutineSchedule,
    };
    let by = tx.by();
    let new = NewItem {
        agent,
        kind,
        task: None,
        key: firing.item_key(),
        priority: Priority::Medium,
        by,
        // Stored here as well, because the routine may be deleted meanwhile.
        reason: Reason { text: cut(&firing.instruction, 1024).to_owned(), ..reason(by, summary) },
    };
    let item = rules::enqueue(tx, new)?;
    match (item, firing.held_until) {
        (Some(item), Some(until)) => rules::hold_until(tx, item, until),
        _ => Ok(()),
    }
}

fn messaged(
    tx: &mut WriteTx<'_>,
    from: AgentId,
    to: AgentId,
    task: Option<TaskId>,
    text: &str,
) -> Result<(), InboxError> {
    let name = tx.get::<Agent>(from)?.map_or_else(|| "A colleague".to_owned(), |a| a.name);
    let seq = tx.seq()?;
    let reason =
        Reason { text: text.to_owned(), ..reason(tx.by(), format!("Message from {name}")) };
    let new = NewItem {
        agent: to,
        kind: ItemKind::AgentMessage,
        task,
        key: format!("agent_message:{from}:{to}:{seq}"),
        priority: Priority::Medium,
        by: tx.by(),
        reason,
    };
    rules::enqueue(tx, new).map(|_| ())
}
