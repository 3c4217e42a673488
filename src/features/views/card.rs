//! Entity descriptor of saved views.

use entity::{Area, Entity, Field, Fields, Finds, InputKind, JsonKind, Meaning, Own, text_of};
use search::Document;
use serde_json::Value;

use super::model::{Look, View};
use super::queries::MAX_NAME;

pub static VIEW: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::line("name", "name").required().max(MAX_NAME).called("title"),
        Field::entered("noun", "list", InputKind::Record("list"))
            .once()
            .hidden()
            .about("`tasks`, `contacts`, `organizations`, `collections/<id>`, or a name; `tasks` where it is left out"),
        Field::text("slug", "name in URLs").hidden(),
        Field::entered("icon", "icon", InputKind::Emoji).hidden().about("one emoji"),
        Field::flag("shared", "shared").hidden().about("whether everybody has it"),
        Field::text("owner", "owner").hidden().internal().means(Meaning::Somebody),
        Field::nested("look", "look", JsonKind { schema: web::routes::schema_of::<Look>, check: check_look })
            .hidden()
            .about("what it shows, all of it at once"),
        Field::count("position", "place among the others", 0, u32::MAX as i64).later().hidden(),
        Field::text("within", "record of its list").hidden().internal(),
        Field::stamp("created_at", "created").hidden(),
        Field::stamp("updated_at", "changed").hidden(),
    ],
    path,
    own: Some(Own {
        whose: |row| entity::decode_row::<View>(row).and_then(|view| view.owner),
        code: "view_not_yours",
    }),
    finds: Some(Finds {
        number: 13,
        label: "Views",
        glyph: "filter",
        document: |row| entity::decode_row::<View>(row).map(document),
        hit: |view| {
            let is_own = view.get("owner").is_some_and(|owner| *owner != Value::Null);
            let meta = if is_own { "View · yours" } else { "View" };
            (path(view), meta.to_owned())
        },
        parts: None,
    }),
    triggers: Some("Streams, labels, series and templates"),
    missing: "view_not_found",
    ..Entity::stored::<View>("view", "saved view", "saved views")
};

/// Path of the list with the view.
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

fn check_look(value: &Value) -> Result<(), String> {
    if !value.is_object() {
        return Err("expected an object".to_owned());
    }
    serde_json::from_value::<Look>(value.clone()).map(drop).map_err(|error| error.to_string())
}
