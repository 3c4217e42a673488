//! Verifies blob references in both directions, rows and images against the table, and the blob files.

use super::*;
use crate::blob::BlobId;
use crate::blob::check::is_whole;
use crate::blob::refs::{self, Holder};
use crate::codec::DecodeError;
use crate::feed::Change;
use crate::schema::Kind;

/// Rows with their blobs: key of the row, blobs.
type Held = Vec<(Vec<u8>, Vec<BlobId>)>;

impl Verifier<'_> {
    pub(super) fn blobs(
        &mut self,
        files: Option<(&Blobs, Depth)>,
        watch: &mut Watch<'_>,
    ) -> Result<(), StoreError> {
        let tables = self.store.schema().tables().iter().filter(|info| {
            matches!(info.kind, Kind::Record(_))
                && info.ops.as_ref().is_some_and(|ops| ops.blobs.is_some())
        });
        let tables: Vec<u16> = tables.map(|info| info.number).collect();
        if tables.is_empty() {
            return Ok(());
        }
        for table in tables {
            self.holders(table, watch)?;
        }
        self.held(files, watch)
    }

    /// Checks that the table has all blobs of an image. Called while the chain is read.
    pub(super) fn notes_of_image(
        &mut self,
        read: &dyn Read,
        change: &Change,
        (seq, part): (u64, u16),
        image: &[u8],
    ) -> Result<(), StoreError> {
        let ops = self.store.schema().table(change.table).and_then(|info| info.ops.as_ref());
        let Some(blobs) = ops.and_then(|ops| ops.blobs) else { return Ok(()) };
        // The check of images reports unreadable layouts.
        let Ok(held) = blobs(image) else { return Ok(()) };
        let own = feed::head_key(seq, part);
        for blob in held {
            let note = refs::row_key(blob, builtin::FEED, &own);
            if read.raw_get(builtin::BLOB_REFS, &note)?.is_none() {
                let what = format!("a former version holds blob {blob}, which is not noted");
                self.fault(Some(seq), Some((change.table, &change.key)), what);
            }
        }
        Ok(())
    }

    /// Checks that the table has all blobs of all rows.
    fn holders(&mut self, table: u16, watch: &mut Watch<'_>) -> Result<(), StoreError> {
        let (store, mut from, mut end) = (self.store, Vec::new(), false);
        let mut reader = Reader { store, known: None };
        while !end {
            store.read(|snap| {
                let mut held = Held::new();
                end = slice_of(snap, table, &mut from, &mut |key, value| {
                    // The checks of rows and images report unreadable ones.
                    if let Ok(blobs) = reader.blobs_in(snap, (table, key), value) {
                        held.push((key.to_vec(), blobs));
                    }
                    Ok(())
                })?;
                for (key, blobs) in held {
                    for blob in blobs {
                        let entry = refs::row_key(blob, table, &key);
                        if snap.raw_get(builtin::BLOB_REFS, &entry)?.is_none() {
                            let what = format!("holds blob {blob}, which is not noted");
                            self.about(&Holder { table, key: key.clone() }, what);
                        }
                    }
                }
                Ok::<_, StoreError>(())
            })?;
            tell(watch, Progress { what: "holders of blobs", done: self.report.blobs, total: 0 })?;
        }
        Ok(())
    }

    /// Checks that each recorded holder holds its blob, and that the blob's file exists.
    fn held(
        &mut self,
        files: Option<(&Blobs, Depth)>,
        watch: &mut Watch<'_>,
    ) -> Result<(), StoreError> {
        let (store, mut from, mut end) = (self.store, Vec::new(), false);
        let (mut last, mut reader) = (None, Reader { store, known: None });
        while !end {
            let mut wanted: Vec<(BlobId, Holder)> = Vec::new();
            store.read(|snap| {
                let mut noted = Vec::new();
                end = slice_of(snap, builtin::BLOB_REFS, &mut from, &mut |key, _| {
                    noted.push(refs::split(key).ok_or(DecodeError::Short)?);
                    Ok(())
                })?;
                for (blob, holder) in noted {
                    let Some(value) = snap.raw_get(holder.table, &holder.key)? else {
                        // Keys of images removed by retention may remain until the sweep.
                        if holder.table != builtin::FEED {
                            self.about(&holder, format!("is noted for blob {blob} and is gone"));
                        }
                        continue;
                    };
                    let holds = reader.blobs_in(snap, (holder.table, &holder.key), &value);
                    if holds.is_ok_and(|blobs| !blobs.contains(&blob)) {
                        self.about(&holder, format!("is noted for blob {blob}, not holding it"));
                    } else if last.replace(blob) != Some(blob) {
                        wanted.push((blob, holder));
                    }
                }
                Ok::<_, StoreError>(())
            })?;
            for (blob, holder) in wanted {
                self.report.blobs += 1;
                let Some((blobs, depth)) = files else { continue };
                if let Some(what) = self.file(blobs, blob, depth)? {
                    // The file may have been deleted with its last holder meanwhile.
                    let held = store.read(|snap| refs::holders(snap, blob, 1))?;
                    if !held.is_empty() {
                        self.about(&holder, format!("holds blob {blob}, whose file is {what}"));
                    }
                }
                tell(watch, Progress { what: "blobs", done: self.report.blobs, total: 0 })?;
            }
        }
        Ok(())
    }

    fn file(
        &self,
        blobs: &Blobs,
        blob: BlobId,
        depth: Depth,
    ) -> Result<Option<&'static str>, StoreError> {
        match is_whole(blobs, blob, depth == Depth::Whole) {
            Ok(Some(true)) => Ok(None),
            Ok(Some(false)) => Ok(Some("damaged")),
            Ok(None) => Ok(Some("missing")),
            Err(error) => Err(StoreError::Failed(format!("blob {blob}: {error}"))),
        }
    }

    /// Reports a fault of a holder: a row or a former version.
    fn about(&mut self, holder: &Holder, what: String) {
        if holder.table != builtin::FEED {
            return self.fault(None, Some((holder.table, &holder.key)), what);
        }
        let place = feed::split(&holder.key);
        let change = place.and_then(|(seq, part)| {
            let head = self.store.read(|snap| audit::head(snap, seq)).ok()??;
            head.changes.into_iter().nth(usize::from(part.checked_sub(1)?))
        });
        let seq = place.map(|(seq, _)| seq);
        let what = format!("a former version {what}");
        match change {
            Some(change) => self.fault(seq, Some((change.table, &change.key)), what),
            None => self.fault(seq, None, what),
        }
    }
}

/// Reads the blobs of rows and images. Images of one entry share its decoded head.
struct Reader<'s> {
    store: &'s Store,
    /// An entry with the tables of its changes.
    known: Option<(u64, Vec<u16>)>,
}

impl Reader<'_> {
    /// The blobs in a row or in an image of the feed.
    fn blobs_in(
        &mut self,
        read: &dyn Read,
        (table, key): (u16, &[u8]),
        value: &[u8],
    ) -> Result<Vec<BlobId>, StoreError> {
        let mut of = table;
        if table == builtin::FEED {
            let Some((seq, part)) = feed::split(key).filter(|(_, part)| 0 < *part) else {
                return Ok(Vec::new());
            };
            let Some(table) = self.table_of(read, seq, usize::from(part) - 1)? else {
                return Ok(Vec::new());
            };
            of = table;
        }
        let ops = self.store.schema().table(of).and_then(|info| info.ops.as_ref());
        match ops.and_then(|ops| ops.blobs) {
            Some(blobs) => Ok(blobs(value)?),
            None => Ok(Vec::new()),
        }
    }

    fn table_of(&mut self, read: &dyn Read, seq: u64, n: usize) -> Result<Option<u16>, StoreError> {
        if self.known.as_ref().is_none_or(|(known, _)| *known != seq) {
            let head = audit::head(read, seq)?;
            let changes = head.map(|head| head.changes).unwrap_or_default();
            self.known = Some((seq, changes.into_iter().map(|change| change.table).collect()));
        }
        Ok(self.known.as_ref().and_then(|(_, tables)| tables.get(n).copied()))
    }
}
