//! Notifications for events, in the transaction that emits them.

use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::comments::model::{COMMENTS, Comment};
use crate::deliverables::model::{Deliverable, Review, Version};
use crate::deliverables::queries::describe;
use crate::inbox::model::Item;
use crate::inbox::queries::why::{verb, went_wrong};
use crate::places::Spot;
use crate::routines::model::Routine;
use crate::routines::queries as routines;
use crate::runs::model::{Run, TAKEN_BACK};
use crate::runs::queries as runs;
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::tasks::queries::{self as tasks, parts};
use crate::usage::queries::budgets;
use crate::workspace::queries as workspace;
use kernel::key::decode;
use kernel::notice::MAX_BODY;
use kernel::{
    About, AccountId, Actor, AgentId, AgentStatus, Assignee, CommentId, DeliverableId, Event,
    ItemId, ItemState, Notice, NoticeKind, Outcome, Payer, Period, TaskId, TaskStatus, Verdict,
    VersionId, WatchReason,
};
use store::{ReadExt, StoreError, WriteTx};
use web::md;

pub mod asked;
mod handled;

use super::queries;
use super::rules::{self, NotificationError, sending};

/// Consecutive failed runs after which people are notified of a stalled agent.
const STALLED_AFTER: usize = 5;
/// Number of latest runs to examine.
const LAST_RUNS: usize = 30;

pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), NotificationError> {
    handled::react(tx, event)?;
    match event {
        Event::TaskAssigned { task, from, to: Some(Assignee::Person(account)), .. }
            if *from != Some(Assignee::Person(*account)) =>
        {
            assigned(tx, *task, *account)
        }
        Event::TaskAssigned { task, from, to: Some(Assignee::Agent(agent)), .. }
            if *from != Some(Assignee::Agent(*agent)) =>
        {
            given_to_agent(tx, *task, *agent)
        }
        Event::TaskCreated { parent, .. } => cut_up(tx, *parent),
        Event::TaskStatusChanged { task, from, to, .. } => moved(tx, *task, *from, *to),
        Event::TaskUnblocked { task, by } => unblocked(tx, *task, *by),
        Event::CommentAdded { comment, .. } => commented(tx, *comment),
        Event::Row { table, id, .. } if *table == COMMENTS.number => match decode(id) {
            Some(comment) => commented(tx, comment),
            None => Ok(()),
        },
        Event::DeliverableSubmitted { version, task, .. } => delivered(tx, *version, *task),
        Event::DeliverableReviewed { deliverable, version, .. } => {
            reviewed(tx, *deliverable, *version)
        }
        Event::ItemEnded { item, task, .. } => {
            failed(tx, *item)?;
            rests(tx, *task)
        }
        Event::AgentStatusChanged { agent, to: AgentStatus::Error, .. } => stalled(tx, *agent),
        Event::RunEnded { agent, item: Some(item), .. } => gets_nowhere(tx, *agent, *item),
        Event::RunAsks { run, waits_for, .. } => asked::asks(tx, *run, *waits_for),
        Event::BudgetWarned { payer, period } => {
            budget(tx, NoticeKind::BudgetWarned, *payer, *period)
        }
        Event::BudgetReached { payer, period } => {
            budget(tx, NoticeKind::BudgetExceeded, *payer, *period)
        }
        Event::NoticeGiven { notice } => {
            if notice.kind == NoticeKind::Mention {
                for account in &notice.to {
                    rules::note_watch(tx, notice.about, *account, WatchReason::Mentioned)?;
                }
            }
            rules::notify(tx, notice.clone()).map(drop)
        }
        _ => Ok(()),
    }
}

/// Display name and title, such as `MC-142 "Compare leasing prices"`.
fn called(tx: &WriteTx<'_>, task: &Task) -> Result<String, StoreError> {
    Ok(format!("{} \u{201c}{}\u{201d}", tasks::name(tx, task.number)?, task.title))
}

fn agent_name(tx: &WriteTx<'_>, agent: AgentId) -> Result<String, StoreError> {
    match tx.get::<Agent>(agent)? {
        Some(agent) => agents::called(tx, &agent),
        None => Ok("An agent".to_owned()),
    }
}

fn due(tx: &WriteTx<'_>, task: &Task) -> Result<&'static str, StoreError> {
    let late = tasks::overdue::passed(tx, tx.now())?.is_overdue(task);
    Ok(if late { "It is overdue." } else { "" })
}

/// The task, unless it is archived.
fn present(tx: &WriteTx<'_>, task: TaskId) -> Result<Option<Task>, StoreError> {
    Ok(tx.get::<Task>(task)?.filter(|task| task.archived_at.is_none()))
}

fn assigned(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    account: AccountId,
) -> Result<(), NotificationError> {
    let Some(task) = present(tx, task)? else {
        return Ok(());
    };
    let title = format!("{} assigned you {}", queries::name(tx, tx.by())?, called(tx, &task)?);
    let notice = Notice::new(NoticeKind::TaskAssigned, About::Task(task.id), title);
    let notice = notice.body(due(tx, &task)?).only().to(account);
    rules::notify(tx, notice).map(drop)
}

/// Notifies the watchers of a task of its new agent. The agent is notified by its inbox. Assigning a new task on
/// creation notifies nobody, because tasks from schedules and other agents would cause one notification each.
fn given_to_agent(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    agent: AgentId,
) -> Result<(), NotificationError> {
    let Some(task) = present(tx, task)? else {
        return Ok(());
    };
    // The assignment on creation is part of the creation.
    if task.assignment == 1 && task.created_at == tx.now() {
        return Ok(());
    }
    let (by, called) = (queries::name(tx, tx.by())?, called(tx, &task)?);
    let title = if tx.by().agent() == Some(agent) {
        format!("{by} took {called}")
    } else {
        format!("{by} assigned {called} to {}", agent_name(tx, agent)?)
    };
    let notice = Notice::new(NoticeKind::TaskAssigned, About::Task(task.id), title);
    rules::notify(tx, notice.body(due(tx, &task)?)).map(drop)
}

/// Notifies when agents have reached the limit of delegated subtasks for a task.
fn cut_up(tx: &mut WriteTx<'_>, parent: Option<TaskId>) -> Result<(), NotificationError> {
    let (Some(agent), Some(run)) = (tx.by().agent(), tx.by().run()) else { return Ok(()) };
    let Some(whole) = parts::top(tx, parent, Some(run))? else { return Ok(()) };
    let Some(task) = present(tx, whole)? else { return Ok(()) };
    if parts::since_a_person(tx, whole)? != parts::MOST {
        return Ok(());
    }
    let (agent, called) = (agent_name(tx, agent)?, called(tx, &task)?);
    let title = format!("{agent} has created {} subtasks of {called}", parts::MOST);
    let notice = Notice::new(NoticeKind::QuestionAsked, About::Task(whole), title);
    let body = "Should it continue? To let it create more, confirm in a comment on the task.";
    rules::notify(tx, notice.body(body).or_admins()).map(drop)
}

fn moved(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    from: TaskStatus,
    to: TaskStatus,
) -> Result<(), NotificationError> {
    let (kind, verb) = match to {
        TaskStatus::Done => (NoticeKind::TaskCompleted, "completed"),
        TaskStatus::Blocked => (NoticeKind::TaskBlocked, "is blocked on"),
        TaskStatus::Missed => (NoticeKind::TaskOverdue, "marked as missed"),
        TaskStatus::Todo | TaskStatus::InProgress | TaskStatus::Cancelled => return Ok(()),
    };
    // The passed due date was already notified, and a series drops its open occurrences silently.
    if to == TaskStatus::Missed && matches!(tx.by(), Actor::System(_)) {
        return Ok(());
    }
    let Some(task) = tx.get::<Task>(task)?.filter(|_| from != to) else { return Ok(()) };
    let title = format!("{} {verb} {}", queries::name(tx, tx.by())?, called(tx, &task)?);
    rules::notify(tx, Notice::new(kind, About::Task(task.id), title)).map(drop)
}

/// Notifies a person that their task is unblocked. An agent gets an inbox item instead.
fn unblocked(tx: &mut WriteTx<'_>, task: TaskId, by: TaskId) -> Result<(), NotificationError> {
    let (Some(task), Some(by)) = (tx.get::<Task>(task)?, tx.get::<Task>(by)?) else {
        return Ok(());
    };
    let Some(Assignee::Person(account)) = task.assignee else { return Ok(()) };
    let title = format!("{} is no longer blocked", called(tx, &task)?);
    let notice = Notice::new(NoticeKind::BlockerResolved, About::Task(task.id), title);
    let notice = notice.body(format!("{} is closed.", called(tx, &by)?)).only().to(account);
    rules::notify(tx, notice).map(drop)
}

/// Notifies mentioned people of the mention and watchers of the comment. An edited comment notifies only new mentions,
/// with a notice of its own.
fn commented(tx: &mut WriteTx<'_>, comment: CommentId) -> Result<(), NotificationError> {
    let Some(comment) = tx.get::<Comment>(comment)? else { return Ok(()) };
    let Some(spot) = Spot::read(tx, comment.on)? else { return Ok(()) };
    if comment.edited_at.is_some() {
        return Ok(());
    }
    let about = comment.on.about();
    let (author, called) = (queries::name(tx, comment.author)?, spot.called());
    let words = md::excerpt(&comment.body, MAX_BODY);
    if !comment.people.is_empty() {
        let title = format!("{author} mentioned you on {called}");
        let mut notice = Notice::new(NoticeKind::Mention, about, title).body(&words).only();
        notice.to.clone_from(&comment.people);
        rules::notify(tx, notice)?;
    }
    let kind = match comment.author.agent() {
        Some(_) => NoticeKind::AgentComment,
        None => NoticeKind::Comment,
    };
    let notice = Notice::new(kind, about, format!("{author} commented on {called}"));
    rules::notify(tx, notice.body(&words).except(&comment.people))?;
    for account in &comment.people {
        rules::note_watch(tx, about, *account, WatchReason::Mentioned)?;
    }
    match comment.author.account() {
        Some(author) => rules::note_watch(tx, about, author, WatchReason::Commenter),
        None => Ok(()),
    }
}

fn delivered(
    tx: &mut WriteTx<'_>,
    version: VersionId,
    task: TaskId,
) -> Result<(), NotificationError> {
    let Some(version) = tx.get::<Version>(version)? else { return Ok(()) };
    let (Some(piece), Some(task)) =
        (tx.get::<Deliverable>(version.deliverable)?, tx.get::<Task>(task)?)
    else {
        return Ok(());
    };
    let suffix = match version.number {
        1 => String::new(),
        n => format!(", version {n}"),
    };
    let title = format!(
        "{} submitted \u{201c}{}\u{201d}{suffix}",
        queries::name(tx, tx.by())?,
        piece.title
    );
    let notice = Notice::new(NoticeKind::DeliverableSubmitted, About::Task(task.id), title);
    rules::notify(tx, notice.body(called(tx, &task)?).or_admins()).map(drop)
}

/// Notifies the author of a deliverable of the review. An agent is notified by its inbox.
fn reviewed(
    tx: &mut WriteTx<'_>,
    deliverable: DeliverableId,
    version: VersionId,
) -> Result<(), NotificationError> {
    let (Some(piece), Some(review)) =
        (tx.get::<Deliverable>(deliverable)?, tx.get::<Review>(version)?)
    else {
        return Ok(());
    };
    let Some(account) = piece.submitted_by.account().filter(|account| *account != review.by) else {
        return Ok(());
    };
    let verb = match review.verdict {
        Verdict::Approved => "approved",
        Verdict::ChangesRequested => "requested changes to",
        Verdict::Rejected => "rejected",
    };
    let title = format!("{} {verb} \u{201c}{}\u{201d}", queries::name(tx, tx.by())?, piece.title);
    let about = About::Task(piece.task);
    let notice = Notice::new(NoticeKind::DeliverableReviewed, about, title);
    rules::notify(tx, notice.body(md::excerpt(&describe(&review), MAX_BODY)).only().to(account))
        .map(drop)
}

/// Nothing will start the agent's task any more. Unless that changes, the digest reports it to the person who has to
/// act.
fn rests(tx: &mut WriteTx<'_>, task: Option<TaskId>) -> Result<(), NotificationError> {
    let Some(task) = task else { return Ok(()) };
    let of_agent = |task: &Task| task.assignee.and_then(Assignee::agent).is_some();
    let may_rest =
        |task: &Task| task.status.is_open() && task.archived_at.is_none() && of_agent(task);
    let Some(task) = tx.get::<Task>(task)?.filter(may_rest) else { return Ok(()) };
    match tasks::acts(tx, &task)? {
        Some(account) => sending::look_later(tx, account)?,
        None => {
            for member in workspace::members(tx)? {
                sending::look_later(tx, member.account)?;
            }
        }
    }
    Ok(())
}

/// Notifies of work that failed permanently or ended without an outcome. A routine reports its own runs, unless they
/// were retried.
fn failed(tx: &mut WriteTx<'_>, item: ItemId) -> Result<(), NotificationError> {
    let Some(item) = tx.get::<Item>(item)?.filter(Item::has_failed) else { return Ok(()) };
    if item.state == ItemState::Failed && routines::firing_of(tx, &item)?.is_some() {
        return Ok(());
    }
    let agent = agent_name(tx, item.agent)?;
    let task = match item.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    let (about, what) = match &task {
        Some(task) => (About::Task(task.id), called(tx, task)?),
        None => (About::Agent(item.agent), item.kind.label().to_lowercase()),
    };
    let verb = verb(item.last_error.as_deref().unwrap_or_default());
    let title = match item.attempts {
        0 | 1 => format!("{agent} {verb} on {what}"),
        n => format!("{agent} {verb} after {n} attempts on {what}"),
    };
    let notice = Notice::new(NoticeKind::WorkFailed, about, title);
    let notice = notice.body(message(&item)).or_admins();
    rules::notify(tx, notice).map(drop)
}

/// Error of an item, as a sentence.
fn message(item: &Item) -> String {
    went_wrong(item.last_error.as_deref().unwrap_or_default())
}

fn stalled(tx: &mut WriteTx<'_>, agent: AgentId) -> Result<(), NotificationError> {
    let Some(agent) = tx.get::<Agent>(agent)? else { return Ok(()) };
    let title = format!("{} can’t work", agents::called(tx, &agent)?);
    let notice = Notice::new(NoticeKind::AgentStalled, About::Agent(agent.id), title);
    let notice = notice.body(agent.status_reason.unwrap_or_default()).admins();
    rules::notify(tx, notice).map(drop)
}

/// Notifies that the last runs of an agent have all failed. Once, until a run succeeds.
fn gets_nowhere(
    tx: &mut WriteTx<'_>,
    agent: AgentId,
    item: ItemId,
) -> Result<(), NotificationError> {
    let mut failed = 0;
    for hit in runs::of_agent(tx, agent, None, LAST_RUNS)? {
        match hit.record.outcome.filter(|_| hit.record.item.is_some()) {
            Some(Outcome::Done | Outcome::Snoozed { .. }) => break,
            // A run stopped by a person is no failure of the agent.
            None | Some(Outcome::Stopped { .. }) => {}
            // Neither is a run taken back from a silent host.
            Some(Outcome::Failed { code, .. }) if code == TAKEN_BACK => {}
            Some(_) => failed += 1,
        }
    }
    let Some(agent) = tx.get::<Agent>(agent)?.filter(|_| failed == STALLED_AFTER) else {
        return Ok(());
    };
    let called = agents::called(tx, &agent)?;
    let title = format!("{called} failed {STALLED_AFTER} times in a row");
    let error = tx.get::<Item>(item)?.map(|item| message(&item));
    let notice = Notice::new(NoticeKind::AgentStalled, About::Agent(agent.id), title);
    rules::notify(tx, notice.body(error.unwrap_or_default()).admins()).map(drop)
}

/// The text of the question is only in its run, because a conversation may be private.
fn budget(
    tx: &mut WriteTx<'_>,
    kind: NoticeKind,
    payer: Payer,
    period: Period,
) -> Result<(), NotificationError> {
    let (about, whose) = match payer {
        Payer::Workspace => (About::Workspace, "The workspace".to_owned()),
        Payer::Agent(id) => (About::Agent(id), agent_name(tx, id)?),
        Payer::Task(id) => {
            let Some(task) = tx.get::<Task>(id)? else { return Ok(()) };
            (About::Task(id), called(tx, &task)?)
        }
        Payer::Run(id) => {
            let Some(run) = tx.get::<Run>(id)? else { return Ok(()) };
            (About::Run(id), run.name())
        }
        Payer::Stream(id) => {
            let Some(stream) = tx.get::<Stream>(id)? else { return Ok(()) };
            (About::Stream(id), format!("The stream {}", stream.name))
        }
        Payer::Routine(id) => {
            let Some(routine) = tx.get::<Routine>(id)? else { return Ok(()) };
            (About::Routine(id), format!("The routine {}", routine.name))
        }
    };
    let of = match period {
        Period::Day => "today’s budget",
        Period::Week => "this week’s budget",
        Period::Month => "this month’s budget",
        Period::Total => "its total budget",
        Period::Run => "its run budget",
    };
    let standings = budgets::standings(tx, &[payer], tx.now())?;
    let standing = standings.iter().find(|one| one.budget.period == period);
    let stops = standing.is_some_and(|one| one.budget.hard);
    let is_used_up = standing.is_none_or(budgets::Standing::is_used_up);
    let (title, body) = match kind {
        NoticeKind::BudgetWarned => {
            (format!("{whose} has used most of {of}"), "Work continues until the limit.")
        }
        _ if !is_used_up => (
            format!("{whose} doesn’t have enough left of {of} for the next call"),
            "The call waits.",
        ),
        _ if stops => (format!("{whose} has used up {of}"), "Work on this budget is paused."),
        _ => (format!("{whose} has used up {of}"), "This budget only warns, so work continues."),
    };
    rules::notify(tx, Notice::new(kind, about, title).body(body).admins()).map(drop)
}
