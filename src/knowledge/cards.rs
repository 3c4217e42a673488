//! Descriptors of folders, items and related records for the rest of HQ.

use entity::{Area, Entity, Field, Fields, Finds, Meaning, Parts, Piece, Type, named_as, text_of};
use features::global_search::queries::document::{PEOPLE, of_agent};
use kernel::Event;
use search::{Document, Wanted};
use serde_json::{Value, json};
use store::{Blobs, ReactionError, Read, StoreError, WriteTx};

use crate::cut::Cut;
use crate::error::KnowledgeError;
use crate::found;
use crate::model::{
    BODIES, Body, Folder, Item, Marks, ModelChoice, Opening, READINGS, Reading, Scope, Suggestion,
    Uses, Version,
};
use crate::{passages, queries, rules};

pub static NOUNS: [&Entity; 7] = [&ITEM, &FOLDER, &BODY, &VERSION, &MARK, &MODEL, &SUGGESTION];

/// Number of passages as a kind in indexes.
pub const PASSAGES: u8 = 23;

/// How many passages are searched for the one that a result shows.
const LOOKED: u32 = 64;

/// Descriptor of items.
pub static ITEM: Entity = Entity {
    area: Area::Work,
    tables: |schema| schema.with::<Item>().with::<Reading>().with::<Uses>().with::<Opening>(),
    fields: &[
        Field::text("title", "title").called("title"),
        Field::text("icon", "emoji").hidden(),
        Field::text("folder", "folder").means(Meaning::One("folder")),
        Field::text("scope", "readers"),
        Field::new("agents", "chosen agents", Type::List),
        Field::new("tags", "tags", Type::List),
        Field::text("text", "text"),
        Field::text("encoding", "encoding"),
        Field::new("archived_at", "archived", Type::Moment),
    ],
    title: |row| text_of(row, "title").to_owned(),
    path: |row| format!("knowledge/{}", text_of(row, "id")),
    finds: Some(Finds {
        number: 22,
        label: "Knowledge",
        glyph: "doc",
        document: |row| {
            // An attached file is found through its page.
            let item = entity::decode_row::<Item>(row).filter(|item| item.page.is_none());
            item.map(|item| document(&item))
        },
        hit: |row| (format!("knowledge/{}", text_of(row, "id")), second_line(row)),
        parts: Some(Parts {
            number: PASSAGES,
            tables: &[BODIES.number, READINGS.number],
            text,
            cut,
            piece,
        }),
    }),
    agents: Some(|row, agent| {
        entity::decode_row::<Item>(row).is_some_and(|item| item.is_for(agent))
    }),
    linked: true,
    discussed: true,
    react: Some(react),
    triggers: Some("Knowledge"),
    ..Entity::of::<Item>("knowledge", "item", "items")
};

/// Descriptor of folders.
pub static FOLDER: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::text("name", "name").called("title"),
        Field::text("icon", "emoji").hidden(),
        Field::text("parent", "parent folder").means(Meaning::One("folder")),
    ],
    path: |row| format!("knowledge?folder={}", text_of(row, "id")),
    triggers: Some("Knowledge"),
    ..Entity::of::<Folder>("folder", "folder", "folders")
};

/// Descriptor of texts.
pub static BODY: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::text("text", "text"),
        Field::text("n", "version").hidden(),
        Field::text("reason", "reason"),
        Field::text("by", "by").hidden(),
        Field::text("cause", "cause").hidden(),
        Field::new("links", "links", Type::List).hidden(),
        Field::text("begun_at", "begun").hidden(),
        Field::text("written_at", "written").hidden(),
        Field::text("item", "item").hidden(),
    ],
    title: |_| "Text".to_owned(),
    path: |row| format!("knowledge/{}", text_of(row, "item")),
    triggers: Some("Knowledge"),
    shorten: Some(display_value),
    ..Entity::of::<Body>("knowledge_text", "text", "texts")
};

/// Descriptor of former versions.
pub static VERSION: Entity = Entity {
    area: Area::Work,
    fields: &[Field::text("title", "title").called("title"), Field::text("text", "text")],
    title: |row| text_of(row, "title").to_owned(),
    path: |row| format!("knowledge/{}", text_of(row, "item")),
    triggers: Some("Knowledge"),
    shorten: Some(display_value),
    ..Entity::of::<Version>("knowledge_version", "version", "versions")
};

/// Descriptor of marks on versions.
pub static MARK: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::new("marks", "marked versions", Type::List),
        Field::text("item", "item").hidden(),
    ],
    title: |_| "Marked versions".to_owned(),
    path: |row| format!("knowledge/{}", text_of(row, "item")),
    triggers: Some("Knowledge"),
    shorten: Some(marks_told),
    ..Entity::of::<Marks>("knowledge_mark", "version mark", "version marks")
};

/// Descriptor of suggestions.
pub static SUGGESTION: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::text("title", "title").called("title"),
        Field::text("title_base", "former title").hidden(),
        Field::text("text", "text"),
        Field::text("base", "former text").hidden(),
        Field::new("tags", "tags", Type::List),
        Field::text("reason", "reason"),
        Field::text("by", "by").hidden(),
        Field::text("created_at", "made").hidden(),
        Field::text("item", "item").hidden(),
    ],
    title: |row| text_of(row, "title").to_owned(),
    path: |_| "knowledge/suggestions".to_owned(),
    triggers: Some("Knowledge"),
    review: Some("knowledge/suggestions"),
    shorten: Some(display_value),
    ..Entity::of::<Suggestion>("knowledge_suggestion", "suggested change", "suggested changes")
};

/// Descriptor of choices of the embedding model.
pub static MODEL: Entity = Entity {
    fields: &[Field::text("model", "model").called("title"), Field::text("act", "action")],
    title: |row| match (text_of(row, "act"), text_of(row, "model")) {
        ("off", _) => "none".to_owned(),
        ("fetched", model) => format!("{model}, to be downloaded"),
        ("removed", model) => format!("{model}, removed"),
        ("added", model) => format!("{model}, added"),
        (_, model) => model.to_owned(),
    },
    path: |_| "settings/meaning".to_owned(),
    undo: None,
    ..Entity::of::<ModelChoice>("model_choice", "semantic search model", "semantic search models")
};

/// Counts the use of items by agents; archives the page of a rejected deliverable.
fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), ReactionError> {
    if let Event::DeliverableReviewed { deliverable, verdict, .. } = event {
        return named_as("knowledge", rules::note_verdict(tx, *deliverable, *verdict));
    }
    let counted = match event {
        Event::RunStarted { run, .. } => rules::note_start(tx, *run),
        Event::CommentAdded { comment, task, .. } => rules::note_comment(tx, *comment, *task),
        Event::DeliverableSubmitted { version, task, .. } => {
            rules::note_delivery(tx, *version, *task)
        }
        _ => Ok(()),
    };
    named_as("knowledge", counted)
}

/// Audiences of an item: everyone (empty), or all people and the selected agents.
fn seen_by(item: &Item) -> Vec<String> {
    match item.scope {
        Scope::Agent => {
            let agents = item.agents.iter().map(|agent| of_agent(*agent));
            std::iter::once(PEOPLE.to_owned()).chain(agents).collect()
        }
        _ => Vec::new(),
    }
}

fn document(item: &Item) -> Document {
    Document {
        title: item.title.clone(),
        tags: item.tags.join(" "),
        at: item.updated_at.as_second(),
        archived: item.archived_at.is_some(),
        seen_by: seen_by(item),
        ..Document::default()
    }
}

/// The text of a stored item for the index; empty for an archived item, which is found by title only.
fn text(read: &dyn Read, blobs: &Blobs, row: &[u8]) -> Result<String, StoreError> {
    let is_found = |item: &Item| item.archived_at.is_none() && item.page.is_none();
    let Some(item) = entity::decode_row::<Item>(row).filter(is_found) else {
        return Ok(String::new());
    };
    match queries::text(read, blobs, item.id) {
        Ok(text) => Ok(text),
        Err(KnowledgeError::Store(StoreError::Failed(why))) => {
            tracing::warn!(item = %item.id, why, "an item is found by its title alone");
            Ok(String::new())
        }
        Err(KnowledgeError::Store(error)) => Err(error),
        Err(_) => Ok(String::new()),
    }
}

/// The passages of a stored item as documents for the index.
fn cut(row: &[u8], text: &str) -> Vec<Document> {
    let Some(item) = entity::decode_row::<Item>(row) else { return Vec::new() };
    let piece = |passage: &passages::Passage| Document {
        title: item.title.clone(),
        subtitle: passage.section.join(" "),
        body: text[passage.range.clone()].to_owned(),
        tags: item.tags.join(" "),
        ..Document::default()
    };
    passages::cut(text).iter().map(piece).collect()
}

/// The passage that a result shows: the one with this number, else the first matching one near the beginning.
fn piece(
    read: &dyn Read,
    blobs: &Blobs,
    row: &[u8],
    (best, wanted): (Option<u32>, &Wanted),
) -> Result<Option<Piece>, StoreError> {
    let item = entity::decode_row::<Item>(row).filter(|item| item.archived_at.is_none());
    let Some(item) = item else { return Ok(None) };
    let cut = match Cut::of(blobs, read, item.id) {
        Ok(cut) => cut,
        Err(KnowledgeError::Store(error)) => return Err(error),
        Err(error) => return Err(StoreError::Failed(error.to_string())),
    };
    let first = |n: u32| cut.words(n).and_then(|words| wanted.marks(words).into_iter().next());
    let mut looked = best.into_iter().chain(0..cut.len().min(LOOKED));
    let found = looked.find_map(|n| cut.quote(n, Some(first(n)?.start)));
    Ok(found.map(|quote| Piece {
        place: found::place(&item, quote.n, (&quote.text, Some(wanted))),
        section: match quote.page {
            Some(page) => format!("page {page}"),
            None => quote.section,
        },
        text: quote.text,
    }))
}

/// Distinguishes items with the same title.
fn second_line(row: &Fields) -> String {
    match text_of(row, "kind") {
        "file" => "File".to_owned(),
        "source" => "Synced".to_owned(),
        "skill" => "Skill".to_owned(),
        _ => "Page".to_owned(),
    }
}

/// Marks as history shows them: version numbers and names.
fn marks_told(_: &dyn Read, _: &str, value: &Value) -> Value {
    let Value::Array(marks) = value else { return value.clone() };
    let line = |mark: &Value| {
        let name = mark.get("name").and_then(Value::as_str).unwrap_or_default();
        json!(format!("Version {}: {name}", mark.get("n").unwrap_or(&Value::Null)))
    };
    marks.iter().map(line).collect()
}

/// A text as history shows it, if it is short.
fn display_value(_: &dyn Read, _: &str, value: &Value) -> Value {
    match value {
        Value::Object(map) => match (map.get("Inline"), map.get("Blob")) {
            (Some(text), _) => text.clone(),
            (_, Some(_)) => json!("A long text"),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}
