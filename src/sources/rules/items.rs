//! Applies the findings of a sync to items: new, changed and missing pages.

use connect::{Hash, Mark};
use knowledge::model::{FileBody, Item, Reading, Text};
use knowledge::rules::{self as items, Synced};
use store::{ReadExt as _, StoreError, WriteTx};

use crate::error::SourceError;
use crate::model::{Counts, Entry, EntryState, SourceId, Standing, entry_id};
use crate::queries;

/// A fetched page; its text is stored already.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Place in its source.
    pub place: String,
    /// Address for people.
    pub address: String,
    pub title: String,
    /// Change mark.
    pub mark: Mark,
    /// Hash of the content.
    pub hash: Hash,
    /// `None` if the text is still to be extracted from `file`.
    pub text: Option<Text>,
    pub file: Option<FileBody>,
    /// Only the beginning was fetched.
    pub cut: bool,
}

impl Arrived {
    /// Size of the text in bytes; 0 for a file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.text.as_ref().map_or(0, |text| text.len() as u64)
    }
}

/// Stores fetched pages. Items that a person has archived are not changed.
///
/// # Errors
/// If the source is gone, or the store fails.
pub fn apply(
    tx: &mut WriteTx<'_>,
    source: SourceId,
    pages: Vec<Arrived>,
) -> Result<Counts, SourceError> {
    let folder = queries::source_by_id(tx, source)?.folder;
    let mut counts = Counts::default();
    for page in pages {
        let id = entry_id(source, &page.place);
        let old: Option<Entry> = tx.get(id)?;
        let item: Option<Item> = old.as_ref().map(|old| tx.get(old.item)).transpose()?.flatten();
        let was_gone = old.as_ref().is_some_and(|old| old.state == EntryState::Gone);
        if item.as_ref().is_some_and(|item| item.archived_at.is_some()) && !was_gone {
            counts.skipped += 1;
            continue;
        }
        let stands = match (&old, &item) {
            (Some(old), Some(item)) => {
                old.hash == page.hash
                    && item.title == page.title
                    && !was_gone
                    && has_words(tx, item)?
            }
            _ => false,
        };
        let bytes = page.bytes();
        let item = match item.filter(|_| stands) {
            Some(item) => item.id,
            None => {
                match old {
                    Some(_) => counts.changed += 1,
                    None => counts.new += 1,
                }
                counts.bytes += bytes;
                let new = Synced {
                    title: page.title,
                    text: page.text,
                    file: page.file,
                    cut: page.cut,
                    folder,
                };
                items::keep_synced(tx, old.map(|old| old.item), new)?.id
            }
        };
        tx.put(&Entry {
            id,
            source,
            place: page.place,
            address: page.address,
            item,
            mark: page.mark,
            hash: page.hash,
            bytes,
            state: EntryState::Synced,
            synced_at: tx.now(),
        })?;
    }
    Ok(counts)
}

/// Whether an item has extracted text; an item restored by undo has none.
fn has_words(tx: &WriteTx<'_>, item: &Item) -> Result<bool, StoreError> {
    Ok(tx.get::<Reading>(item.id)?.is_some())
}

/// Report about a page that was not fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The page exists.
    Here,
    /// The page could not be read, with the reason.
    Failed(String),
}

/// Records reports about pages.
pub fn hear(
    tx: &mut WriteTx<'_>,
    source: SourceId,
    heard: Vec<(String, Heard)>,
) -> Result<(), StoreError> {
    for (place, heard) in heard {
        let Some(old) = tx.get::<Entry>(entry_id(source, &place))? else { continue };
        let state = match (heard, &old.state) {
            (Heard::Here, EntryState::Missing(_)) => EntryState::Synced,
            (Heard::Here, _) | (Heard::Failed(_), EntryState::Gone) => continue,
            (Heard::Failed(why), _) => EntryState::Failed(why),
        };
        if state != old.state {
            tx.put(&Entry { state, ..old })?;
        }
    }
    Ok(())
}

/// Records that pages were missing when they were checked directly.
pub fn missing(
    tx: &mut WriteTx<'_>,
    source: SourceId,
    places: &[String],
) -> Result<(), StoreError> {
    let now = tx.now().as_millisecond();
    for place in places {
        let Some(old) = tx.get::<Entry>(entry_id(source, place))? else { continue };
        if !matches!(old.state, EntryState::Missing(_) | EntryState::Gone) {
            tx.put(&Entry { state: EntryState::Missing(now), ..old })?;
        }
    }
    Ok(())
}

/// Archives the items of pages that were missing twice. With `keep`, the items stay as they are.
pub fn gone(
    tx: &mut WriteTx<'_>,
    source: SourceId,
    places: &[String],
    keep: bool,
) -> Result<u32, SourceError> {
    let mut count = 0;
    for place in places {
        let Some(old) = tx.get::<Entry>(entry_id(source, place))? else { continue };
        let item: Option<Item> = tx.get(old.item)?;
        tx.put(&Entry { state: EntryState::Gone, ..old })?;
        if let Some(item) = item.filter(|item| item.archived_at.is_none() && !keep) {
            let patch = items::Patch { archived: Some(true), ..items::Patch::default() };
            items::change(tx, item.id, patch)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Answers a sync's question about removing many items. Returns the number of items in question.
///
/// # Errors
/// If there is no open question.
pub fn answer(tx: &mut WriteTx<'_>, id: SourceId, takes: bool) -> Result<u32, SourceError> {
    queries::source_by_id(tx, id)?;
    let old = queries::standing(tx, id, tx.now())?;
    if old.asks == 0 {
        return Err(SourceError::Refused("this source isn't waiting for a decision".to_owned()));
    }
    let count = old.asks;
    if !takes {
        let missing = |entry: &Entry| matches!(entry.state, EntryState::Missing(_));
        let entries = queries::entries(tx, id)?.into_iter().filter(missing);
        let places: Vec<String> = entries.map(|entry| entry.place).collect();
        gone(tx, id, &places, true)?;
    }
    tx.put(&Standing { asks: 0, allowed: takes, asked: takes, message: String::new(), ..old })?;
    Ok(count)
}
