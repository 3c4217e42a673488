//! Console lines and requests of the pages of a tab, recorded from the first query on; before that there is no cost.
//!
//! Addresses are stored without values. Records made while a credential was typed are dropped.

use std::collections::VecDeque;

use url::Url;

use crate::BrowserError;
use crate::page::Page;
use crate::protocol::{
    ConsoleCalled, ExceptionThrown, HearConsole, HearRequests, LoadingFailed, RequestSent,
    ResponseCame,
};
use crate::transport::USUAL;

/// Maximum number of lines, and of requests; the oldest are dropped.
const KEPT: usize = 200;
/// Maximum characters of a console line.
const MAX_WORDS: usize = 1_000;
/// Maximum characters of an address.
const MAX_URL: usize = 500;

/// A console line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// `log`, `warning`, `error` and so on; `exception` for an uncaught exception.
    pub kind: String,
    pub text: String,
}

impl Said {
    /// Whether it reports an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self.kind.as_str(), "error" | "assert" | "exception")
    }
}

/// A request of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub method: String,
    /// Only names of the query are kept.
    pub url: String,
    /// `Document`, `Image`, `XHR` and so on.
    pub kind: String,
    /// HTTP status; `None` before the response.
    pub status: Option<u16>,
    /// Why the request failed.
    pub failed: Option<String>,
    id: String,
}

/// Records of a tab.
#[derive(Default)]
pub(crate) struct Heard {
    listens: bool,
    console: VecDeque<Said>,
    fetched: VecDeque<Fetched>,
}

impl Heard {
    pub(crate) fn record_console(&mut self, called: ConsoleCalled) {
        let words = called.args.into_iter().map(|arg| match (arg.value, arg.description) {
            (serde_json::Value::String(text), _) => text,
            (serde_json::Value::Null, Some(text)) => text,
            (value, _) => value.to_string(),
        });
        let text = words.collect::<Vec<_>>().join(" ");
        self.say(called.kind, &text);
    }

    pub(crate) fn threw(&mut self, thrown: ExceptionThrown) {
        let details = thrown.exception_details;
        let description = details.exception.and_then(|exception| exception.description);
        self.say("exception".to_owned(), &description.unwrap_or(details.text));
    }

    fn say(&mut self, kind: String, text: &str) {
        push(&mut self.console, Said { kind, text: text.chars().take(MAX_WORDS).collect() });
    }

    pub(crate) fn sent(&mut self, sent: RequestSent) {
        if !self.listens {
            return;
        }
        // A redirected request keeps its id and is listed once, with its final address.
        self.fetched.retain(|one| one.id != sent.request_id);
        let fetched = Fetched {
            method: sent.request.method,
            url: bare(&sent.request.url),
            kind: sent.kind.unwrap_or_default(),
            status: None,
            failed: None,
            id: sent.request_id,
        };
        push(&mut self.fetched, fetched);
    }

    pub(crate) fn came(&mut self, came: &ResponseCame) {
        if let Some(one) = self.fetched.iter_mut().find(|one| one.id == came.request_id) {
            one.status = Some(came.response.status);
        }
    }

    pub(crate) fn failed(&mut self, failed: LoadingFailed) {
        if let Some(one) = self.fetched.iter_mut().find(|one| one.id == failed.request_id) {
            one.failed = Some(failed.error_text);
        }
    }

    /// Drops the console lines of a document that is gone.
    pub(crate) fn forget_words(&mut self) {
        self.console.clear();
    }

    pub(crate) fn forget(&mut self) {
        self.console.clear();
        self.fetched.clear();
    }
}

fn push<T>(list: &mut VecDeque<T>, one: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(one);
}

/// The address without possible secrets: only the names of a query; only the scheme if the address contains data.
fn bare(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return String::new() };
    if url.cannot_be_a_base() {
        return format!("{}:…", url.scheme());
    }
    // ok: cannot fail for an address with a host
    url.set_username("").ok();
    url.set_password(None).ok(); // ok: as before
    url.set_fragment(None);
    let names: Vec<String> = url.query_pairs().map(|(name, _)| format!("{name}=…")).collect();
    url.set_query(None);
    let query = if names.is_empty() { String::new() } else { format!("?{}", names.join("&")) };
    format!("{url}{query}").chars().take(MAX_URL).collect()
}

impl Page {
    /// Console lines of the page, oldest first.
    ///
    /// # Errors
    /// When a credential was typed into the page.
    pub async fn console(&self) -> Result<Vec<Said>, BrowserError> {
        self.listen().await?;
        self.with_tab(|tab| tab.heard.console.iter().cloned().collect())
    }

    /// Requests of the tab's pages since the first query, oldest first.
    ///
    /// # Errors
    /// When a credential was typed into the page.
    pub async fn fetched(&self) -> Result<Vec<Fetched>, BrowserError> {
        self.listen().await?;
        self.with_tab(|tab| tab.heard.fetched.iter().cloned().collect())
    }

    /// Starts recording; the page also reports earlier console lines.
    async fn listen(&self) -> Result<(), BrowserError> {
        let listens = self.with_tab(|tab| match tab.knows_secret() {
            true => Err(BrowserError::KnowsSecret),
            false => Ok(std::mem::replace(&mut tab.heard.listens, true)),
        })??;
        if !listens {
            self.call(&HearConsole {}, USUAL).await?;
            self.hear_requests().await?;
        }
        Ok(())
    }

    pub(crate) async fn hear_requests(&self) -> Result<(), BrowserError> {
        // The browser need not buffer response bodies.
        let hear = HearRequests { max_total_buffer_size: 0, max_resource_buffer_size: 0 };
        self.call(&hear, USUAL).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_values() {
        for (url, bared) in [
            ("https://mira:word@a.test/x?token=abc&q=1#part", "https://a.test/x?token=…&q=…"),
            ("https://a.test/", "https://a.test/"),
            ("data:text/plain,zanzibar", "data:…"),
            ("nothing", ""),
        ] {
            assert_eq!(bare(url), bared);
        }
    }

    #[test]
    fn as_much_is_kept_as_has_room() {
        let mut heard = Heard::default();
        for n in 0..=KEPT {
            heard.say("log".to_owned(), &n.to_string());
        }
        assert_eq!((heard.console.len(), heard.console[0].text.as_str()), (KEPT, "1"));
        heard.forget();
        assert!(heard.console.is_empty());
    }
}
