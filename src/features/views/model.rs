//! The record of a saved view. A released layout is frozen: add `ViewV2`, raise `VERSION`, extend `upgrade`.

use entity::Target;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::key::KeyBuf;
use kernel::{AccountId, Timestamp, TypedId};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec};

kernel::ids! {
    /// A saved view.
    ViewId,
}

pub const VIEWS: Table = Table::new(220, "views");
/// List and slug.
pub const BY_SLUG: Index = Index::unique(221, "views_by_slug");

/// A named look of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub id: ViewId,
    /// Path of the list below the workspace: `tasks`, `contacts`, `collections/<id>`.
    pub noun: String,
    /// URL word.
    pub slug: String,
    pub name: String,
    /// One emoji, or empty.
    pub icon: String,
    /// Owner of a private view. `None` for a shared view.
    pub owner: Option<AccountId>,
    pub look: Look,
    /// Ascending.
    pub position: u32,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Record that owns the list, such as a collection. The view is deleted with it.
    pub within: Option<Target>,
}

impl View {
    /// Returns `true` if the account may see and change the view.
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
    /// What stands below columns: `price:average,email:filled`.
    pub foot: String,
}

impl Look {
    /// Every value with its URL parameter.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, &str); 8] {
        [
            ("q", &self.q),
            ("layout", &self.layout),
            ("sort", &self.sort),
            ("group", &self.group),
            ("lanes", &self.lanes),
            ("columns", &self.columns),
            ("wip", &self.wip),
            ("foot", &self.foot),
        ]
    }
}

/// A built-in or saved view of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListView {
    /// `None` for a built-in view.
    pub id: Option<ViewId>,
    /// `true` if everybody sees it.
    pub shared: bool,
    /// `true` for the default view.
    pub first: bool,
    /// URL word.
    pub slug: String,
    pub name: String,
    /// One emoji, or empty.
    pub icon: String,
    pub look: Look,
}

impl ListView {
    #[must_use]
    pub fn built_in(slug: &str, name: &str, q: &str) -> Self {
        Self {
            id: None,
            shared: true,
            first: false,
            slug: slug.to_owned(),
            name: name.to_owned(),
            icon: String::new(),
            look: Look { q: q.to_owned(), ..Look::default() },
        }
    }

    /// Icon and name.
    #[must_use]
    pub fn label(&self) -> String {
        match self.icon.as_str() {
            "" => self.name.clone(),
            icon => format!("{icon} {}", self.name),
        }
    }
}

impl From<View> for ListView {
    fn from(saved: View) -> Self {
        Self {
            id: Some(saved.id),
            shared: saved.owner.is_none(),
            first: false,
            slug: saved.slug,
            name: saved.name,
            icon: saved.icon,
            look: saved.look,
        }
    }
}

/// The layout in which only task lists had views.
#[derive(Deserialize)]
struct ViewV1 {
    id: ViewId,
    noun: String,
    slug: String,
    name: String,
    icon: String,
    owner: Option<AccountId>,
    look: LookV1,
    position: u32,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct LookV1 {
    q: String,
    layout: String,
    sort: String,
    group: String,
    lanes: String,
    columns: String,
    wip: String,
}

impl From<ViewV1> for View {
    fn from(old: ViewV1) -> Self {
        let LookV1 { q, layout, sort, group, lanes, columns, wip } = old.look;
        Self {
            id: old.id,
            noun: old.noun,
            slug: old.slug,
            name: old.name,
            icon: old.icon,
            owner: old.owner,
            look: Look { q, layout, sort, group, lanes, columns, wip, foot: String::new() },
            position: old.position,
            created_at: old.created_at,
            updated_at: old.updated_at,
            within: None,
        }
    }
}

impl Record for View {
    type Id = ViewId;
    const TABLE: Table = VIEWS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[BY_SLUG];
    fn id(&self) -> ViewId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_SLUG).text(&self.noun).text(&self.slug);
    }
    fn refs(&self, refs: &mut Refs) {
        if let Some(Target { table, id }) = self.within {
            // All ids have the same key format.
            let key = KeyBuf::of(&ViewId::from_uuid(id)).into_bytes();
            refs.to_root(1, Root { table, key }, OnDelete::Cascade);
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<ViewV1>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version }),
        }
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
                foot: "price:average".into(),
            },
            position: 3,
            created_at: at,
            updated_at: at,
            within: Some(Target { table: 316, id: ViewId::from_bytes([62; 16]).uuid() }),
        }
    }
}
