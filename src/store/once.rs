//! `once`: the only idempotency mechanism. One row per successful key: time, digest of the request, response.

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

/// Maximum size of a stored response in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// How many responses one snapshot examines during a sweep.
pub const LOOK: usize = 1_000;
/// How many responses one transaction deletes.
const PIECE: usize = 500;

/// Identifies a repeated request.
#[derive(Clone, Debug)]
pub struct OnceKey {
    /// Namespace of the key; equal keys in different scopes are unrelated.
    pub scope: String,
    /// The key chosen by the caller.
    pub key: String,
    /// Digest of the request. The same key with another digest is refused.
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

/// The stored response for a key, if any.
///
/// # Errors
/// `OtherDigest` when the key was used for another request.
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

/// The bytes of the stored response for a key, if any.
///
/// # Errors
/// `OtherDigest` when the key was used for another request.
pub fn kept_answer(read: &dyn Read, key: &OnceKey) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(row) = read.raw_get(builtin::ONCE, key.row().bytes())? else { return Ok(None) };
    let (_, kept, answer) = split(&row)?;
    if *kept != key.digest {
        return Err(StoreError::OtherDigest);
    }
    Ok(Some(answer.to_vec()))
}

impl WriteTx<'_> {
    /// Runs the body at most once per key; repeats get the stored response for 24 hours, also across a restart. Only a
    /// success is stored: an error discards the changes of the body.
    ///
    /// # Errors
    /// `OtherDigest` when the key was used for another request, else the error of the body.
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

    /// Stores the response for a key for 24 hours.
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

    /// Deletes those of these responses that are older than `before`; returns how many.
    fn drop_once(&mut self, keys: Vec<Vec<u8>>, before: i64) -> Result<usize, StoreError> {
        let mut dropped = 0;
        for key in keys {
            // The key may have been deleted and used again since it was examined.
            let row = self.raw_get(builtin::ONCE, &key)?;
            if row.is_some_and(|row| is_before(&row, before)) {
                self.set(builtin::ONCE, key, None)?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// Deletes these responses.
    fn forget_once(&mut self, keys: Vec<Vec<u8>>) -> Result<(), StoreError> {
        keys.into_iter().try_for_each(|key| self.set(builtin::ONCE, key, None))
    }
}

/// Deletes all responses of `once` later than `moment`, because their effects were undone. Blocking; there must be no
/// other writer.
pub fn forget_after(
    store: &Store,
    (actor, cause): (Actor, Cause),
    moment: Timestamp,
) -> Result<(), StoreError> {
    // Responses are kept for a day, so all keys fit into memory.
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

/// Deletes all responses of `once` older than `before`; returns how many. Finds them in short snapshots, so that the
/// writer is occupied only with deleting.
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
        // Let other tasks use the thread that the snapshot was read on.
        tokio::task::yield_now().await;
    }
    Ok(dropped)
}

/// The keys of responses older than `before` (Unix time in milliseconds) among the next [`LOOK`] from a key on; and the
/// key to continue with, if there are more.
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

/// The keys found, and where to continue.
pub type Place = (Vec<Vec<u8>>, Option<Vec<u8>>);

fn is_before(row: &[u8], before: i64) -> bool {
    split(row).is_ok_and(|(at, ..)| at < before)
}

/// Splits a row into time, digest and response.
fn split(row: &[u8]) -> Result<(i64, &[u8; 32], &[u8]), DecodeError> {
    let (at, rest) = row.split_first_chunk::<8>().ok_or(DecodeError::Short)?;
    let (digest, answer) = rest.split_first_chunk::<32>().ok_or(DecodeError::Short)?;
    Ok((i64::from_be_bytes(*at), digest, answer))
}
