//! Page of a source: state, items, syncs, writes of agents, settings.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::history::queries as history;
use features::tasks::queries::view_context::ViewContext;
use kernel::Can;
use knowledge::model::{Item, KnowledgeId};
use store::{Read, ReadExt as _};
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::hx::Hx;
use web::live::Live;
use web::parts::{Choice, Face};
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;
use web::{flash, html, path_words};

use super::new::{Asks, FormValues, asks, folders, intervals, reads_of, text};
use super::{badge, reads, sheet};
use crate::api;
use crate::error::SourceError;
use crate::model::{
    ENTRIES, Entry, EntryState, RUNS, Run, RunState, SOURCES, STATES, Source, Status, WRITES,
    WriteState,
};
use crate::queries;
use crate::reach;
use crate::rules::{self, Leaves, Patch};

/// Items per page, and numbers of syncs and writes shown.
const PAGE: usize = 100;
const SHOWN: usize = 20;

struct ItemLine {
    title: String,
    href: String,
    place: String,
    id: String,
    /// Icon, tone and text of the state; `None` if synced.
    told: Option<(&'static str, &'static str, String)>,
    at: RelTime,
}

struct RunLine {
    told: (&'static str, &'static str),
    found: String,
    message: String,
    at: RelTime,
}

/// A write of an agent.
struct WriteLine {
    by: Face,
    place: String,
    told: String,
    at: RelTime,
}

#[derive(Template)]
#[template(path = "sources/show.html")]
struct ShowPage {
    shell: Shell,
    sheet: &'static str,
    list_url: String,
    all_url: String,
    base: String,
    live: Live,
    icon: String,
    name: String,
    reads: String,
    told: (&'static str, &'static str, &'static str),
    message: String,
    failed: bool,
    asks: u32,
    paused: bool,
    running: bool,
    synced: Option<RelTime>,
    next: Option<RelTime>,
    items: Vec<ItemLine>,
    count: usize,
    label: String,
    more: String,
    runs: Vec<RunLine>,
    writes: Vec<WriteLine>,
    fields: Vec<Asks>,
    hours: Vec<Choice>,
    folders: Vec<Choice>,
    leaves: Vec<Choice>,
    supports_write: bool,
    writable: bool,
    may_write: bool,
    may_change: bool,
    history: String,
}

web::region!(ShowPage, as_body, ShowBody, "sources/show-body.html");

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/knowledge/sources/{id}", show.needs(Can::Read))
        .post("/knowledge/sources/{id}/sync", sync.needs(Can::Write))
        .post("/knowledge/sources/{id}/{verb}", act.needs(Can::Admin))
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct SourcePageParams {
    page: usize,
}

async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(name): Path<String>,
    Query(params): Query<SourcePageParams>,
) -> Result<Response, PageError> {
    let may_change = who.access.may(Can::Admin);
    let page = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let scene = ViewContext::new(ws, &who, snap)?;
                let source = queries::source(snap, &name)?;
                page(&scene, snap, (shell, source), (params.page, may_change))
            })
        })
        .await?;
    match hx.is_partial() {
        true => html::fragment(&page.as_body()),
        false => html::page(&page),
    }
}

fn page(
    scene: &ViewContext,
    read: &dyn Read,
    (shell, source): (Shell, Source),
    (at, may_change): (usize, bool),
) -> Result<ShowPage, SourceError> {
    let all_url = scene.ws.url("knowledge/sources");
    let base = format!("{all_url}/{}", source.id);
    let standing = queries::standing(read, source.id, source.created_at)?;
    let runs = queries::runs(read, source.id, SHOWN)?;
    let running = runs.first().is_some_and(|run| run.state == RunState::Running);
    let catalog = reach::catalog(&scene.ws.app);
    let manifest = catalog.get(&source.provider);
    let mut entries = queries::entries(read, source.id)?;
    // Items that need attention come first.
    entries.sort_by(|a, b| {
        let well = |entry: &Entry| entry.state == EntryState::Synced;
        (well(a), &a.place).cmp(&(well(b), &b.place))
    });
    let (count, from) = (entries.len(), at.saturating_mul(PAGE));
    let lines = entries.into_iter().skip(from).take(PAGE).map(|one| item(scene, read, one));
    let writes = queries::writes(read, source.id, SHOWN)?;
    let reading = reads(&source, manifest);
    let form: FormValues =
        source.reads.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let fields = manifest.map(|one| asks(&scene.ws, one, &form, &[])).unwrap_or_default();
    let leaf = |one: &Leaves| Choice::new(one.word(), one.label(), *one == Leaves::Keep);
    let folder = source.folder.map(|id| id.to_string()).unwrap_or_default();
    let live = Live::new(format!("{base}?page={at}"))
        .record(SOURCES.name, source.id)
        .record(STATES.name, source.id)
        .tables(&[RUNS.name, ENTRIES.name, WRITES.name])
        .debounced();
    Ok(ShowPage {
        shell,
        sheet: sheet(),
        list_url: scene.ws.url("knowledge"),
        live,
        icon: manifest.map(|one| one.icon.clone()).unwrap_or_default(),
        reads: reading,
        told: badge(&source, &standing, running),
        paused: source.paused,
        running,
        synced: standing.synced_at.map(|at| scene.time(at)),
        next: standing.due(source.paused).map(|_| scene.time(standing.next_at)),
        items: lines.collect::<Result<_, SourceError>>()?,
        label: manifest.map_or_else(|| "Items".to_owned(), |one| one.item_label.clone()),
        more: match from + PAGE < count {
            true => format!("{base}?page={}", at + 1),
            false => String::new(),
        },
        count,
        runs: runs.iter().map(|run| run_line(scene, run)).collect(),
        writes: writes
            .into_iter()
            .map(|one| WriteLine {
                by: scene.people.actor(one.by),
                told: match one.state {
                    WriteState::Sent => "Sending".to_owned(),
                    WriteState::Done => "Written".to_owned(),
                    WriteState::Conflict(why) | WriteState::Failed(why) => why,
                },
                place: one.place,
                at: scene.time(one.at),
            })
            .collect(),
        fields: fields.into_iter().filter(|field| !field.required).collect(),
        hours: intervals(source.interval_hours),
        folders: folders(&scene.ws, &folder)?,
        leaves: Leaves::ALL.iter().map(leaf).collect(),
        supports_write: manifest.is_some_and(|one| one.supports_write),
        writable: source.writable,
        may_write: scene.may_write,
        may_change,
        history: history::href::<Source>(&scene.ws, source.id),
        failed: standing.status != Status::Active,
        message: standing.message,
        asks: standing.asks,
        name: source.name,
        all_url,
        base,
    })
}

fn item(scene: &ViewContext, read: &dyn Read, entry: Entry) -> Result<ItemLine, SourceError> {
    let item: Option<Item> = read.get::<Item>(entry.item)?;
    let archived = item.as_ref().is_some_and(|item| item.archived_at.is_some());
    let message = match entry.state {
        EntryState::Synced if archived => {
            Some(("archive", "neutral", "Archived, so no longer synced".to_owned()))
        }
        EntryState::Synced => None,
        EntryState::Stale => Some(("clock", "info", "Waiting to be fetched".to_owned())),
        EntryState::Failed(why) => Some(("warn", "warn", why)),
        EntryState::Missing(_) => {
            Some(("warn", "warn", "Not found, will be checked again".to_owned()))
        }
        EntryState::Gone => Some(("trash", "neutral", "Deleted at its source".to_owned())),
    };
    let href = |id: KnowledgeId| scene.ws.url(&format!("knowledge/{id}"));
    Ok(ItemLine {
        title: item.map_or_else(|| entry.place.clone(), |item| item.title),
        href: href(entry.item),
        id: entry.item.to_string(),
        place: entry.address,
        told: message,
        at: scene.time(entry.synced_at),
    })
}

fn run_line(scene: &ViewContext, run: &Run) -> RunLine {
    let counts = &run.counts;
    let parts = [
        (counts.new, "new"),
        (counts.changed, "changed"),
        (counts.gone, "gone"),
        (counts.failed, "failed"),
        (counts.skipped, "skipped"),
    ];
    let mut found: Vec<String> =
        parts.iter().filter(|(n, _)| 0 < *n).map(|(n, word)| format!("{n} {word}")).collect();
    if found.is_empty() {
        found.push("nothing new".to_owned());
    }
    RunLine {
        told: match run.state {
            RunState::Running => ("refresh", "info"),
            RunState::Done => ("check", "ok"),
            RunState::Failed => ("warn", "warn"),
        },
        found: format!("{} seen, {}", counts.seen, found.join(", ")),
        message: run.message.clone(),
        at: scene.time(run.began_at),
    }
}

async fn sync(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::source(snap, &name))?.id;
    // ok: without an item the whole source is synced.
    let item = text(&form, "item").parse().ok();
    ws.write(&who, move |tx| rules::sync_now(tx, id, item)).await?;
    let at = ws.url(&format!("knowledge/sources/{id}"));
    Ok(flash::say(&app, Flash::ok("Sync started"), hx.go_to(&at)))
}

path_words! {
    /// What is done to a source.
    Verb {
        Change = "change",
        Pause = "pause",
        Resume = "resume",
        Remove = "remove",
        TakeAway = "take-away",
        Stay = "stay",
    }
}

/// Changes, pauses, resumes or removes a source, or answers its question.
async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(key, verb): Path2<String, Verb>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let source = ws.read(|snap| queries::source(snap, &key))?;
    let (id, name) = (source.id, source.name.clone());
    let mut at = ws.url(&format!("knowledge/sources/{id}"));
    let words = match verb {
        Verb::Change => {
            let patch = changed(&ws, &source, &form).await?;
            ws.write(&who, move |tx| rules::change(tx, id, patch)).await?;
            "Saved".to_owned()
        }
        Verb::Pause | Verb::Resume => {
            let paused = verb == Verb::Pause;
            let patch = Patch { paused: Some(paused), ..Patch::default() };
            ws.write(&who, move |tx| rules::change(tx, id, patch)).await?;
            format!("{} {name}", if paused { "Paused" } else { "Resumed" })
        }
        Verb::Remove => {
            let leaves = text(&form, "items").parse().unwrap_or(Leaves::Keep);
            ws.write(&who, move |tx| rules::remove(tx, id, leaves)).await?;
            at = ws.url("knowledge/sources");
            format!("Removed {name}")
        }
        Verb::TakeAway | Verb::Stay => {
            let takes = verb == Verb::TakeAway;
            ws.write(&who, move |tx| rules::answer(tx, id, takes)).await?;
            if takes { "They’ll be archived with the next sync." } else { "Items kept" }.to_owned()
        }
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&at)))
}

/// The changes that a form makes.
async fn changed(ws: &Ws, source: &Source, form: &FormValues) -> Result<Patch, SourceError> {
    let manifest = api::manifest(ws, &source.provider).await?;
    let mut reads = reads_of(&manifest, form);
    // Required fields identify the source and cannot be changed.
    reads.extend(
        manifest
            .reads
            .iter()
            .filter(|field| field.required)
            .filter_map(|field| Some((field.key.clone(), source.reads.get(&field.key)?.clone()))),
    );
    Ok(Patch {
        name: Some(text(form, "name").to_owned()),
        // ok: an invalid number changes nothing.
        interval_hours: text(form, "interval_hours").parse().ok(),
        writable: Some(manifest.supports_write && !text(form, "writable").is_empty()),
        folder: api::folder_of(ws, Some(text(form, "folder")))?,
        reads: Some((manifest, reads)),
        paused: None,
    })
}
