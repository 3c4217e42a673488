//! All writes to knowledge.

mod choice;
mod folders;
mod items;
mod read;
mod synced;
mod words;

pub use choice::note as note_model;
pub use folders::{FolderPatch, change_folder, make_folder, remove_folder};
pub(crate) use items::too_long;
pub use items::{NewItem, Patch, change, create, may_write, remove, title_over};
pub use read::{begin_reading, read_again, read_anew, read_of};
pub use synced::{Synced, drop_synced, keep_synced, own_synced};
pub use words::write;
