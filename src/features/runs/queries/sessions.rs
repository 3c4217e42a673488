//! Titles and states of conversations, the same on pages, in the API and for commands.

use crate::runs::model::{Body, EventKind, Run, Session};
use crate::tasks::model::Task;
use crate::tasks::queries as tasks;
use kernel::AccountId;
use providers::model::Part;
use store::{Read, ReadExt, StoreError};
use web::md;
use web::parts::ShownState;

use super::{children, words};

/// Number of first events searched for the first message.
const FIRST: u32 = 8;
/// Number of last events searched for the last text.
const LAST: usize = 6;
/// Maximum title length taken from the first message.
const TITLE: usize = 48;

/// Whether a person's list shows the conversation: it is their own, shared, or about a task.
#[must_use]
pub fn is_listed(session: &Session, account: AccountId) -> bool {
    let theirs = match session.owner {
        Some(_) => session.admits(account),
        None => session.task.is_some(),
    };
    theirs && !children::is_key(&session.key)
}

/// Title: the name, else the task, else the first message.
pub fn title(tx: &dyn Read, session: &Session) -> Result<String, StoreError> {
    if let Some(name) = &session.name {
        return Ok(name.clone());
    }
    if let Some(task) = session.task {
        return Ok(match tx.get::<Task>(task)? {
            Some(task) => format!("{} {}", tasks::name(tx, task.number)?, task.title),
            None => "A task".to_owned(),
        });
    }
    let first = super::events(tx, session.id, 0, FIRST)?;
    let message = first.into_iter().find_map(|event| match event.kind {
        EventKind::Input { text, .. } => Some(md::excerpt(text.head(), TITLE)),
        _ => None,
    });
    Ok(message.filter(|message| !message.is_empty()).unwrap_or_else(|| "A conversation".to_owned()))
}

/// The texts of a response without its tool calls; `None` for one stored as a blob.
pub fn said(parts: &Body) -> Option<Vec<String>> {
    let parts: Vec<Part> = serde_json::from_str(parts.head()).ok()?;
    let text = |part: Part| match part {
        Part::Text { text } if !text.trim().is_empty() => Some(text),
        _ => None,
    };
    Some(parts.into_iter().filter_map(text).collect())
}

/// Whether a response calls tools, so that its text is no answer yet.
pub fn has_calls(parts: &Body) -> bool {
    let parts: Vec<Part> = serde_json::from_str(parts.head()).unwrap_or_default();
    parts.iter().any(|part| matches!(part, Part::ToolCall { .. }))
}

/// The last text in a conversation. Responses stored as blobs are skipped.
pub fn last_words(tx: &dyn Read, session: &Session, max: usize) -> Result<String, StoreError> {
    let last = super::last_events(tx, session.id, LAST)?;
    let message = last.into_iter().rev().find_map(|event| match event.kind {
        EventKind::Input { text, .. } => Some(md::excerpt(text.head(), max)),
        EventKind::Assistant { parts, .. } => {
            let texts = said(&parts)?;
            texts.first().map(|text| md::excerpt(text, max))
        }
        _ => None,
    });
    Ok(message.unwrap_or_default())
}

/// State of the conversation's active run.
pub fn state(tx: &dyn Read, session: &Session) -> Result<ShownState, StoreError> {
    let run = match session.active_run {
        Some(run) => tx.get::<Run>(run)?,
        None => None,
    };
    Ok(match run {
        Some(run) => words::state(&run),
        None if session.archived_at.is_some() => ShownState::new("archived", "Archived", "archive"),
        None => ShownState::new("idle", "Idle", "todo"),
    })
}

/// Version token for the last message. A page or client with another token is out of date.
#[must_use]
pub fn leaf(session: Option<&Session>) -> String {
    match session {
        None => "none".to_owned(),
        Some(Session { id, leaf: None, .. }) => id.to_string(),
        Some(Session { id, leaf: Some(leaf), .. }) => format!("{id}.{leaf}"),
    }
}
