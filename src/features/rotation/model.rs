//! One change of the master key, from the moment that it is chosen until everything is sealed anew.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::time::from_ms;
use kernel::{Actor, JobId, Part, Timestamp, TypedId as _};
use store::{Class, Record, Table};

/// Changes of the master key.
pub const ROTATIONS: Table = Table::new(396, "key_rotations");

/// A change of the master key. It is written before the file of the key changes, so that a start knows what was meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    pub id: JobId,
    /// Names the key of before.
    pub from: String,
    /// Names the key that takes its place.
    pub to: String,
    /// Who wants it.
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub begun_at: Timestamp,
    /// The stores that are through: `system.redb`, then workspaces by their addresses.
    pub through: Vec<String>,
    /// How many rows were sealed anew.
    pub sealed: u64,
    /// How many values open with no key that is here; they stay as they are.
    pub shut: u64,
    /// Since when everything is sealed anew.
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
}

impl Record for Rotation {
    type Id = JobId;
    const TABLE: Table = ROTATIONS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> JobId {
        self.id
    }
    fn sample() -> Self {
        let at = from_ms(1_700_000_000_000);
        Self {
            id: JobId::from_bytes([3; 16]),
            from: "00aabbcc".into(),
            to: "11ddeeff".into(),
            by: Actor::System(Part::Setup),
            begun_at: at,
            through: vec!["system.redb".into(), "acme".into()],
            sealed: 12,
            shut: 1,
            ended_at: Some(at),
        }
    }
}
