//! Records of sources: settings, state, pages, syncs, writes of agents.

mod entry;
mod run;
mod source;
mod write;

use kernel::ids;

pub use entry::{ENTRIES, ENTRIES_BY_ITEM, ENTRIES_BY_SOURCE, Entry, EntryState, entry_id};
pub use run::{Counts, RUNS, RUNS_OPEN, Run, RunState, Why};
pub use source::{SOURCES, STATES, Source, Standing, Status};
pub use write::{WRITES, Write, WriteState};

ids! {
    /// A source of knowledge.
    SourceId,
    /// A page of a source.
    EntryId,
    /// Something that an agent wrote to a source.
    WriteId,
}
