//! Compact task views for models and the API, with display names instead of ids.

use jiff::tz::TimeZone;
use serde::Serialize;

use super::due::{self, Deadline};
use super::people::People;
use super::{labels, open_ends::OpenEnds, relations};
use crate::comments::model::Comment;
use crate::comments::queries as comments;
use crate::deliverables::queries as deliverables;
use crate::links::queries as links;
use crate::runs::model::Place;
use crate::runs::queries::taint;
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::workspace::model::Settings;
use kernel::text::{cut, ellipsis};
use kernel::{AgentId, Priority, TaskStatus, TypedId};
use store::{Read, ReadExt, StoreError};

/// Maximum description length for a model, in bytes.
const MAX_DESCRIPTION: usize = 8 * 1024;
/// Maximum number of comments for a model.
const MAX_COMMENTS: usize = 15;
/// Maximum length of each comment, in characters.
const MAX_COMMENT: usize = 1_200;

/// One-line summary of a task.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Display name, such as `MC-142`.
    pub task: String,
    pub title: String,
    pub status: TaskStatus,
    pub priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Due day or due moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Said {
    /// Comment id that tools accept.
    pub id: String,
    pub by: String,
    pub at: String,
    pub text: String,
    /// Id of the comment that this one replies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
    /// `true` if the thread that starts with this comment is resolved.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
}

/// A deliverable.
#[derive(Clone, Debug, Serialize)]
pub struct Piece {
    /// Value for `revises`.
    pub id: String,
    pub title: String,
    pub state: &'static str,
    /// Newest version number.
    pub version: u32,
    /// The reviewer's note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_note: Option<String>,
}

/// A task with everything an agent needs to work on it.
#[derive(Clone, Debug, Serialize)]
pub struct Brief {
    #[serde(flatten)]
    pub line: Line,
    /// Revision of the task. Later writes use its texts as their base.
    pub rev: u64,
    /// Description, truncated if very long.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Ancestors, top first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub part_of: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Open tasks that this task waits for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<Line>,
    /// Tasks that wait for this task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relates_to: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deliverables: Vec<Piece>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// The last comments, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Said>,
    /// Number of omitted earlier comments.
    #[serde(skip_serializing_if = "is_zero")]
    pub earlier_comments: usize,
    /// What prevents completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Data for display names: workspace key, people and time zone.
pub struct Names {
    /// Prefix of task numbers.
    pub key: String,
    pub people: People,
    /// Time zone of the workspace.
    pub zone: TimeZone,
}

impl Names {
    pub fn read(read: &dyn Read) -> Result<Self, StoreError> {
        let zone = read.get::<Settings>(())?.map(|settings| due::zone(&settings.zone));
        let zone = zone.unwrap_or(TimeZone::UTC);
        Ok(Self { key: super::key(read)?, people: People::read(read)?, zone })
    }

    /// Display name, such as `MC-142`.
    #[must_use]
    pub fn of(&self, task: &Task) -> String {
        format!("{}-{}", self.key, task.number)
    }

    #[must_use]
    pub fn line(&self, task: &Task) -> Line {
        Line {
            task: self.of(task),
            title: task.title.clone(),
            status: task.status,
            priority: task.priority,
            assignee: task.assignee.map(|who| self.people.handle(who)),
            due: Deadline::of(task).map(|due| due.written(&self.zone)),
        }
    }
}

/// Description for models, truncated if very long.
#[must_use]
pub fn summarise(description: &str) -> String {
    let mut text = cut(description, MAX_DESCRIPTION).to_owned();
    if text.len() < description.len() {
        text.push_str("\n[…the rest is cut]");
    }
    text
}

/// Sources of the texts in a brief.
pub fn places(read: &dyn Read, task: &Task) -> Result<Vec<Place>, StoreError> {
    let mut tasks = vec![task.id];
    tasks.extend(super::ancestors(read, task)?.iter().map(|task| task.id));
    tasks.extend(super::children(read, task.id)?.iter().map(|task| task.id));
    tasks.extend(relations::open_blockers(read, task.id)?.iter().map(|task| task.id));
    let mut places: Vec<Place> = tasks.into_iter().map(Place::Task).collect();
    places.extend(task.stream.map(Place::of));
    places.extend(labels::of(read, task.id)?.iter().map(|label| Place::of(label.id)));
    for piece in deliverables::of_task(read, task.id)? {
        places.push(Place::of(piece.deliverable.id));
    }
    Ok(places)
}

/// Brief of a task. Omits content that is for other agents only.
pub fn brief(
    read: &dyn Read,
    names: &Names,
    (task, agent): (&Task, AgentId),
) -> Result<Brief, StoreError> {
    let chain = super::ancestors(read, task)?;
    let parts = super::children(read, task.id)?;
    let all = comments::of_task(read, task.id)?;
    let earlier_comments = all.len().saturating_sub(MAX_COMMENTS);
    let pieces = deliverables::of_task(read, task.id)?;
    let stream = match task.stream {
        Some(stream) => read.get::<Stream>(stream)?.map(|stream| stream.name),
        None => None,
    };
    let blockers = relations::open_blockers(read, task.id)?;
    let mut linked = Vec::new();
    for link in links::of_task(read, task.id)? {
        if links::is_for(read, &link.target, agent)? {
            linked.extend(links::describe(read, &link)?);
        }
    }
    let show = |comment: &Comment| {
        let text = ellipsis(&comment.body, MAX_COMMENT);
        Ok::<_, StoreError>(Said {
            id: comment.id.short(),
            answers: comment.parent.map(TypedId::short),
            settled: comment.settled_by.is_some(),
            by: names.people.actor_handle(comment.author),
            at: comment.created_at.to_string(),
            text: taint::marked(&read, &Place::Comment(comment.id), &text)?,
        })
    };
    let called = |tasks: Vec<Task>| tasks.iter().map(|t| names.of(t)).collect();
    Ok(Brief {
        line: names.line(task),
        stream,
        labels: labels::of(read, task.id)?.into_iter().map(|label| label.name).collect(),
        waits_for: blockers.iter().map(|blocker| names.line(blocker)).collect(),
        blocks: called(relations::waiting_for(read, task.id)?),
        relates_to: called(relations::related(read, task.id)?),
        rev: read.get_rev::<Task>(task.id)?.map_or(0, |(_, rev)| rev),
        description: taint::marked(&read, &Place::Task(task.id), &summarise(&task.description))?,
        part_of: chain.iter().map(|t| format!("{} {}", names.of(t), t.title)).collect(),
        parts: parts.iter().map(|part| names.line(part)).collect(),
        deliverables: pieces
            .iter()
            .map(|piece| Piece {
                id: piece.short(),
                title: piece.deliverable.title.clone(),
                state: piece.deliverable.state.word(),
                version: piece.deliverable.versions,
                review_note: piece.last_note(),
            })
            .collect(),
        links: linked,
        comments: all.iter().skip(earlier_comments).map(show).collect::<Result<_, _>>()?,
        earlier_comments,
        open: OpenEnds::of(read, task.id)?.why(&names.key),
    })
}
