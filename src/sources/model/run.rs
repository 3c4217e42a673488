//! Record of a sync: times and counts. Kept for 90 days, at most 200 per source.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::{Source, SourceId};

pub const RUNS: Table = Table::new(347, "source_runs");
/// Syncs that have not ended.
pub const RUNS_OPEN: Index = Index::multi(348, "source_runs_open");

kernel::words! {
    /// How far a sync is.
    RunState {
        /// It goes on.
        Running = "running", "Running";
        /// It went to its end.
        Done = "done", "Done";
        /// It did not.
        Failed = "failed", "Failed";
    }
}

kernel::words! {
    /// Why a sync began.
    Why {
        /// It was due.
        Schedule = "schedule", "Schedule";
        /// Somebody asked.
        Manual = "manual", "Manual";
    }
}

/// What a sync found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Counts {
    /// Pages that were seen.
    pub seen: u32,
    /// New items.
    pub new: u32,
    /// Items with other words.
    pub changed: u32,
    /// Items that went away.
    pub gone: u32,
    /// Pages that could not be read.
    pub failed: u32,
    /// Pages that were left out.
    pub skipped: u32,
    /// Requests that were made.
    pub requests: u32,
    /// Bytes that came.
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub source: SourceId,
    /// Number within the source, from 1.
    pub n: u32,
    pub state: RunState,
    pub why: Why,
    pub counts: Counts,
    /// Notes for people.
    pub message: String,
    #[serde(with = "millisecond::required")]
    pub began_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
}

impl Record for Run {
    type Id = (SourceId, u32);
    const TABLE: Table = RUNS;
    const CLASS: Class = Class::Sealed;
    const INDEXES: &'static [Index] = &[RUNS_OPEN];
    fn id(&self) -> (SourceId, u32) {
        (self.source, self.n)
    }
    fn index(&self, keys: &mut Keys) {
        if self.state == RunState::Running {
            keys.entry(RUNS_OPEN);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Source>(1, Some(self.source), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Source>(self.source)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            source: SourceId::from_bytes([80; 16]),
            n: 3,
            state: RunState::Failed,
            why: Why::Manual,
            counts: Counts { seen: 9, changed: 1, bytes: 90, ..Counts::default() },
            message: "HQ ended while it went on.".into(),
            began_at: at,
            ended_at: Some(at),
        }
    }
}
