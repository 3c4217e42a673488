//! The history of a record, as a page and as a region of other pages.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Map;

use app::{App, Ws};
use store::Root;
use web::error::PageError;
use web::extract::{Path2, Query};
use web::format::query_value;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::session::Person;
use web::shell::Shell;

use super::{Cell, Look, VersionView};
use features::history::queries::error::HistoryError;
use features::history::queries::names::{Names, Word, noun};
use features::history::queries::readable::Looker;
use features::history::queries::versions::{self, fields_of};
use features::history::queries::{id_text, is_only_one, next_place, place, record};

/// Versions per page.
const PAGE: usize = 20;
/// How many pages are searched for changes of one field.
const LOOKS: usize = 10;

#[derive(Deserialize)]
pub(super) struct HistoryPageParams {
    before: Option<String>,
    /// Name of a field in the record's JSON; only its changes are shown.
    #[serde(default)]
    field: String,
}

#[derive(Template)]
#[template(path = "history/_versions.html")]
struct List {
    live: Option<Live>,
    versions: Vec<VersionView>,
    next: String,
    first: bool,
    /// The selected field, and the address of the full history.
    field: Option<Cell>,
}

#[derive(Template)]
#[template(path = "history/show.html")]
struct Show {
    shell: Shell,
    title: Cell,
    noun: &'static str,
    list: List,
}

/// `GET /history/{table}/{id}`
pub(super) async fn show(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path2(table, id): Path2<String, String>,
    Query(params): Query<HistoryPageParams>,
) -> Result<Response, PageError> {
    let listing = ws
        .read_blocking(move |ws| version_list(&Look::new(&app, ws, &who), (&table, &id), &params));
    let (list, title, noun) = listing.await?;
    match hx.is_partial() {
        true => html::fragment(&list),
        false => html::page(&Show { shell, title, noun, list }),
    }
}

/// Reads a record's versions in words, with its title and its noun. May be slow, so it runs on a blocking thread.
fn version_list(
    look: &Look<'_>,
    named: (&str, &str),
    params: &HistoryPageParams,
) -> Result<(List, Cell, &'static str), HistoryError> {
    let (ws, schema) = (look.ws, look.ws.store.schema());
    let before = place(&ws.store, params.before.as_deref())?;
    ws.read(|snap| {
        let record = record(snap, schema, look.who, named)?;
        let names = Names::new(snap)?;
        let title = title(snap, look, &names, &record)?;
        let list = list(snap, look, &names, &record, (before, &params.field))?;
        let noun =
            schema.table(record.table).map_or("record", |info| noun(info.number, info.name).0);
        Ok((list, look.cell(title), noun))
    })
}

/// The record's current or last title.
fn title(
    read: &dyn store::Read,
    look: &Look<'_>,
    names: &Names<'_>,
    record: &Root,
) -> Result<Word, HistoryError> {
    let schema = look.ws.store.schema();
    let row = read.raw_get(record.table, &record.key)?;
    let mut fields = fields_of(schema, record.table, row.as_deref());
    if fields.is_none() {
        let of = (Looker::of(look.who), record);
        let last = versions::page(read, schema, of, (None, 1))?.unwrap_or_default();
        let bytes = last.versions.first().and_then(|version| version.before.bytes());
        fields = fields_of(schema, record.table, bytes);
        if last.versions.is_empty() {
            // Default settings exist without a row.
            return match is_only_one(record) {
                true => Ok(names.title(record.table, &Map::new())?),
                false => Err(HistoryError::NotFound(id_text(schema, record))),
            };
        }
    }
    Ok(match fields {
        Some(fields) => names.title(record.table, &fields)?,
        None => Word::plain("A removed record"),
    })
}

fn list(
    read: &dyn store::Read,
    look: &Look<'_>,
    names: &Names<'_>,
    record: &Root,
    (before, field): (Option<u64>, &str),
) -> Result<List, HistoryError> {
    let schema = look.ws.store.schema();
    let of = (Looker::of(look.who), record);
    let (mut from, mut looks, mut label) = (before, 0, field.to_owned());
    let (versions, next) = loop {
        let page = versions::page(read, schema, of, (from, PAGE))?;
        let page = page.ok_or(HistoryError::BadCursor)?;
        let mut views = Vec::new();
        for version in &page.versions {
            let mut description =
                versions::describe(&look.speaker(names), schema, record.table, version)?;
            if !field.is_empty() {
                description.fields.retain(|one| one.name == field);
                match description.fields.first() {
                    Some(first) => label.clone_from(&first.label),
                    None if description.missing.is_empty() => continue,
                    None => {}
                }
            }
            views.push(VersionView {
                seq: version.seq,
                at: look.time(version.at),
                by: look.byline(names, (version.actor, version.cause))?,
                change: look.change_told(description, record, version),
                entry: look.entry(version.seq),
            });
        }
        looks += 1;
        from = page.next;
        // Changes of one field may be far apart.
        if !views.is_empty() || from.is_none() || LOOKS <= looks {
            break (views, page.next);
        }
    };
    let href = look.history(record);
    let at = match field {
        "" => href.clone(),
        field => format!("{href}?field={}", query_value(field)),
    };
    let table = schema.table(record.table).map_or("", |info| info.name);
    let live = before.is_none().then(|| Live::new(&*at).record(table, id_text(schema, record)));
    let sign = if field.is_empty() { '?' } else { '&' };
    let next = next.map(|seq| format!("{at}{sign}before={}", next_place(&look.ws.store, seq)));
    Ok(List {
        live,
        versions,
        next: next.unwrap_or_default(),
        first: before.is_none(),
        field: (before.is_none() && !field.is_empty()).then_some(Cell { text: label, href }),
    })
}
