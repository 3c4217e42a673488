//! Results of tools without a documented form: a list of objects with addresses anywhere in JSON, or blocks of
//! `Title:` and `URL:` lines.

use serde_json::Value;

use super::Hit;
use super::reading;

/// Deepest list that is looked for.
const DEEPEST: usize = 4;
/// Names of lists that may be empty. Other empty lists, such as warnings, say nothing about results.
const LISTS: [&str; 4] = ["results", "web", "data", "items"];
const URLS: [&str; 2] = ["url", "link"];
const SNIPPETS: [&str; 7] =
    ["snippet", "description", "excerpts", "highlights", "content", "text", "summary"];
const DATES: [&str; 5] = ["published", "publish_date", "published_date", "publishedDate", "date"];

/// The results in JSON; `None` if there is no list of them, or for a failure.
pub(super) fn in_json(value: &Value) -> Option<Vec<Hit>> {
    let list = list_in(value, DEEPEST)?;
    Some(list.iter().filter_map(hit).collect())
}

fn list_in(value: &Value, depth: usize) -> Option<&Vec<Value>> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Array(list) if list.iter().any(has_url) => Some(list),
        Value::Object(map) if !is_failure(value) => {
            // A list with results comes before an empty one.
            let mut lists: Vec<&Vec<Value>> = map
                .iter()
                .filter_map(|(key, one)| match one {
                    Value::Array(list) if list.is_empty() => {
                        LISTS.contains(&key.as_str()).then_some(list)
                    }
                    one => list_in(one, depth),
                })
                .collect();
            lists.sort_by_key(|list| list.is_empty());
            lists.first().copied()
        }
        _ => None,
    }
}

fn is_failure(value: &Value) -> bool {
    let is_set = |error: &Value| match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    value.get("success") == Some(&Value::Bool(false)) || value.get("error").is_some_and(is_set)
}

fn has_url(value: &Value) -> bool {
    URLS.iter().any(|key| value.get(key).is_some_and(Value::is_string))
}

fn text_at<'v>(value: &'v Value, keys: &[&str]) -> Option<&'v str> {
    keys.iter().find_map(|key| value.get(key)?.as_str())
}

fn hit(one: &Value) -> Option<Hit> {
    let url = reading::address(text_at(one, &URLS)?)?;
    let snippet = SNIPPETS.iter().find_map(|key| match one.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => {
            let all: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            Some(all.join(" … "))
        }
        _ => None,
    });
    Some(Hit {
        title: reading::title(text_at(one, &["title", "name"]).unwrap_or_default(), &url),
        snippet: snippet.as_deref().and_then(reading::snippet),
        published: text_at(one, &DATES).and_then(reading::published),
        site_name: None,
        url,
    })
}

/// The results in a text of blocks; `None` if it has none.
pub(super) fn in_text(text: &str) -> Option<Vec<Hit>> {
    let mut hits: Vec<Hit> = Vec::new();
    let mut title = "";
    let mut rest: Vec<&str> = Vec::new();
    let close = |hits: &mut Vec<Hit>, rest: &mut Vec<&str>| {
        if let Some(last) = hits.last_mut() {
            last.snippet = reading::snippet(&rest.join(" "));
        }
        rest.clear();
    };
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or(("", ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "title" => {
                close(&mut hits, &mut rest);
                title = value.trim();
            }
            "url" => {
                if let Some(url) = reading::address(value) {
                    hits.push(Hit { title: reading::title(title, &url), url, ..Hit::default() });
                }
            }
            "published" | "published date" => {
                if let Some(last) = hits.last_mut() {
                    last.published = reading::published(value);
                }
            }
            "author" => {}
            "text" | "content" | "summary" | "highlights" => rest.push(value),
            _ => rest.push(line),
        }
    }
    close(&mut hits, &mut rest);
    (!hits.is_empty()).then_some(hits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{in_json, in_text};

    #[test]
    fn results_are_found_in_any_list_with_addresses() {
        let excerpts = json!({ "search_id": "s", "warnings": [], "results": [
            { "url": "https://a.example/", "title": "A", "publish_date": "2026-05-11",
              "excerpts": ["one", "two"] },
        ] });
        let hits = in_json(&excerpts).unwrap();
        assert_eq!(hits[0].snippet.as_deref(), Some("one … two"));
        assert_eq!(hits[0].published.as_deref(), Some("2026-05-11"));
        let nested = json!({ "success": true, "data": { "web": [
            { "url": "https://b.example/", "title": "B", "description": "text", "position": 1 },
            { "url": "javascript:x", "title": "C" },
        ] } });
        assert_eq!(in_json(&nested).unwrap().len(), 1);
        assert_eq!(in_json(&json!({ "results": [] })).unwrap(), []);
        assert_eq!(in_json(&json!({ "error": null, "data": { "items": [] } })).unwrap(), []);
    }

    #[test]
    fn a_failure_is_not_an_empty_list_of_results() {
        for failure in [
            json!({ "error": "limit" }),
            json!({ "error": "limit", "results": [] }),
            json!({ "error": { "code": 429 }, "data": [] }),
            json!({ "success": false, "data": { "web": [] } }),
            json!({ "data": { "error": "limit", "web": [] } }),
            json!({ "message": "limit", "warnings": [] }),
            json!([]),
        ] {
            assert_eq!(in_json(&failure), None, "{failure}");
        }
    }

    #[test]
    fn results_are_found_in_blocks_of_text() {
        let text = "Title: A: the first\nURL: https://a.example/x\nPublished: 2026-05-11\n\
            Author: N/A\nHighlights:\nfirst line\nsecond line\n\n---\n\nTitle: B\n\
            URL: https://b.example/\nText: words\n";
        let hits = in_text(text).unwrap();
        assert_eq!(hits.len(), 2);
        assert_eq!((hits[0].title.as_str(), hits[1].title.as_str()), ("A: the first", "B"));
        assert_eq!(hits[0].published.as_deref(), Some("2026-05-11"));
        assert!(hits[0].snippet.as_deref().unwrap().starts_with("first line second line"));
        assert_eq!(hits[1].snippet.as_deref(), Some("words"));
        assert_eq!(in_text("You have reached the limit."), None);
    }
}
