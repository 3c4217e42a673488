//! The store section of the health page: table sizes and maintenance jobs.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use app::jobs::JobState;
use app::{App, Ws};
use features::audit::queries::Reach;
use store::StoreError;
use store::doctor::Diagnosis;
use store::stats::Compacted;
use web::error::PageError;
use web::extract::Path;
use web::form::sentence;
use web::format;
use web::html;
use web::hx::Hx;
use web::parts::{Share, Tone, shares};
use web::session::Person;
use web::time::RelTime;

use features::health::queries::{self, CHECK, COMPACT, DOCTOR, MEND, STATS};

/// Number of tables shown.
const MAX_TABLES: usize = 12;
/// Maximum number of differences shown.
const MAX_SHOWN: usize = 20;

/// A table as a row.
pub(super) struct TableRow {
    pub name: String,
    pub kind: String,
    pub rows: String,
    pub size: String,
    pub waste: String,
}

/// Sizes of the store.
#[derive(Default)]
pub(super) struct SizesView {
    pub known: bool,
    pub running: bool,
    /// Whether a job is running.
    pub busy: bool,
    pub url: String,
    pub show: String,
    pub facts: Vec<(&'static str, String)>,
    pub bar: Vec<Share>,
    pub bar_label: String,
    pub tables: Vec<TableRow>,
    pub rest: Vec<TableRow>,
}

/// A maintenance job.
pub(super) struct WorkView {
    pub kind: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub verb: &'static str,
    pub url: String,
    pub running: bool,
    pub progress: String,
    pub ended: Option<RelTime>,
    pub tone: &'static str,
    pub said: String,
    pub found: Vec<String>,
    pub more: u64,
    pub mend: String,
}

/// The region that refreshes while a job is running.
#[derive(Template)]
#[template(path = "health/_store.html")]
struct Region {
    works: Vec<WorkView>,
    sizes: SizesView,
}

pub(super) async fn show(app: App, ws: Ws, who: Person) -> Result<Response, PageError> {
    let region = ws.read_blocking(move |ws| {
        Ok::<_, StoreError>(Region { works: works(&app, ws, &who)?, sizes: sizes(&app, ws) })
    });
    html::fragment(&region.await?)
}

pub(super) async fn begin(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(work): Path<String>,
) -> Result<Response, PageError> {
    match queries::begin(&ws, &work, &who, Reach::of(&app, who.account)?) {
        Ok(()) | Err(queries::Refused::UnderWay(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if hx.is_partial() {
        return show(app, ws, who).await;
    }
    Ok(hx.go_to(&format!("{}#store", ws.url("settings/health"))))
}

/// The maintenance jobs with their last results.
pub(super) fn works(app: &App, ws: &Ws, who: &Person) -> Result<Vec<WorkView>, StoreError> {
    let reach = Reach::of(app, who.account)?;
    let all = [
        (
            DOCTOR,
            "Compare",
            "Recomputes every index, reference and sum from the records, and compares them.",
            "Compare now",
        ),
        (
            CHECK,
            "Check the file",
            "Checks the whole database file. HQ is unavailable while it runs.",
            "Check now",
        ),
        (
            COMPACT,
            "Compact",
            "Makes the database file as small as possible. HQ is unavailable while it runs.",
            "Compact now",
        ),
    ];
    let view = |(kind, title, about, verb)| {
        let state = app.jobs.state(&ws.slug, kind).map(|state| reach.sees(state));
        let url = ws.url(&format!("settings/health/store/{kind}"));
        let mut view = WorkView {
            kind,
            title,
            about,
            verb,
            url,
            running: state.as_ref().is_some_and(|state| state.ended.is_none()),
            progress: String::new(),
            ended: None,
            tone: "neutral",
            said: String::new(),
            found: Vec::new(),
            more: 0,
            mend: String::new(),
        };
        if let Some(state) = state {
            let zone = who.time_zone();
            view.ended = state.ended.map(|at| RelTime::new(at, app.clock.now(), &zone));
            view.progress = match (state.done, state.total) {
                (0, _) => "In progress".to_owned(),
                (done, 0) => format!("{} {}", format::grouped(done), state.what),
                (done, all) => format!("{} of {} {}", done, all, state.what),
            };
            tell(ws, &mut view, state);
        }
        view
    };
    Ok(all.map(view).into_iter().collect())
}

fn tell(ws: &Ws, view: &mut WorkView, state: JobState) {
    if let Some(error) = state.error {
        (view.tone, view.said) = ("danger", sentence(&error));
        return;
    }
    let Some(result) = state.result else { return };
    match view.kind {
        COMPACT => compacted(view, &result),
        CHECK => checked(view, &result),
        _ => compared(ws, view, &result),
    }
}

fn compacted(view: &mut WorkView, result: &Value) {
    let part = serde_json::from_value::<Compacted>(result["workspace"].clone());
    if let Ok(done) = part {
        view.tone = "ok";
        view.said = format!(
            "From {} to {} in {}.",
            format::size(done.before),
            format::size(done.after),
            format::duration(Duration::from_millis(done.took_ms))
        );
    }
}

fn checked(view: &mut WorkView, result: &Value) {
    // A person without access to the accounts store sees only the workspace's result.
    let sound = |name: &str| result.get(name).is_none_or(|part| part["sound"] == true);
    (view.tone, view.said) = match sound("workspace") && sound("accounts") {
        true => ("ok", "No damage found.".to_owned()),
        false => ("warn", "Damaged pages were repaired. Verify the audit.".to_owned()),
    };
}

fn compared(ws: &Ws, view: &mut WorkView, result: &Value) {
    let part = |name: &str| serde_json::from_value::<Diagnosis>(result[name].clone()).ok();
    let Some(own) = part("workspace") else { return };
    let accounts = part("accounts").unwrap_or_default();
    let differ = own.differences_count + accounts.differences_count;
    let mended = own.mended + accounts.mended;
    let looked = format!(
        "{} records, {} index rows, {} references, {} sums in {}",
        format::grouped(own.records + accounts.records),
        format::grouped(own.index_rows + accounts.index_rows),
        format::grouped(own.references + accounts.references),
        format::grouped(own.sums + accounts.sums),
        format::duration(Duration::from_millis(own.took_ms + accounts.took_ms)),
    );
    if differ == 0 {
        (view.tone, view.said) = ("ok", format!("Everything matches: {looked}."));
        return;
    }
    let beyond = own.beyond + accounts.beyond;
    let unkept = own.unkept + accounts.unkept;
    let repaired = format::count(mended, "row", "rows");
    (view.tone, view.said) = match (mended, beyond, unkept) {
        (0, ..) => ("warn", format!("{differ} of them differ: {looked}.")),
        (_, 0, 0) => ("ok", format!("{repaired} repaired.")),
        (_, 0, more) => ("warn", format!("{repaired} repaired; {more} still differ.")),
        (_, more, _) => ("warn", format!("{repaired} repaired; {more} need attention.")),
    };
    let all = own.differences.iter().chain(&accounts.differences);
    let shown = all.take(MAX_SHOWN).map(|one| format!("{}, {} {}", one.table, one.of, one.what));
    view.found = shown.collect();
    view.more = differ - u64::try_from(view.found.len()).unwrap_or(differ);
    if (mended == 0 && beyond < differ) || 0 < unkept {
        view.mend = ws.url(&format!("settings/health/store/{MEND}"));
    }
}

/// Table sizes as last measured.
pub(super) fn sizes(app: &App, ws: &Ws) -> SizesView {
    let mut view = SizesView {
        url: ws.url(&format!("settings/health/store/{STATS}")),
        show: ws.url("settings/health/store"),
        busy: [DOCTOR, CHECK, COMPACT, STATS]
            .into_iter()
            .any(|kind| app.jobs.state(&ws.slug, kind).is_some_and(|state| state.ended.is_none())),
        ..SizesView::default()
    };
    let Some(state) = app.jobs.state(&ws.slug, STATS) else { return view };
    view.running = state.ended.is_none();
    let Some(stats) = state.result.map(|result| result["workspace"].clone()) else { return view };
    let figure = |name: &str| stats[name].as_u64().unwrap_or(0);
    let size = |name: &str| format::size(figure(name));
    let oldest = match stats["oldest_snapshot_ms"].as_u64() {
        Some(ms) => format::duration(Duration::from_millis(ms)),
        None => "none".to_owned(),
    };
    view.known = true;
    view.facts = vec![
        ("File", size("file")),
        ("On disk", size("on_disk")),
        ("Rows", size("stored")),
        ("Page cache", size("cache")),
        ("Feed entries", format::grouped(figure("feed"))),
        ("Written since start-up", size("written")),
        ("Oldest snapshot", oldest),
    ];
    let parts = [
        (figure("stored"), Tone::Brand),
        (figure("overhead"), Tone::Info),
        (figure("fragmented"), Tone::Warn),
        (figure("free"), Tone::Neutral),
    ];
    view.bar = shares(&parts);
    view.bar_label = format!(
        "{} rows, {} trees, {} half-empty pages, {} free",
        size("stored"),
        size("overhead"),
        size("fragmented"),
        size("free")
    );
    let rows = stats["tables"].as_array().cloned().unwrap_or_default();
    let mut rows: Vec<TableRow> = rows.iter().filter(|t| t["rows"] != 0).map(table_row).collect();
    view.rest = rows.split_off(rows.len().min(MAX_TABLES));
    view.tables = rows;
    view
}

fn table_row(table: &Value) -> TableRow {
    let figure = |name: &str| table[name].as_u64().unwrap_or(0);
    let word = |name: &str| table[name].as_str().unwrap_or_default().to_owned();
    TableRow {
        name: word("name"),
        kind: word("kind"),
        rows: format::grouped(figure("rows")),
        size: format::size(figure("stored") + figure("overhead")),
        waste: format::size(figure("fragmented")),
    }
}
