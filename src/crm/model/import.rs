//! Imports: a file that becomes contacts, organizations or records, row by row, with a cursor that survives a kill.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, ImportId, Part, Timestamp, TypedId as _};
use noun::Kind;
use serde::{Deserialize, Serialize};
use store::{BlobId, BlobRefs, Class, Index, Keys, OnDelete, Record, Refs, Table};

use super::{Collection, Home};

/// Imports.
pub const IMPORTS: Table = Table::new(320, "imports");
/// Imports whose rows are coming in.
pub const IMPORTS_RUNNING: Index = Index::multi(321, "imports_running");
/// The most problems that an import keeps.
pub const MAX_PROBLEMS: usize = 500;

/// Where the values of a column of the file go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goes {
    /// Nowhere.
    Nowhere,
    /// Into the field with this key.
    Field(String),
    /// Into a new field of this kind, called as the column is.
    New(Kind),
}

/// A column of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    /// Its heading.
    pub header: String,
    /// Where its values go.
    pub goes: Goes,
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
    /// It is being taken back.
    Undoing,
    /// It was taken back.
    Undone,
    /// It could not go on, and why.
    Failed(String),
}

impl ImportState {
    /// The word on the wire.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
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
}

/// An import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Its id.
    pub id: ImportId,
    /// What its rows become.
    pub home: Home,
    /// The name of the file; empty when it was pasted.
    pub name: String,
    /// The file.
    pub file: BlobId,
    /// Which sheet of a workbook, from 0.
    pub sheet: u32,
    /// The row with the headings; found by HQ when nobody chose it.
    pub header_row: Option<u32>,
    /// Its columns.
    pub columns: Vec<Mapped>,
    /// What becomes of a row whose record is here already.
    pub clash: Clash,
    /// Whether a comma stands before the fraction of a number.
    pub decimal_comma: bool,
    /// Whether the month comes before the day in dates such as 3/4/2026.
    pub month_first: bool,
    /// Whether choices that are not there are added to their fields.
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
    /// The entries of the feed in which rows came in, but for those that were taken back.
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
}

impl Record for Import {
    type Id = ImportId;
    const TABLE: Table = IMPORTS;
    // An undo of the rows must not take the account of them back.
    const CLASS: Class = Class::Sealed;
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
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        let columns = vec![
            Mapped { header: "Name".into(), goes: Goes::Field("name".into()) },
            Mapped { header: "Bikes".into(), goes: Goes::New(Kind::Number) },
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
        }
    }
}
