//! All writes to knowledge.

mod choice;
mod delivered;
mod folders;
mod items;
mod marks;
mod read;
mod suggestions;
mod synced;
mod uses;
mod words;

pub use choice::note as note_model;
pub(crate) use delivered::{deliverables_folder, note_verdict, restore_delivered};
pub use folders::{FolderPatch, change_folder, make_folder, remove_folder};
pub(crate) use items::too_long;
pub use items::{
    MOST_AT_ONCE, NewItem, Patch, attach, change, change_all, create, may_write, remove, title_over,
};
pub use marks::{mark, unmark};
pub use read::{begin_reading, is_unread, read_again, read_anew, read_of};
pub use suggestions::{NewSuggestion, Settled, dismiss, suggest, take};
pub use synced::{Synced, drop_synced, keep_synced, own_synced};
pub(crate) use uses::{note_comment, note_delivery, note_read, note_start};
pub use words::write;
