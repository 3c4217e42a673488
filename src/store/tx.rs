//! A write transaction: an in-memory write set on top of the open batch.
//!
//! The write set is a stack of layers; writes go to the top one. An error or a panic drops the caller's layers, and the
//! batch never sees them. Each `attempt` has its own layer.

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

/// Maximum depth of reactions caused by reactions.
const MAX_DEPTH: u8 = 8;
/// Maximum number of events per transaction.
pub(super) const MAX_EVENTS: usize = 5_000;
/// Maximum number of changed records per transaction.
pub(super) const MAX_CHANGES: usize = 10_000;
/// Maximum size of a record in bytes.
pub(super) const MAX_RECORD: usize = 256 * 1024;

/// The error of a reaction.
pub struct ReactionError {
    reaction: &'static str,
    message: String,
    code: &'static str,
    kind: ProblemKind,
}

impl ReactionError {
    /// Keeps message, code and kind of `error` with the name of the reaction.
    pub fn new(reaction: &'static str, error: &dyn Problem) -> Self {
        Self { reaction, message: error.to_string(), code: error.code(), kind: error.kind() }
    }
}

/// Supplied by `server`; called once per event, inside the same transaction.
pub type Reactor = dyn Fn(&mut WriteTx<'_>, &Event) -> Result<(), ReactionError> + Send + Sync;

/// Parameters of a transaction.
pub(super) struct Context<'b> {
    pub actor: Actor,
    pub cause: Cause,
    pub now: Timestamp,
    pub seq: u64,
    pub ids: &'b dyn IdSource,
    pub schema: &'b Schema,
    pub reactor: Option<&'b Reactor>,
    /// Blobs under deletion, if a sweep has begun.
    pub condemned: Option<&'b Condemned>,
    /// Recorded writes for plans that are being prepared.
    pub trails: &'b Trails,
    /// How long the transaction may run before it yields.
    pub turn: Duration,
    /// Skips the size limits of a transaction; for measuring only.
    pub unbounded: bool,
}

/// The result of a transaction.
#[derive(Default)]
pub(super) struct WriteSet {
    pub rows: Layer,
    pub events: Vec<Event>,
    /// Whether [`WriteTx::seq`] was called, so that the entry must be written.
    pub numbered: bool,
    /// Whether derived rows are repaired although no record changes.
    pub mends: bool,
}

/// An open write transaction.
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

/// A record row to be written.
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

    /// Runs pending reactions and returns the write set.
    pub(super) fn finish(mut self) -> Result<WriteSet, StoreError> {
        self.react(0)?;
        self.check_size()?;
        let rows = self.layers.swap_remove(0);
        let events = self.events.into_iter().map(|emitted| emitted.event).collect();
        Ok(WriteSet { rows, events, numbered: self.numbered.get(), mends: self.mends })
    }

    /// The actor of this transaction.
    #[must_use]
    pub fn by(&self) -> Actor {
        self.context.actor
    }

    /// The cause of this transaction.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.context.cause
    }

    /// The time of the batch. Goes back only if the clock was set back by more than an hour.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.context.now
    }

    /// The number that this transaction's entry will have.
    ///
    /// # Errors
    /// `NoSeq` when nothing was written yet that belongs in the feed.
    pub fn seq(&self) -> Result<u64, StoreError> {
        let in_feed = |table| self.context.schema.class(table).is_some_and(Class::in_feed);
        if self.events.is_empty() && self.layers.iter().all(|layer| layer.count(in_feed) == 0) {
            return Err(StoreError::NoSeq);
        }
        self.numbered.set(true);
        Ok(self.context.seq)
    }

    /// Number of the last entry before this transaction.
    pub(super) fn last_seq(&self) -> u64 {
        self.context.seq - 1
    }

    /// The rev that rows of this transaction get.
    pub(super) fn own_rev(&self) -> u64 {
        self.context.seq
    }

    pub(super) fn trails(&self) -> &'b Trails {
        self.context.trails
    }

    /// All tables of the store.
    #[must_use]
    pub fn schema(&self) -> &'b Schema {
        self.context.schema
    }

    /// Forces a feed entry for this transaction, even without changes.
    pub(super) fn note(&mut self) {
        self.numbered.set(true);
    }

    /// Writes a derived row that no record change produces.
    pub(super) fn set_beside(
        &mut self,
        table: u16,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.mends = true;
        self.set(table, key, value)
    }

    /// Whether a blob is being deleted and must not be referenced.
    pub(super) fn is_condemned(&self, blob: BlobId) -> bool {
        self.context.condemned.is_some_and(|list| list.has(blob))
    }

    /// Creates a new id.
    #[must_use]
    pub fn new_id<T: TypedId>(&self) -> T {
        T::from_uuid(self.context.ids.next(self.context.now.as_millisecond()))
    }

    /// Emits an event; reactions to it run in this transaction.
    pub fn emit(&mut self, event: Event) {
        self.events.push(Emitted { event, depth: self.depth, handled: false });
    }

    /// Inserts a record, or replaces the one with the same id. Identical bytes are no change.
    ///
    /// # Errors
    /// When a unique key is taken, a reference has no target, the record is too large, a log row would change, or the
    /// record holds a blob that its type does not name.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<(), StoreError> {
        let key = KeyBuf::of(&record.id()).into_bytes();
        // In a mirror no class is in the feed.
        let in_feed = self.context.schema.class(R::TABLE.number).is_some_and(Class::in_feed);
        let rev = if in_feed { self.context.seq } else { 0 };
        let (value, listed) = collect::listening(|| codec::encode_row(R::VERSION, rev, record));
        let value = value?;
        let before = self.raw_get(R::TABLE.number, &key)?;
        if before.as_deref().is_some_and(|old| !codec::differ(old, &value)) {
            return Ok(());
        }
        let derived = derive(record, &key);
        if let Some(blob) = listed.into_iter().find(|blob| !derived.blobs.contains(blob)) {
            return Err(StoreError::BlobUnnamed { table: R::TABLE.name, blob });
        }
        self.put_row(R::TABLE.number, before, Fresh { root: record.root(), key, value, derived })
    }

    /// The part of `put` that does not depend on the record type.
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

    /// Writes a record only if its stored rev is `rev`. `Local` and `Derived` records have no rev; for them this does
    /// not compile.
    ///
    /// # Errors
    /// `Stale` when the rev differs, else like [`put`](Self::put).
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

    /// Deletes a row and its derived rows.
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

    /// Replaces index rows, references and sums. On an error nothing is changed, so a caller may continue after a
    /// refused `put`.
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

    /// Deletes the index rows and references that the new row no longer has.
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

    /// Inserts the new index rows and references, and updates the sums.
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
            // Wrapping makes the sum independent of the order of the rows.
            let sum = self.raw_get(table, &key)?.map_or(0, |v| read_sum(&v)).wrapping_add(n);
            self.set(table, key, (sum != 0).then(|| sum.to_be_bytes().to_vec()))?;
        }
        Ok(())
    }

    /// Checks that unique keys are free, targets exist and all tables are known.
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

    /// Writes a row that is not a record.
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

    /// Handles events from position `from` on, in order.
    pub(super) fn react(&mut self, from: usize) -> Result<(), StoreError> {
        let Some(reactor) = self.context.reactor else { return Ok(()) };
        let mut at = from;
        while at < self.events.len() {
            self.check_events()?;
            let Emitted { event, depth, handled } = &mut self.events[at];
            at += 1;
            // Events of an `attempt` were handled before its layer was merged.
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

    /// How long this transaction may run before it yields.
    pub(super) fn turn(&self) -> Duration {
        self.context.turn
    }

    /// Number of records that this transaction has changed so far.
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
    /// The rows of all layers in a range of a table, in the order of the range. Upper layers win.
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
