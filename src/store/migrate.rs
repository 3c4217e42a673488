//! Upgrades a store file from an older format, and rolls an upgrade back.
//!
//! An upgrade works on a copy beside the file, in as many transactions as needed, each with cause `Migration(n)`. The
//! copy is verified, synced and renamed over the old file, which stays as `<name>.before-<format>`. If anything fails
//! before the rename, the old program still opens the old file. A rollback restores the kept file with a new
//! incarnation, because entry numbers will be reused.

mod files;

use std::io;
use std::path::{Path, PathBuf};

use kernel::{Actor, Cause, Part};

use super::codec;
use super::disk::sync_folder;
use super::error::StoreError;
use super::open::Shared;
use super::read::Read;
use super::schema::{Kind, builtin};
use super::{Limits, Options, Store, WriteTx};
use crate::range::Range;

pub use files::{Kept, format_of, keep, kept, roll_back};

/// The result of a piece of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// There is more, starting here.
    More(Vec<u8>),
    /// The migration is finished.
    Done,
}

/// Runs one piece inside a transaction; `at` is where the previous piece stopped.
pub type Run = fn(&mut WriteTx<'_>, Option<&[u8]>) -> Result<Piece, StoreError>;

/// A migration to the next format.
#[derive(Clone, Copy)]
pub struct Migration {
    /// The resulting format.
    pub to: u32,
    /// Its name, equal to its file name.
    pub name: &'static str,
    /// A one-sentence description for people.
    pub describe: fn() -> &'static str,
    /// Runs one piece.
    pub run: Run,
    /// Tables of records in which it may insert or delete rows.
    pub moves: &'static [u16],
}

/// Progress of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Copying the file; its size in bytes.
    Copying(u64),
    /// Running a migration: its description and the number of finished pieces.
    Running(&'static str, u64),
    /// Verifying the new file.
    Checking,
}

/// Why an upgrade or a rollback failed. The file is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Not enough space for the copy.
    #[error(
        "upgrading {} needs {needed_mb} MB of free space, and there are {free_mb} MB; free some \
         and start again. Nothing was changed", file.display()
    )]
    Room {
        /// The store file.
        file: PathBuf,
        /// Required space in MB.
        needed_mb: u64,
        /// Free space in MB.
        free_mb: u64,
    },
    /// A migration failed.
    #[error(
        "{} couldn't be upgraded to format {to} ({step}): {why}; nothing was changed, and the \
         program version that wrote it can still open it", file.display()
    )]
    Step {
        /// The store file.
        file: PathBuf,
        /// Target format of the migration.
        to: u32,
        /// Name of the migration.
        step: &'static str,
        /// Why it failed.
        why: String,
    },
    /// No migration starts at this format.
    #[error(
        "{} has format {found}, which this program can't upgrade; start an intermediate version \
         first",
        file.display()
    )]
    NoWay {
        /// The store file.
        file: PathBuf,
        /// Format of the file.
        found: u32,
    },
    /// A newer program wrote the file.
    #[error("{}", newer(file, *found, *known, kept.as_deref(), data))]
    Newer {
        /// The store file.
        file: PathBuf,
        /// Format of the file.
        found: u32,
        /// Format of this program.
        known: u32,
        /// The copy from before the upgrade, if it exists.
        kept: Option<PathBuf>,
        /// The data folder.
        data: PathBuf,
    },
    /// There is no file to roll back to.
    #[error(
        "there is no {} to go back to; restore a backup that this program version created",
        file.display()
    )]
    NothingKept {
        /// The missing file.
        file: PathBuf,
    },
    /// An error of the store.
    #[error("{}: {source}", file.display())]
    Store {
        /// The affected file.
        file: PathBuf,
        /// The cause.
        source: StoreError,
    },
    /// An I/O error.
    #[error("{}: {source}; nothing was changed", file.display())]
    Io {
        /// The affected file.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn newer(file: &Path, found: u32, known: u32, kept: Option<&Path>, data: &Path) -> String {
    let (file, data) = (file.display(), data.display());
    let start = format!(
        "{file} has format {found}, but this program reads {known}: a newer version wrote it. \
         Start that version again"
    );
    match kept {
        Some(kept) => format!(
            "{start}, or go back to what was there before the upgrade: `hq rollback --data {data} \
             --yes` puts {} back and sets the newer file aside",
            kept.display()
        ),
        None => format!(
            "{start}; there is no copy from before the upgrade, so the only way back is a backup \
             that this version created"
        ),
    }
}

/// Upgrades a store file from the format `found`. Blocking; the file must not be open elsewhere. `options` has the path
/// of the file and the parameters for its copy.
///
/// # Errors
/// After any error the file is unchanged.
pub fn upgrade(
    options: Options,
    found: u32,
    list: &[Migration],
    say: &dyn Fn(Progress),
) -> Result<(), UpgradeError> {
    let file = options.path.clone();
    let last = list.last().map_or(found, |step| step.to);
    let steps: Vec<Migration> = list.iter().filter(|step| step.to > found).copied().collect();
    let gapless = (found + 1..).zip(&steps).all(|(to, step)| to == step.to);
    if steps.is_empty() || !gapless || last < found {
        return Err(UpgradeError::NoWay { file, found });
    }
    let clock = std::sync::Arc::clone(&options.clock);
    let faults = std::sync::Arc::clone(&options.faults);
    let len = files::len(&file)?;
    let needed = len + super::disk::reserve(len);
    // A file system that reports no size does not count as full.
    let free = faults.free_space(&files::folder(&file)).unwrap_or(u64::MAX);
    if free < needed {
        let (needed_mb, free_mb) = (needed.div_ceil(1 << 20), free >> 20);
        return Err(UpgradeError::Room { file, needed_mb, free_mb });
    }
    say(Progress::Copying(len));
    let copy = files::beside(&file, "upgrade");
    files::copy(&file, &copy, &*faults)?;
    let done = convert(Options { path: copy.clone(), ..options }, &file, found, &steps, say);
    if let Err(error) = done {
        files::remove(&copy)?;
        return Err(error);
    }
    keep(&file, found, &*faults)?;
    // Before the rename: a kept file with the old modification time would expire at once.
    files::touch(&files::before(&file, found), clock.now(), &*faults)?;
    files::replace(&copy, &file, &*faults)
}

/// Runs all migrations on the copy and verifies the result.
fn convert(
    options: Options,
    file: &Path,
    found: u32,
    steps: &[Migration],
    say: &dyn Fn(Progress),
) -> Result<(), UpgradeError> {
    let stored = |source| UpgradeError::Store { file: file.to_owned(), source };
    let mut shared = Shared::new(options, Limits::default());
    shared.format = found;
    let store = Store::start(shared).map_err(stored)?;
    let before = counts(&store).map_err(stored)?;
    for step in steps {
        run(&store, *step, say).map_err(|why| UpgradeError::Step {
            file: file.to_owned(),
            to: step.to,
            step: step.name,
            why: why.to_string(),
        })?;
    }
    say(Progress::Checking);
    let after = counts(&store).map_err(stored)?;
    let last = steps[steps.len() - 1];
    for (now, then) in after.iter().zip(&before) {
        let may = steps.iter().any(|step| step.moves.contains(&now.0));
        if !may && now != then {
            return Err(UpgradeError::Step {
                file: file.to_owned(),
                to: last.to,
                step: last.name,
                why: format!("table {} had {} rows and has {}", now.0, then.1, now.1),
            });
        }
    }
    store.close();
    if store.counters().sync_failed() {
        return Err(stored(StoreError::Failed("an fsync failed".to_owned())));
    }
    Ok(())
}

/// Runs a migration to its end. The last transaction writes the new format and a feed entry.
fn run(store: &Store, step: Migration, say: &dyn Fn(Progress)) -> Result<(), StoreError> {
    let (by, cause) = (Actor::System(Part::Migration), Cause::Migration(step.to));
    let (mut at, mut pieces): (Option<Vec<u8>>, u64) = (None, 0);
    loop {
        say(Progress::Running((step.describe)(), pieces));
        let from = at.take();
        let piece = store.write_blocking(by, cause, move |tx| (step.run)(tx, from.as_deref()))?;
        pieces += 1;
        match piece {
            Piece::More(next) => at = Some(next),
            Piece::Done => break,
        }
    }
    store.write_blocking(by, cause, move |tx| {
        tx.note();
        tx.set(builtin::META, b"format".to_vec(), Some(codec::encode(&step.to)?))
    })
}

/// Number of rows per table of records. Fails if a row is unreadable.
fn counts(store: &Store) -> Result<Vec<(u16, u64)>, StoreError> {
    store.read(|snap| {
        let mut out = Vec::new();
        for info in store.schema().tables() {
            let (Kind::Record(_), Some(ops)) = (info.kind, &info.ops) else { continue };
            let (mut rows, mut bad) = (0, None);
            snap.raw_scan(info.number, &Range::all(), &mut |_, row| {
                rows += 1;
                bad = (ops.derive)(row).err();
                super::read::stop_at(bad.is_some())
            })?;
            if let Some(error) = bad {
                return Err(error.into());
            }
            out.push((info.number, rows));
        }
        Ok(out)
    })
}
