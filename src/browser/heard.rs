//! What the pages of a tab say to the console and what they fetch, from the moment on at which somebody asks. Nobody pays
//! for it before.
//!
//! Values are left out of addresses, and what was said or fetched while a credential was typed is forgotten.

use std::collections::VecDeque;

use url::Url;

use crate::BrowserError;
use crate::page::Page;
use crate::protocol::{
    ConsoleCalled, ExceptionThrown, HearConsole, HearRequests, LoadingFailed, RequestSent,
    ResponseCame,
};
use crate::transport::USUAL;

/// So many of each are remembered; the oldest goes first.
const KEPT: usize = 200;
/// The longest line of the console, in characters.
const MAX_WORDS: usize = 1_000;
/// The longest address, in characters.
const MAX_URL: usize = 500;

/// A line of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// `log`, `warning`, `error` and so on; `exception` for one that nobody caught.
    pub kind: String,
    /// Its words.
    pub text: String,
}

impl Said {
    /// Whether it tells of something that went wrong.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self.kind.as_str(), "error" | "assert" | "exception")
    }
}

/// Something that a page has fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The method of HTTP.
    pub method: String,
    /// The address; of a query only the names.
    pub url: String,
    /// `Document`, `Image`, `XHR` and so on.
    pub kind: String,
    /// The status of HTTP; none while nothing has come.
    pub status: Option<u16>,
    /// Why nothing came.
    pub failed: Option<String>,
    id: String,
}

/// What was heard of a tab.
#[derive(Default)]
pub(crate) struct Heard {
    listens: bool,
    said: VecDeque<Said>,
    fetched: VecDeque<Fetched>,
}

impl Heard {
    pub(crate) fn said(&mut self, called: ConsoleCalled) {
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
        let said = details.exception.and_then(|exception| exception.description);
        self.say("exception".to_owned(), &said.unwrap_or(details.text));
    }

    fn say(&mut self, kind: String, text: &str) {
        push(&mut self.said, Said { kind, text: text.chars().take(MAX_WORDS).collect() });
    }

    pub(crate) fn sent(&mut self, sent: RequestSent) {
        if !self.listens {
            return;
        }
        // One that is led elsewhere keeps its id, and is told once, by where it went.
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

    /// Forgets the words of a document that is gone.
    pub(crate) fn forget_words(&mut self) {
        self.said.clear();
    }

    pub(crate) fn forget(&mut self) {
        self.said.clear();
        self.fetched.clear();
    }
}

fn push<T>(list: &mut VecDeque<T>, one: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(one);
}

/// An address without what may be a secret in it: of a query the names, of one that holds its content nothing more.
fn bare(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return String::new() };
    if url.cannot_be_a_base() {
        return format!("{}:…", url.scheme());
    }
    // ok: an address of this kind takes all of it
    url.set_username("").ok();
    url.set_password(None).ok(); // ok: as before
    url.set_fragment(None);
    let names: Vec<String> = url.query_pairs().map(|(name, _)| format!("{name}=…")).collect();
    url.set_query(None);
    let query = if names.is_empty() { String::new() } else { format!("?{}", names.join("&")) };
    format!("{url}{query}").chars().take(MAX_URL).collect()
}

impl Page {
    /// What its page has said to the console, the oldest first.
    ///
    /// # Errors
    /// When a credential was typed into the page, or it is gone.
    pub async fn console(&self) -> Result<Vec<Said>, BrowserError> {
        self.listen().await?;
        self.with_tab(|tab| tab.heard.said.iter().cloned().collect())
    }

    /// What its pages have fetched since somebody asked first, the oldest first.
    ///
    /// # Errors
    /// When a credential was typed into the page, or it is gone.
    pub async fn fetched(&self) -> Result<Vec<Fetched>, BrowserError> {
        self.listen().await?;
        self.with_tab(|tab| tab.heard.fetched.iter().cloned().collect())
    }

    /// Listens from now on; the page tells then also what it has said before.
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
        // Nothing of what comes is kept for anybody.
        let hear = HearRequests { max_total_buffer_size: 0, max_resource_buffer_size: 0 };
        self.call(&hear, USUAL).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_values() {
        for (url, told) in [
            ("https://mira:word@a.test/x?token=abc&q=1#part", "https://a.test/x?token=…&q=…"),
            ("https://a.test/", "https://a.test/"),
            ("data:text/plain,zanzibar", "data:…"),
            ("nothing", ""),
        ] {
            assert_eq!(bare(url), told);
        }
    }

    #[test]
    fn as_much_is_kept_as_has_room() {
        let mut heard = Heard::default();
        for n in 0..=KEPT {
            heard.say("log".to_owned(), &n.to_string());
        }
        assert_eq!((heard.said.len(), heard.said[0].text.as_str()), (KEPT, "1"));
        heard.forget();
        assert!(heard.said.is_empty());
    }
}
