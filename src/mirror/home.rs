//! The primary's side: what is sent to a host, read in short snapshots. All calls read the store. Blocking.
//!
//! A snapshot contains each row as it is when its piece is read, for the roots of the snapshot's start. The steps after
//! it begin at that entry: they bring later changes, and all rows of roots that were added since. A host that has
//! applied a step completely has exactly its scope as of the entry at which the primary read it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use features::agents::model::AGENTS;
use features::connections::model::{CONNECTIONS, FALLBACKS};
use features::inbox::model::INBOX;
use features::runs::model::{BRANCHES, INPUTS, RUNS, SESSIONS};
use features::tasks::model::TASKS;
use features::workspace::model::SETTINGS;
use kernel::GatewayId;
use knowledge::model::ITEMS;
use store::blob::refs;
use store::{BlobId, Class, Op, Range, Read, Schema, Snap, Store, StoreError, feed, keep};

use crate::parcel::{FULL, MOST_ROWS};
use crate::replication_policy::{self, Agents, Of, Owner, Yes};
use crate::rows::{begins_with, owner, some, under, unless_torn};
use crate::{At, Gone, Have, MirrorError, Parcel, Put, Roots, Rows, Standing, Step};

/// Returns the agents of a host in a snapshot of the store.
pub type Bound = dyn Fn(&dyn Read, GatewayId) -> Result<Agents, StoreError> + Send + Sync;

/// Feed entries examined per store snapshot.
const ENTRIES: usize = 5_000;
/// Rows examined per store snapshot.
const LOOK: usize = 20_000;
/// A step ends after this many changed rows.
const KEYS: usize = 1_000;
/// Entries without changes for the host that are passed before it is told its new position.
const QUIET: u64 = 1_000;
/// A host that is further behind than this many entries gets a new snapshot.
const FAR: u64 = 1_000_000;
/// Rows copied from a table at once.
const PIECE: usize = 200;
/// Tables that determine the roots.
const TURNING: [u16; 9] = [
    SETTINGS.number,
    AGENTS.number,
    INBOX.number,
    RUNS.number,
    FALLBACKS.number,
    BRANCHES.number,
    // The connection of a model's name.
    CONNECTIONS.number,
    SESSIONS.number,
    INPUTS.number,
];

/// What to send to a host next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// In this order.
    pub parcels: Vec<Parcel>,
    /// More data is available already; otherwise wait for the next feed entry.
    pub more: bool,
}

/// The primary's state of a linked host.
pub struct Shipper {
    gateway: GatewayId,
    bound: Arc<Bound>,
    /// The life of the store that the other fields refer to; `None` before the first snapshot.
    life: Option<u64>,
    /// The last row of the snapshot in progress.
    taking: Option<Option<At>>,
    /// The entry that was last sent to the host.
    sent: u64,
    /// The entry up to which the feed was examined.
    seen: u64,
    /// The roots that the host has, or will have at the end of the snapshot.
    roots: Roots,
    /// Roots of which the host may have rows that it should not have.
    doubtful: BTreeSet<At>,
    /// The roots must be recomputed, whatever the feed contains.
    unsure: bool,
}

/// A change of a row: entry, index in the entry, operation.
type Changed = (u64, u16, Op);
/// A store snapshot with its schema.
type Shown<'s> = (&'s dyn Read, &'s Schema);

impl Shipper {
    /// Continues from the host's position, or starts with a snapshot.
    pub fn new(
        store: &Store,
        gateway: GatewayId,
        bound: Arc<Bound>,
        have: Have,
    ) -> Result<Self, MirrorError> {
        let life = store.incarnation();
        let mut new = Self {
            gateway,
            bound,
            life: None,
            taking: None,
            sent: 0,
            seen: 0,
            roots: Roots::default(),
            doubtful: have.parts,
            unsure: true,
        };
        match have.standing {
            Standing::Following(of, seq) if of == life => {
                (new.life, new.sent, new.seen) = (Some(life), seq, seq);
                new.roots = Roots::reported(have.agents, have.roots);
            }
            Standing::Taking(of, seq, place) if of == life => {
                (new.life, new.sent, new.seen) = (Some(life), seq, seq);
                let had = Roots::reported(have.agents, have.roots);
                let now = new.ask(store)?;
                // Earlier pieces used the roots of that time, so the host has no complete copy of a new root.
                new.doubtful.extend(had.iter().filter(|at| **at <= place && !now.has(at)).cloned());
                new.roots = now.only(|at| *at > place || had.has(at));
                new.taking = Some(Some(place));
            }
            _ => new.doubtful.clear(),
        }
        Ok(new)
    }

    /// Returns what to send next. After an error the shipper must not be used again.
    pub fn next(&mut self, store: &Store) -> Result<Next, MirrorError> {
        let (life, schema) = (store.incarnation(), store.schema());
        store.read(|snap| {
            let head = snap.last_seq()?;
            if self.life != Some(life) || self.is_lost(snap, head)? {
                self.begin(snap, life, head)?;
            }
            match self.taking.take() {
                Some(place) => self.take(snap, schema, place),
                None => self.follow(snap, schema, head),
            }
        })
    }

    /// Sends all rows of a root again if it is still in scope, because the host has removed them.
    pub fn resend(&mut self, root: &At) {
        self.roots.leave_out(root);
        self.doubtful.insert(root.clone());
        self.unsure = true;
    }

    /// The entry that the host has once everything sent has arrived.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    fn ask(&self, store: &Store) -> Result<Roots, MirrorError> {
        store.read(|snap| Ok(Roots::of(snap, (self.bound)(snap, self.gateway)?)?))
    }

    /// Returns `true` if the feed no longer has all changes since the last entry.
    fn is_lost(&self, snap: &Snap<'_>, head: u64) -> Result<bool, StoreError> {
        let behind = head < self.seen || FAR < head.saturating_sub(self.seen);
        Ok(behind || (self.taking.is_none() && self.seen < keep::floor(snap)?))
    }

    fn begin(&mut self, snap: &Snap<'_>, life: u64, head: u64) -> Result<(), StoreError> {
        self.roots = Roots::of(snap, (self.bound)(snap, self.gateway)?)?;
        (self.life, self.sent, self.seen) = (Some(life), head, head);
        self.taking = Some(None);
        self.doubtful.clear();
        // The roots are those of this entry.
        self.unsure = false;
        Ok(())
    }

    /// The next piece of the snapshot.
    fn take(
        &mut self,
        snap: &Snap<'_>,
        schema: &Schema,
        from: Option<At>,
    ) -> Result<Next, MirrorError> {
        let (puts, to) = loop {
            let (puts, to) = piece((snap, schema), &self.roots, from.as_ref())?;
            if !self.roots.settle((from.as_ref(), to.as_ref()), &puts) {
                break (puts, to);
            }
        };
        self.taking = to.clone().map(Some);
        let rows = Rows {
            life: self.life.unwrap_or_default(),
            seq: self.sent,
            agents: self.roots.agents.iter().copied().collect(),
            from,
            to,
            puts,
        };
        Ok(Next { parcels: vec![Parcel::Rows(rows)], more: true })
    }

    /// The changes since the last examined entry.
    fn follow(&mut self, snap: &Snap<'_>, schema: &Schema, head: u64) -> Result<Next, MirrorError> {
        let agents = (self.bound)(snap, self.gateway)?;
        let is_rebound = agents != self.roots.agents;
        let found = feed::changes(snap, self.seen, ENTRIES)?;
        let mut touched = Touched { to: self.seen, ..Touched::default() };
        for (seq, changes) in found {
            touched.add(seq, changes, &self.roots);
            if KEYS <= touched.rows.len() {
                break;
            }
        }
        let fresh = if is_rebound || self.unsure {
            Some(Roots::of(snap, agents)?)
        } else {
            touched.turned((snap, schema), &self.roots)?
        };
        let step = match &fresh {
            Some(now) => self.changed((snap, schema), &touched, now)?,
            None => self.changed((snap, schema), &touched, &self.roots)?,
        };
        let more = touched.to < head;
        let is_quiet = step.is_nothing() && !is_rebound && !self.unsure;
        self.seen = touched.to;
        if is_quiet && self.seen < self.sent + QUIET {
            return Ok(Next { parcels: Vec::new(), more });
        }
        if let Some(now) = fresh {
            self.roots = now;
        }
        self.doubtful.clear();
        self.unsure = false;
        let frame = Step {
            life: self.life.unwrap_or_default(),
            from: self.sent,
            to: self.seen,
            more: true,
            agents: self.roots.agents.iter().copied().collect(),
            enters: Vec::new(),
            gone: Vec::new(),
            puts: Vec::new(),
        };
        self.sent = self.seen;
        Ok(Next { parcels: step.parcels(&frame), more })
    }

    /// The changes for the host, given its new roots.
    fn changed(
        &self,
        shown: Shown<'_>,
        touched: &Touched,
        now: &Roots,
    ) -> Result<Content, StoreError> {
        let (snap, _) = shown;
        let mut content = Content::default();
        let mut puts: BTreeMap<At, Vec<u8>> = BTreeMap::new();
        let mut looks: BTreeSet<At> = BTreeSet::new();
        let same = std::ptr::eq(now, &self.roots) && self.doubtful.is_empty();
        if !same {
            let left = self.roots.iter().filter(|at| !now.has(at));
            let doubtful = self.doubtful.iter().filter(|at| !now.has(at) && !self.roots.has(at));
            let left: BTreeSet<At> = left.chain(doubtful).cloned().collect();
            let enters: Vec<At> = now.iter().filter(|at| !self.roots.has(at)).cloned().collect();
            for root in &enters {
                looks.extend(under(shown, root)?);
            }
            // An added or removed agent switches between its full row and its card.
            let agents = left.iter().chain(&enters).filter(|at| at.table == AGENTS.number);
            looks.extend(agents.cloned());
            content.gone.extend(left.into_iter().map(Gone::Root));
            content.enters = enters;
        }
        for at in looks {
            if let Some(row) = snap.raw_get(at.table, &at.key)?
                && let Some(line) = replication_policy::of(at.table)
                && let Some(row) = now.of_row(shown, line, (&at.key, &row))?
            {
                puts.insert(at, row);
            }
        }
        for (at, changes) in &touched.rows {
            let Some(line) = replication_policy::of(at.table).filter(|_| !puts.contains_key(at))
            else {
                continue;
            };
            let row = snap.raw_get(at.table, &at.key)?;
            let sent = match &row {
                Some(row) => now.of_row(shown, line, (&at.key, row))?,
                None => None,
            };
            match sent {
                Some(row) => {
                    puts.insert(at.clone(), row);
                }
                None if self.may_have(
                    shown,
                    line,
                    (at, changes.as_slice(), row.as_deref()),
                    now,
                )? =>
                {
                    content.gone.push(Gone::Row(at.clone()));
                }
                None => {}
            }
        }
        content.puts = puts.into_iter().map(|(at, row)| Put { at, row }).collect();
        Ok(content)
    }

    /// Returns `true` if the host may have a row that is out of scope now, also if that is unknown.
    fn may_have(
        &self,
        shown: Shown<'_>,
        line: &Yes,
        (at, changes, row): (&At, &[Changed], Option<&[u8]>),
        now: &Roots,
    ) -> Result<bool, StoreError> {
        let covered = |of: &Of| self.roots.covers(of) || now.covers(of);
        if line.owner().is_none() {
            return Ok(true);
        }
        if let Some(root) = line.head(&at.key) {
            return Ok(covered(&Of::Root(root)));
        }
        let of = |row: &[u8]| unless_torn(owner(shown, line, &at.key, row));
        let (snap, schema) = shown;
        if schema.table(at.table).and_then(|info| info.class()) != Some(Class::Tracked) {
            // The owner of such a row never changes.
            return match row {
                Some(row) => Ok(of(row)?.is_none_or(|of| covered(&of))),
                None => Ok(true),
            };
        }
        for (seq, n, op) in changes {
            if *op == Op::Insert {
                continue;
            }
            let may = match feed::before_image(snap, *seq, *n)? {
                Some(image) => of(&image)?.is_none_or(|of| covered(&of)),
                None => true,
            };
            if may {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Rows in a part of the feed that may concern a host.
#[derive(Default)]
struct Touched {
    rows: BTreeMap<At, Vec<Changed>>,
    /// The last entry.
    to: u64,
    /// The roots of work may have changed.
    turns: bool,
    /// Changed knowledge items.
    items: Vec<At>,
}

impl Touched {
    fn add(&mut self, seq: u64, changes: Vec<store::Change>, roots: &Roots) {
        self.to = seq;
        for (n, change) in (0..=u16::MAX).zip(changes) {
            let Some(line) = replication_policy::of(change.table) else { continue };
            let at = At { table: change.table, key: change.key };
            self.turns |= TURNING.contains(&at.table);
            if at.table == ITEMS.number {
                self.items.push(at.clone());
            }
            // A new root is read as a whole, so rows with a new root in their key are skipped here.
            if let Some(root) = line.head(&at.key) {
                if !roots.has(&root) {
                    // A run may have referred to the task before it existed, after an undone deletion.
                    self.turns |= root == at && change.op == Op::Insert;
                    continue;
                }
                // The task may have moved to another stream or request another model.
                self.turns |= at.table == TASKS.number;
            }
            self.rows.entry(at).or_default().push((seq, n, change.op));
        }
    }

    /// The new roots, if they may have changed.
    fn turned(&self, (snap, _): Shown<'_>, before: &Roots) -> Result<Option<Roots>, StoreError> {
        let mut now = if self.turns { Some(before.renewed(snap)?) } else { None };
        for at in &self.items {
            let row = snap.raw_get(at.table, &at.key)?;
            now.get_or_insert_with(|| before.clone()).update(at, row.as_deref())?;
        }
        Ok(now)
    }
}

/// The content of a step.
#[derive(Default)]
struct Content {
    enters: Vec<At>,
    gone: Vec<Gone>,
    puts: Vec<Put>,
}

impl Content {
    fn is_nothing(&self) -> bool {
        self.enters.is_empty() && self.gone.is_empty() && self.puts.is_empty()
    }

    /// Splits the content into parcels of limited size: first removals, then new roots, then rows by table and key.
    fn parcels(self, frame: &Step) -> Vec<Parcel> {
        let mut steps: Vec<Step> = Vec::new();
        for gone in self.gone.chunks(MOST_ROWS) {
            steps.push(Step { gone: gone.to_vec(), ..frame.clone() });
        }
        for enters in self.enters.chunks(MOST_ROWS) {
            steps.push(Step { enters: enters.to_vec(), ..frame.clone() });
        }
        let (mut puts, mut bytes) = (Vec::new(), 0);
        for put in self.puts {
            bytes += size(&put);
            if !puts.is_empty() && (FULL < bytes || MOST_ROWS <= puts.len()) {
                bytes = size(&put);
                steps.push(Step { puts: std::mem::take(&mut puts), ..frame.clone() });
            }
            puts.push(put);
        }
        // The last parcel ends the step, even if it is empty.
        steps.push(Step { puts, more: false, ..frame.clone() });
        steps.into_iter().map(Parcel::Step).collect()
    }
}

fn size(put: &Put) -> usize {
    put.at.key.len() + put.row.len()
}

/// The rows after `from`, by table and key, until a parcel is full or enough rows were examined. Also returns the last
/// examined row; `None` at the end.
pub(crate) fn piece(
    shown: Shown<'_>,
    roots: &Roots,
    from: Option<&At>,
) -> Result<(Vec<Put>, Option<At>), StoreError> {
    let (read, _) = shown;
    let (mut puts, mut bytes, mut looked) = (Vec::new(), 0, 0);
    let mut last = from.cloned();
    for line in replication_policy::REPLICATED {
        let table = line.table.number;
        let after = match from {
            Some(at) if table < at.table => continue,
            Some(at) if table == at.table => Some(at.key.as_slice()),
            _ => None,
        };
        for mut range in stretches(line, roots, after) {
            loop {
                let rows = some(read, table, &range, PIECE)?;
                let count = rows.len();
                for (key, row) in rows {
                    let sent = roots.of_row(shown, line, (&key, &row))?;
                    let at = At { table, key };
                    if let Some(row) = sent {
                        let put = Put { at: at.clone(), row };
                        bytes += size(&put);
                        if !puts.is_empty() && (FULL < bytes || MOST_ROWS <= puts.len()) {
                            return Ok((puts, last));
                        }
                        puts.push(put);
                    }
                    looked += 1;
                    range = range.after(&at.key);
                    last = Some(at);
                    if LOOK <= looked {
                        return Ok((puts, last));
                    }
                }
                if count < PIECE {
                    break;
                }
            }
        }
    }
    Ok((puts, None))
}

/// Returns `true` if a host with these agents may have a blob, because it may have a row that references it.
pub fn may_have_file(
    shown: (&dyn Read, &Schema),
    agents: Agents,
    file: BlobId,
) -> Result<bool, StoreError> {
    let (read, _) = shown;
    let roots = Roots::of(read, agents)?;
    for holder in refs::holders(read, file, usize::MAX)? {
        if let Some(line) = replication_policy::of(holder.table)
            && let Some(row) = read.raw_get(holder.table, &holder.key)?
            && roots.of_row(shown, line, (&holder.key, &row))?.is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The key ranges of a table with rows in scope, in order: the whole table, or one range per root id.
fn stretches(line: &Yes, roots: &Roots, after: Option<&[u8]>) -> Vec<Range> {
    let behind = |range: Range| match after {
        Some(after) => range.after(after),
        None => range,
    };
    let Some(Owner::Head(of)) = line.owner() else { return vec![behind(Range::all())] };
    let first = after.map(|key| &key[..key.len().min(replication_policy::ID)]);
    let roots =
        roots.of_table(of.number).filter(|at| first.is_none_or(|first| first <= at.key.as_slice()));
    roots.map(|at| behind(begins_with(&at.key))).collect()
}
