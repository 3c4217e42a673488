//! Verifies the heads and the before-images between them.

use super::*;
use crate::codec;
use crate::feed::{Change, Entry};

/// The head whose images are being read.
struct Present {
    seq: u64,
    changes: Vec<Change>,
    images: Vec<bool>,
}

/// The acceptable hashes of the previous head: the stored one and the computed one.
type Before = [Hash; 2];

impl Verifier<'_> {
    /// Verifies all heads up to the last entry at the start, and their images.
    pub(super) fn chain(&mut self, watch: &mut Watch<'_>) -> Result<(), StoreError> {
        let mut from = Vec::new();
        let mut present: Option<Present> = None;
        let (mut expected, mut before) = (1, [[0; 32]; 2]);
        let store = self.store;
        let mut end = false;
        while !end && expected <= self.until + 1 {
            end = store.read(|snap| {
                slice_of(snap, builtin::FEED, &mut from, &mut |key, value| {
                    self.done += 1;
                    match feed::split(key) {
                        Some((seq, _)) if seq > self.until => {
                            let end = self.until + 1;
                            self.gap(&mut expected, end);
                        }
                        Some((seq, 0)) => {
                            self.close(snap, present.take())?;
                            self.gap(&mut expected, seq);
                            present = Some(self.head(seq, value, &mut before));
                        }
                        Some((seq, part)) => {
                            let head = present.as_mut().filter(|head| head.seq == seq);
                            self.image(snap, head, (seq, part), value)?;
                        }
                        None => {
                            self.fault(None, Some((builtin::FEED, key)), "isn't an entry's key");
                        }
                    }
                    Ok(())
                })
            })?;
            let done = expected.saturating_sub(1).min(self.until);
            tell(watch, Progress { what: "entries", done, total: self.until })?;
        }
        let left = present.take();
        store.read(|snap| self.close(snap, left))?;
        if end && expected <= self.until {
            self.gap(&mut expected, self.until + 1);
        }
        self.report.head = hex::encode(before[0]);
        Ok(())
    }

    fn gap(&mut self, expected: &mut u64, seq: u64) {
        if seq > *expected {
            let many = match seq - *expected {
                1 => "is gone".to_owned(),
                n => format!("and the {} behind it are gone", n - 1),
            };
            self.fault(Some(*expected), None, many);
            self.broken.extend(*expected..seq.min(*expected + 1_000));
        }
        *expected = seq + 1;
    }

    /// Verifies one head and updates the expected versions of rows.
    fn head(&mut self, seq: u64, value: &[u8], before: &mut Before) -> Present {
        self.report.entries += 1;
        let mut present = Present { seq, changes: Vec::new(), images: Vec::new() };
        let Some((body, own)) = value.split_last_chunk::<32>() else {
            self.fault(Some(seq), None, "is cut short");
            self.broken.insert(seq);
            return present;
        };
        let entry = feed::decode_head(seq, value);
        let previous = entry.as_ref().map_or(before[0], |entry| entry.previous);
        let mut hash = Sha256::new();
        hash.update(b"hq.head.1");
        hash.update(previous);
        hash.update(body);
        let computed: Hash = hash.finalize().into();
        let follows = before.contains(&previous);
        if entry.is_err() || computed != *own || !follows {
            let what = match (entry.is_err(), computed == *own) {
                (true, _) => "cannot be read: its bytes were changed",
                (false, false) => "has other bytes than its hash says",
                (false, true) => "does not follow the entry before it",
            };
            self.fault(Some(seq), None, what);
            self.broken.insert(seq);
        }
        *before = [*own, computed];
        if let Ok(entry) = entry {
            self.count(&entry);
            present.images = vec![false; entry.changes.len()];
            present.changes = entry.changes;
        }
        present
    }

    /// Adds the versions that an entry created and subtracts those that it replaced.
    fn count(&mut self, entry: &Entry) {
        for change in &entry.changes {
            let sum = self.sums.entry(change.table).or_default();
            if change.op != Op::Delete {
                *sum = sum.wrapping_add(version(change.table, &change.key, entry.seq));
            }
            if change.op != Op::Insert {
                *sum = sum.wrapping_sub(version(change.table, &change.key, change.before_rev));
            }
        }
    }

    /// Verifies one image.
    fn image(
        &mut self,
        read: &dyn Read,
        head: Option<&mut Present>,
        (seq, part): (u64, u16),
        value: &[u8],
    ) -> Result<(), StoreError> {
        self.report.images += 1;
        let n = usize::from(part) - 1;
        let change = head.and_then(|head| {
            *head.images.get_mut(n)? = true;
            head.changes.get(n).cloned()
        });
        let Some(change) = change else {
            if !self.broken.contains(&seq) {
                self.fault(Some(seq), None, format!("has an image {part} of no change"));
            }
            return Ok(());
        };
        let row = Some((change.table, change.key.as_slice()));
        if change.op == Op::Insert || self.class(change.table).is_some_and(|c| c != Class::Tracked)
        {
            self.fault(Some(seq), row, "has an image where none belongs");
            return Ok(());
        }
        if !self.redacted.is_empty() {
            let until = self.redacted.get(&(change.table, change.key.clone()));
            if until.is_some_and(|until| seq <= *until) {
                self.fault(Some(seq), row, "has an image that a redaction should have removed");
                return Ok(());
            }
        }
        let made = self.heads.get(read, change.before_rev)?;
        let made = made.and_then(|head| {
            let change = head.changes.get(&(change.table, change.key.clone()))?;
            Some(change.1)
        });
        match made {
            _ if self.broken.contains(&change.before_rev) || self.broken.contains(&seq) => {}
            None => self.fault(Some(seq), row, "has an image of a version that no entry made"),
            Some(hash) if hash != feed::row_hash(change.table, &change.key, value) => {
                let what = format!(
                    "its image is not what entry {} made: its bytes were changed",
                    change.before_rev
                );
                self.fault(Some(seq), row, what);
            }
            Some(_) => {
                let rev = codec::unwrap(value).map(|(_, rev, _)| rev);
                if rev.ok() != Some(change.before_rev) {
                    self.fault(Some(seq), row, "its image has another version");
                }
                self.notes_of_image(read, &change, (seq, part), value)?;
            }
        }
        Ok(())
    }

    /// Reports images of a head that are missing although nothing removed them.
    fn close(&mut self, read: &dyn Read, head: Option<Present>) -> Result<(), StoreError> {
        let Some(head) = head.filter(|head| !self.broken.contains(&head.seq)) else {
            return Ok(());
        };
        if head.seq <= keep::floor(read)? {
            return Ok(());
        }
        for (change, _) in head.changes.iter().zip(&head.images).filter(|(_, there)| !**there) {
            let tracked = self.class(change.table) == Some(Class::Tracked);
            if change.op == Op::Insert || !tracked || head.changes.len() > usize::from(u16::MAX) {
                continue;
            }
            if head.seq > keep::redacted(read, change.table, &change.key)? {
                let row = Some((change.table, change.key.as_slice()));
                self.fault(Some(head.seq), row, "its image is gone though nothing removed it");
            }
        }
        Ok(())
    }
}
