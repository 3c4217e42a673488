//! Connectors: what lies elsewhere, as pages with a name, an address and a hash. A connector says what has changed since
//! a known state, fetches single pages, looks for one directly before it counts as gone, and may write.
//!
//! Knows nothing of stores and of HQ's records. What a connector is called, asks for and may do stands in its manifest.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kernel::Clock;
use net::client::HttpClient;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

mod folder;
mod manifest;
mod pace;
mod web;

pub use folder::is_below;
pub use manifest::{
    Auth, AuthField, Capability, Catalog, Choice, Engine, Field, Input, Manifest, RateLimit,
};
pub use pace::Pace;
pub use web::{feed, links, robots, sitemap};

/// The most characters of a page.
pub const MOST_CHARS: usize = 500_000;
/// The most bytes of a file.
pub const MOST_BYTES: usize = 50 * 1024 * 1024;

/// The answer of a connector, later.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ConnectorError>> + Send + 'a>>;

/// The values of a source by the keys of its manifest.
pub type Reads = std::collections::BTreeMap<String, String>;

/// The SHA-256 of a page.
pub type Hash = [u8; 32];

/// The hash of these bytes.
#[must_use]
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// How a page is known again without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// What a list says of it: its size and time, or when it last changed.
    pub listed: String,
    /// Its `ETag`.
    pub etag: String,
    /// Its `Last-Modified`.
    pub modified: String,
}

/// The pages that are known, by their place.
pub type Known = Arc<HashMap<String, Mark>>;

/// What a page holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Markdown or plain text.
    Text(String),
    /// A file whose words are still to be read.
    File {
        bytes: Vec<u8>,
        /// What it is said to be.
        media: String,
    },
}

/// A page as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where it lies in its source; it stays the same when the page changes.
    pub place: String,
    /// What people open.
    pub address: String,
    /// Its name as a file.
    pub name: String,
    pub title: String,
    /// How it is known again.
    pub mark: Mark,
    /// The hash of its content, as it lies there.
    pub hash: Hash,
    pub content: Content,
    /// Whether only its beginning was taken.
    pub cut: bool,
}

/// A page that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It is there.
    Page(Box<Page>),
    /// It is there and has no words.
    Skipped(String),
    /// It says itself that it is gone.
    Gone,
}

/// A step through what has changed.
#[derive(Debug)]
pub enum Step {
    /// A page that is new or has changed.
    Page(Box<Page>),
    /// The page of this place has not changed.
    Same(String),
    /// The page of this place has no words: why.
    Skipped(String, String),
    /// The page of this place could not be read.
    Failed(String, ConnectorError),
}

/// The end of a delta.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Over {
    /// Where the next one goes on.
    pub cursor: String,
    /// Whether all that is there was seen: only then may what was not seen be gone.
    pub complete: bool,
    /// What people should know, in sentences.
    pub notes: Vec<String>,
}

/// What has changed, page by page.
pub trait Delta: Send {
    /// The next step; none at the end.
    ///
    /// # Errors
    /// When the source as a whole cannot be read on.
    fn next(&mut self) -> BoxFuture<'_, Option<Step>>;
    /// The end, once [`Delta::next`] has given none.
    fn over(&self) -> Over;
}

/// What a source is, at a first look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct About {
    pub name: String,
    /// What is there, in a sentence.
    pub says: String,
}

/// A place to choose from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Where it lies.
    pub place: String,
    pub title: String,
}

/// A way to what lies elsewhere.
pub trait Connector: Send + Sync {
    /// Looks whether the source can be read at all.
    fn validate(&self) -> BoxFuture<'_, About>;
    /// The places below this one, or those at the top.
    fn browse<'a>(&'a self, parent: Option<&'a str>) -> BoxFuture<'a, Vec<Listed>>;
    /// What has changed since these were known.
    fn delta<'a>(&'a self, cursor: &str, known: Known) -> Box<dyn Delta + 'a>;
    /// A page, whether it has changed or not.
    fn fetch<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Fetched>;
    /// Writes a page, if what lies there has this hash; none means that nothing lies there. A page that says this
    /// already is written.
    fn write<'a>(
        &'a self,
        _place: &'a str,
        _text: &'a str,
        _base: Option<Hash>,
    ) -> BoxFuture<'a, Box<Page>> {
        Box::pin(async { Err(ConnectorError::Refused("This source is only read.".to_owned())) })
    }
}

/// Why something could not be done, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// It wants to know who asks, or does not let them in.
    #[error("{0}")]
    Denied(String),
    /// It answers later, after the pause that it asks for.
    #[error("{why}")]
    Busy {
        why: String,
        /// How long it asks to wait.
        after: Option<Duration>,
    },
    /// It cannot be done as it was asked.
    #[error("{0}")]
    Refused(String),
    /// It has failed and may go well another time.
    #[error("{0}")]
    Failed(String),
    /// Something else lies there than the one who writes has read.
    #[error("{0}")]
    Conflict(String),
}

/// What connectors work with.
#[derive(Clone)]
pub struct ConnectorContext {
    /// Makes requests.
    pub http: HttpClient,
    pub clock: Arc<dyn Clock>,
    /// The folders below which folders may be read.
    pub roots: Vec<PathBuf>,
    /// How often a source is asked.
    pub pace: Arc<Pace>,
}

/// The connector of a manifest for these values.
///
/// # Errors
/// When a value is missing or wrong.
pub fn open(
    manifest: &Manifest,
    reads: &Reads,
    means: ConnectorContext,
) -> Result<Box<dyn Connector>, ConnectorError> {
    manifest.check(reads)?;
    match manifest.engine {
        Engine::Folder => Ok(Box::new(folder::Folder::new(means.roots, reads)?)),
        Engine::Web => Ok(Box::new(web::Web::new(manifest, reads, means)?)),
    }
}

/// A value, without what stands around it.
fn value<'r>(reads: &'r Reads, key: &str) -> &'r str {
    reads.get(key).map(|value| value.trim()).unwrap_or_default()
}

/// The first heading of a text in Markdown, if it begins with one.
fn heading(text: &str) -> Option<String> {
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    let words = first.strip_prefix("# ")?.trim().trim_end_matches('#').trim();
    Some(words.to_owned()).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests;
