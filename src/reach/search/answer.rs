//! Arguments of a search, and its three kinds of answers.

use std::fmt::Write as _;

use jiff::civil::Date;
use kernel::{Error, FieldError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engines::{Attempt, Citation, Found, Freshness, Hit, MAX_COUNT, Outcome, Query};

/// Longest search, in characters.
const MAX_QUERY: usize = 400;
const MAX_DOMAINS: usize = 20;
/// Most text sent to an engine, in characters.
const MAX_SENT: usize = 1_000;

/// A search.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebSearchArgs")]
pub struct Args {
    /// What to search for
    query: String,
    /// 1 to 10 (5)
    count: Option<u8>,
    /// Such as `de`
    country: Option<String>,
    /// Such as `en`
    language: Option<String>,
    /// Age
    freshness: Option<Freshness>,
    /// YYYY-MM-DD
    date_from: Option<String>,
    /// YYYY-MM-DD
    date_to: Option<String>,
    /// Only these hosts
    domains: Option<Vec<String>>,
}

impl Args {
    /// The words and hosts as they were written.
    pub(super) fn written(&self) -> String {
        let domains = self.domains.iter().flatten().map(String::as_str);
        [self.query.as_str()].into_iter().chain(domains).collect::<Vec<_>>().join(" ")
    }

    /// # Errors
    /// All fields that are wrong.
    pub fn checked(self, today: Date) -> Result<Query, Error> {
        let mut wrong = Vec::new();
        let query = kernel::text::one_line(&self.query).trim().to_owned();
        if query.is_empty() || MAX_QUERY < query.chars().count() {
            let message = format!("Use 1 to {MAX_QUERY} characters.");
            wrong.push(FieldError::new("query", message));
        }
        let count = self.count.unwrap_or(crate::engines::COUNT);
        if !(1..=MAX_COUNT).contains(&count) {
            wrong.push(FieldError::new("count", format!("Use 1 to {MAX_COUNT}.")));
        }
        let mut code = |field: &str, given: Option<String>| {
            let code = given.unwrap_or_default().trim().to_ascii_lowercase();
            let is_code = code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase());
            if !(code.is_empty() || is_code) {
                wrong.push(FieldError::new(field, "Use a code of two letters."));
            }
            code
        };
        let (country, language) = (code("country", self.country), code("language", self.language));
        let mut day = |field: &str, given: Option<String>| {
            let given = given.filter(|text| !text.trim().is_empty())?;
            let parsed = given.trim().parse::<Date>();
            if parsed.is_err() {
                wrong.push(FieldError::new(field, "Write a date as YYYY-MM-DD."));
            }
            parsed.ok()
        };
        let (from, to) = (day("date_from", self.date_from), day("date_to", self.date_to));
        if let (Some(from), Some(to)) = (from, to)
            && to < from
        {
            wrong.push(FieldError::new("date_to", "Use a date after date_from."));
        }
        if self.freshness.is_some() && (from.is_some() || to.is_some()) {
            wrong.push(FieldError::new("freshness", "Give either a freshness or dates."));
        }
        let domains: Vec<String> = self.domains.unwrap_or_default();
        let domains: Vec<String> =
            domains.iter().map(|host| host.trim().to_ascii_lowercase()).collect();
        if MAX_DOMAINS < domains.len() || !domains.iter().all(|host| is_host(host)) {
            let message = format!("Use at most {MAX_DOMAINS} host names such as example.com.");
            wrong.push(FieldError::new("domains", message));
        }
        let freshness = self.freshness;
        let query = Query { query, count, country, language, freshness, from, to, domains, today };
        if wrong.is_empty() && MAX_SENT < query.with_sites().chars().count() {
            wrong.push(FieldError::new("domains", "Use fewer or shorter host names."));
        }
        match wrong.is_empty() {
            true => Ok(query),
            false => Err(Error::invalid(wrong)),
        }
    }
}

fn is_host(text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    text.contains('.') && text.len() <= 253 && text.chars().all(is_part)
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
#[schemars(rename = "WebSearchAnswer")]
#[expect(clippy::enum_variant_names, reason = "the variants are the values of `type`")]
pub enum Answer {
    Results {
        /// The engine that answered.
        provider: String,
        query: String,
        count: usize,
        took_ms: u64,
        results: Vec<Hit>,
        #[serde(flatten)]
        more: More,
    },
    Answer {
        provider: String,
        query: String,
        took_ms: u64,
        content: String,
        citations: Vec<Citation>,
        #[serde(flatten)]
        more: More,
    },
    Error {
        /// The engine that failed last; empty if none is set up.
        provider: String,
        /// A code, such as `rate_limited`.
        error: &'static str,
        message: String,
    },
}

/// What a caller should know besides.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct More {
    /// Whether the answer is one of the last 15 minutes.
    pub cached: bool,
    /// Conditions that the engine does not know, or that it only tries to meet.
    pub ignored: Vec<&'static str>,
    /// Engines that failed before.
    pub failed: Vec<Failed>,
}

/// An engine that failed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebSearchFailure")]
pub struct Failed {
    pub provider: String,
    pub error: &'static str,
    pub message: String,
}

impl Answer {
    /// `provider` is the name of the engine that answered.
    pub(super) fn of(provider: &str, query: &Query, outcome: Outcome) -> Self {
        let Outcome { found, failed, is_cached, took_ms } = outcome;
        let Some((_, found)) = found else { return Self::failed(failed) };
        let provider = provider.to_owned();
        let failed = failed.into_iter().map(|Attempt { engine, fault }| Failed {
            provider: engine,
            error: fault.kind.code(),
            message: fault.message,
        });
        let mut more = More { cached: is_cached, ignored: Vec::new(), failed: failed.collect() };
        let query = query.query.clone();
        match found {
            Found::Results { hits, ignored } => {
                more.ignored = ignored;
                let count = hits.len();
                Self::Results { provider, query, count, took_ms, results: hits, more }
            }
            Found::Answer { content, citations, ignored } => {
                more.ignored = ignored;
                Self::Answer { provider, query, took_ms, content, citations, more }
            }
        }
    }

    fn failed(mut failed: Vec<Attempt>) -> Self {
        let all: Vec<&str> = failed.iter().map(|one| one.fault.message.as_str()).collect();
        let message = all.join("; ");
        match failed.pop() {
            Some(Attempt { engine, fault }) => {
                Self::Error { provider: engine, error: fault.kind.code(), message }
            }
            None => Self::Error {
                provider: String::new(),
                error: "no_engine",
                message:
                    "no search engine is set up: an admin can add one in Settings → Web search"
                        .to_owned(),
            },
        }
    }

    /// Facts of HQ in one line, without text of strangers; `None` for an error.
    pub(super) fn facts(&self) -> Option<String> {
        let (provider, count, took_ms, more) = match self {
            Self::Results { provider, count, took_ms, more, .. } => {
                (provider, *count, took_ms, more)
            }
            Self::Answer { provider, citations, took_ms, more, .. } => {
                (provider, citations.len(), took_ms, more)
            }
            Self::Error { .. } => return None,
        };
        let facts = serde_json::json!({
            "provider": provider, "count": count, "tookMs": took_ms, "cached": more.cached,
            "ignored": more.ignored, "failed": more.failed,
        });
        Some(facts.to_string())
    }

    /// The numbered sources, as text.
    pub(super) fn sources(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Results { results, .. } => {
                for (n, hit) in results.iter().enumerate() {
                    source(&mut out, n + 1, hit);
                }
            }
            Self::Answer { content, citations, .. } => {
                out.push_str(content);
                out.push_str("\n\n");
                for (n, one) in citations.iter().enumerate() {
                    // ok: writing to a String cannot fail
                    let _ = writeln!(out, "[{}] {}\n{}", n + 1, one.title, one.url);
                }
            }
            Self::Error { message, .. } => out.push_str(message),
        }
        out.trim_end().to_owned()
    }
}

fn source(out: &mut String, n: usize, hit: &Hit) {
    // ok: writing to a String cannot fail
    let _ = writeln!(out, "[{n}] {}\n{}", hit.title, hit.url);
    let facts: Vec<&str> =
        [&hit.site_name, &hit.published].into_iter().filter_map(Option::as_deref).collect();
    if !facts.is_empty() {
        out.push_str(&facts.join(" · "));
        out.push('\n');
    }
    if let Some(snippet) = &hit.snippet {
        out.push_str(snippet);
        out.push('\n');
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use kernel::Problem as _;
    use serde_json::json;

    use super::{Args, MAX_DOMAINS, MAX_QUERY};

    fn args(query: &str, domains: &[String]) -> Args {
        serde_json::from_value(json!({ "query": query, "domains": domains })).unwrap()
    }

    #[test]
    fn words_and_hosts_together_have_a_limit() {
        let today = jiff::civil::date(2026, 11, 30);
        let hosts = |length: usize| vec![format!("{}.example", "a".repeat(length)); MAX_DOMAINS];
        assert!(args(&"w".repeat(MAX_QUERY), &hosts(5)).checked(today).is_ok());
        let refused = args("words", &hosts(100)).checked(today).unwrap_err();
        assert_eq!(refused.fields()[0].field, "domains");
    }

    #[test]
    fn hosts_are_checked_for_secrets_as_they_were_written() {
        assert_eq!(args("words", &["AbC.example".to_owned()]).written(), "words AbC.example");
    }
}
