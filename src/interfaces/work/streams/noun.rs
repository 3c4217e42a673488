//! The API of streams, on the kit. Pages, commands and tools of streams are hand-written, because they show a stream's
//! work.

use entity::{Area, Entity, Field, Fields, InputKind, Values};
use features::streams::model::Stream;
use features::streams::queries::{self, MAX_DESCRIPTION, MAX_GOAL, MAX_NAME};
use features::tasks::queries::marks;
use kernel::key::KeyBuf;
use kernel::{Error, ProofMode, StreamKind, TaskStatus};
use kit::{Acts, Extra, ExtraOf, Noun, Select};
use serde_json::{Map, Value, json};
use store::{Read, StoreError};

/// The field table. Not a registered descriptor: history, search and routines have rules of their own for streams.
static STREAM: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::line("name", "name").required().max(MAX_NAME),
        Field::line("description", "description").max(MAX_DESCRIPTION),
        Field::entered("colour", "colour", InputKind::Hue)
            .about("without one, it follows from the name"),
        Field::entered("icon", "icon", InputKind::Emoji).about("one emoji"),
        Field::choice("kind", "kind", StreamKind::WORDS, StreamKind::LABELS),
        Field::long("goal", "goal").max(MAX_GOAL).about("Markdown, at most 2,000 characters"),
        Field::person("lead", "lead").about("an agent's slug, a person's handle, an id, or `me`"),
        Field::entered("target_date", "target date", InputKind::Day)
            .about("written as `2026-11-20`"),
        Field::choice("proof", "evidence", ProofMode::WORDS, ProofMode::LABELS)
            .about("`require` returns work without evidence to its agent once"),
        Field::flag("archived", "archived").later().internal().about("archives or restores it"),
        Field::stamp("created_at", "created"),
        Field::stamp("updated_at", "changed"),
        Field::stamp("archived_at", "archived").optional(),
    ],
    missing: "stream_not_found",
    ..Entity::stored::<Stream>("stream", "stream", "streams")
};

pub static STREAMS: Noun = Noun {
    acts: Acts { delete: false, ..Acts::ALL },
    find: Some(|read, name| {
        let found = queries::called(read, name.trim())?;
        Ok(found.map(|stream| KeyBuf::of(&stream.id).into_bytes()))
    }),
    select: Some(Select {
        params: &[
            Field::flag("archived", "archived").about("The archived ones in place of the others")
        ],
        keys: in_order,
    }),
    extra: Some(Extra { schema: tasks_schema, prepare: tasks, in_lists: false }),
    commands: false,
    ..Noun::of(&STREAM, "streams", "Streams, in their order")
};

fn in_order(read: &dyn Read, values: &Values) -> Result<Vec<Vec<u8>>, Error> {
    let is_archived = values.get("archived").and_then(Value::as_bool).unwrap_or(false);
    let all = queries::all(read)?.into_iter();
    let shown = all.filter(|stream| stream.archived_at.is_some() == is_archived);
    Ok(shown.map(|stream| KeyBuf::of(&stream.id).into_bytes()).collect())
}

/// The statuses that are counted.
const COUNTED: [TaskStatus; 6] = [
    TaskStatus::Todo,
    TaskStatus::InProgress,
    TaskStatus::Blocked,
    TaskStatus::Done,
    TaskStatus::Cancelled,
    TaskStatus::Missed,
];

fn tasks_schema() -> Fields {
    let number = json!({ "type": "integer", "format": "uint", "minimum": 0 });
    let counts = COUNTED.map(|status| (status.word().to_owned(), number.clone()));
    let tasks = json!({
        "type": "object",
        "description": "How many tasks have each status, without archived ones.",
        "properties": Map::from_iter(counts),
        "required": COUNTED.map(TaskStatus::word),
    });
    Map::from_iter([("tasks".to_owned(), tasks)])
}

/// Number of a stream's tasks by status.
fn tasks(read: &dyn Read) -> Result<ExtraOf<'_>, StoreError> {
    Ok(Box::new(move |stream| {
        let Some(id) = entity::text_of(stream, "id").parse().ok() else { return Ok(Fields::new()) };
        let counts = marks::in_stream(read, id)?;
        let count = |status: &TaskStatus| counts.get(status).copied().unwrap_or(0);
        let all = COUNTED.map(|status| (status.word().to_owned(), json!(count(&status))));
        Ok(Map::from_iter([("tasks".to_owned(), Value::Object(Map::from_iter(all)))]))
    }))
}
