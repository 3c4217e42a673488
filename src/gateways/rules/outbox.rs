//! Outbox of a host: run data for the primary that could not be sent. Rows are written in the transaction of the data
//! itself, and sent in order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use kernel::key::{self, KeyBuf};
use kernel::{RunId, SessionId, Timestamp};
use store::{Range, Read, ReadExt, StoreError, WriteTx};

use crate::model::{Head, OUTBOX, Unsaid};

/// Bytes per row.
const PIECE: usize = 180 * 1024;

/// A message to the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Number of the message's last row.
    pub number: u64,
    pub run: RunId,
    /// JSON.
    pub body: Vec<u8>,
}

/// Size of the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Number of messages.
    pub writes: u64,
    /// Time of the first message.
    pub since: Option<Timestamp>,
}

/// Appends a message.
pub fn keep(
    tx: &mut WriteTx<'_>,
    (run, session): (RunId, SessionId),
    body: &[u8],
) -> Result<(), StoreError> {
    let mut number = last(tx)?;
    let mut pieces = body.chunks(PIECE).peekable();
    while let Some(piece) = pieces.next() {
        number += 1;
        let (body, more) = (piece.to_vec(), pieces.peek().is_some());
        tx.put(&Unsaid { number, run, session, body, more, at: tx.now() })?;
    }
    Ok(())
}

/// Number of the last row; 0 if the outbox is empty.
fn last(read: &dyn Read) -> Result<u64, StoreError> {
    let mut found = None;
    read.raw_scan(OUTBOX.number, &Range::all().reverse(), &mut |key, _| {
        found = key::decode(key);
        ControlFlow::Break(())
    })?;
    Ok(found.unwrap_or(0))
}

/// Numbers of the rows up to `upto`.
fn numbers(read: &dyn Read, upto: u64) -> Result<Vec<u64>, StoreError> {
    let mut found = Vec::new();
    read.raw_scan(OUTBOX.number, &Range::all(), &mut |key, _| match key::decode::<u64>(key)
        .filter(|number| *number <= upto)
    {
        Some(number) => {
            found.push(number);
            ControlFlow::Continue(())
        }
        None => ControlFlow::Break(()),
    })?;
    Ok(found)
}

/// Visits all rows in order, without their bodies.
fn visit(read: &dyn Read, mut visit: impl FnMut(&Head<'_>)) -> Result<(), StoreError> {
    let mut bad = None;
    read.raw_scan(OUTBOX.number, &Range::all(), &mut |_, row| match Head::read(row) {
        Ok(head) => {
            visit(&head);
            ControlFlow::Continue(())
        }
        Err(error) => {
            bad = Some(error);
            ControlFlow::Break(())
        }
    })?;
    bad.map_or(Ok(()), |error| Err(error.into()))
}

/// The next message after a row.
pub fn next(read: &dyn Read, after: u64) -> Result<Option<Waiting>, StoreError> {
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

/// A run with unsent data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    pub session: SessionId,
    /// Rows of its last message.
    pub last: Vec<u64>,
}

/// Deletes the rows up to `upto`, which the primary has confirmed, except those in `stay`.
pub fn heard(tx: &mut WriteTx<'_>, upto: u64, stay: &BTreeSet<u64>) -> Result<(), StoreError> {
    for number in numbers(tx, upto)?.into_iter().filter(|number| !stay.contains(number)) {
        tx.delete::<Unsaid>(number)?;
    }
    Ok(())
}

/// The runs with unsent data.
pub fn runs(read: &dyn Read) -> Result<BTreeMap<RunId, Ahead>, StoreError> {
    let mut found: BTreeMap<RunId, Ahead> = BTreeMap::new();
    let mut goes_on = false;
    visit(read, |row| {
        let new = Ahead { session: row.session, last: Vec::new() };
        let ahead = found.entry(row.run).or_insert(new);
        if !goes_on {
            ahead.last.clear();
        }
        ahead.last.push(row.number);
        goes_on = row.more;
    })?;
    Ok(found)
}

/// Size of the outbox.
pub fn count(read: &dyn Read) -> Result<Count, StoreError> {
    let mut count = Count::default();
    visit(read, |row| {
        count.writes += u64::from(!row.more);
        count.since.get_or_insert(row.at);
    })?;
    Ok(count)
}

/// Whether a run or a conversation (by its key bytes) has unsent data, so that this host is ahead of the primary.
pub fn leads(read: &dyn Read, key: &[u8]) -> Result<bool, StoreError> {
    let is_it = |id: KeyBuf| id.bytes() == key;
    let all = runs(&read)?;
    Ok(all.iter().any(|(run, of)| is_it(KeyBuf::of(run)) || is_it(KeyBuf::of(&of.session))))
}
