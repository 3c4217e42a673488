//! Schema of the index.

use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};

use super::stems::Known;
use super::{Document, stems};

/// Increase with every change of the fields, the tokenizers or the content of documents: an index of another version is
/// rebuilt.
pub(super) const VERSION: u32 = 8;
/// Name of the word tokenizer.
pub(super) const CUTTER: &str = "hq";
/// Name of the identifier tokenizer.
pub(super) const NAMER: &str = "names";
/// Name of the tokenizer of stems, which are separated by spaces.
const SPACES: &str = "whitespace";

#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub key: Field,
    pub kind: Field,
    pub title: Field,
    pub subtitle: Field,
    pub body: Field,
    pub title_stems: Field,
    pub body_stems: Field,
    pub title_names: Field,
    pub body_names: Field,
    pub tags: Field,
    pub status: Field,
    pub at: Field,
    pub archived: Field,
    pub seen_by: Field,
    pub group: Field,
}

/// Names of the fields that ranking uses.
pub(super) const KIND: &str = "kind";
pub(super) const AT: &str = "at";
pub(super) const ARCHIVED: &str = "archived";

pub(super) fn layout() -> (Schema, Fields) {
    let words = || {
        let kept = IndexRecordOption::WithFreqsAndPositions;
        let indexing = TextFieldIndexing::default().set_tokenizer(CUTTER).set_index_option(kept);
        TextOptions::default().set_indexing_options(indexing)
    };
    let counted = |cutter: &str| {
        let kept = IndexRecordOption::WithFreqs;
        let indexing = TextFieldIndexing::default().set_tokenizer(cutter).set_index_option(kept);
        TextOptions::default().set_indexing_options(indexing)
    };
    let mut schema = Schema::builder();
    let fields = Fields {
        key: schema.add_text_field("key", STRING | STORED),
        kind: schema.add_u64_field(KIND, FAST),
        title: schema.add_text_field("title", words()),
        subtitle: schema.add_text_field("subtitle", words()),
        body: schema.add_text_field("body", words()),
        title_stems: schema.add_text_field("title_stems", counted(SPACES)),
        body_stems: schema.add_text_field("body_stems", counted(SPACES)),
        title_names: schema.add_text_field("title_names", counted(NAMER)),
        body_names: schema.add_text_field("body_names", counted(NAMER)),
        tags: schema.add_text_field("tags", words()),
        status: schema.add_text_field("status", STRING),
        at: schema.add_i64_field(AT, FAST),
        archived: schema.add_u64_field(ARCHIVED, FAST),
        seen_by: schema.add_text_field("seen_by", STRING),
        group: schema.add_text_field("group", STRING),
    };
    (schema.build(), fields)
}

/// Converts a document.
pub(super) fn row(fields: &Fields, document: &Document, known: &mut Known) -> TantivyDocument {
    let mut row = TantivyDocument::new();
    row.add_text(fields.key, &document.key);
    row.add_u64(fields.kind, u64::from(document.kind));
    let [title_stems, body_stems] = stems::of_texts([&document.title, &document.body], known);
    let heads =
        [&document.title, &document.subtitle, &document.tags].map(String::as_str).join("\n");
    let texts = [
        (fields.title, &document.title),
        (fields.subtitle, &document.subtitle),
        (fields.body, &document.body),
        (fields.title_stems, &title_stems),
        (fields.body_stems, &body_stems),
        (fields.title_names, &heads),
        (fields.body_names, &document.body),
        (fields.tags, &document.tags),
        (fields.status, &document.status),
        (fields.group, &document.group),
    ];
    for (field, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        row.add_text(field, text);
    }
    row.add_i64(fields.at, document.at);
    row.add_u64(fields.archived, u64::from(document.archived));
    for audience in &document.seen_by {
        row.add_text(fields.seen_by, audience);
    }
    row
}
