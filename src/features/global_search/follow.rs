//! Keeps the search index of a workspace in step with its feed. The cursor is committed inside the index, so that
//! both stay consistent: work lost in a crash is repeated, and an index without a cursor, from another incarnation of
//! the store or with another layout is rebuilt from the records.
//!
//! An unreadable record does not stop the index: its entry becomes a dead letter, as with other consumers. Only one
//! workspace is indexed at a time, so that there is one writer with its 15 MB.

mod own_files;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::runs::model::{SESSIONS, Session};
use app::Ws;
use kernel::key::KeyBuf;
use kernel::key::decode;
use kernel::{Actor, Cause, Event, Part, SessionId};
use search::{Change, Document, Search, SearchError};
use store::consumer::{self, Told};
use store::{Cursor, Entry, Op, Range, Read, ReadExt, StoreError, codec};

use super::model::{Found, Kind};
use super::queries::contents::Contents;
use super::queries::document::{self, Reader};
use super::queries::first_keys;
use super::queries::standing::NUMBER;

/// Actor and cause of the indexer's writes.
const BY: (Actor, Cause) = (Actor::System(Part::Consumer), Cause::Consumer(NUMBER));
/// Number of feed entries per batch.
const STEP: usize = 500;
/// Number of records per batch of a rebuild.
const PIECE: usize = 1_000;
/// Nice value of the rebuild thread.
const POLITE: i32 = 10;
/// Bytes of text after which the index commits.
const MOST_AT_ONCE: usize = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Search(#[from] SearchError),
    /// HQ is stopping, or the workspace is being closed.
    #[error("the work was put to rest")]
    Stopped,
}

/// Indexes everything up to now. Waits for its turn.
///
/// # Errors
/// If the store or the index fails. Committed work stays.
pub async fn catch_up(ws: &Ws, halt: CancellationToken) -> Result<(), FollowError> {
    let is_current = ws.finding.seen() == Some(ws.store.head()) && ws.finding.index.is_begun();
    if is_current && !ws.finding.is_told() {
        return Ok(());
    }
    let mut turn = ws.app.indexing.lock().await;
    let mine = ws.finding.index.clone();
    let other = turn.replace(mine.clone()).filter(|other| !other.is(&mine));
    let done = ws.read_blocking(move |ws| {
        if let Some(other) = other {
            other.rest();
        }
        follow(ws, &halt)
    });
    let done = done.await;
    if let Err(error) = &done {
        // Uncommitted work is lost with the writer.
        ws.finding.forget();
        ws.finding.build(None);
        if !matches!(error, FollowError::Stopped) {
            ws.finding.note(Some(error.to_string()));
        }
    } else {
        ws.finding.note(None);
    }
    done
}

/// Closes the writer, and also the reader after `quiet` without searches. Waits for its turn.
pub async fn rest(ws: &Ws, quiet: Duration) {
    let turn = ws.app.indexing.lock().await;
    let closes = ws.finding.quiet().is_none_or(|ago| quiet <= ago);
    let rested = ws.read_blocking(move |ws| {
        ws.finding.index.rest();
        if closes {
            ws.finding.index.close();
        }
        Ok::<_, StoreError>(())
    });
    if let Err(error) = rested.await {
        tracing::debug!(%error, "a search index was not put to rest");
    }
    drop(turn);
}

/// Returns `true` if there are records with long texts, such as knowledge pages. Their index is built before the first
/// search.
pub fn has_texts(ws: &Ws) -> Result<bool, StoreError> {
    let texts = Kind::all().filter_map(Kind::card).filter(|(_, finds)| finds.parts.is_some());
    let mut tables = texts.map(|(noun, _)| noun.table);
    ws.read(|snap| {
        tables.try_fold(false, |has, table| Ok(has || !first_keys(snap, table, 1)?.is_empty()))
    })
}

fn follow(ws: &Ws, halt: &CancellationToken) -> Result<(), FollowError> {
    if ws.finding.is_told() {
        obey(ws, halt)?;
    }
    loop {
        if halt.is_cancelled() {
            return Err(FollowError::Stopped);
        }
        match step(ws, halt) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(FollowError::Search(SearchError::Damaged(why))) => {
                tracing::warn!("the search index of {} is damaged and made anew: {why}", ws.slug);
                rebuild(ws, halt)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Indexes one batch. Returns whether there was any.
fn step(ws: &Ws, halt: &CancellationToken) -> Result<bool, FollowError> {
    let Some(from) = place(ws)? else {
        rebuild(ws, halt)?;
        return Ok(true);
    };
    let entries = ws.store.entries_after(from.seq, STEP)?;
    let Some(last) = entries.last() else { return Ok(false) };
    let to = Cursor { seq: last.seq, ..from };
    let index = &ws.finding.index;
    let mut lost = Lost::new();
    let has_changed = ws.read(|snap| {
        let mut stale = BTreeMap::new();
        for entry in &entries {
            let found = or_lost(concerned(snap, entry), entry.seq, &mut lost)?.unwrap_or_default();
            stale.extend(found.into_iter().map(|found| (found, entry.seq)));
        }
        stale.extend(of_other_audiences(snap, index, &entries, &mut lost)?);
        stale.extend(own_files::changed(ws, snap, &entries)?);
        take(ws, snap, &stale, &mut lost)
    })?;
    give_up(ws, lost)?;
    let purges = entries.iter().any(|entry| takes_text_away(entry));
    if has_changed {
        index.commit(&to.to_string())?;
    }
    if purges {
        index.purge()?;
    }
    ws.finding.saw(to);
    Ok(true)
}

/// Rebuilds a damaged index, and performs requested operations.
fn obey(ws: &Ws, halt: &CancellationToken) -> Result<(), FollowError> {
    // Later requests are handled the next time.
    ws.finding.listen();
    let damaged = ws.finding.take_anew();
    let done = carry_out(ws, halt, damaged);
    match (&done, damaged) {
        (Ok(()), _) => {}
        (Err(_), true) => ws.finding.begin_anew(),
        (Err(_), false) => ws.finding.tell(),
    }
    done
}

fn carry_out(ws: &Ws, halt: &CancellationToken, damaged: bool) -> Result<(), FollowError> {
    let order = ws.read(|snap| consumer::order_for(snap, NUMBER))?;
    match order {
        Some(Told::Back { incarnation, seq }) if !damaged => {
            go_back(ws, Cursor { incarnation, seq })?;
        }
        None if !damaged => {}
        _ => rebuild(ws, halt)?,
    }
    let Some(order) = order else { return Ok(()) };
    let (by, cause) = BY;
    Ok(ws.store.write_blocking(by, cause, move |tx| consumer::obeyed(tx, NUMBER, order))?)
}

/// Rewinds to an earlier position, from which entries are indexed again, including dead letters. No effect if the index
/// is being rebuilt or has not reached the position.
fn go_back(ws: &Ws, to: Cursor) -> Result<(), FollowError> {
    if place(ws)?.is_some_and(|now| now.incarnation == to.incarnation && to.seq <= now.seq) {
        forget_letters(ws, to.seq)?;
        ws.finding.index.commit(&to.to_string())?;
        ws.finding.saw(to);
    }
    Ok(())
}

/// Position of the index. `None` if it must be rebuilt.
fn place(ws: &Ws) -> Result<Option<Cursor>, FollowError> {
    if let Some(seen) = ws.finding.seen() {
        return Ok((seen.incarnation == ws.store.incarnation()).then_some(seen));
    }
    let place = ws.finding.index.place()?.and_then(|text| text.parse::<Cursor>().ok());
    match place {
        Some(place) if ws.store.knows(place)? => {
            ws.finding.saw(place);
            Ok(Some(place))
        }
        _ => Ok(None),
    }
}

/// Records whose documents an entry may have changed.
pub(super) fn concerned(read: &dyn Read, entry: &Entry) -> Result<Vec<Found>, StoreError> {
    let mut found = Vec::new();
    for change in &entry.changes {
        let kind = Kind::of_table(change.table);
        found.extend(kind.map(|kind| Found { kind, key: change.key.clone() }));
        found.extend(document::beside(read, change.table, &change.key)?);
    }
    found.extend(document::labelled(read, entry)?);
    Ok(found)
}

/// Entries that cannot be indexed, with the error.
type Lost = BTreeMap<u64, String>;

/// Result of a read for an entry. A permanent decoding error is added to the lost entries.
fn or_lost<T>(
    read: Result<T, StoreError>,
    seq: u64,
    lost: &mut Lost,
) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Decode(error)) => {
            lost.insert(seq, error.to_string());
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Moves entries to the dead letters.
fn give_up(ws: &Ws, lost: Lost) -> Result<(), StoreError> {
    if lost.is_empty() {
        return Ok(());
    }
    for (seq, error) in &lost {
        tracing::warn!(seq, error, "something of {} cannot be found by search", ws.slug);
    }
    let (by, cause) = BY;
    ws.store.write_blocking(by, cause, move |tx| {
        lost.into_iter().try_for_each(|(seq, error)| consumer::give_up(tx, NUMBER, seq, error))
    })
}

/// Deletes dead letters after an entry, because these entries are indexed again.
fn forget_letters(ws: &Ws, after: u64) -> Result<(), StoreError> {
    let letters = ws.read(|snap| consumer::dead_letters(snap, NUMBER))?;
    let stale: Vec<u64> = letters.iter().map(|(seq, _)| *seq).filter(|seq| after < *seq).collect();
    if stale.is_empty() {
        return Ok(());
    }
    let (by, cause) = BY;
    ws.store.write_blocking(by, cause, move |tx| {
        for seq in stale {
            consumer::drop_letter(tx, NUMBER, seq)?;
        }
        Ok(())
    })
}

/// All messages of conversations whose audience changed, with the entry that changed it.
fn of_other_audiences(
    read: &dyn Read,
    index: &Search,
    entries: &[std::sync::Arc<Entry>],
    lost: &mut Lost,
) -> Result<Vec<(Found, u64)>, FollowError> {
    let changed = entries.iter().flat_map(|one| one.changes.iter().map(|change| (change, one.seq)));
    let sessions: BTreeMap<SessionId, u64> = changed
        .filter(|(change, _)| change.table == SESSIONS.number && change.op == Op::Update)
        .filter_map(|(change, seq)| Some((decode::<SessionId>(&change.key)?, seq)))
        .collect();
    let mut found = Vec::new();
    for (id, seq) in sessions {
        let session = or_lost(read.get::<Session>(id), seq, lost)?.flatten();
        let Some(session) = session else { continue };
        let Some(audience) = document::audience(&session) else { continue };
        if index.has_strays(&id.to_string(), &audience)? {
            let key = |n: u32| KeyBuf::of(&(id, n)).into_bytes();
            let all = 0..session.events;
            found.extend(all.map(|n| (Found { kind: Kind::Message, key: key(n) }, seq)));
        }
    }
    Ok(found)
}

/// Indexes the current state of records, up to a text limit at a time. Returns whether there was anything.
fn take(
    ws: &Ws,
    read: &dyn Read,
    stale: &BTreeMap<Found, u64>,
    lost: &mut Lost,
) -> Result<bool, FollowError> {
    let mut reader = Reader::new(read).with(Contents::all(ws)).cutting();
    let (mut changes, mut weight, mut any) = (Vec::new(), 0, false);
    for (found, seq) in stale {
        if MOST_AT_ONCE <= weight {
            ws.finding.index.take(std::mem::take(&mut changes))?;
            (weight, any) = (0, true);
        }
        match readable(&mut reader, found)? {
            Ok(Some(document)) => {
                weight += document.weight();
                changes.push(Change::Put(Box::new(document)));
            }
            // Most conversation events have no text. Only a deleted message must be removed.
            Ok(None) if found.kind == Kind::Message && is_there(read, found)? => {}
            Ok(None) => changes.push(Change::Gone(found.name())),
            Err(why) => {
                lost.insert(*seq, why);
                changes.push(Change::Gone(found.name()));
            }
        }
    }
    if changes.is_empty() {
        return Ok(any);
    }
    ws.finding.index.take(changes)?;
    Ok(true)
}

/// Document of a record, or the permanent read error.
fn readable(
    reader: &mut Reader<'_>,
    found: &Found,
) -> Result<Result<Option<Document>, String>, StoreError> {
    let kind = found.kind.word();
    match catch_unwind(AssertUnwindSafe(|| reader.document(found))) {
        Ok(Ok(document)) => Ok(Ok(document)),
        Ok(Err(StoreError::Decode(error))) => Ok(Err(format!("a {kind} cannot be read: {error}"))),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(Err(format!("reading a {kind} went wrong"))),
    }
}

fn is_there(read: &dyn Read, found: &Found) -> Result<bool, StoreError> {
    match found.kind.table() {
        Some(table) => Ok(read.raw_get(table, &found.key)?.is_some()),
        None => Ok(false),
    }
}

/// Returns `true` if text was deleted permanently, so that it must not remain in old index files.
fn takes_text_away(entry: &Entry) -> bool {
    let redacts = entry.events.iter().any(|event| matches!(event, Event::RecordRedacted { .. }));
    let kinds = [Kind::Message, Kind::Person].map(Kind::table);
    redacts
        || entry
            .changes
            .iter()
            .any(|change| change.op == Op::Delete && kinds.contains(&Some(change.table)))
}

/// Rebuilds the index from the current records; later changes are then followed. This is expensive, so it runs on a
/// thread with low priority, which its writer's threads inherit. The writer is closed afterwards.
fn rebuild(ws: &Ws, halt: &CancellationToken) -> Result<(), FollowError> {
    let politely = || -> Result<(), FollowError> {
        rustix::process::nice(POLITE).ok(); // ok: best effort
        remake(ws, halt)?;
        ws.finding.index.rest();
        Ok(())
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("search index".to_owned());
        let made = thread.spawn_scoped(scope, politely).map_err(SearchError::from)?;
        match made.join() {
            Ok(made) => made,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn remake(ws: &Ws, halt: &CancellationToken) -> Result<(), FollowError> {
    let finding = &ws.finding;
    finding.forget();
    finding.build(Some(0));
    finding.index.begin_anew()?;
    forget_letters(ws, 0)?;
    let head = ws.store.head();
    let mut records = 0;
    for kind in Kind::all() {
        let Some(table) = kind.table() else { continue };
        let mut after = Some(Vec::new());
        while let Some(from) = after {
            if halt.is_cancelled() {
                return Err(FollowError::Stopped);
            }
            let mut lost = Lost::new();
            let (documents, last) =
                ws.read(|snap| piece(ws, snap, (kind, table), &from, &mut lost))?;
            give_up(ws, lost)?;
            records += documents.len() as u64;
            finding.index.add(&documents)?;
            finding.build(Some(records));
            after = last;
        }
    }
    own_files::all(ws, halt, &mut records)?;
    finding.index.commit(&head.to_string())?;
    finding.build(None);
    finding.saw(head);
    Ok(())
}

type Piece = (Vec<Document>, Option<Vec<u8>>);

/// Documents of a batch of rows, and the last key if there are more.
fn piece(
    ws: &Ws,
    read: &dyn Read,
    (kind, table): (Kind, u16),
    after: &[u8],
    lost: &mut Lost,
) -> Result<Piece, StoreError> {
    let range = match after.is_empty() {
        true => Range::all(),
        false => Range::all().after(after),
    };
    let mut keys: Vec<(Vec<u8>, u64)> = Vec::new();
    read.raw_scan(table, &range, &mut |key, row| {
        let rev = codec::unwrap(row).map_or(0, |(_, rev, _)| rev);
        keys.push((key.to_vec(), rev));
        match keys.len() < PIECE {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    let last = keys.last().filter(|_| keys.len() == PIECE).map(|(key, _)| key.clone());
    let mut reader = Reader::new(read).with(Contents::all(ws)).cutting();
    let (mut documents, mut weight) = (Vec::new(), 0);
    for (key, rev) in keys {
        let found = Found { kind, key };
        match readable(&mut reader, &found)? {
            Ok(Some(document)) => {
                weight += document.weight();
                documents.push(document);
            }
            Ok(None) => {}
            Err(why) => {
                lost.insert(rev.max(1), why);
            }
        }
        if MOST_AT_ONCE <= weight {
            return Ok((documents, Some(found.key)));
        }
    }
    Ok((documents, last))
}
