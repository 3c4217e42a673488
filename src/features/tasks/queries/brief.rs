//! Tasks as models and the API read them: short, by name.

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

/// How much of a description a model gets, in bytes.
const MAX_DESCRIPTION: usize = 8 * 1024;
/// How many comments a model gets.
const MAX_COMMENTS: usize = 15;
/// How much of each, in characters.
const MAX_COMMENT: usize = 1_200;

/// A task in one line.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// `MC-142`.
    pub task: String,
    pub title: String,
    pub status: TaskStatus,
    /// How urgent it is.
    pub priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// The due day, or the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
}

/// A comment.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    /// What tools call it.
    pub id: String,
    pub by: String,
    pub at: String,
    pub text: String,
    /// The comment that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
    /// Whether the talk that begins with it is settled.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
}

/// A piece of delivered work.
#[derive(Clone, Debug, Serialize)]
pub struct Piece {
    /// What to give as `revises`.
    pub id: String,
    pub title: String,
    pub state: &'static str,
    /// The number of its newest version.
    pub version: u32,
    /// What the person said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_note: Option<String>,
}

/// A task with what an agent needs in order to work on it.
#[derive(Clone, Debug, Serialize)]
pub struct Brief {
    #[serde(flatten)]
    pub line: Line,
    /// The number of this version: what is written later begins with its texts.
    pub rev: u64,
    /// The description, cut when it is very long.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it is a part of, from the top down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub part_of: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What is still to be done before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<Line>,
    /// What waits for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relates_to: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Line>,
    /// What was delivered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deliverables: Vec<Piece>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// The last comments, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Said>,
    /// How many earlier comments are left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub earlier_comments: usize,
    /// What keeps it from being finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// What makes names: the key, the people, the zone.
pub struct Names {
    /// The letters in front of numbers.
    pub key: String,
    /// Everybody.
    pub people: People,
    /// The workspace's zone.
    pub zone: TimeZone,
}

impl Names {
    pub fn read(read: &dyn Read) -> Result<Self, StoreError> {
        let zone = read.get::<Settings>(())?.map(|settings| due::zone(&settings.zone));
        let zone = zone.unwrap_or(TimeZone::UTC);
        Ok(Self { key: super::key(read)?, people: People::read(read)?, zone })
    }

    /// `MC-142`.
    #[must_use]
    pub fn of(&self, task: &Task) -> String {
        format!("{}-{}", self.key, task.number)
    }

    /// A task in one line.
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

/// A description as models read it.
#[must_use]
pub fn summarise(description: &str) -> String {
    let mut told = cut(description, MAX_DESCRIPTION).to_owned();
    if told.len() < description.len() {
        told.push_str("\n[…the rest is cut]");
    }
    told
}

/// Where the words of that come from.
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

/// A task with what an agent needs in order to work on it, and nothing that is for other agents alone.
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
    let said = |comment: &Comment| {
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
        comments: all.iter().skip(earlier_comments).map(said).collect::<Result<_, _>>()?,
        earlier_comments,
        open: OpenEnds::of(read, task.id)?.why(&names.key),
    })
}
