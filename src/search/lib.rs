//! Full-text search: one tantivy index per workspace, in a folder of its own.
//!
//! The index contains no records. It returns keys in order of relevance, and the caller reads the records. It can be
//! rebuilt from them at any time, so a damaged or outdated index is discarded. Files are opened on first use. The
//! writer (one thread, 15 MB) is closed when idle.

mod gather;
mod index;
mod layout;
mod names;
mod query;
mod stems;
mod wanted;
mod words;

pub use index::{Search, SearchError};
pub use wanted::Wanted;

/// Indexed content of a record, and its audiences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Number of its kind, below [`KINDS`].
    pub kind: u8,
    /// Unique key; a document with an existing key replaces the former one.
    pub key: String,
    /// Words with the highest weight.
    pub title: String,
    /// Short name or handle.
    pub subtitle: String,
    pub body: String,
    /// Labels and similar words.
    pub tags: String,
    /// Status as one word.
    pub status: String,
    /// Last change, in seconds since 1970.
    pub at: i64,
    /// Ranked after the others.
    pub archived: bool,
    /// Audiences that may see the document; one match is enough.
    pub seen_by: Vec<String>,
    /// Name of the whole that it is part of, if it shares the audience of the whole.
    pub group: String,
    /// Parts, which are searchable separately and are deleted with the document.
    pub parts: Option<Vec<Document>>,
}

impl Document {
    /// Bytes of its text and the text of its parts.
    #[must_use]
    pub fn weight(&self) -> usize {
        let parts = self.parts.iter().flatten().map(|part| part.body.len()).sum::<usize>();
        self.body.len() + parts
    }
}

/// Number of possible kinds.
pub const KINDS: usize = 32;

/// A change of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds or replaces the document.
    Put(Box<Document>),
    /// Deletes the document with this key.
    Gone(String),
}

/// Typo tolerance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typos {
    /// Only if there are few exact hits.
    WhenFew,
    Never,
}

/// A search request.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    pub wanted: &'a Wanted,
    /// Audiences of the requester.
    pub audiences: &'a [String],
    /// Restricts the kinds; empty for all.
    pub kinds: &'a [u8],
    /// Restricts the status.
    pub status: Option<&'a str>,
    /// Restricts the groups; empty for all.
    pub groups: &'a [String],
    /// One matching word (or one phrase, if there are any) is enough; otherwise all must match.
    pub any: bool,
    /// Limit of hits per kind.
    pub most: usize,
    /// Present time in seconds since 1970, for the recency bonus.
    pub now: i64,
    pub typos: Typos,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub kind: u8,
    pub key: String,
    /// Higher is better.
    pub score: f32,
    /// Contains a searched identifier such as `libssl.so.3` as a whole; such hits come first.
    pub named: bool,
}

/// Result of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The best hits of each kind, in one list with the best first.
    pub hits: Vec<Hit>,
    /// Number of hits per kind, for kinds with hits.
    pub counts: Vec<(u8, u64)>,
    /// Typo tolerance was used.
    pub guessed: bool,
}

#[cfg(test)]
mod tests;
