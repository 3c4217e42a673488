//! Errors of the store.

use kernel::{Problem, ProblemKind};

use super::blob::BlobId;
use super::codec::DecodeError;

/// Why a read or write failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue was full for too long.
    #[error("the store is busy; try again")]
    Busy,
    /// A long read is running, and this needs the whole file.
    #[error("a backup or another long read is using this store; try again when it is done")]
    Reading,
    /// The disk is nearly full.
    #[error(
        "the disk is nearly full ({free_mb} MB free, {reserve_mb} MB reserved); free some space \
         and try again"
    )]
    Full {
        /// Free space in MB.
        free_mb: u64,
        /// Reserve in MB.
        reserve_mb: u64,
    },
    /// The disk failed; nothing was written.
    #[error("the disk failed and nothing was saved: {0}")]
    Failed(String),
    /// The outcome of the write is unknown.
    #[error("the outcome of this write is unknown; retry with the same Idempotency-Key: {0}")]
    Unknown(String),
    /// The store was called from inside a write, or written to from inside a read.
    #[error("the store was called from inside a write, or for a write from inside a read")]
    Nested,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// Stored bytes could not be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Another record has this unique key.
    #[error("{index} is already in use")]
    Taken {
        /// Name of the index.
        index: &'static str,
    },
    /// A reference has no target.
    #[error("the {table} that this refers to does not exist")]
    MissingTarget {
        /// Table of the missing target.
        table: &'static str,
    },
    /// Another record still refers to this one.
    #[error("a {table} still refers to this; change that first")]
    Referenced {
        /// Table of the referring record.
        table: &'static str,
    },
    /// The record changed since it was read.
    #[error("this has changed since you read it; read it again")]
    Stale,
    /// The blob was deleted because nothing referenced it for a day.
    #[error("the file {0} was deleted because nothing referred to it; upload it again")]
    BlobGone(BlobId),
    /// A record type does not name a blob that it holds, so a sweep would delete the blob.
    #[error("a {table} holds the file {blob} without naming it; this is a bug")]
    BlobUnnamed {
        /// Table of the record.
        table: &'static str,
        /// The unnamed blob.
        blob: BlobId,
    },
    /// Log rows cannot be changed.
    #[error("rows of {table} are never changed")]
    LogRow {
        /// Table of the row.
        table: &'static str,
    },
    /// A deletion, reaction or undo would change too many rows.
    #[error("this would change more than {limit} rows ({count} so far); split it")]
    TooMany {
        /// Rows counted so far.
        count: usize,
        /// Maximum number of rows.
        limit: usize,
    },
    /// The record is too large.
    #[error("a {table} of {size} bytes is too large (at most {limit})")]
    TooLarge {
        /// Table of the record.
        table: &'static str,
        /// Its size in bytes.
        size: usize,
        /// Maximum size in bytes.
        limit: usize,
    },
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for a different request")]
    OtherDigest,
    /// A reaction returned an error.
    #[error("{reaction}: {message}")]
    Reaction {
        /// Name of the reaction.
        reaction: &'static str,
        /// Message of its error.
        message: String,
        /// Code of its error.
        code: &'static str,
        /// Kind of its error.
        kind: ProblemKind,
    },
    /// Reactions were nested too deeply.
    #[error("reactions went deeper than {0}; this is a bug")]
    TooDeep(u8),
    /// A write, or a thread that reads the store, panicked.
    #[error("this was aborted because of a bug: {0}")]
    Panicked(String),
    /// The file ends before acknowledged entries.
    #[error("the file ends at entry {found}, though {known} was acknowledged; restore a backup")]
    Lost {
        /// The last entry of the file.
        found: u64,
        /// The last acknowledged entry.
        known: u64,
    },
    /// The store has no trace of this record, present or past.
    #[error("there is no such record, and there never was; check its table and id")]
    UnknownRecord,
    /// The disk returned other bytes than were written.
    #[error("{0}; keep the file, and restore a backup with `hq restore`")]
    Damaged(String),
    /// The operation was cancelled.
    #[error("this was cancelled")]
    CalledOff,
    /// [`WriteTx::seq`](crate::WriteTx::seq) was called before anything was written that belongs in the feed.
    #[error("this transaction has no number yet: it has written nothing that the feed keeps")]
    NoSeq,
    /// The schema has no such table.
    #[error("table {0} is not in the schema")]
    UnknownTable(u16),
    /// A mirror was opened as a regular store.
    #[error("this file mirrors a part of another store; it is none of its own")]
    IsMirror,
    /// A mirror operation was called on a regular store.
    #[error("this store isn't a mirror")]
    NoMirror,
    /// The bytes of a mirrored row belong to another row.
    #[error("the bytes of a row of {table} are those of another row")]
    OtherRow {
        /// Table of the row.
        table: &'static str,
    },
    /// Another program version wrote the file.
    #[error(
        "this data folder has format {found}, but this program reads {known}; use the program \
         version that wrote it"
    )]
    Format {
        /// Format of the file.
        found: u32,
        /// Format of this program.
        known: u32,
    },
}

impl StoreError {
    /// Converts an I/O error of a file beside the store. Lack of space becomes `Full`, as for a write of records.
    #[must_use]
    pub fn of_file(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        if !matches!(error.kind(), StorageFull | QuotaExceeded) {
            return Self::Failed(error.to_string());
        }
        let no_room = error.get_ref().and_then(|inner| inner.downcast_ref::<NoRoom>());
        let NoRoom { free, reserve } = no_room.copied().unwrap_or(NoRoom { free: 0, reserve: 0 });
        super::disk::full(free, reserve.max(super::disk::reserve(0)))
    }
}

/// Free space and required reserve in bytes. The inner error of a refused file write.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the disk is nearly full ({} MB free, {} MB reserved)", free >> 20, reserve >> 20)]
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

/// Converts an error of redb to text: redb's types stay in this package.
pub(super) fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

/// Formats a panic without the content that it quotes.
pub(super) use kernel::text::panic_words as panic_text;
