//! What can go wrong in the store.

use kernel::{Problem, ProblemKind};

use super::blob::BlobId;
use super::codec::DecodeError;

/// A failed read or write.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue was full for too long.
    #[error("the store is busy; try again")]
    Busy,
    /// Somebody has been reading for long, and this needs the whole file.
    #[error("a backup, or another long read, is reading this store; try again when it is done")]
    Reading,
    /// The disk is nearly full.
    #[error(
        "the disk is nearly full ({free_mb} MB free, {reserve_mb} MB are kept in reserve); free some space and try again"
    )]
    Full {
        /// Free space in MB.
        free_mb: u64,
        /// What is kept in reserve in MB.
        reserve_mb: u64,
    },
    /// Nothing was written.
    #[error("the disk failed and nothing was saved: {0}")]
    Failed(String),
    /// Whether it was written is not known.
    #[error("this may have been saved or not; repeat it with the same key: {0}")]
    Unknown(String),
    /// The store is used from inside its own writer, or written to from inside a read.
    #[error("the store was called from inside a write, or for a write from inside a read")]
    Nested,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// Stored bytes could not be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A unique key is taken.
    #[error("{index} is taken")]
    Taken {
        /// The index.
        index: &'static str,
    },
    /// A reference leads nowhere.
    #[error("the {table} that this refers to does not exist")]
    MissingTarget {
        /// The table.
        table: &'static str,
    },
    /// Something still refers to it.
    #[error("a {table} still refers to this; change that first")]
    Referenced {
        /// The table.
        table: &'static str,
    },
    /// The record changed since it was read.
    #[error("this was changed in the meantime; read it again")]
    Stale,
    /// A blob that was swept away, because nothing referred to it for a day.
    #[error("the file {0} was put away as nothing referred to it; send it again")]
    BlobGone(BlobId),
    /// A kind of record that forgets to name a blob that it holds: the sweep would take it.
    #[error("a {table} holds the file {blob} without naming it; this is a bug")]
    BlobUnnamed {
        /// The table.
        table: &'static str,
        /// The blob.
        blob: BlobId,
    },
    /// A log row cannot be changed.
    #[error("rows of {table} are never changed")]
    LogRow {
        /// The table.
        table: &'static str,
    },
    /// A delete or reaction would touch too much.
    #[error("this would touch more than {limit} rows ({count} so far); do it in pieces")]
    TooMany {
        /// How many were counted.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A record is too large.
    #[error("a {table} of {size} bytes is too large (at most {limit})")]
    TooLarge {
        /// The table.
        table: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The same key came with another content.
    #[error("this idempotency key was used for another request")]
    OtherDigest,
    /// A reaction refused.
    #[error("{reaction}: {message}")]
    Reaction {
        /// Its name.
        reaction: &'static str,
        /// What it said.
        message: String,
        /// Its code.
        code: &'static str,
        /// Its kind.
        kind: ProblemKind,
    },
    /// Reactions went too deep.
    #[error("reactions went deeper than {0}; this is a bug")]
    TooDeep(u8),
    /// What was asked of the store, or of a thread that reads it, panicked.
    #[error("this was given up because of a bug: {0}")]
    Panicked(String),
    /// The file ends before entries that were acknowledged.
    #[error("the file ends at entry {found}, though {known} was acknowledged; restore a backup")]
    Lost {
        /// Where it ends.
        found: u64,
        /// What was acknowledged.
        known: u64,
    },
    /// Nothing is known of a record, neither now nor in the past.
    #[error("there is no such record, and there never was; look at its table and id")]
    UnknownRecord,
    /// Bytes that the disk gave back are not what was written.
    #[error("{0}; keep the file, and restore a backup with `hq restore`")]
    Damaged(String),
    /// What was begun was called off.
    #[error("this was called off")]
    CalledOff,
    /// `seq` was asked for before anything worth an entry was written.
    #[error("this transaction has no number yet: it has written nothing that the feed keeps")]
    NoSeq,
    /// A table that the schema does not list.
    #[error("table {0} is not in the schema")]
    UnknownTable(u16),
    /// A mirror was opened as a store of its own.
    #[error("this file mirrors a part of another store; it is none of its own")]
    IsMirror,
    /// What only a mirror does was asked of another store.
    #[error("this store is no mirror of another one")]
    NoMirror,
    /// A row for a mirror whose bytes are those of another one.
    #[error("the bytes of a row of {table} are those of another row")]
    OtherRow {
        /// The table.
        table: &'static str,
    },
    /// The file was written by another program version.
    #[error(
        "this data folder has format {found}, this program reads {known}; use the program version that wrote it"
    )]
    Format {
        /// What was found.
        found: u32,
        /// What is known.
        known: u32,
    },
}

impl StoreError {
    /// What a file beside the store could not be written or read by: one for which there is no room is `Full`, like a
    /// write of records.
    #[must_use]
    pub fn of_file(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        if !matches!(error.kind(), StorageFull | QuotaExceeded) {
            return Self::Failed(error.to_string());
        }
        let told = error.get_ref().and_then(|inner| inner.downcast_ref::<NoRoom>());
        let NoRoom { free, reserve } = told.copied().unwrap_or(NoRoom { free: 0, reserve: 0 });
        super::disk::full(free, reserve.max(super::disk::reserve(0)))
    }
}

/// How much room there is on the disk, and how much must stay; in bytes. Goes with an error of a file that was refused.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the disk is nearly full ({} MB free, {} MB are kept in reserve)", free >> 20, reserve >> 20)]
pub(crate) struct NoRoom {
    pub(crate) free: u64,
    pub(crate) reserve: u64,
}

impl From<StoreError> for kernel::Error {
    fn from(error: StoreError) -> Self {
        Self::of(error)
    }
}

impl Problem for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy | Self::Reading => "busy",
            Self::Full { .. } => "storage_full",
            Self::Failed(_) => "storage_failed",
            Self::Unknown(_) => "storage_unknown",
            Self::Nested => "nested",
            Self::Closed => "closed",
            Self::Decode(_) => "undecodable",
            Self::Taken { .. } => "taken",
            Self::MissingTarget { .. } => "missing_target",
            Self::Referenced { .. } => "referenced",
            Self::Stale => "stale",
            Self::BlobGone(_) => "file_gone",
            Self::BlobUnnamed { .. } => "file_unnamed",
            Self::LogRow { .. } => "log_row",
            Self::TooMany { .. } => "too_many",
            Self::TooLarge { .. } => "too_large",
            Self::OtherDigest => "idempotency_conflict",
            Self::Reaction { code, .. } => code,
            Self::TooDeep(_) => "reactions_too_deep",
            Self::Panicked(_) => "panicked",
            Self::Lost { .. } => "entries_lost",
            Self::UnknownRecord => "unknown_record",
            Self::Damaged(_) => "damaged",
            Self::CalledOff => "called_off",
            Self::NoSeq => "no_seq",
            Self::UnknownTable(_) => "unknown_table",
            Self::IsMirror => "is_mirror",
            Self::NoMirror => "no_mirror",
            Self::OtherRow { .. } => "other_row",
            Self::Format { .. } => "format",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Busy | Self::Reading | Self::Unknown(_) | Self::Closed | Self::Failed(_) => {
                ProblemKind::Unavailable
            }
            Self::Full { .. } => ProblemKind::Full,
            Self::Taken { .. }
            | Self::Referenced { .. }
            | Self::OtherDigest
            | Self::BlobGone(_) => ProblemKind::Conflict,
            Self::MissingTarget { .. } => ProblemKind::Invalid,
            Self::UnknownRecord => ProblemKind::NotFound,
            Self::CalledOff => ProblemKind::Unavailable,
            Self::Stale => ProblemKind::Stale,
            Self::TooMany { .. } => ProblemKind::Conflict,
            Self::TooLarge { .. } => ProblemKind::TooLarge,
            Self::Reaction { kind, .. } => *kind,
            Self::Nested
            | Self::Decode(_)
            | Self::LogRow { .. }
            | Self::BlobUnnamed { .. }
            | Self::TooDeep(_)
            | Self::Panicked(_)
            | Self::Lost { .. }
            | Self::Damaged(_)
            | Self::NoSeq
            | Self::UnknownTable(_)
            | Self::IsMirror
            | Self::NoMirror
            | Self::OtherRow { .. }
            | Self::Format { .. } => ProblemKind::Internal,
        }
    }
}

/// Any error of redb, as text: its types do not leave this module.
pub(super) fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

/// What a panic said, without the content that it quotes.
pub(super) use kernel::text::panic_words as panic_text;
