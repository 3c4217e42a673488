//! Simplifies a foreign JSON schema to what all providers accept: one object without references, with the keywords of
//! draft 2020-12 that models use. The result accepts at least what the original accepts, which checks the arguments.

use std::collections::BTreeSet;

use kernel::text::ellipsis;
use serde_json::{Map, Value, json};

use super::leaks::decoded;

/// Most references to a schema within itself.
const DEPTHS: [usize; 4] = [8, 4, 2, 1];
/// Most levels of a schema.
const LEVELS: usize = 32;
/// Most parts of a simplified schema.
const PARTS: usize = 2_000;
/// Maximum size of a simplified schema as JSON, in bytes.
const BYTES: usize = 32 * 1024;
/// Maximum length of an argument's name, in bytes.
const NAME: usize = 64;
/// Most characters of a foreign reference in an error.
const QUOTED: usize = 100;
/// The types of draft 2020-12.
const TYPES: [&str; 7] = ["object", "array", "string", "number", "integer", "boolean", "null"];

/// Why models cannot be told a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The arguments are no object.
    #[error("its arguments aren't an object")]
    NotAnObject,
    /// A reference that leaves the schema. It is never fetched.
    #[error("its schema refers to {0}, which is not part of it")]
    Remote(String),
    /// A reference to a part that does not exist.
    #[error("its schema refers to {0}, which is missing")]
    Missing(String),
    /// The schema is too large, also with its references cut.
    #[error("its schema is larger than {} KB", BYTES / 1024)]
    TooLarge,
}

/// A simplified schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simplified {
    /// The schema that models read.
    pub schema: Value,
    /// Arguments whose names providers refuse: the name that models read, and the original one.
    pub renamed: Vec<(String, String)>,
}

/// Simplifies the schema of a tool's arguments. Local references are inlined and cycles are cut.
///
/// # Errors
/// The reason why no model can be told the schema.
pub fn simplified(schema: &Value) -> Result<Simplified, Unusable> {
    for depth in DEPTHS {
        let mut work = Work { root: schema, depth, path: Vec::new(), parts: 0 };
        let Some(whole) = work.part(schema, 0)? else { continue };
        let mut map = root(whole)?;
        let renamed = rename(&mut map);
        let mut schema = Value::Object(map);
        tidy(&mut schema);
        if schema.to_string().len() <= BYTES {
            return Ok(Simplified { schema, renamed });
        }
    }
    Err(Unusable::TooLarge)
}

/// The root as a plain object, because providers refuse alternatives there.
fn root(whole: Value) -> Result<Map<String, Value>, Unusable> {
    let Value::Object(mut map) = whole else { return Err(Unusable::NotAnObject) };
    if let Some(Value::Array(choices)) = map.remove("anyOf") {
        either(&mut map, choices.into_iter().filter_map(|choice| root(choice).ok()).collect());
    }
    let is_object = match map.get("type") {
        None => true,
        Some(Value::Array(many)) => many.iter().any(|one| one == "object"),
        Some(one) => one == "object",
    };
    if !is_object {
        return Err(Unusable::NotAnObject);
    }
    map.remove("enum");
    map.insert("type".to_owned(), json!("object"));
    map.entry("properties").or_insert_with(|| json!({}));
    Ok(map)
}

/// Renames arguments whose names a provider refuses. Only names at the top are checked there.
fn rename(map: &mut Map<String, Value>) -> Vec<(String, String)> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_fine = |name: &str| (1..=NAME).contains(&name.len()) && name.chars().all(is_allowed);
    let Some(Value::Object(properties)) = map.get_mut("properties") else { return Vec::new() };
    let odd: Vec<String> = properties.keys().filter(|name| !is_fine(name)).cloned().collect();
    let mut renamed = Vec::new();
    for name in odd {
        let plain = name.chars().map(|c| if is_allowed(c) { c } else { '_' });
        let plain: String = plain.take(NAME - 4).collect();
        let mut shown = if plain.is_empty() { "_".to_owned() } else { plain.clone() };
        let mut count = 2;
        while properties.contains_key(&shown) {
            shown = format!("{plain}_{count}");
            count += 1;
        }
        if let Some(property) = properties.remove(&name) {
            properties.insert(shown.clone(), property);
        }
        renamed.push((shown, name));
    }
    if let Some(Value::Array(required)) = map.get_mut("required") {
        for one in required {
            if let Some((shown, _)) = renamed.iter().find(|(_, name)| one == name) {
                *one = json!(shown);
            }
        }
    }
    renamed
}

/// The type that the other keywords imply. Some providers require one, and it says how text from a model is read.
fn implied(map: &Map<String, Value>) -> Option<&'static str> {
    let Some(values) = map.get("enum").and_then(Value::as_array) else {
        let words = [("properties", "object"), ("items", "array")];
        return words.into_iter().find(|(key, _)| map.contains_key(*key)).map(|(_, word)| word);
    };
    let are = |is: fn(&Value) -> bool| values.iter().all(is);
    let words = [
        ("string", are(Value::is_string)),
        ("boolean", are(Value::is_boolean)),
        ("integer", are(|one| one.is_i64() || one.is_u64())),
        ("number", are(Value::is_number)),
    ];
    words.into_iter().find(|(_, fits)| *fits).map(|(word, _)| word)
}

/// Removes what providers refuse and what says nothing: required names without a property, alternatives of which one
/// accepts anything.
fn tidy(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    if map.get("properties").is_some_and(|all| all.as_object().is_some_and(|all| !all.is_empty()))
        && let Some(Value::Array(choices)) = map.remove("anyOf")
    {
        either(map, choices.into_iter().filter_map(into_object).collect());
    }
    if let Some(Value::Object(all)) = map.get_mut("properties") {
        // A model can only leave it out.
        all.retain(|_, property| property.get("type") != Some(&json!("null")));
    }
    if !map.contains_key("type")
        && let Some(word) = implied(map)
    {
        map.insert("type".to_owned(), json!(word));
    }
    let known: BTreeSet<String> = match map.get("properties") {
        Some(Value::Object(all)) => all.keys().cloned().collect(),
        _ => BTreeSet::new(),
    };
    if let Some(Value::Array(required)) = map.get_mut("required") {
        required.retain(|name| name.as_str().is_some_and(|name| known.contains(name)));
        if required.is_empty() {
            map.remove("required");
        }
    }
    for key in ["properties", "anyOf", "items", "additionalProperties"] {
        match map.get_mut(key) {
            Some(Value::Object(all)) if key == "properties" => all.values_mut().for_each(tidy),
            Some(Value::Array(all)) => all.iter_mut().for_each(tidy),
            Some(one) => tidy(one),
            None => {}
        }
    }
    let is_any = |schema: &Value| schema.as_object().is_some_and(Map::is_empty);
    if map.get("anyOf").and_then(Value::as_array).is_some_and(|all| all.iter().any(is_any)) {
        map.remove("anyOf");
    }
    if map.get("additionalProperties").is_some_and(|more| is_any(more) || *more == json!(true)) {
        map.remove("additionalProperties");
    }
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// Adds the properties of alternatives; required is what all of them require.
fn either(map: &mut Map<String, Value>, choices: Vec<Map<String, Value>>) {
    let mut all: Option<BTreeSet<String>> = None;
    for choice in choices {
        let required: BTreeSet<String> = names(&choice).collect();
        all = Some(match all {
            None => required,
            Some(all) => all.intersection(&required).cloned().collect(),
        });
        add_properties(map, choice.get("properties"));
    }
    require(map, all.unwrap_or_default());
}

fn names(map: &Map<String, Value>) -> impl Iterator<Item = String> {
    let all = map.get("required").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned)
}

fn require(map: &mut Map<String, Value>, more: BTreeSet<String>) {
    let mut all: Vec<String> = names(map).collect();
    all.extend(more);
    let known: BTreeSet<String> = all.drain(..).collect();
    if !known.is_empty() {
        map.insert("required".to_owned(), json!(known));
    }
}

fn add_properties(map: &mut Map<String, Value>, more: Option<&Value>) {
    let Some(Value::Object(more)) = more else { return };
    let there = map.entry("properties").or_insert_with(|| json!({}));
    let Value::Object(there) = there else { return };
    for (name, property) in more {
        there.entry(name).or_insert_with(|| property.clone());
    }
}

struct Work<'s> {
    root: &'s Value,
    /// Most references to a schema within itself.
    depth: usize,
    /// The references that lead to the current part.
    path: Vec<&'s str>,
    parts: usize,
}

impl<'s> Work<'s> {
    /// Simplifies one part. `None` if the whole becomes too large.
    fn part(&mut self, schema: &'s Value, level: usize) -> Result<Option<Value>, Unusable> {
        self.parts += 1;
        if PARTS < self.parts {
            return Ok(None);
        }
        let map = match schema {
            Value::Object(map) if level < LEVELS => map,
            _ => return Ok(Some(json!({}))),
        };
        let mut made = Map::new();
        if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
            let Some(target) = self.referred(reference, level)? else { return Ok(None) };
            made = target;
        }
        keep(map, &mut made);
        for (key, many) in map {
            let many = many.as_array().filter(|many| !many.is_empty());
            let (Some(many), "anyOf" | "oneOf" | "allOf") = (many, key.as_str()) else { continue };
            let mut parts = Vec::with_capacity(many.len());
            for one in many.iter().filter(|one| !is_never(one)) {
                let Some(part) = self.part(one, level + 1)? else { return Ok(None) };
                parts.push(part);
            }
            if key == "allOf" || parts.len() == 1 {
                parts.into_iter().filter_map(into_object).for_each(|one| merge(&mut made, one));
            } else if !parts.is_empty() {
                made.entry("anyOf").or_insert(Value::Array(parts));
            }
        }
        if let Some(Value::Object(fields)) = map.get("properties") {
            let mut all = Map::new();
            for (name, field) in fields.iter().filter(|(_, field)| !is_never(field)) {
                let Some(part) = self.part(field, level + 1)? else { return Ok(None) };
                all.insert(name.clone(), part);
            }
            add_properties(&mut made, Some(&Value::Object(all)));
        }
        // An array of schemas is a tuple of older drafts.
        for key in ["items", "additionalProperties"] {
            let Some(inner @ Value::Object(_)) = map.get(key) else { continue };
            let Some(part) = self.part(inner, level + 1)? else { return Ok(None) };
            made.insert(key.to_owned(), part);
        }
        if made.get("type").is_some_and(|kind| kind == "array") {
            // Several providers refuse an array without it.
            made.entry("items").or_insert_with(|| json!({}));
        }
        Ok(Some(Value::Object(made)))
    }

    /// The target of a reference, without its references to itself below the depth.
    fn referred(
        &mut self,
        reference: &'s str,
        level: usize,
    ) -> Result<Option<Map<String, Value>>, Unusable> {
        let target = self.target(reference)?;
        let within = self.path.iter().filter(|on| **on == reference).count();
        if self.depth <= within {
            let mut cut = Map::new();
            if let Value::Object(map) = target {
                keep(map, &mut cut);
                cut.remove("required");
            }
            return Ok(Some(cut));
        }
        self.path.push(reference);
        let part = self.part(target, level + 1);
        self.path.pop();
        Ok(part?.map(|part| into_object(part).unwrap_or_default()))
    }

    fn target(&self, reference: &str) -> Result<&'s Value, Unusable> {
        let own = self.root.get("$id").and_then(Value::as_str).unwrap_or_default();
        let local = reference.strip_prefix(own).filter(|rest| rest.starts_with('#'));
        let Some(path) = local.and_then(|local| local.strip_prefix('#')) else {
            return Err(Unusable::Remote(ellipsis(reference, QUOTED)));
        };
        let found = self.root.pointer(path).or_else(|| self.root.pointer(&decoded(path)));
        found.ok_or_else(|| Unusable::Missing(ellipsis(reference, QUOTED)))
    }
}

/// Returns `true` if a schema accepts nothing. Some generators write an optional property as such an alternative.
fn is_never(schema: &Value) -> bool {
    *schema == json!(false) || *schema == json!({ "not": {} })
}

/// Keeps the simple keywords with valid values. A constant becomes an enumeration of one.
fn keep(map: &Map<String, Value>, made: &mut Map<String, Value>) {
    for (key, value) in map {
        let is_valid = match key.as_str() {
            "description" | "format" | "pattern" => value.is_string(),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
            "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
            "enum" => value.as_array().is_some_and(|all| !all.is_empty()),
            "required" => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
            "additionalProperties" => value.is_boolean(),
            "default" => true,
            _ => false,
        };
        if is_valid {
            made.insert(key.clone(), value.clone());
        }
    }
    if let Some(one) = map.get("const") {
        made.insert("enum".to_owned(), json!([one]));
    }
    let nullable = map.get("nullable") == Some(&Value::Bool(true));
    if let Some(kind) = map.get("type").and_then(|kind| kind_of(kind, nullable)) {
        made.insert("type".to_owned(), kind);
    }
}

/// The valid types of a part; `None` if there are none, which accepts any.
fn kind_of(kind: &Value, nullable: bool) -> Option<Value> {
    let given: Vec<&str> = match kind {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let mut words: Vec<&str> = Vec::new();
    for word in given.into_iter().chain(nullable.then_some("null")) {
        if !TYPES.contains(&word) {
            return None;
        }
        if !words.contains(&word) {
            words.push(word);
        }
    }
    match words.as_slice() {
        [] => None,
        [one] => Some(json!(one)),
        many => Some(json!(many)),
    }
}

/// Adds a part of `allOf`. Where both restrict the same keyword, the first one stays.
fn merge(made: &mut Map<String, Value>, mut more: Map<String, Value>) {
    require(made, names(&more).collect());
    add_properties(made, more.remove("properties").as_ref());
    for (key, value) in more {
        made.entry(key).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{
        Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };
    use serde_json::{Value, json};

    use super::{BYTES, Unusable};

    fn simplified(schema: &Value) -> Result<Value, Unusable> {
        super::simplified(schema).map(|done| done.schema)
    }

    #[test]
    fn references_are_inlined_and_keywords_of_all_drafts_become_plain() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://a.example/s",
            "type": "object", "title": "Args", "required": ["path", "mode"],
            "definitions": { "Mode/x": { "oneOf": [{"const": "fast"}, {"enum": ["slow"]}] } },
            "properties": {
                "path": { "type": "string", "minLength": 1, "description": "Where", "x-order": 1 },
                "mode": { "$ref": "https://a.example/s#/definitions/Mode~1x", "description": "How" },
                "old": { "type": "number", "minimum": 0, "exclusiveMinimum": true, "required": true },
                "pair": { "type": "array", "items": [{"type": "string"}, {"type": "number"}] },
                "any": { "type": "any" },
                "level": { "enum": [1, 2] },
                "note": { "type": "string", "nullable": true },
                "more": { "type": "object", "additionalProperties": { "type": "integer" } },
                "title": { "not": { "type": "string" } },
                "nothing": { "type": "null" },
                "never": false,
                "maybe": { "anyOf": [{ "not": {} }, { "type": "string" }] },
                "map": { "type": "object", "additionalProperties": {} },
                "one": { "type": "object", "properties": { "a": {}, "b": {} }, "anyOf": [{ "required": ["a"] }, { "required": ["b"] }] },
            },
        });
        let wanted = json!({
            "type": "object", "required": ["path", "mode"],
            "properties": {
                "path": { "type": "string", "minLength": 1, "description": "Where" },
                "mode": { "description": "How", "anyOf": [
                    { "type": "string", "enum": ["fast"] }, { "type": "string", "enum": ["slow"] },
                ] },
                "level": { "type": "integer", "enum": [1, 2] },
                "old": { "type": "number", "minimum": 0 },
                "pair": { "type": "array", "items": {} },
                "any": {},
                "note": { "type": ["string", "null"] },
                "more": { "type": "object", "additionalProperties": { "type": "integer" } },
                "title": {},
                "maybe": { "type": "string" },
                "map": { "type": "object" },
                "one": { "type": "object", "properties": { "a": {}, "b": {} } },
            },
        });
        assert_eq!(simplified(&schema), Ok(wanted));
    }

    #[test]
    fn the_root_is_always_one_object() {
        let empty = json!({ "type": "object", "properties": {} });
        assert_eq!(simplified(&json!({})), Ok(empty.clone()));
        assert_eq!(simplified(&json!(true)), Ok(empty));
        let object = |properties: Value, required: &[&str]| json!({ "type": "object", "properties": properties, "required": required });
        let either = json!({ "anyOf": [
            object(json!({ "id": {"type": "string"}, "all": {} }), &["id", "all"]),
            object(json!({ "name": {"type": "string"}, "all": {} }), &["name", "all"]),
        ] });
        let wanted = json!({ "id": {"type": "string"}, "name": {"type": "string"}, "all": {} });
        assert_eq!(simplified(&either), Ok(object(wanted, &["all"])));
        let both = json!({ "type": ["object", "null"], "allOf": [
            { "properties": { "a": {} }, "required": ["a"] }, { "properties": { "b": {} }, "required": ["b"] },
        ] });
        assert_eq!(simplified(&both), Ok(object(json!({ "a": {}, "b": {} }), &["a", "b"])));
        assert_eq!(simplified(&json!({ "type": "string" })), Err(Unusable::NotAnObject));
    }

    #[test]
    fn a_cycle_is_cut_and_a_foreign_reference_is_never_followed() {
        let list = json!({
            "type": "object", "properties": { "head": { "$ref": "#/$defs/Node" } },
            "$defs": { "Node": { "type": "object", "required": ["next"], "properties": { "next": { "$ref": "#/$defs/Node" } } } },
        });
        let text = simplified(&list).unwrap().to_string();
        assert_eq!(text.matches("\"next\":").count(), 8, "{text}");
        assert!(text.contains(r#"{"type":"object"}"#) && !text.contains("$ref"), "{text}");
        // Ten references to itself in each node: only a lower depth fits.
        let fields: Value = (0..10).map(|n| (n.to_string(), json!({ "$ref": "#" }))).collect();
        let wide = simplified(&json!({ "type": "object", "properties": fields })).unwrap();
        assert!(wide.to_string().len() <= BYTES);
        let of = |reference: &str| json!({ "properties": { "a": { "$ref": reference } } });
        let remote = "https://example.com/x#/a";
        assert_eq!(simplified(&of(remote)), Err(Unusable::Remote(remote.into())));
        let gone = Unusable::Missing("#/$defs/Gone".into());
        assert_eq!(simplified(&of("#/$defs/Gone")), Err(gone));
        let endless = format!("https://example.com/{}", "x".repeat(200));
        let told = simplified(&of(&endless)).unwrap_err().to_string();
        assert!(told.chars().count() < 200, "{told}");
        let long = json!({ "description": "x".repeat(BYTES) });
        assert_eq!(simplified(&long), Err(Unusable::TooLarge));
    }

    #[test]
    fn names_that_a_provider_refuses_are_replaced() {
        let long = "x".repeat(70);
        let schema = json!({
            "properties": { "filter[id]": {"type": "string"}, "filter_id_": {}, "$top": {}, (long.clone()): {} },
            "required": ["filter[id]", "gone"],
        });
        let done = super::simplified(&schema).unwrap();
        let renamed = |from: &str| {
            let (shown, _) = done.renamed.iter().find(|(_, name)| name == from).expect(from);
            shown.as_str()
        };
        assert_eq!((renamed("filter[id]"), renamed("$top")), ("filter_id__2", "_top"));
        assert_eq!((renamed(&long).len(), done.renamed.len()), (60, 3));
        assert_eq!(done.schema["required"], json!(["filter_id__2"]));
        assert_eq!(done.schema["properties"]["filter_id__2"], json!({ "type": "string" }));
    }

    fn any_schema() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!({"type": "string", "const": "x"})),
            Just(json!({"type": ["number", "null"], "exclusiveMinimum": true})),
            Just(json!({"enum": [1, "a", null]})),
            Just(json!({"$ref": "#/properties/a"})),
            Just(json!({"$ref": "#"})),
            Just(json!(false)),
            Just(json!([])),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(|all| json!({"oneOf": all})),
                prop::collection::vec(inner.clone(), 0..3).prop_map(|all| json!({"allOf": all})),
                inner.clone().prop_map(|one| json!({"type": "array", "items": [one]})),
                inner.prop_map(
                    |one| json!({"properties": {"$ref": one}, "additionalProperties": one})
                ),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_out_is_an_object_without_references(a in any_schema(), b in any_schema()) {
            let schema = json!({"type": "object", "properties": {"a": a, "b": b}});
            let made = simplified(&schema).expect("all references are local");
            prop_assert!(made["type"] == "object" && made["properties"].is_object());
            prop_assert!(!made.to_string().contains("\"$ref\":\"#"));
            prop_assert_eq!(simplified(&made), Ok(made));
        }
    }
}
