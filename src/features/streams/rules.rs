//! All writes to streams. A stream is archived, never removed: its tasks keep it.

use jiff::civil::Date;

use super::model::{self, Stream};
use super::queries::{self, MAX_DESCRIPTION, MAX_GOAL, MAX_NAME, MOST, StreamError};
use crate::tasks::queries::checks;
use crate::tasks::queries::error::TaskError;
use kernel::text::{self, one_line};
use kernel::{Assignee, Event, FieldError, Hue, StreamId, StreamKind, Timestamp, rank};
use store::{Range, ReadExt as _, StoreError, WriteTx};

/// A stream to be made.
#[derive(Clone, Debug)]
pub struct NewStream {
    pub name: String,
    /// What it holds, in one line.
    pub description: String,
    /// Its colour; one that follows from the name when there is none.
    pub colour: Option<Hue>,
    /// One emoji, or nothing.
    pub icon: String,
    /// What it is made along.
    pub kind: StreamKind,
    /// Why the work is done.
    pub goal: String,
    /// Who answers for it.
    pub lead: Option<Assignee>,
    /// When the goal should be reached.
    pub target_date: Option<Date>,
}

impl NewStream {
    /// A stream with a name and nothing else.
    pub fn called(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            colour: None,
            icon: String::new(),
            kind: StreamKind::Custom,
            goal: String::new(),
            lead: None,
            target_date: None,
        }
    }
}

/// What is to change; what is not given stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPatch {
    pub name: Option<String>,
    /// The line about it.
    pub description: Option<String>,
    pub colour: Option<Hue>,
    /// The emoji.
    pub icon: Option<String>,
    /// What it is made along.
    pub kind: Option<StreamKind>,
    pub goal: Option<String>,
    /// Who answers for it, or nobody.
    pub lead: Option<Option<Assignee>>,
    /// The day, or none.
    pub target_date: Option<Option<Date>>,
}

/// Makes a stream, behind all others.
///
/// # Errors
/// When the input is wrong or the name is taken.
pub fn create(tx: &mut WriteTx<'_>, new: NewStream) -> Result<Stream, StreamError> {
    let last = tx.scan::<Stream>(model::BY_RANK, &Range::all().reverse().limit(1))?.pop();
    if MOST <= tx.len(model::BY_RANK, &Range::all())? {
        return Err(StreamError::TooMany);
    }
    let now = tx.now();
    let colour = new.colour.unwrap_or_else(|| Hue::of(new.name.trim()));
    let stream = Stream {
        id: tx.new_id(),
        name: new.name,
        description: new.description,
        colour,
        icon: new.icon,
        rank: rank::after(last.as_ref().map(|stream| stream.rank.as_str())),
        kind: new.kind,
        goal: new.goal,
        lead: new.lead,
        target_date: new.target_date,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    let stream = checked(stream)?;
    free(tx, &stream)?;
    lead(tx, stream.lead)?;
    tx.put(&stream)?;
    tx.emit(Event::StreamCreated { stream: stream.id });
    Ok(stream)
}

/// Changes a stream.
///
/// # Errors
/// When the input is wrong, the name is taken, or the stream is archived.
pub fn update(
    tx: &mut WriteTx<'_>,
    id: StreamId,
    patch: StreamPatch,
) -> Result<Stream, StreamError> {
    let old = queries::get_rev(tx, id)?.0;
    if old.archived_at.is_some() {
        return Err(StreamError::Archived(old.name));
    }
    let stream = checked(Stream {
        name: patch.name.unwrap_or_else(|| old.name.clone()),
        description: patch.description.unwrap_or_else(|| old.description.clone()),
        colour: patch.colour.unwrap_or(old.colour),
        icon: patch.icon.unwrap_or_else(|| old.icon.clone()),
        kind: patch.kind.unwrap_or(old.kind),
        goal: patch.goal.unwrap_or_else(|| old.goal.clone()),
        lead: patch.lead.unwrap_or(old.lead),
        target_date: patch.target_date.unwrap_or(old.target_date),
        ..old.clone()
    })?;
    if stream == old {
        return Ok(old);
    }
    if stream.name != old.name {
        free(tx, &stream)?;
    }
    if stream.lead != old.lead {
        lead(tx, stream.lead)?;
    }
    save(tx, stream)
}

/// Puts a stream out of the way; its tasks stay as they are.
pub fn archive(tx: &mut WriteTx<'_>, id: StreamId) -> Result<Stream, StreamError> {
    let at = tx.now();
    set_archived(tx, id, Some(at))
}

/// Brings an archived stream back.
///
/// # Errors
/// When there is none, or its name is taken by now.
pub fn restore(tx: &mut WriteTx<'_>, id: StreamId) -> Result<Stream, StreamError> {
    set_archived(tx, id, None)
}

fn set_archived(
    tx: &mut WriteTx<'_>,
    id: StreamId,
    at: Option<Timestamp>,
) -> Result<Stream, StreamError> {
    let mut stream = queries::get_rev(tx, id)?.0;
    if stream.archived_at.is_some() == at.is_some() {
        return Ok(stream);
    }
    stream.archived_at = at;
    if at.is_none() {
        free(tx, &stream)?;
    }
    save(tx, stream)
}

/// Refuses when the stream has changed since the caller read it.
///
/// # Errors
/// `Stale`, or when there is no such stream.
pub fn expect_rev(tx: &WriteTx<'_>, id: StreamId, rev: Option<u64>) -> Result<(), StreamError> {
    let Some(expected) = rev else { return Ok(()) };
    match queries::get_rev(tx, id)?.1 {
        now if now == expected => Ok(()),
        _ => Err(StoreError::Stale.into()),
    }
}

fn save(tx: &mut WriteTx<'_>, mut stream: Stream) -> Result<Stream, StreamError> {
    stream.updated_at = tx.now();
    tx.put(&stream)?;
    tx.emit(Event::StreamChanged { stream: stream.id });
    Ok(stream)
}

/// The stream as it is kept; all that is wrong at once.
fn checked(mut stream: Stream) -> Result<Stream, StreamError> {
    let mut wrong = Vec::new();
    stream.name = one_line(&stream.name);
    stream.description = one_line(&stream.description);
    stream.icon = one_line(&stream.icon);
    stream.goal = stream.goal.replace("\r\n", "\n").trim().to_owned();
    if stream.name.is_empty() {
        wrong.push(FieldError::new("name", "Give the stream a name."));
    }
    wrong.extend(text::word_of_filters("name", &stream.name));
    let mut short = |field: &str, text: &str, most: usize| {
        if most < text.chars().count() {
            wrong.push(FieldError::new(field, format!("At most {most} characters.")));
        }
    };
    short("name", &stream.name, MAX_NAME);
    short("description", &stream.description, MAX_DESCRIPTION);
    short("goal", &stream.goal, MAX_GOAL);
    // An emoji may be made of several.
    short("icon", &stream.icon, 12);
    if wrong.is_empty() { Ok(stream) } else { Err(StreamError::Invalid(wrong)) }
}

fn free(tx: &WriteTx<'_>, stream: &Stream) -> Result<(), StreamError> {
    match queries::called(tx, &stream.name)? {
        Some(other) if other.id != stream.id => Err(StreamError::Taken(other.name)),
        _ => Ok(()),
    }
}

/// Who answers for a stream must be here.
fn lead(tx: &WriteTx<'_>, who: Option<Assignee>) -> Result<(), StreamError> {
    match checks::assignee(tx, who) {
        Ok(()) => Ok(()),
        Err(TaskError::Store(error)) => Err(error.into()),
        Err(error) => Err(StreamError::Invalid(vec![FieldError::new("lead", error.to_string())])),
    }
}
