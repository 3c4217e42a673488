//! Input schemas of tools, made from the OpenAPI description of a route: parameters of path and query and the fields of
//! the body are the arguments.

use std::collections::BTreeSet;

use axum::http::Method;
use kernel::FieldError;
use serde_json::{Map, Value, json};
use web::routes::Doc;

use super::slim;

/// Argument that becomes the `If-Match` header.
pub(super) const IF_MATCH: &str = "if_match";
/// Argument with the whole body, for bodies with any fields.
pub(super) const VALUES: &str = "values";
/// Fields that carry the content of files, which tools never send.
const FILES: &str = "attachments";

/// The arguments of a tool and where each belongs in the request.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) schema: Value,
    /// Parameters of the path, in order.
    pub(super) path: Vec<String>,
    pub(super) query: BTreeSet<String>,
    pub(super) body: Body,
}

/// How the arguments become a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// All arguments that belong nowhere else.
    Fields,
    /// The argument [`VALUES`].
    Values,
}

impl Arguments {
    /// The arguments of a route, without some fields of its body.
    pub(super) fn of(path: &str, doc: &Doc, without: &'static [&'static str]) -> Arguments {
        let params = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let path: Vec<String> = params.map(str::to_owned).collect();
        let mut all = Merged { without, ..Merged::default() };
        for name in &path {
            let schema = json!({ "type": "string", "description": about_param(name) });
            all.add(name, schema, true);
        }
        let mut query = BTreeSet::new();
        if let Some(schema) = &doc.query {
            query.extend(all.add_all(schema));
        }
        let body = match &doc.body {
            None => Body::None,
            Some(schema) if all.takes(schema) => {
                all.add_all(schema);
                Body::Fields
            }
            Some(schema) => {
                all.add(VALUES, json_schema(schema.clone()), true);
                Body::Values
            }
        };
        if doc.if_match {
            let about = "As returned with the record; refuses the change if it has changed since";
            all.add(IF_MATCH, json!({ "type": "string", "description": about }), false);
        }
        Arguments { schema: all.schema(), path, query, body }
    }

    /// The schema for the list of tools. A change clears a field with null; elsewhere, null is the same as omitted.
    pub(super) fn listed(&self, method: &Method) -> Value {
        slim::slim(self.schema.clone(), *method == Method::PATCH)
    }

    /// Problems of arguments that the schema shows: unknown and missing ones, and wrong types.
    pub(super) fn check(&self, given: &Map<String, Value>) -> Vec<FieldError> {
        let properties = &self.schema["properties"];
        let mut errors = Vec::new();
        for name in self.schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !given.contains_key(name) {
                errors.push(FieldError::new(name, "is missing"));
            }
        }
        for (name, value) in given {
            match properties.get(name) {
                None => {
                    errors.push(FieldError::new(name.as_str(), "is not an argument of this tool"))
                }
                Some(schema) => errors
                    .extend(misfit(schema, value).map(|what| FieldError::new(name.as_str(), what))),
            }
        }
        errors
    }
}

/// Properties that are collected from several schemas.
#[derive(Default)]
struct Merged {
    /// Fields that are left out.
    without: &'static [&'static str],
    properties: Map<String, Value>,
    required: Vec<String>,
}

impl Merged {
    fn add(&mut self, name: &str, schema: Value, is_required: bool) {
        self.properties.insert(name.to_owned(), schema);
        if is_required {
            self.required.push(name.to_owned());
        }
    }

    /// Adds the properties of an object and returns their names.
    fn add_all(&mut self, object: &Value) -> Vec<String> {
        let required: Vec<&str> =
            object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = object["properties"].as_object().into_iter().flatten();
        let known: Vec<_> = properties
            .filter(|(name, _)| *name != FILES && !self.without.contains(&name.as_str()))
            .collect();
        for (name, schema) in &known {
            let is_required = required.contains(&name.as_str());
            self.add(name, json_schema((*schema).clone()), is_required);
        }
        known.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether a body consists of known fields whose names are free.
    fn takes(&self, object: &Value) -> bool {
        let Some(properties) = object["properties"].as_object() else { return false };
        object["additionalProperties"] == false
            && !properties.keys().any(|name| self.properties.contains_key(name) || name == IF_MATCH)
    }

    fn schema(self) -> Value {
        let mut schema = json!({
            "type": "object",
            "properties": self.properties,
            "additionalProperties": false,
        });
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        schema
    }
}

fn about_param(name: &str) -> &'static str {
    match name {
        "task" => "Key, such as MC-1, or id",
        "agent" => "Handle or id",
        "place" => "Kind and id of the record, such as contact:0192…",
        _ => "Id or unique name",
    }
}

/// Converts a schema of OpenAPI 3.0 to JSON Schema 2020-12: `nullable` becomes a type.
fn json_schema(mut schema: Value) -> Value {
    match &mut schema {
        Value::Array(all) => {
            for one in all {
                *one = json_schema(one.take());
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                if !matches!(key.as_str(), "enum" | "default" | "example") {
                    *field = json_schema(field.take());
                }
            }
            let is_nullable = fields.get("nullable").is_some_and(Value::is_boolean)
                && fields.remove("nullable") == Some(Value::Bool(true));
            if is_nullable {
                return nullable(std::mem::take(fields));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    schema
}

fn nullable(mut schema: Map<String, Value>) -> Value {
    let Some(Value::String(kind)) = schema.get("type").cloned() else {
        let about = schema.remove("description");
        let mut either = json!({ "anyOf": [schema, { "type": "null" }] });
        if let Some(about) = about {
            either["description"] = about;
        }
        return either;
    };
    schema.insert("type".to_owned(), json!([kind, "null"]));
    if let Some(Value::Array(words)) = schema.get_mut("enum")
        && !words.contains(&Value::Null)
    {
        words.push(Value::Null);
    }
    Value::Object(schema)
}

/// What is wrong with a value by the type and the words of its schema.
fn misfit(schema: &Value, value: &Value) -> Option<String> {
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        return Some(format!("is none of {}", words.join(", ")));
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let fits = |kind: &&str| match *kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    };
    (!kinds.iter().any(fits)).then(|| format!("is not of the type {}", kinds.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Body, json_schema};
    use serde_json::{Map, Value, json};
    use web::routes::Doc;

    fn given(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn parameters_and_fields_become_one_object() {
        let doc = Doc::new("Change it")
            .query_of(json!({ "properties": { "by": { "type": "string" } } }))
            .body_of(json!({
                "type": "object",
                "properties": {
                    "title": { "type": "string", "nullable": true },
                    "attachments": { "type": "array" },
                    "internal": { "type": "string" },
                },
                "required": ["title"],
                "additionalProperties": false,
            }))
            .if_match();
        let arguments = Arguments::of("/tasks/{task}", &doc, &["internal"]);
        assert_eq!(arguments.path, ["task"]);
        assert_eq!(arguments.body, Body::Fields);
        assert_eq!(arguments.query.iter().collect::<Vec<_>>(), ["by"]);
        assert_eq!(arguments.schema["required"], json!(["task", "title"]));
        assert_eq!(arguments.schema["additionalProperties"], false);
        let names: Vec<&str> = arguments.schema["properties"]
            .as_object()
            .expect("properties")
            .keys()
            .map(String::as_str)
            .collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["by", "if_match", "task", "title"]);
        assert_eq!(arguments.schema["properties"]["title"]["type"], json!(["string", "null"]));
    }

    #[test]
    fn a_body_with_any_fields_or_taken_names_is_one_argument() {
        let open = json!({ "type": "object", "additionalProperties": {} });
        let taken = json!({
            "type": "object", "properties": { "id": {} }, "additionalProperties": false,
        });
        for body in [open, taken] {
            let arguments = Arguments::of("/records/{id}", &Doc::new("Change").body_of(body), &[]);
            assert_eq!(arguments.body, Body::Values);
            assert_eq!(arguments.schema["required"], json!(["id", "values"]));
        }
    }

    #[test]
    fn problems_are_named_by_argument() {
        let body = json!({
            "type": "object",
            "properties": {
                "title": { "type": "string" },
                "priority": { "enum": ["low", "high"], "type": "string", "nullable": true },
            },
            "additionalProperties": false,
        });
        let arguments = Arguments::of("/tasks/{task}", &Doc::new("Change").body_of(body), &[]);
        let found = |value: Value| {
            let errors = arguments.check(&given(value));
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert_eq!(found(json!({ "task": "MC-1", "title": "A", "priority": null })), [""; 0]);
        assert_eq!(found(json!({ "title": 5 })), ["task", "title"]);
        assert_eq!(found(json!({ "task": "MC-1", "nick": 1 })), ["nick"]);
        assert_eq!(found(json!({ "task": "MC-1", "priority": "huge" })), ["priority"]);
    }

    #[test]
    fn nullable_becomes_a_type_of_json_schema() {
        let schema = json_schema(json!({
            "properties": {
                "nullable": { "type": "string" },
                "kind": { "allOf": [{ "type": "string" }], "nullable": true, "description": "D" },
                "count": { "type": "integer", "nullable": false },
            },
        }));
        let properties = &schema["properties"];
        assert_eq!(properties["nullable"], json!({ "type": "string" }));
        assert_eq!(properties["count"], json!({ "type": "integer" }));
        assert_eq!(properties["kind"]["anyOf"][1], json!({ "type": "null" }));
        assert_eq!(properties["kind"]["description"], "D");
    }
}
