//! The API of saved views, on the kit. The forms are part of list pages; forms, commands and tool are hand-written.

use entity::{Field, Fields, InputKind, Values, text_of};
use features::views::card::VIEW;
use features::views::model::{BY_SLUG, View};
use features::views::queries;
use kernel::Error;
use kernel::key::KeyBuf;
use kit::{Extra, ExtraOf, Noun, Select};
use serde_json::{Map, Value, json};
use store::{Range, Read, ReadExt as _, StoreError};

pub static VIEWS: Noun = Noun {
    param: "id",
    // Views of different lists may have the same name.
    find: Some(|_, _| Ok(None)),
    select: Some(Select {
        params: &[Field::entered("noun", "list", InputKind::Record("list"))
            .about("The list, by its path or name; defaults to `tasks`")],
        keys: of_list,
    }),
    extra: Some(Extra { schema: shared_schema, prepare: shared, in_lists: false }),
    commands: false,
    ..Noun::of(&VIEW, "views", "Saved views: yours and shared ones")
};

/// The views of a list in order.
fn of_list(read: &dyn Read, values: &Values) -> Result<Vec<Vec<u8>>, Error> {
    let noun = match text_of(values, "noun") {
        "" => "tasks",
        noun => noun,
    };
    let listing = queries::listing(read, noun)?;
    let path = listing.as_ref().map_or(noun, |(listing, _)| listing.path.as_str());
    let mut key = KeyBuf::new();
    key.text(path);
    let mut all: Vec<View> = read.scan(BY_SLUG, &Range::prefix(key))?;
    all.sort_by_key(|view| (view.position, view.created_at));
    Ok(all.iter().map(|view| KeyBuf::of(&view.id).into_bytes()).collect())
}

fn shared_schema() -> Fields {
    let about = "Whether it is shared with everyone";
    Map::from_iter([("shared".to_owned(), json!({ "type": "boolean", "description": about }))])
}

fn shared(_: &dyn Read) -> Result<ExtraOf<'_>, StoreError> {
    Ok(Box::new(|view| {
        let is_shared = view.get("owner").is_none_or(Value::is_null);
        Ok(Map::from_iter([("shared".to_owned(), json!(is_shared))]))
    }))
}
