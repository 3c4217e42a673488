//! How conversations are called and how they stand, the same on pages, in the API and for commands.

use crate::runs::model::{EventKind, Run, Session};
use crate::tasks::model::Task;
use crate::tasks::queries as tasks;
use kernel::AccountId;
use providers::model::Part;
use store::{Read, ReadExt, StoreError};
use web::md;

use super::{children, words};

/// In how many of its first events a conversation's first words are looked for.
const FIRST: u32 = 8;
/// In how many of its last ones the last words are.
const LAST: usize = 6;
/// How much of its first words a conversation is called by.
const TITLE: usize = 48;

/// Whether a person finds a conversation among theirs: it is their own, shared, or about a task.
#[must_use]
pub fn is_listed(session: &Session, account: AccountId) -> bool {
    let theirs = match session.owner {
        Some(_) => session.admits(account),
        None => session.task.is_some(),
    };
    theirs && !children::is_key(&session.key)
}

/// What a conversation is called: its name, else its task, else the first words in it.
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
    let said = first.into_iter().find_map(|event| match event.kind {
        EventKind::Input { text, .. } => Some(md::excerpt(text.head(), TITLE)),
        _ => None,
    });
    Ok(said.filter(|said| !said.is_empty()).unwrap_or_else(|| "A conversation".to_owned()))
}

/// The last words in a conversation; an answer that is too long for the log itself is passed over.
pub fn last_words(tx: &dyn Read, session: &Session, max: usize) -> Result<String, StoreError> {
    let last = super::last_events(tx, session.id, LAST)?;
    let said = last.into_iter().rev().find_map(|event| match event.kind {
        EventKind::Input { text, .. } => Some(md::excerpt(text.head(), max)),
        EventKind::Assistant { parts, .. } => {
            let parts: Vec<Part> = serde_json::from_str(parts.head()).ok()?;
            let text = parts.iter().find_map(|part| match part {
                Part::Text { text } if !text.trim().is_empty() => Some(text.as_str()),
                _ => None,
            });
            text.map(|text| md::excerpt(text, max))
        }
        _ => None,
    });
    Ok(said.unwrap_or_default())
}

/// How a conversation stands: the state word of the run that has it, with the word for people.
pub fn state(tx: &dyn Read, session: &Session) -> Result<(&'static str, &'static str), StoreError> {
    let run = match session.active_run {
        Some(run) => tx.get::<Run>(run)?,
        None => None,
    };
    Ok(match run {
        Some(run) => words::state(&run),
        None if session.archived_at.is_some() => ("archived", "Archived"),
        None => ("idle", "At rest"),
    })
}

/// What was said last in a conversation, in a word: a page or a program that has seen something else
/// is out of date.
#[must_use]
pub fn leaf(session: Option<&Session>) -> String {
    match session {
        None => "none".to_owned(),
        Some(Session { id, leaf: None, .. }) => id.to_string(),
        Some(Session { id, leaf: Some(leaf), .. }) => format!("{id}.{leaf}"),
    }
}
