//! The history of one record: a page of its own, and a region that other pages fetch.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Map;

use app::{App, Ws};
use store::{Root, StoreError};
use web::error::PageError;
use web::extract::{Path2, Query};
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

/// Versions of one page.
const PAGE: usize = 20;

#[derive(Deserialize)]
pub(super) struct Asked {
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "history/_versions.html")]
struct List {
    live: Option<Live>,
    versions: Vec<VersionView>,
    next: String,
    first: bool,
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
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let told =
        ws.look(move |ws| told(&Look::new(&app, ws, &who), (&table, &id), asked.before.as_deref()));
    let (list, title, noun) = told.await?;
    match hx.is_partial() {
        true => html::fragment(&list),
        false => html::page(&Show { shell, title, noun, list }),
    }
}

/// Looks a record's versions up and puts them into words, with what it is called and what it is. May
/// take a while.
fn told(
    look: &Look<'_>,
    named: (&str, &str),
    before: Option<&str>,
) -> Result<(List, Cell, &'static str), HistoryError> {
    let (ws, schema) = (look.ws, look.ws.store.schema());
    let before = place(&ws.store, before)?;
    ws.read(|snap| {
        let record = record(snap, schema, look.who, named)?;
        let names = Names::new(snap)?;
        let title = title(snap, look, &names, &record)?;
        let list = list(snap, look, &names, &record, before)?;
        let noun =
            schema.table(record.table).map_or("record", |info| noun(info.number, info.name).0);
        Ok((list, look.cell(title), noun))
    })
}

/// What the record is called now, or was called last.
fn title(
    read: &impl store::Read,
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
            // Settings that nobody has touched are there all the same.
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
    read: &impl store::Read,
    look: &Look<'_>,
    names: &Names<'_>,
    record: &Root,
    before: Option<u64>,
) -> Result<List, HistoryError> {
    let schema = look.ws.store.schema();
    let of = (Looker::of(look.who), record);
    let page = versions::page(read, schema, of, (before, PAGE))?;
    let page = page.ok_or(HistoryError::BadCursor)?;
    let href = look.history(record);
    let view = |version: &store::history::Version| -> Result<_, StoreError> {
        Ok(VersionView {
            seq: version.seq,
            at: look.time(version.at),
            by: look.byline(names, (version.actor, version.cause))?,
            change: look.change(names, record, version)?,
            entry: look.entry(version.seq),
        })
    };
    let views = page.versions.iter().map(view).collect::<Result<_, _>>()?;
    let table = schema.table(record.table).map_or("", |info| info.name);
    let live = before.is_none().then(|| Live::new(&*href).record(table, id_text(schema, record)));
    let next = page.next.map(|seq| format!("{href}?before={}", next_place(&look.ws.store, seq)));
    let next = next.unwrap_or_default();
    Ok(List { live, versions: views, next, first: before.is_none() })
}
