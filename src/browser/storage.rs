//! Cookies and web storage of pages, listed by name. No value leaves the browser.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::BrowserError;
use crate::launch::Browser;
use crate::page::Page;
use crate::protocol::{AllCookies, ClearCookies, DropCookie, NewCookie, PutCookies};
use crate::transport::USUAL;

/// Maximum number of listed names.
const MOST: usize = 500;
/// Maximum characters of a name.
const MAX_NAME: usize = 200;

/// A cookie without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    /// The receiving host; with a leading dot also its subdomains.
    pub host: String,
    pub path: String,
    /// Sent over https only.
    pub is_secure: bool,
    /// Invisible to scripts of pages.
    pub is_http_only: bool,
    /// Persists when the browser ends.
    pub is_lasting: bool,
}

/// The kinds of web storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `localStorage`.
    Local,
    /// `sessionStorage`.
    Session,
}

/// An entry of a storage without its value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Item {
    pub name: String,
    /// Length of the value in characters.
    pub length: usize,
}

/// A change of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Sets the value of a name.
    Put(&'a str, &'a str),
    /// Removes a name.
    Drop(&'a str),
    /// Removes all names.
    Clear,
}

impl Browser {
    /// The cookies of all sites.
    pub async fn cookies(&self) -> Result<Vec<Cookie>, BrowserError> {
        let running = self.running().await?;
        let all = running.link.call(None, &AllCookies {}, USUAL).await?.cookies;
        let cookie = |one: crate::protocol::CookieInfo| Cookie {
            name: cut(&one.name),
            host: cut(&one.domain),
            path: cut(&one.path),
            is_secure: one.secure,
            is_http_only: one.http_only,
            is_lasting: 0.0 < one.expires,
        };
        Ok(all.into_iter().take(MOST).map(cookie).collect())
    }

    /// Writes a cookie.
    ///
    /// # Errors
    /// When the browser rejects the cookie.
    pub async fn put_cookie(&self, cookie: &Cookie, value: &str) -> Result<(), BrowserError> {
        let running = self.running().await?;
        let new = NewCookie {
            name: &cookie.name,
            value,
            domain: &cookie.host,
            path: &cookie.path,
            secure: cookie.is_secure,
            http_only: cookie.is_http_only,
        };
        let put = PutCookies { cookies: [new] };
        match running.link.call(None, &put, USUAL).await {
            Err(BrowserError::Refused { message, .. }) => {
                Err(BrowserError::Wrong(format!("the browser refused this cookie: {message}")))
            }
            done => done.map(drop),
        }
    }

    /// Deletes all cookies.
    pub async fn clear_cookies(&self) -> Result<(), BrowserError> {
        let running = self.running().await?;
        running.link.call(None, &ClearCookies {}, USUAL).await.map(drop)
    }
}

impl Page {
    /// Deletes the cookies of this name at a host.
    pub async fn drop_cookie(
        &self,
        name: &str,
        host: &str,
        path: &str,
    ) -> Result<(), BrowserError> {
        self.call(&DropCookie { name, domain: host, path }, USUAL).await.map(drop)
    }

    /// The entries of a storage of the page.
    ///
    /// # Errors
    /// When the page has no storage.
    pub async fn stored(&self, storage: Storage) -> Result<Vec<Item>, BrowserError> {
        let script = format!(
            "(() => {{ const all = {}; return Object.keys(all).slice(0, {MOST}).map((name) => (
            {{ name: name.slice(0, {MAX_NAME}), length: all.getItem(name)?.length ?? 0 }})) }})()",
            storage.word()
        );
        let answer = none(self.evaluate_own(&script).await)?;
        serde_json::from_value(answer)
            .map_err(|source| BrowserError::Unclear { method: "Runtime.evaluate", source })
    }

    /// Changes a storage of the page.
    ///
    /// # Errors
    /// When the page has no storage, or the storage is full.
    pub async fn store(&self, storage: Storage, change: Change<'_>) -> Result<(), BrowserError> {
        let (of, text) = (storage.word(), |text: &str| json!(text).to_string());
        let script = match change {
            Change::Put(name, value) => format!("{of}.setItem({}, {})", text(name), text(value)),
            Change::Drop(name) => format!("{of}.removeItem({})", text(name)),
            Change::Clear => format!("{of}.clear()"),
        };
        none(self.evaluate_own(&script).await).map(drop)
    }
}

impl Storage {
    fn word(self) -> &'static str {
        match self {
            Self::Local => "localStorage",
            Self::Session => "sessionStorage",
        }
    }
}

/// Converts the error of a page without storage.
fn none(answer: Result<Value, BrowserError>) -> Result<Value, BrowserError> {
    match answer {
        Err(BrowserError::Script(why)) => {
            Err(BrowserError::Wrong(format!("this page's storage can't be used: {why}")))
        }
        answer => answer,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_NAME).collect()
}
