//! What a machine said of a run after that had been taken from it: readable, and never applied.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Run;
use kernel::{RunId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

/// What came too late of runs.
pub const RUN_EVIDENCE: Table = Table::new(402, "run_evidence");

/// One thing that a machine said of a run that was not its own any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub run: RunId,
    /// Which of its writes it was.
    pub number: u64,
    /// What kind of write, in a word.
    pub kind: String,
    /// What it says, for people.
    pub text: String,
    /// When it was written there, by the clock of that machine.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub came_at: Timestamp,
}

impl Record for Evidence {
    type Id = (RunId, u64);
    const TABLE: Table = RUN_EVIDENCE;
    const CLASS: Class = Class::Work;
    fn id(&self) -> (RunId, u64) {
        (self.run, self.number)
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Run>(1, Some(self.run), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Run>(self.run)
    }
    fn sample() -> Self {
        Self {
            run: RunId::from_bytes([8; 16]),
            number: 12,
            kind: "call_paid".into(),
            text: "The bells are counted.".into(),
            at: kernel::time::from_ms(1_700_000_000_000),
            came_at: kernel::time::from_ms(1_700_000_100_000),
        }
    }
}
