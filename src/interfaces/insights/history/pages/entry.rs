//! An entry of the feed: all changes of one transaction, and its undo.

use askama::Template;
use axum::response::Response;

use app::{App, Ws};
use kernel::Can;
use web::error::PageError;
use web::extract::Path;
use web::html;
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::{BylineView, ChangeView, Look};
use features::history::queries::error::HistoryError;
use features::history::queries::names::Names;
use features::history::queries::readable::Looker;
use features::history::queries::versions::{self, EntryView};

#[derive(Template)]
#[template(path = "history/entry.html")]
struct Show {
    shell: Shell,
    seq: u64,
    at: RelTime,
    by: BylineView,
    changes: Vec<ChangeView>,
    more: usize,
    undo: String,
}

/// `GET /history/entry/{seq}`
pub(super) async fn show(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(seq): Path<u64>,
) -> Result<Response, PageError> {
    let (place, person) = (app.clone(), who.clone());
    let described = ws.read_blocking(move |ws| describe(&Look::new(&place, ws, &person), seq));
    let (entry, by, changes) = described.await?;
    let look = Look::new(&app, &ws, &who);
    let undoable = changes.iter().any(|change| !change.undo.is_empty());
    let may = undoable && who.access.may(Can::Write);
    let undo = if may { ws.url(&format!("undo?entry={seq}")) } else { String::new() };
    let at = look.time(entry.at);
    html::page(&Show { shell, seq, at, by, changes, more: entry.more, undo })
}

/// Reads an entry in words. May be slow, so it runs on a blocking thread.
fn describe(
    look: &Look<'_>,
    seq: u64,
) -> Result<(EntryView, BylineView, Vec<ChangeView>), HistoryError> {
    let ws = look.ws;
    ws.read(|snap| {
        let entry = versions::entry(snap, ws.store.schema(), Looker::of(look.who), seq)?;
        let entry = entry.ok_or(HistoryError::NoEntry(seq))?;
        let names = Names::new(snap)?;
        let by = look.byline(&names, (entry.actor, entry.cause))?;
        let changes =
            entry.changes.iter().map(|(record, version)| look.change(&names, record, version));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        Ok((entry, by, changes))
    })
}
