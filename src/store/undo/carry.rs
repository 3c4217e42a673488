//! Applies an undo plan. The plan is consistent as a whole, so its rows are written in two passes, independent of their
//! order: first everything that is given up, then everything that is added.

use crate::codec;
use crate::error::StoreError;
use crate::layer::Laid;
use crate::read::Read;
use crate::record::Root;
use crate::schema::Derived;
use crate::tx::WriteTx;

use super::Plan;

impl WriteTx<'_> {
    /// Applies a plan that was made in this transaction or is [`still`](Self::still) valid in it. Handles no events and
    /// emits none.
    pub fn undo(&mut self, plan: &Plan) -> Result<(), StoreError> {
        self.all_or_nothing(|tx| {
            let derived = tx.give_up(plan)?;
            for (row, (old, new)) in plan.rows.iter().zip(derived) {
                let Root { table, key } = &row.record;
                tx.enter_derived(*table, key, old, new)?;
                let Some(to) = &row.to else { continue };
                let (version, _, body) = codec::unwrap(to)?;
                let value = codec::wrap(version, tx.own_rev(), body);
                let root = (tx.info(*table)?.ops()?.root)(&value);
                let root = root.filter(|root| !root.is(*table, key));
                tx.lay(*table, key.clone(), Laid { value: Some(value), root });
            }
            Ok(())
        })
    }

    /// Deletes what rows do not keep; returns the derived rows of each row before and after.
    fn give_up(&mut self, plan: &Plan) -> Result<Vec<(Derived, Derived)>, StoreError> {
        let mut all = Vec::with_capacity(plan.rows.len());
        for row in &plan.rows {
            for taken in &row.takes {
                if let Some(bytes) = self.raw_get(taken.table, &taken.key)? {
                    let derived = (self.info(taken.table)?.ops()?.derive)(&bytes)?;
                    self.remove_row(taken.table, taken.key.clone(), &bytes, derived)?;
                }
            }
            let Root { table, key } = &row.record;
            let ops = self.info(*table)?.ops()?;
            let derive = |row: &Option<Vec<u8>>| match row {
                Some(row) => (ops.derive)(row),
                None => Ok(Derived::default()),
            };
            let (old, new) = (derive(&row.now)?, derive(&row.to)?);
            self.retire_derived(*table, key, &old, &new)?;
            if let (Some(now), None) = (&row.now, &row.to) {
                let root = (ops.root)(now).filter(|root| !root.is(*table, key));
                self.lay(*table, key.clone(), Laid { value: None, root });
            }
            all.push((old, new));
        }
        Ok(all)
    }
}
