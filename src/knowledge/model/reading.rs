//! What was read in the file of an item. It is made anew from the file when it is lost.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{
    BlobId, BlobRefs, Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec,
};

use super::{Item, KnowledgeId, Text};

/// What was read in files.
pub const READINGS: Table = Table::new(339, "knowledge_readings");
/// Those that are still to be read.
pub const READING_WAITS: Index = Index::multi(340, "knowledge_readings_waiting");

/// The media type of a text in no encoding that was tried.
pub const LETTERS: &str = "text/plain";

/// How far the reading of a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadingState {
    /// It is to be read, or is being read.
    Waiting,
    /// It was read.
    Done,
    /// It has no words, such as a picture.
    NoText,
    /// It could not be read: why, in a sentence.
    Failed(String),
    /// A part of it was read: why not all of it, in a sentence.
    Partly(String),
}

/// What was read in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub item: KnowledgeId,
    /// How far it is.
    pub state: ReadingState,
    /// The words, as Markdown; a form feed stands between two pages.
    pub text: Text,
    /// How many pages it has, where it has pages.
    pub pages: Option<u32>,
    /// Whether only its beginning was read.
    pub cut: bool,
    /// How often it was tried without an end.
    pub tries: u8,
    /// When that last changed.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// What all of its bytes say it is, and the encoding of a text: `text/plain; charset=koi8-u`. Empty where they say
    /// nothing.
    pub media: String,
    /// The encoding that was chosen when it was read: where the item has another one, it is read again.
    pub chosen: Option<String>,
}

/// The layout before the encoding could be chosen.
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
    /// The media type, and the label of the encoding of a text.
    #[must_use]
    pub fn media(&self) -> (&str, Option<&str>) {
        match self.media.split_once("; charset=") {
            Some((media, encoding)) => (media, Some(encoding)),
            None => (&self.media, None),
        }
    }

    /// Whether the file may be a text, which has an encoding that can be chosen: it was read as one, its letters are in
    /// no encoding that was tried, or nothing is known of it yet.
    #[must_use]
    pub fn may_be_text(&self) -> bool {
        let (media, encoding) = self.media();
        encoding.is_some()
            || media == LETTERS
            || self.state == ReadingState::Waiting && media.is_empty()
    }

    /// One that is still to begin.
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
