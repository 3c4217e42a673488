//! Entity descriptor of labels.

use entity::{Area, Entity, Field, Fields, Finds, InputKind, text_of};
use search::Document;
use web::format;

use super::model::label::Label;
use super::queries::labels::MAX_NAME;

pub static LABEL: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::line("name", "name").required().max(MAX_NAME).called("title"),
        Field::entered("colour", "colour", InputKind::Colour)
            .about("without one, it follows from the name"),
        Field::line("description", "description"),
    ],
    path: |_| "settings/labels".to_owned(),
    finds: Some(Finds {
        number: 8,
        label: "Labels",
        glyph: "tag",
        document: |row| entity::decode_row::<Label>(row).map(document),
        hit: |label| (tasks_with(label), "Label".to_owned()),
        parts: None,
    }),
    triggers: Some("Streams, labels, series and templates"),
    missing: "label_not_found",
    ..Entity::stored::<Label>("label", "label", "labels")
};

fn document(label: Label) -> Document {
    Document {
        title: label.name,
        body: label.description,
        at: label.updated_at.as_second(),
        ..Document::default()
    }
}

/// Path of the list of tasks with a label.
fn tasks_with(label: &Fields) -> String {
    let term = format!("label:\"{}\"", text_of(label, "name").replace('"', ""));
    format!("tasks?q={}", format::query_value(&term))
}
