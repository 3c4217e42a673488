//! Writes of a host that arrived after its run was taken away. They are readable and never applied.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Run;
use kernel::{RunId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

pub const RUN_EVIDENCE: Table = Table::new(402, "run_evidence");

/// One late write of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub run: RunId,
    /// Number of the write.
    pub number: u64,
    /// Kind of the write.
    pub kind: String,
    /// Display text.
    pub text: String,
    /// Time of the write by the host's clock.
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
