//! Pages of streams: the list with a form for a new one, and the page of one with goal, progress, cost, questions and
//! deliverables.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::deliverables::model::Deliverable;
use features::history::queries::meanwhile;
use features::runs::model::Run;
use features::runs::queries::questions::{self, Card, Reader};
use features::streams::model::Stream;
use features::streams::queries::{self, StreamError};
use features::streams::rules;
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::grouping::{self, Bucket, GroupBy};
use features::tasks::queries::list::{Filter, Sort};
use features::tasks::queries::view_context::ViewContext;
use features::tasks::queries::{due, marks};
use features::usage::model::PAYER_DAY;
use features::usage::queries::purse::{self, Purse};
use kernel::display;
use kernel::key::KeyBuf;
use kernel::{Can, Payer, Problem as _, ProblemKind, StreamId, TaskStatus};
use store::{Range, Read, ReadExt as _, StoreError};
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::form::EditConflict;
use web::html::{self, SafeHtml};
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::live::Live;
use web::parts::{Face, Share, Tone, percent, shares};
use web::path_words;
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;
use web::{flash, format};

mod form;

use form::{Fields, StreamForm, new};

/// Number of deliverables shown, and how many are searched for them.
const DELIVERED: usize = 6;
const LOOK_BACK: usize = 300;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/streams", list.needs(Can::Read))
        .post("/streams", create.needs(Can::Write))
        .get("/streams/{stream}", show.needs(Can::Read))
        .post("/streams/{stream}", save.needs(Can::Write))
        .post("/streams/{stream}/{verb}", act.needs(Can::Write))
}

struct Line {
    name: String,
    icon: String,
    colour: String,
    href: String,
    about: String,
    done: usize,
    total: usize,
    share: u8,
    target: String,
    lead: Face,
}

#[derive(Template)]
#[template(path = "streams/index.html")]
struct ListPage {
    shell: Shell,
    live: Live,
    rows: Vec<Line>,
    archived: bool,
    other_url: String,
    tasks_url: String,
    /// Address of the form for a new stream; empty if there is none.
    new_url: String,
    fields: Option<Fields>,
}

web::region!(ListPage, as_rows, ListRows, "streams/index-rows.html");

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamPageParams {
    archived: String,
    part: String,
    /// Whether to show the form for a new stream.
    new: String,
}

async fn list(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<StreamPageParams>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        let form = (!params.new.is_empty()).then(StreamForm::default);
        all(&scene, snap, shell, (!params.archived.is_empty(), form))
    })?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn all(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (archived, form): (bool, Option<StreamForm>),
) -> Result<ListPage, TaskError> {
    let mut rows = Vec::new();
    for stream in queries::all(read)? {
        if stream.archived_at.is_some() == archived {
            rows.push(line(scene, read, stream)?);
        }
    }
    let here = if archived { "streams?archived=1" } else { "streams" };
    let other = if archived { "streams" } else { "streams?archived=1" };
    let may_add = scene.may_write && !archived;
    Ok(ListPage {
        shell,
        live: Live::new(scene.ws.url(here)).table("streams").table("tasks").table("agents"),
        rows,
        archived,
        other_url: scene.ws.url(other),
        tasks_url: scene.ws.url("tasks"),
        new_url: if may_add { scene.ws.url("streams?new=1") } else { String::new() },
        fields: form
            .filter(|_| may_add)
            .map(|form| Fields::new(scene, scene.ws.url("streams"), form)),
    })
}

/// Number of done tasks, and of all tasks except cancelled ones.
fn progress(read: &dyn Read, id: StreamId) -> Result<(usize, usize), StoreError> {
    let counts = marks::in_stream(read, id)?;
    let count = |status: TaskStatus| counts.get(&status).copied().unwrap_or(0);
    let all: usize = counts.values().sum();
    Ok((count(TaskStatus::Done), all - count(TaskStatus::Cancelled)))
}

fn line(scene: &ViewContext, read: &dyn Read, stream: Stream) -> Result<Line, StoreError> {
    let (done, total) = progress(read, stream.id)?;
    Ok(Line {
        href: href(scene, stream.id),
        colour: web::ink::named(stream.colour),
        about: match stream.description.is_empty() {
            true => stream.kind.label().to_owned(),
            false => stream.description,
        },
        share: percent(done as u64, total as u64),
        target: stream.target_date.map(display::day).unwrap_or_default(),
        lead: scene.people.face_or_nobody(stream.lead),
        name: stream.name,
        icon: stream.icon,
        done,
        total,
    })
}

fn href(scene: &ViewContext, id: StreamId) -> String {
    scene.ws.url(&format!("streams/{id}"))
}

#[derive(Default)]
struct Head {
    live: Live,
    name: String,
    icon: String,
    colour: String,
    kind: &'static str,
    description: String,
    archived: bool,
    goal: SafeHtml,
    lead: Face,
    target: String,
    late: bool,
}

struct Count {
    word: &'static str,
    label: &'static str,
    n: usize,
    href: String,
}

#[derive(Default)]
struct Numbers {
    live: Live,
    counts: Vec<Count>,
    shares: Vec<Share>,
    /// The progress in words.
    said: String,
    cost: String,
    all_url: String,
}

#[derive(Default)]
struct Asks {
    live: Live,
    questions: Vec<Card>,
}

struct Piece {
    title: String,
    href: String,
    task: String,
    state: (&'static str, &'static str),
    at: RelTime,
}

#[derive(Default)]
struct Work {
    live: Live,
    pieces: Vec<Piece>,
}

#[derive(Template)]
#[template(path = "streams/show.html")]
struct ShowPage {
    shell: Shell,
    base: String,
    list_url: String,
    tasks_url: String,
    history: String,
    may_write: bool,
    head: Head,
    numbers: Numbers,
    purse: Purse,
    budget_live: Live,
    asks: Asks,
    work: Work,
    fields: Option<Fields>,
}

web::region!(ShowPage, as_head, ShowHead, "streams/show-head.html");
web::region!(ShowPage, as_numbers, ShowNumbers, "streams/show-numbers.html");
web::region!(ShowPage, as_budget, ShowBudget, "streams/show-budget.html");
web::region!(ShowPage, as_asks, ShowAsks, "streams/show-asks.html");
web::region!(ShowPage, as_work, ShowWork, "streams/show-work.html");

async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(text): Path<String>,
    Query(params): Query<StreamPageParams>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        let id = queries::resolve(snap, &text).map_err(PageError::from)?.id;
        let (stream, rev) = queries::get_rev(snap, id).map_err(PageError::from)?;
        let fields = Fields::new(&scene, href(&scene, id), StreamForm::of(&scene, &stream, rev));
        one(&scene, snap, shell, &stream, fields).map_err(PageError::from)
    })?;
    match (hx.is_partial(), params.part.as_str()) {
        (true, "head") => html::fragment(&page.as_head()),
        (true, "numbers") => html::fragment(&page.as_numbers()),
        (true, "budget") => html::fragment(&page.as_budget()),
        (true, "asks") => html::fragment(&page.as_asks()),
        (true, "work") => html::fragment(&page.as_work()),
        _ => html::page(&page),
    }
}

fn one(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    stream: &Stream,
    fields: Fields,
) -> Result<ShowPage, StoreError> {
    let base = href(scene, stream.id);
    let live = |part: &str| {
        Live::new(format!("{base}?part={part}")).record("streams", stream.id).table("tasks")
    };
    Ok(ShowPage {
        shell,
        list_url: scene.ws.url("streams"),
        tasks_url: tasks_url(scene, stream, ""),
        history: scene.ws.url(&format!("history/streams/{}", stream.id)),
        may_write: scene.may_write,
        head: head(scene, read, stream, live("head").table("agents")),
        numbers: numbers(
            scene,
            read,
            stream,
            live("numbers").table("usage").table("deliverables"),
        )?,
        purse: purse::of(
            &scene.ws,
            &read,
            Payer::Stream(stream.id),
            scene.access.may(Can::Agents),
        )?,
        budget_live: live("budget").table("usage").table("budgets"),
        asks: Asks {
            live: live("asks").table("parks").table("approvals").table("runs"),
            questions: open_questions(scene, read, stream.id)?,
        },
        work: Work {
            live: live("work").table("deliverables"),
            pieces: delivered(scene, read, stream.id)?,
        },
        // Rejected input stays visible even if the stream was archived in the meantime.
        fields: (scene.may_write && (stream.archived_at.is_none() || fields.is_refused()))
            .then_some(fields),
        base,
    })
}

/// Address of the list of the stream's tasks, of one status or of all.
fn tasks_url(scene: &ViewContext, stream: &Stream, status: &str) -> String {
    let mut query = format!("stream:\"{}\"", stream.name.replace('"', ""));
    if !status.is_empty() {
        query.push_str(&format!(" status:{status}"));
    }
    scene.ws.url(&format!("tasks?q={}", format::query_value(&query)))
}

fn head(scene: &ViewContext, read: &dyn Read, stream: &Stream, live: Live) -> Head {
    let today = due::day(scene.today.now, &scene.today.zone);
    Head {
        live,
        name: stream.name.clone(),
        icon: stream.icon.clone(),
        colour: web::ink::named(stream.colour),
        kind: stream.kind.label(),
        description: stream.description.clone(),
        archived: stream.archived_at.is_some(),
        goal: scene.md(read, &stream.goal),
        lead: scene.people.face_or_nobody(stream.lead),
        target: stream.target_date.map(display::long_day).unwrap_or_default(),
        late: stream.target_date.is_some_and(|day| day < today),
    }
}

fn numbers(
    scene: &ViewContext,
    read: &dyn Read,
    stream: &Stream,
    live: Live,
) -> Result<Numbers, StoreError> {
    let filter = Filter { stream: Some(Some(stream.id)), ..Filter::default() };
    let by = (GroupBy::Status, GroupBy::None);
    let cells = grouping::cells(read, &filter, by, Sort::default(), &scene.today, 0)?;
    let count = |bucket: Bucket| {
        cells.iter().find(|cell| cell.column == bucket).map_or(0, |cell| cell.total)
    };
    let n = |status: TaskStatus| count(Bucket::Status(status));
    let (done, total) = progress(read, stream.id)?;
    let parts = [
        (n(TaskStatus::Done) as u64, Tone::Ok),
        ((n(TaskStatus::InProgress) + count(Bucket::InReview)) as u64, Tone::Info),
        (n(TaskStatus::Blocked) as u64, Tone::Danger),
        (n(TaskStatus::Missed) as u64, Tone::Warn),
        (n(TaskStatus::Todo) as u64, Tone::Neutral),
    ];
    let mut cost = 0;
    for task in marks::tops_in_stream(read, stream.id)? {
        // The cost of a task includes its parts.
        let days = read.sums(PAYER_DAY, &Range::prefix(KeyBuf::of(&Payer::Task(task))))?;
        cost += days.iter().map(|(_, micros)| micros).sum::<i64>();
    }
    let shown = cells.iter().filter_map(|cell| Some((cell.column.standing()?, cell.total)));
    Ok(Numbers {
        live,
        counts: shown
            .map(|((word, label), n)| Count {
                word,
                label,
                n,
                href: tasks_url(scene, stream, word),
            })
            .collect(),
        shares: shares(&parts),
        said: format!("{done} of {} done", format::count(total as u64, "task", "tasks")),
        cost: format::money(cost),
        all_url: tasks_url(scene, stream, ""),
    })
}

/// Questions of runs about the stream's tasks.
fn open_questions(
    scene: &ViewContext,
    read: &dyn Read,
    id: StreamId,
) -> Result<Vec<Card>, StoreError> {
    let (now, zone) = (scene.today.now, &scene.today.zone);
    let reader = Reader { ws: &scene.ws, now, zone, access: scene.access, me: scene.me };
    questions::all(&read, &reader, &|run: &Run| match run.task {
        Some(task) => Ok(read.get::<Task>(task)?.is_some_and(|task| task.stream == Some(id))),
        None => Ok(false),
    })
}

fn delivered(scene: &ViewContext, read: &dyn Read, id: StreamId) -> Result<Vec<Piece>, StoreError> {
    let newest: Vec<Deliverable> = read.list(&Range::all().reverse().limit(LOOK_BACK))?;
    let mut pieces = Vec::new();
    for piece in newest {
        let Some(task) = read.get::<Task>(piece.task)? else { continue };
        if task.stream == Some(id) {
            pieces.push(Piece {
                href: scene.href(&task),
                task: scene.name(&task),
                state: (piece.state.word(), piece.state.label()),
                at: scene.time(piece.updated_at),
                title: piece.title,
            });
        }
        if DELIVERED <= pieces.len() {
            break;
        }
    }
    Ok(pieces)
}

/// Creates a stream; an invalid form is shown again with its input.
async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    FormOnce(form, once): FormOnce<StreamForm>,
) -> Result<Response, PageError> {
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    let made = match form.clone().read(&scene) {
        Ok(patch) => ws.write(&who, once.run(move |tx| rules::create(tx, new(patch)))).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(stream) => {
            let words = format!("Created {}", stream.name);
            Ok(flash::say(&app, Flash::ok(words), hx.go_to(&href(&scene, stream.id))))
        }
        Err(error) if error.kind() == ProblemKind::Invalid => {
            let mut page = ws.read(|snap| all(&scene, snap, shell, (false, Some(form))))?;
            page.fields = page.fields.map(|fields| fields.refused(&error, EditConflict::default()));
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

/// Saves a stream; an invalid form is shown again with its input.
async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(text): Path<String>,
    Form(form): Form<StreamForm>,
) -> Result<Response, PageError> {
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    let id = ws.read(|snap| queries::resolve(snap, &text))?.id;
    let rev = form.rev.parse().ok();
    let saved = match form.clone().read(&scene) {
        Ok(patch) => {
            ws.write(&who, move |tx| {
                rules::check_rev(tx, id, rev)?;
                rules::update(tx, id, patch)
            })
            .await
        }
        Err(error) => Err(error),
    };
    let error = match saved {
        Ok(_) => return Ok(flash::say(&app, Flash::ok("Saved"), hx.go_to(&href(&scene, id)))),
        Err(error) => error,
    };
    if !matches!(error.kind(), ProblemKind::Invalid | ProblemKind::Conflict | ProblemKind::Stale) {
        return Err(error.into());
    }
    let (page, status) = ws.read(|snap| {
        let since = meanwhile::after::<Stream>(&ws, &who, snap, (id, &form.rev), &error)?;
        let status = since.status();
        let fields = Fields::new(&scene, href(&scene, id), form).refused(&error, since);
        let stream = queries::get_rev(snap, id)?.0;
        Ok::<_, StreamError>((one(&scene, snap, shell, &stream, fields)?, status))
    })?;
    html::document(status, &page)
}

path_words! {
    /// What is done with one press.
    Verb {
        Archive = "archive",
        Restore = "restore",
    }
}

async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(text, verb): Path2<String, Verb>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::resolve(snap, &text))?.id;
    let stream = ws
        .write(&who, move |tx| match verb {
            Verb::Archive => rules::archive(tx, id),
            Verb::Restore => rules::restore(tx, id),
        })
        .await?;
    let done = if verb == Verb::Archive { "Archived" } else { "Restored" };
    let words = Flash::ok(format!("{done} {}", stream.name));
    Ok(flash::say(&app, words, hx.go_to(&ws.url(&format!("streams/{id}")))))
}
