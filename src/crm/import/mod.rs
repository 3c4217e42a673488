//! Imports of files: read, previewed on a snapshot by the function that imports, brought in 500 rows a transaction, taken
//! up again after a kill, taken back.

pub mod api;
pub mod guess;
mod listing;
mod mapping;
pub mod pages;

use app::{Who as _, Ws};
use features::history::queries::error::HistoryError;
use features::history::queries::fields::Speaker;
use features::history::queries::guard::Undoer;
use features::history::queries::names::Names;
use features::history::queries::outlook::Outlook;
use features::history::queries::preview::{Keeps, what_stays};
use features::history::queries::scope::Wanted;
use features::history::undo;
use jiff::tz::TimeZone;
use kernel::{Cause, ImportId};
use noun::Target;
use sheet::{Options, Table};
use store::{BlobId, Range, ReadExt as _, Snap, StoreError};
use uuid::Uuid;
use web::idempotency::Once;
use web::session::Person;

use crate::columns;
use crate::error::CrmError;
use crate::model::{Home, IMPORTS_RUNNING, Import, ImportState, MAX_STAYED, Stayed};
use crate::rules::{self, Came, NewImport, Numbered, Stays};

/// The largest file, in bytes.
pub const MAX_BYTES: u64 = 20 * 1024 * 1024;
/// Rows of a transaction.
const CHUNK: usize = 500;
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
    let mut seen = Preview { came: Came::default(), rows: rows.len(), adds: Vec::new() };
    ws.store.rehearse::<CrmError>(snap, (who.actor(), Cause::Import(import.id)), |tx| {
        let begun = rules::begin_import(tx, import.id, &table.rows)?;
        seen.came = rules::bring(tx, &begun.import, &rows)?;
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
    let own = ws.clone();
    ws.spawn("import", async move {
        match run(&own, id).await {
            Ok(()) => {}
            // It stands where it stood, and goes on at the next start or when somebody asks.
            Err(CrmError::Store(error)) => tracing::warn!(%error, import = %id, "an import rests"),
            Err(error) => {
                let why = web::form::sentence(&error.to_string());
                let noted =
                    own.write(&by(&own, id), move |tx| rules::fail_import(tx, id, why)).await;
                if let Err(error) = noted {
                    tracing::warn!(%error, import = %id, "an import rests");
                }
            }
        }
    });
}

/// Takes up imports that the program left in the middle.
pub fn begin(ws: &Ws) {
    let running = ws.read(|snap| snap.ids::<Import>(IMPORTS_RUNNING, &Range::all()));
    match running {
        Ok(running) => running.into_iter().for_each(|id| go_on(ws, id)),
        Err(error) => tracing::warn!(%error, "imports cannot be read"),
    }
}

/// Who an import acts as.
fn by(ws: &Ws, id: ImportId) -> (kernel::Actor, Cause) {
    let found: Result<Option<Import>, StoreError> = ws.read(|snap| snap.get(id));
    // ok: one that cannot be read writes nothing.
    let actor =
        found.ok().flatten().map_or(kernel::Actor::System(kernel::Part::Engine), |one| one.by);
    (actor, Cause::Import(id))
}

async fn run(ws: &Ws, id: ImportId) -> Result<(), CrmError> {
    let import = ws.read(|snap| found(snap, id))?;
    let who = (import.by, Cause::Import(id));
    let mut at = usize::try_from(import.next).unwrap_or(usize::MAX);
    let table = std::sync::Arc::new(ws.look(move |ws| table(ws, &import)).await?);
    loop {
        let (rows, from) = (table.clone(), u32::try_from(at).unwrap_or(u32::MAX));
        let goes_on = ws
            .write(&who, move |tx| {
                let chunk = numbered(&rows, usize::try_from(from).unwrap_or(usize::MAX), CHUNK);
                rules::import_rows(tx, id, (from, &chunk))
            })
            .await?;
        if !goes_on {
            return Ok(());
        }
        at += CHUNK;
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
    for entry in import.entries.iter().rev().copied() {
        let stays = stays(ws, who, entry).await?;
        let done = undo::undo(ws, who, (Wanted::Entry(entry), None), Once::without_key()).await;
        match done {
            // It went back before, or nothing of it is left.
            Ok(_) | Err(HistoryError::Nothing) => {}
            Err(HistoryError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(CrmError::Refused(error.to_string())),
        }
        ws.write(who, move |tx| rules::taken_back(tx, id, (Some(entry), stays))).await?;
    }
    ws.write(who, move |tx| rules::taken_back(tx, id, (None, Stays::default()))).await
}

/// What stays when an entry of an import is taken back now.
async fn stays(ws: &Ws, who: &Person, entry: u64) -> Result<Stays, CrmError> {
    let who = who.clone();
    ws.look(move |ws| {
        let by = Undoer::of(ws, &who)?;
        ws.read(|snap| {
            let schema = ws.store.schema();
            let outlook = match Outlook::of(snap, schema, &Wanted::Entry(entry), &by) {
                Ok(outlook) => outlook,
                Err(HistoryError::Store(error)) => return Err(error.into()),
                // The undo itself says what is wrong.
                Err(_) => return Ok(Stays::default()),
            };
            let names = Names::new(snap)?;
            let speaker = Speaker { names: &names, zone: TimeZone::UTC };
            let kept = what_stays(snap, schema, &speaker, &outlook)?;
            Ok(told(&kept, MAX_STAYED))
        })
    })
    .await
}

/// What stays of a plan, counted, with the first lines of it.
fn told(kept: &[Keeps], most: usize) -> Stays {
    let mut stays = Stays::default();
    for one in kept {
        // ok: what has no id of this kind has no page either, and is counted alone.
        let id = Uuid::from_slice(&one.record.key).ok();
        let mut tell = |field: &str, says: &str| {
            if let (Some(id), true) = (id, stays.told.len() < most) {
                let record = Target { table: one.record.table, id };
                let (field, says) = (field.to_owned(), web::form::sentence(says));
                stays.told.push(Stayed { record, field, says });
            }
        };
        match &one.whole {
            Some(why) => {
                tell("", why);
                stays.records += 1;
            }
            None => {
                one.fields.iter().for_each(|field| tell(&field.label, &field.why));
                stays.fields += one.fields.len();
            }
        }
    }
    stays
}
