//! Marks: names that people give to versions. One row per item.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Root, Table};

use super::{Item, KnowledgeId};

/// Marks on versions.
pub const MARKS: Table = Table::new(385, "knowledge_marks");

/// Maximum length of a name, in characters.
pub const LONGEST: usize = 80;
/// Maximum number of marks per item.
pub const MOST: usize = 100;

/// A mark on a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The version number.
    pub n: u32,
    pub name: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// The marks of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    pub item: KnowledgeId,
    /// Newest version first.
    pub marks: Vec<Mark>,
}

impl Marks {
    /// The name of a version.
    #[must_use]
    pub fn name(&self, n: u32) -> Option<&str> {
        self.marks.iter().find(|mark| mark.n == n).map(|mark| mark.name.as_str())
    }
}

impl Record for Marks {
    type Id = KnowledgeId;
    const TABLE: Table = MARKS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> KnowledgeId {
        self.item
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Item>(1, Some(self.item), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Item>(self.item)
    }
    fn sample() -> Self {
        Self {
            item: KnowledgeId::from_bytes([72; 16]),
            marks: vec![Mark {
                n: 1,
                name: "As signed".into(),
                by: Actor::System(Part::Setup),
                at: kernel::time::from_ms(1_700_000_000_000),
            }],
        }
    }
}
