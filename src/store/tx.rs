//! Inside a write: an in-memory write set laid over the open batch.
//!
//! A stack of layers; the top one is written. An error or a panic drops the caller's layers and the
//! batch never sees them. `attempt` is a layer of its own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use kernel::id::IdSource;
use kernel::{Actor, Cause, Event, Problem, ProblemKind, Timestamp, TypedId};

use super::ahead::Trails;
use super::blob::BlobId;
use super::blob::collect;
use super::blob::sweep::Condemned;
use super::codec;
use super::error::StoreError;
use super::layer::{Laid, Layer};
use super::read::{Read, Visit, read_sum};
use super::record::{Class, Record, Root};
use super::schema::{Derived, Schema, TableInfo, builtin, derive};
use crate::range::Range;
use kernel::key::KeyBuf;

/// How deep reactions may cause reactions.
const MAX_DEPTH: u8 = 8;
/// How many events one transaction may emit.
pub(super) const MAX_EVENTS: usize = 5_000;
/// How many records one transaction may change.
pub(super) const MAX_CHANGES: usize = 10_000;
/// The largest record in bytes.
pub(super) const MAX_RECORD: usize = 256 * 1024;

/// Why a reaction refused.
pub struct ReactionError {
    reaction: &'static str,
    message: String,
    code: &'static str,
    kind: ProblemKind,
}

impl ReactionError {
    /// Names the reaction and keeps what its error says.
    pub fn new(reaction: &'static str, error: &dyn Problem) -> Self {
        Self { reaction, message: error.to_string(), code: error.code(), kind: error.kind() }
    }
}

/// What `server` gives the store: one call for each event, inside the same transaction.
pub type Reactor = dyn Fn(&mut WriteTx<'_>, &Event) -> Result<(), ReactionError> + Send + Sync;

/// What a transaction runs with.
pub(super) struct Context<'b> {
    pub actor: Actor,
    pub cause: Cause,
    pub now: Timestamp,
    pub seq: u64,
    pub ids: &'b dyn IdSource,
    pub schema: &'b Schema,
    pub reactor: Option<&'b Reactor>,
    /// Blobs that are being swept away, if this store has any.
    pub condemned: Option<&'b Condemned>,
    /// What is laid while somebody makes a write ready.
    pub trails: &'b Trails,
    /// How long it may go on before others have their turn.
    pub turn: Duration,
    /// Whether it may grow beyond what one transaction may: it is only measured.
    pub unbounded: bool,
}

/// What a transaction leaves behind.
#[derive(Default)]
pub(super) struct WriteSet {
    pub rows: Layer,
    pub events: Vec<Event>,
    /// Whether somebody was told the number that its entry will have.
    pub numbered: bool,
    /// Whether rows beside the records are put right although no record changes.
    pub mends: bool,
}

/// A transaction.
pub struct WriteTx<'b> {
    base: &'b dyn Read,
    context: Context<'b>,
    pub(super) layers: Vec<Layer>,
    pub(super) events: Vec<Emitted>,
    pub(super) depth: u8,
    numbered: Cell<bool>,
    mends: bool,
}

pub(super) struct Emitted {
    event: Event,
    depth: u8,
    handled: bool,
}

/// A row that is about to be laid over the batch.
struct Fresh {
    key: Vec<u8>,
    value: Vec<u8>,
    root: Root,
    derived: Derived,
}

impl<'b> WriteTx<'b> {
    pub(super) fn new(base: &'b dyn Read, context: Context<'b>) -> Self {
        let layers = vec![Layer::default()];
        Self {
            base,
            context,
            layers,
            events: Vec::new(),
            depth: 0,
            numbered: Cell::new(false),
            mends: false,
        }
    }

    /// Runs the reactions that are due and gives what is to be written.
    pub(super) fn finish(mut self) -> Result<WriteSet, StoreError> {
        self.react(0)?;
        self.check_size()?;
        let rows = self.layers.swap_remove(0);
        let events = self.events.into_iter().map(|emitted| emitted.event).collect();
        Ok(WriteSet { rows, events, numbered: self.numbered.get(), mends: self.mends })
    }

    /// Who does this.
    #[must_use]
    pub fn by(&self) -> Actor {
        self.context.actor
    }

    /// Why.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.context.cause
    }

    /// The time of the batch. It goes back only when the clock was set back by more than an hour.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.context.now
    }

    /// The number that this transaction's entry will have.
    ///
    /// # Errors
    /// When nothing that the feed keeps was written yet.
    pub fn seq(&self) -> Result<u64, StoreError> {
        let in_feed = |table| self.context.schema.class(table).is_some_and(Class::in_feed);
        if self.events.is_empty() && self.layers.iter().all(|layer| layer.count(in_feed) == 0) {
            return Err(StoreError::NoSeq);
        }
        self.numbered.set(true);
        Ok(self.context.seq)
    }

    /// The number of the last entry before this transaction.
    pub(super) fn last_seq(&self) -> u64 {
        self.context.seq - 1
    }

    /// The number that rows of this transaction carry.
    pub(super) fn own_rev(&self) -> u64 {
        self.context.seq
    }

    pub(super) fn trails(&self) -> &'b Trails {
        self.context.trails
    }

    /// All tables.
    #[must_use]
    pub fn schema(&self) -> &'b Schema {
        self.context.schema
    }

    /// Gives this transaction an entry, whatever it changes: what happened must be on the record.
    pub(super) fn note(&mut self) {
        self.numbered.set(true);
    }

    /// Lays bytes beside the records that no change of theirs brings about.
    pub(super) fn set_beside(
        &mut self,
        table: u16,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.mends = true;
        self.set(table, key, value)
    }

    /// Whether a blob is being swept away, so that nothing may refer to it.
    pub(super) fn is_condemned(&self, blob: BlobId) -> bool {
        self.context.condemned.is_some_and(|list| list.has(blob))
    }

    /// A new id.
    #[must_use]
    pub fn new_id<T: TypedId>(&self) -> T {
        T::from_uuid(self.context.ids.next(self.context.now.as_millisecond()))
    }

    /// Tells others what happened; their reactions follow in this transaction.
    pub fn emit(&mut self, event: Event) {
        self.events.push(Emitted { event, depth: self.depth, handled: false });
    }

    /// Writes a record: new, or in place of the one with its id. The same bytes are no change.
    ///
    /// # Errors
    /// When a unique key is taken, a reference leads nowhere, the record is too large, a log row would
    /// change or it holds a blob that its kind does not name.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<(), StoreError> {
        let key = KeyBuf::of(&record.id()).into_bytes();
        // Of a mirror no class is in the feed.
        let in_feed = self.context.schema.class(R::TABLE.number).is_some_and(Class::in_feed);
        let rev = if in_feed { self.context.seq } else { 0 };
        let (value, told) = collect::listening(|| codec::encode_row(R::VERSION, rev, record));
        let value = value?;
        let before = self.raw_get(R::TABLE.number, &key)?;
        if before.as_deref().is_some_and(|old| !codec::differ(old, &value)) {
            return Ok(());
        }
        let derived = derive(record, &key);
        if let Some(blob) = told.into_iter().find(|blob| !derived.blobs.contains(blob)) {
            return Err(StoreError::BlobUnnamed { table: R::TABLE.name, blob });
        }
        self.put_row(R::TABLE.number, before, Fresh { root: record.root(), key, value, derived })
    }

    /// The part of `put` that needs no type.
    fn put_row(
        &mut self,
        table: u16,
        before: Option<Vec<u8>>,
        fresh: Fresh,
    ) -> Result<(), StoreError> {
        let info = self.info(table)?;
        let ops = info.ops()?;
        let size = fresh.value.len() - codec::HEADER;
        if size > MAX_RECORD {
            return Err(StoreError::TooLarge { table: info.name, size, limit: MAX_RECORD });
        }
        if before.is_some() && info.class() == Some(Class::Log) {
            return Err(StoreError::LogRow { table: info.name });
        }
        let old = before.map_or_else(|| Ok(Derived::default()), |old| (ops.derive)(&old))?;
        self.move_derived(table, &fresh.key, old, fresh.derived)?;
        let root = Some(fresh.root).filter(|root| !root.is(table, &fresh.key));
        self.lay(table, fresh.key, Laid { value: Some(fresh.value), root });
        Ok(())
    }

    /// Writes a record only if it still has this rev. Not for `Local` and `Derived` records, which
    /// have none: that is refused when the program is compiled.
    ///
    /// # Errors
    /// `Stale` when it has another, else as `put`.
    pub fn put_if<R: Record>(&mut self, record: &R, rev: u64) -> Result<(), StoreError> {
        const { assert!(R::CLASS.in_feed(), "a record that the feed does not keep has no rev") };
        let key = KeyBuf::of(&record.id());
        let now = self.raw_get(R::TABLE.number, key.bytes())?;
        let now = now.map(|row| codec::unwrap(&row).map(|(_, rev, _)| rev)).transpose()?;
        if now != Some(rev) {
            return Err(StoreError::Stale);
        }
        self.put(record)
    }

    /// Takes a row and all that the store keeps beside it away.
    pub(super) fn remove_row(
        &mut self,
        table: u16,
        key: Vec<u8>,
        row: &[u8],
        derived: Derived,
    ) -> Result<(), StoreError> {
        let root = (self.info(table)?.ops()?.root)(row).filter(|root| !root.is(table, &key));
        self.move_derived(table, &key, derived, Derived::default())?;
        self.lay(table, key, Laid { value: None, root });
        Ok(())
    }

    pub(super) fn info(&self, table: u16) -> Result<&'b TableInfo, StoreError> {
        self.context.schema.table(table).ok_or(StoreError::UnknownTable(table))
    }

    /// Moves index rows, references and sums from what they were to what they are. Either all of
    /// them or, with an error, none: a caller may go on after a refused `put`.
    fn move_derived(
        &mut self,
        table: u16,
        own: &[u8],
        old: Derived,
        new: Derived,
    ) -> Result<(), StoreError> {
        self.check_derived(table, own, &old, &new)?;
        self.retire_derived(table, own, &old, &new)?;
        self.enter_derived(table, own, old, new)
    }

    /// Takes away the index rows and references that a row has no more.
    pub(super) fn retire_derived(
        &mut self,
        table: u16,
        own: &[u8],
        old: &Derived,
        new: &Derived,
    ) -> Result<(), StoreError> {
        self.retire_blobs(table, own, &old.blobs, &new.blobs)?;
        for (index, key, _) in old.index.iter().filter(|row| !new.index.contains(row)) {
            self.set(index.number, key.clone(), None)?;
        }
        for gone in old.refs.iter().filter(|r| !new.refs.contains(r)) {
            self.set(builtin::REFS, gone.row_key(table, own), None)?;
        }
        Ok(())
    }

    /// Adds the index rows and references that are new, and moves the sums.
    pub(super) fn enter_derived(
        &mut self,
        table: u16,
        own: &[u8],
        old: Derived,
        new: Derived,
    ) -> Result<(), StoreError> {
        self.enter_blobs(table, own, &old.blobs, &new.blobs)?;
        for fresh in new.refs.iter().filter(|r| !old.refs.contains(r)) {
            self.set(builtin::REFS, fresh.row_key(table, own), Some(Vec::new()))?;
        }
        for (index, key, value) in new.index.into_iter().filter(|row| !old.index.contains(row)) {
            self.set(index.number, key, Some(value))?;
        }
        let mut sums: BTreeMap<(u16, Vec<u8>), i64> = BTreeMap::new();
        for (count, key, n) in new.counts {
            let sum = sums.entry((count.number, key)).or_default();
            *sum = sum.wrapping_add(n);
        }
        for (count, key, n) in old.counts {
            let sum = sums.entry((count.number, key)).or_default();
            *sum = sum.wrapping_sub(n);
        }
        for ((table, key), n) in sums.into_iter().filter(|(_, n)| *n != 0) {
            // Wrapping: the sum of all rows is then the same in whatever order they came.
            let sum = self.raw_get(table, &key)?.map_or(0, |v| read_sum(&v)).wrapping_add(n);
            self.set(table, key, (sum != 0).then(|| sum.to_be_bytes().to_vec()))?;
        }
        Ok(())
    }

    /// Whether unique keys are free, targets are there, and all tables are known.
    fn check_derived(
        &self,
        table: u16,
        own: &[u8],
        old: &Derived,
        new: &Derived,
    ) -> Result<(), StoreError> {
        for (index, key, value) in new.index.iter().filter(|row| !old.index.contains(row)) {
            self.info(index.number)?;
            if index.unique && self.raw_get(index.number, key)?.is_some_and(|v| v != *value) {
                return Err(StoreError::Taken { index: index.name });
            }
        }
        for fresh in new.refs.iter().filter(|r| !old.refs.contains(r)) {
            let Root { table: target, key } = &fresh.target;
            if !fresh.target.is(table, own) && self.raw_get(*target, key)?.is_none() {
                return Err(StoreError::MissingTarget { table: self.info(*target)?.name });
            }
        }
        for (count, ..) in &new.counts {
            self.info(count.number)?;
        }
        match new.blobs.iter().find(|b| !old.blobs.contains(b) && self.is_condemned(**b)) {
            Some(gone) => Err(StoreError::BlobGone(*gone)),
            None => Ok(()),
        }
    }

    /// Lays bytes over a row that is not a record's.
    pub(super) fn set(
        &mut self,
        table: u16,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.info(table)?;
        self.lay(table, key, Laid { value, root: None });
        Ok(())
    }

    pub(super) fn lay(&mut self, table: u16, key: Vec<u8>, laid: Laid) {
        let top = self.layers.len() - 1;
        self.layers[top].insert(table, key, laid);
    }

    /// Handles events from position `from` on, first in, first out.
    pub(super) fn react(&mut self, from: usize) -> Result<(), StoreError> {
        let Some(reactor) = self.context.reactor else { return Ok(()) };
        let mut at = from;
        while at < self.events.len() {
            self.check_events()?;
            let Emitted { event, depth, handled } = &mut self.events[at];
            at += 1;
            // Those of an `attempt` were handled before it merged.
            if std::mem::replace(handled, true) {
                continue;
            }
            let (event, depth) = (event.clone(), *depth);
            if depth >= MAX_DEPTH {
                return Err(StoreError::TooDeep(MAX_DEPTH));
            }
            self.depth = depth + 1;
            reactor(self, &event).map_err(|e| StoreError::Reaction {
                reaction: e.reaction,
                message: e.message,
                code: e.code,
                kind: e.kind,
            })?;
            self.check_size()?;
        }
        self.depth = 0;
        Ok(())
    }

    fn check_events(&self) -> Result<(), StoreError> {
        let count = self.events.len();
        if count > MAX_EVENTS && !self.context.unbounded {
            return Err(StoreError::TooMany { count, limit: MAX_EVENTS });
        }
        Ok(())
    }

    pub(super) fn check_size(&self) -> Result<(), StoreError> {
        self.check_events()?;
        let count = self.changes();
        if count > MAX_CHANGES && !self.context.unbounded {
            return Err(StoreError::TooMany { count, limit: MAX_CHANGES });
        }
        Ok(())
    }

    /// How long this transaction may go on before others have their turn.
    pub(super) fn turn(&self) -> Duration {
        self.context.turn
    }

    /// How many records this transaction has touched so far.
    pub(super) fn changes(&self) -> usize {
        let is_record = |table| self.context.schema.class(table).is_some();
        self.layers.iter().map(|layer| layer.count(is_record)).sum()
    }
}

impl Read for WriteTx<'_> {
    fn raw_get(&self, table: u16, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        for layer in self.layers.iter().rev() {
            if let Some(laid) = layer.get(table, key) {
                return Ok(laid.value.clone());
            }
        }
        self.base.raw_get(table, key)
    }

    fn raw_scan(&self, table: u16, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let over = self.overlay(table, range);
        if over.is_empty() {
            return self.base.raw_scan(table, range, visit);
        }
        let before = |a: &[u8], b: &[u8]| if range.reverse { a > b } else { a < b };
        let mut at = 0;
        let mut stopped = false;
        self.base.raw_scan(table, range, &mut |key, value| {
            while at < over.len() && before(over[at].0, key) {
                let (k, v) = over[at];
                at += 1;
                if let Some(v) = v
                    && visit(k, v).is_break()
                {
                    stopped = true;
                    return ControlFlow::Break(());
                }
            }
            let flow = if at < over.len() && over[at].0 == key {
                let (k, v) = over[at];
                at += 1;
                v.map_or(ControlFlow::Continue(()), |v| visit(k, v))
            } else {
                visit(key, value)
            };
            stopped |= flow.is_break();
            flow
        })?;
        if !stopped {
            for (key, value) in &over[at..] {
                if let Some(value) = value
                    && visit(key, value).is_break()
                {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl WriteTx<'_> {
    /// What the layers say about a stretch of a table, the top one winning, in the range's order.
    fn overlay(&self, table: u16, range: &Range) -> Vec<(&[u8], Option<&[u8]>)> {
        let mut over = BTreeMap::new();
        for layer in &self.layers {
            over.extend(layer.range(table, range).map(|(key, laid)| (key, laid.value.as_deref())));
        }
        let mut over: Vec<_> = over.into_iter().collect();
        if range.reverse {
            over.reverse();
        }
        over
    }
}
