//! The card of saved views: all that the rest of HQ knows of them.

use entity::{Area, Entity, Field, Fields, Finds, Meaning, Own, text_of};
use search::Document;
use serde_json::Value;

use super::model::View;

/// The card of saved views.
pub static VIEW: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::text("name", "name").called("title"),
        Field::text("noun", "list").hidden(),
        Field::text("slug", "name in addresses").hidden(),
        Field::text("icon", "icon").hidden(),
        Field::text("owner", "owner").hidden().means(Meaning::Somebody),
        Field::text("look", "look").hidden(),
        Field::text("position", "place among the others").hidden(),
        Field::text("within", "record of its list").hidden(),
    ],
    path,
    own: Some(Own {
        whose: |row| entity::typed::<View>(row).and_then(|view| view.owner),
        code: "view_not_yours",
    }),
    finds: Some(Finds {
        number: 13,
        label: "Views",
        glyph: "filter",
        document: |row| entity::typed::<View>(row).map(document),
        hit: |view| {
            let is_own = view.get("owner").is_some_and(|owner| *owner != Value::Null);
            let meta = if is_own { "View · yours" } else { "View" };
            (path(view), meta.to_owned())
        },
        parts: None,
    }),
    triggers: Some("Streams, labels, series and templates"),
    ..Entity::of::<View>("view", "saved view", "saved views")
};

/// The list with the view.
fn path(view: &Fields) -> String {
    format!("{}?view={}", text_of(view, "noun"), text_of(view, "slug"))
}

fn document(view: View) -> Document {
    Document {
        title: view.name,
        body: view.look.q,
        at: view.updated_at.as_second(),
        ..Document::default()
    }
}
