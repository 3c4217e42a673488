//! Master key rotation. The journal entry is written first, then the key file changes; from then on, all values are
//! sealed with the new key. Rows sealed with former keys are sealed again in small transactions, store by store, while
//! both keys can read. After a crash, the next start resumes the rotation.
//!
//! Everything here blocks.

mod error;
mod rows;

use std::ops::ControlFlow;

use app::App;
use app::jobs::JobState;
use crypto::keyring::{KeyId, Keyring};
use crypto::master;
use features::rotation::model::Rotation;
use features::rotation::resealer::Resealer;
use features::rotation::{queries, rules};
use kernel::{Actor, Cause, Part, WorkspaceId};
use serde::Serialize;
use store::{Range, ReadExt as _, Store, StoreError};

pub use error::RotationError;
pub use rows::sealed_tables;
use rows::{Sealing, passes};

/// Job kind.
const KIND: &str = "rotate-master";
/// The job belongs to no workspace.
const EVERYWHERE: &str = "";
const SYSTEM: &str = "system.redb";
/// Rows sealed again per transaction.
const PIECE: usize = 64;
const BY: (Actor, Cause) = (Actor::System(Part::Timer), Cause::Timer);

/// Totals over all stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Walked {
    /// Rows that were sealed again.
    pub sealed: u64,
    /// Values that no available key opens.
    pub shut: u64,
}

/// Called after each transaction with the number of rows sealed again so far; `Break` ends the pass early.
pub type Watch<'w> = dyn FnMut(u64) -> ControlFlow<()> + 'w;

/// Makes another master key the present one and starts sealing everything again in the background.
///
/// # Errors
/// `UnderWay` while another rotation is running; errors of the key file or the disk.
pub fn begin(app: &App, by: (Actor, Cause)) -> Result<Rotation, RotationError> {
    let rotation = change(app, by)?;
    follow(app);
    Ok(rotation)
}

/// Makes another master key the present one, without sealing anything again.
pub fn change(app: &App, (actor, cause): (Actor, Cause)) -> Result<Rotation, RotationError> {
    let next = KeyId::of_master(&master::next(&app.config.key_file())?).to_string();
    let keys = (app.keyring.key_id().to_string(), next);
    let begun = app.system.write_blocking(actor, cause, move |tx| rules::begin(tx, keys))?;
    let rotation = begun.ok_or(RotationError::UnderWay)?;
    match take_over(app, &rotation) {
        Ok(()) => Ok(rotation),
        Err(error) => {
            withdraw(app, &rotation)?;
            Err(error)
        }
    }
}

/// Puts the new key in place, first in the key file and then in the keyring.
fn take_over(app: &App, rotation: &Rotation) -> Result<(), RotationError> {
    let file = app.config.key_file();
    let next = master::next(&file)?;
    if KeyId::of_master(&next).as_str() != rotation.to {
        return Err(RotationError::Lost(rotation.to.clone()));
    }
    master::take_over(&file, &rotation.from)?;
    app.keyring.advance(next);
    Ok(())
}

/// Runs at start and periodically. Completes an interrupted rotation, and seals again what arrived later under a former
/// key, for example with a restored workspace.
///
/// # Errors
/// Errors of the key file or the disk.
pub fn go_on(app: &App) -> Result<(), RotationError> {
    let current = app.keyring.key_id();
    match app.system.read(|snap| queries::open(snap))? {
        Some(rotation) if current.as_str() == rotation.from => {
            // Interrupted before the key file was changed.
            match take_over(app, &rotation) {
                Err(RotationError::Lost(_)) => {
                    tracing::warn!(
                        "the key {} is not there any more; {} stays",
                        rotation.to,
                        rotation.from
                    );
                    withdraw(app, &rotation)?;
                }
                done => done?,
            }
        }
        Some(rotation) if current.as_str() != rotation.to => {
            // The journal comes from a backup: the present key is neither of its two keys.
            withdraw(app, &rotation)?;
            adopt(app)?;
        }
        Some(_) => {}
        None => adopt(app)?,
    }
    let is_open = app.system.read(|snap| queries::open(snap))?.is_some();
    if is_open || !app.keyring.former_ids().is_empty() {
        follow(app);
    }
    Ok(())
}

fn withdraw(app: &App, rotation: &Rotation) -> Result<(), StoreError> {
    let id = rotation.id;
    app.system.write_blocking(BY.0, BY.1, move |tx| rules::withdraw(tx, id))
}

/// Records a key change that was made by hand: a former key exists, and the journal does not know the present one.
fn adopt(app: &App) -> Result<(), StoreError> {
    let Some(former) = app.keyring.former_ids().into_iter().next() else { return Ok(()) };
    let (from, to) = (former.to_string(), app.keyring.key_id().to_string());
    let known = app.system.read(|snap| queries::last(snap))?;
    if known.is_some_and(|last| last.to == to) {
        return Ok(());
    }
    app.system.write_blocking(BY.0, BY.1, move |tx| rules::begin(tx, (from, to)).map(drop))
}

/// Starts the background job that seals rows again, unless it is running.
fn follow(app: &App) {
    let here = app.clone();
    let begun = app.begin_job(EVERYWHERE, KIND, move |watch| {
        walk(&here, &mut |done| {
            watch.tell(store::verify::Progress { what: "Re-encrypting", done, total: 0 })
        })
    });
    // ok: a running job checks for new work before it ends.
    drop(begun);
}

/// State of the last job that was started since the program's start.
#[must_use]
pub fn state(app: &App) -> Option<JobState> {
    app.jobs.state(EVERYWHERE, KIND)
}

/// Seals again every value that a former key has sealed, and completes the rotation after the last store. If
/// interrupted, another call continues.
pub fn walk(app: &App, watch: &mut Watch<'_>) -> Result<Walked, StoreError> {
    let mut all = Walked::default();
    loop {
        let current = app.keyring.key_id();
        let is_meant = |one: &Rotation| one.to == current.as_str();
        let open = app.system.read(|snap| queries::open(snap))?.filter(is_meant);
        let mut walk =
            Walk { app, watch: &mut *watch, all, open: open.as_ref(), broken_off: false };
        walk.stores()?;
        all = walk.all;
        if walk.broken_off {
            return Ok(all);
        }
        if let Some(open) = &open
            && queries::not_open(app)?.is_empty()
        {
            let id = open.id;
            app.system.write_blocking(BY.0, BY.1, move |tx| rules::end(tx, id))?;
        }
        // A rotation that began meanwhile leaves rows in tables that were already passed.
        if app.keyring.key_id() == current {
            return Ok(all);
        }
    }
}

/// One pass through all stores.
struct Walk<'w, 'f> {
    app: &'w App,
    watch: &'w mut Watch<'f>,
    all: Walked,
    open: Option<&'w Rotation>,
    broken_off: bool,
}

impl Walk<'_, '_> {
    fn stores(&mut self) -> Result<(), StoreError> {
        let all: Vec<_> = self.app.workspaces.read().clone();
        let own = all.into_iter().map(|ws| (ws.slug.clone(), ws.store.clone(), Some(ws.id)));
        let system = std::iter::once((SYSTEM.to_owned(), self.app.system.clone(), None));
        'stores: for (name, store, workspace) in system.chain(own) {
            if self.open.is_some_and(|open| open.through.contains(&name)) {
                continue;
            }
            let shut_before = self.all.shut;
            for pass in passes(workspace.is_some()) {
                match pass(self, &store, workspace) {
                    // The workspace was closed meanwhile; opening it again starts a new pass.
                    Err(StoreError::Closed) if !self.app.stopping.is_cancelled() => {
                        continue 'stores;
                    }
                    done => done?,
                }
                if self.broken_off {
                    return Ok(());
                }
            }
            let shut = self.all.shut - shut_before;
            self.note(0, Some((name, shut)))?;
        }
        Ok(())
    }

    fn note(&self, sealed: u64, through: Option<(String, u64)>) -> Result<(), StoreError> {
        let Some(id) = self.open.map(|open| open.id) else { return Ok(()) };
        let write = move |tx: &mut store::WriteTx<'_>| rules::note(tx, id, sealed, through);
        self.app.system.write_blocking(BY.0, BY.1, write)
    }

    /// Passes through one table in transactions of [`PIECE`] rows. A concurrent change of a row seals it with the
    /// present key by itself.
    fn pass<R: Sealing>(
        &mut self,
        store: &Store,
        workspace: Option<WorkspaceId>,
    ) -> Result<(), StoreError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let piece = piece::<R>(store, &self.app.keyring, workspace, after.as_deref())?;
            self.all.shut += piece.shut;
            if !piece.changed.is_empty() {
                let changed = piece.changed;
                let write = move |tx: &mut store::WriteTx<'_>| rules::replace(tx, &changed);
                let sealed = store.write_blocking(BY.0, BY.1, write)?;
                self.all.sealed += sealed;
                self.note(sealed, None)?;
                if (self.watch)(self.all.sealed).is_break() {
                    self.broken_off = true;
                    return Ok(());
                }
            }
            match piece.last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }
}

/// Rows of one transaction.
struct Piece<R> {
    /// Rows before and after.
    changed: Vec<(R, R)>,
    /// Values in these rows that no available key opens.
    shut: u64,
    /// Key of the last row; `None` at the end of the table.
    last: Option<Vec<u8>>,
}

fn piece<R: Sealing>(
    store: &Store,
    ring: &Keyring,
    workspace: Option<WorkspaceId>,
    after: Option<&[u8]>,
) -> Result<Piece<R>, StoreError> {
    let range = Range::all().limit(PIECE);
    let range = after.into_iter().fold(range, Range::after);
    store.read(|snap| {
        let mut piece = Piece { changed: Vec::new(), shut: 0, last: None };
        for hit in snap.rows::<R>(&range)? {
            let (mut resealer, mut new) = (Resealer::new(ring, workspace), hit.record.clone());
            new.seal_anew(&mut resealer, snap)?;
            piece.shut += resealer.shut;
            if resealer.changed {
                piece.changed.push((hit.record, new));
            }
            piece.last = Some(hit.key);
        }
        Ok::<_, StoreError>(piece)
    })
}

/// Permanently removes a former key that nothing needs any more.
///
/// # Errors
/// `NoFormer`, `Needed`, or a disk error.
pub fn discard(app: &App, id: &str) -> Result<(), RotationError> {
    let standing = queries::standing(app)?;
    let former = standing.formers.into_iter().find(|one| one.id == id);
    let former = former.ok_or_else(|| RotationError::NoFormer(kernel::text::ellipsis(id, 40)))?;
    if !former.needs.is_empty() {
        return Err(RotationError::Needed(former.id, former.needs.join("; ")));
    }
    // Rows that arrived late are sealed with the present key first.
    let walked = walk(app, &mut |_| ControlFlow::Continue(()))?;
    if 0 < walked.sealed {
        tracing::info!("{} rows were sealed anew before the key {id} goes", walked.sealed);
    }
    master::remove_former(&app.config.key_file(), id)?;
    app.keyring.forget(id);
    Ok(())
}
