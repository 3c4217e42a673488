//! Entity descriptor of embedding model choices.

use entity::{Entity, Field, Meaning, text_of};
use kernel::Can;

use super::model::VectorSource;

pub static VECTOR_SOURCE: Entity = Entity {
    fields: &[
        Field::text("model", "model").called("title"),
        Field::text("connection", "connection").means(Meaning::One("connection")),
        Field::text("dimensions", "numbers of a vector").hidden(),
        Field::text("floor", "least likeness").hidden(),
        Field::text("by", "by").hidden(),
    ],
    title: |row| match text_of(row, "model") {
        "" => "the model on this machine".to_owned(),
        model => model.to_owned(),
    },
    path: |_| "settings/meaning".to_owned(),
    undo: Some(Can::Admin),
    triggers: Some("Knowledge"),
    ..Entity::of::<VectorSource>("vector_source", "source of vectors", "sources of vectors")
};
