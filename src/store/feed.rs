//! The durable feed: one head per transaction that changed something, and separately the before-images of tracked rows.
//!
//! Key `(seq u64, part u16)`: part 0 is the head, part `n + 1` the before-image of change `n`. Hashes are SHA-256. Row
//! hash: over table number, key length, key and the whole stored value. Head hash: over `"hq.head.1"`, the previous
//! hash and the encoded head without its own hash.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use kernel::{Actor, Cause, Event};

use super::codec::{self, DecodeError};
use super::error::StoreError;
use super::read::Read;
use super::record::Root;
use super::schema::{Schema, builtin};
use crate::range::Range;
use kernel::key::KeyBuf;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// The row was inserted.
    Insert,
    /// The row was updated.
    Update,
    /// The row was deleted.
    Delete,
}

/// One changed row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Table number.
    pub table: u16,
    /// Key bytes.
    pub key: Vec<u8>,
    /// The kind of change.
    pub op: Op,
    /// The previous rev of the row. A row inserted again after a deletion names the deletion, so that its history
    /// continues; 0 if it never existed.
    pub before_rev: u64,
    /// Hash of the new row; zeros if deleted.
    pub hash: Hash,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredEvent {
    kind: u16,
    version: u8,
    bytes: Vec<u8>,
}

/// A stored head without its own hash. Generic over the list so that encoding needs no copy: a slice and a vector have
/// the same encoding.
#[derive(Serialize, Deserialize)]
struct HeadBody<Changes> {
    at: i64,
    actor: Actor,
    cause: Cause,
    changes: Changes,
    events: Vec<StoredEvent>,
    previous: Hash,
}

/// Version of the event layout in heads.
const EVENT_VERSION: u8 = 1;

/// One decoded entry of the feed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number; numbers have no gaps.
    pub seq: u64,
    /// Unix time in milliseconds.
    pub at: i64,
    /// Author of the transaction.
    pub actor: Actor,
    /// Cause of the transaction.
    pub cause: Cause,
    /// The changed rows.
    pub changes: Vec<Change>,
    /// The events of the transaction.
    pub events: Vec<Event>,
    /// The roots of the changed rows, if they differ from the rows.
    pub roots: Vec<Root>,
    /// The hash of the previous entry.
    pub previous: Hash,
    /// The hash of this entry.
    pub hash: Hash,
}

impl Entry {
    /// Whether it changed the record's own row.
    #[must_use]
    pub fn touches(&self, record: &Root) -> bool {
        self.changes.iter().any(|change| record.is(change.table, &change.key))
    }
}

/// A position in the feed, valid for one incarnation of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Random number, renewed at creation and every restore.
    pub incarnation: u64,
    /// The last entry seen.
    pub seq: u64,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}.{}", self.incarnation, self.seq)
    }
}

impl std::str::FromStr for Cursor {
    type Err = DecodeError;
    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let (incarnation, seq) = text.split_once('.').ok_or(DecodeError::Short)?;
        let cursor = Self {
            incarnation: u64::from_str_radix(incarnation, 16).map_err(|_| DecodeError::Short)?,
            seq: seq.parse().map_err(|_| DecodeError::Short)?,
        };
        // Accept the canonical spelling only: no sign, capitals or leading zeros.
        if cursor.to_string() == text { Ok(cursor) } else { Err(DecodeError::Short) }
    }
}

pub(super) fn row_hash(table: u16, key: &[u8], value: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(table.to_be_bytes());
    hash.update(u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
    hash.update(key);
    hash.update(value);
    hash.finalize().into()
}

pub(super) fn head_key(seq: u64, part: u16) -> Vec<u8> {
    let mut key = KeyBuf::of(&seq);
    key.part(part);
    key.into_bytes()
}

/// Encodes a head, returns its bytes and sets the entry's hash.
pub(super) fn encode_head(entry: &mut Entry) -> Result<Vec<u8>, DecodeError> {
    let mut events = Vec::with_capacity(entry.events.len());
    for event in &entry.events {
        let bytes = codec::encode(event)?;
        events.push(StoredEvent { kind: event.kind(), version: EVENT_VERSION, bytes });
    }
    let mut out = codec::encode(&HeadBody {
        at: entry.at,
        actor: entry.actor,
        cause: entry.cause,
        changes: entry.changes.as_slice(),
        events,
        previous: entry.previous,
    })?;
    let mut hash = Sha256::new();
    hash.update(b"hq.head.1");
    hash.update(entry.previous);
    hash.update(&out);
    entry.hash = hash.finalize().into();
    out.extend_from_slice(&entry.hash);
    Ok(out)
}

fn decode_body(value: &[u8]) -> Result<(HeadBody<Vec<Change>>, Hash), DecodeError> {
    let (body, hash) = value.split_last_chunk::<32>().ok_or(DecodeError::Short)?;
    Ok((codec::decode(body)?, *hash))
}

/// Reads time and actor without decoding the rest of a head, which may have hundreds of changes.
pub(super) fn time_and_actor(value: &[u8]) -> Result<(i64, Actor), DecodeError> {
    codec::first(value)
}

/// The previous hash in a stored head, and whether its own hash is correct.
pub(super) fn sum_of_head(value: &[u8]) -> Option<(Hash, bool)> {
    let (body, own) = value.split_last_chunk::<32>()?;
    let previous = codec::decode::<HeadBody<Vec<Change>>>(body).ok()?.previous;
    let mut hash = Sha256::new();
    hash.update(b"hq.head.1");
    hash.update(previous);
    hash.update(body);
    let fits = hash.finalize().as_slice() == own;
    Some((previous, fits))
}

pub(super) fn decode_head(seq: u64, value: &[u8]) -> Result<Entry, DecodeError> {
    let (head, hash) = decode_body(value)?;
    let mut events = Vec::with_capacity(head.events.len());
    for event in &head.events {
        // Skip events of newer programs; the changes still show what happened.
        if event.version == EVENT_VERSION
            && let Ok(event) = codec::decode::<Event>(&event.bytes)
        {
            events.push(event);
        }
    }
    Ok(Entry {
        seq,
        at: head.at,
        actor: head.actor,
        cause: head.cause,
        changes: head.changes,
        events,
        roots: Vec::new(),
        previous: head.previous,
        hash,
    })
}

/// The end of the feed.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// The number of the last entry; 0 if there is none.
    pub seq: u64,
    /// Hash of the last entry.
    pub hash: Hash,
    /// Unix time of the last entry in milliseconds.
    pub at: i64,
}

/// Reads the end of the feed.
pub(super) fn last(read: &dyn Read) -> Result<End, StoreError> {
    let mut found = None;
    read.raw_scan(builtin::FEED, &Range::all().reverse(), &mut |key, value| {
        // Images sort after their head, so walk back to the head.
        match split(key) {
            Some((seq, 0)) => {
                found = Some((seq, value.to_vec()));
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    })?;
    let Some((seq, value)) = found else { return Ok(End { seq: 0, hash: [0; 32], at: i64::MIN }) };
    let entry = decode_head(seq, &value).map_err(|error| {
        StoreError::Damaged(format!("entry {seq}, the last of the feed, cannot be read ({error})"))
    })?;
    Ok(End { seq, hash: entry.hash, at: entry.at })
}

pub(super) fn split(key: &[u8]) -> Option<(u64, u16)> {
    kernel::key::decode::<(u64, u16)>(key)
}

/// One entry, without its roots.
pub fn entry(read: &dyn Read, seq: u64) -> Result<Option<Entry>, StoreError> {
    match read.raw_get(builtin::FEED, &head_key(seq, 0))? {
        Some(head) => Ok(Some(decode_head(seq, &head)?)),
        None => Ok(None),
    }
}

/// Entries after `after`, oldest first, at most `limit`.
pub fn entries(
    read: &dyn Read,
    schema: &Schema,
    after: u64,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
    let range = Range::between(KeyBuf::of(&after.saturating_add(1)), KeyBuf::of(&u64::MAX));
    read.raw_scan(builtin::FEED, &range, &mut |key, value| {
        if let Some((seq, 0)) = split(key) {
            if found.len() >= limit {
                return ControlFlow::Break(());
            }
            found.push((seq, value.to_vec()));
        }
        ControlFlow::Continue(())
    })?;
    let mut out = Vec::with_capacity(found.len());
    for (seq, value) in found {
        let mut entry = decode_head(seq, &value)?;
        entry.roots = roots(read, schema, &entry)?;
        out.push(entry);
    }
    Ok(out)
}

/// The changes of entries after `after`, oldest first, of at most `limit` entries. Reads neither events nor roots, for
/// callers that skip most entries.
pub fn changes(
    read: &dyn Read,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, Vec<Change>)>, StoreError> {
    let (mut found, mut failed) = (Vec::new(), None);
    let range = Range::between(KeyBuf::of(&after.saturating_add(1)), KeyBuf::of(&u64::MAX));
    read.raw_scan(builtin::FEED, &range, &mut |key, value| {
        if let Some((seq, 0)) = split(key) {
            if found.len() >= limit {
                return ControlFlow::Break(());
            }
            match decode_body(value) {
                Ok((head, _)) => found.push((seq, head.changes)),
                Err(error) => failed = Some(error),
            }
        }
        super::read::stop_at(failed.is_some())
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(found),
    }
}

/// Entries before a number, newest first.
pub fn newest(
    read: &dyn Read,
    schema: &Schema,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let end = before.unwrap_or(u64::MAX);
    let mut found = Vec::new();
    let range = Range::between(KeyBuf::new(), KeyBuf::of(&end)).reverse();
    read.raw_scan(builtin::FEED, &range, &mut |key, value| {
        if let Some((seq, 0)) = split(key) {
            found.push((seq, value.to_vec()));
        }
        super::read::stop_at(found.len() >= limit)
    })?;
    found
        .into_iter()
        .map(|(seq, value)| {
            let mut entry = decode_head(seq, &value)?;
            entry.roots = roots(read, schema, &entry)?;
            Ok(entry)
        })
        .collect()
}

/// The before-image of change `n` of an entry, if it is still stored.
pub fn before_image(read: &dyn Read, seq: u64, n: u16) -> Result<Option<Vec<u8>>, StoreError> {
    match n.checked_add(1) {
        Some(part) => read.raw_get(builtin::FEED, &head_key(seq, part)),
        None => Ok(None),
    }
}

/// The roots of an entry's rows, from the row or, if it is deleted, from its image.
fn roots(read: &dyn Read, schema: &Schema, entry: &Entry) -> Result<Vec<Root>, StoreError> {
    let mut found: Vec<Root> = Vec::new();
    for (n, change) in entry.changes.iter().enumerate() {
        let Some(ops) = schema.table(change.table).and_then(|t| t.ops.as_ref()) else { continue };
        let row = match read.raw_get(change.table, &change.key)? {
            Some(row) => Some(row),
            None => before_image(read, entry.seq, u16::try_from(n).unwrap_or(u16::MAX))?,
        };
        let root = row.and_then(|row| (ops.root)(&row));
        found.extend(root.filter(|root| !root.is(change.table, &change.key)));
    }
    Ok(distinct(found))
}

pub(super) fn distinct(mut roots: Vec<Root>) -> Vec<Root> {
    roots.sort_unstable();
    roots.dedup();
    roots
}
