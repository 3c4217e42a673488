//! Reads of sources.

use kernel::Timestamp;
use kernel::key::KeyBuf;
use knowledge::model::KnowledgeId;
use store::{Range, Read, ReadExt as _, StoreError};

use crate::error::SourceError;
use crate::model::{
    ENTRIES_BY_ITEM, ENTRIES_BY_SOURCE, Entry, Run, Source, SourceId, Standing, Write,
};

pub fn source_by_id(read: &dyn Read, id: SourceId) -> Result<Source, SourceError> {
    read.get(id)?.ok_or_else(|| SourceError::no("source", &id.to_string()))
}

/// A source by its id or its name.
///
/// # Errors
/// When there is none, or several have that name.
pub fn source(read: &dyn Read, said: &str) -> Result<Source, SourceError> {
    if let Ok(id) = said.trim().parse::<SourceId>() {
        return source_by_id(read, id);
    }
    let wanted = said.trim().to_lowercase();
    let mut named: Vec<Source> = sources(read)?;
    named.retain(|one| one.name.to_lowercase() == wanted);
    match (named.pop(), named.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(SourceError::Refused(format!(
            "several sources are called \"{}\"; name one by its id",
            kernel::text::ellipsis(said.trim(), 60)
        ))),
        (None, _) => Err(SourceError::no("source", said)),
    }
}

/// All sources by their names.
pub fn sources(read: &dyn Read) -> Result<Vec<Source>, StoreError> {
    let mut all: Vec<Source> = read.list(&Range::all())?;
    all.sort_by_cached_key(|one| (one.name.to_lowercase(), one.id));
    Ok(all)
}

/// How it stands with a source; one that was never synced is due from this moment on.
pub fn standing(read: &dyn Read, id: SourceId, at: Timestamp) -> Result<Standing, StoreError> {
    Ok(read.get(id)?.unwrap_or_else(|| Standing::new(id, at)))
}

/// The sources that are due at a moment, those first that are longest; and the moment of the next one.
pub fn due(
    read: &dyn Read,
    now: Timestamp,
) -> Result<(Vec<SourceId>, Option<Timestamp>), StoreError> {
    let mut all = Vec::new();
    for source in read.list::<Source>(&Range::all())? {
        let standing = standing(read, source.id, source.created_at)?;
        all.extend(standing.due(source.paused).map(|at| (at, source.id)));
    }
    all.sort();
    let next = all.iter().map(|(at, _)| *at).find(|at| now < *at);
    Ok((all.into_iter().filter(|(at, _)| *at <= now).map(|(_, id)| id).collect(), next))
}

/// The pages of a source.
pub fn entries(read: &dyn Read, id: SourceId) -> Result<Vec<Entry>, StoreError> {
    read.scan(ENTRIES_BY_SOURCE, &Range::prefix(KeyBuf::of(&id)))
}

/// How many pages a source has.
pub fn count(read: &dyn Read, id: SourceId) -> Result<usize, StoreError> {
    read.len(ENTRIES_BY_SOURCE, &Range::prefix(KeyBuf::of(&id)))
}

/// The page and the source of an item.
pub fn origin(read: &dyn Read, item: KnowledgeId) -> Result<Option<(Entry, Source)>, StoreError> {
    let entries: Vec<Entry> =
        read.scan(ENTRIES_BY_ITEM, &Range::prefix(KeyBuf::of(&item)).limit(1))?;
    let Some(entry) = entries.into_iter().next() else { return Ok(None) };
    Ok(read.get(entry.source)?.map(|source| (entry, source)))
}

/// The syncs of a source, newest first, at most so many.
pub fn runs(read: &dyn Read, id: SourceId, most: usize) -> Result<Vec<Run>, StoreError> {
    read.list(&Range::prefix(KeyBuf::of(&id)).reverse().limit(most))
}

/// What agents wrote to a source, newest first, at most so many.
pub fn writes(read: &dyn Read, id: SourceId, most: usize) -> Result<Vec<Write>, StoreError> {
    read.list(&Range::prefix(KeyBuf::of(&id)).reverse().limit(most))
}

/// A hash out of its words.
#[must_use]
pub fn unhex(words: &str) -> Option<connect::Hash> {
    let mut hash = [0; 32];
    // ok: what is no hash is none.
    hex::decode_to_slice(words.trim(), &mut hash).ok()?;
    Some(hash)
}
