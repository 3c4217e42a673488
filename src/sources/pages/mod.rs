//! Pages of sources: list, create, details with items and syncs.

mod list;
mod new;
mod show;

use kernel::Can;
use web::routes::{Needs as _, Routes};

use crate::model::{Source, Standing, Status};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/knowledge/sources", list::list.needs(Can::Read))
        .post("/knowledge/sources", new::create.needs(Can::Admin))
        .get("/knowledge/sources/new", new::new.needs(Can::Admin))
        .merge(show::routes())
}

/// Extra style sheet, loaded on these pages only.
fn sheet() -> &'static str {
    web::assets::more("knowledge.css")
}

/// Icon, tone and label of a source's state.
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
        _ if 0 < standing.asks => ("warn", "warn", "Needs approval"),
        _ if standing.synced_at.is_none() => ("clock", "info", "Waiting for first sync"),
        _ => ("check", "ok", "Active"),
    }
}

/// What a source reads, in one line: the value of the connector's first required field.
fn reads(source: &Source, manifest: Option<&connect::Manifest>) -> String {
    let first = manifest.and_then(|one| one.reads.iter().find(|field| field.required));
    let first = first.and_then(|field| source.reads.get(&field.key));
    first.or_else(|| source.reads.values().next()).cloned().unwrap_or_default()
}
