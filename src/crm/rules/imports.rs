//! Imports: begun, mapped, brought in row by row, stopped, taken back. The preview runs the same functions on a snapshot.

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

/// A file that arrived, with what HQ makes of its columns.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// What its rows become.
    pub home: Home,
    /// The name of the file.
    pub name: String,
    pub file: BlobId,
    /// Where its columns go.
    pub columns: Vec<Mapped>,
    /// How many rows it has.
    pub rows: usize,
    /// Whether a comma stands before the fraction of its numbers.
    pub decimal_comma: bool,
    /// The label of the encoding of a text.
    pub encoding: Option<String>,
}

/// How the file of an import is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRead {
    /// Which sheet of a workbook, from 1; 0 for the one that HQ takes.
    pub sheet: u32,
    /// The row with the headings.
    pub header_row: Option<u32>,
    /// The label of the encoding of a text.
    pub encoding: Option<String>,
}

/// What is to change in an import that has not begun.
#[derive(Clone, Debug, Default)]
pub struct ImportPatch {
    /// Where its columns go, in their order.
    pub columns: Option<Vec<Mapped>>,
    /// What becomes of a row whose record is here already.
    pub clash: Option<Clash>,
    /// Whether a comma stands before the fraction of a number.
    pub decimal_comma: Option<bool>,
    /// Whether the month comes first, in the dates of all columns.
    pub month_first: Option<bool>,
    /// Whether choices that are not there are added.
    pub add_choices: Option<bool>,
    /// How the file is read, and how many rows there are then.
    pub read: Option<(FileRead, usize)>,
}

/// Keeps a file to be imported.
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
    /// How its file is read.
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

/// Changes what an import will do.
///
/// # Errors
/// When it has begun, or a word is to become a choice that its field has not.
pub fn change_import(
    tx: &mut WriteTx<'_>,
    id: ImportId,
    patch: ImportPatch,
) -> Result<Import, CrmError> {
    let import = import_of(tx, id)?;
    if import.state != ImportState::Draft {
        return Err(CrmError::Refused("this import has begun already".to_owned()));
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
        let told = "Contacts and organizations are matched by addresses and names; only records of a \
                    collection have a key column.";
        return Err(CrmError::field("columns", told));
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
                return Err(CrmError::field("choices", format!("\"{to}\" is no choice of {of}.")));
            }
        }
    }
    put(tx, import)
}

/// Columns whose dates all have this order.
pub fn in_order(mut columns: Vec<Mapped>, month_first: bool) -> Vec<Mapped> {
    let all = columns.iter_mut().filter_map(|one| one.dates.as_mut());
    all.for_each(|order| *order = DateOrder::chosen(month_first));
    columns
}

/// An import that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    pub import: Import,
    /// What it added to the fields, in sentences.
    pub adds: Vec<String>,
}

/// Begins an import: makes the fields and choices that it needs. They go when it is taken back.
///
/// # Errors
/// When no column goes to the name, or a field cannot be made.
pub fn begin_import(
    tx: &mut WriteTx<'_>,
    id: ImportId,
    rows: &[Vec<String>],
) -> Result<Begun, CrmError> {
    let mut import = import_of(tx, id)?;
    if import.state != ImportState::Draft {
        return Err(CrmError::Refused("this import has begun already".to_owned()));
    }
    if !import.has_ids() && !import.columns.iter().any(|one| one.goes.field() == Some(NAME)) {
        return Err(CrmError::field("columns", "Choose the column that has the name."));
    }
    let there = columns::of(tx, import.home)?;
    let is_gone = |key: &&str| !there.iter().any(|column| column.key == **key);
    if let Some(gone) = import.columns.iter().filter_map(|one| one.goes.field()).find(is_gone) {
        let told = format!("The field \"{gone}\" is gone; choose where its column goes.");
        return Err(CrmError::field("columns", told));
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

/// A row of the file with its number there.
pub type Numbered<'r> = (u32, &'r [String]);

/// What an import keeps from one piece of its rows to the next.
#[derive(Debug, Default)]
pub struct ImportContext {
    /// Whether the words of the file were written as texts, so that `#N/A` is no formula that failed.
    pub is_typed: bool,
    /// The records of the collection by the key column.
    pub keys: Keys,
}

/// What rows became.
#[derive(Clone, Debug, Default)]
pub struct Came {
    /// How many became what.
    pub counts: Counts,
    /// What was wrong.
    pub problems: Vec<RowProblem>,
    /// What became of each row, in their order.
    pub rows: Vec<RowSeen>,
}

/// Brings rows in, in one transaction, and moves the cursor behind them. Says whether the import goes on.
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
    // Rows that were to overwrite and are left out say what is there already.
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

/// Which records the rows that were left out have met.
fn left_out<'r>(
    rows: &'r [Numbered<'_>],
    seen: &'r [RowSeen],
) -> impl Iterator<Item = RowProblem> + 'r {
    rows.iter().zip(seen).filter(|(_, seen)| seen.fate == Fate::Skipped).filter_map(
        |((row, _), seen)| {
            let says = format!("Left out: {} is here already.", seen.met.as_ref()?.name);
            Some(RowProblem { row: *row, column: String::new(), says })
        },
    )
}

/// Brings rows in.
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
        let mut told = Told { row: row.0, problems: &mut came.problems, left: 0 };
        let done = one.bring(tx, *row, &mut told, keys);
        let mut seen = RowSeen { fate: Fate::Wrong, cells: Vec::new(), met: None };
        match done {
            Ok(Did::Made) => {
                came.counts.cells += told.left;
                came.counts.made += 1;
                seen.fate = Fate::New;
            }
            Ok(Did::Changed(cells, met)) => {
                came.counts.cells += told.left;
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
                told.hint("", kernel::text::capitalized(&error.to_string()));
            }
        }
        came.rows.push(seen);
    }
    Ok(came)
}

enum Did {
    Made,
    /// With the cells that took another value, and their record.
    Changed(Vec<CellSeen>, Met),
    /// With the record that the row met, if it was left out for that.
    Skipped(Option<Met>),
}

/// What one row is read with.
pub(super) struct One<'i> {
    pub(super) import: &'i Import,
    pub(super) columns: &'i Arc<Vec<Column>>,
    pub(super) people: &'i Arc<People>,
    /// Whether the words of the file were written as texts.
    pub(super) is_typed: bool,
}

impl One<'_> {
    fn bring(
        &self,
        tx: &mut WriteTx<'_>,
        row: Numbered<'_>,
        told: &mut Told<'_>,
        keys: &mut Keys,
    ) -> Result<Did, CrmError> {
        let (kind, collection) = (self.import.home.kind(), self.import.home.collection());
        let named = self.by_id(tx, row, told)?;
        let mut cells = self.read(tx, (row, named.as_ref().map(|row| &row.cells)), told);
        if cells.values.is_empty() {
            return Ok(Did::Skipped(named.as_ref().map(Met::of)));
        }
        let has_name = cells.values.contains_key(NAME);
        if !has_name && self.import.home == Home::Contacts && !self.import.has_ids() {
            self.call(tx, &mut cells);
        }
        let Meets { same, like } = match named {
            Some(row) => Meets { same: Some(row), like: None },
            None => self.meets(tx, &cells, (keys, told))?,
        };
        let key = keys.value_in(&cells.typed);
        // Who belongs to an organization has an address there, whatever the file calls it.
        if !self.import.has_ids()
            && cells.values.contains_key(ORGANIZATION)
            && let Some(domain) = cells.typed.iter().find_map(|(_, value)| domain_of(value))
            && let Some(organization) = at_domain(RowKind::ORGANIZATIONS, tx, domain)?
        {
            let id = Value::String(organization.id.to_string());
            cells.values.insert(ORGANIZATION.to_owned(), id);
        }
        if same.is_none() {
            cells.note_rest(self.columns, told);
        }
        let Cells { mut values, more, .. } = cells;
        // Tags that a row names for the first time become choices; nothing else adds to the columns.
        let columns = (!values.contains_key(TAGS)).then(|| Arc::clone(self.columns));
        let number = told.row;
        let sent = |values| Sent {
            values,
            row: Some(number),
            people: Some(Arc::clone(self.people)),
            columns: columns.clone(),
            ..Sent::default()
        };
        let Some(same) = same else {
            let write = |tx: &mut WriteTx<'_>, values| create(kind, tx, collection, &sent(values));
            let made = self.written(tx, values, told, write)?;
            keys.add(key, made.id);
            if let Some(like) = like {
                let says = format!("{} is here already and may be the same.", like.name());
                told.hint(&self.header_of(NAME), says);
            }
            return Ok(Did::Made);
        };
        let met = Met::of(&same);
        // The name that stands there is better than one that the row does not say.
        values.retain(|key, _| has_name || key != NAME);
        match self.import.clash {
            Clash::Skip => return Ok(Did::Skipped(Some(met))),
            Clash::Fill => values.retain(|key, _| same.value(key).is_none()),
            Clash::Overwrite | Clash::New => {}
        }
        for (header, _, text) in more {
            told.cell((&header, ""), format!("There is no field left for {text}."));
        }
        let changed =
            self.written(tx, values, told, |tx, values| change(kind, tx, same.id, &sent(values)))?;
        if changed.written.is_empty() {
            return Ok(Did::Skipped(Some(met)));
        }
        let known = Known::with(Arc::clone(self.people), tx, assignee_of(tx.by()));
        Ok(Did::Changed(cells_seen(self.columns, &known, &same, &changed), met))
    }

    /// What is here of what a row tells of. Records of a collection are matched by the field that somebody chose alone.
    fn meets(
        &self,
        tx: &WriteTx<'_>,
        cells: &Cells,
        (keys, told): (&Keys, &mut Told<'_>),
    ) -> Result<Meets, CrmError> {
        match self.import.home {
            _ if self.import.clash == Clash::New => Ok(Meets::default()),
            Home::Contacts | Home::Organizations => {
                let Meets { same, like } =
                    met(self.import.home.kind(), tx, (&cells.values, &cells.typed))?;
                // Rows of an export are different records, however alike they are.
                let is_other = |row: &Row| !(self.import.has_ids() && is_made_by(tx, row));
                Ok(Meets { same: same.filter(is_other), like: like.filter(is_other) })
            }
            Home::Collection(_) => {
                let (mut found, many) = keys.rows_with(tx, (self.import.home, &cells.typed))?;
                if found.len() < 2 {
                    return Ok(Meets { same: found.pop(), like: None });
                }
                let says =
                    format!("{many} records have this value, so that the row becomes one more.");
                told.hint(&self.header_of(keys.field()), says);
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

    /// A text as fields read it: dates and numbers in the file's own writing.
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

/// Whether a record came in with what a transaction is a part of.
fn is_made_by(tx: &WriteTx<'_>, row: &Row) -> bool {
    row.cells.get(NAME).is_some_and(|name| name.origin.cause == tx.cause())
}

/// Stops an import; what came in stays, and can be taken back.
///
/// # Errors
/// When it is over already.
pub fn cancel_import(tx: &mut WriteTx<'_>, id: ImportId) -> Result<Import, CrmError> {
    let import = import_of(tx, id)?;
    match import.state {
        ImportState::Draft | ImportState::Running => {
            put(tx, Import { state: ImportState::Cancelled, ..import })
        }
        _ => Err(CrmError::Refused("this import is over already".to_owned())),
    }
}

/// Notes that an import cannot go on.
pub fn fail_import(tx: &mut WriteTx<'_>, id: ImportId, why: String) -> Result<Import, CrmError> {
    let import = import_of(tx, id)?;
    put(tx, Import { state: ImportState::Failed(why), ..import })
}

/// What stayed when an entry of an import was taken back.
#[derive(Clone, Debug, Default)]
pub struct Stays {
    /// How many records.
    pub records: usize,
    /// How many fields of records that went back.
    pub fields: usize,
    /// Which, as many as are kept.
    pub told: Vec<Stayed>,
}
