//! A task in a list.

use crate::features::tasks::model::Task;
use crate::features::tasks::queries::error::TaskError;
use crate::features::tasks::queries::list::Summary;
use crate::features::tasks::queries::scene::{Chip, Scene};
use crate::features::tasks::queries::standing::Standing;
use crate::kernel::TaskStatus;
use crate::store::{Read, ReadExt as _};
use crate::web::format;
use crate::web::parts::{Face, percent};
use crate::web::time::Due;

/// A row of a list.
pub struct Row {
    /// The id, for the element.
    pub id: String,
    /// `MC-142`.
    pub name: String,
    /// Where it leads.
    pub href: String,
    /// The title.
    pub title: String,
    /// Where it stands: word and label.
    pub status: (&'static str, &'static str),
    /// How urgent it is: word and label.
    pub priority: (&'static str, &'static str),
    /// The status that the button sets.
    pub next: &'static str,
    /// What the button says.
    pub next_label: String,
    /// What it is a part of, or empty.
    pub part_of: String,
    /// How many parts, and how many of them are done.
    pub parts: (usize, usize),
    /// The share of parts that are done.
    pub done: u8,
    /// How many comments.
    pub comments: usize,
    /// The same in words.
    pub comments_label: String,
    /// Whether delivered work waits.
    pub in_review: bool,
    /// What happens with it.
    pub chip: Option<Chip>,
    /// The due date.
    pub due: Option<Due>,
    /// Whose it is.
    pub face: Face,
    /// Whether the button is offered.
    pub may_write: bool,
}

impl Row {
    /// A row for a task.
    ///
    /// # Errors
    /// When the store fails.
    pub fn new(scene: &Scene, read: &dyn Read, summary: Summary) -> Result<Self, TaskError> {
        let Summary { task, comments, parts, parts_done, in_review, standing } = summary;
        let part_of = match task.parent {
            Some(id) => read.get::<Task>(id)?.map(|t| scene.name(&t)).unwrap_or_default(),
            None => String::new(),
        };
        let open = task.status.is_open();
        let next = if open { TaskStatus::Done } else { TaskStatus::Todo };
        let verb = if open { "Mark as done" } else { "Open again" };
        // The face shows who works; the review has its own mark.
        let chip = match standing {
            Standing::Working { .. } | Standing::InReview => None,
            ref standing => scene.chip(&task, standing),
        };
        let working = matches!(standing, Standing::Working { .. });
        let mut face = scene.people.face_or_nobody(task.assignee);
        face.live = working;
        Ok(Self {
            id: task.id.to_string(),
            name: scene.name(&task),
            href: scene.href(&task),
            status: (task.status.word(), task.status.label()),
            priority: (task.priority.word(), task.priority.label()),
            next: next.word(),
            next_label: format!("{}. {verb}", task.status.label()),
            part_of,
            parts: (parts, parts_done),
            done: percent(parts_done as u64, parts as u64),
            comments,
            comments_label: format::count(comments as u64, "comment", "comments"),
            in_review,
            chip,
            due: scene.due(&task),
            face,
            may_write: scene.may_write && task.archived_at.is_none(),
            title: task.title,
        })
    }
}
