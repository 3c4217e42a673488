//! Pages of sources: all of them, a new one, one with its items and syncs.

mod list;
mod new;
mod show;

use kernel::Can;
use web::routes::{Needs as _, Routes};

use crate::model::{Source, Standing, Status};

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/knowledge/sources", list::list.needs(Can::Read))
        .post("/knowledge/sources", new::create.needs(Can::Admin))
        .get("/knowledge/sources/new", new::new.needs(Can::Admin))
        .merge(show::routes())
}

/// The style of these pages; other pages do not load it.
fn sheet() -> &'static str {
    web::assets::more("knowledge.css")
}

/// How it stands with a source: icon, tone and word.
fn badge(
    source: &Source,
    standing: &Standing,
    running: bool,
) -> (&'static str, &'static str, &'static str) {
    match (running, source.paused, standing.status) {
        (true, ..) => ("refresh", "info", "Syncing"),
        (_, _, Status::Expired) => ("lock", "danger", "Expired"),
        (_, true, _) => ("pause", "neutral", "Paused"),
        (_, _, Status::Error) => ("warn", "warn", "Error"),
        _ if 0 < standing.asks => ("warn", "warn", "Asks you"),
        _ if standing.synced_at.is_none() => ("clock", "info", "Waits for its first sync"),
        _ => ("check", "ok", "Active"),
    }
}

/// What a source reads, in a line: the first thing that its connector asks for.
fn reads(source: &Source, manifest: Option<&connect::Manifest>) -> String {
    let first = manifest.and_then(|one| one.reads.iter().find(|field| field.required));
    let first = first.and_then(|field| source.reads.get(&field.key));
    first.or_else(|| source.reads.values().next()).cloned().unwrap_or_default()
}
