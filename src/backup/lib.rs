//! Backups of a whole HQ: repositories of content-addressed chunks, in a folder or in S3.
//!
//! ```text
//! hq-backups.json         format, id, and the wrapped key if the repository is encrypted
//! hq-backups.spare.json   second copy
//! manifests/<id>          one per backup; the backup exists once this file does
//! chunks/ab/abcd…         chunks, compressed with zstd, named by their SHA-256
//!                         (by HMAC-SHA-256 and sealed with AES-256-GCM if encrypted)
//! running/<id>-<work>     markers of running work; ignored after a day
//! damaged/                damaged chunks, kept for inspection, and unreadable manifests that a person moved aside
//! tmp/                    incomplete files
//! ```
//!
//! A store is read in one snapshot, in the order of tables and keys; file trees and blobs follow. Each becomes a byte
//! stream that is cut by content, so that unchanged data gives existing chunks. Every file and every part of a manifest
//! has a SHA-256, so any changed byte is detected.
//!
//! Backups never contain the master key. Values sealed in a store stay sealed.

mod address;
mod check;
mod error;
mod head;
mod histories;
mod make;
mod manifest;
mod pieces;
pub mod portable;
mod progress;
mod prune;
mod repo;
mod restore;
mod s3;
mod stream;
mod swap;
mod target;
mod walk;

pub use address::{Address, S3Address, Style, apart};
pub use check::{Checked, verify};
pub use error::BackupError;
pub use head::mend as mend_head;
pub use histories::{Histories, History, look_through_histories};
pub use make::{Listed, Source, SourceWorkspace, make};
pub use manifest::{Manifest, Part, PartKind, StoreFacts};
pub use progress::{BackupJob, Busy, Held, Meter, Phase, Progress};
pub use prune::{Pruned, Retention, Taken, forget, prune};
pub use repo::{MANIFESTS, Owner, Repository};
pub use restore::{room, settle, write_out};
pub use s3::{Means, S3Keys, open_target};
pub use swap::{Swap, clear as clear_staged, finish as finish_swap, is_staged};
pub use target::{Folder, Object, Target};

/// Repository format. Newer programs read older formats.
pub const FORMAT: u32 = 1;
