//! Sources: settings and state. They are separate records, so that undo reverts settings only, never results of syncs.

use std::collections::BTreeMap;

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Part, Timestamp, TypedId as _};
use knowledge::model::{Folder, FolderId};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Root, Table};

use super::SourceId;

pub const SOURCES: Table = Table::new(342, "sources");
pub const STATES: Table = Table::new(343, "source_states");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub id: SourceId,
    pub name: String,
    /// Id of the connector.
    pub provider: String,
    /// Values by the keys of the connector's manifest.
    pub reads: BTreeMap<String, String>,
    /// Hours between syncs.
    pub interval_hours: u32,
    /// No automatic syncs.
    pub paused: bool,
    /// Agents may write to the source.
    pub writable: bool,
    /// Folder for new items.
    pub folder: Option<FolderId>,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When the settings last changed.
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl Record for Source {
    type Id = SourceId;
    const TABLE: Table = SOURCES;
    const CLASS: Class = Class::Tracked;
    const STAMPS: &'static [&'static str] = &["updated_at"];
    fn id(&self) -> SourceId {
        self.id
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Folder>(0, self.folder, OnDelete::Clear);
    }
    fn clear(&mut self, _field: u8) {
        self.folder = None;
    }
    fn root(&self) -> Root {
        Root::of::<Self>(self.id)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: SourceId::from_bytes([80; 16]),
            name: "Handbook ü".into(),
            provider: "folder".into(),
            reads: BTreeMap::from([("path".into(), "/srv/handbook".into())]),
            interval_hours: 6,
            paused: false,
            writable: true,
            folder: Some(FolderId::from_bytes([70; 16])),
            by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
        }
    }
}

kernel::words! {
    /// How it stands with a source.
    Status {
        /// It is read.
        Active = "active", "Active";
        /// It does not let HQ in any more; it waits for a person.
        Expired = "expired", "Expired";
        /// The last sync failed; it is tried again.
        Error = "error", "Error";
    }
}

/// State of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub source: SourceId,
    pub status: Status,
    #[serde(with = "millisecond::required")]
    pub next_at: Timestamp,
    /// A person or program requested a sync.
    pub asked: bool,
    /// The connector's position for the next incremental sync.
    pub cursor: String,
    /// Consecutive failed syncs.
    pub failures: u32,
    /// Notes for people.
    pub message: String,
    /// Number of items whose removal waits for an approval.
    pub asks: u32,
    /// A person has approved the removal.
    pub allowed: bool,
    /// Last successful sync.
    #[serde(with = "millisecond::optional")]
    pub synced_at: Option<Timestamp>,
    /// Number of syncs.
    pub runs: u32,
}

impl Standing {
    /// State of a source that was never synced: due at `at`.
    #[must_use]
    pub fn new(source: SourceId, at: Timestamp) -> Self {
        Self {
            source,
            status: Status::Active,
            next_at: at,
            asked: false,
            cursor: String::new(),
            failures: 0,
            message: String::new(),
            asks: 0,
            allowed: false,
            synced_at: None,
            runs: 0,
        }
    }

    /// When the source is due; `None` while it waits for a person.
    #[must_use]
    pub fn due(&self, paused: bool) -> Option<Timestamp> {
        match (self.asked, paused || self.status == Status::Expired) {
            (true, _) => Some(Timestamp::MIN),
            (false, true) => None,
            (false, false) => Some(self.next_at),
        }
    }
}

impl Record for Standing {
    type Id = SourceId;
    const TABLE: Table = STATES;
    // Sealed: undo has nothing to revert here.
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> SourceId {
        self.source
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
            status: Status::Error,
            next_at: at,
            asked: true,
            cursor: "7".into(),
            failures: 2,
            message: "There is no folder /srv/handbook.".into(),
            asks: 60,
            allowed: false,
            synced_at: Some(at),
            runs: 9,
        }
    }
}
