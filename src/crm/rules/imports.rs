//! Imports: begun, mapped, brought in row by row, stopped, taken back. The preview runs the same functions on a snapshot.

use std::sync::Arc;

use features::tasks::queries::people::{People, assignee_of};
use kernel::ImportId;
use kernel::key::KeyBuf;
use kernel::text::one_line;
use noun::{Column, Decimal, FieldValue, Kind, plain_url};
use serde_json::{Map, Value};
use store::{BlobId, Range, ReadExt as _, StoreError, WriteTx};

use super::fates::{CellSeen, Fate, RowSeen, cells_seen};
use super::fields::FieldPatch;
use super::rows::{Sent, change, create};
use super::{make_field, words};
use crate::columns::{self, ORGANIZATION, STAGE, TAGS};
use crate::error::CrmError;
use crate::model::{
    Becomes, Book, Clash, CollectionId, Contacts, Counts, Goes, Home, Import, ImportState,
    MAX_PROBLEMS, Mapped, NAME, Organizations, Records, Row, RowProblem, Stayed, identity_key,
    name_key,
};
use crate::names::{Known, title_of};

/// A file that arrived, with what HQ makes of its columns.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// What its rows become.
    pub home: Home,
    /// The name of the file.
    pub name: String,
    /// The file.
    pub file: BlobId,
    /// Where its columns go.
    pub columns: Vec<Mapped>,
    /// How many rows it has.
    pub rows: usize,
    /// Whether a comma stands before the fraction of its numbers.
    pub decimal_comma: bool,
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
    /// Whether the month comes first.
    pub month_first: Option<bool>,
    /// Whether choices that are not there are added.
    pub add_choices: Option<bool>,
    /// Which sheet, which row has the headings, and how many rows there are then.
    pub read: Option<(u32, Option<u32>, usize)>,
}

/// Keeps a file to be imported.
///
/// # Errors
/// When the store fails.
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
    };
    tx.put(&import)?;
    Ok(import)
}

/// An import.
///
/// # Errors
/// When there is none.
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
    let (sheet, header_row, rows) = match patch.read {
        Some((sheet, header_row, rows)) => {
            (sheet, header_row, u32::try_from(rows).unwrap_or(u32::MAX))
        }
        None => (import.sheet, import.header_row, import.rows),
    };
    let import = Import {
        columns: patch.columns.unwrap_or(import.columns),
        clash: patch.clash.unwrap_or(import.clash),
        decimal_comma: patch.decimal_comma.unwrap_or(import.decimal_comma),
        month_first: patch.month_first.unwrap_or(import.month_first),
        add_choices: patch.add_choices.unwrap_or(import.add_choices),
        sheet,
        header_row,
        rows,
        ..import
    };
    for mapped in &import.columns {
        let Goes::Field(key) = &mapped.goes else { continue };
        let all = columns::of(tx, import.home)?;
        let column = all.iter().find(|column| column.key == *key);
        for (_, becomes) in &mapped.words {
            let Becomes::Choice(to) = becomes else { continue };
            if !column.is_some_and(|column| column.choices.iter().any(|one| one.key == *to)) {
                let of = column.map_or(key.as_str(), |column| column.label.as_str());
                return Err(CrmError::field("choices", format!("\"{to}\" is no choice of {of}.")));
            }
        }
    }
    put(tx, import)
}

/// An import that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// It.
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
    if !import.columns.iter().any(|one| one.goes == Goes::Field(NAME.to_owned())) {
        return Err(CrmError::field("columns", "Choose the column that has the name."));
    }
    let mut adds = Vec::new();
    for (n, mapped) in import.columns.iter_mut().enumerate() {
        let Goes::New(kind) = mapped.goes else { continue };
        let there = columns::of(tx, import.home)?;
        let key = noun::key_of(&mapped.header);
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

/// The cells of a row of the file.
#[derive(Default)]
struct Cells {
    /// By the keys of fields, as text.
    values: Map<String, Value>,
    /// As they are read.
    typed: Vec<(String, FieldValue)>,
    /// How many were left out, as they cannot be read.
    left: u32,
}

/// Brings rows in, in one transaction, and moves the cursor behind them. Says whether the import goes on.
///
/// # Errors
/// When the store fails.
pub fn import_rows(
    tx: &mut WriteTx<'_>,
    id: ImportId,
    (from, rows): (u32, &[Numbered<'_>]),
) -> Result<bool, CrmError> {
    let import = import_of(tx, id)?;
    if import.state != ImportState::Running || import.next != from {
        return Ok(false);
    }
    let came = bring(tx, &import, rows)?;
    let mut import = import;
    import.next += u32::try_from(rows.len()).unwrap_or(u32::MAX);
    import.counts += came.counts;
    let room = MAX_PROBLEMS.saturating_sub(import.problems.len());
    import.problems.extend(came.problems.into_iter().take(room));
    if 0 < came.counts.made + came.counts.changed {
        import.entries.push(tx.seq()?);
    }
    let goes_on = import.next < import.rows;
    if !goes_on {
        import.state = ImportState::Done;
    }
    put(tx, import)?;
    Ok(goes_on)
}

/// Brings rows in.
///
/// # Errors
/// When the store fails.
pub fn bring(
    tx: &mut WriteTx<'_>,
    import: &Import,
    rows: &[Numbered<'_>],
) -> Result<Came, CrmError> {
    let people = Arc::new(People::read(tx)?);
    let columns = Arc::new(columns::of(tx, import.home)?);
    let one = One { import, columns: &columns, people: &people };
    let mut came = Came::default();
    for row in rows {
        let cells = one.read(tx, *row, &mut came.problems);
        let left = cells.left;
        let done = match import.home {
            Home::Contacts => one.bring::<Contacts>(tx, row.0, cells),
            Home::Organizations => one.bring::<Organizations>(tx, row.0, cells),
            Home::Collection(_) => one.bring::<Records>(tx, row.0, cells),
        };
        if matches!(done, Ok(Did::Made | Did::Changed(_))) {
            came.counts.cells += left;
        }
        let cells = match &done {
            Ok(Did::Changed(cells)) => cells.clone(),
            _ => Vec::new(),
        };
        let mut seen = RowSeen { fate: Fate::of(&cells), cells };
        match done {
            Ok(Did::Made) => {
                came.counts.made += 1;
                seen.fate = Fate::New;
            }
            Ok(Did::Changed(_)) => came.counts.changed += 1,
            Ok(Did::Skipped) => {
                came.counts.skipped += 1;
                seen.fate = Fate::Skipped;
            }
            Err(CrmError::Store(error)) => return Err(error.into()),
            Err(error) => {
                came.counts.wrong += 1;
                seen.fate = Fate::Wrong;
                let says = kernel::text::capitalized(&error.to_string());
                came.problems.push(RowProblem { row: row.0, column: String::new(), says });
            }
        }
        came.rows.push(seen);
    }
    Ok(came)
}

enum Did {
    Made,
    /// With the cells that took another value.
    Changed(Vec<CellSeen>),
    Skipped,
}

/// What one row is read with.
struct One<'i> {
    import: &'i Import,
    columns: &'i Arc<Vec<Column>>,
    people: &'i Arc<People>,
}

impl One<'_> {
    fn bring<B: Book>(
        &self,
        tx: &mut WriteTx<'_>,
        number: u32,
        Cells { mut values, typed, .. }: Cells,
    ) -> Result<Did, CrmError> {
        let collection = self.import.home.collection();
        if values.is_empty() {
            return Ok(Did::Skipped);
        }
        let same = match self.import.clash {
            Clash::New => None,
            _ => same::<B>(tx, collection, (&values, &typed))?,
        };
        // Who belongs to an organization has an address there, whatever the file calls it.
        if values.contains_key(ORGANIZATION)
            && let Some(domain) = typed.iter().find_map(|(_, value)| domain_of(value))
            && let Some(organization) = at_domain::<Organizations>(tx, domain)?
        {
            values.insert(ORGANIZATION.to_owned(), Value::String(organization.id.to_string()));
        }
        // Tags that a row names for the first time become choices; nothing else adds to the columns.
        let columns = (!values.contains_key(TAGS)).then(|| Arc::clone(self.columns));
        let sent = |values| Sent {
            values,
            row: Some(number),
            people: Some(Arc::clone(self.people)),
            columns: columns.clone(),
            ..Sent::default()
        };
        let Some(same) = same else {
            tx.attempt(|tx| create::<B>(tx, collection, &sent(values)))?;
            return Ok(Did::Made);
        };
        match self.import.clash {
            Clash::Skip => return Ok(Did::Skipped),
            Clash::Fill => values.retain(|key, _| same.value(key).is_none()),
            Clash::Overwrite | Clash::New => {}
        }
        let changed = tx.attempt(|tx| change::<B>(tx, same.id, &sent(values)))?;
        if changed.written.is_empty() {
            return Ok(Did::Skipped);
        }
        let known = Known::with(Arc::clone(self.people), tx, assignee_of(tx.by()));
        Ok(Did::Changed(cells_seen(self.columns, &known, &same, &changed)))
    }

    /// The cells of a row. One that is wrong is left out and told of; the rest of its row comes in.
    fn read(
        &self,
        tx: &WriteTx<'_>,
        (number, cells): Numbered<'_>,
        problems: &mut Vec<RowProblem>,
    ) -> Cells {
        let known = Known::with(Arc::clone(self.people), tx, assignee_of(tx.by()));
        let Cells { mut values, mut typed, mut left } = Cells::default();
        for (mapped, text) in self.import.columns.iter().zip(cells) {
            let Goes::Field(key) = &mapped.goes else { continue };
            let column = self.columns.iter().find(|column| column.key == *key);
            let (Some(column), false) = (column, text.trim().is_empty()) else { continue };
            let mut wrong = |says: String| {
                // A record begins in the first stage.
                left += u32::from(key != STAGE);
                problems.push(RowProblem { row: number, column: mapped.header.clone(), says });
            };
            if sheet::is_error(text) {
                wrong(format!("The file has an error here: {}.", text.trim()));
                continue;
            }
            let text = match words::is_chosen(column) {
                true => words::in_place(column, mapped, text),
                false => self.clean(column.kind, text.trim()),
            };
            if text.is_empty() {
                continue;
            }
            let text = match values.get(key).and_then(Value::as_str) {
                Some(before) if before == text => continue,
                Some(before) => match column.kind {
                    Kind::Text => format!("{before} {text}"),
                    Kind::LongText => format!("{before}\n\n{text}"),
                    Kind::MultiSelect => format!("{before}, {text}"),
                    // The first that is filled counts.
                    _ => continue,
                },
                None => text,
            };
            // What does not exist yet is made when the row is.
            if key == ORGANIZATION || key == TAGS {
                values.insert(key.clone(), Value::String(text));
                continue;
            }
            match column.read(&text, &known) {
                Ok(Some(value)) => {
                    typed.retain(|(one, _)| one != key);
                    typed.push((key.clone(), value));
                    values.insert(key.clone(), Value::String(text));
                }
                Ok(None) => {}
                Err(says) => wrong(says),
            }
        }
        Cells { values, typed, left }
    }

    /// A text as fields read it: dates and numbers in the file's own writing.
    fn clean(&self, kind: Kind, text: &str) -> String {
        match kind {
            Kind::Number if self.import.decimal_comma => Decimal::parse(text, ',')
                .map_or_else(|| text.to_owned(), |number| number.to_string()),
            Kind::Date | Kind::Datetime => day(text, self.import.month_first),
            Kind::MultiSelect => words::listed(text),
            _ => text.to_owned(),
        }
    }
}

/// A date with the year last, as `2026-12-24`; what is no such date stays.
pub(super) fn day(text: &str, month_first: bool) -> String {
    if let Ok(date) = jiff::civil::Date::strptime("%d %b %Y", text) {
        return date.to_string();
    }
    let head = text.split([' ', 'T']).next().unwrap_or_default();
    let parts: Vec<&str> = head.split(['.', '/', '-']).collect();
    let [a, b, year] = parts[..] else { return text.to_owned() };
    let (Ok(a), Ok(b), Ok(year), true) =
        (a.parse::<i8>(), b.parse::<i8>(), year.parse::<i16>(), year.len() == 4)
    else {
        return text.to_owned();
    };
    let (day, month) = if month_first { (b, a) } else { (a, b) };
    jiff::civil::Date::new(year, month, day)
        .map_or_else(|_| text.to_owned(), |date| date.to_string())
}

/// The domain of an address of mail.
fn domain_of(value: &FieldValue) -> Option<&str> {
    match value {
        FieldValue::Email(address) => address.rsplit_once('@').map(|(_, domain)| domain.trim()),
        _ => None,
    }
}

fn host(plain: &str) -> &str {
    plain.split(['/', ':']).next().unwrap_or_default()
}

/// The row whose website lies at a domain; none when there is none, or several.
fn at_domain<B: Book>(tx: &WriteTx<'_>, domain: &str) -> Result<Option<Row<B>>, StoreError> {
    /// The most addresses that begin so and are looked at.
    const MOST: usize = 50;
    let Some((kind, domain)) = FieldValue::Url(domain.to_owned()).identity() else {
        return Ok(None);
    };
    // Without the end of a text: paths may follow.
    let mut key = KeyBuf::new();
    key.u8(kind).raw(domain.as_bytes());
    let mut found: Vec<Row<B>> = tx.scan(B::IDENTITY, &Range::prefix(key).limit(MOST))?;
    found
        .retain(|row| row.archived_at.is_none() && host(&plain_url(row.text("website"))) == domain);
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// The row that a row of the file means: by address of mail, phone, LinkedIn or website, by its name where that says
/// enough: of contacts together with the organization.
fn same<B: Book>(
    tx: &WriteTx<'_>,
    collection: Option<CollectionId>,
    (values, typed): (&Map<String, Value>, &[(String, FieldValue)]),
) -> Result<Option<Row<B>>, StoreError> {
    let is_contact = B::TABLE == Contacts::TABLE;
    for (key, value) in typed {
        let tells = match value {
            FieldValue::Email(_) | FieldValue::Phone(_) => is_contact,
            FieldValue::Url(_) => key == "linkedin_url" || (!is_contact && key == "website"),
            _ => false,
        };
        let Some(identity) = value.identity().filter(|_| tells) else { continue };
        let range = Range::prefix(identity_key(collection, &identity)).limit(1);
        if let Some(row) = tx.scan::<Row<B>>(B::IDENTITY, &range)?.pop() {
            return Ok(Some(row));
        }
        // A site without a path means all that lies below it.
        if key == "website"
            && host(&identity.1) == identity.1
            && let Some(row) = at_domain::<B>(tx, &identity.1)?
        {
            return Ok(Some(row));
        }
    }
    let text = |key: &str| values.get(key).and_then(Value::as_str).unwrap_or_default();
    let named: Vec<Row<B>> =
        tx.scan(B::IDENTITY, &Range::prefix(name_key(collection, text(NAME))))?;
    if !is_contact {
        return Ok(named.into_iter().next());
    }
    let (organization, company) = (text(ORGANIZATION), text("company"));
    let fits = |row: &Row<B>| {
        let of_row = match row.value(ORGANIZATION) {
            Some(FieldValue::Refers(target)) => title_of(tx, *target),
            _ => row.text("company").to_owned(),
        };
        let wanted = if organization.is_empty() { company } else { organization };
        !wanted.is_empty() && of_row.eq_ignore_ascii_case(wanted)
    };
    Ok(named.into_iter().find(fits))
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
///
/// # Errors
/// When it is gone.
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
