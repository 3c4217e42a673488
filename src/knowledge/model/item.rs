//! Items of knowledge. The words of an item lie in records of their own, so that a list of many items reads none.

use features::agents::model::Agent;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::key::KeyBuf;
use kernel::{Actor, AgentId, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{
    BlobId, BlobRefs, Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec,
};

use super::{Folder, FolderId, KnowledgeId};

pub const ITEMS: Table = Table::new(332, "knowledge_items");
/// The folder, or the page that a file stands in.
pub const BY_FOLDER: Index = Index::multi(333, "knowledge_items_by_folder");
/// The title in small letters.
pub const BY_TITLE: Index = Index::multi(334, "knowledge_items_by_title");
/// The agents that have it in front of them; all of them under [`EVERY_AGENT`].
pub const BY_AGENT: Index = Index::multi(335, "knowledge_items_by_agent");
/// Every agent, in [`BY_AGENT`].
pub const EVERY_AGENT: [u8; 16] = [0; 16];

kernel::words! {
    /// The kind of an item.
    ItemKind {
        /// Words that people and agents write.
        Page = "page", "Page";
        /// How something is done.
        Skill = "skill", "Skill";
        /// A file with the words that were read in it.
        File = "file", "File";
        /// What lies elsewhere and is kept up to date here; nobody writes it here.
        Source = "source", "Synced";
    }
}

impl ItemKind {
    /// The word for several.
    #[must_use]
    pub fn many(self) -> &'static str {
        match self {
            Self::Page => "Pages",
            Self::Skill => "Skills",
            Self::File => "Files",
            Self::Source => "Synced",
        }
    }

    /// Its icon.
    #[must_use]
    pub fn glyph(self) -> &'static str {
        match self {
            Self::Page => "doc",
            Self::Skill => "spark",
            Self::File => "file",
            Self::Source => "refresh",
        }
    }

    /// Whether somebody writes it.
    #[must_use]
    pub fn is_written(self) -> bool {
        !self.is_outside()
    }

    /// Whether its words come from outside: they are data, and stand in front of nobody without a person's yes.
    #[must_use]
    pub fn is_outside(self) -> bool {
        matches!(self, Self::File | Self::Source)
    }
}

kernel::words! {
    /// Who has an item in front of them when they start to work.
    Scope {
        /// Nobody; everybody finds it.
        Library = "library", "On search";
        /// Chosen agents. Other agents do not even find it.
        Agent = "agent", "Chosen agents";
        /// Every agent.
        Workspace = "workspace", "Every agent";
    }
}

/// The file of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBody {
    pub name: String,
    /// Its content.
    pub blob: BlobId,
    /// Its size in bytes.
    pub size: u64,
    /// What its bytes say it is.
    pub media: String,
}

/// An item of knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub id: KnowledgeId,
    /// Its kind; it stays.
    pub kind: ItemKind,
    pub title: String,
    /// One emoji, or nothing.
    pub icon: String,
    /// Where it lies.
    pub folder: Option<FolderId>,
    /// Who has it in front of them.
    pub scope: Scope,
    /// The chosen agents, where the scope is that.
    pub agents: Vec<AgentId>,
    /// Whether all of it stands in the start-up context, or its title alone; by its kind and length when nobody chose.
    pub full: Option<bool>,
    pub tags: Vec<String>,
    /// The file, of such an item alone.
    pub file: Option<FileBody>,
    pub by: Actor,
    /// Who changed it last.
    pub edited_by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When it, or its words, last changed.
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Since when it is out of the way.
    #[serde(with = "millisecond::optional")]
    pub archived_at: Option<Timestamp>,
    /// The page that a file stands in: it has that page's readers, is found through it alone, and goes with it.
    pub page: Option<KnowledgeId>,
    /// The label of the encoding that somebody chose for the text in its file; found by HQ where there is none.
    pub encoding: Option<String>,
}

/// The layout before the encoding could be chosen.
#[derive(Deserialize)]
struct ItemV2 {
    id: KnowledgeId,
    kind: ItemKind,
    title: String,
    icon: String,
    folder: Option<FolderId>,
    scope: Scope,
    agents: Vec<AgentId>,
    full: Option<bool>,
    tags: Vec<String>,
    file: Option<FileBody>,
    by: Actor,
    edited_by: Actor,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    archived_at: Option<Timestamp>,
    page: Option<KnowledgeId>,
}

impl From<ItemV2> for Item {
    fn from(old: ItemV2) -> Self {
        Self {
            title: old.title,
            icon: old.icon,
            folder: old.folder,
            scope: old.scope,
            agents: old.agents,
            full: old.full,
            tags: old.tags,
            file: old.file,
            edited_by: old.edited_by,
            updated_at: old.updated_at,
            archived_at: old.archived_at,
            page: old.page,
            ..Self::new((old.id, old.kind), old.by, old.created_at)
        }
    }
}

/// The first layout.
#[derive(Deserialize)]
struct ItemV1 {
    id: KnowledgeId,
    kind: ItemKind,
    title: String,
    icon: String,
    folder: Option<FolderId>,
    scope: Scope,
    agents: Vec<AgentId>,
    full: Option<bool>,
    tags: Vec<String>,
    file: Option<FileBody>,
    by: Actor,
    edited_by: Actor,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    archived_at: Option<Timestamp>,
}

impl From<ItemV1> for Item {
    fn from(old: ItemV1) -> Self {
        Self {
            title: old.title,
            icon: old.icon,
            folder: old.folder,
            scope: old.scope,
            agents: old.agents,
            full: old.full,
            tags: old.tags,
            file: old.file,
            edited_by: old.edited_by,
            updated_at: old.updated_at,
            archived_at: old.archived_at,
            ..Self::new((old.id, old.kind), old.by, old.created_at)
        }
    }
}

impl Item {
    /// An item that says nothing yet.
    #[must_use]
    pub fn new((id, kind): (KnowledgeId, ItemKind), by: Actor, now: Timestamp) -> Self {
        Self {
            id,
            kind,
            title: String::new(),
            icon: String::new(),
            folder: None,
            scope: Scope::Library,
            agents: Vec::new(),
            full: None,
            tags: Vec::new(),
            file: None,
            by,
            edited_by: by,
            created_at: now,
            updated_at: now,
            archived_at: None,
            page: None,
            encoding: None,
        }
    }

    /// Whether an agent may see it at all.
    #[must_use]
    pub fn is_for(&self, agent: AgentId) -> bool {
        is_for(self.scope, &self.agents, agent)
    }
}

/// Whether an agent may see what has a scope and was given to these agents.
pub(crate) fn is_for(scope: Scope, agents: &[AgentId], agent: AgentId) -> bool {
    scope != Scope::Agent || agents.contains(&agent)
}

/// The key of a title in [`BY_TITLE`].
#[must_use]
pub fn title_key(title: &str) -> KeyBuf {
    let mut key = KeyBuf::new();
    key.text(kernel::text::cut(&title.trim().to_lowercase(), 300));
    key
}

impl Record for Item {
    type Id = KnowledgeId;
    const TABLE: Table = ITEMS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 3;
    const INDEXES: &'static [Index] = &[BY_FOLDER, BY_TITLE, BY_AGENT];
    const TOGETHER: &'static [&'static [&'static str]] = &[&["scope", "agents"]];
    const STAMPS: &'static [&'static str] = &["updated_at", "edited_by"];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|item, blobs| {
        if let Some(file) = &item.file {
            blobs.one(file.blob);
        }
    });
    fn id(&self) -> KnowledgeId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if let Some(page) = self.page {
            // Nobody has it in front of them, and no link means it by its name.
            keys.entry(BY_FOLDER).part(page);
            return;
        }
        if let Some(folder) = self.folder {
            keys.entry(BY_FOLDER).part(folder);
        }
        keys.entry(BY_TITLE).raw(title_key(&self.title).bytes());
        if self.scope == Scope::Workspace {
            keys.entry(BY_AGENT).part(AgentId::from_bytes(EVERY_AGENT));
        }
        for agent in &self.agents {
            keys.entry(BY_AGENT).part(*agent);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Folder>(0, self.folder, OnDelete::Clear);
        refs.to::<Self>(255, self.page, OnDelete::Cascade);
        for (n, agent) in self.agents.iter().enumerate() {
            if let Ok(n) = u8::try_from(n + 1) {
                refs.to::<Agent>(n, Some(*agent), OnDelete::Clear);
            }
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<ItemV1>(body).map(Self::from),
            2 => codec::decode::<ItemV2>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: ITEMS.name, version }),
        }
    }
    fn clear(&mut self, field: u8) {
        match usize::from(field).checked_sub(1) {
            None => self.folder = None,
            Some(n) if n < self.agents.len() => {
                self.agents.remove(n);
            }
            Some(_) => {}
        }
    }
    fn root(&self) -> Root {
        Root::of::<Self>(self.id)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: KnowledgeId::from_bytes([72; 16]),
            kind: ItemKind::File,
            title: "lease-contract ü.pdf".into(),
            icon: "📄".into(),
            folder: Some(FolderId::from_bytes([70; 16])),
            scope: Scope::Agent,
            agents: vec![AgentId::from_bytes([5; 16])],
            full: Some(false),
            tags: vec!["lease".into()],
            file: Some(FileBody {
                name: "lease-contract ü.pdf".into(),
                blob: BlobId::of(b"%PDF-1.7"),
                size: 8,
                media: "application/pdf".into(),
            }),
            by: Actor::System(Part::Setup),
            edited_by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
            archived_at: None,
            page: Some(KnowledgeId::from_bytes([73; 16])),
            encoding: Some("koi8-r".into()),
        }
    }
}
