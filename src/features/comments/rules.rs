//! All writes to comments. Only the author may edit a comment. Admins, and for agents' comments those who manage
//! agents, may remove others' comments. Whoever may comment may also react and resolve threads.

use super::mentions::mentions;
use super::model::{COMMENTS, Comment, Reaction};
use super::queries::{self, CommentError, Power, is_by};
use crate::agents::model::{self as agents, Agent};
use crate::notifications::queries as notifications;
use crate::places::{Place, Spot};
use crate::tasks::queries::people::assignee_of;
use crate::workspace::model::{self as workspace, Member};
use kernel::key::KeyBuf;
use kernel::notice::MAX_BODY;
use kernel::text::MAX_TEXT;
use kernel::{
    AccountId, AgentId, Assignee, CommentId, Event, Notice, NoticeKind, ReactionKind, RowAct,
};
use store::{ReadExt, StoreError, WriteTx};
use web::md;

/// Whether a comment informs the task's agent without a mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// According to the workspace setting.
    Usual,
    /// Only mentioned agents.
    NoteOnly,
}

/// Adds a comment to a task or record.
///
/// # Errors
/// If the text is empty or too long, or the subject is archived.
pub fn add(
    tx: &mut WriteTx<'_>,
    place: impl Into<Place>,
    body: &str,
    reach: Reach,
) -> Result<Comment, CommentError> {
    write(tx, place.into(), None, (body, reach))
}

/// Replies to a comment. A reply to a reply joins the same thread. Replying reopens a resolved thread.
///
/// # Errors
/// As [`add`], and if there is no such comment on the subject.
pub fn reply(
    tx: &mut WriteTx<'_>,
    place: impl Into<Place>,
    to: CommentId,
    (body, reach): (&str, Reach),
) -> Result<Comment, CommentError> {
    let place = place.into();
    let to = queries::in_place(tx, place, to)?.ok_or(CommentError::NotFound)?;
    let first = first_of(tx, to)?;
    let comment = write(tx, place, Some(first.id), (body, reach))?;
    if first.settled_by.is_some() {
        tx.put(&Comment { settled_by: None, settled_at: None, ..first })?;
    }
    Ok(comment)
}

fn write(
    tx: &mut WriteTx<'_>,
    place: Place,
    parent: Option<CommentId>,
    (body, reach): (&str, Reach),
) -> Result<Comment, CommentError> {
    let body = check(body)?;
    usable(tx, place)?;
    let (mentions, people) = named(tx, &body)?;
    let comment = Comment {
        id: tx.new_id(),
        on: place,
        body,
        author: tx.by(),
        called: called(&mentions, &people).collect(),
        mentions,
        people,
        note_only: reach == Reach::NoteOnly,
        created_at: tx.now(),
        edited_at: None,
        parent,
        settled_by: None,
        settled_at: None,
    };
    tx.put(&comment)?;
    tx.emit(event(&comment, comment.mentions.clone(), comment.note_only));
    Ok(comment)
}

/// Event of a new comment, with the agents that it mentions.
fn event(comment: &Comment, mentions: Vec<AgentId>, note_only: bool) -> Event {
    let id = comment.id;
    match comment.on {
        Place::Task(task) => Event::CommentAdded { comment: id, task, mentions, note_only },
        // The comment contains the mentioned agents, and each is informed once.
        Place::Row(_) => Event::Row {
            table: COMMENTS.number,
            id: KeyBuf::of(&id).into_bytes(),
            act: if comment.edited_at.is_none() { RowAct::Created } else { RowAct::Changed },
            fields: Vec::new(),
        },
    }
}

fn called(agents: &[AgentId], people: &[AccountId]) -> impl Iterator<Item = Assignee> {
    let agents = agents.iter().copied().map(Assignee::Agent);
    agents.chain(people.iter().copied().map(Assignee::Person))
}

/// First comment of a thread.
fn first_of(tx: &WriteTx<'_>, comment: Comment) -> Result<Comment, StoreError> {
    let first = match comment.parent {
        Some(parent) => tx.get::<Comment>(parent)?,
        None => None,
    };
    Ok(first.unwrap_or(comment))
}

/// Edits a comment of the actor. Informs only newly mentioned people and agents: nobody is informed twice by one
/// comment, even if a mention was removed and added again.
///
/// # Errors
/// As [`add`], and if the actor is not the author.
pub fn edit(tx: &mut WriteTx<'_>, id: CommentId, body: &str) -> Result<Comment, CommentError> {
    let body = check(body)?;
    let mut comment = own(tx, id)?;
    usable(tx, comment.on)?;
    if comment.body == body {
        return Ok(comment);
    }
    let (mentions, people) = named(tx, &body)?;
    let is_new = |who: &Assignee| !comment.called.contains(who);
    let new: Vec<Assignee> = called(&mentions, &people).filter(is_new).collect();
    comment.body = body;
    comment.mentions = mentions;
    comment.people = people;
    comment.edited_at = Some(tx.now());
    comment.called.extend(&new);
    tx.put(&comment)?;
    let agents: Vec<AgentId> = new.iter().filter_map(|who| who.agent()).collect();
    if !agents.is_empty() {
        tx.emit(event(&comment, agents, true));
    }
    let people: Vec<AccountId> = new.iter().filter_map(|who| who.person()).collect();
    if !people.is_empty() {
        let mut notice = mention(tx, &comment)?;
        notice.to = people;
        tx.emit(notice.event());
    }
    Ok(comment)
}

/// Like [`edit`], for an author who saw the version with hash `mark`. Fails with the current text if the comment has
/// changed since.
///
/// # Errors
/// As [`edit`], and `Changed`.
pub fn edit_seen(
    tx: &mut WriteTx<'_>,
    id: CommentId,
    mark: &str,
    body: &str,
) -> Result<Comment, CommentError> {
    let comment = own(tx, id)?;
    let same = comment.body == body.replace("\r\n", "\n").trim();
    if !mark.is_empty() && !same && queries::mark(&comment.body) != mark {
        return Err(CommentError::Changed(comment.body));
    }
    edit(tx, id, body)
}

/// Notice for members who are newly mentioned by an edit.
fn mention(tx: &WriteTx<'_>, comment: &Comment) -> Result<Notice, CommentError> {
    let spot = Spot::read(tx, comment.on)?.ok_or(CommentError::NotFound)?;
    let author = notifications::name(tx, comment.author)?;
    let title = format!("{author} mentioned you on {}", spot.called());
    Ok(Notice::new(NoticeKind::Mention, comment.on.about(), title)
        .body(md::excerpt(&comment.body, MAX_BODY))
        .only())
}

/// Removes a comment. If it started a thread, the first reply takes its place.
///
/// # Errors
/// If the actor may not remove it.
pub fn remove(tx: &mut WriteTx<'_>, id: CommentId, power: Power) -> Result<Comment, CommentError> {
    let comment = tx.get::<Comment>(id)?.ok_or(CommentError::NotFound)?;
    power.check(&comment, tx.by())?;
    let mut answers = queries::answers(tx, id)?.into_iter();
    if let Some(first) = answers.next() {
        let next = first.id;
        let (settled_by, settled_at) = (comment.settled_by, comment.settled_at);
        tx.put(&Comment { parent: None, settled_by, settled_at, ..first })?;
        for answer in answers {
            tx.put(&Comment { parent: Some(next), ..answer })?;
        }
    }
    tx.delete::<Comment>(id)?;
    Ok(comment)
}

/// Adds or removes a reaction. Idempotent.
///
/// # Errors
/// If there is no such comment, or its task is archived.
pub fn react(
    tx: &mut WriteTx<'_>,
    id: CommentId,
    kind: ReactionKind,
    on: bool,
) -> Result<Comment, CommentError> {
    let comment = tx.get::<Comment>(id)?.ok_or(CommentError::NotFound)?;
    usable(tx, comment.on)?;
    let by = assignee_of(tx.by());
    match (queries::reaction(tx, id, kind, by)?, on) {
        (None, true) => {
            let created_at = tx.now();
            let on = comment.on;
            tx.put(&Reaction { id: tx.new_id(), comment: id, on, kind, by, created_at })?;
        }
        (Some(there), false) => {
            tx.delete::<Reaction>(there.id)?;
        }
        _ => {}
    }
    Ok(comment)
}

/// Resolves or reopens the thread of a comment. Returns its first comment.
///
/// # Errors
/// If there is no such comment, or its task is archived.
pub fn settle(tx: &mut WriteTx<'_>, id: CommentId, settled: bool) -> Result<Comment, CommentError> {
    let comment = tx.get::<Comment>(id)?.ok_or(CommentError::NotFound)?;
    usable(tx, comment.on)?;
    let first = first_of(tx, comment)?;
    if first.settled_by.is_some() == settled {
        return Ok(first);
    }
    let (by, at) = match settled {
        true => (Some(assignee_of(tx.by())), Some(tx.now())),
        false => (None, None),
    };
    let first = Comment { settled_by: by, settled_at: at, ..first };
    tx.put(&first)?;
    Ok(first)
}

fn check(body: &str) -> Result<String, CommentError> {
    let body = body.replace("\r\n", "\n").trim().to_owned();
    if body.is_empty() {
        return Err(CommentError::Empty);
    }
    if MAX_TEXT < body.len() { Err(CommentError::TooLong) } else { Ok(body) }
}

fn usable(tx: &WriteTx<'_>, place: Place) -> Result<(), CommentError> {
    let spot = Spot::here(tx, place)?;
    if spot.archived { Err(CommentError::Archived(spot.name)) } else { Ok(()) }
}

fn own(tx: &WriteTx<'_>, id: CommentId) -> Result<Comment, CommentError> {
    let comment = tx.get::<Comment>(id)?.ok_or(CommentError::NotFound)?;
    if is_by(&comment, tx.by()) { Ok(comment) } else { Err(CommentError::NotYours) }
}

/// Agents and members mentioned in a text, except its author.
fn named(tx: &WriteTx<'_>, body: &str) -> Result<(Vec<AgentId>, Vec<AccountId>), StoreError> {
    let (mut mentioned, mut people) = (Vec::new(), Vec::new());
    for name in mentions(body) {
        let mut key = KeyBuf::new();
        key.text(&name);
        if let Some(agent) = tx.find::<Agent>(agents::BY_SLUG, &key)? {
            if agent.archived_at.is_none() && Some(agent.id) != tx.by().agent() {
                mentioned.push(agent.id);
            }
        } else if let Some(member) = tx.find::<Member>(workspace::MEMBER_BY_HANDLE, &key)?
            && Some(member.account) != tx.by().account()
        {
            people.push(member.account);
        }
    }
    Ok((mentioned, people))
}
