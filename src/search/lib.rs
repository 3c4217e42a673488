//! Full text: one tantivy index for each workspace, in a folder of its own.
//!
//! The index holds no record: it answers with the keys of what fits, best first, and whoever asked reads
//! the records. It can be made anew from them at any time, so an index that is damaged or has another
//! layout is thrown away. Nothing is opened before somebody asks; the writer (one thread, 15 MB) goes when
//! nothing is written any more.

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

/// What is known of a record: what it is found by, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// A number for its kind, below [`KINDS`].
    pub kind: u8,
    /// What it is named by; one that is put again takes the place of the former.
    pub key: String,
    /// Words that count most.
    pub title: String,
    /// A second line: a short name, a handle.
    pub subtitle: String,
    /// All other words.
    pub body: String,
    /// Labels and the like.
    pub tags: String,
    /// One word for how it stands.
    pub status: String,
    /// When it changed last, in seconds since 1970.
    pub at: i64,
    /// Whether it is out of the way: it comes after the others.
    pub archived: bool,
    /// Names of the audiences that may see it; one is enough.
    pub seen_by: Vec<String>,
    /// The name of what it is a part of, if its audience is that of the whole.
    pub group: String,
    /// Its pieces, which are found for themselves and go with it; none when it has no such.
    pub parts: Option<Vec<Document>>,
}

impl Document {
    /// The bytes of its text, with that of its pieces.
    #[must_use]
    pub fn weight(&self) -> usize {
        let parts = self.parts.iter().flatten().map(|part| part.body.len()).sum::<usize>();
        self.body.len() + parts
    }
}

/// How many kinds there may be.
pub const KINDS: usize = 32;

/// What is done to the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This is how it is now.
    Put(Box<Document>),
    /// There is nothing of this key.
    Gone(String),
}

/// Whether words that are nearly right are taken for those that are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typos {
    /// When little fits as it is written.
    WhenFew,
    Never,
}

/// What is asked of the index.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The words.
    pub wanted: &'a Wanted,
    /// The audiences that the asker belongs to.
    pub audiences: &'a [String],
    /// Only these kinds are looked at; empty for all.
    pub kinds: &'a [u8],
    /// Only what stands so.
    pub status: Option<&'a str>,
    /// Only what is a part of one of these; empty for all.
    pub groups: &'a [String],
    /// Whether one of the words is enough, or one of those in quotation marks; else all of them must be there.
    pub any: bool,
    /// The most hits of each kind.
    pub most: usize,
    /// What counts as now, in seconds since 1970: what is young comes first.
    pub now: i64,
    /// Whether typos are forgiven.
    pub typos: Typos,
}

/// Something that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub kind: u8,
    pub key: String,
    /// How well it fits; more is better.
    pub score: f32,
    /// Whether an identifier that was asked for stands in it whole, such as `libssl.so.3`: it comes before what does not.
    pub named: bool,
}

/// What fits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The best of each kind, all together from the best.
    pub hits: Vec<Hit>,
    /// How many fit of each kind, where any do.
    pub counts: Vec<(u8, u64)>,
    /// Whether typos were forgiven.
    pub guessed: bool,
}

#[cfg(test)]
mod tests;
