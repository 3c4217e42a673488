//! All writes to comments. Everybody changes only what is their own; who looks after a workspace or its
//! agents may remove what others wrote.

use super::mentions::mentions;
use super::model::Comment;
use super::queries::{CommentError, Power, is_by};
use crate::features::agents::model::{self as agents, Agent};
use crate::features::notifications::queries as notifications;
use crate::features::tasks::model::Task;
use crate::features::tasks::queries as tasks;
use crate::features::workspace::model::{self as workspace, Member};
use crate::kernel::text::MAX_TEXT;
use crate::kernel::{About, AccountId, AgentId, CommentId, Event, Notice, NoticeKind, TaskId};
use crate::store::{KeyBuf, ReadExt, StoreError, WriteTx};

/// Whether a comment reaches the task's agent without a mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// As the workspace's setting says.
    Usual,
    /// Only those mentioned.
    NoteOnly,
}

/// Writes a comment on a task.
///
/// # Errors
/// When it is empty or too long, or the task is archived.
pub fn add(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    body: &str,
    reach: Reach,
) -> Result<Comment, CommentError> {
    let body = check(body)?;
    usable(tx, task)?;
    let (mentions, people) = named(tx, &body)?;
    let comment = Comment {
        id: tx.new_id(),
        task,
        body,
        author: tx.by(),
        mentions,
        people,
        note_only: reach == Reach::NoteOnly,
        created_at: tx.now(),
        edited_at: None,
    };
    tx.put(&comment)?;
    tx.emit(Event::CommentAdded {
        comment: comment.id,
        task,
        mentions: comment.mentions.clone(),
        note_only: comment.note_only,
    });
    Ok(comment)
}

/// Changes the words of one's own comment. Who is mentioned only now hears of it; nobody else is
/// woken again.
///
/// # Errors
/// As [`add`], and when it is somebody else's.
pub fn edit(tx: &mut WriteTx<'_>, id: CommentId, body: &str) -> Result<Comment, CommentError> {
    let body = check(body)?;
    let mut comment = own(tx, id)?;
    usable(tx, comment.task)?;
    if comment.body == body {
        return Ok(comment);
    }
    let (mentions, people) = named(tx, &body)?;
    let new: Vec<AgentId> =
        mentions.iter().copied().filter(|agent| !comment.mentions.contains(agent)).collect();
    let called: Vec<AccountId> =
        people.iter().copied().filter(|account| !comment.people.contains(account)).collect();
    comment.body = body;
    comment.mentions = mentions;
    comment.people = people;
    comment.edited_at = Some(tx.now());
    tx.put(&comment)?;
    if !new.is_empty() {
        let (comment, task) = (comment.id, comment.task);
        tx.emit(Event::CommentAdded { comment, task, mentions: new, note_only: true });
    }
    if !called.is_empty() {
        let mut notice = mention(tx, &comment)?;
        notice.to = called;
        tx.emit(notice.event());
    }
    Ok(comment)
}

/// What those hear whom a changed comment mentions only now.
fn mention(tx: &WriteTx<'_>, comment: &Comment) -> Result<Notice, CommentError> {
    let task = tasks::get(tx, comment.task)?;
    let author = notifications::name(tx, comment.author)?;
    let name = tasks::name(tx, task.number)?;
    let title = format!("{author} mentioned you on {name} \u{201c}{}\u{201d}", task.title);
    let about = About::Task(task.id);
    Ok(Notice::new(NoticeKind::Mention, about, title).body(&comment.body).only())
}

/// Removes a comment.
///
/// # Errors
/// When it is somebody else's, and not for this one to remove.
pub fn remove(tx: &mut WriteTx<'_>, id: CommentId, power: Power) -> Result<Comment, CommentError> {
    let comment = tx.get::<Comment>(id)?.ok_or(CommentError::NotFound)?;
    power.check(&comment, tx.by())?;
    tx.delete::<Comment>(id)?;
    Ok(comment)
}

fn check(body: &str) -> Result<String, CommentError> {
    let body = body.replace("\r\n", "\n").trim().to_owned();
    if body.is_empty() {
        return Err(CommentError::Empty);
    }
    if MAX_TEXT < body.len() { Err(CommentError::TooLong) } else { Ok(body) }
}

fn usable(tx: &WriteTx<'_>, id: TaskId) -> Result<Task, CommentError> {
    let task = tasks::get(tx, id)?;
    match task.archived_at {
        Some(_) => Err(CommentError::Archived(tasks::name(tx, task.number)?)),
        None => Ok(task),
    }
}

fn own(tx: &WriteTx<'_>, id: CommentId) -> Result<Comment, CommentError> {
    let comment = tx.get::<Comment>(id)?.ok_or(CommentError::NotFound)?;
    if is_by(&comment, tx.by()) { Ok(comment) } else { Err(CommentError::NotYours) }
}

/// The agents and members that a text mentions, without its author.
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
