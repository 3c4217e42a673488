//! Retention settings. A released layout is frozen: add `…V1`, raise `VERSION`.

use serde::{Deserialize, Serialize};

use store::{Class, Record, Table};

/// Retention settings (one row).
pub const KEEPING: Table = Table::new(95, "retention");

/// Retention of former record versions. Entry heads are kept for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// Versions older than this many days are deleted.
    pub days: u16,
    /// Above this size in MB the oldest versions are deleted, whatever their age. `None` means no limit.
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
