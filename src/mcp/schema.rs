//! JSON Schemas of tools: references put in place for models, and arguments checked against the original.
//!
//! Nothing is ever fetched. A schema that refers to another document cannot be used.

mod nulls;

use std::collections::HashMap;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

/// How often a reference may contain itself before it is cut to "anything".
const MAX_DEPTH: usize = 8;
/// Maximum number of values in a schema, before and after references are put in place.
const MAX_NODES: usize = 10_000;
/// Maximum nesting of schemas.
const MAX_LEVELS: usize = 60;
/// Steps after which a regular expression counts as unusable.
const MAX_BACKTRACKS: usize = 100_000;
/// Faults that are named.
const MAX_FAULTS: usize = 5;
/// Maximum length of a named fault, in characters.
const MAX_FAULT: usize = 300;

/// Keywords whose value is data, not a schema.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "example"];
/// Keywords whose value maps names to schemas.
const MAPS: [&str; 5] =
    ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    #[error("the schema refers to {reference}, and other documents are never fetched")]
    Remote { reference: String },
    #[error("the schema refers to {reference}, which it doesn't contain")]
    Missing { reference: String },
    #[error("the schema is too large")]
    TooLarge,
    #[error("the schema is invalid: {reason}")]
    Invalid { reason: String },
}

/// The schema with its references put in place. References that contain themselves are cut at depth 8, or earlier where
/// the result would be too large.
pub fn inline(schema: &Value) -> Result<Value, SchemaError> {
    let anchors = anchors(schema)?;
    let mut depth = MAX_DEPTH;
    loop {
        let inliner = Inliner { root: schema, anchors: &anchors, depth };
        let mut progress = Progress::default();
        match inliner.schema(schema, &mut progress) {
            Ok(mut inlined) => {
                if let Value::Object(fields) = &mut inlined {
                    fields.remove("$defs");
                    fields.remove("definitions");
                }
                return Ok(inlined);
            }
            // Schemas that contain themselves several times grow with the depth.
            Err(SchemaError::TooLarge) if depth > 1 => depth /= 2,
            Err(err) => return Err(err),
        }
    }
}

/// Anchors of a schema, and a check of its size.
fn anchors(schema: &Value) -> Result<HashMap<&str, &Value>, SchemaError> {
    let mut found = HashMap::new();
    let mut waiting = vec![schema];
    let mut nodes = 0;
    while let Some(value) = waiting.pop() {
        nodes += 1;
        if MAX_NODES < nodes {
            return Err(SchemaError::TooLarge);
        }
        match value {
            Value::Object(fields) => {
                for key in ["$anchor", "$dynamicAnchor"] {
                    if let Some(name) = fields.get(key).and_then(Value::as_str) {
                        found.entry(name).or_insert(value);
                    }
                }
                waiting.extend(fields.values());
            }
            Value::Array(items) => waiting.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    Ok(found)
}

struct Inliner<'s> {
    root: &'s Value,
    anchors: &'s HashMap<&'s str, &'s Value>,
    depth: usize,
}

#[derive(Default)]
struct Progress<'s> {
    nodes: usize,
    /// Nesting at this point.
    level: usize,
    /// References that are being put in place.
    open: Vec<&'s str>,
}

impl<'s> Inliner<'s> {
    fn schema(&self, value: &'s Value, at: &mut Progress<'s>) -> Result<Value, SchemaError> {
        count(at, 1)?;
        if MAX_LEVELS < at.level {
            return Err(SchemaError::TooLarge);
        }
        at.level += 1;
        let inlined = match value {
            Value::Object(fields) => self.object(fields, at),
            Value::Array(items) => {
                let items = items.iter().map(|item| self.schema(item, at));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            plain => Ok(plain.clone()),
        };
        at.level -= 1;
        inlined
    }

    fn object(
        &self,
        fields: &'s Map<String, Value>,
        at: &mut Progress<'s>,
    ) -> Result<Value, SchemaError> {
        let Some(reference) = reference(fields) else {
            return self.fields(fields, at).map(Value::Object);
        };
        let mut target = self.target(reference, at)?;
        let beside = self.fields(fields, at)?;
        // Keywords beside a reference apply as well.
        if let Value::Object(target) = &mut target {
            target.extend(beside);
        }
        Ok(target)
    }

    /// All fields but references.
    fn fields(
        &self,
        fields: &'s Map<String, Value>,
        at: &mut Progress<'s>,
    ) -> Result<Map<String, Value>, SchemaError> {
        let mut inlined = Map::new();
        let is_root = std::ptr::eq(fields, self.root.as_object().unwrap_or(fields));
        for (key, value) in fields {
            let value = match (key.as_str(), value) {
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(_)) => continue,
                ("$anchor" | "$dynamicAnchor" | "$recursiveAnchor", _) => continue,
                // Definitions are dropped at the end, and checked where they are used.
                ("$defs" | "definitions", Value::Object(_)) if is_root || !at.open.is_empty() => {
                    continue;
                }
                (key, value) if DATA.contains(&key) => {
                    count(at, nodes(value))?;
                    value.clone()
                }
                (key, Value::Object(map)) if MAPS.contains(&key) => {
                    let mut schemas = Map::new();
                    for (name, value) in map {
                        schemas.insert(name.clone(), self.schema(value, at)?);
                    }
                    Value::Object(schemas)
                }
                (_, value) => self.schema(value, at)?,
            };
            inlined.insert(key.clone(), value);
        }
        Ok(inlined)
    }

    fn target(&self, reference: &'s str, at: &mut Progress<'s>) -> Result<Value, SchemaError> {
        let found = self.find(reference)?;
        if self.depth <= at.open.iter().filter(|open| **open == reference).count() {
            return Ok(Value::Object(Map::new()));
        }
        at.open.push(reference);
        let inlined = self.schema(found, at);
        at.open.pop();
        // A schema may also be `true` or `false`.
        Ok(match inlined? {
            Value::Bool(false) => serde_json::json!({"not": {}}),
            Value::Object(fields) => Value::Object(fields),
            _ => Value::Object(Map::new()),
        })
    }

    fn find(&self, reference: &str) -> Result<&'s Value, SchemaError> {
        let own = self.root.get("$id").and_then(Value::as_str).unwrap_or_default();
        let local = reference.strip_prefix(own.trim_end_matches('#')).unwrap_or(reference);
        let shown = || reference.chars().take(MAX_FAULT).collect::<String>();
        let Some(fragment) = local.strip_prefix('#') else {
            return match local.is_empty() {
                true => Ok(self.root),
                false => Err(SchemaError::Remote { reference: shown() }),
            };
        };
        let fragment = unescape(fragment);
        let found = match fragment.is_empty() || fragment.starts_with('/') {
            true => self.root.pointer(&fragment),
            false => self.anchors.get(fragment.as_str()).copied(),
        };
        found.ok_or_else(|| SchemaError::Missing { reference: shown() })
    }
}

/// The reference of a schema.
fn reference(fields: &Map<String, Value>) -> Option<&str> {
    let keys = ["$ref", "$dynamicRef", "$recursiveRef"];
    keys.into_iter().find_map(|key| fields.get(key).and_then(Value::as_str))
}

/// Whether a schema is of draft 4, 6 or 7.
fn is_old(root: &Value) -> bool {
    let draft = root.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let draft = draft.trim_end_matches('#');
    ["/draft-04/schema", "/draft-06/schema", "/draft-07/schema"]
        .into_iter()
        .any(|old| draft.ends_with(old))
}

/// Whether a schema accepts null by a keyword of OpenAPI, which models are shown. The check ignores it.
fn is_nullable(fields: &Map<String, Value>) -> bool {
    fields.get("nullable") == Some(&Value::Bool(true))
}

/// Whether only the reference of a schema counts. Old drafts ignore the keywords beside it.
fn is_alone(fields: &Map<String, Value>, is_old: bool) -> bool {
    is_old && fields.get("$ref").is_some_and(Value::is_string)
}

fn count(at: &mut Progress<'_>, nodes: usize) -> Result<(), SchemaError> {
    at.nodes += nodes;
    match at.nodes <= MAX_NODES {
        true => Ok(()),
        false => Err(SchemaError::TooLarge),
    }
}

fn nodes(value: &Value) -> usize {
    match value {
        Value::Object(fields) => 1 + fields.values().map(nodes).sum::<usize>(),
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// Decodes `%20` and the like.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()); // ok: not an escape
        let code = digits.filter(|_| *first == b'%');
        // ok: not an escape
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Checks values against a schema. Expensive to create and cheap to use.
pub struct Checker {
    validator: Validator,
    schema: Value,
}

impl Checker {
    /// Drafts 4 to 2020-12 are known; 2020-12 if the schema names none.
    pub fn new(schema: &Value) -> Result<Checker, SchemaError> {
        // Names the reason where a reference leads elsewhere.
        inline(schema)?;
        let patterns = PatternOptions::fancy_regex().backtrack_limit(MAX_BACKTRACKS);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        match options.build(schema) {
            Ok(validator) => Ok(Checker { validator, schema: schema.clone() }),
            Err(err) => Err(SchemaError::Invalid { reason: shortened(&err.to_string()) }),
        }
    }

    /// The first faults of a value, as sentences that a model can act on.
    pub fn check(&self, value: &Value) -> Result<(), Vec<String>> {
        let faults: Vec<String> = self
            .validator
            .iter_errors(value)
            .take(MAX_FAULTS)
            .map(|err| {
                let at = err.instance_path().to_string();
                match at.is_empty() {
                    true => shortened(&err.to_string()),
                    false => shortened(&format!("{at}: {err}")),
                }
            })
            .collect();
        match faults.is_empty() {
            true => Ok(()),
            false => Err(faults),
        }
    }

    /// Like [`Checker::check`], for the arguments of a tool. Before that, removes optional fields that are null although
    /// their schema doesn't accept null, also in nested objects.
    pub fn check_arguments(&self, arguments: &mut Map<String, Value>) -> Result<(), Vec<String>> {
        let mut value = Value::Object(std::mem::take(arguments));
        nulls::remove(&self.schema, &mut value);
        let checked = self.check(&value);
        if let Value::Object(left) = value {
            *arguments = left;
        }
        checked
    }
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checker")
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_FAULT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
