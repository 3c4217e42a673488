//! Undo: what some entries did to tracked records goes back, and what others wrote since stays.
//!
//! [`plan`] reads only and says everything that would happen; [`WriteTx::undo`](crate::WriteTx::undo) carries a plan out that
//! is what it would be in that transaction. A preview is the plan alone, made on a snapshot, so that it
//! takes no time of the writer. The entries to undo are called *own* here, all others *foreign*.
//!
//! A record that no foreign entry touched goes back as a whole. Else all foreign changes are replayed,
//! in order, on what was there before the first own one: a field goes back only if an own entry wrote
//! it last, and to what the last foreign writer left. Records that own entries made and others changed
//! stay; so do rows that would leave a reference to nothing, take a unique key that another has, or
//! stand below themselves. `Log` and `Sealed` rows stay; `Work` rows are told to who undoes; what is
//! made anew goes with what it belongs to.
//!
//! One undo is one transaction: more than 10,000 records are refused with their number. What takes long
//! is the plan: [`Store::ahead`](crate::Store::ahead) makes it outside of the writer.

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

/// What is to be undone.
pub struct Ask<'a> {
    /// The entries.
    pub entries: &'a BTreeSet<u64>,
    /// Only what they did to this record.
    pub only: Option<&'a Root>,
    /// What who asks may do.
    pub guard: &'a dyn Guard,
}

/// Who changed something, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The entry.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub cause: Cause,
}

impl Touch {
    fn of(head: &Head) -> Self {
        let entry = &head.entry;
        let at = kernel::time::from_ms(entry.at);
        Self { seq: entry.seq, at, actor: entry.actor, cause: entry.cause }
    }
}

/// A field that an own entry wrote and that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptField {
    /// Its name in the record's JSON.
    pub name: String,
    /// Why.
    pub why: FieldWhy,
}

/// Why a field stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldWhy {
    /// Somebody has changed it since.
    Changed(Touch),
    /// Who asks could not change it so directly.
    Refused(Refusal),
}

/// A record that goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub record: Root,
    /// Its stored bytes now; none when it is not there.
    pub now: Option<Vec<u8>>,
    /// What it goes back to, without a rev; none when it is taken away.
    pub to: Option<Vec<u8>>,
    /// Its fields that stay.
    pub kept: Vec<KeptField>,
    /// `Work` rows that the own entries made for it and that go with it.
    pub takes: Vec<Root>,
}

/// A record that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub record: Root,
    /// Why.
    pub why: Why,
    /// The fields that would have gone back.
    pub fields: Vec<KeptField>,
}

/// Why a record stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody has changed it since.
    Changed(Touch),
    /// Somebody has deleted it since.
    Deleted(Touch),
    /// What was there before is not kept any more.
    Gone,
    /// It has changed more often since than is looked through.
    TooOften,
    /// Its values do not come back as they were from their fields.
    Unmergeable,
    /// Another record has a key that only one may have.
    Taken {
        /// The index.
        index: &'static str,
    },
    /// It would refer to something that is not there.
    MissingTarget {
        /// The table of what is missing.
        table: u16,
    },
    /// Something that stays refers to it.
    Referenced {
        /// The record that does.
        by: Root,
    },
    /// It would stand below itself.
    Cycle,
    /// Who asks may not change such records this way.
    NotAllowed,
    /// Who asks could not do this directly.
    Refused(Refusal),
}

/// Rows of one table that stay because what happened, happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stays {
    /// The table.
    pub table: u16,
    /// The class of its rows.
    pub class: Class,
    /// How many rows the own entries touched.
    pub count: usize,
}

/// What an undo would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it stands on.
    pub basis: Basis,
    /// What goes back, by record.
    pub rows: Vec<Row>,
    /// What stays although an own entry changed it.
    pub kept: Vec<Kept>,
    /// What stays by its nature.
    pub stays: Vec<Stays>,
    /// `Work` rows that the own entries made, that are still there and may go.
    pub made: Vec<Root>,
    /// Those that may not.
    pub held: Vec<(Root, Refusal)>,
}

/// What a plan was made from: where the feed ended, and a digest of everything that would change. Two
/// plans with the same digest do the same, whatever else has happened between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The last entry then.
    pub seq: u64,
    /// The digest.
    pub digest: [u8; 8],
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, hex::encode(self.digest))
    }
}

impl Basis {
    /// The basis of a plan together with what else is done with it.
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

/// What undoing these entries would do. Changes nothing.
///
/// # Errors
/// `TooMany` when more records would change than one transaction may; when the disk fails or bytes
/// cannot be read.
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

/// Whether what happened, happened.
#[derive(Clone, Copy)]
enum Reach<'a> {
    /// Rows that are no tracked ones stay; work that is still open is told.
    Undo,
    /// All that the own entries and those behind them made goes: a whole store goes back to a moment. With
    /// what is left of the entries behind them.
    Moment(&'a Rest),
}

/// What could not go back yet, because something older stood in the way.
#[derive(Clone, Debug, Default)]
struct Rest {
    /// Tracked records, with the entry before which they are to be.
    touched: BTreeMap<Root, u64>,
    /// Rows of other classes that are to go.
    made: BTreeSet<Root>,
}

/// What the own entries touched.
struct Own {
    /// Tracked records, with the first own entry that changed each.
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

/// The beginning of a hash over parts, each with its length.
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
