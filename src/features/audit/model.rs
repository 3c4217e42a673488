//! What is kept, and for how long. A released layout is frozen: add `…V1`, raise `VERSION`.

use serde::{Deserialize, Serialize};

use store::{Class, Record, Table};

/// How long former versions are kept (one row).
pub const KEEPING: Table = Table::new(95, "retention");

/// How long former versions of records are kept. Who did what is kept for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// Former versions older than so many days go.
    pub days: u16,
    /// Above so many MB the oldest go, whatever their age; nothing sets no limit.
    pub megabytes: Option<u32>,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { days: 30, megabytes: None }
    }
}

impl Record for Keeping {
    type Id = ();
    const TABLE: Table = KEEPING;
    const CLASS: Class = Class::Tracked;
    fn id(&self) {}
    fn sample() -> Self {
        Self { days: 30, megabytes: Some(512) }
    }
}
