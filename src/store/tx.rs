//! Inside a write: an in-memory write set laid over the open batch.
//!
//! A stack of layers; the top one is written. An error or a panic drops the caller's layers and the
//! batch never sees them. `attempt` is a layer of its own.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::{Serialize, de::DeserializeOwned};

use crate::kernel::id::IdSource;
use crate::kernel::{Actor, Cause, Event, Problem, ProblemKind, Timestamp, TypedId};

use super::codec;
use super::error::StoreError;
use super::key::{KeyBuf, Range};
use super::read::{Read, ReadExt, Visit, read_sum};
use super::record::{Class, OnDelete, Record, Reference};
use super::schema::{Derived, Schema, builtin, derive};

/// How deep reactions may cause reactions.
const MAX_DEPTH: u8 = 8;
/// How many events one transaction may emit.
const MAX_EVENTS: usize = 5_000;
/// How many rows one transaction may change.
const MAX_CHANGES: usize = 10_000;
/// How many rows a delete inside a request may touch.
const MAX_DELETE: usize = 2_000;
/// The largest record in bytes.
const MAX_RECORD: usize = 256 * 1024;
/// The largest kept answer of `once`.
const MAX_ANSWER: usize = 64 * 1024;

type Layer = BTreeMap<(u16, Vec<u8>), Option<Vec<u8>>>;

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
}

/// What a transaction leaves behind.
#[derive(Default)]
pub(super) struct WriteSet {
    pub rows: Layer,
    pub events: Vec<Event>,
}

/// A transaction.
pub struct WriteTx<'b> {
    base: &'b dyn Read,
    context: Context<'b>,
    layers: Vec<Layer>,
    events: Vec<Emitted>,
    depth: u8,
}

struct Emitted {
    event: Event,
    depth: u8,
    handled: bool,
}

impl<'b> WriteTx<'b> {
    pub(super) fn new(base: &'b dyn Read, context: Context<'b>) -> Self {
        Self { base, context, layers: vec![Layer::new()], events: Vec::new(), depth: 0 }
    }

    /// Runs the reactions that are due and gives what is to be written.
    pub(super) fn finish(mut self) -> Result<WriteSet, StoreError> {
        self.react(0)?;
        let rows = self.layers.swap_remove(0);
        Ok(WriteSet { rows, events: self.events.into_iter().map(|e| e.event).collect() })
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

    /// The time of the batch; it never goes back.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.context.now
    }

    /// The number that this transaction's entry will have.
    ///
    /// # Errors
    /// When nothing that the feed keeps was written yet.
    pub fn seq(&self) -> Result<u64, StoreError> {
        let in_feed = |(table, _): &(u16, Vec<u8>)| {
            self.context.schema.class(*table).is_some_and(Class::in_feed)
        };
        let any = !self.events.is_empty() || self.layers.iter().any(|l| l.keys().any(in_feed));
        if any { Ok(self.context.seq) } else { Err(StoreError::NoSeq) }
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

    /// Writes a record: new, or in place of the one with its id.
    ///
    /// # Errors
    /// When a unique key is taken, a reference leads nowhere, the record is too large or a log
    /// row would change.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<(), StoreError> {
        let own = KeyBuf::of(&record.id()).into_bytes();
        let body = codec::encode(record)?;
        if body.len() > MAX_RECORD {
            let (table, size) = (R::TABLE.name, body.len());
            return Err(StoreError::TooLarge { table, size, limit: MAX_RECORD });
        }
        let rev = if R::CLASS.in_feed() { self.context.seq } else { 0 };
        let value = codec::wrap(R::VERSION, rev, &body);
        let before = self.raw_get(R::TABLE.number, &own)?;
        if before.as_deref().is_some_and(|old| !codec::differ(old, &value)) {
            return Ok(());
        }
        if before.is_some() && R::CLASS == Class::Log {
            return Err(StoreError::LogRow { table: R::TABLE.name });
        }
        let old = match &before {
            Some(old) => derive(&super::record::read::<R>(old)?.0),
            None => Derived::default(),
        };
        self.move_derived(R::TABLE.number, &own, old, derive(record))?;
        self.set(R::TABLE.number, own, Some(value));
        Ok(())
    }

    /// Writes a record only if it still has this rev.
    ///
    /// # Errors
    /// `Stale` when it has another, else as `put`.
    pub fn put_if<R: Record>(&mut self, record: &R, rev: u64) -> Result<(), StoreError> {
        let now = self.get_rev::<R>(record.id())?.map(|(_, rev)| rev);
        if !R::CLASS.in_feed() || now != Some(rev) {
            return Err(StoreError::Stale);
        }
        self.put(record)
    }

    /// Deletes a record and does to those that refer to it what they declared. Says whether it
    /// was there.
    ///
    /// # Errors
    /// When something that refers to it refuses, or too many rows would be touched.
    pub fn delete<R: Record>(&mut self, id: R::Id) -> Result<bool, StoreError> {
        let own = KeyBuf::of(&id).into_bytes();
        let Some(old) = self.raw_get(R::TABLE.number, &own)? else { return Ok(false) };
        if R::CLASS == Class::Log && self.context.cause != Cause::Retention {
            return Err(StoreError::LogRow { table: R::TABLE.name });
        }
        let old = derive(&super::record::read::<R>(&old)?.0);
        // Gone first: a cycle of references must end.
        self.move_derived(R::TABLE.number, &own, old, Derived::default())?;
        self.set(R::TABLE.number, own.clone(), None);
        self.follow_references(R::TABLE.number, &own)?;
        Ok(true)
    }

    fn follow_references(&mut self, table: u16, own: &[u8]) -> Result<(), StoreError> {
        let mut prefix = KeyBuf::of(&table);
        prefix.raw(own);
        let start = prefix.bytes().len();
        let mut found: Vec<(Vec<u8>, u8)> = Vec::new();
        self.raw_scan(builtin::REFS, &Range::prefix(prefix), &mut |key, value| {
            found.push((key[start..].to_vec(), value.first().copied().unwrap_or(2)));
            super::read::stop_at(found.len() > MAX_DELETE)
        })?;
        let touched = self.layers.iter().map(BTreeMap::len).sum::<usize>() / 2 + found.len();
        if found.len() > MAX_DELETE || touched > MAX_CHANGES {
            return Err(StoreError::TooMany { count: found.len(), limit: MAX_DELETE });
        }
        for (source, mode) in found {
            let Some((table, rest)) = super::read::split_key::<u16>(&source) else { continue };
            let Some((field, key)) = super::read::split_key::<u8>(rest) else { continue };
            let schema = self.context.schema;
            let info = schema.table(table).ok_or(StoreError::UnknownTable(table))?;
            let ops = info.ops.as_ref().ok_or(StoreError::UnknownTable(table))?;
            match OnDelete::from_byte(mode) {
                OnDelete::Cascade => (ops.delete)(self, key)?,
                OnDelete::Clear => (ops.clear)(self, key, field)?,
                OnDelete::Refuse => return Err(StoreError::Referenced { table: info.name }),
            }
        }
        Ok(())
    }

    pub(super) fn clear_reference<R: Record>(
        &mut self,
        id: R::Id,
        field: u8,
    ) -> Result<(), StoreError> {
        if let Some(mut record) = self.get::<R>(id)? {
            record.clear(field);
            self.put(&record)?;
        }
        Ok(())
    }

    /// Moves index rows, references and sums from what they were to what they are.
    fn move_derived(
        &mut self,
        table: u16,
        own: &[u8],
        old: Derived,
        new: Derived,
    ) -> Result<(), StoreError> {
        for (index, key, _) in old.index.iter().filter(|row| !new.index.contains(row)) {
            self.set(index.number, key.clone(), None);
        }
        for (index, key, value) in new.index.into_iter().filter(|row| !old.index.contains(row)) {
            if index.unique && self.raw_get(index.number, &key)?.is_some_and(|v| v != value) {
                return Err(StoreError::Taken { index: index.name });
            }
            self.set(index.number, key, Some(value));
        }
        let at = |r: &Reference| {
            let mut key = KeyBuf::of(&r.table);
            key.raw(&r.key).part(table).u8(r.field).raw(own);
            key.into_bytes()
        };
        for gone in old.refs.iter().filter(|r| !new.refs.contains(r)) {
            self.set(builtin::REFS, at(gone), None);
        }
        for fresh in new.refs.iter().filter(|r| !old.refs.contains(r)) {
            if (fresh.table != table || fresh.key != own)
                && self.raw_get(fresh.table, &fresh.key)?.is_none()
            {
                let name = self.context.schema.table(fresh.table).map_or("record", |t| t.name);
                return Err(StoreError::MissingTarget { table: name });
            }
            self.set(builtin::REFS, at(fresh), Some(vec![fresh.on_delete as u8]));
        }
        let mut sums: BTreeMap<(u16, Vec<u8>), i64> = BTreeMap::new();
        for (count, key, n) in new.counts {
            *sums.entry((count.number, key)).or_default() += n;
        }
        for (count, key, n) in old.counts {
            *sums.entry((count.number, key)).or_default() -= n;
        }
        for ((table, key), n) in sums.into_iter().filter(|(_, n)| *n != 0) {
            let sum = self.raw_get(table, &key)?.map_or(0, |v| read_sum(&v)) + n;
            self.set(table, key, (sum != 0).then(|| sum.to_be_bytes().to_vec()));
        }
        Ok(())
    }

    pub(super) fn set(&mut self, table: u16, key: Vec<u8>, value: Option<Vec<u8>>) {
        let top = self.layers.len() - 1;
        self.layers[top].insert((table, key), value);
    }

    /// A transaction inside the transaction: on an error its changes and events are dropped and
    /// the outer one goes on.
    ///
    /// # Errors
    /// What the body or a reaction to its events answers.
    pub fn attempt<T, E: From<StoreError>>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let (events, depth) = (self.events.len(), self.depth);
        self.layers.push(Layer::new());
        let result = body(self).and_then(|value| {
            self.react(events)?;
            Ok(value)
        });
        self.depth = depth;
        let top = self.layers.pop().unwrap_or_default();
        match result {
            Ok(value) => {
                let at = self.layers.len() - 1;
                self.layers[at].extend(top);
                Ok(value)
            }
            Err(error) => {
                self.events.truncate(events);
                Err(error)
            }
        }
    }

    /// Runs the body at most once for a key and gives the stored answer afterwards (24 h, also
    /// across a restart). Only a success is kept.
    ///
    /// # Errors
    /// `OtherDigest` when the key came with another content; else what the body answers.
    pub fn once<T, E>(
        &mut self,
        scope: &str,
        key: &str,
        digest: [u8; 32],
        body: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<StoreError>,
    {
        let mut at = KeyBuf::new();
        at.text(scope).text(key);
        if let Some(row) = self.raw_get(builtin::ONCE, at.bytes())? {
            let (kept, _, answer): ([u8; 32], i64, Vec<u8>) =
                codec::decode(&row).map_err(StoreError::from)?;
            if kept != digest {
                return Err(StoreError::OtherDigest.into());
            }
            return Ok(codec::decode(&answer).map_err(StoreError::from)?);
        }
        let value = body(self)?;
        let answer = codec::encode(&value).map_err(StoreError::from)?;
        if answer.len() > MAX_ANSWER {
            let size = answer.len();
            return Err(StoreError::TooLarge { table: "once", size, limit: MAX_ANSWER }.into());
        }
        let row = (digest, self.context.now.as_millisecond(), answer);
        let row = codec::encode(&row).map_err(StoreError::from)?;
        self.set(builtin::ONCE, at.into_bytes(), Some(row));
        Ok(value)
    }

    /// Drops answers of `once` from before this moment, at most `limit`; says how many.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sweep_once(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut old = Vec::new();
        let before = before.as_millisecond();
        self.raw_scan(builtin::ONCE, &Range::all(), &mut |key, row| {
            let at = codec::decode::<([u8; 32], i64, Vec<u8>)>(row).map_or(0, |(_, at, _)| at);
            if at < before {
                old.push(key.to_vec());
            }
            super::read::stop_at(old.len() >= limit)
        })?;
        let n = old.len();
        for key in old {
            self.set(builtin::ONCE, key, None);
        }
        Ok(n)
    }

    /// Handles events from position `from` on, first in, first out.
    fn react(&mut self, from: usize) -> Result<(), StoreError> {
        let Some(reactor) = self.context.reactor else { return Ok(()) };
        let mut at = from;
        while at < self.events.len() {
            if self.events.len() > MAX_EVENTS {
                return Err(StoreError::TooMany { count: self.events.len(), limit: MAX_EVENTS });
            }
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

    fn check_size(&self) -> Result<(), StoreError> {
        // Rows beside the records can only be more, so count them apart only near the limit.
        if self.layers.iter().map(BTreeMap::len).sum::<usize>() <= MAX_CHANGES {
            return Ok(());
        }
        let is_record = |(table, _): &&(u16, Vec<u8>)| self.context.schema.class(*table).is_some();
        let count = self.layers.iter().flat_map(BTreeMap::keys).filter(is_record).count();
        if count > MAX_CHANGES {
            return Err(StoreError::TooMany { count, limit: MAX_CHANGES });
        }
        Ok(())
    }
}

impl Read for WriteTx<'_> {
    fn raw_get(&self, table: u16, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let at = (table, key.to_vec());
        for layer in self.layers.iter().rev() {
            if let Some(value) = layer.get(&at) {
                return Ok(value.clone());
            }
        }
        self.base.raw_get(table, key)
    }

    fn raw_scan(&self, table: u16, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let over = self.overlay(table, range);
        if over.is_empty() {
            return self.base.raw_scan(table, range, visit);
        }
        let mut over: Vec<(&[u8], Option<&[u8]>)> = over.into_iter().collect();
        if range.reverse {
            over.reverse();
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
    /// What the layers say about a stretch of a table, the top one winning.
    fn overlay(&self, table: u16, range: &Range) -> BTreeMap<&[u8], Option<&[u8]>> {
        let mut over = BTreeMap::new();
        for layer in &self.layers {
            for ((_, key), value) in layer
                .range((table, range.lo.clone())..)
                .take_while(|((t, k), _)| *t == table && range.hi.as_ref().is_none_or(|hi| k < hi))
            {
                over.insert(key.as_slice(), value.as_deref());
            }
        }
        over
    }
}
