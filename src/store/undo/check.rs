//! Checks that a plan leaves the store consistent: unique keys, references, hierarchies, and the requester's
//! permissions. Rows that violate one leave the plan until none does; the plan only shrinks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use crate::error::StoreError;
use crate::range::Range;
use crate::read::{Read, split_key};
use crate::record::{Class, OnDelete, Reference, Root};
use crate::schema::{Derived, Schema, builtin};
use kernel::key::KeyBuf;

use super::guard::{After, Guard, Hold};
use super::{Kept, Row, Why, merge};

/// Maximum length of a chain of parents that is followed.
const MAX_ABOVE: usize = 10_000;

/// A row of the plan with its derived rows before and after.
pub(super) struct Planned {
    pub(super) row: Row,
    old: Derived,
    new: Derived,
}

impl Planned {
    fn new(schema: &Schema, row: Row) -> Result<Self, StoreError> {
        let old = derived(schema, row.record.table, row.now.as_deref())?;
        let new = derived(schema, row.record.table, row.to.as_deref())?;
        Ok(Self { row, old, new })
    }

    /// References that the row does not have yet.
    fn fresh(&self) -> impl Iterator<Item = &Reference> {
        self.new.refs.iter().filter(|one| !self.old.refs.contains(one))
    }
}

struct Check<'r> {
    read: &'r dyn Read,
    schema: &'r Schema,
    rows: BTreeMap<Root, Planned>,
    /// `Work` rows that may be deleted with what they refer to.
    made: BTreeSet<&'r Root>,
}

/// Removes rows from the plan until it leaves the store consistent.
pub(super) fn shrink(
    read: &dyn Read,
    schema: &Schema,
    guard: &dyn Guard,
    rows: BTreeMap<Root, Row>,
    made: &[Root],
    kept: &mut Vec<Kept>,
) -> Result<Vec<Row>, StoreError> {
    let mut planned = BTreeMap::new();
    for (record, row) in rows {
        planned.insert(record, Planned::new(schema, row)?);
    }
    let mut check = Check { read, schema, rows: planned, made: made.iter().collect() };
    loop {
        let (faults, takes) = check.pass()?;
        if faults.is_empty() {
            let holds = guard.holds(&After::new(read, &check.rows))?;
            if !holds.is_empty() {
                holds.into_iter().try_for_each(|hold| check.hold(hold, kept))?;
                continue;
            }
            for (record, taken) in takes {
                if let Some(planned) = check.rows.get_mut(&record) {
                    planned.row.takes = taken;
                }
            }
            return Ok(check.rows.into_values().map(|planned| planned.row).collect());
        }
        for (record, why) in faults {
            if let Some(planned) = check.rows.remove(&record) {
                kept.push(Kept { record, why, fields: planned.row.kept });
            }
        }
    }
}

fn derived(schema: &Schema, table: u16, row: Option<&[u8]>) -> Result<Derived, StoreError> {
    let info = schema.table(table).ok_or(StoreError::UnknownTable(table))?;
    match row {
        Some(row) => Ok((info.ops()?.derive)(row)?),
        None => Ok(Derived::default()),
    }
}

type Faults = BTreeMap<Root, Why>;
type Takes = BTreeMap<Root, Vec<Root>>;

impl Check<'_> {
    /// Removes a row, or some of its fields, from the plan.
    fn hold(&mut self, hold: Hold, kept: &mut Vec<Kept>) -> Result<(), StoreError> {
        let Hold { record, fields, refusal } = hold;
        let Some(Planned { row, .. }) = self.rows.remove(&record) else { return Ok(()) };
        let ops = self.schema.table(record.table).ok_or(StoreError::UnknownTable(record.table))?;
        let whole = row.kept.clone();
        match merge::pin(ops.ops()?, row, fields, &refusal)? {
            Some(row) => {
                self.rows.insert(record, Planned::new(self.schema, row)?);
            }
            None => kept.push(Kept { record, why: Why::Refused(refusal), fields: whole }),
        }
        Ok(())
    }

    /// Rows that violate a rule, and the rows that deletions take with them.
    fn pass(&self) -> Result<(Faults, Takes), StoreError> {
        let (mut faults, mut takes) = (Faults::new(), Takes::new());
        let mut claims: HashMap<(u16, &[u8]), &Root> = HashMap::new();
        for (record, planned) in &self.rows {
            if planned.row.to.is_none() {
                match self.taken_away(record)? {
                    Ok(taken) if taken.is_empty() => {}
                    Ok(taken) => {
                        takes.insert(record.clone(), taken);
                    }
                    Err(by) => {
                        faults.insert(record.clone(), Why::Referenced { by });
                    }
                }
                continue;
            }
            let why = match self.taken(record, planned, &mut claims)? {
                Some(why) => Some(why),
                None => self.leads_nowhere(record, planned)?,
            };
            faults.extend(why.map(|why| (record.clone(), why)));
        }
        Ok((faults, takes))
    }

    /// Whether another record has, or would get, a unique key of this one.
    fn taken<'s>(
        &'s self,
        record: &'s Root,
        planned: &'s Planned,
        claims: &mut HashMap<(u16, &'s [u8]), &'s Root>,
    ) -> Result<Option<Why>, StoreError> {
        for (index, key, _) in planned.new.index.iter().filter(|(index, ..)| index.unique) {
            let why = Why::Taken { index: index.name };
            if claims.insert((index.number, key), record).is_some_and(|other| other != record) {
                return Ok(Some(why));
            }
            let Some(id) = self.read.raw_get(index.number, key)? else { continue };
            let holder = Root { table: record.table, key: id };
            let gives_up = self.rows.get(&holder).is_some_and(|other| {
                !other.new.index.iter().any(|(i, k, _)| i.number == index.number && k == key)
            });
            if holder != *record && !gives_up {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// Whether the record would refer to a missing one, or become its own ancestor.
    fn leads_nowhere(&self, record: &Root, planned: &Planned) -> Result<Option<Why>, StoreError> {
        for reference in planned.fresh() {
            let target = &reference.target;
            if !self.is_there(target)? {
                return Ok(Some(Why::MissingTarget { table: target.table }));
            }
            let above = reference.on_delete == OnDelete::Cascade && target.table == record.table;
            if above && self.is_below(target, record, reference.field)? {
                return Ok(Some(Why::Cycle));
            }
        }
        Ok(None)
    }

    /// Whether a record exists after the undo.
    fn is_there(&self, record: &Root) -> Result<bool, StoreError> {
        match self.rows.get(record) {
            Some(planned) => Ok(planned.row.to.is_some()),
            None => Ok(self.read.raw_get(record.table, &record.key)?.is_some()),
        }
    }

    /// Whether `start` is a descendant of `record` through the same field.
    fn is_below(&self, start: &Root, record: &Root, field: u8) -> Result<bool, StoreError> {
        let mut at = start.clone();
        for _ in 0..MAX_ABOVE {
            if at == *record {
                return Ok(true);
            }
            let refs = match self.rows.get(&at) {
                Some(planned) => planned.new.refs.clone(),
                None => {
                    let row = self.read.raw_get(at.table, &at.key)?;
                    derived(self.schema, at.table, row.as_deref())?.refs
                }
            };
            let same = |one: &Reference| one.field == field && one.target.table == record.table;
            match refs.into_iter().find(same) {
                Some(reference) => at = reference.target,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The rows deleted together with a record, or the record that prevents its deletion.
    fn taken_away(&self, record: &Root) -> Result<Result<Vec<Root>, Root>, StoreError> {
        let (mut taken, mut queue) = (Vec::new(), vec![record.clone()]);
        while let Some(target) = queue.pop() {
            for (source, field) in self.sources(&target)? {
                if taken.contains(&source) {
                    continue;
                }
                if let Some(planned) = self.rows.get(&source) {
                    let still = |one: &Reference| one.field == field && one.target == target;
                    if planned.new.refs.iter().any(still) {
                        return Ok(Err(source));
                    }
                    continue;
                }
                if !self.goes_along(&source) {
                    return Ok(Err(source));
                }
                taken.push(source.clone());
                queue.push(source);
            }
        }
        Ok(Ok(taken))
    }

    fn goes_along(&self, source: &Root) -> bool {
        match self.schema.class(source.table) {
            Some(Class::Remade | Class::Local | Class::Derived) => true,
            // The guard decides which of these may be deleted.
            Some(Class::Work | Class::Log | Class::Sealed) => self.made.contains(source),
            Some(Class::Tracked) | None => false,
        }
    }

    /// The rows that refer to a record, each with the referring field.
    fn sources(&self, target: &Root) -> Result<Vec<(Root, u8)>, StoreError> {
        let mut prefix = KeyBuf::of(&target.table);
        prefix.raw(&target.key);
        let start = prefix.bytes().len();
        let mut found = Vec::new();
        self.read.raw_scan(builtin::REFS, &Range::prefix(prefix), &mut |key, _| {
            if let Some((table, rest)) = split_key::<u16>(&key[start..])
                && let Some((field, key)) = split_key::<u8>(rest)
            {
                found.push((Root { table, key: key.to_vec() }, field));
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}
