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
/// Task, then creation order.
pub const BY_TASK: Index = Index::multi(36, "deliverables_by_task");
/// Deliverables in review, oldest first.
pub const IN_REVIEW: Index = Index::multi(37, "deliverables_in_review");
pub const VERSIONS: Table = Table::new(38, "deliverable_versions");
/// Deliverable, then version number.
pub const VERSIONS_BY_DELIVERABLE: Index = Index::multi(39, "deliverable_versions_by_deliverable");
/// Reviews, by version.
pub const REVIEWS: Table = Table::new(40, "reviews");

/// Content of a deliverable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Markdown.
    Text(String),
    /// External URL.
    Url(String),
    File {
        name: String,
        blob: BlobId,
        /// In bytes.
        size: u64,
    },
    /// A knowledge page, or a record of a noun with a descriptor.
    Page {
        table: u16,
        key: Vec<u8>,
        /// Content at the time of delivery, as Markdown.
        text: String,
    },
}

impl Content {
    /// The text, unless it is a link or file.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Page { text, .. } => Some(text),
            Self::Url(_) | Self::File { .. } => None,
        }
    }

    /// Word of the kind.
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

    /// The record, if the content is a page or record.
    #[must_use]
    pub fn page(&self) -> Option<Target> {
        match self {
            Self::Page { table, key, .. } => Some(Target::Row(*table, key.clone())),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliverable {
    pub id: DeliverableId,
    pub task: TaskId,
    pub title: String,
    pub state: DeliverableState,
    /// Current version.
    pub version: VersionId,
    /// Number of versions.
    pub versions: u32,
    pub submitted_by: Actor,
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

/// A version of a deliverable. Immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub id: VersionId,
    pub deliverable: DeliverableId,
    pub task: TaskId,
    /// Counted from 1.
    pub number: u32,
    pub content: Content,
    /// The author's note.
    pub note: String,
    /// The run that created it.
    pub run: Option<RunId>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// The author's answers to the changes requested in the previous review, in the same order.
    pub answers: Vec<Answer>,
}

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

/// A person's review of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub version: VersionId,
    pub task: TaskId,
    pub by: AccountId,
    pub verdict: Verdict,
    /// Required unless approved.
    pub note: String,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Remarks on single passages.
    pub remarks: Vec<Remark>,
}

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
