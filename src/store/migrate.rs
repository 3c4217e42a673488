//! From an older format to this program's, and back.
//!
//! An upgrade works on a copy of the file beside it: as many transactions as it needs, each with the
//! cause `Migration(n)`. The copy is looked through, made durable, and takes the name of the old file
//! in one rename; the old file stays as it was under `<name>.before-<format>`. Whatever goes wrong
//! before that rename, the old program still opens the old file. The way back puts the kept file in
//! place again, with a new incarnation: the numbers behind it will mean other things.

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

/// What a piece of a migration leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// There is more, from here on.
    More(Vec<u8>),
    /// All is done.
    Done,
}

/// A piece of work inside one transaction; `at` is where the piece before it stopped.
pub type Run = fn(&mut WriteTx<'_>, Option<&[u8]>) -> Result<Piece, StoreError>;

/// One step from a format to the next.
#[derive(Clone, Copy)]
pub struct Migration {
    /// The format that it leads to.
    pub to: u32,
    /// Its name, as its file is called.
    pub name: &'static str,
    /// What it does, in one sentence for people.
    pub describe: fn() -> &'static str,
    /// Does it.
    pub run: Run,
    /// The tables of records in which it may make or remove rows.
    pub moves: &'static [u16],
}

/// How far an upgrade is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The file is copied: so many bytes.
    Copying(u64),
    /// A step works: what it does, and how many pieces are done.
    Running(&'static str, u64),
    /// The new file is looked through.
    Checking,
}

/// Why a file was not upgraded or put back. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Too little room for the copy.
    #[error(
        "{} needs {needed_mb} MB of free space to be upgraded and there are {free_mb} MB; free some \
         and start again, nothing was changed", file.display()
    )]
    Room {
        /// The file.
        file: PathBuf,
        /// What it takes, in MB.
        needed_mb: u64,
        /// What there is, in MB.
        free_mb: u64,
    },
    /// A step failed.
    #[error(
        "{} could not be upgraded to format {to} ({step}): {why}; nothing was changed, the program \
         version that wrote it still opens it", file.display()
    )]
    Step {
        /// The file.
        file: PathBuf,
        /// The format that the step leads to.
        to: u32,
        /// Its name.
        step: &'static str,
        /// What happened.
        why: String,
    },
    /// No step leads on from this format.
    #[error(
        "{} has format {found}, which this program cannot upgrade; start a version in between first",
        file.display()
    )]
    NoWay {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A newer program wrote it.
    #[error("{}", newer(file, *found, *known, kept.as_deref(), data))]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// What this program reads.
        known: u32,
        /// The copy of before the upgrade, if it is there.
        kept: Option<PathBuf>,
        /// The data folder.
        data: PathBuf,
    },
    /// There is nothing to go back to.
    #[error(
        "there is no {} to go back to; restore a backup that this program version made",
        file.display()
    )]
    NothingKept {
        /// The file that would be needed.
        file: PathBuf,
    },
    /// The store.
    #[error("{}: {source}", file.display())]
    Store {
        /// The file.
        file: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The disk.
    #[error("{}: {source}; nothing was changed", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn newer(file: &Path, found: u32, known: u32, kept: Option<&Path>, data: &Path) -> String {
    let (file, data) = (file.display(), data.display());
    let start = format!(
        "{file} has format {found} and this program reads {known}: a newer version wrote it. Start \
         that version again"
    );
    match kept {
        Some(kept) => format!(
            "{start}, or go back to what was there before the upgrade: `hq rollback --data {data} \
             --yes` puts {} back and sets the newer file aside",
            kept.display()
        ),
        None => format!(
            "{start}; no copy of before the upgrade lies beside it, so the only way back is a backup \
             that this version made"
        ),
    }
}

/// Upgrades the file of a store from the format it was found to have. Blocking; nobody else may
/// have it open. The options are used for the copy, their path is the file's.
///
/// # Errors
/// When there is no room, a step fails or the disk does: the file is as it was then.
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
    // A file system that cannot be asked is not a full one.
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
    // Before the names change: a copy that is kept with the age of its content would expire at once.
    files::touch(&files::before(&file, found), clock.now(), &*faults)?;
    files::replace(&copy, &file, &*faults)
}

/// Takes the copy through all steps and looks through what came out.
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

/// Runs a step to its end; the last transaction carries the new format and is on the record.
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

/// How many rows each table of records has. Every row must be readable.
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
