//! Imports: a file that becomes contacts, organizations or records, row by row, with a cursor that survives a kill.

use entity::{Kind, Target};
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, ImportId, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{
    BlobId, BlobRefs, Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Table, codec,
};

use super::back::{self, Turn};
use super::{Collection, Home};

pub const IMPORTS: Table = Table::new(320, "imports");
/// Imports whose rows are coming in.
pub const IMPORTS_RUNNING: Index = Index::multi(321, "imports_running");
/// The most problems that an import keeps.
pub const MAX_PROBLEMS: usize = 500;
/// The most that an import keeps of what stayed when it was taken back.
pub const MAX_STAYED: usize = 500;

/// Where the values of a column of the file go. Stored by position: only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goes {
    Nowhere,
    /// Into the field with this key.
    Field(String),
    /// Into a new field of this kind, called as the column is.
    New(Kind),
    /// Into the field with this key, by which a row finds its record in a collection.
    Key(String),
    /// They are the ids of the records that rows mean, as exports of HQ have them.
    Id,
}

impl Goes {
    /// The key of the field that is there already.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Field(key) | Self::Key(key) => Some(key),
            Self::Nowhere | Self::New(_) | Self::Id => None,
        }
    }
}

/// What becomes of a word of the file that is no choice of its field. Stored by position: only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Becomes {
    /// Nothing: the cell stays empty.
    Nothing,
    /// A choice of its own, which is added to the field.
    Added,
    /// The choice with this key.
    Choice(String),
}

kernel::words! {
    /// How the order of day and month in the dates of a column was found. Stored by position: only ever appended.
    DateBasis {
        /// Some of the dates read in no other order.
        Proven = "proven", "by the dates";
        /// All of them read either way.
        Assumed = "assumed", "assumed";
        /// Some read in one order alone, some in the other: most decide.
        Mixed = "mixed", "by most dates";
        /// Somebody chose it.
        Chosen = "chosen", "chosen";
    }
}

/// The order of day and month in the dates of a column, such as 3/4/2026.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DateOrder {
    /// Whether the month comes first.
    pub month_first: bool,
    /// How that was found.
    pub basis: DateBasis,
}

impl DateOrder {
    /// The order that somebody chose.
    #[must_use]
    pub fn chosen(month_first: bool) -> Self {
        Self { month_first, basis: DateBasis::Chosen }
    }

    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        if self.month_first { "month_first" } else { "day_first" }
    }
}

/// A column of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    /// Its heading.
    pub header: String,
    /// Where its values go.
    pub goes: Goes,
    /// What somebody chose for words that are no choices. What is not here is as the import says for all.
    pub words: Vec<(String, Becomes)>,
    /// The order of day and month in its dates; none when it has no such dates.
    pub dates: Option<DateOrder>,
}

impl Mapped {
    /// A column of the file, for whose words nobody has chosen anything.
    #[must_use]
    pub fn new(header: impl Into<String>, goes: Goes) -> Self {
        Self { header: header.into(), goes, words: Vec::new(), dates: None }
    }

    /// What somebody chose for a word.
    #[must_use]
    pub fn becomes(&self, word: &str) -> Option<&Becomes> {
        let chosen = self.words.iter().find(|(one, _)| one.eq_ignore_ascii_case(word));
        chosen.map(|(_, becomes)| becomes)
    }
}

kernel::words! {
    /// What becomes of a row whose record is here already.
    #[derive(Default)]
    Clash {
        /// It is left out.
        #[default]
        Skip = "skip", "Leave them as they are";
        /// It fills what is empty.
        Fill = "fill", "Fill only what is empty";
        /// What it says takes the place of what is here.
        Overwrite = "overwrite", "Take the values of the file";
        /// It becomes another record.
        New = "new", "Add them once more";
    }
}

/// How far an import is. Stored by position: only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportState {
    /// It waits for somebody to look at its columns.
    Draft,
    /// Its rows come in.
    Running,
    /// All rows were looked at.
    Done,
    /// Somebody stopped it; what came in stays.
    Cancelled,
    /// It is being taken back, or brought forth again.
    Undoing,
    /// It was taken back.
    Undone,
    /// It could not go on, and why.
    Failed(String),
}

impl ImportState {
    /// The word on the wire, of one with these entries: they say which way it goes.
    #[must_use]
    pub fn word(&self, entries: &[u64]) -> &'static str {
        match self {
            Self::Undoing if back::turn(entries) == Some(Turn::Forth) => "redoing",
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Failed(_) => "failed",
        }
    }
}

/// What is wrong with a row, or with one cell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowProblem {
    /// The row of the file.
    pub row: u32,
    /// The heading of the column; empty when it is the row as a whole.
    pub column: String,
    /// A sentence.
    pub says: String,
}

/// A record, or a field of one, that stayed as it is when an import was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stayed {
    pub record: Target,
    /// What people call the field; empty when it is the record as a whole.
    pub field: String,
    /// A sentence: who changed it, or why else it stays.
    pub says: String,
}

/// How many rows became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// New records.
    pub made: u32,
    /// Records that took values.
    pub changed: u32,
    /// Rows whose record is here already, as they say.
    pub skipped: u32,
    /// Rows that could not come in.
    pub wrong: u32,
    /// Cells that were left out of rows that came in.
    pub cells: u32,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.made += more.made;
        self.changed += more.changed;
        self.skipped += more.skipped;
        self.wrong += more.wrong;
        self.cells += more.cells;
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub id: ImportId,
    /// What its rows become.
    pub home: Home,
    /// The name of the file; empty when it was pasted.
    pub name: String,
    pub file: BlobId,
    /// Which sheet of a workbook, from 0.
    pub sheet: u32,
    /// The row with the headings; found by HQ when nobody chose it.
    pub header_row: Option<u32>,
    pub columns: Vec<Mapped>,
    /// What becomes of a row whose record is here already.
    pub clash: Clash,
    /// Whether a comma stands before the fraction of a number.
    pub decimal_comma: bool,
    /// Whether the month comes before the day in dates such as 3/4/2026, of columns that have no order of their own.
    pub month_first: bool,
    /// Whether choices that are not there are added to their fields. Stages are only added where somebody chose so.
    pub add_choices: bool,
    /// How far it is.
    pub state: ImportState,
    /// How many rows the file has.
    pub rows: u32,
    /// How many of them were looked at.
    pub next: u32,
    /// What they became.
    pub counts: Counts,
    /// What was wrong with them, at most [`MAX_PROBLEMS`].
    pub problems: Vec<RowProblem>,
    /// The entries of the feed in which fields were made and rows came in; when it was taken back those that did so, and
    /// on the way both, as [`super::back`] says.
    pub entries: Vec<u64>,
    /// Records that stayed when it was taken back, as others have changed them since.
    pub kept: u32,
    /// Who imports.
    pub by: Actor,
    /// When it was begun.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When it last went on.
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Single fields that stayed when it was taken back.
    pub kept_fields: u32,
    /// What stayed when it was taken back, at most [`MAX_STAYED`].
    pub stayed: Vec<Stayed>,
    /// The label of the encoding that the text is read by; found by HQ where there is none, and none of workbooks.
    pub encoding: Option<String>,
}

impl Import {
    /// Whether the month comes first in the dates of a column.
    #[must_use]
    pub fn month_first(&self, mapped: &Mapped) -> bool {
        mapped.dates.map_or(self.month_first, |order| order.month_first)
    }

    /// Whether its rows name their records by id, as exports of HQ do: their words are taken as they are.
    #[must_use]
    pub fn has_ids(&self) -> bool {
        self.columns.iter().any(|mapped| mapped.goes == Goes::Id)
    }
}

/// A column of the file in the second layout.
#[derive(Deserialize)]
struct MappedV2 {
    header: String,
    goes: Goes,
    words: Vec<(String, Becomes)>,
}

/// The second layout.
#[derive(Deserialize)]
struct ImportV2 {
    id: ImportId,
    home: Home,
    name: String,
    file: BlobId,
    sheet: u32,
    header_row: Option<u32>,
    columns: Vec<MappedV2>,
    clash: Clash,
    decimal_comma: bool,
    month_first: bool,
    add_choices: bool,
    state: ImportState,
    rows: u32,
    next: u32,
    counts: Counts,
    problems: Vec<RowProblem>,
    entries: Vec<u64>,
    kept: u32,
    by: Actor,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
    kept_fields: u32,
    stayed: Vec<Stayed>,
}

impl From<ImportV2> for Import {
    fn from(old: ImportV2) -> Self {
        let column =
            |one: MappedV2| Mapped { words: one.words, ..Mapped::new(one.header, one.goes) };
        Self {
            id: old.id,
            home: old.home,
            name: old.name,
            file: old.file,
            sheet: old.sheet,
            header_row: old.header_row,
            columns: old.columns.into_iter().map(column).collect(),
            clash: old.clash,
            decimal_comma: old.decimal_comma,
            month_first: old.month_first,
            add_choices: old.add_choices,
            state: old.state,
            rows: old.rows,
            next: old.next,
            counts: old.counts,
            problems: old.problems,
            entries: old.entries,
            kept: old.kept,
            by: old.by,
            created_at: old.created_at,
            updated_at: old.updated_at,
            kept_fields: old.kept_fields,
            stayed: old.stayed,
            encoding: None,
        }
    }
}

/// A column of the file in the first layout.
#[derive(Deserialize)]
struct MappedV1 {
    header: String,
    goes: Goes,
}

/// The counts of the first layout.
#[derive(Deserialize)]
struct CountsV1 {
    made: u32,
    changed: u32,
    skipped: u32,
    wrong: u32,
}

/// The first layout.
#[derive(Deserialize)]
struct ImportV1 {
    id: ImportId,
    home: Home,
    name: String,
    file: BlobId,
    sheet: u32,
    header_row: Option<u32>,
    columns: Vec<MappedV1>,
    clash: Clash,
    decimal_comma: bool,
    month_first: bool,
    add_choices: bool,
    state: ImportState,
    rows: u32,
    next: u32,
    counts: CountsV1,
    problems: Vec<RowProblem>,
    entries: Vec<u64>,
    kept: u32,
    by: Actor,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
}

impl From<ImportV1> for Import {
    fn from(old: ImportV1) -> Self {
        let CountsV1 { made, changed, skipped, wrong } = old.counts;
        let columns = old.columns.into_iter().map(|one| Mapped::new(one.header, one.goes));
        Self {
            id: old.id,
            home: old.home,
            name: old.name,
            file: old.file,
            sheet: old.sheet,
            header_row: old.header_row,
            columns: columns.collect(),
            clash: old.clash,
            decimal_comma: old.decimal_comma,
            month_first: old.month_first,
            add_choices: old.add_choices,
            state: old.state,
            rows: old.rows,
            next: old.next,
            counts: Counts { made, changed, skipped, wrong, cells: 0 },
            problems: old.problems,
            entries: old.entries,
            kept: old.kept,
            by: old.by,
            created_at: old.created_at,
            updated_at: old.updated_at,
            kept_fields: 0,
            stayed: Vec::new(),
            encoding: None,
        }
    }
}

impl Record for Import {
    type Id = ImportId;
    const TABLE: Table = IMPORTS;
    // An undo of the rows must not take the account of them back.
    const CLASS: Class = Class::Sealed;
    const VERSION: u8 = 3;
    const INDEXES: &'static [Index] = &[IMPORTS_RUNNING];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|import, refs| refs.one(import.file));
    fn id(&self) -> ImportId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.state == ImportState::Running {
            keys.entry(IMPORTS_RUNNING);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Collection>(1, self.home.collection(), OnDelete::Cascade);
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<ImportV1>(body).map(Self::from),
            2 => codec::decode::<ImportV2>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: IMPORTS.name, version }),
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        let columns = vec![
            Mapped::new("Name", Goes::Field("name".into())),
            Mapped {
                words: vec![("Warm".into(), Becomes::Choice("lead".into()))],
                ..Mapped::new("Stage", Goes::Field("stage".into()))
            },
            Mapped::new("Bikes", Goes::New(Kind::Number)),
            Mapped {
                dates: Some(DateOrder { month_first: true, basis: DateBasis::Proven }),
                ..Mapped::new("Since", Goes::New(Kind::Date))
            },
        ];
        Self {
            id: ImportId::from_bytes([65; 16]),
            home: Home::Contacts,
            name: "list.csv".into(),
            file: BlobId::of(b"Name,Bikes\nRosa,2\n"),
            sheet: 0,
            header_row: Some(1),
            columns,
            clash: Clash::Fill,
            decimal_comma: true,
            month_first: false,
            add_choices: true,
            state: ImportState::Running,
            rows: 1,
            next: 1,
            counts: Counts { made: 1, ..Counts::default() },
            problems: vec![RowProblem {
                row: 2,
                column: "Bikes".into(),
                says: "No number.".into(),
            }],
            entries: vec![7],
            kept: 0,
            by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
            kept_fields: 1,
            stayed: vec![Stayed {
                record: Target {
                    table: super::CONTACTS.number,
                    id: uuid::Uuid::from_bytes([66; 16]),
                },
                field: "Phone".into(),
                says: "Rosa changed it.".into(),
            }],
            encoding: Some("windows-1251".into()),
        }
    }
}
