//! List of sources.

use askama::Template;
use axum::response::Response;

use app::Ws;
use features::tasks::queries::view_context::ViewContext;
use kernel::Can;
use store::Read;
use web::error::PageError;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::{badge, reads, sheet};
use crate::error::SourceError;
use crate::model::{RUNS, RunState, SOURCES, STATES};
use crate::queries;
use crate::reach;

struct Line {
    icon: String,
    name: String,
    href: String,
    reads: String,
    told: (&'static str, &'static str, &'static str),
    message: String,
    items: usize,
    label: String,
    synced: Option<RelTime>,
}

#[derive(Template)]
#[template(path = "sources/list.html")]
struct ListPage {
    shell: Shell,
    sheet: &'static str,
    list_url: String,
    base: String,
    live: Live,
    rows: Vec<Line>,
    refused: Vec<String>,
    may_add: bool,
}

web::region!(ListPage, as_rows, ListRows, "sources/list-rows.html");

pub(super) async fn list(ws: Ws, who: Person, hx: Hx, shell: Shell) -> Result<Response, PageError> {
    let may_add = who.access.may(Can::Admin);
    let page = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let scene = ViewContext::new(ws, &who, snap)?;
                page(&scene, snap, shell, may_add)
            })
        })
        .await?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn page(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    may_add: bool,
) -> Result<ListPage, SourceError> {
    let catalog = reach::catalog(&scene.ws.app);
    let base = scene.ws.url("knowledge/sources");
    let line = |source: crate::model::Source| {
        let standing = queries::standing(read, source.id, source.created_at)?;
        let last = queries::runs(read, source.id, 1)?.pop();
        let running = last.is_some_and(|run| run.state == RunState::Running);
        let manifest = catalog.get(&source.provider);
        Ok(Line {
            icon: manifest.map(|one| one.icon.clone()).unwrap_or_default(),
            href: format!("{base}/{}", source.id),
            reads: reads(&source, manifest),
            told: badge(&source, &standing, running),
            items: queries::count(read, source.id)?,
            label: manifest.map_or_else(|| "items".to_owned(), |one| one.item_label.to_lowercase()),
            synced: standing.synced_at.map(|at| scene.time(at)),
            message: standing.message,
            name: source.name,
        })
    };
    let rows = queries::sources(read)?.into_iter().map(line).collect::<Result<_, SourceError>>()?;
    Ok(ListPage {
        shell,
        sheet: sheet(),
        list_url: scene.ws.url("knowledge"),
        live: Live::new(base.clone()).tables(&[SOURCES.name, STATES.name, RUNS.name]).debounced(),
        base,
        rows,
        refused: if may_add { catalog.refused } else { Vec::new() },
        may_add,
    })
}
