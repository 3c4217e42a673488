//! Retention and redaction of before-images: by age, by size, or for one record. Heads are never deleted, so the hash
//! chain still verifies.
//!
//! The store also records which images may be missing: up to an entry (the floor) for retention, and per record for
//! redaction. Verification reports every other missing image, and every image that a redaction should have removed. An
//! interrupted redaction has its position on record.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use kernel::{Actor, Cause, Event};

use super::codec::DecodeError;
use super::error::StoreError;
use super::feed::{self, Entry, Op};
use super::read::{Read, split_key, stop_at};
use super::record::Class;
use super::schema::{Schema, TableInfo, builtin};
use super::{Lane, Store, WriteTx, audit, codec};
use crate::range::Range;
use kernel::key::KeyBuf;

/// Maximum number of images removed per transaction.
const PIECE: usize = 500;
/// Maximum number of feed rows read per transaction or snapshot.
const LOOK: usize = 5_000;
/// Key of the row with the entry up to which images may be missing.
const FLOOR: &[u8] = b"images_from";

/// The result of a retention step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Number of removed images.
    pub images: usize,
    /// Whether nothing is left to do.
    pub done: bool,
}

/// The stored images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// Number of images.
    pub count: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Images of entries up to this one may be missing.
    pub floor: u64,
    /// Whether counting stopped early for lack of time.
    pub more: bool,
}

/// The entry up to which images may be missing.
pub fn floor(read: &dyn Read) -> Result<u64, StoreError> {
    match read.raw_get(builtin::META, FLOOR)? {
        Some(row) => Ok(codec::decode(&row)?),
        None => Ok(0),
    }
}

/// The stored state of a redaction. A finished one is encoded as `until` alone, a running one as `until` and `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Redaction {
    /// Images of entries up to this one are removed.
    until: u64,
    /// The version to continue with, from new to old; `None` when finished.
    next: Option<u64>,
}

impl Redaction {
    fn encode(self) -> Result<Vec<u8>, DecodeError> {
        match self.next {
            None => codec::encode(&self.until),
            Some(next) => codec::encode(&(self.until, next)),
        }
    }

    fn decode(row: &[u8]) -> Result<Self, DecodeError> {
        if let Ok(until) = codec::decode(row) {
            return Ok(Self { until, next: None });
        }
        let (until, next) = codec::decode(row)?;
        Ok(Self { until, next: Some(next) })
    }
}

fn redaction(read: &dyn Read, table: u16, key: &[u8]) -> Result<Option<Redaction>, StoreError> {
    let row = read.raw_get(builtin::REDACTED, &mark(table, key))?;
    Ok(row.map(|row| Redaction::decode(&row)).transpose()?)
}

/// The entry up to which the images of a record were removed; 0 if never.
pub fn redacted(read: &dyn Read, table: u16, key: &[u8]) -> Result<u64, StoreError> {
    Ok(redaction(read, table, key)?.map_or(0, |redaction| redaction.until))
}

/// What removed an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Retention by age or size.
    Retention,
    /// A redaction by a person.
    Redaction,
}

/// What removed the image of a change; `None` if the image is stored or never existed.
pub fn taken(
    read: &dyn Read,
    schema: &Schema,
    entry: &Entry,
    change: usize,
) -> Result<Option<Taken>, StoreError> {
    let (Some(of), Ok(n)) = (entry.changes.get(change), u16::try_from(change)) else {
        return Ok(None);
    };
    let kept = of.op != Op::Insert && schema.class(of.table) == Some(Class::Tracked);
    if !kept || feed::before_image(read, entry.seq, n)?.is_some() {
        return Ok(None);
    }
    if entry.seq <= redacted(read, of.table, &of.key)? {
        return Ok(Some(Taken::Redaction));
    }
    // Verification reports an image that nothing removed.
    Ok((entry.seq <= floor(read)?).then_some(Taken::Retention))
}

/// A record: its table and key.
pub type Redacted = (u16, Vec<u8>);

/// Records with a finished redaction, with the entry up to which they have no images.
pub fn all_redacted(read: &dyn Read) -> Result<BTreeMap<Redacted, u64>, StoreError> {
    let all = redactions(read)?.into_iter();
    Ok(all.filter(|(_, one)| one.next.is_none()).map(|(of, one)| (of, one.until)).collect())
}

fn redactions(read: &dyn Read) -> Result<Vec<(Redacted, Redaction)>, StoreError> {
    let mut found = Vec::new();
    read.raw_scan(builtin::REDACTED, &Range::all(), &mut |mark, row| {
        if let Some((table, key)) = split_key::<u16>(mark) {
            found.push(((table, key.to_vec()), Redaction::decode(row)));
        }
        ControlFlow::Continue(())
    })?;
    found.into_iter().map(|(of, one)| Ok((of, one?))).collect()
}

fn mark(table: u16, key: &[u8]) -> Vec<u8> {
    let mut mark = KeyBuf::of(&table);
    mark.raw(key);
    mark.into_bytes()
}

/// Counts the stored images, in slices of one short snapshot each.
pub fn images(store: &Store) -> Result<Images, StoreError> {
    images_within(store, Duration::MAX)
}

/// Like [`images`], for about `within` at most, so that a page need not wait for the whole feed.
pub fn images_within(store: &Store, within: Duration) -> Result<Images, StoreError> {
    let started = Instant::now();
    let floor = store.read(|snap| floor(snap))?;
    let mut all = Images { floor, ..Images::default() };
    let mut from = KeyBuf::of(&floor).into_bytes();
    loop {
        let end = store.read(|snap| {
            scan_from(snap, &mut from, &mut |_, part, value| {
                if part != 0 {
                    all.count += 1;
                    all.bytes += value.len() as u64;
                }
                ControlFlow::Continue(())
            })
        })?;
        all.more = !end && within <= started.elapsed();
        if end || all.more {
            return Ok(all);
        }
    }
}

/// Visits a row of the feed: entry, part, value.
type Visit<'v> = dyn FnMut(u64, u16, &[u8]) -> ControlFlow<()> + 'v;

/// Visits a slice of the feed from a key on and advances the key; returns whether it was the last slice.
fn scan_from(
    read: &dyn Read,
    from: &mut Vec<u8>,
    visit: &mut Visit<'_>,
) -> Result<bool, StoreError> {
    let range = Range { lo: from.clone(), ..Range::all() };
    let (mut looked, mut end, mut next) = (0, true, from.clone());
    read.raw_scan(builtin::FEED, &range, &mut |key, value| {
        if looked >= LOOK {
            end = false;
            return ControlFlow::Break(());
        }
        looked += 1;
        if let Some((seq, part)) = feed::split(key)
            && visit(seq, part, value).is_break()
        {
            return ControlFlow::Break(());
        }
        next.clear();
        next.extend_from_slice(key);
        next.push(0);
        ControlFlow::Continue(())
    })?;
    *from = next;
    Ok(end)
}

/// The entry up to which images must be removed so that the rest have at most `bytes`.
pub fn oldest_within(store: &Store, bytes: u64) -> Result<u64, StoreError> {
    let kept = images(store)?;
    let mut above = kept.bytes.saturating_sub(bytes);
    let mut from = KeyBuf::of(&kept.floor).into_bytes();
    let mut last = kept.floor;
    while above > 0 {
        let end = store.read(|snap| {
            scan_from(snap, &mut from, &mut |seq, part, value| {
                if part == 0 && above == 0 {
                    return ControlFlow::Break(());
                }
                if part != 0 {
                    above = above.saturating_sub(value.len() as u64);
                }
                last = seq;
                ControlFlow::Continue(())
            })
        })?;
        if end {
            break;
        }
    }
    Ok(last)
}

/// The last entry of the leading run of entries older than `ms` (Unix time in milliseconds). Entries are read in order
/// from the first that may have images. If the clock was set back, a young entry may precede old ones; its images are
/// kept.
pub fn last_before(store: &Store, ms: i64) -> Result<u64, StoreError> {
    let mut last = store.read(|snap| floor(snap))?;
    let mut from = KeyBuf::of(&last.saturating_add(1)).into_bytes();
    let (mut young, mut failed) = (false, None);
    loop {
        let end = store.read(|snap| {
            scan_from(snap, &mut from, &mut |seq, part, head| {
                if part == 0 {
                    match feed::decode_head(seq, head) {
                        Ok(entry) if entry.at < ms => last = seq,
                        Ok(_) => young = true,
                        Err(error) => failed = Some(error),
                    }
                }
                stop_at(young || failed.is_some())
            })
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if end || young {
            return Ok(last);
        }
    }
}

/// Removes the images of entries up to `seq`, in pieces in the second lane; returns how many.
pub async fn drop_until(store: &Store, by: Actor, seq: u64) -> Result<usize, StoreError> {
    let mut dropped = 0;
    loop {
        let swept =
            store.write_in(Lane::Second, by, Cause::Retention, move |tx| drop_piece(tx, seq));
        let swept = swept.await?;
        dropped += swept.images;
        if swept.done {
            return Ok(dropped);
        }
    }
}

/// One piece of [`drop_until`].
pub fn drop_piece(tx: &mut WriteTx<'_>, until: u64) -> Result<Swept, StoreError> {
    let floor = floor(tx)?;
    if floor > until {
        return Ok(Swept { images: 0, done: true });
    }
    // Starts again at the floor's entry, which may have more images than one piece removes.
    let mut from = KeyBuf::of(&floor).into_bytes();
    let (mut gone, mut last, mut passed, mut full) = (Vec::new(), floor, false, false);
    let end = scan_from(tx, &mut from, &mut |seq, part, _| {
        passed = seq > until;
        full = gone.len() >= PIECE;
        if passed || full {
            return ControlFlow::Break(());
        }
        last = seq;
        if part != 0 {
            gone.push(feed::head_key(seq, part));
        }
        ControlFlow::Continue(())
    })?;
    let (images, done) = (gone.len(), passed || end && !full);
    for key in gone {
        tx.set(builtin::FEED, key, None)?;
    }
    if last != floor {
        tx.set(builtin::META, FLOOR.to_vec(), Some(codec::encode(&last)?))?;
    }
    Ok(Swept { images, done })
}

/// Removes all images of one record from the feed; the current row stays. Returns how many were removed. The redaction
/// is itself an entry of the feed.
///
/// # Errors
/// `UnknownRecord` when the store has no trace of the record.
pub async fn redact(
    store: &Store,
    (actor, cause): (Actor, Cause),
    table: u16,
    key: Vec<u8>,
) -> Result<usize, StoreError> {
    let at = key.clone();
    let first = store.write(actor, cause, move |tx| {
        let rev = audit::last_rev(tx, table, &at)?;
        let rev = rev.ok_or(StoreError::UnknownRecord)?;
        tx.emit(Event::RecordRedacted { table, key: at.clone() });
        let until = tx.seq()?;
        redact_piece(tx, (table, &at), Redaction { until, next: Some(rev) })
    });
    let removed = first.await?;
    Ok(removed + go_on(store, actor, (table, key)).await?)
}

/// Finishes interrupted redactions; returns how many images were removed.
pub async fn finish_redactions(store: &Store, by: Actor) -> Result<usize, StoreError> {
    let mut removed = 0;
    for (record, redaction) in store.read(|snap| redactions(snap))? {
        if redaction.next.is_some() {
            removed += go_on(store, by, record).await?;
        }
    }
    Ok(removed)
}

/// Continues the redaction of a record until it is finished.
async fn go_on(store: &Store, by: Actor, record: Redacted) -> Result<usize, StoreError> {
    let mut all = 0;
    loop {
        let (table, key) = record.clone();
        let piece =
            store.write_in(Lane::Second, by, Cause::Retention, move |tx| {
                match redaction(tx, table, &key)? {
                    Some(now) if now.next.is_some() => {
                        Ok(Some(redact_piece(tx, (table, &key), now)?))
                    }
                    _ => Ok::<_, StoreError>(None),
                }
            });
        match piece.await? {
            Some(removed) => all += removed,
            None => return Ok(all),
        }
    }
}

/// Removes images from a version backwards and stores the next position; returns how many.
fn redact_piece(
    tx: &mut WriteTx<'_>,
    (table, key): (u16, &[u8]),
    now: Redaction,
) -> Result<usize, StoreError> {
    let (removed, next) = remove_images(tx, (table, key), now.next.unwrap_or(0))?;
    let row = Redaction { next, ..now }.encode()?;
    tx.set(builtin::REDACTED, mark(table, key), Some(row))?;
    Ok(removed)
}

/// Removes images from a version backwards; returns how many, and the version to continue with.
fn remove_images(
    tx: &mut WriteTx<'_>,
    (table, key): (u16, &[u8]),
    mut rev: u64,
) -> Result<(usize, Option<u64>), StoreError> {
    let (mut removed, mut looked) = (0, 0);
    while rev != 0 {
        if looked >= PIECE {
            return Ok((removed, Some(rev)));
        }
        looked += 1;
        let Some(entry) = audit::head(tx, rev)? else { break };
        let at = entry.changes.iter().position(|one| one.table == table && one.key == key);
        let Some(n) = at else { break };
        let part = u16::try_from(n).ok().and_then(|n| n.checked_add(1));
        if let Some(part) = part {
            let image = feed::head_key(rev, part);
            if tx.raw_get(builtin::FEED, &image)?.is_some() {
                tx.set(builtin::FEED, image, None)?;
                removed += 1;
            }
        }
        let before = entry.changes[n].before_rev;
        if before >= rev {
            break;
        }
        rev = before;
    }
    Ok((removed, None))
}

impl TableInfo {
    /// The key of a record from its id as text: a UUID, or hexadecimal.
    #[must_use]
    pub fn key_of(&self, text: &str) -> Option<Vec<u8>> {
        let ops = self.ops.as_ref()?;
        let bytes = match uuid::Uuid::parse_str(text) {
            Ok(id) => id.as_bytes().to_vec(),
            Err(_) => hex::decode(text).ok()?,
        };
        (ops.key_text)(&bytes).map(|_| bytes)
    }
}
