//! The events that can trigger routines, with their fields; generated from `registry`.

use askama::Template;
use axum::response::Response;

use app::Ws;
use features::routines::registry::{self, Field, Kind};
use serde::Deserialize;
use web::error::PageError;
use web::extract::Query;
use web::format;
use web::html;
use web::parts::Tab;
use web::shell::Shell;

/// An event with its fields.
struct Row {
    word: &'static str,
    label: &'static str,
    fields: Vec<(&'static str, &'static str, String)>,
    new_url: String,
}

#[derive(Template)]
#[template(path = "routines/events.html")]
struct EventsPage {
    shell: Shell,
    groups: Vec<Tab>,
    label: &'static str,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
pub(super) struct EventsParams {
    /// Label of the group to show; the first group if unknown.
    group: Option<String>,
}

/// Lists the events of one group; all groups together are 400 KB.
pub(super) async fn list(
    ws: Ws,
    shell: Shell,
    Query(params): Query<EventsParams>,
) -> Result<Response, PageError> {
    let groups = registry::groups();
    let is_asked = |label: &str| params.group.as_deref() == Some(label);
    let at = groups.iter().position(|(label, _)| is_asked(label)).unwrap_or_default();
    let tab = |(n, (label, _)): (usize, &(&'static str, Vec<&'static Kind>))| {
        let query = format!("routines/events?group={}", format::query_value(label));
        Tab::new(*label, ws.url(&query), n == at)
    };
    let tabs = groups.iter().enumerate().map(tab).collect();
    let (label, kinds) = groups.into_iter().nth(at).unwrap_or_default();
    let rows = kinds.into_iter().map(|kind| row(&ws, kind)).collect();
    html::page(&EventsPage { shell, groups: tabs, label, rows })
}

fn row(ws: &Ws, kind: &'static Kind) -> Row {
    let field = |field: &'static Field| {
        let words = field.of.words();
        let of = match words.is_empty() {
            true => field.of.word().replace('_', " "),
            false => words.join(", "),
        };
        (field.name, field.label, of)
    };
    Row {
        word: kind.word,
        label: kind.label,
        fields: kind.fields().map(field).collect(),
        new_url: ws.url(&format!("routines/new?when=event&event={}", kind.word)),
    }
}
