//! The host's side: applies parcels to a mirror store, each together with the position that it brings the host to.
//! Every row is checked against the replication policy again; a row that is not allowed rejects its whole parcel.
//!
//! A run that the host leads (continued offline) is ahead of the primary. Rows that the host writes for it have
//! revision 0 and stay until the host no longer leads the run. Other rows of such a run are applied as usual.

use std::collections::BTreeSet;
use std::sync::Arc;

use features::agents::model::{AGENTS, Agent};
use features::connections::model::CONNECTIONS;
use features::runs::model::{RUNS, SESSIONS};
use features::streams::model::STREAMS;
use features::tasks::model::TASKS;
use kernel::{Actor, AgentId, Cause, Part};
use knowledge::model::ITEMS;
use serde::{Deserialize, Serialize};
use store::{Read, Schema, Store, StoreError, WriteTx, codec, mirror};

use crate::parcel::{FULL, MOST_ROWS};
use crate::replication_policy::{self, Agents, Of, Yes};
use crate::rows::{allowed, owner, some, under};
use crate::{At, Gone, Have, Laid, MirrorError, Parcel, Put, Rows, Standing, Step};

/// Returns whether the host leads a run or session. Called inside the transaction that applies a parcel.
pub type Leads = dyn Fn(&dyn Read, &At) -> Result<bool, StoreError> + Send + Sync;

/// Tables whose rows are roots. Agents are separate, because every agent has a row here.
pub(crate) const ROOTS: [u16; 6] =
    [TASKS.number, SESSIONS.number, RUNS.number, CONNECTIONS.number, STREAMS.number, ITEMS.number];
/// Rows per transaction.
const PIECE: usize = 2_000;
/// The largest record, in bytes; a parcel may exceed its limit by one record.
const RECORD: usize = 300 * 1024;

/// The mirror's position and related state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    standing: Standing,
    agents: BTreeSet<AgentId>,
    /// Roots whose rows may be incomplete, because their arrival or removal was interrupted.
    parts: BTreeSet<At>,
}

fn note(read: &dyn Read) -> Result<Note, StoreError> {
    match mirror::note(read)? {
        Some(bytes) => Ok(codec::decode(&bytes)?),
        None => Ok(Note::default()),
    }
}

fn set_note(tx: &mut WriteTx<'_>, note: &Note) -> Result<(), StoreError> {
    tx.set_mirror_note(codec::encode(note)?)
}

/// A host's mirror. Cheap to clone.
#[derive(Clone)]
pub struct Mirror {
    store: Store,
    leads: Arc<Leads>,
}

impl Mirror {
    /// Wraps a store whose schema is [`mirrored`](Schema::mirrored).
    ///
    /// # Errors
    /// If the store is no mirror.
    pub fn new(store: Store, leads: Arc<Leads>) -> Result<Self, MirrorError> {
        if !store.schema().is_mirror() {
            return Err(StoreError::NoMirror.into());
        }
        Ok(Self { store, leads })
    }

    /// The store, for reads.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the mirror has, for the primary. Blocking.
    pub fn have(&self) -> Result<Have, MirrorError> {
        self.store.read(|snap| {
            let Note { standing, mut agents, parts } = note(snap)?;
            let mut roots = BTreeSet::new();
            for table in ROOTS {
                snap.raw_scan(table, &store::Range::all(), &mut |key, _| {
                    roots.insert(At { table, key: key.to_vec() });
                    std::ops::ControlFlow::Continue(())
                })?;
            }
            roots.retain(|root| !parts.contains(root));
            agents.retain(|agent| !parts.contains(&At::of::<Agent>(*agent)));
            Ok(Have { standing, agents, roots, parts })
        })
    }

    /// The mirror's position, and whether a snapshot is in progress.
    pub fn standing(&self) -> Result<Standing, MirrorError> {
        self.store.read(|snap| Ok(note(snap)?.standing))
    }

    /// Returns `true` if no root is incomplete.
    pub fn is_whole(&self) -> Result<bool, MirrorError> {
        self.store.read(|snap| Ok(note(snap)?.parts.is_empty()))
    }

    /// Applies a parcel. `agents` are the agents of this host.
    ///
    /// # Errors
    /// `Refused` if a part of it is not for this host, `Gap` if something before it is missing; no row of it is applied
    /// then.
    pub async fn lay(&self, agents: Agents, parcel: Parcel) -> Result<Laid, MirrorError> {
        check(&agents, &parcel)?;
        let (agents, parcel) = (Arc::new(agents), Arc::new(parcel));
        let mut dropped = 0;
        loop {
            let (agents, parcel) = (Arc::clone(&agents), Arc::clone(&parcel));
            let leads = Arc::clone(&self.leads);
            let piece = self.write(move |tx| {
                let mut applier =
                    Applier { leads: &*leads, agents: &agents, laid: Laid::default() };
                let is_done = match &*parcel {
                    Parcel::Rows(rows) => applier.rows(tx, rows)?,
                    Parcel::Step(step) => applier.step(tx, step)?,
                };
                Ok((applier.laid, is_done))
            });
            let (laid, is_done) = piece.await?;
            dropped += laid.dropped;
            if is_done {
                return Ok(Laid { dropped, ..laid });
            }
        }
    }

    /// Removes a root with all its rows, whoever wrote them, once the host no longer leads it. The primary learns of
    /// this through [`have`](Self::have) at the next link, or through [`Shipper::resend`](crate::Shipper::resend), and
    /// sends the root again if it is still in scope. Returns the number of removed rows.
    pub async fn let_go(&self, root: At) -> Result<usize, MirrorError> {
        let mut all = 0;
        loop {
            let root = root.clone();
            let piece = self.write(move |tx| {
                let mut note = note(tx)?;
                let rows = here(tx, &root)?;
                note.parts.insert(root);
                set_note(tx, &note)?;
                drop_last(tx, &rows)
            });
            let (dropped, is_done) = piece.await?;
            all += dropped;
            if is_done {
                return Ok(all);
            }
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, MirrorError> + Send + 'static,
    ) -> Result<T, MirrorError> {
        // Actor and cause are not stored, because a mirror has no feed.
        self.store.write(Actor::System(Part::Consumer), Cause::Timer, body).await
    }
}

/// Checks size and agents of a parcel.
fn check(agents: &Agents, parcel: &Parcel) -> Result<(), MirrorError> {
    let bytes: usize = parcel.puts().iter().map(|put| put.row.len()).sum();
    if MOST_ROWS < parcel.puts().len() || FULL + RECORD < bytes {
        return Err(MirrorError::Unreadable("it brings too much at once"));
    }
    if parcel.agents().iter().any(|agent| !agents.contains(agent)) {
        return Err(refused(AGENTS.number, None, "it names an agent that is not this host's"));
    }
    Ok(())
}

fn refused(table: u16, schema: Option<&Schema>, why: &'static str) -> MirrorError {
    let name = schema.and_then(|schema| schema.table(table)).map(|info| info.name.to_owned());
    MirrorError::Refused { table: name.unwrap_or_else(|| format!("table {table}")), why }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It starts at the mirror's position.
    Next,
    /// It was applied before.
    Behind,
}

/// Compares a step with the mirror's position.
fn stands(note: &Note, step: &Step) -> Result<Stands, MirrorError> {
    match note.standing {
        Standing::Following(life, seq) if life == step.life && step.from == seq => Ok(Stands::Next),
        Standing::Following(life, seq) if life == step.life && step.to <= seq => Ok(Stands::Behind),
        _ => Err(MirrorError::Gap),
    }
}

/// Returns `true` if a piece of a snapshot is the next one, `false` if it was applied before.
fn is_next(note: &Note, rows: &Rows) -> Result<bool, MirrorError> {
    match (&note.standing, &rows.from) {
        (Standing::Taking(life, seq, place), from) if (*life, *seq) == (rows.life, rows.seq) => {
            if from.as_ref() == Some(place) {
                return Ok(true);
            }
            match &rows.to {
                Some(to) if to <= place => Ok(false),
                _ if from.is_none() => Ok(true),
                _ => Err(MirrorError::Gap),
            }
        }
        (Standing::Following(life, seq), from)
            if *life == rows.life && (rows.seq < *seq || from.is_some() && rows.seq == *seq) =>
        {
            Ok(false)
        }
        (_, None) => Ok(true),
        (_, Some(_)) => Err(MirrorError::Gap),
    }
}

/// The mirrored rows of a root, and the root itself.
fn here(tx: &WriteTx<'_>, root: &At) -> Result<Vec<At>, StoreError> {
    Ok(under((tx, tx.schema()), root)?.into_iter().collect())
}

/// Removes as many of the last rows as one transaction may. Returns their number, and whether no row is left.
fn drop_last(tx: &mut WriteTx<'_>, rows: &[At]) -> Result<(usize, bool), MirrorError> {
    let left = rows.len().saturating_sub(PIECE);
    Ok((drop_all(tx, &rows[left..])?, left == 0))
}

fn drop_all<'a>(
    tx: &mut WriteTx<'_>,
    rows: impl IntoIterator<Item = &'a At>,
) -> Result<usize, MirrorError> {
    let mut count = 0;
    for at in rows {
        count += usize::from(tx.drop_mirrored(&at.root())?);
    }
    Ok(count)
}

/// Returns `true` if the host wrote this row and leads its root.
fn is_led(
    (tx, leads): (&WriteTx<'_>, &Leads),
    line: &Yes,
    (key, row): (&[u8], &[u8]),
) -> Result<bool, StoreError> {
    if codec::unwrap(row)?.1 != 0 {
        return Ok(false);
    }
    match owner((tx, tx.schema()), line, key, row)? {
        Of::Root(root) => leads(tx, &root),
        Of::Everybody | Of::Nobody => Ok(false),
    }
}

/// Rows in the range of a snapshot piece that the piece does not contain; at most slightly more than one transaction
/// may remove.
fn stale(tx: &WriteTx<'_>, rows: &Rows, leads: &Leads) -> Result<Vec<At>, StoreError> {
    let brought: BTreeSet<&At> = rows.puts.iter().map(|put| &put.at).collect();
    let mut found = Vec::new();
    for line in replication_policy::REPLICATED {
        let table = line.table.number;
        let mut range = store::Range::all();
        match &rows.from {
            Some(from) if table < from.table => continue,
            Some(from) if table == from.table => range = range.after(&from.key),
            _ => {}
        }
        loop {
            let here = some(tx, table, &range, PIECE)?;
            let count = here.len();
            for (key, row) in here {
                let at = At { table, key };
                if rows.to.as_ref().is_some_and(|to| *to < at) || PIECE < found.len() {
                    return Ok(found);
                }
                range = range.after(&at.key);
                if !brought.contains(&at) && !is_led((tx, leads), line, (&at.key, &row))? {
                    found.push(at);
                }
            }
            if count < PIECE {
                break;
            }
        }
    }
    Ok(found)
}

/// The state of one transaction.
struct Applier<'d> {
    leads: &'d Leads,
    agents: &'d Agents,
    laid: Laid,
}

impl Applier<'_> {
    /// Replaces all rows in the range of a snapshot piece. Returns `false` if more rows must be removed than one
    /// transaction may.
    fn rows(&mut self, tx: &mut WriteTx<'_>, rows: &Rows) -> Result<bool, MirrorError> {
        let mut now = note(tx)?;
        if !is_next(&now, rows)? {
            self.laid.is_repeated = true;
            return Ok(true);
        }
        let stale = stale(tx, rows, self.leads)?;
        self.laid.dropped += drop_all(tx, stale.iter().take(PIECE))?;
        if PIECE < stale.len() {
            return Ok(false);
        }
        for put in &rows.puts {
            let is_inside = rows.from.as_ref().is_none_or(|from| *from < put.at)
                && rows.to.as_ref().is_none_or(|to| put.at <= *to);
            if !is_inside {
                return Err(refused(put.at.table, Some(tx.schema()), "it lies outside its piece"));
            }
            self.put(tx, put)?;
        }
        now.agents = rows.agents.iter().copied().collect();
        now.standing = match &rows.to {
            Some(to) => Standing::Taking(rows.life, rows.seq, to.clone()),
            None => Standing::Following(rows.life, rows.seq),
        };
        if rows.from.is_none() {
            now.parts.clear();
        }
        set_note(tx, &now)?;
        Ok(true)
    }

    /// Applies a step or a part of one. Returns whether it is done, like `rows`.
    fn step(&mut self, tx: &mut WriteTx<'_>, step: &Step) -> Result<bool, MirrorError> {
        let mut now = note(tx)?;
        if stands(&now, step)? == Stands::Behind {
            self.laid.is_repeated = true;
            return Ok(true);
        }
        for gone in &step.gone {
            // Until the step is complete. A removed agent keeps its card, so its row does not show what is missing.
            if let Gone::Root(at) = gone {
                now.parts.insert(at.clone());
            }
            if !self.gone(tx, gone)? || PIECE <= self.laid.dropped {
                set_note(tx, &now)?;
                return Ok(false);
            }
        }
        for put in &step.puts {
            self.put(tx, put)?;
        }
        now.parts.extend(step.enters.iter().cloned());
        if !step.more {
            now.standing = Standing::Following(step.life, step.to);
            now.agents = step.agents.iter().copied().collect();
            now.parts.clear();
        }
        set_note(tx, &now)?;
        Ok(true)
    }

    /// Removes a row or root, unless the host leads it. Returns `false` if more rows must be removed than one
    /// transaction may.
    fn gone(&mut self, tx: &mut WriteTx<'_>, gone: &Gone) -> Result<bool, MirrorError> {
        let (Gone::Row(at) | Gone::Root(at)) = gone;
        let line = replication_policy::of(at.table).ok_or_else(|| {
            refused(at.table, Some(tx.schema()), "no host has anything of this table")
        })?;
        if matches!(gone, Gone::Root(_)) {
            if (self.leads)(&*tx, at)? {
                self.laid.kept.push(at.clone());
                return Ok(true);
            }
            let rows = here(tx, at)?;
            let (dropped, is_done) = drop_last(tx, &rows)?;
            self.laid.dropped += dropped;
            return Ok(is_done);
        }
        if let Some(row) = tx.raw_get(at.table, &at.key)?
            && !is_led((&*tx, self.leads), line, (&at.key, &row))?
        {
            self.laid.dropped += usize::from(tx.drop_mirrored(&at.root())?);
        }
        Ok(true)
    }

    fn put(&mut self, tx: &mut WriteTx<'_>, put: &Put) -> Result<(), MirrorError> {
        let line = self.judge(tx, put)?;
        if let Some(row) = tx.raw_get(put.at.table, &put.at.key)?
            && is_led((&*tx, self.leads), line, (&put.at.key, &row))?
        {
            return Ok(());
        }
        let is_new =
            tx.put_mirrored(&put.at.root(), put.row.clone()).map_err(|error| match error {
                StoreError::Decode(_)
                | StoreError::OtherRow { .. }
                | StoreError::TooLarge { .. } => {
                    refused(put.at.table, Some(tx.schema()), "its bytes are none of such a row")
                }
                other => other.into(),
            })?;
        self.laid.put += usize::from(is_new);
        Ok(())
    }

    /// The policy entry that allows a row; an error if none does.
    fn judge(&self, tx: &WriteTx<'_>, put: &Put) -> Result<&'static Yes, MirrorError> {
        let Put { at, row } = put;
        let no = |why| refused(at.table, Some(tx.schema()), why);
        let line = replication_policy::of(at.table)
            .ok_or_else(|| no("no host has anything of this table"))?;
        let torn = |error| match error {
            StoreError::Decode(_) => no("its bytes are none of such a row"),
            other => MirrorError::from(other),
        };
        if codec::unwrap(row).map_err(StoreError::from).map_err(torn)?.1 == 0 {
            return Err(no("it has no rev, as what the host writes itself"));
        }
        match owner((tx, tx.schema()), line, &at.key, row).map_err(torn)? {
            Of::Everybody => {}
            Of::Nobody => return Err(no("it belongs to nothing that a host has")),
            Of::Root(root) if root.table == AGENTS.number => {
                if !self.agents.iter().any(|agent| At::of::<Agent>(*agent) == root) {
                    return Err(no("it belongs to an agent that is not this host's"));
                }
            }
            Of::Root(root) => {
                let is_here = root == *at || tx.raw_get(root.table, &root.key)?.is_some();
                if !ROOTS.contains(&root.table) || !is_here {
                    return Err(no("what it belongs to is not here"));
                }
            }
        }
        match allowed(line, self.agents, row).map_err(torn)? {
            Some(sent) if sent == *row => Ok(line),
            Some(_) => Err(no("it says more than a host may know")),
            None => Err(no("it is not for the agents of this host")),
        }
    }
}
