//! Suggestions of agents for shared items. A suggestion is deleted once a person has decided.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{BlobId, BlobRefs, Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::{Item, KnowledgeId, KnowledgeSuggestionId, Text};

pub const SUGGESTIONS: Table = Table::new(380, "knowledge_suggestions");
pub const SUGGESTIONS_BY_ITEM: Index = Index::multi(381, "knowledge_suggestions_by_item");

/// A suggestion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    pub id: KnowledgeSuggestionId,
    pub item: KnowledgeId,
    /// The suggested title, and the title when it was made.
    pub title: String,
    /// See [`Suggestion::title`].
    pub title_base: String,
    /// The suggested text; `None` if the text stays.
    pub text: Option<Text>,
    /// The text when the suggestion was made; `None` if the text stays.
    pub base: Option<Text>,
    /// The suggested tags; `None` if they stay.
    pub tags: Option<Vec<String>>,
    /// Reason, in one line.
    pub reason: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Suggestion {
    type Id = KnowledgeSuggestionId;
    const TABLE: Table = SUGGESTIONS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[SUGGESTIONS_BY_ITEM];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|one, blobs| {
        for text in one.text.iter().chain(&one.base) {
            text.blob(blobs);
        }
    });
    // A new suggestion replaces the earlier one as a whole.
    const TOGETHER: &'static [&'static [&'static str]] =
        &[&["title", "title_base", "text", "base", "tags", "reason", "by", "created_at"]];
    fn id(&self) -> KnowledgeSuggestionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(SUGGESTIONS_BY_ITEM).part(self.item);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Item>(1, Some(self.item), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Item>(self.item)
    }
    fn sample() -> Self {
        Self {
            id: KnowledgeSuggestionId::from_bytes([75; 16]),
            item: KnowledgeId::from_bytes([72; 16]),
            title: "Lease terms".into(),
            title_base: "Lease terms".into(),
            text: Some(Text::Inline("One rate.\n".into())),
            base: Some(Text::Blob(BlobId::of(b"long"), 40_000)),
            tags: Some(vec!["lease".into()]),
            reason: "plainer words".into(),
            by: Actor::System(Part::Setup),
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
