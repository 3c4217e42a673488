//! `web_fetch`: one page as text, through the SSRF guard.

use std::borrow::Cow;
use std::time::Instant;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::agents::queries::reach;
use features::runs::queries::egress as known_hosts;
use features::trust::queries as trust;
use kernel::{Can, Timestamp};
use net::error::NetError;
use net::fetch::{FetchError, MAX_CHARS, Page, PageRequest};
use net::guard::{self, GuardError, Hosts};
use net::pages::Pages;
use net::readable::Form;
use store::StoreError;
use url::Url;

use super::folder;
use crate::egress;
use tool::{
    Aliases, Effect, Group, Looks, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec, document,
    leaks, untrusted,
};

/// Default number of characters.
const CHARS: usize = 12_000;
/// Maximum number of characters at once.
const MAX_GIVEN: usize = 20_000;

pub(crate) struct WebFetch {
    /// Makes the requests and caches pages.
    pub pages: Pages,
}

/// In which form a page is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// With headings and links.
    #[default]
    Markdown,
    /// Plain text.
    Text,
}

/// What `web_fetch` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Args {
    /// An http or https address.
    url: String,
    /// Maximum characters (12000).
    max_chars: Option<usize>,
    /// `markdown` or `text`.
    extract_mode: Option<Mode>,
    /// Read the host's llms.txt instead.
    index: Option<bool>,
}

/// Metadata from HQ; never text of the page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    final_url: &'a str,
    status: u16,
    /// The content type sent by the server, checked to be a plain type.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    extractor: &'static str,
    /// Characters of the readable text.
    length: usize,
    /// Bytes read of the page.
    raw_length: usize,
    truncated: bool,
    took_ms: u128,
    fetched_at: Timestamp,
    /// Age of the cached page in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_secs: Option<u64>,
    /// The name of the stored whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    spill: Option<String>,
}

impl ReadTool for WebFetch {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("web_fetch"),
        group: Group::Web,
        needs: Can::Read,
        effect: Effect::External,
        about: Cow::Borrowed("Fetch a public web page or PDF as readable text."),
    };
    const ALIASES: Aliases = &[("max_chars", "maxChars"), ("extract_mode", "extractMode")];
    const LOOKS: Looks = Looks::Here;

    async fn read(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        let form = match args.extract_mode.unwrap_or_default() {
            Mode::Markdown => Form::Markdown,
            Mode::Text => Form::Text,
        };
        if let Some(why) = leaks::of(&cx.ws.app.redactor, &args.url) {
            let text = format!("nothing was sent: {why}; use an address without it");
            return Err(ToolError::refused("denied", text));
        }
        let began = Instant::now();
        // The whole page is cached, whatever part is returned, so the rest can be read and searched without a new
        // request.
        let (only, opened) = (hosts_of(cx)?, cx.ws.read(|snap| reach::opened(snap))?);
        let at = guard::parse(&args.url).ok(); // ok: the request reports an invalid address
        let inside = at.as_ref().is_some_and(|url| opened.has(url));
        let (only, is_held) = match at {
            Some(url) => redirects_of(cx, only, url).await?,
            None => (only, false),
        };
        let index = args.index.unwrap_or_default();
        let wanted = PageRequest { url: args.url, form, max_chars: MAX_CHARS, only, index };
        let page = async {
            match inside {
                true => self.pages.inside(opened, wanted).await,
                false => self.pages.get(wanted).await,
            }
        };
        let fetched = tokio::select! {
            page = page => page,
            () = cx.cancel.cancelled() => return Err(ToolError::refused("aborted", "stopped")),
        };
        // A failure of the remote side is reported to the model, not as an error of HQ.
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(FetchError::Net(NetError::Refused(GuardError::NotListed { host }))) if is_held => {
                return Ok(ToolOutput::error(format!(
                    "Error(denied): the page redirects to {host}, where no one has sent you: fetch \
                     that address directly to request approval"
                )));
            }
            Err(error) => {
                return Ok(ToolOutput::error(format!(
                    "Error(unavailable): could not fetch: {error}"
                )));
            }
        };
        let given = args.max_chars.unwrap_or(CHARS).clamp(200, MAX_GIVEN);
        // A character has up to four bytes, and the metadata needs space, too.
        let given = given.min(cx.max_result.saturating_sub(1_024));
        let age = SignedDuration::try_from(fetched.age.unwrap_or_default()).unwrap_or_default();
        Ok(output(cx, &fetched.page, given, |page_facts| Told {
            took_ms: began.elapsed().as_millis(),
            fetched_at: page_facts.fetched_at - age,
            cached_secs: fetched.age.map(|age| age.as_secs()),
            ..page_facts
        }))
    }
}

/// The hosts to which redirects are allowed, and whether they are fewer than the agent may reach. In a tainted
/// conversation they are limited to hosts that trusted content names.
async fn redirects_of(cx: &ToolCx, only: Hosts, url: Url) -> Result<(Hosts, bool), ToolError> {
    let (cx, listed) = (cx.clone(), only.are_listed());
    folder::blocking(move || {
        let hosts = cx.ws.read(|snap| {
            let agents = reach::agents_of(snap, cx.agent, cx.run)?;
            if listed || trust::heeded(snap, &agents, cx.session)?.is_none() {
                return Ok((only, false));
            }
            let known = known_hosts::known(snap, cx.session, cx.run)?;
            Ok::<_, StoreError>((egress::redirects(only, &known, &url), true))
        })?;
        Ok(hosts)
    })
    .await
}

/// The text of a PDF. Blocking.
pub(super) fn words(data: &[u8]) -> Option<String> {
    let words = document::words(data, MAX_CHARS).ok()?;
    Some(words.text).filter(|text| !text.is_empty())
}

/// The hosts that a run may reach.
pub(crate) fn hosts_of(cx: &ToolCx) -> Result<Hosts, StoreError> {
    cx.ws.read(|snap| {
        let agents = reach::agents_of(snap, cx.agent, cx.run)?;
        reach::of_all(snap, &agents)
    })
}

/// A content type without its parameters, if it is valid.
fn essence(content_type: &str) -> Option<String> {
    let essence = content_type.split(';').next()?.trim().to_ascii_lowercase();
    let is_type = |c: char| c.is_ascii_alphanumeric() || "/.+-".contains(c);
    let whole = essence.len() <= 80 && essence.contains('/') && essence.chars().all(is_type);
    whole.then_some(essence)
}

fn output<'p>(
    cx: &ToolCx,
    page: &'p Page,
    given: usize,
    circumstances: impl FnOnce(Told<'p>) -> Told<'p>,
) -> ToolOutput {
    let words = &page.readable.text;
    let end = words.char_indices().nth(given).map_or(words.len(), |(at, _)| at);
    let end = words.floor_char_boundary(end.min(cx.max_result.saturating_sub(1_024)));
    let is_cut = end < words.len();
    let facts = circumstances(Told {
        final_url: &page.final_url,
        status: page.status,
        content_type: page.content_type.as_deref().and_then(essence),
        extractor: page.readable.extractor.as_str(),
        length: page.readable.chars,
        raw_length: page.bytes,
        truncated: is_cut || page.readable.truncated,
        took_ms: 0,
        fetched_at: cx.ws.app.clock.now(),
        cached_secs: None,
        spill: is_cut.then(|| cx.result_name()),
    });
    // ok: a struct of texts and numbers can be serialised.
    let facts = serde_json::to_string(&facts).unwrap_or_default();
    let (id, title) = (untrusted::id_for(cx), page.readable.title.as_deref().unwrap_or(""));
    let part = |words: &str| untrusted::wrap(&id, &format!("{title}\n\n{words}"));
    let text = format!("{facts}\n{}", part(&words[..end]));
    let mut output =
        if page.status < 400 { ToolOutput::text(text) } else { ToolOutput::error(text) };
    output.whole = is_cut.then(|| format!("{facts}\n{}", part(words)));
    output
}
