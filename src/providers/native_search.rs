//! Web search by the model's provider: one request without streaming, in which the provider searches and the model
//! writes an answer with its sources. The wire formats are those of
//! <https://docs.claude.com/en/docs/agents-and-tools/tool-use/web-search-tool>,
//! <https://platform.openai.com/docs/guides/tools-web-search> and
//! <https://ai.google.dev/gemini-api/docs/google-search>.

use std::time::Duration;

use serde_json::{Value, json};

use super::base::Server;
use super::error::ProviderError;
use super::model::Usage;
use super::wire::{Connection, Decode};
use net::message::{Request, Timeouts};

/// Time limit of a request.
const PATIENCE: Duration = Duration::from_secs(90);
const MAX_SOURCES: usize = 20;
/// List price of a search by Anthropic or OpenAI, in micro-dollars.
const FEE: u64 = 10_000;
/// List price of an answer of Gemini up to 2.5 with Google Search, in micro-dollars.
const OLD_GEMINI_FEE: u64 = 35_000;
/// List price of a search by Gemini from version 3 on, in micro-dollars.
const GEMINI_FEE: u64 = 14_000;
/// Maximum number of searches for one answer of Anthropic or OpenAI, which get it as a limit.
const MAX_SEARCHES: u64 = 2;
/// Maximum number of searches that an answer of Gemini is charged for. It takes no limit, and rarely makes more than
/// five.
const MAX_GEMINI_SEARCHES: u64 = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchRequest {
    pub model: String,
    /// The search and all its conditions, in words.
    pub text: String,
    /// Two letters; empty for any.
    pub country: String,
    /// Host names, for providers that can be limited to them.
    pub domains: Vec<String>,
    pub max_output: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub title: String,
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Searched {
    pub text: String,
    /// Empty if the model has not searched.
    pub sources: Vec<Source>,
    pub usage: Option<Usage>,
    pub model: String,
    /// Price of the searches besides the tokens, in micro-dollars.
    pub fee_micros: u64,
}

/// How a provider searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Searching {
    /// Whether it can be limited to a country and to hosts.
    pub has_filters: bool,
    /// Greatest price of the searches for one answer, in micro-dollars.
    pub max_fee_micros: u64,
}

/// Anthropic and OpenAI.
pub(super) const FILTERED: Searching =
    Searching { has_filters: true, max_fee_micros: MAX_SEARCHES * FEE };

pub(super) fn of_gemini(model: &str) -> Searching {
    let max_fee_micros = match is_old_gemini(model) {
        true => OLD_GEMINI_FEE,
        false => MAX_GEMINI_SEARCHES * GEMINI_FEE,
    };
    Searching { has_filters: false, max_fee_micros }
}

fn is_old_gemini(model: &str) -> bool {
    ["gemini-1", "gemini-2"].iter().any(|old| model.starts_with(old))
}

/// Whether a server of a wire format may be its vendor's. Other servers do not search.
pub(super) fn is_offered(server: Server, own: Server) -> bool {
    server == own || server == Server::Other
}

pub(super) fn anthropic_body(request: &SearchRequest) -> Value {
    let mut tool =
        json!({ "type": "web_search_20250305", "name": "web_search", "max_uses": MAX_SEARCHES });
    if !request.domains.is_empty() {
        tool["allowed_domains"] = json!(request.domains);
    }
    if let Some(place) = place(request) {
        tool["user_location"] = place;
    }
    json!({
        "model": request.model,
        "max_tokens": request.max_output,
        "messages": [{ "role": "user", "content": request.text }],
        "tools": [tool],
    })
}

pub(super) fn openai_body(request: &SearchRequest) -> Value {
    let mut tool = json!({ "type": "web_search" });
    if !request.domains.is_empty() {
        tool["filters"] = json!({ "allowed_domains": request.domains });
    }
    if let Some(place) = place(request) {
        tool["user_location"] = place;
    }
    json!({
        "model": request.model,
        "input": request.text,
        "max_output_tokens": request.max_output,
        "max_tool_calls": MAX_SEARCHES,
        "tools": [tool],
        "store": false,
    })
}

pub(super) fn gemini_body(request: &SearchRequest) -> Value {
    json!({
        "contents": [{ "role": "user", "parts": [{ "text": request.text }] }],
        "generationConfig": { "maxOutputTokens": request.max_output },
        "tools": [{ "google_search": {} }],
    })
}

fn place(request: &SearchRequest) -> Option<Value> {
    let country = request.country.to_ascii_uppercase();
    (!country.is_empty()).then(|| json!({ "type": "approximate", "country": country }))
}

/// Sources, cited text and price, as read from an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    sources: Vec<Source>,
    /// The parts of the text, each with the addresses of its sources.
    parts: Vec<(String, Vec<String>)>,
    fee_micros: u64,
}

/// Sends a request. `read` finds the sources in the answer.
///
/// # Errors
/// If the call fails.
pub(super) async fn ask(
    connection: &Connection,
    (post, body): (Request, Value),
    request: &SearchRequest,
    decoder: &mut dyn Decode,
    read: fn(&Value) -> Found,
) -> Result<Searched, ProviderError> {
    let times = Timeouts {
        headers: connection.limits.header.min(PATIENCE),
        idle: connection.limits.idle.min(PATIENCE),
        total: Some(PATIENCE),
    };
    let post = post.body("application/json", body.to_string()).timeouts(times);
    let answer = connection.get(post).await?;
    decoder.whole(&answer.to_string(), &mut Vec::new())?;
    let reply = decoder.reply(&request.model)?;
    let found = read(&answer);
    let sources = apart(found.sources, &request.domains);
    Ok(Searched {
        text: numbered(&found.parts, &sources).unwrap_or_else(|| reply.text()),
        sources,
        usage: reply.usage,
        model: reply.model,
        fee_micros: found.fee_micros,
    })
}

/// Host of Google's redirects, which Gemini returns in place of the addresses of its sources.
const REDIRECTS: &str = "vertexaisearch.cloud.google.com";

/// The first occurrence of each address, without addresses outside of the wanted hosts.
fn apart(all: Vec<Source>, domains: &[String]) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for one in all {
        // ok: without a host, it is no address of a page.
        let url = url::Url::parse(&one.url).ok();
        let host = url.and_then(|url| url.host_str().map(str::to_owned));
        let is_of = |host: &str, domain: &String| {
            host == domain
                || host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
        };
        let is_wanted = |host: &String| {
            domains.is_empty() || host == REDIRECTS || domains.iter().any(|one| is_of(host, one))
        };
        let is_address = one.url.starts_with("https://") || one.url.starts_with("http://");
        let is_wanted = is_address && host.as_ref().is_some_and(is_wanted);
        if is_wanted && !sources.iter().any(|known| known.url == one.url) {
            sources.push(one);
        }
    }
    sources.truncate(MAX_SOURCES);
    sources
}

/// The text with the numbers of its sources; `None` if the answer does not say which part has which source.
fn numbered(parts: &[(String, Vec<String>)], sources: &[Source]) -> Option<String> {
    let mut text = String::new();
    let mut is_numbered = false;
    for (part, cited) in parts {
        let words = part.trim_end();
        text.push_str(words);
        let mut numbers: Vec<usize> = cited
            .iter()
            .filter_map(|url| sources.iter().position(|source| source.url == *url))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            is_numbered = true;
            text.push_str(&format!(" [{}]", number + 1));
        }
        text.push_str(&part[words.len()..]);
    }
    is_numbered.then_some(text)
}

/// Cuts a text behind each statement with sources. `ends` are offsets in bytes.
fn cut_at(text: &str, mut ends: Vec<(usize, Vec<String>)>) -> Vec<(String, Vec<String>)> {
    ends.sort_by_key(|(end, _)| *end);
    let (mut parts, mut from) = (Vec::new(), 0);
    for (end, cited) in ends {
        if let Some(part) = text.get(from..end) {
            parts.push((part.to_owned(), cited));
            from = end;
        }
    }
    parts.push((text.get(from..).unwrap_or_default().to_owned(), Vec::new()));
    parts
}

fn source(of: &Value, address: &str) -> Option<Source> {
    let url = text(of, address);
    (!url.is_empty()).then(|| Source { title: text(of, "title"), url })
}

fn text(of: &Value, key: &str) -> String {
    of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list<'v>(of: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    of.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn is(of: &Value, kind: &str) -> bool {
    of.get("type").and_then(Value::as_str) == Some(kind)
}

/// Cited sources; without citations, all results of the search.
pub(super) fn anthropic(answer: &Value) -> Found {
    let blocks = || list(answer, "content");
    let cited = blocks().flat_map(|block| list(block, "citations"));
    let mut sources: Vec<Source> = cited.filter_map(|one| source(one, "url")).collect();
    if sources.is_empty() {
        let results = blocks().filter(|block| is(block, "web_search_tool_result"));
        let results = results.flat_map(|block| list(block, "content"));
        sources = results.filter_map(|one| source(one, "url")).collect();
    }
    let texts = blocks().filter(|block| is(block, "text"));
    let part = |block: &Value| {
        let cited = list(block, "citations").filter_map(|one| source(one, "url"));
        (text(block, "text"), cited.map(|one| one.url).collect())
    };
    let searches = answer.pointer("/usage/server_tool_use/web_search_requests");
    let searches = searches.and_then(Value::as_u64).unwrap_or(0);
    let fee_micros = fees(searches, (MAX_SEARCHES, FEE));
    Found { sources, parts: texts.map(part).collect(), fee_micros }
}

pub(super) fn openai(answer: &Value) -> Found {
    let items = || list(answer, "output");
    let texts = || items().flat_map(|item| list(item, "content"));
    let sources = texts().flat_map(citations).filter_map(|one| source(one, "url"));
    let parts = texts().filter(|one| is(one, "output_text")).flat_map(|one| {
        let words = text(one, "text");
        let ends = citations(one).filter_map(|citation| {
            // Offsets are in characters.
            let end = usize::try_from(citation.get("end_index")?.as_u64()?).ok()?;
            let end = words.char_indices().nth(end).map_or(words.len(), |(at, _)| at);
            Some((end, vec![source(citation, "url")?.url]))
        });
        cut_at(&words, ends.collect())
    });
    // Pages that are opened cost nothing.
    let is_search = |item: &&Value| {
        let action = item.pointer("/action/type").and_then(Value::as_str);
        is(item, "web_search_call") && action.is_none_or(|action| action == "search")
    };
    let searches = items().filter(is_search).count() as u64;
    let fee_micros = fees(searches, (MAX_SEARCHES, FEE));
    Found { sources: sources.collect(), parts: parts.collect(), fee_micros }
}

fn citations(text: &Value) -> impl Iterator<Item = &Value> {
    list(text, "annotations").filter(|one| is(one, "url_citation"))
}

pub(super) fn gemini(answer: &Value) -> Found {
    let Some(found) = answer.pointer("/candidates/0/groundingMetadata") else {
        return Found::default();
    };
    let pages: Vec<Option<Source>> = list(found, "groundingChunks")
        .map(|chunk| chunk.get("web").and_then(|page| source(page, "uri")))
        .collect();
    let fee_micros = match is_old_gemini(&text(answer, "modelVersion")) {
        true => OLD_GEMINI_FEE,
        false => {
            let searches = list(found, "webSearchQueries").count() as u64;
            fees(searches, (MAX_GEMINI_SEARCHES, GEMINI_FEE))
        }
    };
    let ends = list(found, "groundingSupports").filter_map(|support| {
        let end = usize::try_from(support.pointer("/segment/endIndex")?.as_u64()?).ok()?;
        let chunks = list(support, "groundingChunkIndices").filter_map(Value::as_u64);
        let page = |at: u64| pages.get(usize::try_from(at).ok()?)?.as_ref();
        Some((end, chunks.filter_map(page).map(|page| page.url.clone()).collect()))
    });
    // Offsets are in bytes of one part, so only an answer of one part can be numbered.
    let parts = match answer.pointer("/candidates/0/content/parts").and_then(Value::as_array) {
        Some(all) if all.len() == 1 => cut_at(&text(&all[0], "text"), ends.collect()),
        _ => Vec::new(),
    };
    Found { sources: pages.into_iter().flatten().collect(), parts, fee_micros }
}

/// The price of searches. A server is not believed to have made more than `most`.
fn fees(searches: u64, (most, each): (u64, u64)) -> u64 {
    searches.min(most).saturating_mul(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> SearchRequest {
        SearchRequest {
            model: "m".into(),
            text: "rust".into(),
            country: "de".into(),
            domains: vec!["rust-lang.org".into()],
            max_output: 100,
        }
    }

    #[test]
    fn conditions_are_sent_where_a_provider_has_them() {
        let place = json!({ "type": "approximate", "country": "DE" });
        let tool = &anthropic_body(&request())["tools"][0];
        assert_eq!(tool["allowed_domains"], json!(["rust-lang.org"]));
        assert_eq!(tool["user_location"], place);
        let tool = &openai_body(&request())["tools"][0];
        assert_eq!(tool["filters"]["allowed_domains"], json!(["rust-lang.org"]));
        assert_eq!(tool["user_location"], place);
        let plain = SearchRequest { country: String::new(), domains: Vec::new(), ..request() };
        assert_eq!(openai_body(&plain)["tools"], json!([{ "type": "web_search" }]));
        assert_eq!(openai_body(&plain)["max_tool_calls"], 2);
        assert_eq!(gemini_body(&plain)["tools"], json!([{ "google_search": {} }]));
    }

    #[test]
    fn citations_are_the_sources() {
        let cited = json!({
            "content": [
                { "type": "server_tool_use", "id": "s", "name": "web_search", "input": {} },
                { "type": "web_search_tool_result", "tool_use_id": "s", "content": [
                    { "type": "web_search_result", "url": "https://b.example/", "title": "B" },
                ] },
                { "type": "text", "text": "A.", "citations": [
                    { "type": "web_search_result_location", "url": "https://a.example/", "title": "A" },
                ] },
            ],
            "usage": { "server_tool_use": { "web_search_requests": 2 } },
        });
        let a = Source { title: "A".into(), url: "https://a.example/".into() };
        let parts = vec![("A.".to_owned(), vec![a.url.clone()])];
        assert_eq!(numbered(&parts, std::slice::from_ref(&a)).as_deref(), Some("A. [1]"));
        let found = Found { sources: vec![a], parts, fee_micros: 20_000 };
        assert_eq!(anthropic(&cited), found);
        let mut bare = cited.clone();
        bare["content"][2]["citations"] = Value::Null;
        assert_eq!(anthropic(&bare).sources[0].url, "https://b.example/");
        let failed = json!({ "content": [
            { "type": "web_search_tool_result", "content":
                { "type": "web_search_tool_result_error", "error_code": "max_uses_exceeded" } },
            { "type": "text", "text": "From memory." },
        ] });
        let found = anthropic(&failed);
        assert_eq!((found.sources, found.fee_micros), (Vec::new(), 0));
    }

    #[test]
    fn gemini_bills_answers_up_to_version_2_and_searches_since() {
        let answer = |version: &str| {
            json!({
                "modelVersion": version,
                "candidates": [{ "groundingMetadata": {
                    "webSearchQueries": ["a", "b"],
                    "groundingChunks": [{ "web": { "uri": "https://x.example/", "title": "x" } }],
                } }],
            })
        };
        assert_eq!(gemini(&answer("gemini-2.5-flash")).fee_micros, 35_000);
        assert_eq!(gemini(&answer("gemini-3-pro")).fee_micros, 28_000);
        assert_eq!(gemini(&json!({ "candidates": [{}] })), Found::default());
        assert_eq!(of_gemini("gemini-2.5-flash").max_fee_micros, 35_000);
        assert_eq!(of_gemini("gemini-3-pro").max_fee_micros, 140_000);
    }

    #[test]
    fn openai_bills_searches_and_numbers_the_sources_of_each_statement() {
        let call =
            |action: &str| json!({ "type": "web_search_call", "action": { "type": action } });
        let citation = |end: u32, url: &str| json!({ "type": "url_citation", "url": url, "title": "", "end_index": end });
        let answer = json!({ "output": [
            call("search"), call("search"), call("search"), call("open_page"),
            { "type": "message", "content": [{
                "type": "output_text", "text": "Käse. Brot.",
                "annotations": [citation(11, "https://b.example/"), citation(5, "https://a.example/")],
            }] },
        ] });
        let found = openai(&answer);
        assert_eq!(found.fee_micros, 20_000);
        let sources = apart(found.sources, &[]);
        let text = numbered(&found.parts, &sources);
        assert_eq!(text.as_deref(), Some("Käse. [2] Brot. [1]"));
    }

    #[test]
    fn gemini_numbers_the_sources_of_each_statement() {
        let answer = json!({ "candidates": [{
            "content": { "parts": [{ "text": "Käse. Brot." }] },
            "groundingMetadata": {
                "groundingChunks": [
                    { "web": { "uri": "https://a.example/" } }, { "web": { "uri": "https://b.example/" } },
                ],
                "groundingSupports": [
                    { "segment": { "endIndex": 6 }, "groundingChunkIndices": [0, 1] },
                    { "segment": { "endIndex": 2 }, "groundingChunkIndices": [1] },
                ],
            },
        }] });
        let found = gemini(&answer);
        let sources = apart(found.sources, &[]);
        let text = numbered(&found.parts, &sources);
        assert_eq!(text.as_deref(), Some("Käse. [1] [2] Brot."));
    }

    #[test]
    fn sources_outside_of_the_wanted_hosts_are_left_out() {
        let one = |url: &str| Source { title: String::new(), url: url.into() };
        let redirect = "https://vertexaisearch.cloud.google.com/x";
        let all =
            ["https://a.example/", "https://docs.a.example/", "https://nota.example/", redirect];
        let kept = apart(all.map(one).into(), &["a.example".to_owned()]);
        assert_eq!(kept, ["https://a.example/", "https://docs.a.example/", redirect].map(one));
    }

    #[test]
    fn an_address_is_named_once_and_is_a_web_address() {
        let one = |url: &str| Source { title: String::new(), url: url.into() };
        let all = ["https://a/", "javascript:alert(1)", "https://a/", "http://b/"].map(one);
        assert_eq!(apart(all.into(), &[]), [one("https://a/"), one("http://b/")]);
    }
}
