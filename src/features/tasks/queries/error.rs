//! Errors of task reads and writes.

use super::checks::{MAX_DEPTH, MAX_LABELS, MAX_RELATIONS};
use super::circles::FAR;
use super::parts::MOST;
use kernel::{Error, FieldError, Problem, ProblemKind};
use store::StoreError;
use tool::merge::Clash;

/// A field with two conflicting changes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldClash {
    pub field: &'static str,
    /// Current value and the rejected value.
    #[serde(flatten)]
    pub clash: Clash,
}

#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("there is no task \"{0}\"; use a number from the task list, such as {1}-1")]
    NotFound(String, String),
    /// No such record of a noun with a descriptor.
    #[error("there is no {0} \"{1}\"")]
    NoRecord(&'static str, String),
    #[error("there is no task template \"{0}\"; {1}")]
    NoTemplate(String, String),
    #[error("this series doesn't exist; choose one from the list of recurring tasks")]
    NoSeries,
    #[error("{0} is archived; restore it first")]
    Archived(String),
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    #[error("no one here is called \"{name}\"{hint}")]
    UnknownAssignee {
        /// Name as given.
        name: String,
        /// Suggestion of similar names, or empty.
        hint: String,
    },
    #[error("{0} is archived and can't take work; choose another agent")]
    ArchivedAgent(String),
    #[error("a task can't be a subtask of itself or its subtasks; choose another parent")]
    Cycle,
    #[error("tasks can be at most {MAX_DEPTH} levels deep; choose a higher parent")]
    TooDeep,
    /// Deliverables or subtasks are still open.
    #[error("{task} can't be completed yet: {why}")]
    NotComplete {
        /// Display name of the task.
        task: String,
        /// What is open and what to do.
        why: String,
    },
    /// An agent delegated a task to itself.
    #[error("delegate tasks to another agent; use task_create for your own subtasks")]
    OwnDelegate,
    /// The same agent already has a subtask with the same request.
    #[error("{part} \"{title}\" is the same request and is {status}; {hint}")]
    GivenAlready {
        /// Display name of the subtask.
        part: String,
        title: String,
        status: String,
        hint: &'static str,
    },
    /// Agents have created too many subtasks of a task since a person last commented.
    #[error(
        "{MOST} subtasks of {0} were assigned since a person last commented; finish it with what \
         you have, or comment on what else is needed and end: people were notified"
    )]
    EnoughParts(String),
    /// The assignee does not report to the acting agent.
    #[error("{name} does not report to you, so you can't assign work to them; {hint}")]
    NotAReport {
        /// Name of the assignee.
        name: String,
        /// Possible assignees and alternatives.
        hint: String,
    },
    /// The task belongs to an agent that does not report to the acting agent.
    #[error("{task} belongs to {name}, who does not report to you; {hint}")]
    NotYours { task: String, name: String, hint: &'static str },
    /// The task is already assigned.
    #[error(
        "{task} belongs to @{by}; claim an unassigned task (task_list with assignee none), or ask \
         @{by}"
    )]
    Claimed { task: String, by: String },
    /// The task waits for another task.
    #[error("{task} is blocked by {on}; claim its blocker or another task")]
    Waits {
        task: String,
        /// Display name of the task that it waits for.
        on: String,
    },
    #[error("there is no label \"{0}\"; choose one from the list of labels")]
    NoLabel(String),
    #[error("a label called \"{0}\" already exists; choose another name")]
    LabelTaken(String),
    #[error("a task can have at most {MAX_LABELS} labels; remove some first")]
    TooManyLabels,
    #[error("a task can't be related to itself; choose another task")]
    OwnRelation,
    /// The tasks would wait for each other.
    #[error("{blocker} is already blocked by {task}, so it can't block {task}")]
    WaitCycle {
        /// The task that should wait.
        task: String,
        /// The task that it should wait for.
        blocker: String,
    },
    /// A subtask would wait for its ancestor.
    #[error(
        "{task} is a subtask of {whole}, which can only be done after its subtasks, so it \
        can't wait for it"
    )]
    WaitsForWhole {
        /// The subtask.
        task: String,
        /// Its ancestor.
        whole: String,
    },
    /// The tasks would wait for each other through a longer path, which may include subtasks.
    #[error("{task} can't wait for {blocker}: {way}")]
    WaitsAround {
        /// The task that should wait.
        task: String,
        /// The task that it should wait for.
        blocker: String,
        /// Path on which `blocker` waits for `task`, step by step.
        way: String,
    },
    /// A subtask waits for its new parent.
    #[error("{part} can't be a subtask of {whole}, which would wait for it: {way}")]
    PartCycle {
        /// The intended subtask.
        part: String,
        whole: String,
        /// Path on which the subtask waits for the parent, step by step.
        way: String,
    },
    /// Too many tasks wait for a task to search for cycles.
    #[error(
        "more than {FAR} tasks are blocked by {task}, too many to check for a circle; remove some \
         relations first"
    )]
    TooManyWait {
        task: String,
        /// Name of the rejected field.
        field: &'static str,
    },
    #[error("this task doesn't have this relation; choose one from its list")]
    NoRelation,
    #[error("a task can have at most {MAX_RELATIONS} relations; remove some first")]
    TooManyRelations,
    /// The task has no agent that could begin.
    #[error("{0} has no agent to start; assign one first")]
    NobodyBegins(String),
    /// The task is closed.
    #[error("{0} is closed; reopen it first")]
    Closed(String),
    /// Another editor changed the same fields.
    #[error("the {} changed while you were editing; choose which version to keep", fields_of(.0))]
    Clash(Vec<FieldClash>),
    /// The checklist item cannot be found in the changed text.
    #[error("the text of {0} has changed; find the item in its list and tick it again")]
    NoItem(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Errors of generic field table writes.
    #[error(transparent)]
    Other(#[from] Error),
}

impl From<TaskError> for Error {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Other(error) => error,
            error => Self::of(error),
        }
    }
}

impl Problem for TaskError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(..) => "task_not_found",
            Self::NoRecord(..) => "record_not_found",
            Self::NoTemplate(..) => "template_not_found",
            Self::NoSeries => "series_not_found",
            Self::Archived(_) => "task_archived",
            Self::Invalid(_) => "invalid",
            Self::UnknownAssignee { .. } => "unknown_assignee",
            Self::ArchivedAgent(_) => "agent_archived",
            Self::Cycle => "task_cycle",
            Self::TooDeep => "task_too_deep",
            Self::NotComplete { .. } => "task_not_complete",
            Self::OwnDelegate => "own_delegate",
            Self::GivenAlready { .. } => "given_already",
            Self::EnoughParts(_) => "enough_parts",
            Self::NotAReport { .. } => "not_a_report",
            Self::NotYours { .. } => "not_your_task",
            Self::Claimed { .. } => "task_claimed",
            Self::Waits { .. } => "task_waits",
            Self::NoLabel(_) => "label_not_found",
            Self::LabelTaken(_) => "label_taken",
            Self::TooManyLabels => "too_many_labels",
            Self::OwnRelation => "own_relation",
            Self::WaitCycle { .. } | Self::WaitsAround { .. } => "wait_cycle",
            Self::WaitsForWhole { .. } => "waits_for_whole",
            Self::PartCycle { .. } => "part_cycle",
            Self::TooManyWait { .. } => "too_many_wait",
            Self::NoRelation => "relation_not_found",
            Self::TooManyRelations => "too_many_relations",
            Self::NobodyBegins(_) => "nobody_begins",
            Self::Closed(_) => "task_closed",
            Self::Clash(_) => "text_clash",
            Self::NoItem(_) => "item_not_found",
            Self::Store(error) => error.code(),
            Self::Other(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(..)
            | Self::NoRecord(..)
            | Self::NoSeries
            | Self::NoTemplate(..)
            | Self::NoLabel(_)
            | Self::NoRelation => ProblemKind::NotFound,
            Self::Archived(_)
            | Self::NotComplete { .. }
            | Self::Claimed { .. }
            | Self::Waits { .. }
            | Self::NobodyBegins(_)
            | Self::Closed(_)
            | Self::Clash(_)
            | Self::GivenAlready { .. }
            | Self::EnoughParts(_)
            | Self::NoItem(_) => ProblemKind::Conflict,
            Self::Invalid(_)
            | Self::UnknownAssignee { .. }
            | Self::ArchivedAgent(_)
            | Self::Cycle
            | Self::TooDeep
            | Self::OwnDelegate
            | Self::NotAReport { .. }
            | Self::NotYours { .. }
            | Self::LabelTaken(_)
            | Self::TooManyLabels
            | Self::OwnRelation
            | Self::WaitCycle { .. }
            | Self::WaitsForWhole { .. }
            | Self::WaitsAround { .. }
            | Self::PartCycle { .. }
            | Self::TooManyWait { .. }
            | Self::TooManyRelations => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
            Self::Other(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(fields) => fields.clone(),
            Self::UnknownAssignee { .. }
            | Self::ArchivedAgent(_)
            | Self::NotAReport { .. }
            | Self::NotYours { .. } => {
                vec![FieldError::new("assignee", self.to_string())]
            }
            Self::Cycle | Self::TooDeep | Self::PartCycle { .. } => {
                vec![FieldError::new("parent", self.to_string())]
            }
            Self::TooManyWait { field, .. } => vec![FieldError::new(*field, self.to_string())],
            Self::LabelTaken(_) => vec![FieldError::new("name", self.to_string())],
            Self::TooManyLabels => vec![FieldError::new("labels", self.to_string())],
            Self::OwnRelation
            | Self::WaitCycle { .. }
            | Self::WaitsForWhole { .. }
            | Self::WaitsAround { .. }
            | Self::TooManyRelations => vec![FieldError::new("other", self.to_string())],
            _ => Vec::new(),
        }
    }
}

/// Joins field names, such as `title and description`.
fn fields_of(clashes: &[FieldClash]) -> String {
    clashes.iter().map(|clash| clash.field).collect::<Vec<_>>().join(" and the ")
}

impl TaskError {
    /// Error of a single field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// Renames date fields to their API names.
    #[must_use]
    pub fn in_api(self) -> Self {
        let Self::Invalid(mut wrong) = self else { return self };
        for fault in &mut wrong {
            match fault.field.as_str() {
                "due" => fault.field = "due_at".to_owned(),
                "start" => fault.field = "start_at".to_owned(),
                _ => {}
            }
        }
        Self::Invalid(wrong)
    }
}
