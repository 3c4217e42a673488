//! `once`: the only idempotency there is. A row for each key that succeeded: when, the digest of
//! what was asked, the answer.

use serde::{Serialize, de::DeserializeOwned};

use crate::kernel::Timestamp;

use super::codec::{self, DecodeError};
use super::error::StoreError;
use super::key::{KeyBuf, Range};
use super::read::{Read, stop_at};
use super::schema::builtin;
use super::tx::WriteTx;

/// The largest kept answer.
const MAX_ANSWER: usize = 64 * 1024;

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
        let mut at = KeyBuf::new();
        at.text(scope).text(key);
        if let Some(row) = self.raw_get(builtin::ONCE, at.bytes())? {
            let (_, kept, answer) = split(&row).map_err(StoreError::from)?;
            if *kept != digest {
                return Err(StoreError::OtherDigest.into());
            }
            return Ok(codec::decode(answer).map_err(StoreError::from)?);
        }
        self.attempt(|tx| {
            let value = body(tx)?;
            let answer = codec::encode(&value).map_err(StoreError::from)?;
            let size = answer.len();
            if size > MAX_ANSWER {
                return Err(StoreError::TooLarge { table: "once", size, limit: MAX_ANSWER }.into());
            }
            let now = tx.now().as_millisecond();
            let row = [&now.to_be_bytes()[..], &digest[..], &answer].concat();
            tx.set(builtin::ONCE, at.into_bytes(), Some(row))?;
            Ok(value)
        })
    }

    /// Drops answers of `once` from before this moment, at most `limit`; says how many.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sweep_once(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut old = Vec::new();
        let before = before.as_millisecond();
        if limit == 0 {
            return Ok(0);
        }
        self.raw_scan(builtin::ONCE, &Range::all(), &mut |key, row| {
            if split(row).is_ok_and(|(at, ..)| at < before) {
                old.push(key.to_vec());
            }
            stop_at(old.len() >= limit)
        })?;
        let count = old.len();
        for key in old {
            self.set(builtin::ONCE, key, None)?;
        }
        Ok(count)
    }
}

/// When, the digest, the answer.
fn split(row: &[u8]) -> Result<(i64, &[u8; 32], &[u8]), DecodeError> {
    let (at, rest) = row.split_first_chunk::<8>().ok_or(DecodeError::Short)?;
    let (digest, answer) = rest.split_first_chunk::<32>().ok_or(DecodeError::Short)?;
    Ok((i64::from_be_bytes(*at), digest, answer))
}
