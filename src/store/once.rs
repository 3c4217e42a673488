//! `once`: the only idempotency mechanism. One row for each key that succeeded: time, digest of the request, response.

use serde::{Serialize, de::DeserializeOwned};

use kernel::{Actor, Cause, Timestamp};

use super::codec::{self, DecodeError};
use super::error::StoreError;
use super::read::{Read, stop_at};
use super::schema::builtin;
use super::tx::WriteTx;
use super::{Lane, Store};
use crate::range::Range;
use kernel::key::KeyBuf;

/// The largest kept answer.
const MAX_ANSWER: usize = 64 * 1024;
/// How many answers one snapshot looks at while old ones are swept.
pub const LOOK: usize = 1_000;
/// How many go in one transaction.
const PIECE: usize = 500;

/// What a repeat is known by.
#[derive(Clone, Debug)]
pub struct OnceKey {
    /// Who asks for what: the same key in another scope is another.
    pub scope: String,
    /// The key that the caller chose.
    pub key: String,
    /// What was asked. The same key with another digest is refused.
    pub digest: [u8; 32],
}

impl OnceKey {
    fn new(scope: &str, key: &str, digest: [u8; 32]) -> Self {
        Self { scope: scope.to_owned(), key: key.to_owned(), digest }
    }

    fn row(&self) -> KeyBuf {
        let mut at = KeyBuf::new();
        at.text(&self.scope).text(&self.key);
        at
    }
}

/// The kept answer for a key, if there is one.
///
/// # Errors
/// `OtherDigest` when the key came with another content.
pub fn answered<T: DeserializeOwned>(
    read: &dyn Read,
    scope: &str,
    key: &str,
    digest: [u8; 32],
) -> Result<Option<T>, StoreError> {
    let Some(answer) = kept_answer(read, &OnceKey::new(scope, key, digest))? else {
        return Ok(None);
    };
    Ok(Some(codec::decode(&answer)?))
}

/// The bytes of the kept answer for a key, if there is one.
///
/// # Errors
/// `OtherDigest` when the key came with another content.
pub fn kept_answer(read: &dyn Read, key: &OnceKey) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(row) = read.raw_get(builtin::ONCE, key.row().bytes())? else { return Ok(None) };
    let (_, kept, answer) = split(&row)?;
    if *kept != key.digest {
        return Err(StoreError::OtherDigest);
    }
    Ok(Some(answer.to_vec()))
}

impl WriteTx<'_> {
    /// Runs the body at most once for a key and gives the stored answer afterwards (24 h, also
    /// across a restart). Only a success is kept: an error drops what the body did.
    ///
    /// # Errors
    /// `OtherDigest` when the key came with another content; else what the body answers.
    pub fn once<T, E>(
        &mut self,
        scope: &str,
        key: &str,
        digest: [u8; 32],
        body: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<StoreError>,
    {
        let key = OnceKey::new(scope, key, digest);
        if let Some(answer) = kept_answer(&*self, &key)? {
            return Ok(codec::decode(&answer).map_err(StoreError::from)?);
        }
        self.attempt(|tx| {
            let value = body(tx)?;
            let answer = codec::encode(&value).map_err(StoreError::from)?;
            tx.keep_answer(&key, &answer)?;
            Ok(value)
        })
    }

    /// Keeps the answer for a key for 24 hours.
    ///
    /// # Errors
    /// `TooLarge` above 64 KiB.
    pub fn keep_answer(&mut self, key: &OnceKey, answer: &[u8]) -> Result<(), StoreError> {
        let size = answer.len();
        if size > MAX_ANSWER {
            return Err(StoreError::TooLarge { table: "once", size, limit: MAX_ANSWER });
        }
        let now = self.now().as_millisecond();
        let row = [&now.to_be_bytes()[..], &key.digest[..], answer].concat();
        self.set(builtin::ONCE, key.row().into_bytes(), Some(row))
    }

    /// Drops those of these answers that are from before a moment; says how many.
    fn drop_once(&mut self, keys: Vec<Vec<u8>>, before: i64) -> Result<usize, StoreError> {
        let mut dropped = 0;
        for key in keys {
            // It may have been dropped, and asked for again, since it was looked at.
            let row = self.raw_get(builtin::ONCE, &key)?;
            if row.is_some_and(|row| is_before(&row, before)) {
                self.set(builtin::ONCE, key, None)?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// Drops these answers.
    fn forget_once(&mut self, keys: Vec<Vec<u8>>) -> Result<(), StoreError> {
        keys.into_iter().try_for_each(|key| self.set(builtin::ONCE, key, None))
    }
}

/// Drops all answers of `once` that are younger than a moment: what they tell of was taken back. Blocking;
/// nobody else writes.
pub fn forget_after(
    store: &Store,
    (actor, cause): (Actor, Cause),
    moment: Timestamp,
) -> Result<(), StoreError> {
    // Answers are kept for a day, so their keys fit into the memory.
    let at = moment.as_millisecond();
    let mut young = Vec::new();
    store.read(|snap| {
        snap.raw_scan(builtin::ONCE, &Range::all(), &mut |key, row| {
            if !is_before(row, at.saturating_add(1)) {
                young.push(key.to_vec());
            }
            stop_at(false)
        })
    })?;
    for keys in young.chunks(PIECE) {
        let keys = keys.to_vec();
        store.write_blocking(actor, cause, move |tx| tx.forget_once(keys))?;
    }
    Ok(())
}

/// Drops all answers of `once` from before a moment; says how many. They are looked for in short
/// snapshots, so that the writer is kept no longer than it takes to drop what was found.
pub async fn sweep(
    store: &Store,
    (actor, cause): (Actor, Cause),
    before: Timestamp,
) -> Result<usize, StoreError> {
    let before = before.as_millisecond();
    let (mut from, mut dropped) = (Some(Vec::new()), 0);
    while let Some(place) = from {
        let (old, next) = store.read(|snap| old_from(snap, &place, before))?;
        for keys in old.chunks(PIECE) {
            let keys = keys.to_vec();
            let swept =
                store.write_in(Lane::Second, actor, cause, move |tx| tx.drop_once(keys, before));
            dropped += swept.await?;
        }
        from = next;
        // The snapshot was read on a thread that others need, too.
        tokio::task::yield_now().await;
    }
    Ok(dropped)
}

/// Keys of answers from before a moment in milliseconds, among the next [`LOOK`] from a key on; and
/// the key to go on with, if there are more.
pub fn old_from(read: &dyn Read, from: &[u8], before: i64) -> Result<Place, StoreError> {
    let range = Range { lo: from.to_vec(), ..Range::all() };
    let (mut old, mut looked, mut next) = (Vec::new(), 0, None);
    read.raw_scan(builtin::ONCE, &range, &mut |key, row| {
        if looked == LOOK {
            next = Some(key.to_vec());
            return stop_at(true);
        }
        looked += 1;
        if is_before(row, before) {
            old.push(key.to_vec());
        }
        stop_at(false)
    })?;
    Ok((old, next))
}

/// Keys that were found, and where to go on.
pub type Place = (Vec<Vec<u8>>, Option<Vec<u8>>);

fn is_before(row: &[u8], before: i64) -> bool {
    split(row).is_ok_and(|(at, ..)| at < before)
}

/// When, the digest, the answer.
fn split(row: &[u8]) -> Result<(i64, &[u8; 32], &[u8]), DecodeError> {
    let (at, rest) = row.split_first_chunk::<8>().ok_or(DecodeError::Short)?;
    let (digest, answer) = rest.split_first_chunk::<32>().ok_or(DecodeError::Short)?;
    Ok((i64::from_be_bytes(*at), digest, answer))
}
