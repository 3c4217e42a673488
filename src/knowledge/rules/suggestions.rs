//! Suggestions of agents for shared items, and decisions on them.

use features::agents::model::Agent;
use kernel::RowAct;
use store::{ReadExt as _, StoreError, WriteTx};

use super::items::{MAX_REASON, Patch, change, checked, reason, title_over, too_long};
use super::words::write;
use crate::cards::SUGGESTION;
use crate::error::KnowledgeError;
use crate::model::{KnowledgeId, KnowledgeSuggestionId, LARGEST, Suggestion, Text};
use crate::queries;

/// A new suggestion; `None` fields stay unchanged.
#[derive(Clone, Debug)]
pub struct NewSuggestion {
    pub item: KnowledgeId,
    pub title: Option<String>,
    pub tags: Option<Vec<String>>,
    /// The new text, and the current one.
    pub words: Option<(Text, Text)>,
    /// Reason, in one line.
    pub reason: String,
}

/// Stores a suggestion for a person's decision. Replaces an earlier one by the same agent for the same item.
///
/// # Errors
/// The item is gone or archived, the input is invalid, or nothing would change.
pub fn suggest(tx: &mut WriteTx<'_>, new: NewSuggestion) -> Result<Suggestion, KnowledgeError> {
    let item = queries::item_by_id(tx, new.item)?;
    if item.archived_at.is_some() {
        return Err(KnowledgeError::Archived(item.title));
    }
    if item.kind.is_outside() {
        return Err(KnowledgeError::Refused("synced items and files can't be edited".to_owned()));
    }
    if new.words.as_ref().is_some_and(|(text, _)| LARGEST < text.len()) {
        return Err(too_long());
    }
    let patch = Patch { title: new.title, tags: new.tags, ..Patch::default() };
    let wanted = checked(tx, &item, patch)?;
    let words = new.words.filter(|(text, base)| text != base);
    if wanted == item && words.is_none() {
        return Err(KnowledgeError::Refused(format!("\"{}\" already says that", item.title)));
    }
    let by = tx.by();
    let before = queries::suggestions(tx, item.id)?;
    let before = before.into_iter().find(|one| one.by.agent() == by.agent());
    let (text, base) = words.unzip();
    let suggestion = Suggestion {
        id: before.map_or_else(|| tx.new_id(), |before| before.id),
        item: item.id,
        tags: Some(wanted.tags).filter(|tags| *tags != item.tags),
        title: wanted.title,
        title_base: item.title,
        text,
        base,
        reason: reason(&new.reason)?,
        by,
        created_at: tx.now(),
    };
    tx.put(&suggestion)?;
    tx.emit(SUGGESTION.event(&suggestion.id, RowAct::Created));
    Ok(suggestion)
}

/// A merged text, the revision that it replaces, and the names that it links to.
pub type Settled = (Text, u64, Vec<String>);

/// Accepts a suggestion. `words` is its text merged with the current one.
///
/// # Errors
/// [`KnowledgeError::Moved`] if the suggestion or the text changed. Also a suggestion that is gone, an agent as caller,
/// or an item that cannot be written.
pub fn take(
    tx: &mut WriteTx<'_>,
    (id, rev): (KnowledgeSuggestionId, u64),
    words: Option<Settled>,
) -> Result<Suggestion, KnowledgeError> {
    person_alone(tx)?;
    let (one, now) = queries::suggestion(tx, id)?;
    if now != rev {
        return Err(KnowledgeError::Moved);
    }
    let title = title_over(tx, one.item, Some(one.title.clone()), Some(one.title_base.clone()))?;
    if title.is_some() || one.tags.is_some() {
        change(tx, one.item, Patch { title, tags: one.tags.clone(), ..Patch::default() })?;
    }
    if let Some((text, rev, links)) = words {
        let why = why(tx, &one)?;
        write(tx, one.item, (text, rev), (&why, &links))?;
    }
    drop_it(tx, id)?;
    Ok(one)
}

/// Dismisses a suggestion.
///
/// # Errors
/// The suggestion is gone, or the caller is an agent.
pub fn dismiss(
    tx: &mut WriteTx<'_>,
    id: KnowledgeSuggestionId,
) -> Result<Suggestion, KnowledgeError> {
    person_alone(tx)?;
    let (one, _) = queries::suggestion(tx, id)?;
    drop_it(tx, id)?;
    Ok(one)
}

fn person_alone(tx: &WriteTx<'_>) -> Result<(), KnowledgeError> {
    match tx.by().agent() {
        Some(_) => Err(KnowledgeError::NotYours(
            "only a person can decide on agents' \
                suggestions"
                .to_owned(),
        )),
        None => Ok(()),
    }
}

fn drop_it(tx: &mut WriteTx<'_>, id: KnowledgeSuggestionId) -> Result<(), StoreError> {
    tx.delete::<Suggestion>(id)?;
    tx.emit(SUGGESTION.event(&id, RowAct::Deleted));
    Ok(())
}

/// Reason of the change, for the version.
fn why(tx: &WriteTx<'_>, one: &Suggestion) -> Result<String, StoreError> {
    let agent = match one.by.agent() {
        Some(agent) => tx.get::<Agent>(agent)?,
        None => None,
    };
    let who = agent.map_or_else(|| "an agent".to_owned(), |agent| agent.name);
    let why = match one.reason.as_str() {
        "" => format!("Suggested by {who}"),
        reason => format!("Suggested by {who}: {reason}"),
    };
    Ok(kernel::text::ellipsis(&why, MAX_REASON))
}
