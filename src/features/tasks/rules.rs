//! All writes to tasks. Every status change is allowed. Setting a value that is already set writes nothing.

pub mod bulk;
pub mod claim;
pub mod labels;
pub mod lines;
pub mod order;
pub mod relations;
pub mod overdue;
pub mod parts;
pub mod series;
pub mod templates;
pub mod words;

use jiff::tz::TimeZone;

use super::model::Task;
use super::queries::due::{self, Deadline};
use super::queries::error::TaskError;
use super::queries::{self, checks, open_ends::OpenEnds};
use crate::workspace::model::{Counter, Counting};
use kernel::text::{MAX_TEXT, one_line};
use kernel::{
    AccountId, Assignee, Event, FieldError, Priority, SeriesId, StreamId, TaskField, TaskId,
    TaskStatus, TemplateId, Thinking, Timestamp, rank,
};
use store::{ReadExt, StoreError, WriteTx};

/// Maximum title length in characters.
pub const MAX_TITLE: usize = 200;

#[derive(Clone, Debug)]
pub struct NewTask {
    /// One line.
    pub title: String,
    /// Markdown.
    pub description: String,
    pub status: TaskStatus,
    pub priority: Priority,
    pub assignee: Option<Assignee>,
    pub parent: Option<TaskId>,
    pub due_at: Option<Timestamp>,
    /// `false` means that the task is due at the end of a day.
    pub due_has_time: bool,
    pub start_at: Option<Timestamp>,
    /// `None` inherits the stream of the parent.
    pub stream: Option<StreamId>,
    /// Overrides the agent's model.
    pub model: Option<String>,
    /// Overrides the agent's thinking level.
    pub thinking: Option<Thinking>,
    /// The series that creates the task, with the slot.
    pub series: Option<(SeriesId, Timestamp)>,
    /// Template that the task is created from.
    pub template: Option<TemplateId>,
}

impl NewTask {
    /// An unassigned task with status `Todo` and medium priority.
    pub fn titled(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            description: String::new(),
            status: TaskStatus::Todo,
            priority: Priority::Medium,
            assignee: None,
            parent: None,
            due_at: None,
            due_has_time: false,
            start_at: None,
            stream: None,
            model: None,
            thinking: None,
            series: None,
            template: None,
        }
    }
}

/// A change. `None` keeps a value; in doubly optional fields `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct TaskPatch {
    pub title: Option<String>,
    pub description: Option<String>,
    pub priority: Option<Priority>,
    pub due_at: Option<Option<Timestamp>>,
    /// Applies to `due_at`. `false` means that the task is due at the end of a day.
    pub due_has_time: bool,
    /// Zone in which a date-only change keeps the task's time of day. `None` makes the task due on the whole day.
    pub due_keeps: Option<TimeZone>,
    pub start_at: Option<Option<Timestamp>>,
    pub stream: Option<Option<StreamId>>,
    pub parent: Option<Option<TaskId>>,
    /// `Some(None)` restores the agent's model.
    pub model: Option<Option<String>>,
    /// `Some(None)` restores the agent's thinking level.
    pub thinking: Option<Option<Thinking>>,
}

impl TaskPatch {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.title.is_none()
            && self.description.is_none()
            && self.priority.is_none()
            && self.due_at.is_none()
            && self.start_at.is_none()
            && self.stream.is_none()
            && self.parent.is_none()
            && self.model.is_none()
            && self.thinking.is_none()
    }
}

/// Creates a task with the next number.
///
/// # Errors
/// If the input is invalid, or the assignee or parent cannot be used.
pub fn create(tx: &mut WriteTx<'_>, new: NewTask) -> Result<Task, TaskError> {
    let mut wrong = Vec::new();
    let title = title(&new.title, &mut wrong);
    let description = description(&new.description, &mut wrong);
    let model = model(new.model, &mut wrong);
    if !wrong.is_empty() {
        return Err(TaskError::Invalid(wrong));
    }
    checks::assignee(tx, new.assignee)?;
    queries::lines::may_give(tx, tx.by(), None, new.assignee)?;
    checks::stream(tx, new.stream)?;
    checks::days(new.start_at, new.due_at)?;
    let mut stream = new.stream;
    if let Some(parent) = new.parent {
        checks::parent(tx, None, parent)?;
        stream = stream.or(queries::get(tx, parent)?.stream);
    }
    let now = tx.now();
    let number = next_number(tx)?;
    let task = Task {
        id: tx.new_id(),
        number,
        title,
        description,
        status: new.status,
        priority: new.priority,
        assignee: new.assignee,
        assignment: u32::from(new.assignee.is_some()),
        parent: new.parent,
        model,
        thinking: new.thinking,
        due_at: new.due_at,
        completed_at: (new.status == TaskStatus::Done).then_some(now),
        archived_at: None,
        created_by: tx.by(),
        created_at: now,
        updated_at: now,
        stream,
        start_at: new.start_at,
        due_has_time: new.due_has_time && new.due_at.is_some(),
        // After all other tasks, including those that were moved to the end.
        rank: rank::nth(number),
        series: new.series.map(|(series, _)| series),
        occurrence_at: new.series.map(|(_, at)| at),
        before_missed: None,
        template: new.template,
    };
    tx.put(&task)?;
    tx.emit(Event::TaskCreated { task: task.id, parent: task.parent });
    if task.assignee.is_some() {
        let (to, assignment) = (task.assignee, task.assignment);
        tx.emit(Event::TaskAssigned { task: task.id, from: None, to, assignment });
    }
    Ok(task)
}

/// Changes the fields without side effects.
///
/// # Errors
/// If the task is archived or the input is invalid.
pub fn update(tx: &mut WriteTx<'_>, id: TaskId, patch: TaskPatch) -> Result<Task, TaskError> {
    let old = checks::in_use(tx, id)?;
    let mut task = old.clone();
    let mut wrong = Vec::new();
    if let Some(text) = patch.title {
        task.title = title(&text, &mut wrong);
    }
    if let Some(text) = patch.description {
        task.description = description(&text, &mut wrong);
    }
    if let Some(name) = patch.model {
        task.model = model(name, &mut wrong);
    }
    if !wrong.is_empty() {
        return Err(TaskError::Invalid(wrong));
    }
    task.priority = patch.priority.unwrap_or(task.priority);
    if let Some(due_at) = patch.due_at {
        let mut due = due_at.map(|at| Deadline { at, has_time: patch.due_has_time });
        if let Some(zone) = &patch.due_keeps {
            due = due::moved(Deadline::of(&task), due, zone);
        }
        task.due_at = due.map(|due| due.at);
        task.due_has_time = due.is_some_and(|due| due.has_time);
    }
    task.start_at = patch.start_at.unwrap_or(task.start_at);
    task.stream = patch.stream.unwrap_or(task.stream);
    task.thinking = patch.thinking.unwrap_or(task.thinking);
    task.parent = patch.parent.unwrap_or(task.parent);
    if let Some(parent) = task.parent.filter(|_| task.parent != old.parent) {
        checks::parent(tx, Some(id), parent)?;
    }
    if task.stream != old.stream {
        checks::stream(tx, task.stream)?;
    }
    if (task.start_at, task.due_at) != (old.start_at, old.due_at) {
        checks::days(task.start_at, task.due_at)?;
    }
    let fields = changed_fields(&old, &task);
    if fields.is_empty() {
        return Ok(task);
    }
    task.updated_at = tx.now();
    tx.put(&task)?;
    tx.emit(Event::TaskChanged { task: id, fields });
    Ok(task)
}

/// Changed fields among those without an event of their own.
fn changed_fields(old: &Task, new: &Task) -> Vec<TaskField> {
    let all = [
        (TaskField::Title, old.title != new.title),
        (TaskField::Description, old.description != new.description),
        (TaskField::Priority, old.priority != new.priority),
        (TaskField::Due, (old.due_at, old.due_has_time) != (new.due_at, new.due_has_time)),
        (TaskField::Start, old.start_at != new.start_at),
        (TaskField::Stream, old.stream != new.stream),
        (TaskField::Model, old.model != new.model),
        (TaskField::Thinking, old.thinking != new.thinking),
        (TaskField::Parent, old.parent != new.parent),
    ];
    all.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect()
}

/// Sets the status. Reopening a task counts as a new assignment, so that its agent is notified.
///
/// # Errors
/// If the task is archived.
pub fn set_status(tx: &mut WriteTx<'_>, id: TaskId, to: TaskStatus) -> Result<Task, TaskError> {
    let mut task = checks::in_use(tx, id)?;
    if task.status == to {
        return Ok(task);
    }
    let from = std::mem::replace(&mut task.status, to);
    let reopened = !from.is_open() && to.is_open() && task.assignee.is_some();
    task.assignment += u32::from(reopened);
    task.completed_at = (to == TaskStatus::Done).then_some(tx.now());
    task.before_missed = (to == TaskStatus::Missed).then_some(from);
    task.updated_at = tx.now();
    tx.put(&task)?;
    let assignee = task.assignee;
    tx.emit(Event::TaskStatusChanged { task: id, assignee, from, to });
    if reopened {
        let assignment = task.assignment;
        tx.emit(Event::TaskAssigned { task: id, from: assignee, to: assignee, assignment });
    }
    Ok(task)
}

/// Completes a task for an agent. Requires that no deliverable is in review and no subtask is open.
///
/// # Errors
/// If something is still open.
pub fn complete(tx: &mut WriteTx<'_>, id: TaskId) -> Result<Task, TaskError> {
    let task = checks::in_use(tx, id)?;
    if task.status == TaskStatus::Done {
        return Ok(task);
    }
    if let Some(why) = OpenEnds::of(tx, id)?.why(&queries::key(tx)?) {
        return Err(TaskError::NotComplete { task: queries::name(tx, task.number)?, why });
    }
    set_status(tx, id, TaskStatus::Done)
}

/// Completes a task once all its deliverables are approved and nothing else is open. Returns whether it did.
pub fn complete_if_accepted(tx: &mut WriteTx<'_>, id: TaskId) -> Result<bool, TaskError> {
    let Some(task) = tx.get::<Task>(id)? else { return Ok(false) };
    let ends = OpenEnds::of(tx, id)?;
    if !task.status.is_open()
        || task.archived_at.is_some()
        || ends.approved == 0
        || !ends.is_empty()
    {
        return Ok(false);
    }
    set_status(tx, id, TaskStatus::Done)?;
    Ok(true)
}

/// Sets a `Todo` task to in progress when a run of its agent begins.
pub fn begin(tx: &mut WriteTx<'_>, id: TaskId, by: Assignee) -> Result<(), TaskError> {
    let Some(task) = tx.get::<Task>(id)? else { return Ok(()) };
    let waits = task.status == TaskStatus::Todo && task.archived_at.is_none();
    if waits && task.assignee == Some(by) {
        set_status(tx, id, TaskStatus::InProgress)?;
    }
    Ok(())
}

/// Starts the agent of a task at once, even if the task waits for others.
///
/// # Errors
/// If the task is closed or archived, or has no agent.
pub fn start_now(tx: &mut WriteTx<'_>, id: TaskId) -> Result<Task, TaskError> {
    let task = checks::in_use(tx, id)?;
    if !task.status.is_open() {
        return Err(TaskError::Closed(queries::name(tx, task.number)?));
    }
    if task.assignee.and_then(Assignee::agent).is_none() {
        return Err(TaskError::NobodyBegins(queries::name(tx, task.number)?));
    }
    tx.emit(Event::TaskStartAsked { task: id });
    Ok(task)
}

/// Sets or clears the assignee. An agent may assign only to its reports.
///
/// # Errors
/// If the task is archived, or the assignee is unknown, archived or not a report of the acting agent.
pub fn assign(tx: &mut WriteTx<'_>, id: TaskId, to: Option<Assignee>) -> Result<Task, TaskError> {
    let mut task = checks::in_use(tx, id)?;
    if task.assignee == to {
        return Ok(task);
    }
    checks::assignee(tx, to)?;
    queries::lines::may_give(tx, tx.by(), Some(&task), to)?;
    give(tx, &mut task, to)?;
    Ok(task)
}

fn give(tx: &mut WriteTx<'_>, task: &mut Task, to: Option<Assignee>) -> Result<(), StoreError> {
    let from = std::mem::replace(&mut task.assignee, to);
    task.assignment += 1;
    task.updated_at = tx.now();
    tx.put(task)?;
    tx.emit(Event::TaskAssigned { task: task.id, from, to, assignment: task.assignment });
    Ok(())
}

/// Reassigns at most `limit` open tasks from one member to another member. Returns the number.
pub fn hand_over(
    tx: &mut WriteTx<'_>,
    from: AccountId,
    to: AccountId,
    limit: usize,
) -> Result<usize, StoreError> {
    let tasks = queries::list::open_of(tx, Assignee::Person(from), limit)?;
    let count = tasks.len();
    for mut task in tasks {
        give(tx, &mut task, Some(Assignee::Person(to)))?;
    }
    Ok(count)
}

/// Reassigns all open tasks of an archived agent, or unassigns them.
pub fn pass_on(
    tx: &mut WriteTx<'_>,
    from: Assignee,
    to: Option<Assignee>,
) -> Result<(), StoreError> {
    for mut task in queries::list::open_of(tx, from, usize::MAX)? {
        give(tx, &mut task, to)?;
    }
    Ok(())
}

pub fn archive(tx: &mut WriteTx<'_>, id: TaskId) -> Result<Task, TaskError> {
    let at = tx.now();
    set_archived(tx, id, Some(at))
}

/// Restores an archived task.
pub fn restore(tx: &mut WriteTx<'_>, id: TaskId) -> Result<Task, TaskError> {
    set_archived(tx, id, None)
}

fn set_archived(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    at: Option<Timestamp>,
) -> Result<Task, TaskError> {
    let mut task = queries::get(tx, id)?;
    if task.archived_at.is_some() == at.is_some() {
        return Ok(task);
    }
    task.archived_at = at;
    task.updated_at = tx.now();
    tx.put(&task)?;
    tx.emit(Event::TaskChanged { task: id, fields: vec![TaskField::Archived] });
    Ok(task)
}

/// Fails if the task changed since revision `rev`.
///
/// # Errors
/// `Stale`, or if there is no such task.
pub fn check_rev(tx: &WriteTx<'_>, id: TaskId, rev: Option<u64>) -> Result<(), TaskError> {
    let Some(expected) = rev else { return Ok(()) };
    match queries::get_rev(tx, id)?.1 {
        now if now == expected => Ok(()),
        _ => Err(StoreError::Stale.into()),
    }
}

/// Allocates the next number. A number is never reused, not even after an undo.
fn next_number(tx: &mut WriteTx<'_>) -> Result<u32, StoreError> {
    let counting = Counting::Tasks;
    let last = tx.get::<Counter>(counting)?.map_or(0, |counter| counter.last);
    let next = Counter { counting, last: last + 1 };
    tx.put(&next)?;
    Ok(next.last)
}

/// Normalises a title to one line without invisible characters. Appends errors to `wrong`.
pub fn title(text: &str, wrong: &mut Vec<FieldError>) -> String {
    let title = one_line(text);
    if title.is_empty() {
        wrong.push(FieldError::new("title", "Enter a title."));
    }
    if MAX_TITLE < title.chars().count() {
        let message = format!(
            "Use at most {MAX_TITLE} characters. Put the rest in the \
            description."
        );
        wrong.push(FieldError::new("title", message));
    }
    title
}

fn description(text: &str, wrong: &mut Vec<FieldError>) -> String {
    let text = text.replace("\r\n", "\n");
    if MAX_TEXT < text.len() {
        wrong.push(FieldError::new("description", "Use at most 64 KB of text."));
    }
    text.trim_end().to_owned()
}

fn model(name: Option<String>, wrong: &mut Vec<FieldError>) -> Option<String> {
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| MAX_TITLE < name.len()) {
        wrong.push(FieldError::new("model", "This model name is too long."));
    }
    name
}
