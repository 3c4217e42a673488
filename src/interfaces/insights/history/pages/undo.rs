//! Preview of an undo, and the undo.

use askama::Template;
use axum::http::header::REFERER;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::runs::queries::{self as runs, talk};
use kernel::{JobId, RunId};
use store::{Read, Snap};
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::flash;
use web::format;
use web::html;
use web::hx::{Ask, Hx};
use web::idempotency::Once;
use web::parts::Tone;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;

use super::{Cell, FieldView, Look};
use features::history::queries::error::HistoryError;
use features::history::queries::guard::Undoer;
use features::history::queries::names::Names;
use features::history::queries::preview::{self, PlanView, StayingField, StayingKind, StayingWork};
use features::history::queries::record;
use features::history::queries::scope::{self, Scope, Wanted, Work};
use features::history::rules::{self, Undone};
use features::history::undo;

/// Number of records of each kind in the preview.
const MAX_TOLD: usize = 200;

/// Parameters of the address or the form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UndoParams {
    entry: Option<u64>,
    table: Option<String>,
    id: Option<String>,
    run: Option<String>,
    /// Further runs, separated by commas.
    with: String,
    basis: String,
    /// The page that linked to the preview.
    from: String,
}

struct KeptView {
    label: String,
    why: String,
    /// Time and address of a later change.
    by: Option<(RelTime, String)>,
}

struct GoingView {
    title: Cell,
    noun: &'static str,
    way: &'static str,
    fields: Vec<FieldView>,
    kept: Vec<KeptView>,
    history: String,
}

struct StayingView {
    title: Cell,
    noun: &'static str,
    why: String,
    by: Option<(RelTime, String)>,
    fields: Vec<KeptView>,
    history: String,
}

/// A run that can be undone as well.
struct CausedView {
    name: String,
    title: String,
    href: String,
    /// Address of the preview with or without this run.
    toggle: String,
    chosen: bool,
    live: bool,
}

#[derive(Template)]
#[template(path = "history/undo.html")]
struct Show {
    shell: Shell,
    /// "R-12", "entry 40".
    what: Cell,
    /// Changes since the confirmed preview.
    differs: String,
    going: Vec<GoingView>,
    going_more: usize,
    staying: Vec<StayingView>,
    staying_more: usize,
    held: Vec<StayingWork>,
    kinds: Vec<StayingKind>,
    caused: Vec<CausedView>,
    files: Vec<String>,
    work: Work,
    nothing: bool,
    action: String,
    back: String,
    hidden: Vec<(&'static str, String)>,
}

impl UndoParams {
    fn wanted(&self, read: &Snap<'_>, ws: &Ws, who: &Person) -> Result<Wanted, HistoryError> {
        match (self.entry, &self.run) {
            (Some(seq), None) => match (&self.table, &self.id) {
                (Some(table), Some(id)) => {
                    let record = record(read, ws.store.schema(), who, (table, id))?;
                    Ok(Wanted::Change(seq, record))
                }
                _ => Ok(Wanted::Entry(seq)),
            },
            (None, Some(run)) => {
                let with = self.with.split(',').map(str::trim).filter(|name| !name.is_empty());
                let mut all: Vec<RunId> = Vec::new();
                for name in std::iter::once(run.as_str()).chain(with) {
                    let id = run_called(read, who, name)?;
                    if !all.contains(&id) {
                        all.push(id);
                    }
                }
                Ok(Wanted::Runs(all))
            }
            _ => Err(HistoryError::Unclear),
        }
    }

    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.entry.map(|seq| ("entry", seq.to_string())));
        pairs.extend(self.table.clone().map(|table| ("table", table)));
        pairs.extend(self.id.clone().map(|id| ("id", id)));
        pairs.extend(self.run.clone().map(|run| ("run", run)));
        if !self.with.is_empty() {
            pairs.push(("with", self.with.clone()));
        }
        pairs
    }
}

/// The run with this name, if the person may see it.
pub(in crate::history) fn run_called(
    read: &Snap<'_>,
    who: &Person,
    name: &str,
) -> Result<RunId, HistoryError> {
    let nothing = || HistoryError::NoRun(name.chars().take(60).collect());
    let run = runs::by_name(read, name)?.ok_or_else(nothing)?;
    match talk::may_see_run(read, &run, who.account, who.role)? {
        true => Ok(run.id),
        false => Err(nothing()),
    }
}

/// `GET /undo?entry=…` or `?run=…`
pub(super) async fn preview(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    headers: HeaderMap,
    Query(mut params): Query<UndoParams>,
) -> Result<Response, PageError> {
    if params.from.is_empty() {
        params.from = referer(&headers).unwrap_or_default().to_owned();
    }
    let shown =
        ws.read_blocking(move |ws| page(&Look::new(&app, ws, &who), shell, &params, String::new()));
    html::page(&shown.await?)
}

/// `POST /undo`
pub(super) async fn apply(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(form): Form<UndoParams>,
) -> Result<Response, PageError> {
    let basis = form.basis.parse().map_err(|_| HistoryError::BadBasis)?;
    let (own, person) = (form.clone(), who.clone());
    let wanted = ws.read_blocking(move |ws| ws.read(|snap| own.wanted(snap, ws, &person))).await?;
    let done = undo::undo(&ws, &who, (wanted, Some(basis)), Once::without_key()).await;
    match done {
        Ok(undone) => {
            let entry = || ws.url(&format!("history/entry/{}", undone.seq));
            let back = way_back(&ws, &form.from).map_or_else(entry, str::to_owned);
            let answer = hx.go_to(&back);
            Ok(flash::say(&app, Flash::ok(message(&undone)), answer))
        }
        Err(HistoryError::Differs(what)) => {
            let page =
                ws.read_blocking(move |ws| page(&Look::new(&app, ws, &who), shell, &form, what));
            html::document(StatusCode::CONFLICT, &page.await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Undoes a change without a preview, from the button of its confirmation.
pub(super) async fn at_once(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    headers: HeaderMap,
    Path(seq): Path<u64>,
) -> Result<Response, PageError> {
    let wanted = (Wanted::Entry(seq), None);
    let undone = undo::undo(&ws, &who, wanted, Once::without_key()).await?;
    if hx.is_partial() {
        return Ok(
            (Ask::new().reswap("none").toast(Tone::Ok, &message(&undone)), "").into_response()
        );
    }
    let entry = || ws.url(&format!("history/entry/{}", undone.seq));
    let back = referer(&headers).and_then(|from| way_back(&ws, from));
    let back = back.map_or_else(entry, str::to_owned);
    Ok(flash::say(&app, Flash::ok(message(&undone)), hx.go_to(&back)))
}

/// Path and query of the referring page.
fn referer(headers: &HeaderMap) -> Option<&str> {
    let from = headers.get(REFERER)?.to_str().ok()?;
    let (_, rest) = from.split_once("://")?;
    rest.find('/').map(|at| &rest[at..])
}

/// The referring page, if it belongs to this workspace and is not an undo preview.
fn way_back<'a>(ws: &Ws, from: &'a str) -> Option<&'a str> {
    let rest = from.strip_prefix(&ws.url(""))?;
    let is_page = !from.contains(char::is_control) && rest.split('?').next() != Some("undo");
    is_page.then_some(from)
}

/// What was undone, in a sentence.
fn message(undone: &Undone) -> String {
    let count = |n: usize, one: &str, many: &str| match n {
        1 => format!("one {one}"),
        n => format!("{n} {many}"),
    };
    let mut text = format!("Undone: {} reverted", count(undone.back, "record", "records"));
    if 0 < undone.kept {
        text += &format!(", {} kept", undone.kept);
    }
    if 0 < undone.cancelled {
        text += &format!(", {} cancelled", count(undone.cancelled, "inbox item", "inbox items"));
    }
    if 0 < undone.files {
        text += &format!(", {} being reverted", count(undone.files, "file is", "files are"));
    }
    text + "."
}

fn page(
    look: &Look<'_>,
    shell: Shell,
    params: &UndoParams,
    differs: String,
) -> Result<Show, HistoryError> {
    let (ws, who) = (look.ws, look.who);
    ws.read(|snap| {
        let schema = ws.store.schema();
        let (wanted, by) = (params.wanted(snap, ws, who)?, Undoer::of(ws, who)?);
        let outlook = rules::preview(&ws.store, snap, &wanted, &by)?;
        let names = Names::new(snap)?;
        let speaker = look.speaker(&names);
        let view = preview::view(snap, schema, &speaker, (&outlook, &by), MAX_TOLD)?;
        let (what, back) = what(snap, look, &wanted, &outlook.scope)?;
        let nothing = outlook.is_nothing();
        let PlanView { going, going_more, staying, staying_more, kinds, work: held } = view;
        let mut hidden = params.pairs();
        hidden.push(("basis", outlook.basis.to_string()));
        let goes_away = going.iter().any(|one| {
            one.way == preview::Way::Away && {
                let href = look.cell(one.title.clone()).href;
                !href.is_empty() && params.from.starts_with(&href)
            }
        });
        // The page of a record that the undo deletes no longer exists afterwards.
        if !goes_away {
            hidden.push(("from", params.from.clone()));
        }
        Ok(Show {
            shell,
            what,
            differs,
            going: going.into_iter().map(|one| goes(look, one)).collect(),
            going_more,
            staying: staying.into_iter().map(|one| stays(look, one)).collect(),
            staying_more,
            held,
            kinds,
            caused: caused(snap, look, params, &wanted)?,
            files: outlook.scope.paths().into_iter().collect(),
            work: outlook.work,
            nothing,
            action: ws.url("undo"),
            back,
            hidden,
        })
    })
}

/// What is undone, with its page, and the address of the way back.
fn what(
    read: &dyn Read,
    look: &Look<'_>,
    wanted: &Wanted,
    scope: &Scope,
) -> Result<(Cell, String), HistoryError> {
    if let Some(id) = scope.run {
        let word = Names::new(read)?.of("run", &id.to_string())?;
        let cell = look.cell(word);
        return Ok((cell.clone(), cell.href));
    }
    let href = look.entry(scope.of);
    let text = match wanted {
        Wanted::Change(seq, _) => format!("a change in entry {seq}"),
        _ => format!("entry {}", scope.of),
    };
    Ok((Cell { text, href: href.clone() }, href))
}

fn goes(look: &Look<'_>, one: preview::Going) -> GoingView {
    GoingView {
        title: look.cell(one.title),
        noun: one.noun,
        way: one.way.label(),
        fields: look.fields(one.fields),
        kept: kept(look, one.kept),
        history: look.history(&one.record),
    }
}

fn stays(look: &Look<'_>, one: preview::Staying) -> StayingView {
    StayingView {
        title: look.cell(one.title),
        noun: one.noun,
        why: one.why,
        by: one.by.map(|by| (look.time(by.at), look.entry(by.seq))),
        fields: kept(look, one.fields),
        history: look.history(&one.record),
    }
}

fn kept(look: &Look<'_>, fields: Vec<StayingField>) -> Vec<KeptView> {
    let views = fields.into_iter().map(|field| KeptView {
        label: field.label,
        why: field.why,
        by: field.by.map(|by| (look.time(by.at), look.entry(by.seq))),
    });
    views.collect()
}

/// Runs that the undone runs caused, with the address of the preview that includes or excludes each.
fn caused(
    read: &dyn Read,
    look: &Look<'_>,
    params: &UndoParams,
    wanted: &Wanted,
) -> Result<Vec<CausedView>, HistoryError> {
    let (Wanted::Runs(all), Some(name)) = (wanted, &params.run) else { return Ok(Vec::new()) };
    let Some(first) = all.first() else { return Ok(Vec::new()) };
    let mut views = Vec::new();
    for run in scope::caused(read, look.ws.store.schema(), &[*first])? {
        let chosen = all.contains(&run.id);
        let own = run.name();
        let mut with: Vec<&str> = params.with.split(',').filter(|one| !one.is_empty()).collect();
        with.retain(|one| *one != own);
        if !chosen {
            with.push(&own);
        }
        let with = with.join(",");
        views.push(CausedView {
            toggle: look.ws.url(&format!(
                "undo?run={name}&with={with}&from={}",
                format::query_value(&params.from)
            )),
            href: look.ws.url(&format!("runs/{own}")),
            title: run.title.clone(),
            chosen,
            live: run.is_live(),
            name: own,
        });
    }
    Ok(views)
}

/// `POST /undo/files/{id}`: retries files that could not be reverted.
pub(super) async fn files_again(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<JobId>,
) -> Result<Response, PageError> {
    let run = ws.write(&who, move |tx| rules::files::try_again(tx, id)).await?;
    Ok(hx.go_to(&ws.url(&format!("runs/{run}"))))
}
