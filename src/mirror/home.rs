//! Home's side: what is sent to a host, read in short snapshots. All calls read the store; they are made where blocking
//! is allowed.
//!
//! A snapshot shows rows as they stand when each piece is read, under roots that stay as they were when it began. The
//! steps behind it begin at that entry: they bring what has changed since and the roots that have come since, whole.
//! So a host that has taken a step to its end has exactly what its scope is at the entry that home read it at.

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

/// Says which agents are bound to a host, as a snapshot shows it.
pub type Bound = dyn Fn(&dyn Read, GatewayId) -> Result<Agents, StoreError> + Send + Sync;

/// So many entries are looked through in one snapshot.
const ENTRIES: usize = 5_000;
/// So many rows are looked at in one snapshot.
const LOOK: usize = 20_000;
/// So many changed rows end a step.
const KEYS: usize = 1_000;
/// So many entries that are no concern of the host are passed before it hears where it is.
const QUIET: u64 = 1_000;
/// A host that is so many entries behind takes a snapshot.
const FAR: u64 = 1_000_000;
/// How many rows are copied out of a table at once.
const PIECE: usize = 200;
/// Tables whose rows say what the roots are.
const TURNING: [u16; 9] = [
    SETTINGS.number,
    AGENTS.number,
    INBOX.number,
    RUNS.number,
    FALLBACKS.number,
    BRANCHES.number,
    // Which connection is meant by the name of a model.
    CONNECTIONS.number,
    SESSIONS.number,
    INPUTS.number,
];

/// What comes next for a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// To be sent, in this order.
    pub parcels: Vec<Parcel>,
    /// Whether there is more already; else the feed's next entry is waited for.
    pub more: bool,
}

/// What home knows of a host while there is a link to it.
pub struct Shipper {
    gateway: GatewayId,
    bound: Arc<Bound>,
    /// The life of the store that the rest is about; none before the first snapshot.
    life: Option<u64>,
    /// A snapshot goes on behind this row.
    taking: Option<Option<At>>,
    /// The entry that the host has heard of.
    sent: u64,
    /// The entry up to which the feed was looked through.
    seen: u64,
    /// What the host has, or will have when the snapshot ends.
    roots: Roots,
    /// Roots of which the host may have a part that it should not have.
    doubtful: BTreeSet<At>,
    /// Whether the roots are to be asked for anew whatever the feed says.
    unsure: bool,
}

/// A change of a row: the entry, its number in it, what happened.
type Changed = (u64, u16, Op);
/// A snapshot with its schema.
type Shown<'s> = (&'s dyn Read, &'s Schema);

impl Shipper {
    /// Goes on where a host says that it is, or begins with a snapshot.
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
                new.roots = Roots::told(have.agents, have.roots);
            }
            Standing::Taking(of, seq, place) if of == life => {
                (new.life, new.sent, new.seen) = (Some(life), seq, seq);
                let had = Roots::told(have.agents, have.roots);
                let now = new.ask(store)?;
                // What came up to there came under the roots of then: of a new one it has nothing that is whole.
                new.doubtful.extend(had.iter().filter(|at| **at <= place && !now.has(at)).cloned());
                new.roots = now.only(|at| *at > place || had.has(at));
                new.taking = Some(Some(place));
            }
            _ => new.doubtful.clear(),
        }
        Ok(new)
    }

    /// What is to be sent next. After an error the shipper is done with.
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

    /// Sends a root whole once more, if it is still in the scope: the host has let it go.
    pub fn again(&mut self, root: &At) {
        self.roots.leave_out(root);
        self.doubtful.insert(root.clone());
        self.unsure = true;
    }

    /// The entry that the host has when all has come that was sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    fn ask(&self, store: &Store) -> Result<Roots, MirrorError> {
        store.read(|snap| Ok(Roots::of(snap, (self.bound)(snap, self.gateway)?)?))
    }

    /// Whether the feed does not tell any more what has become of the rows since.
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

    /// What has changed behind the entry that was seen last.
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

    /// What the host has to hear, when its roots are these from now on.
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
            // The row of an agent that comes or leaves becomes another one.
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

    /// Whether the host may have a row that is not in its scope now. Where nothing tells, it may.
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
            // What such a row belongs to never changes.
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

/// The rows of a stretch of the feed that may concern a host.
#[derive(Default)]
struct Touched {
    rows: BTreeMap<At, Vec<Changed>>,
    /// The last entry.
    to: u64,
    /// Whether the roots of work may be others now.
    turns: bool,
    /// Items of knowledge.
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
            // A root that is new is read whole, so that what belongs to one by its key need not be looked at here.
            if let Some(root) = line.head(&at.key) {
                if !roots.has(&root) {
                    // Work may have named it before it was there: a task whose deletion was undone.
                    self.turns |= root == at && change.op == Op::Insert;
                    continue;
                }
                // A task may have come into another stream, or ask for another model.
                self.turns |= at.table == TASKS.number;
            }
            self.rows.entry(at).or_default().push((seq, n, change.op));
        }
    }

    /// The roots after this, if they may be others.
    fn turned(&self, (snap, _): Shown<'_>, before: &Roots) -> Result<Option<Roots>, StoreError> {
        let mut now = if self.turns { Some(before.renewed(snap)?) } else { None };
        for at in &self.items {
            let row = snap.raw_get(at.table, &at.key)?;
            now.get_or_insert_with(|| before.clone()).weigh(at, row.as_deref())?;
        }
        Ok(now)
    }
}

/// What a step says.
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

    /// As parcels of a bounded size: first what goes, then what is new, then the rows in the order of tables and keys.
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
        // The last one says that the step has come to its end, also when it brings nothing.
        steps.push(Step { puts, more: false, ..frame.clone() });
        steps.into_iter().map(Parcel::Step).collect()
    }
}

fn size(put: &Put) -> usize {
    put.at.key.len() + put.row.len()
}

/// The rows behind one, in the order of tables and keys, until a parcel is full or enough was looked at; and the last
/// one that was, none at the end.
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

/// Whether a host with these agents may have a file: when it may have a row that holds it.
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

/// The stretches of a table in which rows of a scope lie, in order: all of it, or what begins with the id of a root.
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
