//! Errors of backups. Each message says what to do.

use std::io;
use std::path::Path;

use crypto::passphrase::PassphraseError;
use kernel::{Problem, ProblemKind};
use net::error::NetError;
use store::StoreError;

/// Error of a backup, check or restore.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(
        "{given:?} isn't a backup target: {why}; use a folder or \
            s3://bucket/folder?endpoint=https://…"
    )]
    Address {
        given: String,
        /// What is malformed.
        why: String,
    },
    #[error("there are no backups at {place}; check the address, or create one with `hq backup`")]
    NoRepository { place: String },
    #[error("{place} contains other files and no backups; choose an empty folder")]
    OtherFiles { place: String },
    #[error(
        "the backups at {place} have format {found}, but this HQ reads {known}; use a newer \
            version of HQ"
    )]
    Format { place: String, found: u32, known: u32 },
    /// The target is empty, but had backups before.
    #[error(
        "{place} is empty, but had backups before: mount its disk or share and try again; to start \
            here, use `hq backup --new-place` or the Backups page"
    )]
    PlaceGone { place: String },
    /// The target has another repository than before.
    #[error(
        "{place} contains other backups than before: mount the right disk; to use these, run `hq \
            backup --new-place` or use the Backups page"
    )]
    OtherPlace { place: String },
    /// The target has backups of another master key.
    #[error(
        "{place} contains backups with another master key, so another HQ might be using it: choose \
            a separate target for each HQ; to share it, confirm once with `hq backup --new-place` \
            or on the Backups page"
    )]
    Others { place: String },
    /// Target and data folder contain one another.
    #[error(
        "{place} and the data folder {data} are nested, so a backup would contain itself or be \
            lost with the data; choose a separate folder, ideally on another disk"
    )]
    Inside {
        /// The target.
        place: String,
        data: String,
    },
    #[error("there is no backup {wanted} at {place}; `hq backup list` shows all backups")]
    NoBackup { place: String, wanted: String },
    /// Only unreadable backups can be moved aside.
    #[error(
        "the backup {id} at {place} is readable, so you can't give it up; the retention settings \
            decide when it's deleted"
    )]
    Readable { place: String, id: String },
    #[error("{place} can't be used: {why}; nothing was lost, check it and try again")]
    Target { place: String, why: String },
    #[error(
        "{place} is full ({free_mb} MB free, about {need_mb} MB needed); free some space or choose \
            another target"
    )]
    Full { place: String, free_mb: u64, need_mb: u64 },
    /// The server rejected a request.
    #[error(
        "{place} refused access ({status} {code}); check the key, its permissions, the bucket and \
            the region"
    )]
    Refused {
        place: String,
        status: u16,
        /// The server's error code.
        code: String,
    },
    #[error(
        "{name} is missing at {place}, so this backup can't be fully restored; use another one, \
            and create a new one now to save everything that is still readable"
    )]
    Missing { place: String, name: String },
    #[error(
        "{name} at {place} is damaged ({why}), so this backup can't be trusted; use another one, \
            and create a new one now to save everything that is still readable"
    )]
    Damaged {
        place: String,
        name: String,
        /// How the damage was detected.
        why: &'static str,
    },
    #[error("the backups at {place} are encrypted; pass the passphrase with --passphrase-file")]
    PassphraseNeeded { place: String },
    #[error(
        "the backups at {place} aren't encrypted, and encryption can't be added later; choose \
            another target for encrypted backups"
    )]
    NotEncrypted { place: String },
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// Other work is running.
    #[error("{what} has been running at {place} since {since}; wait until it's done")]
    Busy { place: String, what: String, since: String },
    /// The program stops.
    #[error(
        "the backup stopped because HQ is shutting down; the next one continues where it \
        stopped"
    )]
    Stopped,
    /// There are workspaces, and none can be backed up.
    #[error(
        "none of the workspaces ({missing}) could be backed up: {why}; check that the data folder \
            is in place and its disk mounted, or restore the workspaces with `hq restore`"
    )]
    Nothing {
        /// Listed workspaces.
        missing: String,
        /// Reasons.
        why: String,
    },
    #[error(
        "{data} no longer exists, so there's nothing to back up: restore the folder or mount its \
            disk, then start HQ again"
    )]
    DataGone { data: String },
    /// The head of the repository is unreadable.
    #[error(
        "{name} at {place} {why}, and no backup there opens without it; the backups might still be \
            intact: recreate it with `hq backup repair --to {place}`, or, if they are encrypted, \
            restore a copy of that file (it contains the key)"
    )]
    Head {
        place: String,
        /// File of the head.
        name: String,
        why: &'static str,
    },
    /// The head of an encrypted repository cannot be rebuilt.
    #[error(
        "the backups at {place} are encrypted, and their key was only in hq-backups.json and \
            hq-backups.spare.json; restore a copy of either file: no one can open the backups \
            without it"
    )]
    HeadSealed { place: String },
    #[error("{which}: {source}")]
    Store { which: String, source: StoreError },
    /// Error of a local file or folder.
    #[error("{path}: {source}; check the disk and its permissions")]
    Disk { path: String, source: io::Error },
    /// A git repository restored from a backup is damaged.
    #[error(transparent)]
    History(#[from] git::GitError),
    /// A restore cannot proceed.
    #[error("{0}")]
    Restore(String),
}

impl BackupError {
    /// Maps errors of a local file or folder.
    pub fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::Disk { path, source }
    }

    /// `free` and `need` are in bytes; the message rounds `need` up.
    pub fn full(place: impl ToString, free: u64, need: u64) -> Self {
        let (free_mb, need_mb) = (free >> 20, need.div_ceil(1 << 20));
        Self::Full { place: place.to_string(), free_mb, need_mb }
    }

    /// Maps errors of the store with this name.
    pub fn store(which: &str) -> impl FnOnce(StoreError) -> Self + use<> {
        let which = which.to_owned();
        move |source| Self::Store { which, source }
    }

    pub(crate) fn net(place: &str, error: &NetError) -> Self {
        Self::Target { place: place.to_owned(), why: error.to_string() }
    }
}

/// For callbacks within a read of the store.
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
