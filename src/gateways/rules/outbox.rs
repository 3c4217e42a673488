//! What a host has written of its runs while its line was cut: kept with what it has written, in one transaction, and heard
//! by home in order.

use std::collections::{BTreeMap, BTreeSet};

use kernel::key::KeyBuf;
use kernel::{RunId, SessionId, Timestamp};
use store::{Range, Read, ReadExt, StoreError, WriteTx};

use crate::model::Unsaid;

/// So many bytes stand in one row.
const PIECE: usize = 180 * 1024;

/// Something that home is to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The number of its last row.
    pub number: u64,
    /// The run that it is about.
    pub run: RunId,
    /// What is to be said, as JSON.
    pub body: Vec<u8>,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// So many writes.
    pub writes: u64,
    /// Since the first of them.
    pub since: Option<Timestamp>,
}

/// Keeps something behind all that waits.
///
/// # Errors
/// When the store refuses.
pub fn keep(
    tx: &mut WriteTx<'_>,
    (run, session): (RunId, SessionId),
    body: &[u8],
) -> Result<(), StoreError> {
    let last: Vec<Unsaid> = tx.list(&Range::all().reverse().limit(1))?;
    let mut number = last.first().map_or(0, |last| last.number);
    let mut pieces = body.chunks(PIECE).peekable();
    while let Some(piece) = pieces.next() {
        number += 1;
        let (body, more) = (piece.to_vec(), pieces.peek().is_some());
        tx.put(&Unsaid { number, run, session, body, more, at: tx.now() })?;
    }
    Ok(())
}

/// What home is to hear next behind a row.
///
/// # Errors
/// When the disk fails.
pub fn next(read: &impl ReadExt, after: u64) -> Result<Option<Waiting>, StoreError> {
    let mut after = after;
    let mut body = Vec::new();
    loop {
        let range = Range::all().after(KeyBuf::of(&after).bytes()).limit(1);
        let mut rows: Vec<Unsaid> = read.list(&range)?;
        let Some(row) = rows.pop() else { return Ok(None) };
        body.extend_from_slice(&row.body);
        after = row.number;
        if !row.more {
            return Ok(Some(Waiting { number: row.number, run: row.run, body }));
        }
    }
}

/// A run of which something waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Its conversation.
    pub session: SessionId,
    /// The rows of what it wrote last.
    pub last: Vec<u64>,
}

/// Home has heard all up to a row; these rows stay all the same.
///
/// # Errors
/// When the store refuses.
pub fn heard(tx: &mut WriteTx<'_>, upto: u64, stay: &BTreeSet<u64>) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let range = Range::all().after(KeyBuf::of(&after).bytes()).limit(1);
        let rows: Vec<Unsaid> = tx.list(&range)?;
        let Some(row) = rows.first().filter(|row| row.number <= upto) else { return Ok(()) };
        after = row.number;
        if !stay.contains(&after) {
            tx.delete::<Unsaid>(after)?;
        }
    }
}

/// The runs of which something waits.
///
/// # Errors
/// When the disk fails.
pub fn runs(read: &impl ReadExt) -> Result<BTreeMap<RunId, Ahead>, StoreError> {
    let rows: Vec<Unsaid> = read.list(&Range::all())?;
    let mut found: BTreeMap<RunId, Ahead> = BTreeMap::new();
    let mut goes_on = false;
    for row in rows {
        let new = Ahead { session: row.session, last: Vec::new() };
        let ahead = found.entry(row.run).or_insert(new);
        if !goes_on {
            ahead.last.clear();
        }
        ahead.last.push(row.number);
        goes_on = row.more;
    }
    Ok(found)
}

/// How much waits.
///
/// # Errors
/// When the disk fails.
pub fn count(read: &impl ReadExt) -> Result<Count, StoreError> {
    let rows: Vec<Unsaid> = read.list(&Range::all())?;
    let writes = rows.iter().filter(|row| !row.more).count() as u64;
    Ok(Count { writes, since: rows.first().map(|row| row.at) })
}

/// Whether something waits of a run, or of the run of a conversation: a host goes on ahead of home with it.
///
/// # Errors
/// When the disk fails.
pub fn leads(read: &dyn Read, key: &[u8]) -> Result<bool, StoreError> {
    let is_it = |id: KeyBuf| id.bytes() == key;
    let all = runs(&read)?;
    Ok(all.iter().any(|(run, of)| is_it(KeyBuf::of(run)) || is_it(KeyBuf::of(&of.session))))
}
