//! Questions of MCP servers to people (elicitation): their forms, and answers as text or as fields. A server is a
//! stranger: its texts are shown as its own, and an answer is checked before it is sent.

use std::collections::BTreeMap;

use kernel::text::{cut, ellipsis, one_line};
use serde_json::{Map, Number, Value, json};

use super::questions::laid_open;
use crate::runs::model::Elicitation;

const MAX_FIELDS: usize = 20;
const MAX_CHOICES: usize = 100;
/// Most choices that are buttons.
const MAX_BUTTONS: usize = 4;
/// Longest text of a server that is shown, in bytes.
const MAX_SHOWN: usize = 2_000;
/// Longest label, in bytes.
const MAX_LABEL: usize = 120;
/// Longest list of choices in the question as text, in bytes.
const MAX_LISTED: usize = 300;
/// Longest answer to one field, in characters.
const MAX_TEXT: usize = 4_000;
/// Answer that declines.
pub const DECLINE: &str = "Decline";
/// Answer to a question that names an address.
pub const VISITED: &str = "Done";

#[derive(Clone, Debug, PartialEq)]
pub struct FormField {
    pub name: String,
    pub label: String,
    pub about: String,
    pub kind: FieldKind,
    pub is_required: bool,
    /// Suggested value; empty for none.
    pub usual: String,
}

/// Values of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldKind {
    Text {
        min: usize,
        max: usize,
        format: String,
    },
    Number {
        is_whole: bool,
        min: Option<f64>,
        max: Option<f64>,
    },
    YesNo,
    /// One of these: value and label.
    One(Vec<(String, String)>),
    /// Any number of these.
    Many(Vec<(String, String)>),
}

/// A text of a server for people: without hidden characters, and short.
#[must_use]
pub fn shown(text: &str) -> String {
    laid_open(cut(text.trim(), MAX_SHOWN))
}

fn label(text: &str) -> String {
    laid_open(cut(one_line(text).trim(), MAX_LABEL))
}

/// The fields of a form; `None` if it is not a flat form of texts, numbers, choices and yes or no.
#[must_use]
pub fn fields(schema: &Value) -> Option<Vec<FormField>> {
    let all = schema.get("properties")?.as_object()?;
    let is_flat = schema.get("type").is_none_or(|kind| kind == "object");
    if !is_flat || all.is_empty() || MAX_FIELDS < all.len() {
        return None;
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    all.iter().map(|(name, one)| field(name, one, required.contains(&name.as_str()))).collect()
}

fn field(name: &str, schema: &Value, is_required: bool) -> Option<FormField> {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
    let count = |key: &str, usual: usize| {
        let count = schema.get(key).and_then(Value::as_u64);
        count.and_then(|n| usize::try_from(n).ok()).unwrap_or(usual)
    };
    let kind = match text("type") {
        "string" => match choices(schema)? {
            Some(all) => FieldKind::One(all),
            None => FieldKind::Text {
                min: count("minLength", 0),
                max: count("maxLength", MAX_TEXT).min(MAX_TEXT),
                format: text("format").to_owned(),
            },
        },
        kind @ ("number" | "integer") => FieldKind::Number {
            is_whole: kind == "integer",
            min: schema.get("minimum").and_then(Value::as_f64),
            max: schema.get("maximum").and_then(Value::as_f64),
        },
        "boolean" => FieldKind::YesNo,
        "array" => FieldKind::Many(choices(schema.get("items")?)??),
        _ => return None,
    };
    let usual = match schema.get("default") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(is_so)) => yes_no(*is_so).to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let title = if text("title").is_empty() { name } else { text("title") };
    let about = shown(text("description"));
    let usual = cut(&usual, MAX_TEXT).to_owned();
    Some(FormField { name: name.to_owned(), label: label(title), about, kind, is_required, usual })
}

/// The choices of a schema: `Some(None)` if it has none, `None` if they are of no known form.
fn choices(schema: &Value) -> Option<Option<Vec<(String, String)>>> {
    let titled = schema.get("oneOf").or_else(|| schema.get("anyOf"));
    let all: Vec<(String, String)> = match (schema.get("enum"), titled) {
        (Some(values), _) => {
            let names = schema.get("enumNames").and_then(Value::as_array);
            let name = |at: usize| names.and_then(|names| names.get(at)?.as_str());
            let value = |(at, value): (usize, &Value)| {
                let value = value.as_str()?;
                Some((value.to_owned(), label(name(at).unwrap_or(value))))
            };
            values.as_array()?.iter().enumerate().map(value).collect::<Option<_>>()?
        }
        (None, Some(values)) => {
            let value = |one: &Value| {
                let value = one.get("const")?.as_str()?;
                let title = one.get("title").and_then(Value::as_str).unwrap_or(value);
                Some((value.to_owned(), label(title)))
            };
            values.as_array()?.iter().map(value).collect::<Option<_>>()?
        }
        (None, None) => return Some(None),
    };
    (!all.is_empty() && all.len() <= MAX_CHOICES).then_some(Some(all))
}

fn yes_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// The form of a question; empty for an address to visit.
#[must_use]
pub fn form(asked: &Elicitation) -> Vec<FormField> {
    // ok: the form was checked when the server asked.
    let schema = asked.schema.as_ref().and_then(|schema| serde_json::from_str(&schema.0).ok());
    schema.as_ref().and_then(fields).unwrap_or_default()
}

/// Whether a question can be put to a person.
#[must_use]
pub fn is_askable(schema: Option<&Value>, url: Option<&str>) -> bool {
    match (schema, url) {
        (None, Some(url)) => host(url).is_some(),
        (Some(schema), None) => fields(schema).is_some(),
        _ => false,
    }
}

/// The host of a web address.
#[must_use]
pub fn host(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    let is_url = url.chars().all(|c| c.is_ascii_graphic());
    (is_url && !host.is_empty() && host.chars().all(is_plain)).then(|| host.to_owned())
}

/// The question as text, for all who don't see the form. HQ's facts come first, so that they are never cut off, and the
/// server's words last, with a mark on each line, so that they don't pass for HQ's.
#[must_use]
pub fn question(asked: &Elicitation, message: &str) -> String {
    let mut text = format!("The MCP server “{}” asks, and gets your answer.", asked.server);
    let mut words = shown(message);
    if let Some(url) = &asked.url {
        let host = host(url).unwrap_or_default();
        text.push_str(&format!("\nIt wants you to visit {host}."));
        words.push_str(&format!("\n\n{}", shown(url)));
    }
    let form = form(asked);
    if !form.is_empty() {
        text.push_str("\nIt names these fields:");
    }
    for field in form {
        let kind = match &field.kind {
            FieldKind::Text { .. } => "text".to_owned(),
            FieldKind::Number { .. } => "a number".to_owned(),
            FieldKind::YesNo => "yes/no".to_owned(),
            FieldKind::One(all) => format!("one of {}", ellipsis(&labels(all), MAX_LISTED)),
            FieldKind::Many(all) => format!("any of {}", ellipsis(&labels(all), MAX_LISTED)),
        };
        let must = if field.is_required { "" } else { ", optional" };
        text.push_str(&format!("\n- “{}” ({kind}{must})", field.label));
        if !field.about.is_empty() {
            words.push_str(&format!("\n{}: {}", field.label, one_line(&field.about)));
        }
    }
    text.push_str("\n\nThe server says, in its own words:");
    for line in words.lines() {
        text.push_str("\n> ");
        text.push_str(line);
    }
    text
}

/// The labels of choices, separated by commas.
pub(super) fn labels(all: &[(String, String)]) -> String {
    let all: Vec<&str> = all.iter().map(|(_, label)| label.as_str()).collect();
    all.join(", ")
}

/// Answers to choose from.
#[must_use]
pub fn options(asked: &Elicitation) -> Vec<String> {
    let mut options = match (asked.url.is_some(), form(asked).as_slice()) {
        (true, _) => vec![VISITED.to_owned()],
        (false, [FormField { kind: FieldKind::YesNo, .. }]) => vec!["Yes".into(), "No".into()],
        (false, [FormField { kind: FieldKind::One(all), .. }]) if all.len() <= MAX_BUTTONS => {
            all.iter().map(|(_, label)| label.clone()).collect()
        }
        _ => Vec::new(),
    };
    options.push(DECLINE.to_owned());
    options
}

/// Reads an answer: `Decline`, a JSON object, the value of the only field, or a line for each field. Returns the action
/// and the content of the form, which are sent to the server.
///
/// # Errors
/// A message about the first invalid part of the answer.
pub fn read(asked: &Elicitation, text: &str) -> Result<Value, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case(DECLINE) {
        return Ok(json!({ "action": "decline" }));
    }
    if asked.url.is_some() {
        return match text.eq_ignore_ascii_case(VISITED) {
            true => Ok(json!({ "action": "accept" })),
            false => Err(format!("answer {VISITED} after your visit, or {DECLINE}")),
        };
    }
    let form = form(asked);
    let given = given(&form, text)?;
    let mut content = Map::new();
    for field in &form {
        let text = given.get(&field.name).map(|text| text.trim()).unwrap_or_default();
        if text.is_empty() {
            match field.is_required {
                true => return Err(format!("{} is missing", field.label)),
                false => continue,
            }
        }
        let value = value(&field.kind, text).map_err(|why| format!("{}: {why}", field.label))?;
        content.insert(field.name.clone(), value);
    }
    Ok(json!({ "action": "accept", "content": content }))
}

/// An answer to a server as text for the conversation. Only a person's own words are repeated unchanged: a conversation
/// trusts the addresses that a person wrote, and must not get those of a server.
#[must_use]
pub fn describe_answer(asked: &Elicitation, answer: &Value) -> String {
    let verb = if answer["action"] == "accept" { "answered" } else { "declined to answer" };
    let mut text = format!("{verb} the MCP server “{}”", asked.server);
    for field in form(asked) {
        let Some(value) = answer["content"].get(&field.name) else { continue };
        let value = in_words(value.clone());
        let is_typed = matches!(field.kind, FieldKind::Text { .. } | FieldKind::Number { .. });
        let value = if is_typed && value != field.usual { value } else { plain(&value) };
        text.push_str(&format!("\n- {}: {value}", plain(&field.label)));
    }
    text
}

/// A text of a server without anything that could be an address or a mark.
fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | ',');
    let text: String = text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
    text.trim().to_owned()
}

fn in_words(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Bool(is_so) => yes_no(is_so).to_owned(),
        Value::Array(all) => {
            let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            all.join(", ")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The texts of an answer by the names of their fields. Words that belong to no field are refused: they are perhaps
/// no answer at all, and a form whose fields are all optional would accept them as an empty one.
fn given(form: &[FormField], text: &str) -> Result<BTreeMap<String, String>, String> {
    if let Ok(Value::Object(all)) = serde_json::from_str(text) {
        if let Some(name) = all.keys().find(|name| form.iter().all(|one| one.name != **name)) {
            return Err(format!("the form has no field {name}"));
        }
        return Ok(all.into_iter().map(|(name, value)| (name, in_words(value))).collect());
    }
    if let [only] = form {
        return Ok([(only.name.clone(), text.to_owned())].into());
    }
    let mut given = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let Some((field, value)) = line_of(form, line) else {
            let line = ellipsis(line.trim(), MAX_LABEL);
            return Err(format!(
                "“{line}” belongs to no field; write a line “field: value” for each, or {DECLINE}"
            ));
        };
        given.insert(field.name.clone(), value.to_owned());
    }
    match given.values().all(String::is_empty) {
        true => Err(format!("fill in a field, or answer {DECLINE}")),
        false => Ok(given),
    }
}

/// The field that a line answers, and its value.
fn line_of<'a>(form: &'a [FormField], line: &'a str) -> Option<(&'a FormField, &'a str)> {
    let (name, value) = line.trim_start_matches(['-', ' ']).split_once(':')?;
    let name = name.trim().trim_matches(['“', '”']);
    let is_meant = |field: &&FormField| {
        [&field.name, &field.label].iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    Some((form.iter().find(is_meant)?, value.trim()))
}

fn value(kind: &FieldKind, text: &str) -> Result<Value, String> {
    match kind {
        FieldKind::Text { min, max, format } => {
            let length = text.chars().count();
            if !(*min..=*max).contains(&length) {
                return Err(format!("use {min} to {max} characters"));
            }
            is_format(format, text)
                .then(|| text.into())
                .ok_or_else(|| format!("this isn't a valid {format}"))
        }
        FieldKind::Number { is_whole, min, max } => {
            let number: Number = text.parse().map_err(|_wrong| "enter a number".to_owned())?;
            let size = number.as_f64().unwrap_or(f64::NAN);
            if *is_whole && !(number.is_i64() || number.is_u64()) {
                return Err("enter a whole number".to_owned());
            }
            if min.is_some_and(|min| size < min) || max.is_some_and(|max| max < size) {
                let ends = [min.map(|n| format!("from {n}")), max.map(|n| format!("to {n}"))];
                return Err(format!(
                    "use a number {}",
                    ends.into_iter().flatten().collect::<Vec<_>>().join(" ")
                ));
            }
            Ok(Value::Number(number))
        }
        FieldKind::YesNo => match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(true.into()),
            "no" | "false" | "off" => Ok(false.into()),
            _ => Err("enter yes/no".to_owned()),
        },
        FieldKind::One(all) => choice(all, text).map(Value::from),
        FieldKind::Many(all) => {
            let each = text.split(',').map(str::trim).filter(|one| !one.is_empty());
            each.map(|one| choice(all, one).map(Value::from)).collect()
        }
    }
}

fn choice(all: &[(String, String)], text: &str) -> Result<String, String> {
    let exact = all.iter().find(|(value, _)| value == text);
    let near = || all.iter().find(|(_, label)| label.eq_ignore_ascii_case(text));
    let found = exact.or_else(near).map(|(value, _)| value.clone());
    found.ok_or_else(|| format!("choose {}", labels(all)))
}

fn is_format(format: &str, text: &str) -> bool {
    match format {
        "email" => {
            let host = text.rsplit_once('@').map(|(_, host)| host);
            host.is_some_and(|host| host.contains('.')) && entity::is_mail_address(text)
        }
        "uri" => text.split_once(':').is_some_and(|(scheme, rest)| {
            !rest.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric())
        }),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::JsonText;

    fn asked(properties: Value, required: Value) -> Elicitation {
        let schema = json!({ "type": "object", "properties": properties, "required": required });
        Elicitation {
            server: "tracker".into(),
            schema: Some(JsonText(schema.to_string())),
            url: None,
            state: None,
            answer: None,
            is_taken: false,
        }
    }

    #[test]
    fn an_answer_is_checked_against_the_form() {
        let one = asked(
            json!({
                "name": { "type": "string", "minLength": 2 },
                "age": { "type": "integer", "minimum": 0, "maximum": 150 },
                "mail": { "type": "string", "format": "email", "title": "E-mail" },
                "ok": { "type": "boolean" },
                "size": { "type": "string", "oneOf": [{ "const": "s", "title": "Small" }] },
                "days": { "type": "array", "items": { "type": "string", "enum": ["mon", "tue"] } },
            }),
            json!(["name"]),
        );
        let text =
            "name: Ada\nAge: 36\n- E-mail: ada@x.example\nok: yes\nsize: small\ndays: mon, tue";
        let content = json!({
            "name": "Ada", "age": 36, "mail": "ada@x.example", "ok": true, "size": "s",
            "days": ["mon", "tue"],
        });
        let accept = json!({ "action": "accept", "content": content });
        assert_eq!(read(&one, text), Ok(accept.clone()));
        assert_eq!(read(&one, &content.to_string()), Ok(accept));
        for wrong in [
            "age: 3",
            "name: A",
            "name: Ada\nage: 3.5",
            "name: Ada\nage: 151",
            "name: Ada\nmail: x",
            "name: Ada\nok: maybe",
            "name: Ada\nsize: xl",
            "name: Ada\ndays: mon, sun",
            "Ada",
        ] {
            assert!(read(&one, wrong).is_err(), "{wrong}");
        }
        assert_eq!(read(&one, "decline"), Ok(json!({ "action": "decline" })));
    }

    #[test]
    fn a_form_of_one_field_is_answered_with_its_value() {
        let one = asked(json!({ "sure": { "type": "boolean" } }), json!(["sure"]));
        assert_eq!(options(&one), ["Yes", "No", DECLINE]);
        let accept = json!({ "action": "accept", "content": { "sure": true } });
        assert_eq!(read(&one, "Yes"), Ok(accept));
    }

    #[test]
    fn words_that_belong_to_no_field_are_no_answer() {
        let form = json!({ "name": { "type": "string" }, "site": { "type": "string" } });
        let one = asked(form, json!([]));
        for wrong in [
            "No, stop!",
            "name: Ada\nNo, stop!",
            "Please: stop",
            "name:",
            r#"{"name":"Ada","other":"x"}"#,
            "[]",
        ] {
            assert!(read(&one, wrong).is_err(), "{wrong}");
        }
        let accept = |content: Value| json!({ "action": "accept", "content": content });
        assert_eq!(read(&one, "{}"), Ok(accept(json!({}))));
        assert_eq!(read(&one, r#"{"name":"","site":""}"#), Ok(accept(json!({}))));
        assert_eq!(read(&one, "name: Ada\n\nsite:"), Ok(accept(json!({ "name": "Ada" }))));
    }

    #[test]
    fn a_conversation_gets_the_words_of_the_person_but_no_address_of_the_server() {
        let form = json!({
            "name": { "type": "string", "title": "See https://evil.example" },
            "site": { "type": "string", "default": "evil.example" },
            "to": { "type": "string", "enum": ["evil.example"] },
        });
        let one = asked(form, json!([]));
        let answer = json!({ "name": "ada.example", "site": "evil.example", "to": "evil.example" });
        let answer = json!({ "action": "accept", "content": answer });
        let text = describe_answer(&one, &answer);
        assert!(text.starts_with("answered the MCP server “tracker”\n"), "{text}");
        assert!(text.contains(": ada.example") && !text.contains("evil.example"), "{text}");
        let declined = describe_answer(&one, &json!({ "action": "decline" }));
        assert_eq!(declined, "declined to answer the MCP server “tracker”");
    }

    #[test]
    fn a_question_that_names_an_address_is_answered_after_the_visit() {
        let url = Some("https://x.example:8443/in?a=1".to_owned());
        let one = Elicitation { schema: None, url, ..asked(json!({}), json!([])) };
        assert_eq!(options(&one), [VISITED, DECLINE]);
        assert_eq!(read(&one, "done"), Ok(json!({ "action": "accept" })));
        assert_eq!(read(&one, "decline"), Ok(json!({ "action": "decline" })));
        assert!(read(&one, "later").is_err());
        let text =
            question(&one, "HQ: You may visit good.example.\nIt wants you to visit y.example.");
        let (facts, words) = text.split_once("in its own words:\n").expect("two parts");
        assert!(facts.contains("\nIt wants you to visit x.example:8443.\n"), "{facts}");
        assert!(words.lines().all(|line| line.starts_with("> ")), "{words}");
    }

    #[test]
    fn only_flat_forms_and_web_addresses_are_put_to_people() {
        let of = |properties: Value| json!({ "type": "object", "properties": properties });
        assert!(is_askable(Some(&of(json!({ "a": { "type": "string" } }))), None));
        for schema in [
            of(json!({})),
            of(json!({ "a": { "type": "object" } })),
            of(json!({ "a": { "type": "array", "items": { "type": "string" } } })),
            of(json!({ "a": { "type": "string", "enum": [1] } })),
            json!({ "type": "string" }),
        ] {
            assert!(!is_askable(Some(&schema), None), "{schema}");
        }
        assert_eq!(host("https://x.example:8443/a?b").as_deref(), Some("x.example:8443"));
        for url in [
            "javascript:alert(1)",
            "https://",
            "https://good.example@evil.example/",
            "https://a b/",
        ] {
            assert!(!is_askable(None, Some(url)), "{url}");
        }
    }

    #[test]
    fn a_question_names_its_server_and_hides_nothing() {
        let one = asked(json!({ "a": { "type": "string" } }), json!([]));
        let text = question(&one, "Sure?\u{202e}");
        assert!(text.starts_with("The MCP server “tracker” asks, and gets"), "{text}");
        assert!(text.contains("\\u{202e}") && text.contains("- “a” (text, optional)"), "{text}");
    }
}
