//! JSON schemas of a noun, for OpenAPI and tools.

use entity::Field;
use serde_json::{Map, Value, json};
use web::routes::Doc;

use crate::{Answers, Deleted, Noun, Op};

/// Purpose of a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Create a record, or run an operation.
    Create,
    /// Change a record: nothing is required, and `null` clears a field.
    Change,
}

/// Request body with these fields.
pub(crate) fn body(fields: &'static [Field], purpose: For) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let is_new = purpose == For::Create;
    let is_sent = |field: &&Field| field.input.is_entered_when(is_new);
    // A file is not part of a JSON body.
    for field in fields.iter().filter(is_sent).filter(|field| field.file_kind().is_none()) {
        let is_required = field.input.required && purpose == For::Create;
        let nullable = field.input.takes_null() && (!is_new || field.input.optional);
        properties.insert(field.key.to_owned(), field.schema(nullable));
        if is_required {
            required.push(field.key);
        }
    }
    object(properties, &required, true)
}

fn object(properties: Map<String, Value>, required: &[&str], is_closed: bool) -> Value {
    let mut object = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    if is_closed {
        object["additionalProperties"] = json!(false);
    }
    object
}

/// A record of the noun. Lists may have additional fields.
pub(crate) fn record(noun: &Noun, in_list: bool) -> Value {
    let mut properties = Map::new();
    properties.insert("id".to_owned(), json!({ "type": "string", "format": "uuid" }));
    for field in noun.entity.fields.iter().filter(|field| !field.internal) {
        properties.insert(field.key.to_owned(), field.shown_schema());
    }
    if let Some(extra) = noun.extra.filter(|extra| in_list || !extra.in_lists) {
        properties.extend((extra.schema)());
    }
    let names: Vec<String> = properties.keys().cloned().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    object(properties, &names, false)
}

fn list(noun: &Noun) -> Value {
    json!({
        "type": "object",
        "properties": {
            "items": { "type": "array", "items": record(noun, true) },
            "next": { "type": "string", "nullable": true },
        },
        "required": ["items", "next"],
    })
}

/// Query parameters of a list.
pub(crate) const LIST_QUERY: &[&str] = &["q", "after", "limit"];

pub(crate) fn list_doc(noun: &'static Noun) -> Doc {
    let doc = Doc::new(kernel::text::capitalized(noun.entity.many)).returns_of(list(noun));
    if let Some(select) = noun.select {
        return doc.query_of(body(select.params, For::Create));
    }
    if !noun.paged {
        return doc;
    }
    doc.query_of(json!({
        "type": "object",
        "properties": {
            "q": { "type": "string", "description": "Words that its texts have" },
            "after": { "type": "string", "description": "The `next` of the page before" },
            "limit": { "type": "integer", "minimum": 1, "maximum": kernel::cursor::MAX_LIMIT },
        },
    }))
}

pub(crate) fn create_doc(noun: &'static Noun) -> Doc {
    Doc::new(format!("Create {}", noun.entity.a()))
        .body_of(body(noun.entity.fields, For::Create))
        .returns_of(record(noun, false))
        .status(201)
}

pub(crate) fn show_doc(noun: &'static Noun) -> Doc {
    Doc::new(format!("{}, by its name or id", kernel::text::capitalized(&noun.entity.a())))
        .returns_of(record(noun, false))
}

pub(crate) fn change_doc(noun: &'static Noun) -> Doc {
    Doc::new(format!("Change {}", noun.entity.a()))
        .if_match()
        .body_of(body(noun.entity.fields, For::Change))
        .returns_of(record(noun, false))
}

pub(crate) fn delete_doc(noun: &'static Noun) -> Doc {
    let doc = Doc::new(format!("Delete {}", noun.entity.a()));
    match noun.deleted {
        Deleted::Record => doc.if_match().returns_of(record(noun, false)),
        Deleted::Nothing => doc.if_match().status(204),
    }
}

pub(crate) fn op_doc(noun: &'static Noun, op: &'static Op) -> Doc {
    let mut doc = Doc::new(op.about).body_of(body(op.input, For::Create));
    if op.file().is_some() {
        let mut query = body(op.input, For::Create);
        let about = "name of the file, if the body is one";
        query["properties"]["name"] = json!({ "type": "string", "description": about });
        query["required"] = json!([]);
        doc = doc.query_of(query).or_file();
    }
    match op.answers {
        Answers::Record => doc.returns_of(record(noun, false)),
        Answers::Json(schema) => doc.returns_of(schema()),
        Answers::Secret(schema) | Answers::Link(schema) => {
            doc.no_key("its response is not stored").returns_of(schema())
        }
        Answers::Empty => doc.status(204),
    }
}
