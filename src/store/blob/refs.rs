//! The table of blob references: which rows and which before-images hold a blob. It is maintained like the references
//! of records, so finding the holders of a blob is one range scan.
//!
//! Key: blob, table, row key. For a before-image, table and key are those of the feed. When retention drops images,
//! their keys stay behind: readers check that the image exists, and the sweep deletes such keys.

use crate::codec::DecodeError;
use crate::error::StoreError;
use crate::feed::{self, Change};
use crate::range::Range;
use crate::read::{Read, split_key, stop_at};
use crate::schema::{Kind, Schema, builtin};
use crate::tx::WriteTx;
use kernel::key::KeyBuf;

use super::BlobId;

/// A row that holds a blob. A before-image has the table number of the feed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Number of the table.
    pub table: u16,
    /// Key of the row.
    pub key: Vec<u8>,
}

/// A row: key and value.
type Row = (Vec<u8>, Vec<u8>);

/// The key of a blob reference.
#[must_use]
pub fn row_key(blob: BlobId, table: u16, key: &[u8]) -> Vec<u8> {
    let mut out = KeyBuf::new();
    out.raw(&blob.0).part(table).raw(key);
    out.into_bytes()
}

/// Splits a key of the table into blob and holder.
pub(crate) fn split(key: &[u8]) -> Option<(BlobId, Holder)> {
    let (blob, rest) = key.split_first_chunk::<32>()?;
    let (table, key) = split_key::<u16>(rest)?;
    Some((BlobId(*blob), Holder { table, key: key.to_vec() }))
}

/// Keys for the blobs in the before-image of a change.
pub(crate) fn of_image(
    schema: &Schema,
    (seq, n): (u64, u16),
    table: u16,
    image: &[u8],
) -> Result<Vec<Vec<u8>>, StoreError> {
    let Some(blobs) = schema.table(table).and_then(|info| info.ops.as_ref()?.blobs) else {
        return Ok(Vec::new());
    };
    let own = feed::head_key(seq, n + 1);
    Ok(blobs(image)?.into_iter().map(|blob| row_key(blob, builtin::FEED, &own)).collect())
}

/// The holders of a blob, at most `limit`.
pub fn holders(read: &dyn Read, blob: BlobId, limit: usize) -> Result<Vec<Holder>, StoreError> {
    let mut found = Vec::new();
    let mut prefix = KeyBuf::new();
    prefix.raw(&blob.0);
    read.raw_scan(builtin::BLOB_REFS, &Range::prefix(prefix), &mut |key, _| {
        found.extend(split(key).map(|(_, holder)| holder));
        std::ops::ControlFlow::Continue(())
    })?;
    let mut live = Vec::new();
    for holder in found {
        if live.len() < limit && is_there(read, &holder)? {
            live.push(holder);
        }
    }
    Ok(live)
}

/// Whether the holder still exists. Deleting a record deletes its keys, but an image may be dropped alone.
fn is_there(read: &dyn Read, holder: &Holder) -> Result<bool, StoreError> {
    if holder.table != builtin::FEED {
        return Ok(true);
    }
    Ok(read.raw_get(builtin::FEED, &holder.key)?.is_some())
}

/// Referenced blobs in order, after `after`, at most `limit`.
pub fn held(
    read: &dyn Read,
    after: Option<BlobId>,
    limit: usize,
) -> Result<Vec<BlobId>, StoreError> {
    let mut found: Vec<BlobId> = Vec::new();
    let mut from = after.map_or([0; 32], |blob| blob.0);
    while found.len() < limit {
        let mut next = None;
        let mut lo = KeyBuf::new();
        lo.raw(&from);
        read.raw_scan(builtin::BLOB_REFS, &Range::between(lo, end()), &mut |key, _| {
            let fresh = split(key).map(|(blob, _)| blob).filter(|blob| Some(*blob) != after);
            next = fresh;
            stop_at(fresh.is_some())
        })?;
        let Some(blob) = next else { break };
        if !holders(read, blob, 1)?.is_empty() {
            found.push(blob);
        }
        let Some(behind) = behind(blob) else { break };
        from = behind;
    }
    Ok(found)
}

/// A key above all keys of the table.
fn end() -> KeyBuf {
    let mut key = KeyBuf::new();
    key.raw(&[0xff; 40]);
    key
}

/// The next blob id in order.
fn behind(blob: BlobId) -> Option<[u8; 32]> {
    let mut bytes = blob.0;
    for byte in bytes.iter_mut().rev() {
        let (sum, over) = byte.overflowing_add(1);
        *byte = sum;
        if !over {
            return Some(bytes);
        }
    }
    None
}

impl WriteTx<'_> {
    /// Deletes the keys of blobs that a row no longer holds.
    pub(crate) fn retire_blobs(
        &mut self,
        table: u16,
        own: &[u8],
        old: &[BlobId],
        new: &[BlobId],
    ) -> Result<(), StoreError> {
        for gone in old.iter().filter(|blob| !new.contains(blob)) {
            self.set(builtin::BLOB_REFS, row_key(*gone, table, own), None)?;
        }
        Ok(())
    }

    /// Inserts the keys of blobs that a row newly holds.
    pub(crate) fn enter_blobs(
        &mut self,
        table: u16,
        own: &[u8],
        old: &[BlobId],
        new: &[BlobId],
    ) -> Result<(), StoreError> {
        for fresh in new.iter().filter(|blob| !old.contains(blob)) {
            self.set(builtin::BLOB_REFS, row_key(*fresh, table, own), Some(Vec::new()))?;
        }
        Ok(())
    }

    /// Rebuilds the keys of all rows and images, piece by piece; each call reads at most `limit` rows. Returns where
    /// the next piece begins, or `None` at the end.
    pub fn fill_blob_references(
        &mut self,
        at: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (mut table, mut from) = match at.and_then(split_key::<u16>) {
            Some((table, key)) => (table, key.to_vec()),
            None => (builtin::FEED, Vec::new()),
        };
        loop {
            let looked = match table {
                builtin::FEED => self.fill_images(&from, limit)?,
                _ => self.fill_rows(table, &from, limit)?,
            };
            let mut next = KeyBuf::new();
            if let Some(last) = looked {
                next.part(table).raw(&last);
                return Ok(Some(next.into_bytes()));
            }
            let tables = self.schema().tables().iter().filter(|info| {
                info.number > table
                    && matches!(info.kind, Kind::Record(_))
                    && info.ops.as_ref().is_some_and(|ops| ops.blobs.is_some())
            });
            match tables.map(|info| info.number).min() {
                Some(number) => (table, from) = (number, Vec::new()),
                None => return Ok(None),
            }
        }
    }

    /// Processes rows of a table; returns where to continue, if there are more.
    fn fill_rows(
        &mut self,
        table: u16,
        from: &[u8],
        limit: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(blobs) = self.info(table)?.ops()?.blobs else { return Ok(None) };
        let rows = self.stretch(table, from, limit)?;
        for (key, row) in rows.iter().take(limit) {
            for blob in blobs(row)? {
                self.set_beside(builtin::BLOB_REFS, row_key(blob, table, key), Some(Vec::new()))?;
            }
        }
        Ok(rows.into_iter().nth(limit).map(|(key, _)| key))
    }

    /// Processes images of the feed; always continues at a head.
    fn fill_images(&mut self, from: &[u8], limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let mut heads: Vec<(u64, Vec<Change>)> = Vec::new();
        let (mut bad, mut next) = (None, None);
        let range = Range::between(raw(from), end());
        self.raw_scan(builtin::FEED, &range, &mut |key, value| {
            if let Some((seq, 0)) = feed::split(key) {
                if heads.len() >= limit {
                    next = Some(key.to_vec());
                    return stop_at(true);
                }
                match feed::decode_head(seq, value) {
                    Ok(entry) => heads.push((seq, entry.changes)),
                    Err(error) => bad = Some(error),
                }
            }
            stop_at(bad.is_some())
        })?;
        if let Some(error) = bad {
            return Err(error.into());
        }
        for (seq, changes) in heads {
            for (n, change) in (0u16..).zip(&changes) {
                let blobs = self.info(change.table).ok().and_then(|info| info.ops.as_ref()?.blobs);
                let own = feed::head_key(seq, n.checked_add(1).ok_or(DecodeError::Short)?);
                let Some(blobs) = blobs else { continue };
                let Some(image) = self.raw_get(builtin::FEED, &own)? else { continue };
                for blob in blobs(&image)? {
                    let key = row_key(blob, builtin::FEED, &own);
                    self.set_beside(builtin::BLOB_REFS, key, Some(Vec::new()))?;
                }
            }
        }
        Ok(next)
    }

    /// Rows from a key on, up to one more than `limit`.
    pub(crate) fn stretch(
        &self,
        table: u16,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        self.raw_scan(table, &Range::between(raw(from), end()), &mut |key, row| {
            rows.push((key.to_vec(), row.to_vec()));
            stop_at(rows.len() > limit)
        })?;
        Ok(rows)
    }

    /// Whether anything holds the blob; if not, deletes stale keys of dropped images.
    pub(super) fn is_held(&mut self, blob: BlobId) -> Result<bool, StoreError> {
        if !holders(self, blob, 1)?.is_empty() {
            return Ok(true);
        }
        let mut stale = Vec::new();
        self.raw_scan(builtin::BLOB_REFS, &Range::prefix(raw(&blob.0)), &mut |key, _| {
            stale.push(key.to_vec());
            stop_at(false)
        })?;
        for key in stale {
            self.set_beside(builtin::BLOB_REFS, key, None)?;
        }
        Ok(false)
    }
}

fn raw(bytes: &[u8]) -> KeyBuf {
    let mut key = KeyBuf::new();
    key.raw(bytes);
    key
}
