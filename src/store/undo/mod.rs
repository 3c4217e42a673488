//! Undo: reverts what some entries did to tracked records and keeps later changes by others. The entries to undo are
//! *own*, all others *foreign*. [`plan`] only reads; [`WriteTx::undo`](crate::WriteTx::undo) applies a plan that is
//! unchanged in its transaction. More than 10,000 records are refused. [`Store::ahead`](crate::Store::ahead) plans
//! outside of the writer.
//!
//! A record without foreign changes is reverted as a whole. Else foreign changes are replayed on the state before the
//! first own entry: a field is reverted only if an own entry wrote it last. Records stay that own entries created and
//! others changed, and where a reference, unique key or hierarchy would break. `Work` rows are reported.

mod carry;
mod check;
mod guard;
mod merge;
pub mod moment;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use kernel::{Actor, Cause, Timestamp};

use super::codec::DecodeError;
use super::error::StoreError;
use super::feed::Op;
use super::history::{Head, Heads};
use super::read::Read;
use super::record::{Class, Root};
use super::schema::Schema;
use super::tx::MAX_CHANGES;

pub use guard::{After, Guard, Hold, Refusal, Unguarded};
use merge::Settled;

/// A request for an undo.
pub struct Ask<'a> {
    /// The entries to undo.
    pub entries: &'a BTreeSet<u64>,
    /// Limits the undo to this record.
    pub only: Option<&'a Root>,
    /// The permissions of the requester.
    pub guard: &'a dyn Guard,
}

/// Author and time of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The entry of the change.
    pub seq: u64,
    /// Time of the change.
    pub at: Timestamp,
    /// Author of the change.
    pub actor: Actor,
    /// Cause of the change.
    pub cause: Cause,
}

impl Touch {
    fn of(head: &Head) -> Self {
        let entry = &head.entry;
        let at = kernel::time::from_ms(entry.at);
        Self { seq: entry.seq, at, actor: entry.actor, cause: entry.cause }
    }
}

/// A field that an own entry wrote and that is not reverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptField {
    /// Its name in the record's JSON.
    pub name: String,
    /// Why the field is not reverted.
    pub why: FieldWhy,
}

/// Why a field is not reverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldWhy {
    /// Somebody has changed it since.
    Changed(Touch),
    /// The requester may not make this change directly.
    Refused(Refusal),
}

/// A record that is reverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The record.
    pub record: Root,
    /// Its current bytes; `None` if it does not exist.
    pub now: Option<Vec<u8>>,
    /// The bytes to write, without a rev; `None` if it is deleted.
    pub to: Option<Vec<u8>>,
    /// Fields that are not reverted.
    pub kept: Vec<KeptField>,
    /// `Work` rows that own entries created for the record and that are deleted with it.
    pub takes: Vec<Root>,
}

/// A record that is not reverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The record.
    pub record: Root,
    /// Why it is not reverted.
    pub why: Why,
    /// The fields that would have been reverted.
    pub fields: Vec<KeptField>,
}

/// Why a record is not reverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody has changed it since.
    Changed(Touch),
    /// Somebody has deleted it since.
    Deleted(Touch),
    /// The previous state is no longer stored.
    Gone,
    /// It has changed more often since than the limit on steps.
    TooOften,
    /// The record cannot be rebuilt exactly from its JSON fields.
    Unmergeable,
    /// Another record has the same unique key.
    Taken {
        /// Name of the index.
        index: &'static str,
    },
    /// It would refer to a missing record.
    MissingTarget {
        /// Table of the missing record.
        table: u16,
    },
    /// A record that stays refers to it.
    Referenced {
        /// The referring record.
        by: Root,
    },
    /// It would become its own ancestor.
    Cycle,
    /// The requester may not change such records this way.
    NotAllowed,
    /// The requester may not do this directly.
    Refused(Refusal),
}

/// Rows of one table that stay because of their class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stays {
    /// Number of the table.
    pub table: u16,
    /// The class of its rows.
    pub class: Class,
    /// How many rows the own entries touched.
    pub count: usize,
}

/// What an undo would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The basis to compare before applying.
    pub basis: Basis,
    /// Records to revert, ordered by record.
    pub rows: Vec<Row>,
    /// Records that stay although an own entry changed them.
    pub kept: Vec<Kept>,
    /// Rows that stay because of their class.
    pub stays: Vec<Stays>,
    /// `Work` rows that the own entries created, that still exist and may be deleted.
    pub made: Vec<Root>,
    /// Those that may not be deleted.
    pub held: Vec<(Root, Refusal)>,
}

/// Version of a plan: the end of the feed at planning, and a digest of all changes. Two plans with the same digest do
/// the same, whatever else happened between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The last entry when the plan was made.
    pub seq: u64,
    /// Digest of the changes.
    pub digest: [u8; 8],
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, hex::encode(self.digest))
    }
}

impl Basis {
    /// The basis of a plan combined with further actions.
    #[must_use]
    pub fn and(self, parts: &[Vec<u8>]) -> Self {
        let whole = [self.digest.to_vec()];
        Self { digest: short(whole.iter().chain(parts).map(Vec::as_slice)), ..self }
    }
}

impl FromStr for Basis {
    type Err = DecodeError;
    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let (seq, digest) = text.split_once('.').ok_or(DecodeError::Short)?;
        let mut basis = Self { seq: seq.parse().map_err(|_| DecodeError::Short)?, digest: [0; 8] };
        hex::decode_to_slice(digest, &mut basis.digest).map_err(|_| DecodeError::Short)?;
        Ok(basis)
    }
}

/// Computes what undoing these entries would do. Changes nothing.
///
/// # Errors
/// `TooMany` when more records would change than one transaction may.
pub fn plan(read: &dyn Read, schema: &Schema, ask: &Ask<'_>) -> Result<Plan, StoreError> {
    let heads = Heads::new(read);
    plan_with(read, schema, ask, (&heads, Reach::Undo))
}

fn plan_with(
    read: &dyn Read,
    schema: &Schema,
    ask: &Ask<'_>,
    (heads, reach): (&Heads<'_>, Reach<'_>),
) -> Result<Plan, StoreError> {
    let own = Own::collect(heads, schema, (ask, reach))?;
    let settle = match reach {
        Reach::Undo => merge::settle,
        Reach::Moment(_) => merge::before,
    };
    let ground = merge::Ground { read, schema, heads, own: ask.entries };
    let (mut rows, mut kept) = (BTreeMap::new(), Vec::new());
    for (record, first) in own.touched {
        if !ask.guard.table(record.table) {
            kept.push(Kept { record, why: Why::NotAllowed, fields: Vec::new() });
            continue;
        }
        match settle(&ground, &record, first)? {
            Settled::Same => {}
            Settled::Goes(row) => {
                rows.insert(record, row);
            }
            Settled::Stays(why, fields) => kept.push(Kept { record, why, fields }),
        }
    }
    if MAX_CHANGES < rows.len() {
        return Err(StoreError::TooMany { count: rows.len(), limit: MAX_CHANGES });
    }
    let (mut made, mut held) = (Vec::new(), Vec::new());
    for record in own.made {
        if read.raw_get(record.table, &record.key)?.is_none() {
            continue;
        }
        match ask.guard.work(read, &record)? {
            Some(refusal) => held.push((record, refusal)),
            None => made.push(record),
        }
    }
    let rows = check::shrink(read, schema, ask.guard, rows, &made, &mut kept)?;
    kept.sort_by(|a, b| a.record.cmp(&b.record));
    let seq = read.last_seq()?;
    let basis = Basis { seq, digest: digest(&rows) };
    Ok(Plan { basis, rows, kept, stays: own.stays, made, held })
}

/// Which rows are reverted.
#[derive(Clone, Copy)]
enum Reach<'a> {
    /// Tracked records only; open work is reported.
    Undo,
    /// Everything that the own and later entries created, when a whole store returns to a point in time. Has the rest
    /// of the later entries.
    Moment(&'a Rest),
}

/// What could not be reverted yet because of older entries.
#[derive(Clone, Debug, Default)]
struct Rest {
    /// Tracked records, with the entry before which they are to be restored.
    touched: BTreeMap<Root, u64>,
    /// Rows of other classes that are to be deleted.
    made: BTreeSet<Root>,
}

/// What the own entries touched.
struct Own {
    /// Tracked records, each with the first own entry that changed it.
    touched: BTreeMap<Root, u64>,
    stays: Vec<Stays>,
    made: Vec<Root>,
}

impl Own {
    fn collect(
        heads: &Heads<'_>,
        schema: &Schema,
        (ask, reach): (&Ask<'_>, Reach<'_>),
    ) -> Result<Self, StoreError> {
        let (mut touched, mut made) = (BTreeMap::new(), BTreeSet::new());
        let is_moment = matches!(reach, Reach::Moment(_));
        let mut others: BTreeMap<u16, (Class, BTreeSet<Vec<u8>>)> = BTreeMap::new();
        for seq in ask.entries {
            let Some(head) = heads.head(*seq)? else { continue };
            for change in &head.entry.changes {
                let record = Root { table: change.table, key: change.key.clone() };
                if ask.only.is_some_and(|only| *only != record) {
                    continue;
                }
                match schema.class(change.table) {
                    Some(Class::Tracked) => {
                        touched.entry(record).or_insert(*seq);
                    }
                    Some(Class::Remade) if !is_moment => {}
                    Some(class) => {
                        let goes = class == Class::Work || is_moment;
                        if goes && change.op == Op::Insert {
                            made.insert(record.clone());
                        }
                        let of_table = others.entry(change.table);
                        let (_, keys) = of_table.or_insert_with(|| (class, BTreeSet::new()));
                        keys.insert(record.key);
                    }
                    None => {}
                }
            }
        }
        if let Reach::Moment(rest) = reach {
            for (record, first) in &rest.touched {
                touched.entry(record.clone()).or_insert(*first);
            }
            made.extend(rest.made.iter().cloned());
        }
        let stays = others.into_iter().map(|(table, (class, keys))| Stays {
            table,
            class,
            count: keys.len(),
        });
        Ok(Self { touched, stays: stays.collect(), made: made.into_iter().collect() })
    }
}

/// The first 8 bytes of a SHA-256 over parts, each prefixed with its length.
fn short<'p>(parts: impl Iterator<Item = &'p [u8]>) -> [u8; 8] {
    let mut hash = Sha256::new();
    for bytes in parts {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let mut short = [0; 8];
    short.copy_from_slice(&hash[..8]);
    short
}

fn digest(rows: &[Row]) -> [u8; 8] {
    let tables: Vec<_> = rows.iter().map(|row| row.record.table.to_be_bytes()).collect();
    short(rows.iter().zip(&tables).flat_map(|(row, table)| {
        let to = row.to.as_deref().unwrap_or_default();
        let takes = row.takes.iter().map(|take| take.key.as_slice());
        [table.as_slice(), &row.record.key, to].into_iter().chain(takes)
    }))
}

#[cfg(test)]
mod tests {
    use super::Basis;

    #[test]
    fn a_basis_is_read_as_it_was_written() {
        let basis = Basis { seq: 42, digest: [1, 2, 3, 4, 5, 6, 7, 255] };
        assert_eq!(basis.to_string(), "42.01020304050607ff");
        assert_eq!(basis.to_string().parse::<Basis>().unwrap(), basis);
        for wrong in ["", "42", "42.01", ".0102030405060708", "x.0102030405060708"] {
            assert!(wrong.parse::<Basis>().is_err(), "{wrong}");
        }
    }
}
