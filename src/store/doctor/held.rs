//! Doctor checks of blob references and tombstones against records and feed: which row or image holds a blob, and which
//! entry deleted a record.

use crate::audit;
use crate::blob::{BlobId, refs};
use crate::error::StoreError;
use crate::feed::{self, Change, Op};
use crate::read::{Read, split_key};
use crate::record::Class;
use crate::schema::{Schema, builtin};
use kernel::key;

use super::{Diagnosis, Fix, Rows, derived, name};

/// Name of blob differences.
const BLOBS: &str = "blob references";
/// Name of tombstone differences.
const DELETED: &str = "deleted records";

fn fix(table: u16, key: &[u8], value: &[u8]) -> Fix {
    Fix::Row { table, key: key.to_vec(), value: value.to_vec(), owner: None }
}

/// The changes of an entry; empty if it is missing or unreadable, which verification reports.
fn changes_of(read: &dyn Read, seq: u64) -> Result<Vec<Change>, StoreError> {
    match audit::head(read, seq) {
        Ok(head) => Ok(head.map(|head| head.changes).unwrap_or_default()),
        Err(StoreError::Decode(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Checks that the blob references of a row exist.
pub(super) fn by_row(
    read: &dyn Read,
    schema: &Schema,
    (table, own): (u16, &[u8]),
    blobs: &[BlobId],
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    for blob in blobs {
        let key = refs::row_key(*blob, table, own);
        if read.raw_get(builtin::BLOB_REFS, &key)?.is_none() {
            let what = format!("of {blob} is missing");
            let fix = fix(builtin::BLOB_REFS, &key, &[]);
            found.differs(BLOBS, name(schema, table, own), what, Some(fix));
        }
    }
    Ok(())
}

/// Checks that the tombstones of deletions and the blob references of images exist.
pub(super) fn entries(
    read: &dyn Read,
    schema: &Schema,
    _: u16,
    rows: &Rows,
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    let mut entry: (u64, Vec<Change>) = (0, Vec::new());
    for (key, value) in rows {
        let Some((seq, part)) = feed::split(key) else { continue };
        if part == 0 {
            let head = feed::decode_head(seq, value);
            entry = (seq, head.map(|head| head.changes).unwrap_or_default());
            for change in entry.1.iter().filter(|change| change.op == Op::Delete) {
                deleted(read, schema, seq, change, found)?;
            }
            continue;
        }
        if entry.0 != seq {
            entry = (seq, changes_of(read, seq)?);
        }
        let Some(change) = entry.1.get(usize::from(part) - 1) else { continue };
        // Verification reports unreadable images.
        let wanted = refs::of_image(schema, (seq, part - 1), change.table, value);
        for key in wanted.unwrap_or_default() {
            if read.raw_get(builtin::BLOB_REFS, &key)?.is_none() {
                let of = format!("entry {seq}, {}", name(schema, change.table, &change.key));
                let fix = fix(builtin::BLOB_REFS, &key, &[]);
                found.differs(BLOBS, of, "of a former version is missing", Some(fix));
            }
        }
    }
    Ok(())
}

fn deleted(
    read: &dyn Read,
    schema: &Schema,
    seq: u64,
    change: &Change,
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    let (table, own) = (change.table, &change.key);
    let is_tracked = schema.class(table) == Some(Class::Tracked);
    if !is_tracked || read.raw_get(table, own)?.is_some() {
        return Ok(());
    }
    let key = [&table.to_be_bytes()[..], own].concat();
    let there = read.raw_get(builtin::TOMBSTONES, &key)?;
    let right = match &there {
        Some(mark) if *mark == seq.to_be_bytes() => true,
        // The record came back and was deleted again.
        Some(mark) => seq < number(mark) && is_right(read, &key, mark)?,
        None => false,
    };
    if !right {
        let what = format!("has no mark that entry {seq} deleted it");
        let fix = fix(builtin::TOMBSTONES, &key, &seq.to_be_bytes());
        found.differs(DELETED, name(schema, table, own), what, Some(fix));
    }
    Ok(())
}

/// The entry number in a tombstone; 0 if invalid.
fn number(mark: &[u8]) -> u64 {
    key::decode::<u64>(mark).unwrap_or(0)
}

/// Whether a tombstone names an entry that deleted a record, and the record is still missing.
pub(super) fn is_right(read: &dyn Read, key: &[u8], mark: &[u8]) -> Result<bool, StoreError> {
    let Some((table, own)) = split_key::<u16>(key) else { return Ok(false) };
    match read.raw_get(table, own) {
        Ok(None) => {}
        Ok(Some(_)) | Err(StoreError::UnknownTable(_)) => return Ok(false),
        Err(error) => return Err(error),
    }
    let deletes = |one: &Change| one.table == table && one.key == own && one.op == Op::Delete;
    Ok(changes_of(read, number(mark))?.iter().any(deletes))
}

/// Checks that an entry produced each tombstone.
pub(super) fn marks(
    read: &dyn Read,
    schema: &Schema,
    _: u16,
    rows: &Rows,
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    for (key, mark) in rows {
        found.references += 1;
        if is_right(read, key, mark)? {
            continue;
        }
        let of = split_key::<u16>(key).map(|(table, own)| name(schema, table, own));
        let fix = fix(builtin::TOMBSTONES, key, mark);
        let of = of.unwrap_or_else(|| hex::encode(key));
        found.differs(DELETED, of, "has a mark of an entry that did not delete it", Some(fix));
    }
    Ok(())
}

/// Whether a row or image holds the blob of such a key; `None` if the image is gone, because its key may stay until the
/// sweep.
pub(super) fn holds(
    read: &dyn Read,
    schema: &Schema,
    key: &[u8],
) -> Result<Option<bool>, StoreError> {
    let Some((blob, holder)) = refs::split(key) else { return Ok(Some(false)) };
    if holder.table != builtin::FEED {
        let made = derived(read, schema, holder.table, &holder.key)?;
        return Ok(Some(made.is_some_and(|made| made.blobs.contains(&blob))));
    }
    let Some(image) = read.raw_get(builtin::FEED, &holder.key)? else { return Ok(None) };
    let Some((seq, part)) = feed::split(&holder.key).filter(|(_, part)| 0 < *part) else {
        return Ok(Some(false));
    };
    let changes = changes_of(read, seq)?;
    let table = changes.get(usize::from(part) - 1).map(|change| change.table);
    let made = table.map(|table| refs::of_image(schema, (seq, part - 1), table, &image));
    // The blobs of an unreadable image are unknown, so its keys stay.
    Ok(made.map_or(Some(false), |made| made.ok().map(|keys| keys.iter().any(|one| one == key))))
}

/// Checks that a row or image produces each blob reference.
pub(super) fn noted(
    read: &dyn Read,
    schema: &Schema,
    _: u16,
    rows: &Rows,
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    for (key, _) in rows {
        found.references += 1;
        if holds(read, schema, key)? == Some(false) {
            let fix = fix(builtin::BLOB_REFS, key, &[]);
            found.differs(BLOBS, hex::encode(key), "is too much", Some(fix));
        }
    }
    Ok(())
}
