//! Applies a finished transaction to the open batch and appends its feed entry.

use kernel::{Actor, Cause};

use super::audit;
use super::batch::Batch;
use super::blob::refs;
use super::codec::{self, DecodeError};
use super::error::StoreError;
use super::feed::{self, Change, End, Entry, Op};
use super::layer::{Laid, Layer};
use super::read::Read;
use super::record::Class;
use super::schema::{Kind, Schema, builtin};
use super::tx::WriteSet;
use kernel::key::KeyBuf;

/// Maximum growth in bytes of a write that frees space, or helps to, while the disk is nearly full: a note, an event.
const SMALL: i64 = 4 * 1024;

/// Input of a transaction.
pub(super) struct Ground<'s> {
    pub schema: &'s Schema,
    /// The end of the feed.
    pub end: End,
    /// Unix time of the batch in milliseconds.
    pub now: i64,
    pub actor: Actor,
    pub cause: Cause,
}

/// The result of applying a write set.
#[derive(Default)]
pub(super) struct Applied {
    pub changed: bool,
    pub entry: Option<Entry>,
}

/// A row that is not a record: table, key, new bytes.
type Beside<'w> = (u16, &'w [u8], Option<&'w [u8]>);

/// A record row that actually changes.
struct Touched<'w> {
    table: u16,
    key: &'w [u8],
    laid: &'w Laid,
    class: Class,
    before: Option<Vec<u8>>,
    op: Op,
}

/// Applies a write set to the batch and appends its feed entry. All checks that may fail for reasons other than the
/// disk run before the first row is written, because a partial write would be committed with its neighbours.
pub(super) fn apply(
    batch: &mut Batch<'_>,
    ground: &Ground<'_>,
    set: WriteSet,
) -> Result<Applied, StoreError> {
    let WriteSet { rows, events, numbered, mends } = set;
    let touched = touched(batch, ground.schema, &rows)?;
    let beside = beside(ground.schema, &rows, mends || !touched.is_empty())?;
    let mut entry = Entry {
        seq: ground.end.seq + 1,
        at: ground.now,
        actor: ground.actor,
        cause: ground.cause,
        changes: Vec::new(),
        events,
        roots: Vec::new(),
        previous: ground.end.hash,
        hash: [0; 32],
    };
    let (mut images, mut held): (Vec<(u16, &[u8])>, _) = (Vec::new(), Vec::new());
    for row in touched.iter().filter(|row| row.class.in_feed()) {
        let n = u16::try_from(entry.changes.len()).unwrap_or(u16::MAX);
        entry.changes.push(change(batch, row)?);
        entry.roots.extend(row.laid.root.clone());
        let image = row.before.as_deref().filter(|_| row.class == Class::Tracked);
        if let Some(image) = image {
            held.extend(refs::of_image(ground.schema, (entry.seq, n), row.table, image)?);
            images.push((n, image));
        }
    }
    let noted = !entry.changes.is_empty() || !entry.events.is_empty() || numbered;
    if !noted && touched.is_empty() && beside.is_empty() {
        return Ok(Applied::default());
    }
    entry.roots = feed::distinct(entry.roots);
    let head = if noted { feed::encode_head(&mut entry)? } else { Vec::new() };
    // Searches by time must know where time went back.
    let turns = noted && 0 < ground.end.seq && ground.now < ground.end.at;
    let turned = if turns { Some(codec::encode(&entry.seq)?) } else { None };

    for row in &touched {
        batch.set(row.table, row.key, row.laid.value.as_deref())?;
        mark(batch, row, entry.seq)?;
    }
    for (table, key, value) in beside {
        batch.set(table, key, value)?;
    }
    if !noted {
        return Ok(Applied { changed: true, entry: None });
    }
    batch.set(builtin::FEED, &feed::head_key(entry.seq, 0), Some(&head))?;
    for (n, image) in images {
        batch.set(builtin::FEED, &feed::head_key(entry.seq, n + 1), Some(image))?;
    }
    for key in held {
        batch.set(builtin::BLOB_REFS, &key, Some(&[]))?;
    }
    if let Some(row) = turned {
        batch.set(builtin::META, audit::TURNED, Some(&row))?;
    }
    Ok(Applied { changed: true, entry: Some(entry) })
}

fn kind(schema: &Schema, table: u16) -> Result<Kind, StoreError> {
    schema.table(table).map(|info| info.kind).ok_or(StoreError::UnknownTable(table))
}

/// The record rows that actually change.
fn touched<'w>(
    batch: &Batch<'_>,
    schema: &Schema,
    rows: &'w Layer,
) -> Result<Vec<Touched<'w>>, StoreError> {
    let mut touched = Vec::new();
    for (table, key, laid) in rows.rows() {
        let Kind::Record(class) = kind(schema, table)? else { continue };
        let before = batch.raw_get(table, key)?;
        let Some(op) = op(before.as_deref(), laid.value.as_deref()) else { continue };
        touched.push(Touched { table, key, laid, class, before, op });
    }
    Ok(touched)
}

/// The operation on a row; `None` if it does not change.
fn op(before: Option<&[u8]>, after: Option<&[u8]>) -> Option<Op> {
    match (before, after) {
        (None, None) => None,
        (None, Some(_)) => Some(Op::Insert),
        (Some(_), None) => Some(Op::Delete),
        (Some(b), Some(a)) => codec::differ(b, a).then_some(Op::Update),
    }
}

fn change(batch: &Batch<'_>, row: &Touched<'_>) -> Result<Change, StoreError> {
    let before_rev = match &row.before {
        Some(before) => codec::unwrap(before)?.1,
        None => match batch.raw_get(builtin::TOMBSTONES, &tombstone(row))? {
            Some(mark) => kernel::key::decode::<u64>(&mark).ok_or(DecodeError::Short)?,
            None => 0,
        },
    };
    let hash = match &row.laid.value {
        Some(value) => feed::row_hash(row.table, row.key, value),
        None => [0; 32],
    };
    Ok(Change { table: row.table, key: row.key.to_vec(), op: row.op, before_rev, hash })
}

fn tombstone(row: &Touched<'_>) -> Vec<u8> {
    let mut key = KeyBuf::of(&row.table);
    key.raw(row.key);
    key.into_bytes()
}

/// Writes the tombstone of a deleted record, which continues its history. A row that comes back needs none, because its
/// change names the deletion.
fn mark(batch: &mut Batch<'_>, row: &Touched<'_>, seq: u64) -> Result<(), StoreError> {
    if row.class != Class::Tracked {
        return Ok(());
    }
    match row.op {
        Op::Update => Ok(()),
        Op::Delete => batch.set(builtin::TOMBSTONES, &tombstone(row), Some(&seq.to_be_bytes())),
        Op::Insert => {
            let key = tombstone(row);
            if batch.raw_get(builtin::TOMBSTONES, &key)?.is_some() {
                batch.set(builtin::TOMBSTONES, &key, None)?;
            }
            Ok(())
        }
    }
}

/// The rows that are not records: derived rows and the store's own.
fn beside<'w>(
    schema: &Schema,
    rows: &'w Layer,
    touched: bool,
) -> Result<Vec<Beside<'w>>, StoreError> {
    let mut found = Vec::new();
    for (table, key, laid) in rows.rows() {
        let derived = match kind(schema, table)? {
            Kind::Record(_) => continue,
            Kind::Index | Kind::Count => true,
            Kind::Builtin => table == builtin::REFS || table == builtin::BLOB_REFS,
        };
        // Derived rows stay unchanged if no record changed.
        if !derived || touched {
            found.push((table, key, laid.value.as_deref()));
        }
    }
    Ok(found)
}

/// Whether a write is allowed while the disk is nearly full: it is retention, or it adds almost nothing and frees space
/// or helps to.
pub(super) fn frees(
    batch: &Batch<'_>,
    schema: &Schema,
    cause: Cause,
    set: &WriteSet,
) -> Result<bool, StoreError> {
    if cause == Cause::Retention {
        return Ok(true);
    }
    let length = |row: Option<&Vec<u8>>| row.map_or(0, |r| i64::try_from(r.len()).unwrap_or(0));
    let (mut deletes, mut helps, mut records, mut growth) = (false, true, false, 0);
    for (table, key, laid) in set.rows.rows() {
        let info = schema.table(table).ok_or(StoreError::UnknownTable(table))?;
        if let Some(ops) = &info.ops {
            let before = batch.raw_get(table, key)?;
            deletes |= before.is_some() && laid.value.is_none();
            helps &= ops.when_full;
            growth += length(laid.value.as_ref()) - length(before.as_ref());
            records = true;
        }
    }
    // Without records these are the store's own rows: a cursor that moves, a deleted response.
    Ok(!records || ((deletes || helps) && growth <= SMALL))
}
