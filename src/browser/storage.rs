//! What pages keep in a browser: cookies and the two storages, told by their names. No value leaves it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::BrowserError;
use crate::launch::Browser;
use crate::page::Page;
use crate::protocol::{AllCookies, ClearCookies, DropCookie, NewCookie, PutCookies};
use crate::transport::USUAL;

/// So many names are told.
const MOST: usize = 500;
/// The longest name, in characters.
const MAX_NAME: usize = 200;

/// A cookie without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    /// The host that gets it; with a point in front also all below that.
    pub host: String,
    /// The path below which it goes along.
    pub path: String,
    /// Whether it goes over https alone.
    pub is_secure: bool,
    /// Whether scripts of pages do not see it.
    pub is_http_only: bool,
    /// Whether it stays when the browser ends.
    pub is_lasting: bool,
}

/// One of the storages of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// The one that stays.
    Local,
    /// The one that goes with its tab.
    Session,
}

/// Something in a storage, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Item {
    pub name: String,
    /// The length of its value, in characters.
    pub length: usize,
}

/// What is done with a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A name gets this value.
    Put(&'a str, &'a str),
    /// A name goes.
    Drop(&'a str),
    /// All go.
    Clear,
}

impl Browser {
    /// The cookies of all sites.
    ///
    /// # Errors
    /// When the browser does not answer.
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
    /// When the browser takes no such cookie.
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
                Err(BrowserError::Wrong(format!("the browser takes no such cookie: {message}")))
            }
            done => done.map(drop),
        }
    }

    /// Forgets all cookies.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn clear_cookies(&self) -> Result<(), BrowserError> {
        let running = self.running().await?;
        running.link.call(None, &ClearCookies {}, USUAL).await.map(drop)
    }
}

impl Page {
    /// Forgets the cookies of this name at a host.
    ///
    /// # Errors
    /// When the page does not answer.
    pub async fn drop_cookie(
        &self,
        name: &str,
        host: &str,
        path: &str,
    ) -> Result<(), BrowserError> {
        self.call(&DropCookie { name, domain: host, path }, USUAL).await.map(drop)
    }

    /// What lies in a storage of its page.
    ///
    /// # Errors
    /// When the page has none, or does not answer.
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

    /// Changes a storage of its page.
    ///
    /// # Errors
    /// When the page has none, there is no room, or it does not answer.
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

/// A page without an address has no storage.
fn none(answer: Result<Value, BrowserError>) -> Result<Value, BrowserError> {
    match answer {
        Err(BrowserError::Script(why)) => {
            Err(BrowserError::Wrong(format!("the storage of this page cannot be used: {why}")))
        }
        answer => answer,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_NAME).collect()
}
