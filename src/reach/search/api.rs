//! `/api/v1/web/read` and `/api/v1/web/search`: the web for people and their programs, by the same rules as for agents.

use app::Ws;
use kernel::Can;
use net::fetch::{self, MAX_CHARS, PageRequest};
use net::guard::Hosts;
use net::readable::Form;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool::document;
use web::error::ApiError;
use web::extract::Json;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use super::answer::{Answer, Args};
use super::{key, queries, rules};
use crate::engines;

/// Default number of characters of a page.
const CHARS: usize = 20_000;

/// Routes of the API.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post(
            "/web/read",
            read.needs(Can::Write).doc(|| {
                Doc::new("Read a public web page, PDF or text file as Markdown or plain text")
                    .no_key("it changes nothing")
                    .body::<ReadBody>()
                    .returns::<PageView>()
            }),
        )
        .post(
            "/web/search",
            search.needs(Can::Write).doc(|| {
                Doc::new("Search the web with the workspace's search engines")
                    .no_key("it changes nothing")
                    .body::<Args>()
                    .returns::<Answer>()
            }),
        )
}

/// A page to read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebReadBody")]
struct ReadBody {
    /// An http or https address.
    url: String,
    /// `markdown` or `text`.
    #[serde(default)]
    mode: Mode,
    /// The list of pages of the host (`/llms.txt`) instead of the page.
    #[serde(default)]
    index: bool,
    /// Maximum number of characters, up to 750000 (20000).
    max_chars: Option<usize>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "WebReadMode")]
enum Mode {
    #[default]
    Markdown,
    Text,
}

/// A page as text.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebPage")]
struct PageView {
    /// After redirects, or of the page's Markdown version.
    final_url: String,
    /// HTTP status. The page of an error is a page, too.
    status: u16,
    content_type: Option<String>,
    title: Option<String>,
    /// `markdown`, `plain`, `document`, `main`, `article`, `body` or `everything`.
    extractor: &'static str,
    /// Characters before the cut.
    length: usize,
    truncated: bool,
    text: String,
}

async fn read(ws: Ws, _: Person, Json(body): Json<ReadBody>) -> Result<Json<PageView>, ApiError> {
    let form = match body.mode {
        Mode::Markdown => Form::Markdown,
        Mode::Text => Form::Text,
    };
    let max_chars = body.max_chars.unwrap_or(CHARS);
    if !(1..=MAX_CHARS).contains(&max_chars) {
        return Err(ApiError::invalid("max_chars", format!("use 1 to {MAX_CHARS}")));
    }
    let (url, only, index) = (body.url, Hosts::default(), body.index);
    let wanted = PageRequest { url, form, max_chars, only, index };
    let page = fetch::page(&ws.app.http, wanted, Some(words)).await?;
    Ok(Json(PageView {
        final_url: page.final_url,
        status: page.status,
        content_type: page.content_type,
        title: page.readable.title,
        extractor: page.readable.extractor.as_str(),
        length: page.readable.chars,
        truncated: page.readable.truncated,
        text: page.readable.text,
    }))
}

/// The text of a PDF. Blocking.
fn words(data: &[u8]) -> Option<String> {
    // ok: a document that cannot be read has no text.
    let words = document::words(data, MAX_CHARS).ok()?;
    Some(words.text).filter(|text| !text.is_empty())
}

async fn search(ws: Ws, me: Person, Json(args): Json<Args>) -> Result<Json<Answer>, ApiError> {
    let query = args.checked(key::today(&ws))?;
    let engines = ws.read_blocking(queries::ready).await?;
    if !engines.is_empty() {
        ws.write(&me, move |tx| rules::count(tx, me.account)).await?;
    }
    let outcome = engines::search(&ws.app.http, &queries::CACHE, &engines, &query).await;
    Ok(Json(Answer::of(outcome.provider(&engines), &query, outcome)))
}
