//! Results out of JSON: addresses are checked, texts are cut and freed of markup.

use kernel::text::{cut, one_line};
use serde_json::Value;
use url::Url;

use super::{Engine, Fault, FaultKind, Found, Hit};

/// Longest title, in bytes.
const MAX_TITLE: usize = 200;
/// Longest snippet, in bytes.
const MAX_SNIPPET: usize = 1_200;
const MAX_SHORT: usize = 80;

/// Where the parts of a result are, as JSON pointers relative to it.
pub(super) struct Places<'a> {
    pub title: &'a str,
    pub url: &'a str,
    /// Texts, or lists of texts. All that exist are joined.
    pub snippets: &'a [&'a str],
    pub published: &'a str,
    pub site: &'a str,
}

/// The results in a list at `at`.
pub(super) fn hits(
    engine: &Engine,
    answer: &Value,
    at: &str,
    places: &Places<'_>,
) -> Result<Vec<Hit>, Fault> {
    match answer.pointer(at) {
        Some(Value::Array(list)) => Ok(list.iter().filter_map(|one| hit(one, places)).collect()),
        // Some engines leave out an empty list.
        Some(Value::Null) | None if answer.is_object() && error_of(answer).is_none() => {
            Ok(Vec::new())
        }
        _ => {
            let message = format!("{} answered in an unknown form", engine.name);
            Err(Fault::new(FaultKind::Failed, message))
        }
    }
}

pub(super) fn results(hits: Vec<Hit>, count: u8, ignored: Vec<&'static str>) -> Found {
    let hits = hits.into_iter().take(usize::from(count)).collect();
    Found::Results { hits, ignored }
}

fn error_of(answer: &Value) -> Option<&Value> {
    ["error", "errors", "detail"].iter().find_map(|key| answer.get(key)).filter(|e| !e.is_null())
}

fn hit(one: &Value, places: &Places<'_>) -> Option<Hit> {
    let text = |at: &str| one.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let url = address(text(places.url))?;
    let snippets: Vec<String> = places.snippets.iter().flat_map(|at| texts(one, at)).collect();
    Some(Hit {
        title: title(text(places.title), &url),
        snippet: short(&snippets.join(" … "), MAX_SNIPPET),
        published: short(text(places.published), MAX_SHORT),
        site_name: short(text(places.site), MAX_SHORT),
        url,
    })
}

fn texts(one: &Value, at: &str) -> Vec<String> {
    match one.pointer(at) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// An http or https address with a host; `None` for anything else.
pub(super) fn address(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    (is_web && url.username().is_empty() && url.password().is_none()).then(|| url.into())
}

/// The title, or the host of a result without one.
pub(super) fn title(text: &str, url: &str) -> String {
    let host = || Url::parse(url).ok()?.host_str().map(str::to_owned);
    short(text, MAX_TITLE).or_else(host).unwrap_or_default()
}

pub(super) fn snippet(text: &str) -> Option<String> {
    short(text, MAX_SNIPPET)
}

pub(super) fn published(text: &str) -> Option<String> {
    short(text, MAX_SHORT)
}

fn short(text: &str, most: usize) -> Option<String> {
    let text = one_line(&without_marks(text));
    let text = text.trim();
    (!text.is_empty()).then(|| cut(text, most).to_owned())
}

/// Engines mark the words that were found.
fn without_marks(text: &str) -> String {
    ["<strong>", "</strong>", "<b>", "</b>", "<em>", "</em>", "<mark>", "</mark>"]
        .iter()
        .fold(text.to_owned(), |text, mark| text.replace(mark, ""))
}
