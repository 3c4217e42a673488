//! All writes to streams. A stream is archived, never deleted: its tasks keep it.

use jiff::civil::Date;

use super::model::{self, Stream};
use super::queries::{self, MAX_DESCRIPTION, MAX_GOAL, MAX_NAME, MOST, StreamError};
use crate::tasks::queries::checks;
use crate::tasks::queries::error::TaskError;
use entity::{Stored, Values};
use kernel::text::{self, one_line};
use kernel::{
    Assignee, Error, Event, FieldError, Hue, ProofMode, RowAct, StreamId, StreamKind, Timestamp,
    rank,
};
use serde_json::Value;
use store::{Range, ReadExt as _, StoreError, WriteTx};

#[derive(Clone, Debug)]
pub struct NewStream {
    pub name: String,
    /// One line.
    pub description: String,
    /// `None` derives the colour from the name.
    pub colour: Option<Hue>,
    /// One emoji, or empty.
    pub icon: String,
    pub kind: StreamKind,
    pub goal: String,
    pub lead: Option<Assignee>,
    pub target_date: Option<Date>,
    pub proof: ProofMode,
}

impl NewStream {
    /// A stream with a name and defaults.
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
            proof: ProofMode::Show,
        }
    }
}

/// A change. `None` keeps a value; in doubly optional fields `Some(None)` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPatch {
    pub name: Option<String>,
    /// One line.
    pub description: Option<String>,
    pub colour: Option<Hue>,
    /// One emoji, or empty.
    pub icon: Option<String>,
    pub kind: Option<StreamKind>,
    pub goal: Option<String>,
    pub lead: Option<Option<Assignee>>,
    pub target_date: Option<Option<Date>>,
    pub proof: Option<ProofMode>,
}

impl Stored for Stream {
    fn blank(tx: &mut WriteTx<'_>) -> Self {
        let (id, now) = (tx.new_id(), tx.now());
        Self {
            id,
            name: String::new(),
            description: String::new(),
            colour: Hue::C1,
            icon: String::new(),
            rank: String::new(),
            kind: StreamKind::Custom,
            goal: String::new(),
            lead: None,
            target_date: None,
            created_at: now,
            updated_at: now,
            archived_at: None,
            proof: ProofMode::Show,
        }
    }

    fn check(
        tx: &mut WriteTx<'_>,
        old: Option<&Self>,
        new: &mut Self,
        given: &Values,
    ) -> Result<(), Error> {
        let Some(old) = old else {
            let has_colour = given.contains_key("colour");
            *new = placed(tx, new.clone(), has_colour)?;
            return Ok(());
        };
        // Restore first and archive last, so that a request with other changes is a single change.
        let archived = given.get("archived").and_then(Value::as_bool);
        if archived == Some(false) && new.archived_at.take().is_some() {
            free(tx, new)?;
        }
        let is_more = given.keys().any(|key| key != "archived");
        if new.archived_at.is_some() && is_more {
            return Err(StreamError::Archived(old.name.clone()).into());
        }
        *new = kept(tx, old, new.clone())?;
        if archived == Some(true) && new.archived_at.is_none() {
            new.archived_at = Some(tx.now());
        }
        Ok(())
    }

    fn stamp(&mut self, now: Timestamp) {
        self.updated_at = now;
    }

    fn event(&self, act: RowAct) -> Option<Event> {
        Some(match act {
            RowAct::Created => Event::StreamCreated { stream: self.id },
            _ => Event::StreamChanged { stream: self.id },
        })
    }
}

/// Validates a new stream and assigns the last rank.
fn placed(tx: &WriteTx<'_>, stream: Stream, has_colour: bool) -> Result<Stream, StreamError> {
    let last = tx.scan::<Stream>(model::BY_RANK, &Range::all().reverse().limit(1))?.pop();
    if MOST <= tx.len(model::BY_RANK, &Range::all())? {
        return Err(StreamError::TooMany);
    }
    let colour = if has_colour { stream.colour } else { Hue::of(stream.name.trim()) };
    let rank = rank::after(last.as_ref().map(|stream| stream.rank.as_str()));
    let stream = checked(Stream { colour, rank, ..stream })?;
    free(tx, &stream)?;
    lead(tx, stream.lead)?;
    Ok(stream)
}

/// Validates a changed stream.
fn kept(tx: &WriteTx<'_>, old: &Stream, stream: Stream) -> Result<Stream, StreamError> {
    let stream = checked(stream)?;
    if stream.name != old.name {
        free(tx, &stream)?;
    }
    if stream.lead != old.lead {
        lead(tx, stream.lead)?;
    }
    Ok(stream)
}

/// Creates a stream at the last position.
///
/// # Errors
/// If the input is invalid or the name is taken.
pub fn create(tx: &mut WriteTx<'_>, new: NewStream) -> Result<Stream, StreamError> {
    let blank = Stream::blank(tx);
    let NewStream { name, description, colour, icon, kind, goal, lead, target_date, proof } = new;
    let hue = colour.unwrap_or(blank.colour);
    let stream = Stream {
        name,
        description,
        colour: hue,
        icon,
        kind,
        goal,
        lead,
        target_date,
        proof,
        ..blank
    };
    let stream = placed(tx, stream, colour.is_some())?;
    tx.put(&stream)?;
    tx.emit(Event::StreamCreated { stream: stream.id });
    Ok(stream)
}

/// Changes a stream.
///
/// # Errors
/// If the input is invalid, the name is taken, or the stream is archived.
pub fn update(
    tx: &mut WriteTx<'_>,
    id: StreamId,
    patch: StreamPatch,
) -> Result<Stream, StreamError> {
    let old = queries::get_rev(tx, id)?.0;
    if old.archived_at.is_some() {
        return Err(StreamError::Archived(old.name));
    }
    let stream = Stream {
        name: patch.name.unwrap_or_else(|| old.name.clone()),
        description: patch.description.unwrap_or_else(|| old.description.clone()),
        colour: patch.colour.unwrap_or(old.colour),
        icon: patch.icon.unwrap_or_else(|| old.icon.clone()),
        kind: patch.kind.unwrap_or(old.kind),
        goal: patch.goal.unwrap_or_else(|| old.goal.clone()),
        lead: patch.lead.unwrap_or(old.lead),
        target_date: patch.target_date.unwrap_or(old.target_date),
        proof: patch.proof.unwrap_or(old.proof),
        ..old.clone()
    };
    let stream = kept(tx, &old, stream)?;
    if stream == old { Ok(old) } else { save(tx, stream) }
}

/// Archives a stream. Its tasks stay unchanged.
pub fn archive(tx: &mut WriteTx<'_>, id: StreamId) -> Result<Stream, StreamError> {
    let at = tx.now();
    set_archived(tx, id, Some(at))
}

/// Restores an archived stream.
///
/// # Errors
/// If there is no such stream, or its name is taken by now.
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

/// Fails if the stream changed since revision `rev`.
///
/// # Errors
/// `Stale`, or if there is no such stream.
pub fn check_rev(tx: &WriteTx<'_>, id: StreamId, rev: Option<u64>) -> Result<(), StreamError> {
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

/// Validates and normalises a stream. Reports all errors at once.
fn checked(mut stream: Stream) -> Result<Stream, StreamError> {
    let mut wrong = Vec::new();
    stream.name = one_line(&stream.name);
    stream.description = one_line(&stream.description);
    stream.icon = one_line(&stream.icon);
    stream.goal = stream.goal.replace("\r\n", "\n").trim().to_owned();
    if stream.name.is_empty() {
        wrong.push(FieldError::new("name", "Enter a name."));
    }
    wrong.extend(text::word_of_filters("name", &stream.name));
    let mut short = |field: &str, text: &str, most: usize| {
        if most < text.chars().count() {
            wrong.push(FieldError::new(field, format!("Use at most {most} characters.")));
        }
    };
    short("name", &stream.name, MAX_NAME);
    short("description", &stream.description, MAX_DESCRIPTION);
    short("goal", &stream.goal, MAX_GOAL);
    // An emoji may consist of several characters.
    short("icon", &stream.icon, 12);
    if wrong.is_empty() { Ok(stream) } else { Err(StreamError::Invalid(wrong)) }
}

fn free(tx: &WriteTx<'_>, stream: &Stream) -> Result<(), StreamError> {
    match queries::called(tx, &stream.name)? {
        Some(other) if other.id != stream.id => Err(StreamError::Taken(other.name)),
        _ => Ok(()),
    }
}

/// Checks that the lead exists and is not archived.
fn lead(tx: &WriteTx<'_>, who: Option<Assignee>) -> Result<(), StreamError> {
    match checks::assignee(tx, who) {
        Ok(()) => Ok(()),
        Err(TaskError::Store(error)) => Err(error.into()),
        Err(error) => Err(StreamError::Invalid(vec![FieldError::new("lead", error.to_string())])),
    }
}
