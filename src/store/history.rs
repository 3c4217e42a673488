//! The history of one record: a walk back from its row, or from its tombstone if it was deleted.
//!
//! No index is needed: a row names the entry that wrote it, and a change names the previous entry. The state before a
//! change is its before-image; the state after it is the image of the next change, or the row. Images that retention or
//! a redaction removed are reported as gone, never as an error.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use kernel::{Actor, Cause, Timestamp};

use super::codec;
use super::error::StoreError;
use super::feed::{self, Entry, Op};
use super::read::Read;
use super::record::{Class, Root};
use super::schema::{Schema, builtin};
use kernel::key::{self, KeyBuf};

/// The known state of a record at one point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// There was no record.
    Nothing,
    /// The stored bytes.
    Kept(Vec<u8>),
    /// Removed by retention or a redaction.
    Gone,
    /// The class of the record keeps no images.
    Untold,
    /// Not searched for, because the record has changed too often since.
    Far,
}

impl Image {
    /// The stored bytes, if available.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Kept(bytes) => Some(bytes),
            Self::Nothing | Self::Gone | Self::Untold | Self::Far => None,
        }
    }
}

/// One change of a record.
#[derive(Clone, Debug)]
pub struct Version {
    /// The entry of the change.
    pub seq: u64,
    /// Time of the change.
    pub at: Timestamp,
    /// Author of the change.
    pub actor: Actor,
    /// Cause of the change.
    pub cause: Cause,
    /// The kind of change.
    pub op: Op,
    /// The state before.
    pub before: Image,
    /// The state after.
    pub after: Image,
}

/// Versions of a record, newest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The versions of this page.
    pub versions: Vec<Version>,
    /// Pass this as `before` for older versions.
    pub next: Option<u64>,
}

/// A page of a record's history, newest first: from its row or tombstone, or before the version of the entry `before`.
/// `None` if that entry did not change the record.
pub fn of(
    read: &dyn Read,
    schema: &Schema,
    record: &Root,
    before: Option<u64>,
    limit: usize,
) -> Result<Option<Page>, StoreError> {
    let Some(mut walk) = Walk::begin(read, schema, record, before)? else { return Ok(None) };
    let versions = walk.by_ref().take(limit).collect::<Result<Vec<_>, _>>()?;
    let next = versions.last().map(|last| last.seq).filter(|_| walk.goes_on());
    Ok(Some(Page { versions, next }))
}

/// Iterates over the versions of a record, newest first, reading each on demand.
pub struct Walk<'r> {
    read: &'r dyn Read,
    record: &'r Root,
    tracked: bool,
    /// The entry of the next version; 0 if there is none.
    seq: u64,
    /// The state after that version.
    after: Image,
}

impl<'r> Walk<'r> {
    /// Starts at the row or tombstone of a record, or before the version of the entry `before`. `None` if that entry
    /// did not change the record.
    pub fn begin(
        read: &'r dyn Read,
        schema: &Schema,
        record: &'r Root,
        before: Option<u64>,
    ) -> Result<Option<Self>, StoreError> {
        let tracked = schema.class(record.table) == Some(Class::Tracked);
        let (seq, after) = match before {
            None => match newest(read, record)? {
                (Some(row), seq) => (seq, if tracked { Image::Kept(row) } else { Image::Untold }),
                (None, seq) => (seq, Image::Nothing),
            },
            Some(before) => match step_at(read, record, before)? {
                Some(step) => (step.before_rev, step.image(read, tracked)?),
                None => return Ok(None),
            },
        };
        Ok(Some(Self { read, record, tracked, seq, after }))
    }

    /// Whether there are more versions.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        0 < self.seq
    }

    fn step(&mut self) -> Result<Option<Version>, StoreError> {
        if self.seq == 0 {
            return Ok(None);
        }
        let Some(step) = step_at(self.read, self.record, self.seq)? else {
            self.seq = 0;
            return Ok(None);
        };
        let image = step.image(self.read, self.tracked)?;
        let after = std::mem::replace(&mut self.after, image.clone());
        let entry = &step.head.entry;
        let version = Version {
            seq: self.seq,
            at: kernel::time::from_ms(entry.at),
            actor: entry.actor,
            cause: entry.cause,
            op: step.op,
            before: image,
            after: if step.op == Op::Delete { Image::Nothing } else { after },
        };
        self.seq = step.before_rev;
        Ok(Some(version))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Version, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Step budget for walking back: a change costs one step, large entries cost more.
#[derive(Debug)]
pub struct Steps(usize);

impl Default for Steps {
    fn default() -> Self {
        Self(20_000)
    }
}

impl Steps {
    /// A budget of `steps`.
    #[must_use]
    pub fn of(steps: usize) -> Self {
        Self(steps)
    }

    /// Whether a walk may continue past this entry.
    fn take(&mut self, entry: &Entry) -> bool {
        self.0 = self.0.saturating_sub(1 + entry.changes.len() / 64);
        0 < self.0
    }
}

/// The version of a record at entry `seq`; `None` if that entry did not change the record. The state after it comes
/// from the following change, which is searched for within `steps`.
pub fn at(
    read: &dyn Read,
    schema: &Schema,
    record: &Root,
    seq: u64,
    steps: &mut Steps,
) -> Result<Option<Version>, StoreError> {
    let Some(step) = step_at(read, record, seq)? else { return Ok(None) };
    let tracked = schema.class(record.table) == Some(Class::Tracked);
    let Some(after) = after(read, (record, seq), tracked, steps)? else { return Ok(None) };
    let entry = &step.head.entry;
    Ok(Some(Version {
        seq,
        at: kernel::time::from_ms(entry.at),
        actor: entry.actor,
        cause: entry.cause,
        op: step.op,
        before: step.image(read, tracked)?,
        after: if step.op == Op::Delete { Image::Nothing } else { after },
    }))
}

/// The state after an entry; `None` if no version of the record leads back to it.
fn after(
    read: &dyn Read,
    (record, seq): (&Root, u64),
    tracked: bool,
    steps: &mut Steps,
) -> Result<Option<Image>, StoreError> {
    let (row, mut newer) = newest(read, record)?;
    if newer == seq {
        return Ok(Some(match row {
            Some(row) if tracked => Image::Kept(row),
            Some(_) => Image::Untold,
            None => Image::Nothing,
        }));
    }
    while seq < newer {
        let Some(step) = step_at(read, record, newer)? else { return Ok(None) };
        if step.before_rev == seq {
            return Ok(Some(step.image(read, tracked)?));
        }
        if !steps.take(&step.head.entry) {
            return Ok(Some(Image::Far));
        }
        newer = step.before_rev;
    }
    Ok(None)
}

/// The state before an entry changed a record; `None` if it did not change it.
pub fn before(
    read: &dyn Read,
    schema: &Schema,
    record: &Root,
    seq: u64,
) -> Result<Option<Image>, StoreError> {
    let tracked = schema.class(record.table) == Some(Class::Tracked);
    step_at(read, record, seq)?.map(|step| step.image(read, tracked)).transpose()
}

/// The row of a deleted record before its deletion; `None` if the record exists or that image is not stored.
pub fn last(read: &dyn Read, record: &Root) -> Result<Option<Vec<u8>>, StoreError> {
    let (None, seq) = newest(read, record)? else { return Ok(None) };
    let Some(step) = step_at(read, record, seq)? else { return Ok(None) };
    Ok(step.image(read, true)?.bytes().map(<[u8]>::to_vec))
}

/// What an entry did to a record. Not cached, for callers that read each entry once.
fn step_at(read: &dyn Read, record: &Root, seq: u64) -> Result<Option<Step>, StoreError> {
    let Some(entry) = feed::entry(read, seq)? else { return Ok(None) };
    let found = entry.changes.iter().position(|one| record.is(one.table, &one.key));
    let Some((n, at)) = found.and_then(|at| Some((u16::try_from(at).ok()?, at))) else {
        return Ok(None);
    };
    let (op, before_rev) = (entry.changes[at].op, entry.changes[at].before_rev);
    let head = Rc::new(Head { entry, places: HashMap::new() });
    Ok(Some(Step { head, op, before_rev, n }))
}

/// The entry that changed a record last; 0 if none did.
pub fn last_touch(read: &dyn Read, record: &Root) -> Result<u64, StoreError> {
    newest(read, record).map(|(_, seq)| seq)
}

/// The row of a record and the entry that wrote it, or no row and the entry that deleted it; 0 if it never existed.
pub(super) fn newest(read: &dyn Read, record: &Root) -> Result<(Option<Vec<u8>>, u64), StoreError> {
    if let Some(row) = read.raw_get(record.table, &record.key)? {
        let rev = codec::unwrap(&row)?.1;
        return Ok((Some(row), rev));
    }
    let mut mark = KeyBuf::of(&record.table);
    mark.raw(&record.key);
    let deleted = read.raw_get(builtin::TOMBSTONES, mark.bytes())?;
    Ok((None, deleted.and_then(|seq| key::decode(&seq)).unwrap_or(0)))
}

/// A head with an index of the records that it changed.
pub(super) struct Head {
    pub entry: Entry,
    places: HashMap<Root, u16>,
}

impl Head {
    fn new(entry: Entry) -> Self {
        let changes = entry.changes.iter().enumerate();
        let places = changes.filter_map(|(n, change)| {
            let root = Root { table: change.table, key: change.key.clone() };
            Some((root, u16::try_from(n).ok()?))
        });
        Self { places: places.collect(), entry }
    }
}

/// Limit on the changes in cached heads: those of several of the largest transactions.
const KNOWN: usize = 4 * super::tx::MAX_CHANGES;

/// Cache of heads; many records of one transaction share a head.
pub(super) struct Heads<'r> {
    read: &'r dyn Read,
    known: RefCell<HashMap<u64, Option<Rc<Head>>>>,
    /// Number of changes in the cached heads.
    weight: Cell<usize>,
}

impl<'r> Heads<'r> {
    pub(super) fn new(read: &'r dyn Read) -> Self {
        Self { read, known: RefCell::default(), weight: Cell::new(0) }
    }

    pub(super) fn head(&self, seq: u64) -> Result<Option<Rc<Head>>, StoreError> {
        if let Some(known) = self.known.borrow().get(&seq) {
            return Ok(known.clone());
        }
        let head = feed::entry(self.read, seq)?.map(|entry| Rc::new(Head::new(entry)));
        let weight = head.as_ref().map_or(1, |head| head.places.len().max(1));
        if KNOWN < self.weight.get() + weight {
            self.known.borrow_mut().clear();
            self.weight.set(0);
        }
        self.weight.set(self.weight.get() + weight);
        self.known.borrow_mut().insert(seq, head.clone());
        Ok(head)
    }

    /// What an entry did to a record; `None` if it did not change it.
    pub(super) fn step(&self, record: &Root, seq: u64) -> Result<Option<Step>, StoreError> {
        let Some(head) = self.head(seq)? else { return Ok(None) };
        let Some(n) = head.places.get(record).copied() else { return Ok(None) };
        let change = &head.entry.changes[usize::from(n)];
        Ok(Some(Step { op: change.op, before_rev: change.before_rev, n, head }))
    }
}

/// One change of a record, met while walking back.
pub(super) struct Step {
    pub head: Rc<Head>,
    pub op: Op,
    pub before_rev: u64,
    n: u16,
}

impl Step {
    pub(super) fn seq(&self) -> u64 {
        self.head.entry.seq
    }

    /// The state before the change.
    pub(super) fn image(&self, read: &dyn Read, tracked: bool) -> Result<Image, StoreError> {
        Ok(match self.op {
            Op::Insert => Image::Nothing,
            Op::Update | Op::Delete if !tracked => Image::Untold,
            Op::Update | Op::Delete => match feed::before_image(read, self.seq(), self.n)? {
                Some(bytes) => Image::Kept(bytes),
                None => Image::Gone,
            },
        })
    }
}
