//! Input schemas as tools are listed. A model pays for the whole list in each request, so keywords that it does not need
//! are left out. Names, required fields, words and descriptions stay; the route checks everything else.

use serde_json::{Map, Value, json};

/// Keywords that the checks of a route repeat.
const NOISE: [&str; 7] =
    ["title", "format", "minimum", "maximum", "default", "example", "examples"];

/// A shorter schema of an object. With `nulls`, it says which fields take null; otherwise null means that a field is
/// omitted, which needs no mention.
pub(super) fn slim(mut schema: Value, nulls: bool) -> Value {
    let properties = schema["properties"].as_object_mut();
    properties.into_iter().flat_map(Map::values_mut).for_each(|one| shorten(one, nulls));
    schema
}

fn shorten(schema: &mut Value, nulls: bool) {
    let Value::Object(fields) = schema else { return };
    for noise in NOISE {
        fields.remove(noise);
    }
    let others = fields.get("additionalProperties");
    if others.is_some_and(|others| others.is_boolean() || *others == json!({})) {
        fields.remove("additionalProperties");
    }
    if let Some(Value::String(about)) = fields.get_mut("description") {
        *about = about.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(|one| shorten(one, nulls));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            shorten(inner, nulls);
        }
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(all)) = fields.remove(key) {
            alternatives(fields, (key, all), nulls);
        }
    }
    if !nulls {
        without_null(fields);
    }
}

/// Puts alternatives back: without null, words as one enum, and a single one as the schema itself.
fn alternatives(fields: &mut Map<String, Value>, (key, all): (&str, Vec<Value>), nulls: bool) {
    let takes_null = nulls && all.iter().any(is_null);
    let mut kept: Vec<Value> = all.into_iter().filter(|one| !is_null(one)).collect();
    kept.iter_mut().for_each(|one| shorten(one, nulls));
    let words: Option<Vec<Value>> = kept.iter().map(word).collect();
    if let Some(words) = words.filter(|words| key != "allOf" && 1 < words.len()) {
        kept = vec![json!({ "type": "string", "enum": words })];
    }
    if takes_null {
        kept.push(json!({ "type": "null" }));
    }
    match kept.as_mut_slice() {
        [] => {}
        [Value::Object(one)] => {
            for (name, value) in std::mem::take(one) {
                fields.entry(name).or_insert(value);
            }
        }
        _ => {
            fields.insert(key.to_owned(), Value::Array(kept));
        }
    }
}

/// The word of a schema that allows nothing else.
fn word(schema: &Value) -> Option<Value> {
    let only = schema["enum"].as_array().and_then(|all| match all.as_slice() {
        [one] => Some(one),
        _ => None,
    });
    only.or_else(|| schema.get("const")).filter(|one| one.is_string()).cloned()
}

fn is_null(schema: &Value) -> bool {
    let is_nested = |all: &Vec<Value>| !all.is_empty() && all.iter().all(is_null);
    schema["type"] == "null"
        || schema["enum"] == json!([null])
        || schema["anyOf"].as_array().is_some_and(is_nested)
}

fn without_null(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = fields.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [one] = kinds.as_slice() {
            let one = one.clone();
            fields.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(words)) = fields.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
}

#[cfg(test)]
mod tests {
    use super::slim;
    use serde_json::{Value, json};

    fn object(properties: Value) -> Value {
        json!({
            "type": "object",
            "properties": properties,
            "required": ["format"],
            "additionalProperties": false,
        })
    }

    #[test]
    fn names_required_fields_and_words_stay_and_noise_goes() {
        let whole = object(json!({
            "format": { "type": "string", "description": "How\nit looks.", "default": "" },
            "limit": { "type": ["integer", "null"], "format": "uint32", "minimum": 0 },
            "mark": { "enum": ["low", "high", null], "type": ["string", "null"], "default": null },
            "all": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": { "title": { "type": "string", "title": "Title" } },
                    "required": ["title"],
                    "additionalProperties": false,
                },
            },
        }));
        let expected = object(json!({
            "format": { "type": "string", "description": "How it looks." },
            "limit": { "type": "integer" },
            "mark": { "enum": ["low", "high"], "type": "string" },
            "all": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": { "title": { "type": "string" } },
                    "required": ["title"],
                },
            },
        }));
        assert_eq!(slim(whole, false), expected);
    }

    #[test]
    fn described_words_become_one_list() {
        let op = json!({
            "description": "`is` if omitted",
            "anyOf": [
                { "description": "How.", "oneOf": [
                    { "description": "It is.", "enum": ["is"], "type": "string" },
                    { "const": "is_not", "type": "string" },
                ] },
                { "anyOf": [{ "enum": [null] }, { "type": "null" }] },
            ],
        });
        let words = json!(["is", "is_not"]);
        let short = slim(object(json!({ "op": op.clone() })), false);
        let about = "`is` if omitted";
        let expected = json!({ "description": about, "type": "string", "enum": words });
        assert_eq!(short["properties"]["op"], expected);
        let short = slim(object(json!({ "op": op })), true);
        assert_eq!(short["properties"]["op"]["anyOf"][0]["enum"], words);
        assert_eq!(short["properties"]["op"]["anyOf"][1], json!({ "type": "null" }));
    }

    #[test]
    fn fields_that_null_clears_say_so() {
        let folder = json!({ "type": ["string", "null"], "default": null });
        let short = slim(object(json!({ "folder": folder })), true);
        assert_eq!(short["properties"]["folder"], json!({ "type": ["string", "null"] }));
    }
}
