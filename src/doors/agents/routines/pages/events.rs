//! All events that routines can wait for, with their fields: the table of `registry`, for people.

use askama::Template;
use axum::response::Response;

use app::Ws;
use features::routines::registry::{self, Kind};
use web::error::PageError;
use web::html;
use web::shell::Shell;

/// An event with its fields.
struct Row {
    word: &'static str,
    label: &'static str,
    fields: Vec<(&'static str, &'static str, String)>,
    new_url: String,
}

/// Events that belong together.
struct Group {
    id: String,
    label: &'static str,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "routines/events.html")]
struct EventsPage {
    shell: Shell,
    groups: Vec<Group>,
}

/// Lists them.
pub(super) async fn list(ws: Ws, shell: Shell) -> Result<Response, PageError> {
    let row = |kind: &'static Kind| Row {
        word: kind.word,
        label: kind.label,
        fields: kind
            .fields()
            .map(|field| {
                let words = field.of.words();
                let of = match words.is_empty() {
                    true => field.of.word().replace('_', " "),
                    false => words.join(", "),
                };
                (field.name, field.label, of)
            })
            .collect(),
        new_url: ws.url(&format!("routines/new?when=event&event={}", kind.word)),
    };
    let groups = registry::groups().into_iter().enumerate().map(|(n, (label, kinds))| Group {
        id: format!("events-{n}"),
        label,
        rows: kinds.into_iter().map(row).collect(),
    });
    html::page(&EventsPage { shell, groups: groups.collect() })
}
