//! Rebuilds all indexes, references and sums from the records. A migration uses this when a format adds or changes
//! derived rows of existing tables.

use super::codec;
use super::error::StoreError;
use super::read::{Read, read_sum};
use super::schema::{Kind, Schema, TableInfo, builtin};
use super::tx::WriteTx;

/// Position: whether rows are being rebuilt (else cleared), the table, and the key to continue with.
type Place = (bool, u16, Vec<u8>);

impl WriteTx<'_> {
    /// Clears and rebuilds all indexes, references and sums, piece by piece; each call reads at most `limit` rows of a
    /// table. Returns where the next piece begins, or `None` at the end. Derived rows are inconsistent between pieces,
    /// so there must be no other readers.
    pub fn remake_beside(
        &mut self,
        at: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let schema = self.schema();
        let mut place = match at {
            Some(at) => Some(codec::decode::<Place>(at)?),
            None => behind(schema, false, 0),
        };
        while let Some((making, table, from)) = place {
            let rest = match making {
                true => self.make_beside(table, &from, limit)?,
                false => self.clear_beside(table, &from, limit)?,
            };
            if let Some(key) = rest {
                return Ok(Some(codec::encode(&(making, table, key))?));
            }
            place = behind(schema, making, table);
        }
        Ok(None)
    }

    /// Deletes rows; returns where to continue, if there are more.
    fn clear_beside(
        &mut self,
        table: u16,
        from: &[u8],
        limit: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.stretch(table, from, limit)?;
        for (key, _) in rows.iter().take(limit) {
            self.set_beside(table, key.clone(), None)?;
        }
        Ok(rows.into_iter().nth(limit).map(|(key, _)| key))
    }

    /// Rebuilds the derived rows of a table; returns where to continue, if there are more.
    fn make_beside(
        &mut self,
        table: u16,
        from: &[u8],
        limit: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let ops = self.info(table)?.ops()?;
        let rows = self.stretch(table, from, limit)?;
        for (own, row) in rows.iter().take(limit) {
            let made = (ops.derive)(row)?;
            for (index, key, value) in made.index {
                // Of two records with the same unique key the first wins; doctor reports the other.
                if !index.unique || self.raw_get(index.number, &key)?.is_none() {
                    self.set_beside(index.number, key, Some(value))?;
                }
            }
            for reference in made.refs {
                self.set_beside(builtin::REFS, reference.row_key(table, own), Some(Vec::new()))?;
            }
            for (count, key, n) in made.counts {
                let sum = self.raw_get(count.number, &key)?.map_or(0, |sum| read_sum(&sum));
                let sum = sum.wrapping_add(n);
                let value = (sum != 0).then(|| sum.to_be_bytes().to_vec());
                self.set_beside(count.number, key, value)?;
            }
        }
        Ok(rows.into_iter().nth(limit).map(|(key, _)| key))
    }
}

/// The next table: first all derived tables to clear, then all record tables.
fn behind(schema: &Schema, making: bool, table: u16) -> Option<Place> {
    let is_one = |info: &&TableInfo| {
        table < info.number
            && match info.kind {
                Kind::Record(_) => making,
                Kind::Index | Kind::Count => !making,
                Kind::Builtin => !making && info.number == builtin::REFS,
            }
    };
    match schema.tables().iter().filter(is_one).map(|info| info.number).min() {
        Some(number) => Some((making, number, Vec::new())),
        None if making => None,
        None => behind(schema, true, 0),
    }
}
