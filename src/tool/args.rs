//! Reading a call's arguments: lenient in form, strict in names, with errors that say how to mend.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ToolError;
use crate::kernel::text;

/// Reads arguments as a model sent them. Numbers and booleans written as text are accepted;
/// unknown names are refused with the names there are.
///
/// # Errors
/// What is wrong, for the model.
pub fn read<A: DeserializeOwned>(raw: &str, schema: &Value) -> Result<A, ToolError> {
    let raw = if raw.trim().is_empty() { "{}" } else { raw };
    let value: Value = serde_json::from_str(raw).map_err(|e| {
        bad(format!(
            "the arguments are not valid JSON at line {}, column {}: {e}",
            e.line(),
            e.column()
        ))
    })?;
    let Value::Object(mut given) = value else {
        return Err(bad("the arguments must be one JSON object".to_owned()));
    };
    let empty = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    for (name, value) in &mut given {
        match known.get(name) {
            Some(property) => coerce(value, property),
            None => return Err(unknown(name, known)),
        }
    }
    given.retain(|name, value| !value.is_null() || is_required(schema, name));
    serde_json::from_value(Value::Object(given)).map_err(|e| bad(e.to_string()))
}

fn bad(message: String) -> ToolError {
    ToolError::Refused { code: "bad_arguments", message }
}

fn is_required(schema: &Value, name: &str) -> bool {
    schema
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|names| names.iter().any(|n| n == name))
}

fn unknown(name: &str, known: &Map<String, Value>) -> ToolError {
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let near = nearest(name, names.iter().copied(), 1);
    let hint = near.first().map_or_else(String::new, |n| format!(" Did you mean \"{n}\"?"));
    bad(format!("unknown argument \"{name}\".{hint} Known: {}", names.join(", ")))
}

/// Turns text into the number or boolean that the schema asks for, where it plainly is one.
fn coerce(value: &mut Value, property: &Value) {
    let Value::String(text) = &*value else { return };
    let wants = |kind: &str| match property.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(many)) => many.iter().any(|t| t == kind),
        _ => false,
    };
    if wants("string") {
        return;
    }
    let text = text.trim();
    let parsed = if wants("integer") {
        text.parse::<i64>().ok().map(Value::from)
    } else if wants("number") {
        text.parse::<f64>().ok().map(Value::from)
    } else if wants("boolean") {
        text.parse::<bool>().ok().map(Value::from)
    } else if wants("array") || wants("object") {
        serde_json::from_str(text).ok()
    } else {
        None
    };
    if let Some(parsed) = parsed {
        *value = parsed;
    }
}

/// The names most like a given one, best first.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>, count: usize) -> Vec<&'n str> {
    let mut scored: Vec<(usize, &str)> =
        names.map(|n| (text::distance(text::cut(name, 64), n), n)).collect();
    scored.sort();
    scored.into_iter().take(count).map(|(_, n)| n).collect()
}

#[cfg(test)]
mod tests {
    use super::{nearest, read};
    use serde_json::json;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct Args {
        path: String,
        limit: Option<u32>,
        all: Option<bool>,
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
        let args: Args = read(r#"{"path":"7","limit":"5","all":"true"}"#, &schema()).unwrap();
        assert_eq!(args, Args { path: "7".into(), limit: Some(5), all: Some(true) });
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = read::<Args>(r#"{"pth":"a"}"#, &schema()).unwrap_err();
        let text = error.into_output().unwrap().text;
        assert!(text.contains("Did you mean \"path\"?"), "{text}");
    }

    #[test]
    fn broken_json_names_the_place() {
        let text = read::<Args>("{\"path\": ", &schema()).unwrap_err().into_output().unwrap().text;
        assert!(text.contains("line 1, column 9"), "{text}");
    }

    #[test]
    fn names_are_sorted_by_likeness() {
        let names = ["task_list", "task_get", "read"];
        assert_eq!(nearest("tasks_get", names.into_iter(), 2), ["task_get", "task_list"]);
    }
}
