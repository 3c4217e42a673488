//! Records of skill packages: what was installed, its versions, and the lists of agents that have only some skills.
//!
//! A version's files are one blob. The folder that programs read is derived from it (`disk.rs`).

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Part, Timestamp, TypedId as _, ids};
use serde::{Deserialize, Serialize};
use store::{BlobId, BlobRefs, Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

ids! {
    /// A skill package.
    SkillId,
    /// A version of a skill package.
    SkillVersionId,
    /// The skills of an agent.
    SkillListId,
}

pub const SKILLS: Table = Table::new(468, "skills");
pub const SKILL_BY_NAME: Index = Index::unique(469, "skills_by_name");
pub const VERSIONS: Table = Table::new(470, "skill_versions");
/// Skill, then number.
pub const VERSION_BY_SKILL: Index = Index::unique(471, "skill_versions_by_skill");
pub const LISTS: Table = Table::new(472, "skill_lists");
pub const LIST_BY_AGENT: Index = Index::unique(473, "skill_lists_by_agent");

/// A skill package. Agents have its active version; the waiting one is seen by people only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skill {
    pub id: SkillId,
    pub name: String,
    /// Of the active version, or of the waiting one if none is active.
    pub description: String,
    /// Where it is fetched from; empty if it was uploaded or an agent proposed it.
    pub source: String,
    /// Slugs of the agents that have it; all agents if empty.
    pub agents: Vec<String>,
    pub active: Option<SkillVersionId>,
    /// Hash of the active version's files.
    pub active_hash: String,
    pub waiting: Option<SkillVersionId>,
    /// Hash of the waiting version's files, which an approval names.
    pub waiting_hash: String,
    /// Number of the newest version.
    pub newest: u32,
    pub is_blocked: bool,
    /// The agent that proposed it.
    pub proposed_by: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl Skill {
    #[must_use]
    pub fn is_for(&self, agent: &str) -> bool {
        self.agents.is_empty() || self.agents.iter().any(|slug| slug == agent)
    }
}

impl Record for Skill {
    type Id = SkillId;
    const TABLE: Table = SKILLS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[SKILL_BY_NAME];
    fn id(&self) -> SkillId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(SKILL_BY_NAME).text(&self.name);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: SkillId::from_bytes([110; 16]),
            name: "pdf".into(),
            description: "Read and fill in PDF forms ü".into(),
            source: "https://skills.example/pdf.zip".into(),
            agents: vec!["ada".into()],
            active: Some(SkillVersionId::from_bytes([111; 16])),
            active_hash: "ab".into(),
            waiting: Some(SkillVersionId::from_bytes([112; 16])),
            waiting_hash: "cd".into(),
            newest: 2,
            is_blocked: true,
            proposed_by: "ada".into(),
            by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
        }
    }
}

/// A place in a package that a person should see before approving it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFinding {
    pub file: String,
    /// From 1; 0 for the whole file.
    pub line: u32,
    /// Word of the kind.
    pub kind: String,
    /// Invisible characters are written as escapes.
    pub excerpt: String,
}

/// What a skill needs to be of use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    pub bins: Vec<String>,
    /// One of these.
    pub any_bins: Vec<String>,
    pub env: Vec<String>,
    pub config: Vec<String>,
    pub os: Vec<String>,
    /// Whether it is shown even if something is missing.
    pub is_always: bool,
}

/// A version of a package, as it was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillVersion {
    pub id: SkillVersionId,
    pub skill: SkillId,
    /// From 1.
    pub number: u32,
    /// SHA-256 of paths, modes and contents.
    pub hash: String,
    pub description: String,
    /// All files.
    pub files: BlobId,
    pub file_count: u32,
    /// Size of all files in bytes.
    pub size: u64,
    pub findings: Vec<StoredFinding>,
    /// Findings beyond those stored.
    pub more_findings: u32,
    /// Hosts that its files mention.
    pub hosts: Vec<String>,
    /// Tools that the package asks for. They grant nothing.
    pub allowed_tools: Vec<String>,
    pub needs: Needs,
    pub licence: String,
    /// Commit of a git source.
    pub commit: String,
    /// Where it was fetched from; empty if it was uploaded or an agent proposed it.
    pub source: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    pub approved_by: Option<Actor>,
    #[serde(with = "millisecond::optional")]
    pub approved_at: Option<Timestamp>,
}

impl Record for SkillVersion {
    type Id = SkillVersionId;
    const TABLE: Table = VERSIONS;
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[VERSION_BY_SKILL];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|version, blobs| blobs.one(version.files));
    fn id(&self) -> SkillVersionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(VERSION_BY_SKILL).part(self.skill).part(self.number);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Skill>(0, Some(self.skill), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Skill>(self.skill)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: SkillVersionId::from_bytes([111; 16]),
            skill: SkillId::from_bytes([110; 16]),
            number: 1,
            hash: "ab".into(),
            description: "Read and fill in PDF forms ü".into(),
            files: BlobId::of(b"pdf"),
            file_count: 3,
            size: 4_096,
            findings: vec![StoredFinding {
                file: "SKILL.md".into(),
                line: 7,
                kind: "hidden_text".into(),
                excerpt: "a\\u{200b}b".into(),
            }],
            more_findings: 1,
            hosts: vec!["example.com".into()],
            allowed_tools: vec!["exec".into()],
            needs: Needs {
                bins: vec!["pdftotext".into()],
                any_bins: vec!["python3".into()],
                env: vec!["PDF_KEY".into()],
                config: vec!["browser".into()],
                os: vec!["linux".into()],
                is_always: true,
            },
            licence: "MIT".into(),
            commit: "0123".into(),
            source: "https://skills.example/pdf.zip".into(),
            by: Actor::System(Part::Setup),
            created_at: at,
            approved_by: Some(Actor::System(Part::Setup)),
            approved_at: Some(at),
        }
    }
}

/// The packages of one agent, instead of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillList {
    pub id: SkillListId,
    /// Slug.
    pub agent: String,
    /// Names of packages; none if empty.
    pub skills: Vec<String>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl Record for SkillList {
    type Id = SkillListId;
    const TABLE: Table = LISTS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[LIST_BY_AGENT];
    fn id(&self) -> SkillListId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(LIST_BY_AGENT).text(&self.agent);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: SkillListId::from_bytes([113; 16]),
            agent: "ada".into(),
            skills: vec!["pdf".into()],
            created_at: at,
            updated_at: at,
        }
    }
}
