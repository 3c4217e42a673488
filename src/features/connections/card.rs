//! Entity descriptor of embedding model choices.

use entity::{Entity, Field, Meaning, text_of};
use kernel::Can;

use super::model::VectorSource;

pub static VECTOR_SOURCE: Entity = Entity {
    fields: &[
        Field::text("model", "model").called("title"),
        Field::text("connection", "connection").means(Meaning::One("connection")),
        Field::text("dimensions", "dimensions").hidden(),
        Field::text("floor", "similarity threshold").hidden(),
        Field::text("by", "by").hidden(),
    ],
    title: |row| match text_of(row, "model") {
        "" => "the model on this machine".to_owned(),
        model => model.to_owned(),
    },
    path: |_| "settings/meaning".to_owned(),
    undo: Some(Can::Admin),
    triggers: Some("Knowledge"),
    ..Entity::of::<VectorSource>("vector_source", "vector source", "vector sources")
};
