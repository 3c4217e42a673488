//! The card of labels: all that the rest of HQ knows of them.

use entity::{Area, Entity, Field, Fields, Finds, Type, text_of};
use search::Document;
use web::format;

use super::model::label::Label;

/// The card of labels.
pub static LABEL: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::text("name", "name").called("title"),
        Field::text("description", "description"),
        Field::new("colour", "colour", Type::Text),
    ],
    path: |_| "settings/labels".to_owned(),
    finds: Some(Finds {
        number: 8,
        label: "Labels",
        glyph: "tag",
        document: |row| entity::typed::<Label>(row).map(document),
        hit: |label| (tasks_with(label), "Label".to_owned()),
        parts: None,
    }),
    triggers: Some("Streams, labels, series and templates"),
    ..Entity::of::<Label>("label", "label", "labels")
};

fn document(label: Label) -> Document {
    Document {
        title: label.name,
        body: label.description,
        at: label.updated_at.as_second(),
        ..Document::default()
    }
}

/// The list of the tasks that have it.
fn tasks_with(label: &Fields) -> String {
    let term = format!("label:\"{}\"", text_of(label, "name").replace('"', ""));
    format!("tasks?q={}", format::query_value(&term))
}
