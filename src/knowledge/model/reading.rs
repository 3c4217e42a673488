//! The text extracted from an item's file. Derived data: extracted again after a loss.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{
    BlobId, BlobRefs, Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec,
};

use super::{Item, KnowledgeId, Text};

/// Extracted texts.
pub const READINGS: Table = Table::new(339, "knowledge_readings");
/// Files that are still to be read.
pub const READING_WAITS: Index = Index::multi(340, "knowledge_readings_waiting");

/// Media type of a text whose encoding could not be determined.
pub const LETTERS: &str = "text/plain";

/// Progress of extraction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadingState {
    /// Waiting or in progress.
    Waiting,
    Done,
    /// The file contains no text, such as a picture.
    NoText,
    /// Failed, with the reason in a sentence.
    Failed(String),
    /// Partly extracted, with the reason in a sentence.
    Partly(String),
}

/// The result of extraction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub item: KnowledgeId,
    pub state: ReadingState,
    /// Markdown; form feeds separate pages.
    pub text: Text,
    /// Number of pages, if the file has pages.
    pub pages: Option<u32>,
    /// Whether only the beginning was extracted.
    pub cut: bool,
    /// Number of attempts that did not finish.
    pub tries: u8,
    /// Time of the last change.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Media type of the content, with the encoding of a text: `text/plain; charset=koi8-u`. Empty if unknown.
    pub media: String,
    /// The encoding that was selected for the extraction; if the item now has another one, the file is read again.
    pub chosen: Option<String>,
}

/// The layout before `chosen`.
#[derive(Deserialize)]
struct ReadingV2 {
    item: KnowledgeId,
    state: ReadingState,
    text: Text,
    pages: Option<u32>,
    cut: bool,
    tries: u8,
    #[serde(with = "millisecond::required")]
    at: Timestamp,
    media: String,
}

impl From<ReadingV2> for Reading {
    fn from(old: ReadingV2) -> Self {
        Self {
            state: old.state,
            text: old.text,
            pages: old.pages,
            cut: old.cut,
            tries: old.tries,
            media: old.media,
            ..Self::new(old.item, old.at)
        }
    }
}

/// The first layout.
#[derive(Deserialize)]
struct ReadingV1 {
    item: KnowledgeId,
    state: ReadingState,
    text: Text,
    pages: Option<u32>,
    cut: bool,
    tries: u8,
    #[serde(with = "millisecond::required")]
    at: Timestamp,
}

impl From<ReadingV1> for Reading {
    fn from(old: ReadingV1) -> Self {
        Self {
            state: old.state,
            text: old.text,
            pages: old.pages,
            cut: old.cut,
            tries: old.tries,
            ..Self::new(old.item, old.at)
        }
    }
}

impl Reading {
    /// The media type, and the encoding label of a text.
    #[must_use]
    pub fn media(&self) -> (&str, Option<&str>) {
        match self.media.split_once("; charset=") {
            Some((media, encoding)) => (media, Some(encoding)),
            None => (&self.media, None),
        }
    }

    /// Whether the file may be a text with a selectable encoding: it was read as one, its encoding is undetermined, or
    /// it was not read yet.
    #[must_use]
    pub fn may_be_text(&self) -> bool {
        let (media, encoding) = self.media();
        encoding.is_some()
            || media == LETTERS
            || self.state == ReadingState::Waiting && media.is_empty()
    }

    /// A reading that has not started.
    #[must_use]
    pub fn new(item: KnowledgeId, at: Timestamp) -> Self {
        Self {
            item,
            state: ReadingState::Waiting,
            text: Text::Inline(String::new()),
            pages: None,
            cut: false,
            tries: 0,
            at,
            media: String::new(),
            chosen: None,
        }
    }
}

impl Record for Reading {
    type Id = KnowledgeId;
    const TABLE: Table = READINGS;
    const CLASS: Class = Class::Remade;
    const VERSION: u8 = 3;
    const INDEXES: &'static [Index] = &[READING_WAITS];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|reading, blobs| {
        if let Text::Blob(blob, _) = reading.text {
            blobs.one(blob);
        }
    });
    fn id(&self) -> KnowledgeId {
        self.item
    }
    fn index(&self, keys: &mut Keys) {
        if self.state == ReadingState::Waiting {
            keys.entry(READING_WAITS);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Item>(1, Some(self.item), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Item>(self.item)
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<ReadingV1>(body).map(Self::from),
            2 => codec::decode::<ReadingV2>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: READINGS.name, version }),
        }
    }
    fn sample() -> Self {
        Self {
            item: KnowledgeId::from_bytes([72; 16]),
            state: ReadingState::Failed("It is protected by a password.".into()),
            text: Text::Blob(BlobId::of(b"read"), 50_000),
            pages: Some(3),
            cut: true,
            tries: 1,
            at: kernel::time::from_ms(1_700_000_000_000),
            media: "text/csv".into(),
            chosen: Some("koi8-r".into()),
        }
    }
}
