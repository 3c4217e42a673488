//! Connectors: external content as pages with place, address and hash. A connector reports changes since a known state,
//! fetches single pages (also to verify that a missing page is gone), and may write.
//!
//! Connectors do not know stores or records. Manifests define their names, fields and permissions.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kernel::Clock;
use net::client::HttpClient;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

mod files;
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

/// Limit of a page, in characters.
pub const MOST_CHARS: usize = 500_000;
/// Limit of a file, in bytes.
pub const MOST_BYTES: usize = 50 * 1024 * 1024;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ConnectorError>> + Send + 'a>>;

/// Values of a source, by the keys of its manifest.
pub type Reads = std::collections::BTreeMap<String, String>;

/// SHA-256.
pub type Hash = [u8; 32];

#[must_use]
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Change detection data of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Information of a listing: size and time, or the time of the last change.
    pub listed: String,
    /// `ETag` header.
    pub etag: String,
    /// `Last-Modified` header.
    pub modified: String,
}

/// Known pages by place.
pub type Known = Arc<HashMap<String, Mark>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Markdown or plain text.
    Text(String),
    /// A file whose text is still to be extracted.
    File {
        bytes: Vec<u8>,
        /// Declared media type.
        media: String,
    },
}

/// A page in its present state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Identifies the page in its source; stable across changes.
    pub place: String,
    /// Address for people.
    pub address: String,
    /// File name.
    pub name: String,
    pub title: String,
    pub mark: Mark,
    /// Hash of the content.
    pub hash: Hash,
    pub content: Content,
    /// Only the beginning was read.
    pub cut: bool,
}

/// Result of fetching a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    Page(Box<Page>),
    /// The page exists but has no readable text, with the reason.
    Skipped(String),
    /// The source reports that the page does not exist.
    Gone,
}

/// A step of a delta.
#[derive(Debug)]
pub enum Step {
    /// A new or changed page.
    Page(Box<Page>),
    /// An unchanged page, by place.
    Same(String),
    /// A page without readable text: place and reason.
    Skipped(String, String),
    /// A page that could not be read: place and error.
    Failed(String, ConnectorError),
}

/// Result of a complete delta.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Over {
    /// Position for the next delta.
    pub cursor: String,
    /// The listing was complete: only then can unseen pages be gone.
    pub complete: bool,
    /// Notes for people, in sentences.
    pub notes: Vec<String>,
}

/// Changes of a source, page by page.
pub trait Delta: Send {
    /// The next step; `None` at the end.
    ///
    /// # Errors
    /// If the source cannot be read any further.
    fn next(&mut self) -> BoxFuture<'_, Option<Step>>;
    /// The result, after [`Delta::next`] has returned `None`.
    fn over(&self) -> Over;
}

/// Preview of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct About {
    pub name: String,
    /// Content of the source in a sentence.
    pub says: String,
}

/// A place to choose from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub place: String,
    pub title: String,
}

/// Access to an external source.
pub trait Connector: Send + Sync {
    /// Checks that the source is readable.
    fn validate(&self) -> BoxFuture<'_, About>;
    /// Places below `parent`, or top-level places.
    fn browse<'a>(&'a self, parent: Option<&'a str>) -> BoxFuture<'a, Vec<Listed>>;
    /// Changes since `cursor` and the known pages.
    fn delta<'a>(&'a self, cursor: &str, known: Known) -> Box<dyn Delta + 'a>;
    /// Fetches a page, changed or not.
    fn fetch<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Fetched>;
    /// Writes a page if the present content has the hash `base`; `None` expects no content. Succeeds if the content is
    /// already the same.
    fn write<'a>(
        &'a self,
        _place: &'a str,
        _text: &'a str,
        _base: Option<Hash>,
    ) -> BoxFuture<'a, Box<Page>> {
        Box::pin(async { Err(ConnectorError::Refused("This source is read-only.".to_owned())) })
    }
}

/// An error as one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// Authentication is required or failed.
    #[error("{0}")]
    Denied(String),
    /// Overloaded; retry later.
    #[error("{why}")]
    Busy {
        why: String,
        /// `Retry-After` of the server.
        after: Option<Duration>,
    },
    /// The request is not possible.
    #[error("{0}")]
    Refused(String),
    /// A failure that may be temporary.
    #[error("{0}")]
    Failed(String),
    /// The present content differs from the expected one.
    #[error("{0}")]
    Conflict(String),
}

/// Services and limits that connectors use.
#[derive(Clone)]
pub struct ConnectorContext {
    pub http: HttpClient,
    pub clock: Arc<dyn Clock>,
    /// Folder sources must be below one of these.
    pub roots: Vec<PathBuf>,
    /// Rate limiter of the source.
    pub pace: Arc<Pace>,
}

/// Creates the connector of a manifest with these values.
///
/// # Errors
/// If a value is missing or invalid.
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

/// A trimmed value; empty if it is missing.
fn value<'r>(reads: &'r Reads, key: &str) -> &'r str {
    reads.get(key).map(|value| value.trim()).unwrap_or_default()
}

/// The level 1 heading at the start of a Markdown text, if there is one.
fn heading(text: &str) -> Option<String> {
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    let words = first.strip_prefix("# ")?.trim().trim_end_matches('#').trim();
    Some(words.to_owned()).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests;
