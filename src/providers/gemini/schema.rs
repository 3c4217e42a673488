//! Reduces JSON schemas to what Gemini supports: references are inlined, unknown keywords dropped, enumerations limited
//! to texts. What cannot be expressed is an error, never a schema with another meaning.

use serde_json::{Map, Value, json};

/// Maximum depth of nested references and schema levels.
const DEEPEST: usize = 24;
/// Keywords that are kept unchanged.
const KEPT: &[&str] = &[
    "description",
    "title",
    "format",
    "nullable",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "required",
];
/// Supported formats.
const FORMATS: &[&str] = &["enum", "date-time", "int32", "int64", "float", "double"];

/// A schema that Gemini accepts; `None` for a tool without arguments.
///
/// # Errors
/// A short reason why the schema cannot be expressed.
pub(super) fn clean(schema: &Value) -> Result<Option<Value>, String> {
    let cleaned = part(schema, schema, 0)?;
    let has_fields =
        cleaned.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty());
    Ok(has_fields.then_some(cleaned))
}

fn part(schema: &Value, root: &Value, depth: usize) -> Result<Value, String> {
    if DEEPEST < depth {
        return Err("its arguments refer to themselves".to_owned());
    }
    let Value::Object(map) = schema else {
        // `true` accepts anything; text can always be written.
        return match schema {
            Value::Bool(true) => {
                Ok(json!({ "type": "string", "description": "any JSON, as text" }))
            }
            _ => Err("part of its arguments isn't a schema".to_owned()),
        };
    };
    if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
        let mut found = part(lookup(reference, root)?, root, depth + 1)?;
        // A description next to a reference takes precedence.
        if let (Some(text), Some(found)) = (map.get("description"), found.as_object_mut()) {
            found.insert("description".to_owned(), text.clone());
        }
        return Ok(found);
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        if let Some(choices) = map.get(word).and_then(Value::as_array) {
            return choice(word, choices, map, root, depth);
        }
    }
    object(map, root, depth)
}

fn lookup<'a>(reference: &str, root: &'a Value) -> Result<&'a Value, String> {
    let path =
        reference.strip_prefix('#').ok_or_else(|| format!("{reference} isn't part of it"))?;
    root.pointer(path).ok_or_else(|| format!("{reference} is missing"))
}

/// Combines several schemas. An alternative with null becomes nullable; `allOf` is merged.
fn choice(
    word: &str,
    choices: &[Value],
    map: &Map<String, Value>,
    root: &Value,
    depth: usize,
) -> Result<Value, String> {
    let is_null = |choice: &&Value| choice.get("type").is_some_and(|t| t == "null");
    let nullable = choices.iter().any(|c| is_null(&c));
    let rest: Vec<&Value> = choices.iter().filter(|c| !is_null(c)).collect();
    let mut made = match rest.as_slice() {
        [] => return Err("an argument can only be nothing".to_owned()),
        [one] => part(one, root, depth + 1)?,
        many if word == "allOf" => merged(many, root, depth)?,
        many if many.iter().all(|c| texts(c).is_some()) => {
            let all: Vec<Value> = many.iter().filter_map(|c| texts(c)).flatten().collect();
            json!({ "type": "string", "enum": all })
        }
        many => {
            let parts: Result<Vec<Value>, String> =
                many.iter().map(|choice| part(choice, root, depth + 1)).collect();
            json!({ "anyOf": parts? })
        }
    };
    if let Some(object) = made.as_object_mut() {
        if nullable {
            object.insert("nullable".to_owned(), Value::Bool(true));
        }
        if let Some(text) = map.get("description") {
            object.insert("description".to_owned(), text.clone());
        }
    }
    Ok(made)
}

/// The texts of a constant or an enumeration.
fn texts(schema: &Value) -> Option<Vec<Value>> {
    let values = match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(one), _) => vec![one.clone()],
        (None, Some(many)) => many.clone(),
        (None, None) => return None,
    };
    values.iter().all(Value::is_string).then_some(values)
}

/// Merges objects of `allOf` into one object.
fn merged(parts: &[&Value], root: &Value, depth: usize) -> Result<Value, String> {
    let mut all = Map::new();
    for one in parts {
        let Value::Object(cleaned) = part(one, root, depth + 1)? else { continue };
        for (key, value) in cleaned {
            match (all.get_mut(&key), value) {
                (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
                (Some(Value::Array(there)), Value::Array(more)) => there.extend(more),
                (_, value) => {
                    all.insert(key, value);
                }
            }
        }
    }
    Ok(Value::Object(all))
}

fn object(map: &Map<String, Value>, root: &Value, depth: usize) -> Result<Value, String> {
    let mut made = Map::new();
    for key in KEPT {
        if let Some(value) = map.get(*key) {
            made.insert((*key).to_owned(), value.clone());
        }
    }
    if made.get("format").and_then(Value::as_str).is_some_and(|f| !FORMATS.contains(&f)) {
        made.remove("format");
    }
    let kind = kind(map, &mut made)?;
    // A constant, or an enumeration of numbers, becomes a description.
    let values = map.get("enum").and_then(Value::as_array).cloned();
    let values = values.or_else(|| map.get("const").map(|one| vec![one.clone()]));
    if let Some(values) = values {
        enumerate(&values, &mut made);
    }
    if let Some(fields) = map.get("properties").and_then(Value::as_object) {
        let cleaned: Result<Map<String, Value>, String> = fields
            .iter()
            .map(|(name, field)| Ok((name.clone(), part(field, root, depth + 1)?)))
            .collect();
        made.insert("properties".to_owned(), Value::Object(cleaned?));
    }
    if let Some(items) = map.get("items") {
        made.insert("items".to_owned(), part(items, root, depth + 1)?);
    } else if kind.as_deref() == Some("array") {
        made.insert("items".to_owned(), json!({ "type": "string" }));
    }
    Ok(Value::Object(made))
}

/// The type, which is a single word in Gemini. A list of two with `null` becomes nullable.
fn kind(map: &Map<String, Value>, made: &mut Map<String, Value>) -> Result<Option<String>, String> {
    let words: Vec<&str> = match map.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ if map.contains_key("properties") => vec!["object"],
        _ if map.contains_key("items") => vec!["array"],
        _ if map.contains_key("enum") || map.contains_key("const") => vec!["string"],
        // Any type is accepted; text can always be written.
        _ => vec!["string"],
    };
    if words.contains(&"null") {
        made.insert("nullable".to_owned(), Value::Bool(true));
    }
    let mut words = words.into_iter().filter(|word| *word != "null");
    let Some(first) = words.next() else {
        return Err("an argument can only be nothing".to_owned());
    };
    // Of several types, text can represent the others.
    let word = if words.next().is_some() { "string" } else { first };
    made.insert("type".to_owned(), json!(word));
    Ok(Some(word.to_owned()))
}

fn enumerate(values: &[Value], made: &mut Map<String, Value>) {
    let texts: Vec<&Value> = values.iter().filter(|v| v.is_string()).collect();
    let is_text = made.get("type").is_some_and(|kind| kind == "string");
    if is_text && !texts.is_empty() {
        made.insert("enum".to_owned(), json!(texts));
        return;
    }
    let all = values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
    let known = made.get("description").and_then(Value::as_str).unwrap_or("");
    let text = format!("{known} One of: {all}").trim().to_owned();
    made.insert("description".to_owned(), json!(text));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_oneof, proptest};

    use super::*;

    /// Keywords that Gemini rejects anywhere in a schema.
    const REFUSED: &[&str] = &[
        "$schema",
        "$ref",
        "$defs",
        "definitions",
        "additionalProperties",
        "oneOf",
        "allOf",
        "const",
        "exclusiveMinimum",
        "patternProperties",
        "default",
        "examples",
    ];

    fn schemas(value: &Value, names: bool, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    if !names {
                        found.push(key.clone());
                    }
                    schemas(inner, !names && key == "properties", found);
                }
            }
            Value::Array(all) => all.iter().for_each(|inner| schemas(inner, false, found)),
            _ => {}
        }
    }

    #[test]
    fn what_tools_say_is_kept_and_the_rest_goes() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object", "additionalProperties": false, "required": ["path"],
            "$defs": { "Mode": { "oneOf": [{"const": "fast"}, {"enum": ["slow"]}] } },
            "properties": {
                "path": { "type": "string", "minLength": 1, "description": "Where", "default": "." },
                "limit": { "type": ["integer", "null"], "format": "uint32", "exclusiveMinimum": 0 },
                "mode": { "$ref": "#/$defs/Mode", "description": "How" },
                "level": { "enum": [1, 2, 3], "type": "integer" },
                "when": { "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}] },
                "const": { "type": "array" },
            },
        });
        assert_eq!(
            clean(&schema).expect("it can be told"),
            Some(json!({
                "type": "object", "required": ["path"],
                "properties": {
                    "path": { "type": "string", "minLength": 1, "description": "Where" },
                    "limit": { "type": "integer", "nullable": true },
                    "mode": { "type": "string", "enum": ["fast", "slow"], "description": "How" },
                    "level": { "type": "integer", "description": "One of: 1, 2, 3" },
                    "when": { "type": "string", "format": "date-time", "nullable": true },
                    "const": { "type": "array", "items": { "type": "string" } },
                },
            }))
        );
    }

    #[test]
    fn a_tool_without_arguments_has_no_schema() {
        assert_eq!(clean(&json!({"type": "object"})), Ok(None));
        assert_eq!(clean(&json!({"type": "object", "properties": {}})), Ok(None));
    }

    #[test]
    fn what_cannot_be_told_says_why() {
        let endless = json!({
            "type": "object", "$defs": { "Node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/Node" } } } },
            "properties": { "root": { "$ref": "#/$defs/Node" } },
        });
        assert!(clean(&endless).expect_err("it has no end").contains("themselves"));
        let lost = json!({"properties": {"a": {"$ref": "#/$defs/Gone"}}});
        assert!(clean(&lost).expect_err("it is missing").contains("missing"));
        let foreign = json!({"properties": {"a": {"$ref": "https://example.com/x"}}});
        assert!(clean(&foreign).is_err());
        assert!(clean(&json!({"properties": {"a": {"type": "null"}}})).is_err());
        assert!(clean(&json!({"properties": {"a": 7}})).is_err());
    }

    fn any_schema() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!({"type": "string", "const": "x"})),
            Just(json!({"type": ["number", "null"], "exclusiveMinimum": 1})),
            Just(json!({"enum": [1, "a", null]})),
            Just(json!({"$ref": "#/properties/a"})),
            Just(json!(true)),
            Just(json!({})),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(|all| json!({"oneOf": all})),
                prop::collection::vec(inner.clone(), 0..3).prop_map(|all| json!({"allOf": all})),
                inner.clone().prop_map(|one| json!({"type": "array", "items": one, "default": []})),
                inner.prop_map(
                    |one| json!({"properties": {"const": one}, "additionalProperties": one})
                ),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_told_has_no_word_that_is_refused(a in any_schema(), b in any_schema()) {
            let schema = json!({"type": "object", "properties": {"a": a, "b": b}});
            if let Ok(Some(cleaned)) = clean(&schema) {
                let mut found = Vec::new();
                schemas(&cleaned, false, &mut found);
                prop_assert!(found.iter().all(|word| !REFUSED.contains(&word.as_str())), "{cleaned}");
            }
        }
    }
}
