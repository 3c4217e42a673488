//! Mask patterns of the workspace: matches are masked in addition to known key formats.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Record, Table};

use super::MaskId;

pub const SECRET_MASKS: Table = Table::new(367, "secret_masks");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask {
    pub id: MaskId,
    /// What the pattern finds, in a person's words.
    pub name: String,
    /// Regular expression.
    pub pattern: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Mask {
    type Id = MaskId;
    const TABLE: Table = SECRET_MASKS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> MaskId {
        self.id
    }
    fn sample() -> Self {
        Self {
            id: MaskId::from_bytes([94; 16]),
            name: "Staff numbers ü".into(),
            pattern: "EMP-[0-9]{6}".into(),
            by: Actor::System(Part::Setup),
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
