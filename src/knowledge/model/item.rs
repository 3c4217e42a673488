//! Items of knowledge. Texts are stored in separate records, so that a list of items does not read them.

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
/// By folder, or by the page that a file is attached to.
pub const BY_FOLDER: Index = Index::multi(333, "knowledge_items_by_folder");
/// By title in lower case.
pub const BY_TITLE: Index = Index::multi(334, "knowledge_items_by_title");
/// By agent that has the item in its context; items for all agents under [`EVERY_AGENT`].
pub const BY_AGENT: Index = Index::multi(335, "knowledge_items_by_agent");
/// Stands for every agent in [`BY_AGENT`].
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
    /// The plural label.
    #[must_use]
    pub fn many(self) -> &'static str {
        match self {
            Self::Page => "Pages",
            Self::Skill => "Skills",
            Self::File => "Files",
            Self::Source => "Synced",
        }
    }

    #[must_use]
    pub fn glyph(self) -> &'static str {
        match self {
            Self::Page => "doc",
            Self::Skill => "spark",
            Self::File => "file",
            Self::Source => "refresh",
        }
    }

    /// Whether its text can be edited.
    #[must_use]
    pub fn is_written(self) -> bool {
        !self.is_outside()
    }

    /// Whether the text is untrusted content. It is data, and enters no agent's context without a person's approval.
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
    pub blob: BlobId,
    /// In bytes.
    pub size: u64,
    /// Media type detected from the bytes.
    pub media: String,
}

/// An item of knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub id: KnowledgeId,
    /// Immutable.
    pub kind: ItemKind,
    pub title: String,
    /// One emoji, or empty.
    pub icon: String,
    pub folder: Option<FolderId>,
    /// The readers.
    pub scope: Scope,
    /// The selected agents, for [`Scope::Agent`].
    pub agents: Vec<AgentId>,
    /// Whether the full text or only the title is in the context; decided by kind and length if `None`.
    pub full: Option<bool>,
    pub tags: Vec<String>,
    /// For file items only.
    pub file: Option<FileBody>,
    pub by: Actor,
    /// Author of the last change.
    pub edited_by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Time of the last change of the item or its text.
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// When it was archived.
    #[serde(with = "millisecond::optional")]
    pub archived_at: Option<Timestamp>,
    /// The page that a file is attached to. The file has the page's readers, is found through the page only, and is
    /// deleted with it.
    pub page: Option<KnowledgeId>,
    /// Label of the encoding selected for the file's text; detected if `None`.
    pub encoding: Option<String>,
}

/// The layout before `encoding`.
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
    /// An empty item.
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

    /// Whether an agent may see it.
    #[must_use]
    pub fn is_for(&self, agent: AgentId) -> bool {
        is_for(self.scope, &self.agents, agent)
    }
}

/// Whether an agent may see an item with this scope and these agents.
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
            // An attached file is in no agent's context, and links cannot name it.
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
