//! All writes to tasks. Any status may follow any other; asking for what already is changes nothing.

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

/// The longest title, in characters.
pub const MAX_TITLE: usize = 200;

/// A task to be made.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// What is to be done, in one line.
    pub title: String,
    /// More, in Markdown.
    pub description: String,
    /// Where it stands at first.
    pub status: TaskStatus,
    /// How urgent it is.
    pub priority: Priority,
    pub assignee: Option<Assignee>,
    /// The task that it is a part of.
    pub parent: Option<TaskId>,
    /// When it should be done.
    pub due_at: Option<Timestamp>,
    /// Whether that is a moment, and not the end of a day.
    pub due_has_time: bool,
    /// When it may begin.
    pub start_at: Option<Timestamp>,
    /// The stream; that of its parent when there is none.
    pub stream: Option<StreamId>,
    /// Model in place of the agent's.
    pub model: Option<String>,
    /// Thinking level in place of the agent's.
    pub thinking: Option<Thinking>,
    /// The series that makes it, and which of its moments this is.
    pub series: Option<(SeriesId, Timestamp)>,
    /// The template that it is made from.
    pub template: Option<TemplateId>,
}

impl NewTask {
    /// A task to do, of medium priority, for nobody.
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

/// What is to change; what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct TaskPatch {
    pub title: Option<String>,
    pub description: Option<String>,
    pub priority: Option<Priority>,
    /// The due moment, or none.
    pub due_at: Option<Option<Timestamp>>,
    /// With a due moment: whether it is more than the end of a day.
    pub due_has_time: bool,
    /// With the end of a day: the zone in which a time of day stays that the task has; none makes it due on
    /// the whole day.
    pub due_keeps: Option<TimeZone>,
    /// When it may begin, or whenever.
    pub start_at: Option<Option<Timestamp>>,
    /// The stream, or none.
    pub stream: Option<Option<StreamId>>,
    /// The parent, or none.
    pub parent: Option<Option<TaskId>>,
    /// The model, or the agent's.
    pub model: Option<Option<String>>,
    /// The thinking level, or the agent's.
    pub thinking: Option<Option<Thinking>>,
}

impl TaskPatch {
    /// Whether nothing is to change.
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

/// Makes a task with the next number.
///
/// # Errors
/// When the input is wrong, or its assignee or parent cannot be used.
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
        // Behind all others, also behind what was moved to the end.
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

/// Changes fields that have no effect of their own.
///
/// # Errors
/// When the task is archived or the input is wrong.
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

/// The fields in which two states of a task differ, of those that have no event of their own.
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

/// Moves a task to another status. A task that is opened again counts as assigned anew, so that
/// its agent hears of it.
///
/// # Errors
/// When the task is archived.
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

/// Finishes a task as an agent does: not while delivered work waits or parts of it are open.
///
/// # Errors
/// When something is still open.
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

/// Finishes a task whose delivered work has all been approved, if nothing else is open. Says
/// whether it did.
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

/// A run of its agent has begun: what was to do is in progress.
pub fn begin(tx: &mut WriteTx<'_>, id: TaskId, by: Assignee) -> Result<(), TaskError> {
    let Some(task) = tx.get::<Task>(id)? else { return Ok(()) };
    let waits = task.status == TaskStatus::Todo && task.archived_at.is_none();
    if waits && task.assignee == Some(by) {
        set_status(tx, id, TaskStatus::InProgress)?;
    }
    Ok(())
}

/// Lets the agent of a task begin now, also when the task waits for others.
///
/// # Errors
/// When the task is closed or archived, or has no agent.
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

/// Gives a task to somebody, or to nobody. An agent gives to those below it only.
///
/// # Errors
/// When the task is archived, who should get it is unknown or archived, or is none of an agent's reports.
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

/// Gives open tasks of one member to another, who belongs to the workspace; at most so many. Says how
/// many.
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

/// Gives all open tasks of somebody to somebody else, or to nobody: an agent is archived.
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

/// Puts a task out of the way.
pub fn archive(tx: &mut WriteTx<'_>, id: TaskId) -> Result<Task, TaskError> {
    let at = tx.now();
    set_archived(tx, id, Some(at))
}

/// Brings an archived task back.
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

/// Refuses when the task has changed since the caller read it.
///
/// # Errors
/// `Stale`, or when there is no such task.
pub fn check_rev(tx: &WriteTx<'_>, id: TaskId, rev: Option<u64>) -> Result<(), TaskError> {
    let Some(expected) = rev else { return Ok(()) };
    match queries::get_rev(tx, id)?.1 {
        now if now == expected => Ok(()),
        _ => Err(StoreError::Stale.into()),
    }
}

/// Takes the next number; it is never given again, not even after an undo.
fn next_number(tx: &mut WriteTx<'_>) -> Result<u32, StoreError> {
    let counting = Counting::Tasks;
    let last = tx.get::<Counter>(counting)?.map_or(0, |counter| counter.last);
    let next = Counter { counting, last: last + 1 };
    tx.put(&next)?;
    Ok(next.last)
}

/// The title as it is kept: one line, without what nobody sees. What is wrong with it is added to `wrong`.
pub fn title(text: &str, wrong: &mut Vec<FieldError>) -> String {
    let title = one_line(text);
    if title.is_empty() {
        wrong.push(FieldError::new("title", "Say in one line what is to be done."));
    }
    if MAX_TITLE < title.chars().count() {
        let message = format!("At most {MAX_TITLE} characters; put the rest in the description.");
        wrong.push(FieldError::new("title", message));
    }
    title
}

fn description(text: &str, wrong: &mut Vec<FieldError>) -> String {
    let text = text.replace("\r\n", "\n");
    if MAX_TEXT < text.len() {
        wrong.push(FieldError::new("description", "At most 64 KB of text."));
    }
    text.trim_end().to_owned()
}

fn model(name: Option<String>, wrong: &mut Vec<FieldError>) -> Option<String> {
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| MAX_TITLE < name.len()) {
        wrong.push(FieldError::new("model", "This is too long for the name of a model."));
    }
    name
}
