//! Deletes a record and applies the delete rules of its referrers: first a plan of all rows, then the changes.
//!
//! The plan makes the result independent of the order in which references are found, avoids recursion on long chains,
//! and counts rows before any change.

use std::collections::{BTreeMap, VecDeque};

use kernel::Cause;

use super::error::StoreError;
use super::read::{Read, ReadExt, sources};
use super::record::{Class, OnDelete, Record, Reference, Root};
use super::schema::{Derived, derive};
use super::tx::{MAX_CHANGES, WriteTx};

/// Maximum number of rows that one deletion may change.
const MAX_DELETE: usize = 2_000;

enum Fate {
    /// Delete the row: its bytes and derived rows.
    Delete(Vec<u8>, Derived),
    /// Clear these references of the row.
    Clear(Vec<Reference>),
}

#[derive(Default)]
struct Plan {
    fates: BTreeMap<Root, Fate>,
    /// Deleted rows in the order of discovery, nearest first.
    order: Vec<Root>,
    /// Rows whose references refuse the deletion.
    refusing: Vec<Root>,
}

impl WriteTx<'_> {
    /// Deletes a record and applies the delete rules of its referrers. Returns whether the record existed.
    ///
    /// # Errors
    /// When a referrer refuses or too many rows would change.
    pub fn delete<R: Record>(&mut self, id: R::Id) -> Result<bool, StoreError> {
        let start = Root::of::<R>(id);
        let Some(row) = self.raw_get(start.table, &start.key)? else { return Ok(false) };
        let plan = self.plan_delete(start, row)?;
        self.all_or_nothing(|tx| tx.carry_out(plan))?;
        Ok(true)
    }

    /// Deletes a row by table and key, also of a log, with the same rules: for a return to a time when it did not
    /// exist. Returns whether it existed.
    pub(super) fn remove_raw(&mut self, start: &Root) -> Result<bool, StoreError> {
        let Some(row) = self.raw_get(start.table, &start.key)? else { return Ok(false) };
        let plan = self.plan_delete(start.clone(), row)?;
        self.all_or_nothing(|tx| tx.carry_out(plan))?;
        Ok(true)
    }

    fn plan_delete(&self, start: Root, row: Vec<u8>) -> Result<Plan, StoreError> {
        let mut plan = Plan::default();
        let derived = (self.info(start.table)?.ops()?.derive)(&row)?;
        plan.fates.insert(start.clone(), Fate::Delete(row, derived));
        let mut queue = VecDeque::from([start]);
        while let Some(target) = queue.pop_front() {
            let info = self.info(target.table)?;
            let may = matches!(self.cause(), Cause::Retention | Cause::Restore);
            if info.class() == Some(Class::Log) && !may {
                return Err(StoreError::LogRow { table: info.name });
            }
            for (source, field) in sources(self, &target, MAX_CHANGES)? {
                if matches!(plan.fates.get(&source), Some(Fate::Delete(..))) {
                    continue;
                }
                let Some(row) = self.raw_get(source.table, &source.key)? else { continue };
                let mut derived = (self.info(source.table)?.ops()?.derive)(&row)?;
                let found = |r: &Reference| r.field == field && r.target == target;
                let Some(at) = derived.refs.iter().position(found) else { continue };
                match derived.refs[at].on_delete {
                    OnDelete::Cascade => {
                        plan.fates.insert(source.clone(), Fate::Delete(row, derived));
                        queue.push_back(source);
                    }
                    OnDelete::Clear => {
                        let reference = derived.refs.swap_remove(at);
                        let fate = plan.fates.entry(source);
                        if let Fate::Clear(list) = fate.or_insert_with(|| Fate::Clear(Vec::new())) {
                            list.push(reference);
                        }
                    }
                    OnDelete::Refuse => plan.refusing.push(source),
                }
            }
            plan.order.push(target);
            // Continue a little for the number in the message, but not without limit.
            if plan.fates.len() > MAX_CHANGES {
                break;
            }
        }
        let count = plan.fates.len();
        if count > MAX_DELETE {
            return Err(StoreError::TooMany { count, limit: MAX_DELETE });
        }
        Ok(plan)
    }

    fn carry_out(&mut self, mut plan: Plan) -> Result<(), StoreError> {
        for source in &plan.refusing {
            if !matches!(plan.fates.get(source), Some(Fate::Delete(..))) {
                return Err(StoreError::Referenced { table: self.info(source.table)?.name });
            }
        }
        for root in plan.order {
            if let Some(Fate::Delete(row, derived)) = plan.fates.remove(&root) {
                self.remove_row(root.table, root.key, &row, derived)?;
            }
        }
        for (source, fate) in plan.fates {
            if let Fate::Clear(gone) = fate {
                (self.info(source.table)?.ops()?.clear)(self, &source.key, &gone)?;
            }
        }
        Ok(())
    }

    pub(super) fn clear_references<R: Record>(
        &mut self,
        id: R::Id,
        gone: &[Reference],
    ) -> Result<(), StoreError> {
        let Some(mut record) = self.get::<R>(id)? else { return Ok(()) };
        for reference in gone {
            record.clear(reference.field);
        }
        // A `clear` that forgets a field would leave a dangling reference.
        let left = derive(&record, &[]).refs;
        if gone.iter().any(|r| left.iter().any(|l| l.field == r.field && l.target == r.target)) {
            return Err(StoreError::Referenced { table: R::TABLE.name });
        }
        self.put(&record)
    }
}
