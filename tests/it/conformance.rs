//! Every API response to a GET matches its schema in the OpenAPI document, in a company with history.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use demo::{EMAIL, PASSWORD};

use super::seed::company;
use support::hq::Person;

/// Number of records of a list that are requested one by one.
const OF_A_LIST: usize = 3;
/// Fields of a record that may identify it in a path.
const NAMES: [&str; 7] = ["id", "name", "number", "handle", "key", "slug", "path"];

/// Collects differences from the schema, as `place: what`. Supports the part of JSON Schema that the document uses.
fn misfits(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        misfits(part, value, place, found);
    }
    for choice in ["anyOf", "oneOf"] {
        let Some(parts) = schema[choice].as_array() else { continue };
        let fits = |part: &&Value| {
            let mut own = Vec::new();
            misfits(part, value, place, &mut own);
            own.is_empty()
        };
        if !parts.iter().any(|part| fits(&part)) {
            found.push(format!("{place}: fits none of {choice}: {value}"));
        }
    }
    if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        found.push(format!("{place}: {value} is none of {}", schema["enum"]));
    }
    let is_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !is_type {
        found.push(format!("{place}: {value} is not of the type {}", schema["type"]));
        return;
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        misfits(&schema["items"], item, &format!("{place}[{at}]"), found);
    }
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            found.push(format!("{place}: {name} is required and left out"));
        }
    }
    for (name, value) in fields {
        let place = format!("{place}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => found.push(format!("{place}: is not documented")),
            (Value::Null, rest) => misfits(rest, value, &place, found),
            (known, _) => misfits(known, value, &place, found),
        }
    }
}

/// Values by which a list's records may be identified in a path.
fn names(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().or(answer.as_array());
    let of = |item: &Value| -> Vec<String> {
        let fields = NAMES.iter().filter_map(|name| match &item[*name] {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        fields.collect()
    };
    items.into_iter().flatten().take(OF_A_LIST).flat_map(of).collect()
}

/// Responses of the API, by path.
struct Walk<'p> {
    api: &'p Person,
    answers: BTreeMap<String, Option<Value>>,
}

impl Walk<'_> {
    /// The JSON of a response with status 200; `None` for others.
    async fn get(&mut self, address: &str) -> Option<Value> {
        if let Some(known) = self.answers.get(address) {
            return known.clone();
        }
        let reply = self.api.get(address).await;
        assert!(!reply.status.is_server_error(), "{address}: {}", reply.text);
        let is_json = reply.header("content-type").is_some_and(|kind| kind.contains("/json"));
        let answer = (reply.status == 200 && is_json).then(|| reply.json());
        self.answers.insert(address.to_owned(), answer.clone());
        answer
    }

    /// Existing paths for a template such as `/tasks/{task}/comments`.
    async fn addresses(&mut self, template: &str) -> Vec<String> {
        let mut all = vec![String::new()];
        for part in template.split('/').skip(1) {
            let mut next = Vec::new();
            for address in all {
                if !part.starts_with('{') {
                    next.push(format!("{address}/{part}"));
                    continue;
                }
                let list = self.get(&address).await.unwrap_or_default();
                let mut seen = BTreeSet::new();
                for name in names(&list).into_iter().filter(|name| seen.insert(name.clone())) {
                    let name = name.replace('%', "%25").replace(['/', '?', '#', ' '], "%20");
                    next.push(format!("{address}/{name}"));
                }
            }
            all = next;
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_fits_the_schema_that_is_documented_for_it() {
    let hq = company(7).await;
    let mara = hq.nobody();
    let reply =
        mara.form("/login", &[("email", EMAIL), ("password", PASSWORD), ("next", "")]).await;
    assert_eq!(reply.status, 303, "{}", reply.text);
    let api = mara.with("x-hq-workspace", "tidewater-bikes");
    let document = api.get("/api/v1/openapi.json").await.json();
    let mut walk = Walk { api: &api, answers: BTreeMap::new() };
    let (mut found, mut checked) = (Vec::new(), BTreeSet::new());
    for (template, item) in document["paths"].as_object().expect("paths") {
        let schema = &item["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        if !template.starts_with("/api/v1/") || !schema.is_object() {
            continue;
        }
        for address in walk.addresses(template).await {
            let Some(answer) = walk.get(&address).await else { continue };
            checked.insert(template.clone());
            misfits(schema, &answer, &address, &mut found);
        }
    }
    assert!(60 < checked.len(), "only {} operations answered: {checked:#?}", checked.len());
    found.truncate(40);
    assert!(found.is_empty(), "{found:#?}");
    hq.finish().await;
}
