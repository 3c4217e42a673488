//! What can go wrong with backups. Every message says what to do.

use std::io;
use std::path::Path;

use crypto::passphrase::PassphraseError;
use kernel::{Problem, ProblemKind};
use net::error::NetError;
use store::StoreError;

/// A failed backup, check or restore.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// An address that is none.
    #[error(
        "{given:?} is no place for backups: {why}; give a folder or s3://bucket/folder?endpoint=https://…"
    )]
    Address {
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing is there.
    #[error("there are no backups at {place}; check the address, or make one with `hq backup`")]
    NoRepository { place: String },
    /// Something else is there.
    #[error("{place} holds other files and no backups; give an empty folder")]
    OtherFiles { place: String },
    /// Written by a newer program.
    #[error(
        "the backups at {place} have format {found}, this program reads {known}; use a newer version of HQ"
    )]
    Format { place: String, found: u32, known: u32 },
    /// Backups were made there, and now nothing is.
    #[error(
        "{place} is empty, and backups were made there before: is the disk or share mounted? mount it and \
         try again; if this is meant to be a new place, say so with `hq backup --new-place` or on the \
         page of backups"
    )]
    PlaceGone { place: String },
    /// Backups were made there, and now others are.
    #[error(
        "{place} holds other backups than those that were made there before: is it another disk? put the \
         right one in; if these are meant, say so with `hq backup --new-place` or on the page of backups"
    )]
    OtherPlace { place: String },
    /// Another HQ has its backups there.
    #[error(
        "{place} holds backups that were made with another master key, so another HQ may be using it: give \
         each HQ a place of its own; if both are to share it, say so once with `hq backup --new-place` or on \
         the page of backups"
    )]
    Others { place: String },
    /// What is kept and what keeps it lie one inside the other.
    #[error(
        "{place} and the data folder {data} lie one inside the other, so a backup would hold itself or go \
         with what it is for; give a folder that lies apart, best on another disk"
    )]
    Inside {
        /// Where backups were to go.
        place: String,
        /// What they are of.
        data: String,
    },
    /// No such backup.
    #[error("there is no backup {wanted} at {place}; `hq backup list` shows those that are")]
    NoBackup { place: String, wanted: String },
    /// A backup that is not to be put aside.
    #[error(
        "the backup {id} at {place} can be read, so it is not put aside: how many are kept says when it goes"
    )]
    Readable { place: String, id: String },
    /// The target cannot be used.
    #[error("{place} cannot be used: {why}; nothing was lost, check it and try again")]
    Target { place: String, why: String },
    /// The target takes nothing more.
    #[error(
        "{place} is full ({free_mb} MB free, about {need_mb} MB needed); free some space or give another place"
    )]
    Full { place: String, free_mb: u64, need_mb: u64 },
    /// A server refused.
    #[error(
        "{place} refused ({status} {code}); check the key, its rights, the bucket and the region"
    )]
    Refused {
        place: String,
        status: u16,
        /// What the server called it.
        code: String,
    },
    /// A file of the repository is not there.
    #[error(
        "{name} is missing at {place}; this backup cannot be restored whole, take another one, and make a new one now: it writes again what is still there to be read"
    )]
    Missing { place: String, name: String },
    /// A file of the repository was changed.
    #[error(
        "{name} at {place} is damaged ({why}); this backup cannot be trusted, take another one, and make a new one now: it writes again what is still there to be read"
    )]
    Damaged {
        place: String,
        name: String,
        /// How it shows.
        why: &'static str,
    },
    #[error("the backups at {place} are encrypted; give the passphrase with --passphrase-file")]
    PassphraseNeeded { place: String },
    /// A passphrase is not needed.
    #[error(
        "the backups at {place} are not encrypted; a repository is encrypted from its beginning or never, give another place for encrypted ones"
    )]
    NotEncrypted { place: String },
    /// A passphrase that does not fit.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// Another one is at work.
    #[error("{what} is at work at {place} since {since}; wait until it is done")]
    Busy { place: String, what: String, since: String },
    /// Told to stop.
    #[error("the backup was stopped because HQ ends; the next one goes on from what is there")]
    Stopped,
    /// There are workspaces, and none of them can be taken.
    #[error(
        "none of the workspaces ({missing}) could be taken, so this would be a backup of nothing: {why}; \
         check that the data folder is in its place and its disk mounted, or put the workspaces back with \
         `hq restore`"
    )]
    Nothing {
        /// Which are on the list.
        missing: String,
        /// Why they are not in it.
        why: String,
    },
    /// The data folder is not where it was.
    #[error(
        "{data} is not there any more, so there is nothing to back up: put the folder back or mount its \
         disk, then start HQ again"
    )]
    DataGone { data: String },
    /// What opens a place cannot be read.
    #[error(
        "{name} at {place} {why}, and without it nothing there is opened; the backups beside it may be \
         whole: make it anew with `hq backup mend --to {place}`, or, if they are encrypted, put a copy of \
         that file back (the key is in it)"
    )]
    Head {
        place: String,
        /// The file.
        name: String,
        why: &'static str,
    },
    /// What opens encrypted backups cannot be made anew.
    #[error(
        "the backups at {place} are encrypted, and their key was in hq-backups.json and \
         hq-backups.spare.json alone; put a copy of one of the two back: without it nobody can open them"
    )]
    HeadSealed { place: String },
    #[error("{which}: {source}")]
    Store { which: String, source: StoreError },
    /// A file or folder here.
    #[error("{path}: {source}; check the disk and its rights")]
    Disk { path: String, source: io::Error },
    /// A history of agents' files that was laid out of a backup.
    #[error(transparent)]
    History(#[from] git::GitError),
    /// A restore over something.
    #[error("{0}")]
    Restore(String),
}

impl BackupError {
    /// An error of a file or folder on this machine's side.
    pub fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::Disk { path, source }
    }

    /// Too little is free; both in bytes. What is needed is rounded up: so much is enough.
    pub fn full(place: impl ToString, free: u64, need: u64) -> Self {
        let (free_mb, need_mb) = (free >> 20, need.div_ceil(1 << 20));
        Self::Full { place: place.to_string(), free_mb, need_mb }
    }

    /// An error of the store with this name.
    pub fn store(which: &str) -> impl FnOnce(StoreError) -> Self + use<> {
        let which = which.to_owned();
        move |source| Self::Store { which, source }
    }

    pub(crate) fn net(place: &str, error: &NetError) -> Self {
        Self::Target { place: place.to_owned(), why: error.to_string() }
    }
}

/// Rows are given to a backup from inside a read of the store.
impl From<StoreError> for BackupError {
    fn from(source: StoreError) -> Self {
        Self::Store { which: "the store".to_owned(), source }
    }
}

impl Problem for BackupError {
    fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "backup_address",
            Self::NoRepository { .. } => "backup_none",
            Self::OtherFiles { .. } => "backup_other_files",
            Self::Format { .. } => "backup_format",
            Self::PlaceGone { .. } => "backup_place_gone",
            Self::OtherPlace { .. } => "backup_other_place",
            Self::Others { .. } => "backup_others",
            Self::Inside { .. } => "backup_inside_data",
            Self::NoBackup { .. } => "backup_not_found",
            Self::Readable { .. } => "backup_readable",
            Self::Target { .. } => "backup_target",
            Self::Full { .. } => "backup_target_full",
            Self::Refused { .. } => "backup_refused",
            Self::Missing { .. } => "backup_missing",
            Self::Damaged { .. } => "backup_damaged",
            Self::PassphraseNeeded { .. } => "backup_passphrase_needed",
            Self::NotEncrypted { .. } => "backup_not_encrypted",
            Self::Passphrase(_) => "backup_passphrase",
            Self::Busy { .. } => "backup_busy",
            Self::Stopped => "backup_stopped",
            Self::Nothing { .. } => "backup_of_nothing",
            Self::DataGone { .. } => "backup_data_gone",
            Self::Head { .. } => "backup_head_damaged",
            Self::HeadSealed { .. } => "backup_head_sealed",
            Self::Store { .. } => "backup_store",
            Self::Disk { .. } => "backup_disk",
            Self::History(_) => "backup_history",
            Self::Restore(_) => "restore_refused",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Address { .. }
            | Self::PassphraseNeeded { .. }
            | Self::NotEncrypted { .. }
            | Self::Passphrase(_)
            | Self::OtherFiles { .. }
            | Self::Inside { .. }
            | Self::Format { .. } => ProblemKind::Invalid,
            Self::NoRepository { .. } | Self::NoBackup { .. } => ProblemKind::NotFound,
            Self::Target { .. } | Self::Refused { .. } => ProblemKind::Upstream,
            Self::Full { .. } => ProblemKind::Full,
            Self::Busy { .. }
            | Self::Readable { .. }
            | Self::Restore(_)
            | Self::PlaceGone { .. }
            | Self::OtherPlace { .. }
            | Self::Others { .. } => ProblemKind::Conflict,
            Self::Stopped => ProblemKind::Unavailable,
            Self::Missing { .. }
            | Self::Damaged { .. }
            | Self::Head { .. }
            | Self::HeadSealed { .. }
            | Self::Nothing { .. }
            | Self::DataGone { .. }
            | Self::Disk { .. } => ProblemKind::Internal,
            Self::Store { source, .. } => source.kind(),
            Self::History(error) => error.kind(),
        }
    }
}
