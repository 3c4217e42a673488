//! All writes to sources.

mod items;
mod runs;
mod sources;
mod writes;

pub use items::{Arrived, Heard, answer, apply, gone, hear, missing};
pub use runs::{Begun, Ended, begin, end, interrupted, progress, prune};
pub use sources::{Leaves, NewSource, Patch, change, create, remove, sync_now};
pub use writes::{begin_write, end_write};
