//! A task in a list.

use std::collections::HashMap;

use super::buckets::Heads;
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::tasks::model::label::Label;
use features::tasks::model::label::LabelId;
use features::tasks::queries::due;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::looks::Columns;
use features::tasks::queries::marks;
use features::tasks::queries::standing::{self, Standing};
use features::tasks::queries::summary::{self, Summary};
use features::tasks::queries::taskset::TaskSet;
use features::tasks::queries::view_context::{Chip, ViewContext};
use kernel::display;
use kernel::{TaskId, TaskStatus, Timestamp};
use store::{Range, Read, ReadExt as _};
use web::checklist;
use web::format;
use web::ink;
use web::parts::{Face, percent};
use web::time::Due;

/// A row of a list.
pub struct Row {
    /// Element id.
    pub id: String,
    /// `MC-142`.
    pub name: String,
    pub href: String,
    pub title: String,
    /// Status word and label.
    pub status: (&'static str, &'static str),
    /// Priority word and label.
    pub priority: (&'static str, &'static str),
    /// The status that the button sets.
    pub next: &'static str,
    /// Label of the button.
    pub next_label: String,
    /// Tooltip of the button.
    pub next_hint: &'static str,
    /// The parent task; may be empty.
    pub part_of: String,
    /// Number of parts, and of those done.
    pub parts: (usize, usize),
    /// Share of parts done, in percent.
    pub done: u8,
    /// Number of checklist items, and of those done.
    pub items: (usize, usize),
    /// Number of comments.
    pub comments: usize,
    /// The same in words.
    pub comments_label: String,
    /// Whether a deliverable waits for review.
    pub in_review: bool,
    /// Current activity.
    pub chip: Option<Chip>,
    pub due: Option<Due>,
    pub face: Face,
    /// Whether the button is shown.
    pub may_write: bool,
    pub labels: Vec<Tag>,
    pub stream: Option<Tag>,
    /// Number of blocking tasks in words; may be empty.
    pub waits: String,
    /// Whether the task belongs to a series.
    pub recurring: bool,
    /// Optional date columns: label and day.
    pub dates: Vec<(&'static str, String)>,
    /// The visible columns; all if `None`.
    pub columns: Option<Columns>,
}

/// A name with a colour.
#[derive(Clone)]
pub struct Tag {
    pub name: String,
    pub colour: String,
}

impl Tag {
    /// The tag of a stream.
    #[must_use]
    pub fn of(stream: &Stream) -> Self {
        Self { name: stream.name.clone(), colour: ink::named(stream.colour) }
    }
}

/// Adds details to rows that are not part of the task records.
pub struct Dresser<'a> {
    heads: &'a Heads<'a>,
    labels: HashMap<LabelId, Tag>,
    marks: HashMap<TaskId, Vec<LabelId>>,
    blocked: HashMap<TaskId, usize>,
    columns: Columns,
}

impl<'a> Dresser<'a> {
    /// Reads the details for these tasks.
    pub fn new<'t>(
        read: &dyn Read,
        heads: &'a Heads<'a>,
        columns: Columns,
        tasks: impl Iterator<Item = &'t Task>,
    ) -> Result<Self, TaskError> {
        let labels: Vec<Label> = read.list(&Range::all())?;
        let tag =
            |label: Label| (label.id, Tag { name: label.name, colour: ink::drawn(label.colour) });
        let tasks: TaskSet = tasks.map(|task| task.id).collect();
        Ok(Self {
            heads,
            labels: labels.into_iter().map(tag).collect(),
            marks: marks::labels_of(read, &tasks)?,
            blocked: marks::blocked_among(read, &tasks)?,
            columns,
        })
    }

    /// Rows for tasks.
    pub fn rows(
        &self,
        scene: &ViewContext,
        read: &dyn Read,
        tasks: Vec<Task>,
    ) -> Result<Vec<Row>, TaskError> {
        tasks.into_iter().map(|task| self.row(scene, read, task)).collect()
    }

    fn row(&self, scene: &ViewContext, read: &dyn Read, task: Task) -> Result<Row, TaskError> {
        let stream = task.stream.and_then(|id| self.heads.stream(id));
        let labels = self.marks.get(&task.id).into_iter().flatten();
        let labels = labels.filter_map(|label| self.labels.get(label).cloned());
        let waits = waits(&self.blocked, task.id);
        let day = |at: Timestamp| display::day_of_year(due::day(at, &scene.today.zone));
        let dates = [
            ("start", "Starts", task.start_at),
            ("created", "Created", Some(task.created_at)),
            ("updated", "Updated", Some(task.updated_at)),
        ];
        let dates = dates.into_iter().filter(|(word, ..)| self.columns.has(word));
        let dates: Vec<_> =
            dates.map(|(_, label, at)| (label, at.map(day).unwrap_or_default())).collect();
        let recurring = task.series.is_some();
        let summary = summary::summary(&scene.ws, read, &scene.people, task, scene.today.now)?;
        Ok(Row {
            labels: labels.collect(),
            stream: stream.map(Tag::of),
            waits,
            recurring,
            dates,
            columns: Some(self.columns.clone()),
            ..Row::new(scene, read, summary)?
        })
    }
}

/// Number of blocking tasks in words; may be empty.
pub(super) fn waits(blocked: &HashMap<TaskId, usize>, task: TaskId) -> String {
    match blocked.get(&task) {
        Some(n) => format!("Blocked by {}", format::count(*n as u64, "task", "tasks")),
        None => String::new(),
    }
}

impl Row {
    /// Whether a column is visible.
    #[must_use]
    pub fn shows(&self, column: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.has(column))
    }

    /// A row for a task.
    pub fn new(scene: &ViewContext, read: &dyn Read, summary: Summary) -> Result<Self, TaskError> {
        let Summary { task, comments, parts, parts_done, in_review, standing } = summary;
        let part_of = match task.parent {
            Some(id) => read.get::<Task>(id)?.map(|t| scene.name(&t)).unwrap_or_default(),
            None => String::new(),
        };
        let open = task.status.is_open();
        let status = standing::status(task.status, in_review);
        let next = if open { TaskStatus::Done } else { TaskStatus::Todo };
        let verb = if open { "Mark as done" } else { "Reopen" };
        // Work and review have marks of their own in the row.
        let chip = match standing {
            Standing::Working { .. } | Standing::InReview => None,
            ref standing => scene.chip(&task, standing),
        };
        let (ticked, items) = checklist::progress(&checklist::items(&task.description));
        let working = matches!(standing, Standing::Working { .. });
        let mut face = scene.people.face_or_nobody(task.assignee);
        face.live = working;
        Ok(Self {
            id: task.id.to_string(),
            name: scene.name(&task),
            href: scene.href(&task),
            status,
            priority: (task.priority.word(), task.priority.label()),
            next: next.word(),
            next_label: format!("{}. {verb}", status.1),
            next_hint: if open { "Done" } else { "Reopen" },
            part_of,
            parts: (parts, parts_done),
            done: percent(parts_done as u64, parts as u64),
            items: (items, ticked),
            comments,
            comments_label: format::count(comments as u64, "comment", "comments"),
            in_review,
            chip,
            due: scene.due(&task),
            face,
            may_write: scene.may_write && task.archived_at.is_none(),
            title: task.title,
            labels: Vec::new(),
            stream: None,
            waits: String::new(),
            recurring: false,
            dates: Vec::new(),
            columns: None,
        })
    }
}
