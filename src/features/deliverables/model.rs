//! Deliverable records. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::cards;
use crate::links::model::Target;
use crate::tasks::model::Task;
use kernel::{
    AccountId, Actor, DeliverableId, DeliverableState, Part, RunId, TaskId, Timestamp, TypedId,
    Verdict, VersionId,
};
use store::{
    BlobId, BlobRefs, Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec,
};

pub const DELIVERABLES: Table = Table::new(35, "deliverables");
/// Task, then the order of making.
pub const BY_TASK: Index = Index::multi(36, "deliverables_by_task");
/// Those that wait for a person, oldest first.
pub const IN_REVIEW: Index = Index::multi(37, "deliverables_in_review");
pub const VERSIONS: Table = Table::new(38, "deliverable_versions");
/// Deliverable, then the number.
pub const VERSIONS_BY_DELIVERABLE: Index = Index::multi(39, "deliverable_versions_by_deliverable");
/// Reviews, by version.
pub const REVIEWS: Table = Table::new(40, "reviews");

/// What kind of thing was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Markdown.
    Text(String),
    /// An address on the web.
    Url(String),
    File {
        name: String,
        /// Its content.
        blob: BlobId,
        /// Its size in bytes.
        size: u64,
    },
    /// A page of the workspace's knowledge, or a record of a noun with a card.
    Page {
        /// The table of its record.
        table: u16,
        key: Vec<u8>,
        /// What it said when it was delivered, as Markdown.
        text: String,
    },
}

impl Content {
    /// What it says, if it is made of words.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Page { text, .. } => Some(text),
            Self::Url(_) | Self::File { .. } => None,
        }
    }

    /// The word of its kind.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Url(_) => "url",
            Self::File { .. } => "file",
            Self::Page { table, .. } => {
                match cards::of_table(*table).is_some_and(|noun| noun.spoken.is_some()) {
                    true => "record",
                    false => "page",
                }
            }
        }
    }

    /// The record of the page that it is.
    #[must_use]
    pub fn page(&self) -> Option<Target> {
        match self {
            Self::Page { table, key, .. } => Some(Target::Row(*table, key.clone())),
            _ => None,
        }
    }
}

/// A piece of delivered work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliverable {
    pub id: DeliverableId,
    pub task: TaskId,
    pub title: String,
    pub state: DeliverableState,
    /// The version that counts.
    pub version: VersionId,
    /// How many versions there are.
    pub versions: u32,
    /// Who delivered it.
    pub submitted_by: Actor,
    /// When it was first delivered.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl Record for Deliverable {
    type Id = DeliverableId;
    const TABLE: Table = DELIVERABLES;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_TASK, IN_REVIEW];
    const TOGETHER: &'static [&'static [&'static str]] = &[&["state", "version", "versions"]];
    fn id(&self) -> DeliverableId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_TASK).part(self.task);
        if self.state == DeliverableState::InReview {
            keys.entry(IN_REVIEW).part(self.updated_at);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Task>(1, Some(self.task), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: DeliverableId::from_bytes([6; 16]),
            task: TaskId::from_bytes([2; 16]),
            title: "Leasing prices".into(),
            state: DeliverableState::InReview,
            version: VersionId::from_bytes([7; 16]),
            versions: 2,
            submitted_by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
        }
    }
}

/// What its maker says to one thing that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Whether it was done.
    pub done: bool,
    /// How, or why not.
    #[serde(default)]
    pub note: String,
}

/// What a reviewer says to one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remark {
    /// The words of the delivered text that it is about, or empty.
    #[serde(default)]
    pub quote: String,
    /// What is said.
    pub text: String,
}

/// One version of a deliverable; never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub id: VersionId,
    pub deliverable: DeliverableId,
    pub task: TaskId,
    /// 1, 2, 3, …
    pub number: u32,
    /// What was delivered.
    pub content: Content,
    /// What its maker says about it.
    pub note: String,
    /// The run that made it.
    pub run: Option<RunId>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// What its maker says to what was asked for in the version before, in the order of asking.
    pub answers: Vec<Answer>,
}

/// The first layout.
#[derive(Deserialize)]
struct VersionV1 {
    id: VersionId,
    deliverable: DeliverableId,
    task: TaskId,
    number: u32,
    content: Content,
    note: String,
    run: Option<RunId>,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
}

impl From<VersionV1> for Version {
    fn from(old: VersionV1) -> Self {
        Self {
            id: old.id,
            deliverable: old.deliverable,
            task: old.task,
            number: old.number,
            content: old.content,
            note: old.note,
            run: old.run,
            created_at: old.created_at,
            answers: Vec::new(),
        }
    }
}

impl Record for Version {
    type Id = VersionId;
    const TABLE: Table = VERSIONS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[VERSIONS_BY_DELIVERABLE];
    fn id(&self) -> VersionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(VERSIONS_BY_DELIVERABLE).part(self.deliverable).part(self.number);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Deliverable>(1, Some(self.deliverable), OnDelete::Cascade);
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<VersionV1>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: VERSIONS.name, version }),
        }
    }
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|version, blobs| {
        if let Content::File { blob, .. } = &version.content {
            blobs.one(*blob);
        }
    });
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn sample() -> Self {
        Self {
            id: VersionId::from_bytes([7; 16]),
            deliverable: DeliverableId::from_bytes([6; 16]),
            task: TaskId::from_bytes([2; 16]),
            number: 2,
            content: Content::Text("# Prices".into()),
            note: "now with VAT".into(),
            run: Some(RunId::from_bytes([8; 16])),
            created_at: kernel::time::from_ms(1_700_000_000_000),
            answers: vec![Answer { done: true, note: "in the table".into() }],
        }
    }
}

/// What a person said of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub version: VersionId,
    pub task: TaskId,
    pub by: AccountId,
    /// How it ended.
    pub verdict: Verdict,
    /// Why; required unless approved.
    pub note: String,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// What was said to single places.
    pub remarks: Vec<Remark>,
}

/// The first layout.
#[derive(Deserialize)]
struct ReviewV1 {
    version: VersionId,
    task: TaskId,
    by: AccountId,
    verdict: Verdict,
    note: String,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
}

impl From<ReviewV1> for Review {
    fn from(old: ReviewV1) -> Self {
        let ReviewV1 { version, task, by, verdict, note, created_at } = old;
        Self { version, task, by, verdict, note, created_at, remarks: Vec::new() }
    }
}

impl Record for Review {
    type Id = VersionId;
    const TABLE: Table = REVIEWS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
    fn id(&self) -> VersionId {
        self.version
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Version>(1, Some(self.version), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<ReviewV1>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: REVIEWS.name, version }),
        }
    }
    fn sample() -> Self {
        Self {
            version: VersionId::from_bytes([7; 16]),
            task: TaskId::from_bytes([2; 16]),
            by: AccountId::from_bytes([1; 16]),
            verdict: Verdict::ChangesRequested,
            note: "add VAT".into(),
            created_at: kernel::time::from_ms(1_700_000_000_000),
            remarks: vec![Remark { quote: "per month".into(), text: "Which VAT?".into() }],
        }
    }
}
