//! Sources: what people set, and how it stands with them. The two are records of their own, so that an undo takes back
//! what was set and never what a sync has found.

use std::collections::BTreeMap;

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Part, Timestamp, TypedId as _};
use knowledge::model::{Folder, FolderId};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Root, Table};

use super::SourceId;

pub const SOURCES: Table = Table::new(342, "sources");
/// How it stands with sources.
pub const STATES: Table = Table::new(343, "source_states");

/// A source of knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub id: SourceId,
    pub name: String,
    /// The id of its connector.
    pub provider: String,
    /// What is read, by the keys of the connector's manifest.
    pub reads: BTreeMap<String, String>,
    /// How many hours lie between two syncs.
    pub interval_hours: u32,
    /// Whether it rests until somebody asks.
    pub paused: bool,
    /// Whether agents may write to it.
    pub writable: bool,
    /// The folder in which its new items lie.
    pub folder: Option<FolderId>,
    /// Who added it.
    pub by: Actor,
    /// When it was added.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When what is set last changed.
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

/// How it stands with a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub source: SourceId,
    /// How it stands.
    pub status: Status,
    /// When it is synced next.
    #[serde(with = "millisecond::required")]
    pub next_at: Timestamp,
    /// Whether somebody asked for a sync.
    pub asked: bool,
    /// Where the next delta goes on, as the connector said.
    pub cursor: String,
    /// Syncs that failed in a row.
    pub failures: u32,
    /// What people should know, in sentences.
    pub message: String,
    /// How many items a sync would take away, and waits for a yes.
    pub asks: u32,
    /// Whether a person has said yes.
    pub allowed: bool,
    /// When it was last synced well.
    #[serde(with = "millisecond::optional")]
    pub synced_at: Option<Timestamp>,
    /// How many syncs there were.
    pub runs: u32,
}

impl Standing {
    /// How it stands with a source that was never synced: it is due.
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

    /// The moment from which the source is due; none while it waits for a person.
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
    // Nobody's work: an undo has nothing to take back of it.
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
