//! HTTP headers that mirror a request: values as header text, and arguments of tools that a schema marks with
//! `x-mcp-header`.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

const MARK: &str = "x-mcp-header";
const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";
/// The largest integer that every JSON implementation represents exactly.
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// Keywords whose value is one schema or a list of schemas.
const NESTED: [&str; 17] = [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "anyOf",
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
    "dependencies",
];
/// Keywords whose value is a map of schemas.
const NESTED_MAPS: [&str; 4] = ["$defs", "definitions", "patternProperties", "dependentSchemas"];

/// A value as header text: as it is where that is safe, else in Base64.
pub fn encode(value: &str) -> String {
    let is_plain = value.bytes().all(|byte| matches!(byte, 0x20..=0x7e | b'\t'))
        && value.trim_matches([' ', '\t']) == value
        && !(value.starts_with(PREFIX) && value.ends_with(SUFFIX));
    match is_plain {
        true => value.to_owned(),
        false => format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(value)),
    }
}

/// The value of a header text. Returns `None` if it is not valid.
pub fn decode(text: &str) -> Option<String> {
    if !text.bytes().all(|byte| matches!(byte, 0x20..=0x7e | b'\t')) {
        return None;
    }
    let encoded = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    match encoded {
        // ok: whatever cannot be decoded is invalid
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

/// An argument of a tool that is mirrored into a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamHeader {
    /// Name of the header, with its prefix.
    pub name: String,
    /// Keys that lead to the argument.
    path: Vec<String>,
}

/// The headers that a tool's input schema asks for. The error says which mark is invalid.
pub fn param_headers(schema: &Value) -> Result<Vec<ParamHeader>, String> {
    let mut found = Vec::new();
    scan(schema, Some(&mut Vec::new()), &mut found)?;
    let mut names = HashSet::new();
    for header in &found {
        if !names.insert(header.name.to_ascii_lowercase()) {
            return Err(format!("two parameters are marked for the header {}", header.name));
        }
    }
    Ok(found)
}

/// `path` is `None` where marks are not allowed.
fn scan(
    schema: &Value,
    mut path: Option<&mut Vec<String>>,
    found: &mut Vec<ParamHeader>,
) -> Result<(), String> {
    let Value::Object(fields) = schema else { return Ok(()) };
    if let Some(mark) = fields.get(MARK) {
        found.push(marked(mark, fields, path.as_deref())?);
    }
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    match &mut path {
                        Some(path) => {
                            path.push(name.clone());
                            scan(property, Some(path), found)?;
                            path.pop();
                        }
                        None => scan(property, None, found)?,
                    }
                }
            }
            (key, Value::Array(items)) if NESTED.contains(&key) => {
                for item in items {
                    scan(item, None, found)?;
                }
            }
            (key, value) if NESTED.contains(&key) => scan(value, None, found)?,
            (key, Value::Object(map)) if NESTED_MAPS.contains(&key) => {
                for value in map.values() {
                    scan(value, None, found)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn marked(
    mark: &Value,
    property: &Map<String, Value>,
    path: Option<&Vec<String>>,
) -> Result<ParamHeader, String> {
    let name = mark.as_str().unwrap_or_default();
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("{mark} is not a valid header name"));
    }
    let path = path.filter(|path| !path.is_empty());
    let path = path.ok_or(format!("the header {name} is not marked at a plain parameter"))?;
    let is_primitive =
        |kind: &Value| matches!(kind.as_str(), Some("string" | "integer" | "boolean"));
    let is_allowed = match property.get("type") {
        Some(Value::Array(kinds)) => {
            kinds.iter().any(is_primitive)
                && kinds.iter().all(|kind| is_primitive(kind) || kind == "null")
        }
        Some(kind) => is_primitive(kind),
        None => false,
    };
    if !is_allowed {
        return Err(format!("the parameter of header {name} is not a text, integer or boolean"));
    }
    Ok(ParamHeader { name: format!("Mcp-Param-{name}"), path: path.clone() })
}

/// Characters of a header name.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl ParamHeader {
    /// The header text for these arguments; `None` if they do not have the value. The error says why a value cannot be
    /// sent.
    pub fn value(&self, arguments: &Map<String, Value>) -> Result<Option<String>, String> {
        let mut keys = self.path.iter();
        let mut value = keys.next().and_then(|key| arguments.get(key));
        for key in keys {
            value = value.and_then(|value| value.get(key));
        }
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(encode(text))),
            Some(Value::Bool(is_set)) => Ok(Some(is_set.to_string())),
            Some(Value::Number(number)) => {
                let whole = number.as_i64().or_else(|| {
                    let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
                    (float.abs() <= MAX_INTEGER as f64).then_some(float as i64)
                });
                match whole.filter(|whole| whole.unsigned_abs() <= MAX_INTEGER.unsigned_abs()) {
                    Some(whole) => Ok(Some(whole.to_string())),
                    None => Err(format!("{number} can't be sent in the header {}", self.name)),
                }
            }
            Some(Value::Array(_) | Value::Object(_)) => Err(format!(
                "the value of {} is not a text, integer or boolean",
                self.path.join(".")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_plain_where_that_is_safe() {
        for (value, text) in [
            ("us-west1", "us-west1"),
            ("", ""),
            ("a b", "a b"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("a\r\nX-Evil: 1", "=?base64?YQ0KWC1FdmlsOiAx?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(encode(value), text);
            assert_eq!(decode(text).as_deref(), Some(value));
        }
        assert_eq!(decode("=?base64?%%?="), None);
        assert_eq!(decode("a\r\nb"), None);
    }

    #[test]
    fn marked_arguments_become_headers() {
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "x-mcp-header": {"type": "string"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
        }});
        let headers = param_headers(&schema).unwrap();
        let values = |arguments: Value| -> Vec<(String, String)> {
            let Value::Object(arguments) = arguments else { panic!("no arguments") };
            let value = |header: &ParamHeader| {
                Some((header.name.clone(), header.value(&arguments).unwrap()?))
            };
            let mut values: Vec<_> = headers.iter().filter_map(value).collect();
            values.sort();
            values
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            values(json!({"region": "a\nb", "deep": {"n": 42.0}})),
            [pair("Mcp-Param-N", "42"), pair("Mcp-Param-Region", "=?base64?YQpi?=")]
        );
        assert_eq!(values(json!({"region": null, "deep": {}})), []);
        let Value::Object(far) = json!({"deep": {"n": 9_007_199_254_740_992_i64}}) else {
            panic!()
        };
        assert!(headers.iter().any(|header| header.value(&far).is_err()));
    }

    #[test]
    fn marks_that_the_protocol_forbids_are_refused() {
        let property = |property: Value| json!({"properties": {"a": property}});
        for schema in [
            property(json!({"type": "string", "x-mcp-header": ""})),
            property(json!({"type": "string", "x-mcp-header": "a b"})),
            property(json!({"type": "string", "x-mcp-header": "a\r\nb"})),
            property(json!({"type": "string", "x-mcp-header": 7})),
            property(json!({"type": "number", "x-mcp-header": "A"})),
            property(json!({"x-mcp-header": "A"})),
            property(json!({"type": "array", "items": {"type": "string", "x-mcp-header": "A"}})),
            property(json!({"anyOf": [{"type": "string", "x-mcp-header": "A"}]})),
            json!({"type": "string", "x-mcp-header": "A"}),
            json!({"$defs": {"a": {"type": "string", "x-mcp-header": "A"}}}),
            json!({"properties": {
                "a": {"type": "string", "x-mcp-header": "Same"},
                "b": {"type": "string", "x-mcp-header": "same"},
            }}),
        ] {
            assert!(param_headers(&schema).is_err(), "{schema}");
        }
    }
}
