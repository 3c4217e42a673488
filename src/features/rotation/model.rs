//! Record of a master key rotation, from its start until everything is resealed.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::time::from_ms;
use kernel::{Actor, JobId, Part, Timestamp, TypedId as _};
use store::{Class, Record, Table};

pub const ROTATIONS: Table = Table::new(396, "key_rotations");

/// A master key rotation. Written before the key file changes, so that the next start knows the intention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    pub id: JobId,
    /// Id of the former key.
    pub from: String,
    /// Id of the new key.
    pub to: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub begun_at: Timestamp,
    /// Finished stores: `system.redb`, then workspaces by slug.
    pub through: Vec<String>,
    /// Number of resealed rows.
    pub sealed: u64,
    /// Number of values that no available key can decrypt. They stay unchanged.
    pub shut: u64,
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
