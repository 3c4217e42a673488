//! What stands beside the records, made anew from them: for a step to a format in which old rows have
//! more beside them than the program knew that wrote them. An index, a reference or a sum that is new
//! on an old table is filled by it, and one that was made otherwise is made as it is made now.

use super::codec;
use super::error::StoreError;
use super::read::{Read, read_sum};
use super::schema::{Kind, Schema, TableInfo, builtin};
use super::tx::WriteTx;

/// Whether rows are made by now (before that they are cleared), the table, and the key to go on with.
type Place = (bool, u16, Vec<u8>);

impl WriteTx<'_> {
    /// Clears all indexes, references and sums and makes them from the records, a piece at a time: at
    /// most `limit` rows of a table are looked at. Answers where the next piece begins, nothing when
    /// all is done. Between two pieces they do not fit: only where nobody else reads.
    ///
    /// # Errors
    /// When the disk fails or a record cannot be read.
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

    /// Takes rows away; where to go on, if not all went.
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

    /// Makes what stands beside the records of a table; where to go on, if not all were looked at.
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
                // Of two that claim one key the first has it; doctor names the other.
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

/// The next table: first all that are cleared, then all that they are made from.
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
