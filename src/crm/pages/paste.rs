//! Pasting cells of a spreadsheet into a table: a preview with refused cells, then the change.

use app::{App, Who as _, Ws};
use askama::Template;
use axum::response::{IntoResponse as _, Response};
use features::tasks::queries::view_context::ViewContext;
use serde_json::Value;
use store::Snap;
use uuid::Uuid;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::format;
use web::html;
use web::hx::{Ask, Hx};
use web::parts::Tone;
use web::session::Person;
use web::shell::Flash;

use super::list_url;
use crate::error::CrmError;
use crate::model::{CollectionId, RowKind};
use crate::path_kind::PathKind;
use crate::queries;
use crate::rules::{self, Block, Pasted, RefusedCell};
use crate::typed::{FormValues, text};

/// Maximum number of listed refused cells.
const LISTED: usize = 50;

/// The preview of a paste.
#[derive(Template)]
#[template(path = "crm/paste.html")]
struct PasteDialog {
    action: String,
    rows: String,
    fields: String,
    text: String,
    /// The changes in words.
    told: String,
    /// What is outside of the table, in words; empty if nothing.
    left: String,
    /// Label of the button; empty if nothing would change.
    verb: String,
    refused: Vec<RefusedCell>,
    more: usize,
}

/// Pastes cells into the list of a kind.
pub(super) async fn paste(
    PathKind(kind): PathKind,
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    answer(kind, (app, ws, who), hx, (None, form)).await
}

/// Pastes cells into the list of a collection.
pub(super) async fn paste_records(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    answer(RowKind::RECORDS, (app, ws, who), hx, (Some(id), form)).await
}

async fn answer(
    kind: &'static RowKind,
    (app, ws, who): (App, Ws, Person),
    hx: Hx,
    (collection, form): (Option<CollectionId>, FormValues),
) -> Result<Response, PageError> {
    let base = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        Ok::<_, CrmError>(list_url(kind, &scene, collection))
    })?;
    let (block, left) = block_of(kind, &form);
    if text(&form, "sure").is_empty() {
        let pasted = preview(&ws, &who, &block)?;
        return html::fragment(&dialog(&form, format!("{base}/paste"), (pasted, left)));
    }
    let done = ws.write(&who, move |tx| {
        let pasted = rules::paste(tx, &block)?;
        // ok: without changes there is nothing to undo.
        Ok::<_, CrmError>((pasted, tx.seq().ok()))
    });
    let (pasted, entry) = done.await?;
    let words = match pasted.cells {
        0 => "No changes".to_owned(),
        cells => format!("Pasted {}", format::count(cells as u64, "cell", "cells")),
    };
    if !hx.is_partial() {
        return Ok(flash::say(&app, Flash::ok(words), hx.go_to(&base)));
    }
    let ask = Ask::new().close_dialog().changed(kind.table.name, "any");
    let ask = match entry {
        Some(seq) => ask.toast_with_undo(&words, &ws.url(&format!("undo/entry/{seq}"))),
        None => ask.toast(Tone::Ok, &words),
    };
    Ok((ask, "").into_response())
}

/// The block of a form, and the number of rows and columns outside of the table.
fn block_of(kind: &'static RowKind, form: &FormValues) -> (Block, (usize, usize)) {
    let rows: Vec<Uuid> = text(form, "rows").split(',').filter_map(|id| id.parse().ok()).collect();
    let fields: Vec<String> = text(form, "fields").split(',').map(str::to_owned).collect();
    let mut cells = cells_of(text(form, "text"));
    let width = cells.iter().map(Vec::len).max().unwrap_or_default();
    let left = (cells.len().saturating_sub(rows.len()), width.saturating_sub(fields.len()));
    cells.truncate(rows.len());
    for row in &mut cells {
        row.truncate(fields.len());
    }
    let values = |row: Vec<String>| row.into_iter().map(Value::String).collect::<Vec<_>>();
    let cells = cells.into_iter().map(values).collect();
    (Block { kind, rows, fields, cells }, left)
}

/// Parses text as copied by spreadsheets: a line per row, tabs between cells. A cell with a line break is quoted.
fn cells_of(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\r\n", "\n");
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut chars, mut quoted) = (text.chars().peekable(), false);
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            '\t' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    if quoted {
        // An unclosed quotation mark is part of the text.
        let cells = |line: &str| line.split('\t').map(str::to_owned).collect();
        return text.lines().map(cells).collect();
    }
    if !row.is_empty() || !cell.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

/// Pastes on a snapshot and discards the result.
fn preview(ws: &Ws, who: &Person, block: &Block) -> Result<Pasted, CrmError> {
    ws.read(|snap| rehearsed((ws, who), snap, block))
}

/// What pasting a block would do now.
///
/// # Errors
/// The errors of pasting it.
pub(crate) fn rehearsed(
    (ws, who): (&Ws, &Person),
    snap: &Snap<'_>,
    block: &Block,
) -> Result<Pasted, CrmError> {
    let mut pasted = Pasted::default();
    ws.store.rehearse::<CrmError>(snap, (who.actor(), who.cause()), |tx| {
        pasted = rules::paste(tx, block)?;
        Ok(())
    })?;
    Ok(pasted)
}

fn dialog(
    form: &FormValues,
    action: String,
    (mut pasted, (rows, columns)): (Pasted, (usize, usize)),
) -> PasteDialog {
    let cells = format::count(pasted.cells as u64, "cell", "cells");
    let more = pasted.refused.len().saturating_sub(LISTED);
    pasted.refused.truncate(LISTED);
    let outside: Vec<String> = [(rows, "row", "rows"), (columns, "column", "columns")]
        .into_iter()
        .filter(|(count, ..)| 0 < *count)
        .map(|(count, one, many)| format::count(count as u64, one, many))
        .collect();
    PasteDialog {
        action,
        rows: text(form, "rows").to_owned(),
        fields: text(form, "fields").to_owned(),
        text: text(form, "text").to_owned(),
        told: match pasted.cells {
            0 => "No changes.".to_owned(),
            _ => {
                let rows = format::count(pasted.rows as u64, "row", "rows");
                format!("{cells} in {rows} will change.")
            }
        },
        left: match outside.is_empty() {
            true => String::new(),
            false => format!("Skipped, outside the table: {}.", outside.join(" and ")),
        },
        verb: if pasted.cells == 0 { String::new() } else { format!("Paste {cells}") },
        refused: pasted.refused,
        more,
    }
}

#[cfg(test)]
mod tests {
    use super::cells_of;

    #[test]
    fn cells_are_read_as_spreadsheets_copy_them() {
        assert_eq!(cells_of("a\tb\r\nc\t\r\n"), [["a", "b"], ["c", ""]]);
        assert_eq!(cells_of("one"), [["one"]]);
        assert_eq!(
            cells_of("\"two\nlines\"\t\"a \"\"b\"\"\"\n\n"),
            [vec!["two\nlines", "a \"b\""], vec![""]]
        );
        assert_eq!(cells_of("\"open\tx\ny"), [vec!["\"open", "x"], vec!["y"]]);
        assert_eq!(cells_of("5\" pipe"), [["5\" pipe"]]);
        assert!(cells_of("").is_empty());
    }
}
