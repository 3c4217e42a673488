//! Rules for sources: create, change, sync now, remove with or without their items.

use std::path::Path;

use connect::{Manifest, Reads};
use kernel::text::one_line;
use kernel::{FieldError, RowAct};
use knowledge::model::{FolderId, Item, KnowledgeId};
use knowledge::queries::folder_by_id;
use knowledge::rules as items;
use store::{ReadExt as _, WriteTx};

use crate::cards::SOURCE;
use crate::error::SourceError;
use crate::model::{Entry, EntryState, Source, SourceId, Standing, Status};
use crate::queries;

/// In characters.
const MAX_NAME: usize = 120;
/// Longest time between syncs, in hours.
const MAX_HOURS: u32 = 24 * 30;
const MOST: usize = 200;

#[derive(Clone, Debug)]
pub struct NewSource {
    pub name: String,
    pub manifest: Manifest,
    pub reads: Reads,
    /// The optional fields.
    pub patch: Patch,
}

/// Changes to a source; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    pub name: Option<String>,
    /// New values with the connector's manifest. Values that identify the source do not change.
    pub reads: Option<(Manifest, Reads)>,
    /// Hours between syncs.
    pub interval_hours: Option<u32>,
    pub paused: Option<bool>,
    /// Agents may write to the source.
    pub writable: Option<bool>,
    /// Folder for new items.
    pub folder: Option<Option<FolderId>>,
}

/// Creates a source; its first sync is due at once.
///
/// # Errors
/// Invalid input, another source with the same values, or too many sources.
pub fn create(tx: &mut WriteTx<'_>, new: NewSource) -> Result<Source, SourceError> {
    let others = queries::sources(tx)?;
    if MOST <= others.len() {
        return Err(SourceError::Refused(format!(
            "there are already {MOST} sources; remove one \
            first"
        )));
    }
    let (now, by, manifest) = (tx.now(), tx.by(), &new.manifest);
    let bare = Source {
        id: tx.new_id(),
        name: String::new(),
        provider: manifest.id.clone(),
        reads: Reads::new(),
        interval_hours: manifest.default_interval_hours,
        paused: false,
        writable: false,
        folder: None,
        by,
        created_at: now,
        updated_at: now,
    };
    let reads = Some((new.manifest.clone(), new.reads));
    let made = checked(tx, &bare, Patch { name: Some(new.name), reads, ..new.patch })?;
    let required = new.manifest.reads.iter().find(|field| field.required);
    alone(&others, &made, required.map_or("name", |field| field.key.as_str()))?;
    tx.put(&made)?;
    // The state is written by the first sync: until then nothing refers to the source, and undo can remove it.
    tx.emit(SOURCE.event(&made.id, RowAct::Created));
    Ok(made)
}

/// Changes a source.
///
/// # Errors
/// Unknown source, invalid input, or another source with the same values.
pub fn change(tx: &mut WriteTx<'_>, id: SourceId, patch: Patch) -> Result<Source, SourceError> {
    let old = queries::source_by_id(tx, id)?;
    let new = checked(tx, &old, patch)?;
    if new == old {
        return Ok(old);
    }
    let mut keys = old.reads.keys().chain(new.reads.keys());
    if let Some(key) = keys.find(|key| old.reads.get(*key) != new.reads.get(*key)) {
        alone(&queries::sources(tx)?, &new, key)?;
    }
    let new = Source { updated_at: tx.now(), ..new };
    tx.put(&new)?;
    tx.emit(SOURCE.changed(&old, &new));
    Ok(new)
}

/// Rejects a source that reads the same as another: its items would be found twice.
fn alone(all: &[Source], made: &Source, key: &str) -> Result<(), SourceError> {
    let is_same = |other: &&Source| {
        other.id != made.id
            && other.provider == made.provider
            && is_alike(&other.reads, &made.reads)
    };
    match all.iter().find(is_same) {
        Some(same) => {
            let words = format!("The source \"{}\" already syncs this.", same.name);
            Err(SourceError::field(key, words))
        }
        None => Ok(()),
    }
}

/// Whether two sources read the same, regardless of how a path or an address is written.
fn is_alike(one: &Reads, other: &Reads) -> bool {
    let same = |(a, b): (&String, &String)| {
        let (path, address) = (Path::new(a), a.trim_end_matches('/'));
        if path.is_absolute() {
            // Compared by path components.
            path == Path::new(b)
        } else if address.contains("://") {
            address == b.trim_end_matches('/')
        } else {
            a == b
        }
    };
    one.keys().eq(other.keys()) && one.values().zip(other.values()).all(same)
}

fn checked(tx: &WriteTx<'_>, old: &Source, patch: Patch) -> Result<Source, SourceError> {
    let mut wrong = Vec::new();
    let mut new = old.clone();
    if let Some(name) = patch.name {
        new.name = one_line(&name).trim().to_owned();
        if new.name.is_empty() {
            wrong.push(FieldError::new("name", "Enter a name."));
        } else if MAX_NAME < new.name.chars().count() {
            let words = format!("Use at most {MAX_NAME} characters.");
            wrong.push(FieldError::new("name", words));
        }
    }
    if let Some((manifest, reads)) = patch.reads {
        new.reads = manifest.settle(&reads);
        wrong.extend(
            manifest.wrong(&new.reads).map(|(key, message)| FieldError::new(&key, message)),
        );
        let fixed = manifest.reads.iter().filter(|field| field.required && !old.reads.is_empty());
        let moved = fixed.filter(|field| old.reads.get(&field.key) != new.reads.get(&field.key));
        wrong.extend(moved.map(|field| {
            let words = "This can't change. Add another source instead.";
            FieldError::new(&field.key, words)
        }));
    }
    if let Some(hours) = patch.interval_hours {
        new.interval_hours = hours;
        if !(1..=MAX_HOURS).contains(&hours) {
            let words = format!("Enter 1 to {MAX_HOURS} hours.");
            wrong.push(FieldError::new("interval_hours", words));
        }
    }
    if let Some(folder) = patch.folder {
        new.folder = folder;
        if let Some(folder) = folder {
            folder_by_id(tx, folder)?;
        }
    }
    new.paused = patch.paused.unwrap_or(old.paused);
    new.writable = patch.writable.unwrap_or(old.writable);
    if wrong.is_empty() { Ok(new) } else { Err(SourceError::Invalid(wrong)) }
}

/// Requests a sync, also for a paused or expired source. With an item, that item is fetched whatever the listing says.
///
/// # Errors
/// Unknown source, or an item of another source.
pub fn sync_now(
    tx: &mut WriteTx<'_>,
    id: SourceId,
    item: Option<KnowledgeId>,
) -> Result<Source, SourceError> {
    let source = queries::source_by_id(tx, id)?;
    if let Some(item) = item {
        let found = queries::origin(tx, item)?.filter(|(entry, _)| entry.source == id);
        let (entry, _) = found.ok_or_else(|| SourceError::no("item", &item.to_string()))?;
        tx.put(&Entry { state: EntryState::Stale, ..entry })?;
    }
    let old = queries::standing(tx, id, tx.now())?;
    let status = if old.status == Status::Expired { Status::Active } else { old.status };
    tx.put(&Standing { asked: true, status, ..old })?;
    Ok(source)
}

kernel::words! {
    /// What becomes of the items of a source that is removed.
    Leaves {
        /// They become pages and files of the workspace.
        Keep = "keep", "Keep them as pages";
        /// The same, out of the way.
        Archive = "archive", "Archive them";
        /// They go.
        Delete = "delete", "Delete them";
    }
}

/// Removes a source; undo restores it.
pub fn remove(
    tx: &mut WriteTx<'_>,
    id: SourceId,
    leaves: Leaves,
) -> Result<(Source, usize), SourceError> {
    let source = queries::source_by_id(tx, id)?;
    let entries = queries::entries(tx, id)?;
    let count = entries.len();
    tx.delete::<Source>(id)?;
    for entry in entries {
        let Some(item) = tx.get::<Item>(entry.item)? else { continue };
        match leaves {
            Leaves::Delete => items::drop_synced(tx, item.id)?,
            Leaves::Keep => drop(items::own_synced(tx, item.id)?),
            Leaves::Archive => {
                items::own_synced(tx, item.id)?;
                let patch = items::Patch { archived: Some(true), ..items::Patch::default() };
                if item.archived_at.is_none() {
                    items::change(tx, item.id, patch)?;
                }
            }
        }
    }
    tx.emit(SOURCE.event(&id, RowAct::Deleted));
    Ok((source, count))
}
