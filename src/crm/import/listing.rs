//! The page of all imports, and the progress of an import in words.

use askama::Template;
use axum::response::Response;

use app::Ws;
use features::tasks::queries::due;
use features::tasks::queries::view_context::ViewContext;
use sheet::Table;
use store::{Range, Read, ReadExt as _};
use web::error::PageError;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::Face;
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::guess::is_filled;
use super::pages::place;
use super::{mapping, order};
use crate::columns;
use crate::error::CrmError;
use crate::model::{Counts, Import, ImportState};
use crate::pieces;

struct ImportLine {
    name: String,
    href: String,
    what: String,
    said: String,
    by: Face,
    at: RelTime,
}

#[derive(Template)]
#[template(path = "crm/imports.html")]
struct IndexPage {
    shell: Shell,
    live: Live,
    rows: Vec<ImportLine>,
}

web::region!(IndexPage, as_rows, IndexRows, "crm/imports-rows.html");

pub(super) async fn index(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
) -> Result<Response, PageError> {
    /// Maximum number of imports on the page.
    const MOST: usize = 200;
    let page = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        let mut rows = Vec::new();
        for import in snap.list::<Import>(&Range::all().reverse().limit(MOST))? {
            rows.push(ImportLine {
                href: ws.url(&format!("imports/{}", import.id)),
                what: place(snap, import.home)?.1,
                said: describe(&import),
                by: scene.people.actor(import.by),
                at: scene.time(import.created_at),
                name: title(&import),
            });
        }
        Ok::<_, CrmError>(IndexPage {
            shell,
            live: Live::new(ws.url("imports")).table("imports").debounced(),
            rows,
        })
    })?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

pub(super) fn title(import: &Import) -> String {
    if import.name.is_empty() { "Pasted text".to_owned() } else { import.name.clone() }
}

fn counted(n: u32, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// Notes about how a file is read. With its table these are peculiarities of the file; date orders are then shown with
/// their columns.
pub(super) fn notes(
    read: &dyn Read,
    import: &Import,
    table: Option<&Table>,
) -> Result<Vec<String>, CrmError> {
    let is_told = |n: usize| table.is_none_or(|table| is_filled(&table.rows, n));
    let mut notes = match table {
        Some(table) => table.notes.clone(),
        None => order::notes(&import.columns, &columns::of(read, import.home)?),
    };
    notes.extend(mapping::left_out(&import.columns, is_told));
    Ok(notes)
}

/// The number of cells that stay empty because they are unreadable, in words; `None` if there are none.
pub(super) fn left_out(cells: u32) -> Option<String> {
    match cells {
        0 => None,
        1 => Some("1 cell stays empty".to_owned()),
        n => Some(format!("{n} cells stay empty")),
    }
}

/// Who imported, when, and where the new records are.
pub(super) struct Past {
    pub(super) by: Face,
    pub(super) at: RelTime,
    /// Number of new records in words, and the list of the records created on that day; empty if there are none.
    pub(super) made: String,
    pub(super) made_href: String,
}

impl Past {
    /// `list` is the path of the list, below the workspace.
    pub(super) fn of(scene: &ViewContext, import: &Import, list: &str) -> Self {
        let day = due::day(import.updated_at, &scene.today.zone);
        let (made, made_href) = match (&import.state, import.counts.made) {
            (ImportState::Undone, _) | (_, 0) => (String::new(), String::new()),
            (_, made) => {
                let href = scene.ws.url(&format!("{list}?q=created:{day}&sort=-created"));
                (counted(made, "new record"), href)
            }
        };
        let by = scene.people.actor(import.by);
        Self { by, at: scene.time(import.updated_at), made, made_href }
    }
}

/// Progress of an import as a sentence.
pub(super) fn describe(import: &Import) -> String {
    let Counts { made, changed, skipped, wrong, cells } = import.counts;
    let mut came = format!("{made} new, {changed} changed, {skipped} skipped, {wrong} failed");
    if let Some(left) = left_out(cells) {
        came = format!("{came}; {left}");
    }
    match &import.state {
        ImportState::Draft => format!("{} rows, not imported yet", import.rows),
        ImportState::Running => format!("{} of {} rows: {came}", import.next, import.rows),
        ImportState::Done => came,
        ImportState::Cancelled if import.next == 0 => "Cancelled".to_owned(),
        ImportState::Cancelled => {
            format!("Stopped after {} of {} rows: {came}", import.next, import.rows)
        }
        ImportState::Undoing => pieces::turning(&import.entries),
        ImportState::Undone => {
            let kept = [(import.kept, "record"), (import.kept_fields, "value")];
            let kept: Vec<String> =
                kept.into_iter().filter(|(n, _)| 0 < *n).map(|(n, one)| counted(n, one)).collect();
            match kept.is_empty() {
                true => "Undone".to_owned(),
                false => format!("Undone except for {}", kept.join(" and ")),
            }
        }
        ImportState::Failed(why) => why.clone(),
    }
}
