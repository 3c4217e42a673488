//! The list of jobs, and the page of one job with its output.

use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use jiff::tz::TimeZone;
use serde::Deserialize;

use app::Ws;
use features::agents::model::Agent;
use features::runs::model::{CHILDREN, RUNS, Run};
use features::runs::queries::{talk, words};
use kernel::cursor::DEFAULT_LIMIT;
use kernel::text::ellipsis;
use kernel::{Can, Problem, Timestamp};
use store::{Read, ReadExt, StoreError, cursor_key, key_cursor};
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::form::{Wrong, sentence};
use web::format;
use web::html::{self, SafeHtml};
use web::hx::{Ask, Hx};
use web::idempotency::Once;
use web::live::Live;
use web::parts::{Dot, Face, Tab, Tone};
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::Shell;
use web::sse::HOSTS;
use web::term;
use web::time::RelTime;

use super::api::{find, may_see};
use features::agents::queries::elsewhere::Elsewhere;
use features::jobs::away::{self, Seen};
use features::jobs::model::{JOBS, Job, JobOutcome};
use features::jobs::queries::now::{self, Going, Kind};
use features::jobs::queries::upkeep::Upkeep;
use features::jobs::typing::{self, TerminalInput};
use features::jobs::{queries, rules};

/// How much of the end of an output a page shows, in bytes.
const SHOWN: usize = 64 * 1024;

/// How long a list waits for output of programs on other machines.
const SOON: Duration = Duration::from_secs(1);
/// Shown while the output is unknown.
const UNKNOWN: &str = "Output is shown when its machine responds.";
/// How much of the output a list shows: bytes read, and lines.
const TAIL: usize = 2 * 1024;
const TAIL_LINES: usize = 4;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/jobs", index.needs(Can::Read))
        .get("/jobs/{name}", show.needs(Can::Read))
        .get("/jobs/{name}/tail", tail.needs(Can::Read))
        .post("/jobs/{name}/input", type_in.needs(Can::Chat))
        .post("/jobs/{name}/stop", stop.needs(Can::Chat))
}

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct From {
    after: String,
    /// Restricts the list to this kind.
    kind: String,
}

/// A current activity: a program, a sub-agent or a timer.
struct GoingRow {
    icon: &'static str,
    kind: &'static str,
    title: String,
    href: String,
    state: Dot,
    word: &'static str,
    /// The run that it belongs to.
    of: Option<(String, String)>,
    since: RelTime,
    /// What happens next automatically, and when.
    until: Option<(&'static str, RelTime)>,
    why: String,
    face: Face,
    /// The program; moved out once its output is read into `tail`.
    program: Option<Job>,
    tail: Option<Tail>,
    stop: Option<String>,
}

/// A maintenance task of HQ.
struct UpkeepRow {
    title: String,
    detail: String,
    since: Option<RelTime>,
}

/// The end of a program's output; refreshes itself while the program runs.
#[derive(Template)]
#[template(path = "jobs/_tail.html")]
struct Tail {
    id: u32,
    url: String,
    text: SafeHtml,
    /// Text shown if there is no output.
    nothing: &'static str,
}

/// A row of the list of jobs.
struct Row {
    name: String,
    title: String,
    href: String,
    state: Dot,
    word: &'static str,
    run: Option<(String, String)>,
    took: String,
    began: RelTime,
    face: Face,
}

#[derive(Template)]
#[template(path = "jobs/index.html")]
struct Index {
    shell: Shell,
    kinds: Vec<Tab>,
    now: Now,
    list: Option<Rows>,
}

/// Current activity; a live region.
#[derive(Template)]
#[template(path = "jobs/_now.html")]
struct Now {
    live: Live,
    /// Address to poll every two seconds while HQ does maintenance, which has no record to subscribe to.
    url: String,
    rows: Vec<GoingRow>,
    upkeep: Vec<UpkeepRow>,
}

/// A page of the list; the first one refreshes itself.
#[derive(Template)]
#[template(path = "jobs/_rows.html")]
struct Rows {
    live: Option<Live>,
    rows: Vec<Row>,
    more: Option<String>,
}

/// A job with the end of its output; refreshes every second while the job runs.
#[derive(Template)]
#[template(path = "jobs/_view.html")]
struct View {
    url: String,
    live: Live,
    running: bool,
    name: String,
    command: String,
    face: Face,
    agent: Option<(String, String)>,
    run: Option<(String, String)>,
    state: Dot,
    detail: String,
    began: RelTime,
    facts: Vec<(&'static str, String)>,
    stop: Option<String>,
    /// The output as plain text, for copying.
    text: String,
    /// The output as a terminal shows it.
    shown: SafeHtml,
    /// Text shown if there is no output.
    nothing: &'static str,
    cut: String,
    /// Why the job's machine does not report its state; empty if it does.
    unknown: String,
}

/// The input line of a program; a live region.
#[derive(Template)]
#[template(path = "jobs/_type.html")]
struct Line {
    live: Live,
    /// Address of the form; `None` if the program reads no input.
    action: Option<String>,
    key: i64,
    /// Rejected input, and the reason.
    typed: String,
    wrong: String,
}

/// The input form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InputLineForm {
    line: String,
    /// Non-empty to close the program's standard input.
    end: String,
    /// Key that identifies a repeated submission.
    key: String,
}

#[derive(Template)]
#[template(path = "jobs/show.html")]
struct Show {
    shell: Shell,
    name: String,
    view: View,
    line: Line,
}

/// Context for drawing a page.
struct Look<'a> {
    ws: &'a Ws,
    now: Timestamp,
    zone: TimeZone,
}

impl<'a> Look<'a> {
    fn new(ws: &'a Ws, who: &Person) -> Self {
        let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
        Self { ws, now: ws.app.clock.now(), zone }
    }

    fn took(&self, job: &Job) -> String {
        format::duration(Duration::from_secs(job.seconds(self.now)))
    }

    fn run(&self, tx: &dyn Read, job: &Job) -> Result<Option<(String, String)>, StoreError> {
        let run = tx.get::<Run>(job.run)?;
        Ok(run.map(|run| (run.name(), self.ws.url(&format!("runs/{}", run.name())))))
    }
}

/// The last lines of a program's output.
async fn tail_of(ws: &Ws, job: &Job) -> Result<Tail, StoreError> {
    let seen = away::read_output(ws, job, None, TAIL).await?;
    let lines: Vec<&str> = seen.written.text.trim_end().lines().collect();
    let last = lines.len().saturating_sub(TAIL_LINES);
    let nothing = if seen.is_known() { "No output yet." } else { UNKNOWN };
    Ok(Tail { text: term::html(&lines[last..].join("\n")), nothing, ..no_tail(ws, job) })
}

/// The tail of a program whose output is not known yet.
fn no_tail(ws: &Ws, job: &Job) -> Tail {
    let url = match job.is_running() {
        true => ws.url(&format!("jobs/{}/tail", job.number)),
        false => String::new(),
    };
    Tail { id: job.number, url, text: term::html(""), nothing: UNKNOWN }
}

/// Fills in the last output of the rows' programs on all machines. Output that takes too long comes with the next
/// refresh.
async fn read_tails(ws: &Ws, rows: &mut [GoingRow]) -> Result<(), StoreError> {
    let read = rows.iter_mut().filter_map(|row| {
        let job = row.program.take()?;
        Some(async move {
            row.tail = Some(match tokio::time::timeout(SOON, tail_of(ws, &job)).await {
                Ok(tail) => tail?,
                Err(_) => no_tail(ws, &job),
            });
            Ok::<_, StoreError>(())
        })
    });
    join_all(read).await.into_iter().collect()
}

async fn index(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Query(from): Query<From>,
) -> Result<Response, PageError> {
    let kind = Kind::of(&from.kind);
    let programs = kind.is_none_or(|kind| kind == Kind::Program);
    let wants_now = hx.wants("jobs-now");
    if hx.is_partial() && !wants_now {
        let list = ws.read(|snap| rows(snap, &Look::new(&ws, &who), &who, &from))?;
        return html::fragment(&list);
    }
    let (reader, params) = (who.clone(), from.clone());
    let look = move |ws: &Ws| ws.read(|snap| now(snap, &Look::new(ws, &reader), &reader, &params));
    let mut now = ws.read_blocking(look).await?;
    read_tails(&ws, &mut now.rows).await?;
    if wants_now {
        return html::fragment(&now);
    }
    let list = match programs {
        true => Some(ws.read(|snap| rows(snap, &Look::new(&ws, &who), &who, &from))?),
        false => None,
    };
    let here = ws.url("jobs");
    let mut kinds = vec![Tab::new("All", here.clone(), kind.is_none())];
    kinds.extend(Kind::ALL.into_iter().map(|one| {
        let href = format!("{here}?kind={}", one.word());
        Tab::new(one.label().1, href, kind == Some(one))
    }));
    html::page(&Index { shell, kinds, now, list })
}

/// Current activity that this person may see.
fn now(tx: &dyn Read, look: &Look<'_>, who: &Person, from: &From) -> Result<Now, StoreError> {
    let kind = Kind::of(&from.kind);
    let sees = |run: &Run| talk::may_see_run(tx, run, who.account, who.role);
    let may = who.access.may(Can::Chat);
    let mut rows = Vec::new();
    for one in queries::now::going(look.ws, tx, &sees)? {
        if kind.is_none_or(|kind| kind == one.kind) {
            let place = one.job.as_ref().map(|job| away::place(look.ws, tx, job)).transpose()?;
            rows.push(going(look, one, place.flatten().as_ref(), may));
        }
    }
    let query = kind.map(|kind| format!("?kind={}", kind.word())).unwrap_or_default();
    let here = look.ws.url(&format!("jobs{query}"));
    let live = Live::new(here.as_str()).table(JOBS.name).table(CHILDREN.name).table(RUNS.name);
    let live = live.table(HOSTS);
    let upkeep = match kind {
        None if who.access.may(Can::Admin) => upkeep(look),
        _ => Vec::new(),
    };
    Ok(Now { live, url: here, rows, upkeep })
}

/// HQ's own maintenance, for administrators.
fn upkeep(look: &Look<'_>) -> Vec<UpkeepRow> {
    let row = |one: Upkeep| UpkeepRow {
        title: one.title,
        detail: match one.percent {
            Some(percent) => format!("{}, {percent} %", one.detail),
            None => one.detail,
        },
        since: one.since.map(|since| RelTime::new(since, look.now, &look.zone)),
    };
    queries::upkeep::upkeep(look.ws).into_iter().map(row).collect()
}

/// A row of current activity; `place` is the other machine that a program runs on.
fn going(look: &Look<'_>, one: Going, place: Option<&Elsewhere>, may: bool) -> GoingRow {
    let silent = place.filter(|place| !place.is_linked);
    let state = match silent {
        Some(_) => words::stalled(),
        None => one.state,
    };
    let url = |run: &Run| look.ws.url(&format!("runs/{}", run.name()));
    let of = match one.kind {
        Kind::Subagent => one.parent.as_ref(),
        Kind::Program | Kind::Timer => one.run.as_ref(),
    };
    let href = match (&one.job, &one.run) {
        (Some(job), _) => look.ws.url(&format!("jobs/{}", job.number)),
        (None, Some(run)) => url(run),
        (None, None) => String::new(),
    };
    let at = |at: Timestamp| RelTime::new(at, look.now, &look.zone);
    let stops = match (&one.job, &one.run) {
        (Some(job), _) => job.stop.is_none(),
        (None, run) => run.as_ref().is_some_and(|run| run.stop.is_none()),
    };
    GoingRow {
        icon: one.kind.icon(),
        kind: one.kind.label().0,
        title: ellipsis(&one.title, 200),
        word: state.word,
        state: state.into(),
        of: of.map(|run| (run.name(), url(run))),
        since: at(one.since),
        until: one.until.map(|until| match one.kind {
            Kind::Timer => ("continues", at(until)),
            Kind::Program | Kind::Subagent => ("stops", at(until)),
        }),
        why: silent.map_or(one.why, |place| place.describe(look.now, &look.zone)),
        face: one.agent.as_ref().map_or_else(Face::nobody, face),
        tail: None,
        stop: (may && stops).then(|| format!("{href}/stop")),
        program: one.job,
        href,
    }
}

async fn tail(ws: Ws, who: Person, Path(name): Path<String>) -> Result<Response, PageError> {
    let job = find(&ws, &who, &name)?;
    html::fragment(&tail_of(&ws, &job).await?)
}

fn rows(tx: &dyn Read, look: &Look<'_>, who: &Person, from: &From) -> Result<Rows, StoreError> {
    let here = look.ws.url("jobs");
    let after = cursor_key(&from.after);
    let hits = queries::all(tx, after.as_deref(), DEFAULT_LIMIT + 1)?;
    let full = hits.len() > DEFAULT_LIMIT;
    let (mut rows, mut more) = (Vec::new(), None);
    for hit in hits.into_iter().take(DEFAULT_LIMIT) {
        more = full.then(|| format!("{here}?after={}", key_cursor(&hit.key)));
        if may_see(tx, &hit.record, who)? {
            rows.push(row(tx, look, &hit.record)?);
        }
    }
    let live = from.after.is_empty().then(|| Live::new(here).table(JOBS.name).table(HOSTS));
    Ok(Rows { live, rows, more })
}

fn row(tx: &dyn Read, look: &Look<'_>, job: &Job) -> Result<Row, StoreError> {
    let agent = tx.get::<Agent>(job.agent)?;
    let place = away::place(look.ws, tx, job)?;
    let state = now::state(job, place.is_some_and(|place| !place.is_linked));
    let first = job.command.lines().next().unwrap_or_default();
    Ok(Row {
        name: job.number.to_string(),
        title: ellipsis(first, 200),
        href: look.ws.url(&format!("jobs/{}", job.number)),
        word: state.word,
        state: state.into(),
        run: look.run(tx, job)?,
        took: look.took(job),
        began: RelTime::new(job.started_at, look.now, &look.zone),
        face: agent.map_or_else(Face::nobody, |agent| face(&agent)),
    })
}

fn face(agent: &Agent) -> Face {
    Face::agent(&agent.name, &agent.emoji, &agent.slug)
}

async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let job = find(&ws, &who, &name)?;
    let most = if hx.wants("job-line") { 0 } else { SHOWN };
    let seen = away::read_output(&ws, &job, None, most).await?;
    let line = line_of(&ws, &who, &job, seen.reads);
    if hx.wants("job-line") {
        return html::fragment(&line);
    }
    let view = view(&ws, &who, &job, seen)?;
    if hx.wants("job") {
        return html::fragment(&view);
    }
    html::page(&Show { shell, name: format!("Program {}", job.number), view, line })
}

/// The input line, if the program reads input and the person may write.
fn line_of(ws: &Ws, who: &Person, job: &Job, reads: bool) -> Line {
    let href = ws.url(&format!("jobs/{}", job.number));
    let may = who.access.may(Can::Chat) && job.is_running();
    Line {
        action: (may && reads).then(|| format!("{href}/input")),
        live: Live::new(href).record(JOBS.name, job.id).table(HOSTS),
        key: ws.app.clock.now().as_millisecond(),
        typed: String::new(),
        wrong: String::new(),
    }
}

/// `POST /jobs/{name}/input`: sends a line to the program, or closes its input.
async fn type_in(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(name): Path<String>,
    Form(form): Form<InputLineForm>,
) -> Result<Response, PageError> {
    let job = find(&ws, &who, &name)?;
    let end = !form.end.is_empty();
    let text = match form.line.as_str() {
        "" if end => String::new(),
        line => format!("{line}\n"),
    };
    let content = [form.line.as_str(), form.end.as_str()];
    let once = Once::of_form(&who, &format!("job {}", job.id), &form.key, &content);
    let sent = typing::send(&ws, &who, &job, TerminalInput { text, end }, once).await;
    match sent {
        Ok(_) if end && hx.is_partial() => {
            let changed = Ask::new().changed(JOBS.name, job.id);
            Ok((changed.toast(Tone::Ok, "Input closed"), "").into_response())
        }
        Ok(_) => Ok(hx.done("Sent", &ws.url(&format!("jobs/{}", job.number)))),
        Err(error) if hx.is_partial() => Err(error.into()),
        Err(error) => {
            let wrong = Wrong::of(&error)?;
            let status = StatusCode::from_u16(error.kind().status()).unwrap_or_default();
            // The job may have ended in the meantime.
            let job = find(&ws, &who, &name)?;
            let seen = away::read_output(&ws, &job, None, SHOWN).await?;
            let mut line = line_of(&ws, &who, &job, seen.reads);
            (line.typed, line.wrong) = (form.line, sentence(wrong.whole()));
            let view = view(&ws, &who, &job, seen)?;
            let name = format!("Program {}", job.number);
            html::document(status, &Show { shell, name, view, line })
        }
    }
}

fn view(ws: &Ws, who: &Person, job: &Job, seen: Seen) -> Result<View, StoreError> {
    let look = Look::new(ws, who);
    let unknown = match seen.silent() {
        Some(place) => format!(
            "{} You can see its output and send input when that machine is back. Stopping it now \
             takes effect then.",
            place.describe(look.now, &look.zone)
        ),
        None => seen.lack.clone(),
    };
    let (is_silent, is_known) = (seen.silent().is_some(), seen.is_known());
    let (written, place) = (seen.written, seen.place);
    let href = ws.url(&format!("jobs/{}", job.number));
    ws.read(|snap| {
        let agent = snap.get::<Agent>(job.agent)?;
        let state = now::state(job, is_silent);
        let ends = job.is_running() || job.detached > 0;
        let may = who.access.may(Can::Chat);
        let mut facts = vec![("Running time", look.took(job))];
        facts.extend(place.map(|place| ("Runs on", place.label)));
        if job.is_running() {
            let most = Duration::from_secs(u64::from(job.timeout_secs));
            facts.push(("Ends after", format::duration(most)));
        }
        if job.detached > 0 {
            let left = format::count(u64::from(job.detached), "process", "processes");
            facts.push(("Left running", left));
        }
        Ok(View {
            live: Live::new(href.clone()).record(JOBS.name, job.id).table(HOSTS),
            running: job.is_running(),
            name: format!("Program {}", job.number),
            command: job.command.clone(),
            face: agent.as_ref().map_or_else(Face::nobody, face),
            agent: agent.map(|agent| (agent.name, ws.url(&format!("agents/{}", agent.slug)))),
            run: look.run(snap, job)?,
            state: state.into(),
            detail: job.outcome.as_ref().map(JobOutcome::describe).unwrap_or_default(),
            began: RelTime::new(job.started_at, look.now, &look.zone),
            facts,
            stop: (may && ends).then(|| format!("{href}/stop")),
            cut: if written.from > 0 { format::size(written.from) } else { String::new() },
            nothing: match job.is_running() {
                true if !is_known => "Output is unknown right now.",
                true => "No output yet.",
                false => "No output.",
            },
            unknown,
            shown: term::html(&written.text),
            text: term::plain(&written.text),
            url: href.clone(),
        })
    })
}

async fn stop(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let job = find(&ws, &who, &name)?;
    let stopped = ws.write(&who, move |tx| rules::request_stop(tx, job.id)).await?;
    let place = ws.read(|snap| away::place(&ws, snap, &stopped))?;
    let words = match place.filter(|place| !place.is_linked) {
        Some(place) => format!("It stops when {} is back", place.label),
        None => "Stopping".to_owned(),
    };
    Ok(hx.done(&words, &ws.url(&format!("jobs/{}", job.number))))
}
