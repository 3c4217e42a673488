//! Imports: a file that becomes contacts, organizations or records, row by row, with a cursor that survives a crash.

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
/// Index of running imports.
pub const IMPORTS_RUNNING: Index = Index::multi(321, "imports_running");
/// Maximum number of stored problems per import.
pub const MAX_PROBLEMS: usize = 500;
/// Maximum number of stored records and fields that stayed after an undo.
pub const MAX_STAYED: usize = 500;

/// The mapping of a file's column. Stored by position: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goes {
    Nowhere,
    /// To the field with this key.
    Field(String),
    /// To a new field of this kind with the name of the column.
    New(Kind),
    /// To the field with this key, which identifies existing records of a collection.
    Key(String),
    /// Record ids, as in exports of HQ.
    Id,
}

impl Goes {
    /// The key of the existing field.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Field(key) | Self::Key(key) => Some(key),
            Self::Nowhere | Self::New(_) | Self::Id => None,
        }
    }
}

/// The treatment of a word that is no choice of its field. Stored by position: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Becomes {
    /// The cell stays empty.
    Nothing,
    /// The word is added to the field as a choice.
    Added,
    /// The choice with this key.
    Choice(String),
}

kernel::words! {
    /// How the order of day and month in the dates of a column was found. Stored by position: only ever appended.
    DateBasis {
        /// Some of the dates read in no other order.
        Proven = "proven", "detected from the dates";
        /// All of them read either way.
        Assumed = "assumed", "assumed";
        /// Some read in one order alone, some in the other: most decide.
        Mixed = "mixed", "detected from most dates";
        /// Somebody chose it.
        Chosen = "chosen", "chosen";
    }
}

/// The order of day and month in the dates of a column, such as 3/4/2026.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DateOrder {
    /// Whether the month comes first.
    pub month_first: bool,
    /// How the order was determined.
    pub basis: DateBasis,
}

impl DateOrder {
    /// An order chosen by a person.
    #[must_use]
    pub fn chosen(month_first: bool) -> Self {
        Self { month_first, basis: DateBasis::Chosen }
    }

    /// The value in the API.
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
    /// Its mapping.
    pub goes: Goes,
    /// Chosen treatment of words that are no choices. The setting of the import applies to all others.
    pub words: Vec<(String, Becomes)>,
    /// The order of day and month; `None` if the column has no ambiguous dates.
    pub dates: Option<DateOrder>,
}

impl Mapped {
    /// A column without chosen treatments of words.
    #[must_use]
    pub fn new(header: impl Into<String>, goes: Goes) -> Self {
        Self { header: header.into(), goes, words: Vec::new(), dates: None }
    }

    /// The chosen treatment of a word.
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
        Skip = "skip", "Skip them";
        /// It fills what is empty.
        Fill = "fill", "Fill empty fields only";
        /// What it says takes the place of what is here.
        Overwrite = "overwrite", "Overwrite with file values";
        /// It becomes another record.
        New = "new", "Add as new records";
    }
}

/// State of an import. Stored by position: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportState {
    /// Waiting for review of the columns.
    Draft,
    /// Rows are being imported.
    Running,
    /// All rows were processed.
    Done,
    /// Cancelled by a person; imported rows stay.
    Cancelled,
    /// Being undone or redone.
    Undoing,
    Undone,
    /// Failed, with the reason.
    Failed(String),
}

impl ImportState {
    /// The state in the API. `entries` distinguish undo from redo.
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

/// A problem of a row or of one of its cells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowProblem {
    /// Number of the row in the file.
    pub row: u32,
    /// Heading of the column; empty for the row as a whole.
    pub column: String,
    /// The problem as a sentence.
    pub says: String,
}

/// A record or field that stayed unchanged when an import was undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stayed {
    pub record: Target,
    /// Label of the field; empty for the record as a whole.
    pub field: String,
    /// Why it stays, as a sentence.
    pub says: String,
}

/// Number of rows by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// New records.
    pub made: u32,
    /// Changed records.
    pub changed: u32,
    /// Rows left out because their record exists, or has their values already.
    pub skipped: u32,
    /// Invalid rows.
    pub wrong: u32,
    /// Cells left out of imported rows.
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
    /// What the rows become.
    pub home: Home,
    /// Name of the file; empty for pasted text.
    pub name: String,
    pub file: BlobId,
    /// The sheet of a workbook, from 1; 0 to let HQ choose.
    pub sheet: u32,
    /// The row with the headings; detected if `None`.
    pub header_row: Option<u32>,
    pub columns: Vec<Mapped>,
    /// How to treat a row whose record exists.
    pub clash: Clash,
    /// Whether numbers have a decimal comma.
    pub decimal_comma: bool,
    /// Whether the month comes first in dates such as 3/4/2026, for columns without their own order.
    pub month_first: bool,
    /// Whether missing choices are added to their fields. Stages are only added where a person chose so.
    pub add_choices: bool,
    pub state: ImportState,
    /// Number of rows in the file.
    pub rows: u32,
    /// Number of processed rows.
    pub next: u32,
    /// Results of the processed rows.
    pub counts: Counts,
    /// Problems, at most [`MAX_PROBLEMS`].
    pub problems: Vec<RowProblem>,
    /// The feed entries that created fields and imported rows; after an undo, its entries; during either, both, as
    /// described in [`super::back`].
    pub entries: Vec<u64>,
    /// Number of records that stayed after an undo, because others have changed them.
    pub kept: u32,
    /// Who imports.
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Time of the latest progress.
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Number of single fields that stayed after an undo.
    pub kept_fields: u32,
    /// What stayed after an undo, at most [`MAX_STAYED`].
    pub stayed: Vec<Stayed>,
    /// Label of the text encoding; detected if `None`. Workbooks have none.
    pub encoding: Option<String>,
}

impl Import {
    /// Whether the month comes first in the dates of a column.
    #[must_use]
    pub fn month_first(&self, mapped: &Mapped) -> bool {
        mapped.dates.map_or(self.month_first, |order| order.month_first)
    }

    /// Whether rows identify records by id, as exports of HQ do. Texts are then taken literally.
    #[must_use]
    pub fn has_ids(&self) -> bool {
        self.columns.iter().any(|mapped| mapped.goes == Goes::Id)
    }
}

/// A column in layout 2.
#[derive(Deserialize)]
struct MappedV2 {
    header: String,
    goes: Goes,
    words: Vec<(String, Becomes)>,
}

/// Layout 2.
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

/// A column in layout 1.
#[derive(Deserialize)]
struct MappedV1 {
    header: String,
    goes: Goes,
}

/// The counts in layout 1.
#[derive(Deserialize)]
struct CountsV1 {
    made: u32,
    changed: u32,
    skipped: u32,
    wrong: u32,
}

/// Layout 1.
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
    // An undo of the rows must not revert their accounting.
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
