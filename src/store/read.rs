//! Reads. The same calls work on a snapshot and inside a write.

use std::ops::ControlFlow;

use super::codec::DecodeError;
use super::columns::Columns;
use super::error::StoreError;
use super::feed;
use super::record::{self, Count, Index, Record, Root};
use super::schema::builtin;
use crate::range::Range;
use kernel::key::{self, Key, KeyBuf};

/// Visits one row: key and value.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Raw access to the bytes of a snapshot or a write set.
pub trait Read {
    /// The value of a key.
    fn raw_get(&self, table: u16, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits a range of a table in order until the visitor breaks. The visitor enforces the range's limit.
    fn raw_scan(&self, table: u16, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// The number of the last entry of the feed; 0 if there is none.
    fn last_seq(&self) -> Result<u64, StoreError> {
        let mut found = 0;
        self.raw_scan(builtin::FEED, &Range::all().reverse(), &mut |key, _| {
            found = feed::split(key).map_or(0, |(seq, _)| seq);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// The in-memory columns, on a snapshot of an open store.
    fn columns(&self) -> Option<Columns<'_>> {
        None
    }
}

impl<T: Read + ?Sized> Read for &T {
    fn raw_get(&self, table: u16, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).raw_get(table, key)
    }

    fn raw_scan(&self, table: u16, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        (**self).raw_scan(table, range, visit)
    }

    fn last_seq(&self) -> Result<u64, StoreError> {
        (**self).last_seq()
    }

    fn columns(&self) -> Option<Columns<'_>> {
        (**self).columns()
    }
}

/// A record with the key under which it was found.
#[derive(Clone, Debug)]
pub struct Hit<R> {
    /// The found record.
    pub record: R,
    /// The key in the index or table; pass it to [`Range::after`] for the next page.
    pub key: Vec<u8>,
}

/// Typed reads over [`Read`].
pub trait ReadExt: Read {
    /// A record by its id.
    fn get<R: Record>(&self, id: R::Id) -> Result<Option<R>, StoreError> {
        Ok(self.get_rev::<R>(id)?.map(|(record, _)| record))
    }

    /// A record by its id, with the number of the entry that last wrote it.
    fn get_rev<R: Record>(&self, id: R::Id) -> Result<Option<(R, u64)>, StoreError> {
        match self.raw_get(R::TABLE.number, KeyBuf::of(&id).bytes())? {
            Some(value) => Ok(Some(record::read::<R>(&value)?)),
            None => Ok(None),
        }
    }

    /// A record by a key of a unique index.
    fn find<R: Record>(&self, index: Index, key: &KeyBuf) -> Result<Option<R>, StoreError> {
        match self.raw_get(index.number, key.bytes())? {
            Some(id) => match self.raw_get(R::TABLE.number, &id)? {
                Some(value) => Ok(Some(record::read::<R>(&value)?.0)),
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// Whether a key of a unique index is taken.
    fn taken(&self, index: Index, key: &KeyBuf) -> Result<bool, StoreError> {
        Ok(self.raw_get(index.number, key.bytes())?.is_some())
    }

    /// The ids in a range of an index.
    fn ids<R: Record>(&self, index: Index, range: &Range) -> Result<Vec<R::Id>, StoreError> {
        let mut out = Vec::new();
        let mut bad = false;
        self.raw_scan(index.number, range, &mut |_, value| {
            match key::decode::<R::Id>(value) {
                Some(id) => out.push(id),
                None => bad = true,
            }
            stop_at(out.len() >= range.limit || bad)
        })?;
        if bad { Err(DecodeError::Short.into()) } else { Ok(out) }
    }

    /// The records in a range of an index, with their index keys.
    fn hits<R: Record>(&self, index: Index, range: &Range) -> Result<Vec<Hit<R>>, StoreError> {
        let mut found = Vec::new();
        self.raw_scan(index.number, range, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            stop_at(found.len() >= range.limit)
        })?;
        let mut out = Vec::with_capacity(found.len());
        for (key, id) in found {
            if let Some(value) = self.raw_get(R::TABLE.number, &id)? {
                out.push(Hit { record: record::read::<R>(&value)?.0, key });
            }
        }
        Ok(out)
    }

    /// The records in a range of an index.
    fn scan<R: Record>(&self, index: Index, range: &Range) -> Result<Vec<R>, StoreError> {
        Ok(self.hits::<R>(index, range)?.into_iter().map(|hit| hit.record).collect())
    }

    /// Number of index rows in a range, counted up to the range's limit.
    fn len(&self, index: Index, range: &Range) -> Result<usize, StoreError> {
        let mut n = 0;
        self.raw_scan(index.number, range, &mut |_, _| {
            n += 1;
            stop_at(n >= range.limit)
        })?;
        Ok(n)
    }

    /// Records ordered by id.
    fn rows<R: Record>(&self, range: &Range) -> Result<Vec<Hit<R>>, StoreError> {
        let mut out = Vec::new();
        let mut bad = None;
        self.raw_scan(R::TABLE.number, range, &mut |key, value| {
            match record::read::<R>(value) {
                Ok((record, _)) => out.push(Hit { record, key: key.to_vec() }),
                Err(error) => bad = Some(error),
            }
            stop_at(out.len() >= range.limit || bad.is_some())
        })?;
        match bad {
            Some(error) => Err(error.into()),
            None => Ok(out),
        }
    }

    /// Records ordered by id, without keys.
    fn list<R: Record>(&self, range: &Range) -> Result<Vec<R>, StoreError> {
        Ok(self.rows::<R>(range)?.into_iter().map(|hit| hit.record).collect())
    }

    /// A sum maintained by the store.
    fn sum(&self, count: Count, key: &KeyBuf) -> Result<i64, StoreError> {
        Ok(self.raw_get(count.number, key.bytes())?.map_or(0, |v| read_sum(&v)))
    }

    /// The sums whose keys are in a range, with their keys.
    fn sums(&self, count: Count, range: &Range) -> Result<Vec<(Vec<u8>, i64)>, StoreError> {
        let mut out = Vec::new();
        self.raw_scan(count.number, range, &mut |key, value| {
            out.push((key.to_vec(), read_sum(value)));
            stop_at(out.len() >= range.limit)
        })?;
        Ok(out)
    }

    /// The ids of records of type `R` whose field `field` refers to `target`.
    fn referrers<R: Record, T: Record>(
        &self,
        target: T::Id,
        field: u8,
        limit: usize,
    ) -> Result<Vec<R::Id>, StoreError> {
        let mut prefix = KeyBuf::of(&T::TABLE.number);
        prefix.part(target).part(R::TABLE.number).u8(field);
        let start = prefix.bytes().len();
        let mut out = Vec::new();
        self.raw_scan(builtin::REFS, &Range::prefix(prefix), &mut |key, _| {
            out.extend(key::decode::<R::Id>(&key[start..]));
            stop_at(out.len() >= limit)
        })?;
        Ok(out)
    }
}

impl<T: Read + ?Sized> ReadExt for T {}

/// The rows that refer to `target`, each with the referring field; up to `most` + 1, so that callers can see that there
/// are more.
pub fn sources(read: &dyn Read, target: &Root, most: usize) -> Result<Vec<(Root, u8)>, StoreError> {
    let mut prefix = KeyBuf::of(&target.table);
    prefix.raw(&target.key);
    let start = prefix.bytes().len();
    let mut found = Vec::new();
    read.raw_scan(builtin::REFS, &Range::prefix(prefix), &mut |key, _| {
        if let Some((table, rest)) = split_key::<u16>(&key[start..])
            && let Some((field, key)) = split_key::<u8>(rest)
        {
            found.push((Root { table, key: key.to_vec() }, field));
        }
        stop_at(found.len() > most)
    })?;
    Ok(found)
}

pub(super) fn stop_at(full: bool) -> ControlFlow<()> {
    if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

pub(super) fn read_sum(value: &[u8]) -> i64 {
    <[u8; 8]>::try_from(value).map_or(0, i64::from_be_bytes)
}

/// Decodes a hexadecimal page cursor.
#[must_use]
pub fn cursor_key(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().filter(|k| !k.is_empty())
}

/// Encodes a key as a page cursor.
#[must_use]
pub fn key_cursor(key: &[u8]) -> String {
    hex::encode(key)
}

/// Splits the id off the front of a key.
#[must_use]
pub fn split_key<K: Key>(bytes: &[u8]) -> Option<(K, &[u8])> {
    let mut rest = bytes;
    K::take(&mut rest).map(|k| (k, rest))
}
