//! The record of a saved view.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{AccountId, Timestamp, TypedId};
use store::{Class, Index, Keys, Record, Table};

kernel::ids! {
    /// A saved view.
    ViewId,
}

/// Saved views.
pub const VIEWS: Table = Table::new(220, "views");
/// Noun and slug.
pub const BY_SLUG: Index = Index::unique(221, "views_by_slug");

/// What a list shows, under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its id.
    pub id: ViewId,
    /// What it is a list of: `tasks`.
    pub noun: String,
    /// What addresses call it.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// One emoji, or nothing.
    pub icon: String,
    /// Whose it is; everybody's when nobody's.
    pub owner: Option<AccountId>,
    /// What it shows.
    pub look: Look,
    /// Its place among the others, from the front.
    pub position: u32,
    /// When it was made.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl View {
    /// Whether somebody may read it and change it: everybody's, or their own.
    #[must_use]
    pub fn is_for(&self, who: AccountId) -> bool {
        self.owner.is_none_or(|owner| owner == who)
    }
}

/// What a list shows, in the words of its addresses; empty where it is as usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Look {
    /// The query.
    pub q: String,
    /// `list`, `board`, `calendar`, `timeline`.
    pub layout: String,
    /// The order.
    pub sort: String,
    /// By what it is put together.
    pub group: String,
    /// The lanes of a board.
    pub lanes: String,
    /// The columns of a list, with commas.
    pub columns: String,
    /// Limits of a board's columns: `in_progress:5,blocked:2`.
    pub wip: String,
}

impl Look {
    /// Every part with its name in an address.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, &str); 7] {
        [
            ("q", &self.q),
            ("layout", &self.layout),
            ("sort", &self.sort),
            ("group", &self.group),
            ("lanes", &self.lanes),
            ("columns", &self.columns),
            ("wip", &self.wip),
        ]
    }
}

impl Record for View {
    type Id = ViewId;
    const TABLE: Table = VIEWS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_SLUG];
    fn id(&self) -> ViewId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_SLUG).text(&self.noun).text(&self.slug);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: ViewId::from_bytes([24; 16]),
            noun: "tasks".into(),
            slug: "launch".into(),
            name: "Launch ü".into(),
            icon: "🚲".into(),
            owner: Some(AccountId::from_bytes([1; 16])),
            look: Look {
                q: "is:open label:launch".into(),
                layout: "board".into(),
                sort: "due".into(),
                group: "assignee".into(),
                lanes: "priority".into(),
                columns: "due,labels".into(),
                wip: "in_progress:5".into(),
            },
            position: 3,
            created_at: at,
            updated_at: at,
        }
    }
}
