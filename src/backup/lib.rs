//! Backups of a whole HQ: a repository of pieces named by their content, at a folder or at S3.
//!
//! ```text
//! hq-backups.json         format, id, and the wrapped key if the repository is encrypted
//! hq-backups.spare.json   the same once more
//! manifests/<id>          one for each backup; it exists when this is there
//! chunks/ab/abcd…         pieces of content, packed with zstd, named by their SHA-256
//!                         (by HMAC-SHA-256 and sealed with AES-256-GCM if encrypted)
//! running/<id>-<work>     who is at work; heeded for a day
//! damaged/                pieces that were found damaged, for whoever wants to look, and manifests that cannot
//!                         be read and that somebody has put aside
//! tmp/                    half-written files
//! ```
//!
//! A store is read in one snapshot, its tables in the order of their keys; a tree of files one after
//! the other; a blob by itself. Each becomes a row of bytes that is cut by what it holds, so that what
//! did not change is a piece that is there already. Every file ends with the SHA-256 of what stands
//! before it, and every part of a manifest has its own: a changed byte is found wherever it is.
//!
//! The master key is never part of a backup. What a store seals stays sealed in it.

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
pub use progress::{Busy, Desk, Held, Meter, Phase, Progress};
pub use prune::{Pruned, Retention, Taken, forget, prune};
pub use repo::{MANIFESTS, Owner, Repository};
pub use restore::{room, settle, write_out};
pub use s3::{Means, S3Keys, open_target};
pub use swap::{Swap, clear as clear_staged, finish as finish_swap, is_staged};
pub use target::{Folder, Object, Target};

/// The format of a repository. A newer program reads older ones.
pub const FORMAT: u32 = 1;
