//! Search engines: one request, one answer, and a chain that asks the next engine after a failure. Knows neither the store
//! nor any noun.
//!
//! Addresses come from an administrator, so private ones are allowed and redirects are not followed. A failed engine is
//! never a result: a captcha or a page in place of JSON is an error.

mod brave;
pub mod cache;
mod chain;
mod exa;
mod http;
pub mod keyless;
mod loose;
pub mod manifest;
mod reading;
mod remote;
mod searxng;
mod serper;
mod tavily;

#[cfg(test)]
mod tests;

use jiff::civil::Date;
use net::client::HttpClient;
use serde::{Deserialize, Serialize};
use url::Url;

pub use chain::{Attempt, Outcome, search};
use manifest::Manifest;

/// Default number of results.
pub const COUNT: u8 = 5;
/// Maximum number of results.
pub const MAX_COUNT: u8 = 10;

kernel::words! {
    /// The interface of a search engine.
    EngineKind {
        Brave = "brave", "Brave Search";
        /// Passages of pages instead of short descriptions.
        BraveContext = "brave_context", "Brave LLM context";
        Tavily = "tavily", "Tavily";
        Exa = "exa", "Exa";
        Serper = "serper", "Serper";
        /// A server of your own or of others, by its address.
        SearxNg = "searxng", "SearXNG";
        /// Any JSON interface that a manifest describes.
        Manifest = "manifest", "Manifest";
        /// Services whose makers answer without an account. A person must allow them.
        Keyless = "keyless", "Without a key";
    }
}

impl EngineKind {
    /// Where its maker serves it; empty if an administrator must give the address.
    #[must_use]
    pub fn address(self) -> &'static str {
        match self {
            Self::Brave => "https://api.search.brave.com/res/v1/web/search",
            Self::BraveContext => "https://api.search.brave.com/res/v1/llm/context",
            Self::Tavily => "https://api.tavily.com/search",
            Self::Exa => "https://api.exa.ai/search",
            Self::Serper => "https://google.serper.dev/search",
            Self::SearxNg | Self::Manifest | Self::Keyless => "",
        }
    }

    #[must_use]
    pub fn needs_key(self) -> bool {
        !matches!(self, Self::SearxNg | Self::Manifest | Self::Keyless)
    }

    /// Whether its terms allow results to be kept for a while. Brave's do not without a plan with storage rights.
    #[must_use]
    pub fn may_cache(self) -> bool {
        !matches!(self, Self::Brave | Self::BraveContext)
    }
}

/// How recent results must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    Day,
    Week,
    Month,
    Year,
}

impl Freshness {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// A checked search. Empty texts and lists mean "any".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    pub query: String,
    /// 1 to [`MAX_COUNT`].
    pub count: u8,
    /// Two lower-case letters (ISO 3166).
    pub country: String,
    /// Two lower-case letters (ISO 639).
    pub language: String,
    pub freshness: Option<Freshness>,
    pub from: Option<Date>,
    pub to: Option<Date>,
    /// Host names.
    pub domains: Vec<String>,
    /// Where periods end, for engines that know dates only.
    pub today: Date,
}

impl Query {
    /// A search without conditions.
    #[must_use]
    pub fn new(query: impl Into<String>, today: Date) -> Self {
        Self {
            query: query.into(),
            count: COUNT,
            country: String::new(),
            language: String::new(),
            freshness: None,
            from: None,
            to: None,
            domains: Vec::new(),
            today,
        }
    }

    /// The words with `site:` operators, for engines without a parameter for hosts.
    #[must_use]
    pub fn with_sites(&self) -> String {
        let sites: Vec<String> = self.domains.iter().map(|host| format!("site:{host}")).collect();
        match sites.as_slice() {
            [] => self.query.clone(),
            [one] => format!("{} {one}", self.query),
            several => format!("{} ({})", self.query, several.join(" OR ")),
        }
    }
}

/// Scheme, host and port of the server that gets the key of an engine; `None` without a web address.
#[must_use]
pub fn origin(kind: EngineKind, address: &str, manifest: &str) -> Option<String> {
    let url = match kind {
        EngineKind::Manifest => Manifest::parse(manifest).ok()?.url, // ok: without one, no request is sent
        kind if address.trim().is_empty() => kind.address().to_owned(),
        _ => address.trim().to_owned(),
    };
    let url = Url::parse(&url).ok()?; // ok: as above
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

/// An engine with its key.
#[derive(Clone)]
pub struct Engine {
    /// Distinguishes engines in the cache, and changes with their settings.
    pub id: String,
    pub name: String,
    pub via: Via,
    /// Empty for the maker's own address.
    pub address: String,
    pub key: String,
    pub may_cache: bool,
    /// Price of a request in millionths of a dollar.
    pub cost_micros: i64,
}

/// How an engine is asked.
#[derive(Clone, Debug)]
pub enum Via {
    Kind(EngineKind),
    Manifest(Box<Manifest>),
    /// Without a key, as its maker documents.
    Keyless(keyless::Service),
}

impl std::fmt::Debug for Engine {
    /// Omits the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("name", &self.name)
            .field("via", &self.via)
            .finish_non_exhaustive()
    }
}

/// One result. Its texts come from strangers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WebSearchResult")]
pub struct Hit {
    pub title: String,
    /// An http or https address.
    pub url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
    /// As the engine writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_name: Option<String>,
}

/// A source of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "WebSearchCitation")]
pub struct Citation {
    pub title: String,
    /// An http or https address.
    pub url: String,
}

/// The content of an engine's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Results {
        hits: Vec<Hit>,
        /// Conditions that the engine does not know.
        ignored: Vec<&'static str>,
    },
    Answer {
        content: String,
        citations: Vec<Citation>,
        /// Conditions that the engine was told, but cannot be limited to.
        ignored: Vec<&'static str>,
    },
}

/// Why an engine has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    Unreachable,
    RateLimited,
    /// It asks for a proof that a person is searching.
    Captcha,
    /// It sent a page in place of data.
    NotJson,
    /// Its key is missing or wrong, or its settings forbid this.
    Refused,
    /// It answered in an unknown form, or with an error of its own.
    Failed,
}

impl FaultKind {
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::RateLimited => "rate_limited",
            Self::Captcha => "captcha",
            Self::NotJson => "not_json",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// A failure of an engine. The message is HQ's own text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub kind: FaultKind,
    pub message: String,
}

impl Fault {
    fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Asks one engine.
///
/// # Errors
/// If it has no usable answer. An empty list of results is an answer.
pub async fn ask(client: &HttpClient, engine: &Engine, query: &Query) -> Result<Found, Fault> {
    match &engine.via {
        Via::Kind(kind) => {
            if kind.needs_key() && engine.key.is_empty() {
                let message =
                    format!("{} has no key; enter it in Settings → Web search", engine.name);
                return Err(Fault::new(FaultKind::Refused, message));
            }
            match kind {
                EngineKind::Brave => brave::web(client, engine, query).await,
                EngineKind::BraveContext => brave::context(client, engine, query).await,
                EngineKind::Tavily => tavily::search(client, engine, query).await,
                EngineKind::Exa => exa::search(client, engine, query).await,
                EngineKind::Serper => serper::search(client, engine, query).await,
                EngineKind::SearxNg => searxng::search(client, engine, query).await,
                EngineKind::Manifest | EngineKind::Keyless => {
                    Err(Fault::new(FaultKind::Refused, format!("{} has no manifest", engine.name)))
                }
            }
        }
        Via::Manifest(manifest) => manifest::search(client, engine, manifest, query).await,
        Via::Keyless(service) => keyless::search(client, engine, *service, query).await,
    }
}
