//! Entity descriptors of sources and their pages.

use entity::{Area, Entity, Field, Meaning, Type, text_of};
use knowledge::model::KnowledgeId;
use knowledge::origin::Origin;
use store::{Read, StoreError};

use crate::model::{Entry, EntryState, Run, Source, Standing, Write};
use crate::queries;

pub static NOUNS: [&Entity; 2] = [&SOURCE, &ENTRY];

pub static SOURCE: Entity = Entity {
    area: Area::Work,
    tables: |schema| schema.with::<Source>().with::<Standing>().with::<Run>().with::<Write>(),
    fields: &[
        Field::text("name", "name").called("title"),
        Field::text("provider", "connector"),
        Field::text("reads", "synced data"),
        Field::text("interval_hours", "hours between syncs"),
        Field::new("paused", "paused", Type::YesNo),
        Field::new("writable", "agents can write", Type::YesNo),
        Field::text("folder", "folder").means(Meaning::One("folder")),
        Field::text("by", "by").hidden(),
    ],
    path: |row| format!("knowledge/sources/{}", text_of(row, "id")),
    undo: Some(kernel::Can::Admin),
    triggers: Some("Knowledge"),
    ..Entity::of::<Source>("source", "source", "sources")
};

/// Descriptor of pages. They hold results of syncs; people work with the items.
pub static ENTRY: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::text("place", "place").called("title"),
        Field::text("mark", "mark").hidden(),
        Field::text("hash", "hash").hidden(),
        Field::text("state", "state"),
        Field::text("synced_at", "synced").hidden(),
    ],
    title: |row| text_of(row, "place").to_owned(),
    path: |row| format!("knowledge/sources/{}", text_of(row, "source")),
    undo: Some(kernel::Can::Admin),
    triggers: Some("Knowledge"),
    ..Entity::of::<Entry>("source_item", "source page", "source pages")
};

/// The source of an item's text.
pub fn origin(read: &dyn Read, item: KnowledgeId) -> Result<Option<Origin>, StoreError> {
    let Some((entry, source)) = queries::origin(read, item)? else { return Ok(None) };
    let reason = match &entry.state {
        EntryState::Failed(why) => why.clone(),
        EntryState::Missing(_) => "Not found in the last sync.".to_owned(),
        EntryState::Gone => "Deleted at its source.".to_owned(),
        EntryState::Stale | EntryState::Synced => String::new(),
    };
    let standing = queries::standing(read, source.id, entry.synced_at)?;
    let seen = standing.synced_at.filter(|_| entry.state == EntryState::Synced);
    Ok(Some(Origin {
        path: format!("knowledge/sources/{}", source.id),
        is_link: entry.address.starts_with("https://") || entry.address.starts_with("http://"),
        writable: source
            .writable
            .then(|| (source.name.clone(), entry.place, hex::encode(entry.hash))),
        source: source.name,
        address: entry.address,
        synced_at: Some(seen.map_or(entry.synced_at, |seen| seen.max(entry.synced_at))),
        told: reason,
    }))
}
