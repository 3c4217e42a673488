//! Imports of files: read, previewed on a snapshot by the same function, imported with 500 rows per transaction,
//! resumed after a crash, undone.

pub mod api;
pub mod guess;
pub(crate) mod headings;
mod listing;
mod mapping;
mod order;
mod own;
pub mod pages;
mod rows;
mod trial;

use std::collections::BTreeMap;

use app::{Who as _, Ws};
use kernel::text::ellipsis;
use kernel::{Actor, Cause, ImportId, Part};
use sheet::{Options, SheetError, Table};
use store::{BlobId, Range, Read, ReadExt as _, Snap, StoreError, WriteTx};
use web::idempotency::Once;
use web::session::Person;

use crate::columns;
use crate::error::CrmError;
use crate::model::back::Turn;
use crate::model::{Home, IMPORTS_RUNNING, Import, ImportState, Mapped};
use crate::pieces::{self, PIECE, Pieces};
pub(crate) use own::ID;

use crate::rules::{self, Came, FileRead, ImportContext, ImportPatch, NewImport, Numbered, Stays};

/// Maximum size of a file in bytes.
pub const MAX_BYTES: u64 = 20 * 1024 * 1024;
/// Maximum number of stored problem messages of a preview; all are counted.
const MOST_PROBLEMS: usize = 20_000;
/// Number of problem messages stored per column, even beyond that limit.
const LEAST_PROBLEMS: usize = 20;
/// Number of preview rows with complete changed cells.
const WHOLE: usize = 100;
/// Maximum characters of changed cells in further rows.
const SHORT: usize = 200;

/// Reads the table in a file. May take seconds; blocking.
///
/// # Errors
/// A sentence that says what is wrong in the file, and where.
pub fn table(ws: &Ws, import: &Import) -> Result<Table, CrmError> {
    read(ws, (import.file, &import.name), import.read_as())
}

fn read(ws: &Ws, (file, name): (BlobId, &str), how: FileRead) -> Result<Table, CrmError> {
    let bytes = ws.blobs.get(file, MAX_BYTES).map_err(|error| {
        CrmError::Store(StoreError::Failed(format!("couldn't read the file: {error}")))
    })?;
    let options = Options {
        encoding: how.encoding,
        delimiter: None,
        header_row: how.header_row.and_then(|row| usize::try_from(row).ok()),
        sheet: how.sheet.checked_sub(1).and_then(|at| usize::try_from(at).ok()),
    };
    sheet::read(name, &bytes, &options).map_err(|error| {
        let field = match &error {
            SheetError::Encoding(_) if options.encoding.is_some() => "encoding",
            SheetError::NoSheet { .. } => "sheet",
            SheetError::NoHeader { .. } => "header_row",
            _ => "file",
        };
        CrmError::field(field, web::form::sentence(&error.to_string()))
    })
}

/// Guesses the columns of a table: mapping, date orders, decimal comma.
fn guessed(ws: &Ws, home: Home, table: &Table) -> Result<(Vec<Mapped>, bool), CrmError> {
    let fields = ws.read(|snap| columns::of(snap, home))?;
    let mut columns = guess::columns(&table.headers, &table.rows, &fields, home);
    guess::stages(&table.rows, &mut columns, &fields);
    rules::dates::decide(&table.rows, &mut columns);
    let decimal_comma = guess::decimal_comma(&table.rows, &columns, &fields);
    Ok((columns, decimal_comma))
}

/// Reads the file of an import in another way and guesses its columns again.
async fn read_anew(ws: &Ws, import: &Import, how: FileRead) -> Result<ImportPatch, CrmError> {
    let (file, name, home) = (import.file, import.name.clone(), import.home);
    ws.read_blocking(move |ws| {
        let table = read(ws, (file, &name), how.clone())?;
        let (columns, decimal_comma) = guessed(ws, home, &table)?;
        let how = FileRead { encoding: table.encoding.map(str::to_owned), ..how };
        Ok(ImportPatch {
            decimal_comma: Some(decimal_comma),
            columns: Some(columns),
            read: Some((how, table.rows.len())),
            ..ImportPatch::default()
        })
    })
    .await
}

/// Reads a received file and guesses its columns.
///
/// # Errors
/// When it contains no table.
pub fn look_at(
    ws: &Ws,
    home: Home,
    (file, name): (BlobId, &str),
) -> Result<(NewImport, Table), CrmError> {
    let table = read(ws, (file, name), FileRead::default())?;
    let (columns, decimal_comma) = guessed(ws, home, &table)?;
    let (rows, name) = (table.rows.len(), name.to_owned());
    let encoding = table.encoding.map(str::to_owned);
    Ok((NewImport { home, name, file, columns, rows, decimal_comma, encoding }, table))
}

/// The rows of a table with their numbers in the file.
fn numbered(table: &Table, from: usize, most: usize) -> Vec<Numbered<'_>> {
    let rows = table.rows.iter().zip(&table.numbers).skip(from).take(most);
    rows.map(|(row, number)| (u32::try_from(*number).unwrap_or(u32::MAX), row.as_slice())).collect()
}

/// The initial context of a table's import.
fn context_of(table: &Table) -> ImportContext {
    ImportContext { is_typed: table.format == sheet::Format::Json, ..ImportContext::default() }
}

/// What an import would do.
#[derive(Default)]
pub struct Preview {
    /// Results of the rows. If there are very many problems, only the first are stored.
    pub came: Came,
    /// Number of processed rows.
    pub rows: usize,
    /// Number of problems by column heading; an empty heading for whole rows.
    pub wrong: BTreeMap<String, usize>,
    /// What it would add to the fields, in sentences.
    pub adds: Vec<String>,
    /// Field keys that the columns are mapped to.
    pub keys: Vec<Option<String>>,
}

impl Preview {
    /// Adds the results of more rows. Memory stays bounded for large files.
    fn take(&mut self, came: Came, rows: usize) {
        for problem in came.problems {
            let of_column = self.wrong.entry(problem.column.clone()).or_default();
            *of_column += 1;
            if self.came.problems.len() < MOST_PROBLEMS || *of_column <= LEAST_PROBLEMS {
                self.came.problems.push(problem);
            }
        }
        let before = self.came.rows.len();
        self.came.rows.extend(came.rows);
        for row in self.came.rows.iter_mut().skip(before.max(WHOLE)) {
            for cell in &mut row.cells {
                cell.old = ellipsis(&cell.old, SHORT);
                cell.new = ellipsis(&cell.new, SHORT);
            }
        }
        self.came.counts += came.counts;
        self.rows += rows;
    }
}

/// Imports all rows on a snapshot and discards the result. Before each piece, calls `goes_on` with the number of
/// processed rows.
///
/// # Errors
/// When a field cannot be created, no column is mapped to the name, or `goes_on` returns `false`.
pub fn preview(
    ws: &Ws,
    snap: &Snap<'_>,
    ((import, table), who): ((&Import, &Table), Actor),
    goes_on: impl Fn(usize) -> bool,
) -> Result<Preview, CrmError> {
    let (mut seen, mut context) = (Preview::default(), context_of(table));
    ws.store.rehearse::<CrmError>(snap, (who, Cause::Import(import.id)), |tx| {
        let begun = rules::begin_import(tx, import.id, &table.rows)?;
        let key = |mapped: &Mapped| mapped.goes.field().map(str::to_owned);
        seen.keys = begun.import.columns.iter().map(key).collect();
        seen.adds = begun.adds;
        while seen.rows < table.rows.len() {
            if !goes_on(seen.rows) {
                return Err(CrmError::Refused("the preview was cancelled".to_owned()));
            }
            let piece = numbered(table, seen.rows, PIECE);
            if piece.is_empty() {
                break;
            }
            let came = rules::bring(tx, &begun.import, &piece, &mut context)?;
            seen.take(came, piece.len());
        }
        Ok(())
    })?;
    Ok(seen)
}

/// Starts an import and its background work. Idempotent with the same key.
///
/// # Errors
/// When it has started already, a field cannot be created, or no column is mapped to the name.
pub async fn start(ws: &Ws, who: &Person, id: ImportId, once: Once) -> Result<(), CrmError> {
    if ws.read(|snap| once.answered::<()>(snap))?.is_none() {
        let import = ws.read(|snap| found(snap, id))?;
        let table = ws.read_blocking(move |ws| table(ws, &import)).await?;
        let rows = table.rows;
        let begin = once.run(move |tx| rules::begin_import(tx, id, &rows).map(drop));
        ws.write(&(who.actor(), Cause::Import(id)), begin).await?;
    }
    go_on(ws, id);
    Ok(())
}

fn found(snap: &Snap<'_>, id: ImportId) -> Result<Import, CrmError> {
    snap.get(id)?.ok_or_else(|| CrmError::no("import", &id.to_string()))
}

/// Continues an import from its cursor in the background.
pub fn go_on(ws: &Ws, id: ImportId) {
    pieces::go_on(ws, id);
}

/// At start-up, resumes imports, undos and redos that were interrupted.
pub fn begin(ws: &Ws) {
    pieces::turn_on::<ImportId>(ws, |ws| {
        let all: Vec<Import> = ws.read(|snap| snap.list(&Range::all()))?;
        let turns = all.into_iter().filter(|import| import.state == ImportState::Undoing);
        Ok(turns.map(|import| import.id).collect())
    });
    let running = ws.read(|snap| snap.ids::<Import>(IMPORTS_RUNNING, &Range::all()));
    match running {
        Ok(running) => running.into_iter().for_each(|id| go_on(ws, id)),
        Err(error) => tracing::warn!(%error, "imports cannot be read"),
    }
}

impl Pieces for ImportId {
    const NAME: &'static str = "an import";

    fn run(self, ws: Ws) -> impl Future<Output = Result<(), CrmError>> + Send + 'static {
        run(ws, self)
    }

    fn by(self, ws: &Ws) -> (Actor, Cause) {
        let found: Result<Option<Import>, StoreError> = ws.read(|snap| snap.get(self));
        // ok: an unreadable import writes nothing.
        let actor = found.ok().flatten().map_or(Actor::System(Part::Engine), |one| one.by);
        (actor, Cause::Import(self))
    }

    fn fail(self, tx: &mut WriteTx<'_>, why: String) -> Result<(), CrmError> {
        rules::fail_import(tx, self, why).map(drop)
    }

    fn made(self, read: &dyn Read) -> Result<(ImportState, Vec<u64>, u64), CrmError> {
        let found: Option<(Import, u64)> = read.get_rev(self)?;
        let (import, rev) = found.ok_or_else(|| CrmError::no("import", &self.to_string()))?;
        Ok((import.state, import.entries, rev))
    }

    fn taken_back(
        self,
        tx: &mut WriteTx<'_>,
        back: (u64, Option<u64>, Stays),
    ) -> Result<(), CrmError> {
        rules::taken_back(tx, self, back).map(drop)
    }
}

async fn run(ws: Ws, id: ImportId) -> Result<(), CrmError> {
    let halt = ws.halt();
    let import = ws.read(|snap| found(snap, id))?;
    let who = (import.by, Cause::Import(id));
    let mut at = usize::try_from(import.next).unwrap_or(usize::MAX);
    let table = std::sync::Arc::new(ws.read_blocking(move |ws| table(ws, &import)).await?);
    let mut context = context_of(&table);
    // A shutdown waits for one piece, not for all of them.
    while !halt.is_cancelled() {
        let (rows, from) = (table.clone(), u32::try_from(at).unwrap_or(u32::MAX));
        let (goes_on, kept) = ws
            .write(&who, move |tx| {
                let chunk = numbered(&rows, usize::try_from(from).unwrap_or(usize::MAX), PIECE);
                let goes_on = rules::import_rows(tx, id, (from, &chunk), &mut context)?;
                Ok::<_, CrmError>((goes_on, context))
            })
            .await?;
        context = kept;
        if !goes_on {
            break;
        }
        at += PIECE;
    }
    Ok(())
}

/// Starts the undo of an import, newest entry first, or its redo. Untouched new records are deleted and changed cells
/// reverted; later changes by others stay. Returns the import after a short wait, in which small ones finish.
///
/// # Errors
/// When there is nothing to undo, or the import is still running.
pub async fn take_back(
    ws: &Ws,
    who: &Person,
    (id, turn): (ImportId, Turn),
    once: Once,
) -> Result<Import, CrmError> {
    ws.write(who, once.run(move |tx| rules::turn_import(tx, id, turn).map(drop))).await?;
    pieces::turn(ws, id, Some(who.clone())).await;
    ws.read(|snap| found(snap, id))
}

#[cfg(test)]
mod tests {
    use super::{LEAST_PROBLEMS, MOST_PROBLEMS, Preview};
    use crate::model::RowProblem;
    use crate::rules::Came;

    #[test]
    fn of_very_many_problems_the_first_are_kept_and_all_are_counted() {
        let came = |column: &str, many: usize| {
            let one = |_| RowProblem { row: 2, column: column.to_owned(), says: String::new() };
            Came { problems: (0..many).map(one).collect(), ..Came::default() }
        };
        let mut seen = Preview::default();
        seen.take(came("email", MOST_PROBLEMS), 1);
        seen.take(came("email", 7), 1);
        seen.take(came("phone", LEAST_PROBLEMS + 5), 1);
        assert_eq!(seen.came.problems.len(), MOST_PROBLEMS + LEAST_PROBLEMS);
        assert_eq!(
            (seen.wrong["email"], seen.wrong["phone"]),
            (MOST_PROBLEMS + 7, LEAST_PROBLEMS + 5)
        );
        assert_eq!(seen.rows, 3);
    }
}
