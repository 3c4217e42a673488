//! Imports: start, mapping, rows, cancellation, undo. The preview runs the same functions on a snapshot.

use std::sync::Arc;

use entity::{Column, Decimal, Kind};
use features::tasks::queries::people::{People, assignee_of};
use kernel::ImportId;
use kernel::text::one_line;
use serde_json::Value;
use store::{BlobId, ReadExt as _, WriteTx};

use super::cells::{Cells, Told};
use super::fates::{CellSeen, Fate, Met, RowSeen, cells_seen};
use super::fields::FieldPatch;
use super::keys::Keys;
use super::meets::{Meets, at_domain, domain_of, met};
use super::rows::{Sent, change, create};
use super::{dates, make_field, words};
use crate::columns::{self, ORGANIZATION, TAGS};
use crate::error::CrmError;
use crate::model::{
    Becomes, Clash, Counts, DateOrder, Goes, Home, Import, ImportState, MAX_PROBLEMS, Mapped, NAME,
    Row, RowKind, RowProblem, Stayed,
};
use crate::names::Known;

/// A received file with the guessed mapping of its columns.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// What its rows become.
    pub home: Home,
    /// Name of the file.
    pub name: String,
    pub file: BlobId,
    /// Mapping of its columns.
    pub columns: Vec<Mapped>,
    /// Number of rows.
    pub rows: usize,
    /// Whether its numbers have a decimal comma.
    pub decimal_comma: bool,
    /// Label of the text encoding.
    pub encoding: Option<String>,
}

/// How the file of an import is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRead {
    /// The sheet of a workbook, from 1; 0 to let HQ choose.
    pub sheet: u32,
    /// The row with the headings.
    pub header_row: Option<u32>,
    /// Label of the text encoding.
    pub encoding: Option<String>,
}

/// Changes of an import that has not started.
#[derive(Clone, Debug, Default)]
pub struct ImportPatch {
    /// Mapping of the columns, in their order.
    pub columns: Option<Vec<Mapped>>,
    /// How to treat a row whose record exists.
    pub clash: Option<Clash>,
    /// Whether numbers have a decimal comma.
    pub decimal_comma: Option<bool>,
    /// Whether the month comes first in the dates of all columns.
    pub month_first: Option<bool>,
    /// Whether missing choices are added.
    pub add_choices: Option<bool>,
    /// How the file is read, and the resulting number of rows.
    pub read: Option<(FileRead, usize)>,
}

/// Stores a file to be imported.
pub fn make_import(tx: &mut WriteTx<'_>, new: NewImport) -> Result<Import, CrmError> {
    let now = tx.now();
    let import = Import {
        id: tx.new_id(),
        home: new.home,
        name: kernel::text::ellipsis(&one_line(&new.name), 200),
        file: new.file,
        sheet: 0,
        header_row: None,
        columns: new.columns,
        clash: Clash::Skip,
        decimal_comma: new.decimal_comma,
        month_first: false,
        add_choices: true,
        state: ImportState::Draft,
        rows: u32::try_from(new.rows).unwrap_or(u32::MAX),
        next: 0,
        counts: Counts::default(),
        problems: Vec::new(),
        entries: Vec::new(),
        kept: 0,
        by: tx.by(),
        created_at: now,
        updated_at: now,
        kept_fields: 0,
        stayed: Vec::new(),
        encoding: new.encoding,
    };
    tx.put(&import)?;
    Ok(import)
}

impl Import {
    /// How the file is read.
    #[must_use]
    pub fn read_as(&self) -> FileRead {
        FileRead { sheet: self.sheet, header_row: self.header_row, encoding: self.encoding.clone() }
    }
}

pub fn import_of(tx: &WriteTx<'_>, id: ImportId) -> Result<Import, CrmError> {
    tx.get(id)?.ok_or_else(|| CrmError::no("import", &id.to_string()))
}

pub(super) fn put(tx: &mut WriteTx<'_>, mut import: Import) -> Result<Import, CrmError> {
    import.updated_at = tx.now();
    tx.put(&import)?;
    Ok(import)
}

/// Changes an import.
///
/// # Errors
/// When it has started, or a word is mapped to a choice that its field does not have.
pub fn change_import(
    tx: &mut WriteTx<'_>,
    id: ImportId,
    patch: ImportPatch,
) -> Result<Import, CrmError> {
    let import = import_of(tx, id)?;
    if import.state != ImportState::Draft {
        return Err(CrmError::Refused("this import has already started".to_owned()));
    }
    let (read, rows) = match patch.read {
        Some((read, rows)) => (read, u32::try_from(rows).unwrap_or(u32::MAX)),
        None => (import.read_as(), import.rows),
    };
    let FileRead { sheet, header_row, encoding } = read;
    let import = Import {
        columns: match (patch.columns, patch.month_first) {
            (Some(columns), _) => columns,
            (None, Some(month_first)) => in_order(import.columns, month_first),
            (None, None) => import.columns,
        },
        clash: patch.clash.unwrap_or(import.clash),
        decimal_comma: patch.decimal_comma.unwrap_or(import.decimal_comma),
        month_first: patch.month_first.unwrap_or(import.month_first),
        add_choices: patch.add_choices.unwrap_or(import.add_choices),
        sheet,
        header_row,
        encoding,
        rows,
        ..import
    };
    let keys = import.columns.iter().filter(|one| matches!(one.goes, Goes::Key(_))).count();
    if 0 < keys && import.home.collection().is_none() {
        let message = "Contacts and organizations are matched by address and name. Only collection \
            records have a key column.";
        return Err(CrmError::field("columns", message));
    }
    if 1 < keys {
        return Err(CrmError::field("columns", "Choose one key column."));
    }
    for mapped in &import.columns {
        let Some(key) = mapped.goes.field() else { continue };
        let all = columns::of(tx, import.home)?;
        let column = all.iter().find(|column| column.key == key);
        for (_, becomes) in &mapped.words {
            let Becomes::Choice(to) = becomes else { continue };
            if !column.is_some_and(|column| column.choices.iter().any(|one| one.key == *to)) {
                let of = column.map_or(key, |column| column.label.as_str());
                return Err(CrmError::field(
                    "choices",
                    format!("\"{to}\" isn’t a choice of {of}."),
                ));
            }
        }
    }
    put(tx, import)
}

/// Sets the same date order for all columns with dates.
pub fn in_order(mut columns: Vec<Mapped>, month_first: bool) -> Vec<Mapped> {
    let all = columns.iter_mut().filter_map(|one| one.dates.as_mut());
    all.for_each(|order| *order = DateOrder::chosen(month_first));
    columns
}

/// A started import.
#[derive(Clone, Debug)]
pub struct Begun {
    pub import: Import,
    /// What it added to the fields, in sentences.
    pub adds: Vec<String>,
}

/// Starts an import: creates the fields and choices that it needs. An undo removes them.
///
/// # Errors
/// When no column is mapped to the name, or a field cannot be created.
pub fn begin_import(
    tx: &mut WriteTx<'_>,
    id: ImportId,
    rows: &[Vec<String>],
) -> Result<Begun, CrmError> {
    let mut import = import_of(tx, id)?;
    if import.state != ImportState::Draft {
        return Err(CrmError::Refused("this import has already started".to_owned()));
    }
    if !import.has_ids() && !import.columns.iter().any(|one| one.goes.field() == Some(NAME)) {
        return Err(CrmError::field("columns", "Choose the column with the name."));
    }
    let there = columns::of(tx, import.home)?;
    let is_gone = |key: &&str| !there.iter().any(|column| column.key == **key);
    if let Some(gone) = import.columns.iter().filter_map(|one| one.goes.field()).find(is_gone) {
        let message =
            format!("The field \"{gone}\" no longer exists. Choose another for its column.");
        return Err(CrmError::field("columns", message));
    }
    let mut adds = Vec::new();
    for (n, mapped) in import.columns.iter_mut().enumerate() {
        let Goes::New(kind) = mapped.goes else { continue };
        let there = columns::of(tx, import.home)?;
        let key = entity::key_of(&mapped.header);
        let label = one_line(&mapped.header).to_lowercase();
        let is_it = |one: &&Column| one.key == key || one.label.to_lowercase() == label;
        if let Some(column) = there.iter().find(is_it) {
            mapped.goes = Goes::Field(column.key.clone());
            continue;
        }
        let cells = rows.iter().filter_map(|row| row.get(n)).map(String::as_str);
        let patch = FieldPatch {
            label: Some(kernel::text::ellipsis(&one_line(&mapped.header), 60)),
            kind: Some(kind),
            choices: kind.has_choices().then(|| words::choices_of(kind, cells)),
            ..FieldPatch::default()
        };
        let made = make_field(tx, import.home, patch)?;
        adds.push(format!("Adds the field {}.", made.label));
        mapped.goes = Goes::Field(made.key);
    }
    adds.extend(words::add_choices(tx, &import, rows)?);
    if !adds.is_empty() {
        import.entries.push(tx.seq()?);
    }
    import.state = ImportState::Running;
    Ok(Begun { import: put(tx, import)?, adds })
}

/// A row of the file with its number.
pub type Numbered<'r> = (u32, &'r [String]);

/// State of an import that is kept between pieces.
#[derive(Debug, Default)]
pub struct ImportContext {
    /// Whether the file marks texts as texts, so that `#N/A` is no formula error.
    pub is_typed: bool,
    /// Records of the collection by the key column.
    pub keys: Keys,
}

/// The result of importing rows.
#[derive(Clone, Debug, Default)]
pub struct Came {
    /// Number of rows by result.
    pub counts: Counts,
    /// Problems found.
    pub problems: Vec<RowProblem>,
    /// The result of each row, in order.
    pub rows: Vec<RowSeen>,
}

/// Imports rows in one transaction and advances the cursor. Returns whether there are more rows.
pub fn import_rows(
    tx: &mut WriteTx<'_>,
    id: ImportId,
    (from, rows): (u32, &[Numbered<'_>]),
    context: &mut ImportContext,
) -> Result<bool, CrmError> {
    let import = import_of(tx, id)?;
    if import.state != ImportState::Running || import.next != from {
        return Ok(false);
    }
    let came = bring(tx, &import, rows, context)?;
    let mut import = import;
    import.next += u32::try_from(rows.len()).unwrap_or(u32::MAX);
    import.counts += came.counts;
    let room = MAX_PROBLEMS.saturating_sub(import.problems.len());
    import.problems.extend(came.problems.into_iter().take(room));
    let room = (MAX_PROBLEMS / 2).saturating_sub(import.problems.len());
    // Unless existing records are overwritten, report which record a skipped row matched.
    if import.clash != Clash::Overwrite {
        import.problems.extend(left_out(rows, &came.rows).take(room));
    }
    if 0 < came.counts.made + came.counts.changed {
        import.entries.push(tx.seq()?);
    }
    let goes_on = import.next < import.rows;
    if !goes_on {
        import.state = ImportState::Done;
    }
    put(tx, import)?;
    context.keys.seen(tx.seq()?);
    Ok(goes_on)
}

/// The records that skipped rows matched.
fn left_out<'r>(
    rows: &'r [Numbered<'_>],
    seen: &'r [RowSeen],
) -> impl Iterator<Item = RowProblem> + 'r {
    rows.iter().zip(seen).filter(|(_, seen)| seen.fate == Fate::Skipped).filter_map(
        |((row, _), seen)| {
            let says = format!("Skipped: {} already exists.", seen.met.as_ref()?.name);
            Some(RowProblem { row: *row, column: String::new(), says })
        },
    )
}

/// Imports rows.
pub fn bring(
    tx: &mut WriteTx<'_>,
    import: &Import,
    rows: &[Numbered<'_>],
    context: &mut ImportContext,
) -> Result<Came, CrmError> {
    let people = Arc::new(People::read(tx)?);
    let columns = Arc::new(columns::of(tx, import.home)?);
    let one = One { import, columns: &columns, people: &people, is_typed: context.is_typed };
    let keys = &mut context.keys;
    keys.refresh(tx, import)?;
    let mut came = Came::default();
    for row in rows {
        let mut report = Told { row: row.0, problems: &mut came.problems, left: 0 };
        let done = one.bring(tx, *row, &mut report, keys);
        let mut seen = RowSeen { fate: Fate::Wrong, cells: Vec::new(), met: None };
        match done {
            Ok(Did::Made) => {
                came.counts.cells += report.left;
                came.counts.made += 1;
                seen.fate = Fate::New;
            }
            Ok(Did::Changed(cells, met)) => {
                came.counts.cells += report.left;
                came.counts.changed += 1;
                seen = RowSeen { fate: Fate::of(&cells), cells, met: Some(met) };
            }
            Ok(Did::Skipped(met)) => {
                came.counts.skipped += 1;
                seen = RowSeen { fate: Fate::Skipped, met, ..seen };
            }
            Err(CrmError::Store(error)) => return Err(error.into()),
            Err(error) => {
                came.counts.wrong += 1;
                report.hint("", kernel::text::capitalized(&error.to_string()));
            }
        }
        came.rows.push(seen);
    }
    Ok(came)
}

enum Did {
    Made,
    /// The changed cells and their record.
    Changed(Vec<CellSeen>, Met),
    /// The matched record, if the row was skipped because of it.
    Skipped(Option<Met>),
}

/// Context for reading a row.
pub(super) struct One<'i> {
    pub(super) import: &'i Import,
    pub(super) columns: &'i Arc<Vec<Column>>,
    pub(super) people: &'i Arc<People>,
    /// Whether the file marks texts as texts.
    pub(super) is_typed: bool,
}

impl One<'_> {
    fn bring(
        &self,
        tx: &mut WriteTx<'_>,
        row: Numbered<'_>,
        report: &mut Told<'_>,
        keys: &mut Keys,
    ) -> Result<Did, CrmError> {
        let (kind, collection) = (self.import.home.kind(), self.import.home.collection());
        let named = self.by_id(tx, row, report)?;
        let mut cells = self.read(tx, (row, named.as_ref().map(|row| &row.cells)), report);
        if cells.values.is_empty() {
            return Ok(Did::Skipped(named.as_ref().map(Met::of)));
        }
        let has_name = cells.values.contains_key(NAME);
        if !has_name && self.import.home == Home::Contacts && !self.import.has_ids() {
            self.call(tx, &mut cells);
        }
        let Meets { same, like } = match named {
            Some(row) => Meets { same: Some(row), like: None },
            None => self.meets(tx, &cells, (keys, report))?,
        };
        let key = keys.value_in(&cells.typed);
        // A member of an organization has an address at its domain, whatever name the file gives.
        if !self.import.has_ids()
            && cells.values.contains_key(ORGANIZATION)
            && let Some(domain) = cells.typed.iter().find_map(|(_, value)| domain_of(value))
            && let Some(organization) = at_domain(RowKind::ORGANIZATIONS, tx, domain)?
        {
            let id = Value::String(organization.id.to_string());
            cells.values.insert(ORGANIZATION.to_owned(), id);
        }
        if same.is_none() {
            cells.note_rest(self.columns, report);
        }
        let Cells { mut values, more, .. } = cells;
        // A row may add tags to the columns; nothing else does.
        let columns = (!values.contains_key(TAGS)).then(|| Arc::clone(self.columns));
        let number = report.row;
        let sent = |values| Sent {
            values,
            row: Some(number),
            people: Some(Arc::clone(self.people)),
            columns: columns.clone(),
            ..Sent::default()
        };
        let Some(same) = same else {
            let write = |tx: &mut WriteTx<'_>, values| create(kind, tx, collection, &sent(values));
            let made = self.written(tx, values, report, write)?;
            keys.add(key, made.id);
            if let Some(like) = like {
                let says = format!("{} already exists and might be the same.", like.name());
                report.hint(&self.header_of(NAME), says);
            }
            return Ok(Did::Made);
        };
        let met = Met::of(&same);
        // Keep the existing name if the row has none.
        values.retain(|key, _| has_name || key != NAME);
        match self.import.clash {
            Clash::Skip => return Ok(Did::Skipped(Some(met))),
            Clash::Fill => values.retain(|key, _| same.value(key).is_none()),
            Clash::Overwrite | Clash::New => {}
        }
        for (header, _, text) in more {
            report.cell((&header, ""), format!("No field left for {text}."));
        }
        let changed = self
            .written(tx, values, report, |tx, values| change(kind, tx, same.id, &sent(values)))?;
        if changed.written.is_empty() {
            return Ok(Did::Skipped(Some(met)));
        }
        let known = Known::with(Arc::clone(self.people), tx, assignee_of(tx.by()));
        Ok(Did::Changed(cells_seen(self.columns, &known, &same, &changed), met))
    }

    /// Finds existing records for a row. Records of a collection are matched by the chosen key field only.
    fn meets(
        &self,
        tx: &WriteTx<'_>,
        cells: &Cells,
        (keys, message): (&Keys, &mut Told<'_>),
    ) -> Result<Meets, CrmError> {
        match self.import.home {
            _ if self.import.clash == Clash::New => Ok(Meets::default()),
            Home::Contacts | Home::Organizations => {
                let Meets { same, like } =
                    met(self.import.home.kind(), tx, (&cells.values, &cells.typed))?;
                // Rows of an export are distinct records, however similar.
                let is_other = |row: &Row| !(self.import.has_ids() && is_made_by(tx, row));
                Ok(Meets { same: same.filter(is_other), like: like.filter(is_other) })
            }
            Home::Collection(_) => {
                let (mut found, many) = keys.rows_with(tx, (self.import.home, &cells.typed))?;
                if found.len() < 2 {
                    return Ok(Meets { same: found.pop(), like: None });
                }
                let says = format!("{many} records have this value, so HQ adds a new one.");
                message.hint(&self.header_of(keys.field()), says);
                Ok(Meets::default())
            }
        }
    }

    fn reading(&self, mapped: &Mapped) -> dates::Reading {
        let begun = self.import.created_at.to_zoned(jiff::tz::TimeZone::UTC);
        dates::Reading {
            month_first: self.import.month_first(mapped),
            this_year: Some(begun.year()),
        }
    }

    /// A text in the form that fields read; dates and numbers follow the conventions of the file.
    pub(super) fn clean(&self, (mapped, column): (&Mapped, &Column), text: &str) -> String {
        match column.kind {
            Kind::Number if self.import.decimal_comma => Decimal::parse(text, ',')
                .map_or_else(|| text.to_owned(), |number| number.to_string()),
            Kind::Date => dates::day(text, self.reading(mapped)),
            Kind::Datetime => dates::moment(text, self.reading(mapped)),
            Kind::MultiSelect => words::listed(text),
            _ if column.key == ORGANIZATION => entity::tidied(text),
            Kind::Text if column.key == NAME && self.import.home == Home::Organizations => {
                entity::tidied(text)
            }
            _ => text.to_owned(),
        }
    }
}

/// Whether a record was created by the import or request of this transaction.
fn is_made_by(tx: &WriteTx<'_>, row: &Row) -> bool {
    row.cells.get(NAME).is_some_and(|name| name.origin.cause == tx.cause())
}

/// Cancels an import; imported rows stay and can be undone.
///
/// # Errors
/// When it has already ended.
pub fn cancel_import(tx: &mut WriteTx<'_>, id: ImportId) -> Result<Import, CrmError> {
    let import = import_of(tx, id)?;
    match import.state {
        ImportState::Draft | ImportState::Running => {
            put(tx, Import { state: ImportState::Cancelled, ..import })
        }
        _ => Err(CrmError::Refused("this import has already ended".to_owned())),
    }
}

/// Records why an import failed.
pub fn fail_import(tx: &mut WriteTx<'_>, id: ImportId, why: String) -> Result<Import, CrmError> {
    let import = import_of(tx, id)?;
    put(tx, Import { state: ImportState::Failed(why), ..import })
}

/// What stayed when an entry of an import was undone.
#[derive(Clone, Debug, Default)]
pub struct Stays {
    /// Number of records.
    pub records: usize,
    /// Number of fields of reverted records.
    pub fields: usize,
    /// Details, up to a limit.
    pub told: Vec<Stayed>,
}
