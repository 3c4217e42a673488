//! Queries on sources.

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

/// Resolves the id or name of a source.
///
/// # Errors
/// If no source matches, or several have the name.
pub fn source(read: &dyn Read, name: &str) -> Result<Source, SourceError> {
    if let Ok(id) = name.trim().parse::<SourceId>() {
        return source_by_id(read, id);
    }
    let wanted = name.trim().to_lowercase();
    let mut named: Vec<Source> = sources(read)?;
    named.retain(|one| one.name.to_lowercase() == wanted);
    match (named.pop(), named.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(SourceError::Refused(format!(
            "several sources are called \"{}\"; use the ID",
            kernel::text::ellipsis(name.trim(), 60)
        ))),
        (None, _) => Err(SourceError::no("source", name)),
    }
}

/// All sources, sorted by name.
pub fn sources(read: &dyn Read) -> Result<Vec<Source>, StoreError> {
    let mut all: Vec<Source> = read.list(&Range::all())?;
    all.sort_by_cached_key(|one| (one.name.to_lowercase(), one.id));
    Ok(all)
}

/// State of a source; a source that was never synced is due at `at`.
pub fn standing(read: &dyn Read, id: SourceId, at: Timestamp) -> Result<Standing, StoreError> {
    Ok(read.get(id)?.unwrap_or_else(|| Standing::new(id, at)))
}

/// The sources that are due, the longest overdue first; and when the next one is due.
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

pub fn entries(read: &dyn Read, id: SourceId) -> Result<Vec<Entry>, StoreError> {
    read.scan(ENTRIES_BY_SOURCE, &Range::prefix(KeyBuf::of(&id)))
}

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

/// At most `most` syncs of a source, the newest first.
pub fn runs(read: &dyn Read, id: SourceId, most: usize) -> Result<Vec<Run>, StoreError> {
    read.list(&Range::prefix(KeyBuf::of(&id)).reverse().limit(most))
}

/// At most `most` writes to a source, the newest first.
pub fn writes(read: &dyn Read, id: SourceId, most: usize) -> Result<Vec<Write>, StoreError> {
    read.list(&Range::prefix(KeyBuf::of(&id)).reverse().limit(most))
}

/// Parses a hash in hex.
#[must_use]
pub fn unhex(words: &str) -> Option<connect::Hash> {
    let mut hash = [0; 32];
    // ok: malformed text is no hash.
    hex::decode_to_slice(words.trim(), &mut hash).ok()?;
    Some(hash)
}
