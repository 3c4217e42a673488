//! Imports of files: read, previewed on a snapshot by the function that imports, brought in 500 rows a transaction, taken
//! up again after a kill, taken back.

pub mod api;
pub mod guess;
mod listing;
mod mapping;
pub mod pages;
mod rows;

use app::{Who as _, Ws};
use kernel::{Actor, Cause, ImportId, Part};
use sheet::{Options, Table};
use store::{BlobId, Range, ReadExt as _, Snap, StoreError, WriteTx};
use web::session::Person;

use crate::columns;
use crate::error::CrmError;
use crate::model::{Goes, Home, IMPORTS_RUNNING, Import, ImportState, Mapped};
use crate::pieces::{self, PIECE, Pieces};
use crate::rules::{self, Came, NewImport, Numbered, Stays};

/// The largest file, in bytes.
pub const MAX_BYTES: u64 = 20 * 1024 * 1024;
/// Rows of a preview.
const PREVIEW: usize = 2_000;

/// Reads the table in a file. May take seconds.
///
/// # Errors
/// A sentence that says what is wrong with the file, and where.
pub fn table(ws: &Ws, import: &Import) -> Result<Table, CrmError> {
    read(ws, (import.file, &import.name), (import.sheet, import.header_row))
}

fn read(
    ws: &Ws,
    (file, name): (BlobId, &str),
    (at, header_row): (u32, Option<u32>),
) -> Result<Table, CrmError> {
    let bytes = ws.blobs.get(file, MAX_BYTES).map_err(|error| {
        CrmError::Store(StoreError::Failed(format!("the file could not be read: {error}")))
    })?;
    let options = Options {
        delimiter: None,
        header_row: header_row.and_then(|row| usize::try_from(row).ok()),
        sheet: if at == 0 { None } else { usize::try_from(at - 1).ok() },
    };
    sheet::read(name, &bytes, &options)
        .map_err(|error| CrmError::field("file", web::form::sentence(&error.to_string())))
}

/// What HQ makes of a file that arrived.
///
/// # Errors
/// When it holds no table.
pub fn look_at(
    ws: &Ws,
    home: Home,
    (file, name): (BlobId, &str),
) -> Result<(NewImport, Table), CrmError> {
    let table = read(ws, (file, name), (0, None))?;
    let fields = ws.read(|snap| columns::of(snap, home))?;
    let columns = guess::columns(&table.headers, &table.rows, &fields, home);
    let (rows, name) = (table.rows.len(), name.to_owned());
    let decimal_comma = guess::decimal_comma(&table.rows, &columns, &fields);
    Ok((NewImport { home, name, file, columns, rows, decimal_comma }, table))
}

/// The rows of a table with their numbers in the file.
fn numbered(table: &Table, from: usize, most: usize) -> Vec<Numbered<'_>> {
    let rows = table.rows.iter().zip(&table.numbers).skip(from).take(most);
    rows.map(|(row, number)| (u32::try_from(*number).unwrap_or(u32::MAX), row.as_slice())).collect()
}

/// What an import would do.
pub struct Preview {
    /// What the first rows of its file would become.
    pub came: Came,
    /// How many rows were looked at.
    pub rows: usize,
    /// What it would add to the fields, in sentences.
    pub adds: Vec<String>,
    /// The keys of the fields to which the columns of the file go.
    pub keys: Vec<Option<String>>,
}

/// What an import would do with the first rows of its file: brought in on a snapshot, then dropped.
///
/// # Errors
/// When a field cannot be made, no column has the name, or the store fails.
pub fn preview(
    ws: &Ws,
    snap: &Snap<'_>,
    (import, table): (&Import, &Table),
    who: &Person,
) -> Result<Preview, CrmError> {
    let rows = numbered(table, 0, PREVIEW);
    let mut seen =
        Preview { came: Came::default(), rows: rows.len(), adds: Vec::new(), keys: Vec::new() };
    ws.store.rehearse::<CrmError>(snap, (who.actor(), Cause::Import(import.id)), |tx| {
        let begun = rules::begin_import(tx, import.id, &table.rows)?;
        seen.came = rules::bring(tx, &begun.import, &rows)?;
        let key = |mapped: &Mapped| match &mapped.goes {
            Goes::Field(key) => Some(key.clone()),
            Goes::Nowhere | Goes::New(_) => None,
        };
        seen.keys = begun.import.columns.iter().map(key).collect();
        seen.adds = begun.adds;
        Ok(())
    })?;
    Ok(seen)
}

/// Begins an import and lets its rows come in.
///
/// # Errors
/// When it has begun already, a field cannot be made, or no column has the name.
pub async fn start(ws: &Ws, who: &Person, id: ImportId) -> Result<(), CrmError> {
    let import = ws.read(|snap| found(snap, id))?;
    let table = ws.look(move |ws| table(ws, &import)).await?;
    let rows = table.rows;
    ws.write(&(who.actor(), Cause::Import(id)), move |tx| rules::begin_import(tx, id, &rows))
        .await?;
    go_on(ws, id);
    Ok(())
}

fn found(snap: &Snap<'_>, id: ImportId) -> Result<Import, CrmError> {
    snap.get(id)?.ok_or_else(|| CrmError::no("import", &id.to_string()))
}

/// Lets the rows of an import come in, from where it stands.
pub fn go_on(ws: &Ws, id: ImportId) {
    pieces::go_on(ws, id);
}

/// Takes up imports that the program left in the middle.
pub fn begin(ws: &Ws) {
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
        // ok: one that cannot be read writes nothing.
        let actor = found.ok().flatten().map_or(Actor::System(Part::Engine), |one| one.by);
        (actor, Cause::Import(self))
    }

    fn fail(self, tx: &mut WriteTx<'_>, why: String) -> Result<(), CrmError> {
        rules::fail_import(tx, self, why).map(drop)
    }

    fn taken_back(self, tx: &mut WriteTx<'_>, back: (Option<u64>, Stays)) -> Result<(), CrmError> {
        rules::taken_back(tx, self, back).map(drop)
    }
}

async fn run(ws: Ws, id: ImportId) -> Result<(), CrmError> {
    let import = ws.read(|snap| found(snap, id))?;
    let who = (import.by, Cause::Import(id));
    let mut at = usize::try_from(import.next).unwrap_or(usize::MAX);
    let table = std::sync::Arc::new(ws.look(move |ws| table(ws, &import)).await?);
    loop {
        let (rows, from) = (table.clone(), u32::try_from(at).unwrap_or(u32::MAX));
        let goes_on = ws
            .write(&who, move |tx| {
                let chunk = numbered(&rows, usize::try_from(from).unwrap_or(usize::MAX), PIECE);
                rules::import_rows(tx, id, (from, &chunk))
            })
            .await?;
        if !goes_on {
            return Ok(());
        }
        at += PIECE;
    }
}

/// Takes an import back, newest entry first: rows that it made and nobody touched go, cells that it changed go back,
/// what others have changed since stays.
///
/// # Errors
/// When there is nothing to take back, or it still runs.
pub async fn take_back(ws: &Ws, who: &Person, id: ImportId) -> Result<Import, CrmError> {
    let import = ws.read(|snap| found(snap, id))?;
    match import.state {
        ImportState::Running => {
            return Err(CrmError::Refused("this import still runs; stop it first".to_owned()));
        }
        ImportState::Draft | ImportState::Undone => {
            return Err(CrmError::Refused("there is nothing to take back".to_owned()));
        }
        _ => {}
    }
    pieces::back(ws, who, id, &import.entries).await?;
    ws.read(|snap| found(snap, id))
}
