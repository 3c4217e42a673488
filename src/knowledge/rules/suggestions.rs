//! What agents suggest in items that others read, too, and what people make of it.

use features::agents::model::Agent;
use kernel::RowAct;
use store::{ReadExt as _, StoreError, WriteTx};

use super::items::{MAX_REASON, Patch, change, checked, reason, title_over, too_long};
use super::words::write;
use crate::cards::SUGGESTION;
use crate::error::KnowledgeError;
use crate::model::{KnowledgeId, KnowledgeSuggestionId, LARGEST, Suggestion, Text};
use crate::queries;

/// A change to be suggested; what is not given stays.
#[derive(Clone, Debug)]
pub struct NewSuggestion {
    pub item: KnowledgeId,
    /// What it should be called.
    pub title: Option<String>,
    pub tags: Option<Vec<String>>,
    /// What it should say, and what it says now.
    pub words: Option<(Text, Text)>,
    /// Why, in a line.
    pub reason: String,
}

/// Keeps a change for a person's yes or no, in place of an earlier one by the same agent for the same item.
///
/// # Errors
/// When the item is gone or archived, the input is wrong, or nothing would change.
pub fn suggest(tx: &mut WriteTx<'_>, new: NewSuggestion) -> Result<Suggestion, KnowledgeError> {
    let item = queries::item_by_id(tx, new.item)?;
    if item.archived_at.is_some() {
        return Err(KnowledgeError::Archived(item.title));
    }
    if item.kind.is_outside() {
        return Err(KnowledgeError::Refused("what comes from outside is not written".to_owned()));
    }
    if new.words.as_ref().is_some_and(|(text, _)| LARGEST < text.len()) {
        return Err(too_long());
    }
    let asked = Patch { title: new.title, tags: new.tags, ..Patch::default() };
    let wanted = checked(tx, &item, asked)?;
    let words = new.words.filter(|(text, base)| text != base);
    if wanted == item && words.is_none() {
        return Err(KnowledgeError::Refused(format!("\"{}\" says that already", item.title)));
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

/// The words that an item gets: the text and the names that it leads to, in the place of what stands at this rev.
pub type Settled = (Text, u64, Vec<String>);

/// Takes a suggestion over. `words` are its words made one with what stands there now.
///
/// # Errors
/// [`KnowledgeError::Moved`] when something else is suggested or stands there now; when it is gone, an agent asks, or the
/// item cannot be written.
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
/// When it is gone, or an agent asks.
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
        Some(_) => {
            Err(KnowledgeError::NotYours("only a person decides on what agents suggest".to_owned()))
        }
        None => Ok(()),
    }
}

fn drop_it(tx: &mut WriteTx<'_>, id: KnowledgeSuggestionId) -> Result<(), StoreError> {
    tx.delete::<Suggestion>(id)?;
    tx.emit(SUGGESTION.event(&id, RowAct::Deleted));
    Ok(())
}

/// Why the words change, as the version says it.
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
