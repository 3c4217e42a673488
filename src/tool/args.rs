//! Parses call arguments: lenient in form, strict in names, with errors that tell the model how to correct them.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::registry::Check;
use super::{Aliases, Lease, ToolError};
use kernel::text;

/// Converts arguments from a model to canonical JSON: sorted keys, with the schema's names and types. Accepts numbers
/// and booleans written as text, and alternative names. Rejects unknown names and lists the known ones.
///
/// # Errors
/// Describes the problem to the model.
pub fn canonical(raw: &str, schema: &Value, aliases: Aliases) -> Result<String, ToolError> {
    Ok(Value::Object(mended(object(raw)?, schema, aliases)?).to_string())
}

/// Converts arguments of a layer's tool to canonical JSON. Numbers and booleans written as text are accepted; whether a
/// name or value is allowed is decided by `check`, which knows the original schema.
///
/// # Errors
/// Describes the problem to the model.
pub fn checked(
    raw: &str,
    (schema, renamed): (&Value, &[(String, String)]),
    check: &Check,
) -> Result<String, ToolError> {
    let mut given = object(raw)?;
    if let Some(known) = schema.get("properties").and_then(Value::as_object) {
        given.retain(|name, value| {
            let Some(property) = known.get(name) else { return true };
            coerce(value, property);
            !value.is_null() || is_required(schema, name) || takes_null(property)
        });
    }
    for (shown, name) in renamed {
        if let Some(value) = given.remove(shown) {
            given.insert(name.clone(), value);
        }
    }
    check(&mut given).map_err(bad)?;
    Ok(Value::Object(given).to_string())
}

fn object(raw: &str) -> Result<Map<String, Value>, ToolError> {
    let raw = if raw.trim().is_empty() { "{}" } else { raw };
    let value: Value = serde_json::from_str(raw).map_err(|e| {
        let near = at(raw, e.line(), e.column());
        bad(format!(
            "the arguments are not valid JSON at line {}, column {}{near}: {e}; nothing was done",
            e.line(),
            e.column()
        ))
    })?;
    match value {
        Value::Object(given) => Ok(given),
        _ => Err(bad("the arguments must be one JSON object".to_owned())),
    }
}

/// Deserializes the arguments of a lease.
///
/// # Errors
/// Describes the problem to the model.
pub fn leased<A: DeserializeOwned>(lease: &Lease) -> Result<A, ToolError> {
    let mut read = serde_json::Deserializer::from_str(lease.arguments());
    serde_path_to_error::deserialize(&mut read).map_err(|error| {
        let place = error.path().to_string();
        match (place.as_str(), error.into_inner()) {
            ("." | "", inner) => bad(without_place(&inner)),
            (place, inner) => bad(format!("{place}: {}", without_place(&inner))),
        }
    })
}

/// The error without line and column, which refer to the canonical JSON and mean nothing to the model.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let end = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&end).unwrap_or(&message).to_owned()
}

/// The text before the position of a JSON syntax error.
fn at(raw: &str, line: usize, column: usize) -> String {
    let Some(line) = raw.lines().nth(line.saturating_sub(1)) else { return String::new() };
    let before = text::cut(line, column.saturating_sub(1));
    let from = before.char_indices().rev().take(24).last().map_or(0, |(at, _)| at);
    match &before[from..] {
        "" => String::new(),
        near => format!(" (after `{near}`)"),
    }
}

/// An object with the schema's names and types, also within lists of objects.
fn mended(
    given: Map<String, Value>,
    schema: &Value,
    aliases: Aliases,
) -> Result<Map<String, Value>, ToolError> {
    let empty = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let mut out = Map::new();
    for (name, mut value) in given {
        let real = aliases.iter().find(|(alias, real)| *alias == name && known.contains_key(*real));
        let name = match real {
            Some((_, real)) if !known.contains_key(&name) => (*real).to_owned(),
            _ => name,
        };
        let Some(property) = known.get(&name) else { return Err(unknown(&name, known)) };
        if value.is_null() && !is_required(schema, &name) {
            continue;
        }
        coerce(&mut value, property);
        if let (Value::Array(list), Some(inner)) = (&mut value, property.get("items"))
            && inner.get("properties").is_some()
        {
            for one in list {
                if let Value::Object(object) = one {
                    *one = Value::Object(mended(std::mem::take(object), inner, aliases)?);
                }
            }
        }
        if out.insert(name.clone(), value).is_some() {
            return Err(bad(format!("\"{name}\" is given twice")));
        }
    }
    Ok(out)
}

fn bad(message: String) -> ToolError {
    ToolError::Refused { code: "invalid_args", message }
}

fn is_required(schema: &Value, name: &str) -> bool {
    schema
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|names| names.iter().any(|n| n == name))
}

/// Returns `true` if null is a value of a property. An unrestricted property takes anything.
fn takes_null(property: &Value) -> bool {
    match property.get("type") {
        Some(Value::String(one)) => one == "null",
        Some(Value::Array(many)) => many.iter().any(|t| t == "null"),
        _ => true,
    }
}

fn unknown(name: &str, known: &Map<String, Value>) -> ToolError {
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let near = nearest(name, names.iter().copied(), 1);
    let hint = near.first().map_or_else(String::new, |n| format!(" Did you mean \"{n}\"?"));
    bad(format!("unknown argument \"{name}\".{hint} Known: {}", names.join(", ")))
}

/// Converts text to the number or boolean that the schema requires, and numbers to text.
fn coerce(value: &mut Value, property: &Value) {
    let wants = |kind: &str| match property.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(many)) => many.iter().any(|t| t == kind),
        _ => false,
    };
    // Some models write every number with a decimal point.
    if let Value::Number(number) = &*value
        && wants("integer")
        && let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e15)
        && number.is_f64()
    {
        *value = Value::from(whole as i64);
        return;
    }
    if let Value::Number(number) = &*value
        && wants("string")
        && !wants("integer")
        && !wants("number")
    {
        *value = Value::String(number.to_string());
    }
    let Value::String(text) = &*value else { return };
    if wants("string") {
        return;
    }
    let text = text.trim();
    let of_words =
        property.get("items").and_then(|items| items.get("type")).is_some_and(|t| t == "string");
    let parsed = if wants("integer") {
        text.parse::<i64>().ok().map(Value::from)
    } else if wants("number") {
        text.parse::<f64>().ok().map(Value::from)
    } else if wants("boolean") {
        text.to_ascii_lowercase().parse::<bool>().ok().map(Value::from)
    } else if wants("array") && of_words {
        // A single word where a list is expected.
        let list = serde_json::from_str::<Vec<String>>(text);
        Some(Value::from(list.unwrap_or_else(|_| vec![text.to_owned()])))
    } else if wants("array") || wants("object") {
        serde_json::from_str(text).ok()
    } else {
        None
    };
    if let Some(parsed) = parsed {
        *value = parsed;
    }
}

/// The names closest to `name`, best first.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>, count: usize) -> Vec<&'n str> {
    let mut scored: Vec<(usize, &str)> =
        names.map(|n| (text::distance(text::cut(name, 64), n), n)).collect();
    scored.sort();
    scored.into_iter().take(count).map(|(_, n)| n).collect()
}

#[cfg(test)]
mod tests {
    use super::{canonical, leased, nearest};
    use crate::{Aliases, Lease, ToolError};
    use proptest::prelude::proptest;
    use serde_json::json;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct Args {
        path: String,
        limit: Option<u32>,
        all: Option<bool>,
    }

    fn read<A: serde::de::DeserializeOwned>(
        raw: &str,
        schema: &serde_json::Value,
        aliases: Aliases,
    ) -> Result<A, ToolError> {
        leased(&Lease::granted(canonical(raw, schema, aliases)?))
    }

    fn schema() -> serde_json::Value {
        json!({"properties": {
            "path": {"type": "string"},
            "limit": {"type": ["integer", "null"]},
            "all": {"type": "boolean"}
        }, "required": ["path"]})
    }

    #[test]
    fn numbers_and_booleans_as_text_are_read() {
        let args: Args = read(r#"{"path":"7","limit":"5","all":"true"}"#, &schema(), &[]).unwrap();
        assert_eq!(args, Args { path: "7".into(), limit: Some(5), all: Some(true) });
        let args: Args = read(r#"{"path":7}"#, &schema(), &[]).unwrap();
        assert_eq!(args.path, "7");
    }

    #[test]
    fn numbers_with_a_point_and_single_words_are_read_as_they_are_meant() {
        let schema = json!({"properties": {
            "path": {"type": "string"},
            "limit": {"type": "integer"},
            "all": {"type": "boolean"},
            "ids": {"type": "array", "items": {"type": "string"}}
        }});
        #[derive(serde::Deserialize, Debug, PartialEq)]
        struct Lenient {
            limit: Option<u32>,
            all: Option<bool>,
            #[serde(default)]
            ids: Vec<String>,
        }
        let read = |raw: &str| read::<Lenient>(raw, &schema, &[]);
        let meant = read(r#"{"limit":5.0,"all":"True","ids":"R-2"}"#).unwrap();
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(meant, Lenient { limit: Some(5), all: Some(true), ids: ids(&["R-2"]) });
        let list = read(r#"{"ids":"[\"R-2\", \"R-3\"]"}"#).unwrap();
        assert_eq!(list.ids, ids(&["R-2", "R-3"]));
        assert!(read(r#"{"limit":5.5}"#).is_err() && read(r#"{"limit":-5.0}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_arguments_make_it_panic(
            raw in "\\PC{0,40}|[{}\\[\\]\":,a-z0-9.\\\\ ]{0,40}",
            value in "\\PC{0,12}",
        ) {
            let _ = read::<Args>(&raw, &schema(), &[("file", "path")]);
            let given = json!({ "path": value, "limit": value, "all": value }).to_string();
            let _ = read::<Args>(&given, &schema(), &[]);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = read::<Args>(r#"{"pth":"a"}"#, &schema(), &[]).unwrap_err();
        let text = error.into_output().unwrap().text;
        assert!(text.contains("Did you mean \"path\"?"), "{text}");
    }

    #[test]
    fn broken_json_names_the_place() {
        let text =
            read::<Args>("{\"path\": ", &schema(), &[]).unwrap_err().into_output().unwrap().text;
        assert!(text.contains("line 1, column 9"), "{text}");
    }

    #[test]
    fn other_names_stand_for_the_ones_that_are_known() {
        let aliases = &[("file", "path"), ("old", "oldText")];
        let args: Args = read(r#"{"file":"a"}"#, &schema(), aliases).unwrap();
        assert_eq!(args.path, "a");
        let twice = read::<Args>(r#"{"file":"a","path":"b"}"#, &schema(), aliases).unwrap_err();
        assert!(twice.into_output().unwrap().text.contains("\"path\" is given twice"));
    }

    #[test]
    fn a_wrong_value_names_its_place() {
        let schema = json!({"properties": {"edits": {"type": "array", "items":
            {"properties": {"oldText": {"type": "string"}}}}}});
        #[derive(serde::Deserialize, Debug)]
        struct Edits {
            edits: Vec<Inner>,
        }
        #[derive(serde::Deserialize, Debug)]
        #[serde(rename_all = "camelCase")]
        struct Inner {
            old_text: String,
        }
        let aliases = &[("old_string", "oldText")];
        let args: Edits =
            read(r#"{"edits":"[{\"old_string\":\"x\"}]"}"#, &schema, aliases).unwrap();
        assert_eq!(args.edits[0].old_text, "x");
        let error = read::<Edits>(r#"{"edits":[{"oldText":true}]}"#, &schema, aliases).unwrap_err();
        let text = error.into_output().unwrap().text;
        assert!(text.starts_with("Error(invalid_args): edits[0].oldText: invalid type"), "{text}");
    }

    #[test]
    fn names_are_sorted_by_likeness() {
        let names = ["task_list", "task_get", "read"];
        assert_eq!(nearest("tasks_get", names.into_iter(), 2), ["task_get", "task_list"]);
    }
}
