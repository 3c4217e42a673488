//! Settings, Audit: the audit log, verification of the journal, and retention of former versions.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use app::jobs::JobState;
use app::{App, Ws};
use features::tasks::queries::people::People;
use kernel::display;
use kernel::{Can, Problem, Timestamp};
use store::StoreError;
use store::keep::Images;
use store::verify::{Depth, Verified};
use web::error::PageError;
use web::extract::{Form, Query};
use web::flash;
use web::form::{Wrong, check_rev, rev_of, sentence};
use web::format;
use web::html;
use web::hx::Hx;
use web::parts::{Choice, Tab, percent};
use web::routes::{Needs, Routes};
use web::session::{Alive, Person};
use web::shell::{Flash, Shell};
use web::time::RelTime;

use super::api::export;
use features::audit::model::Keeping;
use features::audit::queries::{self, AuditParams, AuditQuery, Line, Reach, Source};
use features::audit::rules::{self, AuditError};

/// Lines per page.
const PAGE: usize = 40;
/// Time limit for counting former versions.
const COUNTING: Duration = Duration::from_secs(1);

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/audit", show.needs(Can::Admin))
        .get("/settings/audit/former-versions", former_versions.needs(Can::Admin))
        .get("/settings/audit/export", send.needs(Can::Admin))
        .get("/settings/audit/verify", check.needs(Can::Admin))
        .post("/settings/audit/verify", begin.needs(Can::Admin))
        .post("/settings/audit/redact", redact.needs(Can::Admin).proved())
        .post("/settings/audit/retention", keep.needs(Can::Admin))
}

fn address(ws: &Ws, params: &AuditParams) -> String {
    let query = params.query();
    match query.is_empty() {
        true => ws.url("settings/audit"),
        false => format!("{}?{query}", ws.url("settings/audit")),
    }
}

// ── Audit log ──

struct Row {
    line: Line,
    at: RelTime,
    via_href: String,
    /// Address of all entries of the same request, job or undo; may be empty.
    same_href: String,
    said: Vec<Said>,
}

struct Said {
    verb: String,
    thing: String,
    href: String,
    rest: String,
    icon: &'static str,
}

struct Day {
    label: String,
    rows: Vec<Row>,
}

/// The lines alone: the response of "more".
#[derive(Template)]
#[template(path = "audit/_days.html")]
struct Days {
    days: Vec<Day>,
    next: String,
    searched: String,
    narrow: bool,
    /// Whether the page begins with the newest entry.
    is_first: bool,
}

#[derive(Template)]
#[template(path = "audit/show.html")]
struct Show {
    shell: Shell,
    here: &'static str,
    sources: Vec<Tab>,
    asked: AuditParams,
    e: Wrong,
    whose: Vec<Choice>,
    causes: Vec<Choice>,
    events: Vec<Choice>,
    export: String,
    clear: String,
    days: Vec<Day>,
    next: String,
    searched: String,
    narrow: bool,
    is_first: bool,
    check: CheckView,
    keeping: KeepingForm,
    /// Address of [`FormerVersions`]; counting is too slow for the page itself.
    former_versions: String,
    tables: Vec<Choice>,
    redact: RedactForm,
    wrong: Wrong,
}

async fn show(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<AuditParams>,
) -> Result<Response, PageError> {
    let params = params.tidy();
    if hx.is_partial() {
        let days = ws.read_blocking(move |ws| days(&app, ws, &who, &params));
        return html::fragment(&days.await?);
    }
    html::page(&page(&app, &ws, &who, shell, params).await?)
}

fn days(app: &App, ws: &Ws, who: &Person, params: &AuditParams) -> Result<Days, AuditError> {
    let zone = who.time_zone();
    let wish = AuditQuery::new(ws, params, (Some(who.account), &zone))?;
    let found = queries::lines(ws, &wish, PAGE)?;
    let looked = format::count(found.looked, "entry", "entries");
    let searched = match (&found.next, found.reached) {
        (Some(_), Some(at)) => {
            let at = at.to_zoned(zone.clone());
            let (day, time) = (display::long_day(at.date()), display::time(at.time()));
            format!("Searched {looked}, back to {day}, {time}.")
        }
        _ => format!("Searched {looked}, back to the first."),
    };
    let next = found.next.map(|next| AuditParams { before: Some(next), ..params.clone() });
    let next = next.map(|params| address(ws, &params)).unwrap_or_default();
    let narrow = params.is_narrow();
    Ok(Days {
        days: by_day(ws, params, found.lines, (app.clock.now(), &zone)),
        next,
        searched,
        narrow,
        is_first: params.before.is_none(),
    })
}

fn by_day(
    ws: &Ws,
    params: &AuditParams,
    lines: Vec<Line>,
    (now, zone): (Timestamp, &TimeZone),
) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for line in lines {
        let date = line.at.to_zoned(zone.clone()).date();
        let label = format!("{}, {}", date.strftime("%A"), display::long_day(date));
        let link = |path: &str| if path.is_empty() { String::new() } else { ws.url(path) };
        let sentences = line.sentences.iter().map(|words| Said {
            verb: words.verb.clone(),
            thing: words.thing.clone(),
            href: link(&words.path),
            rest: words.rest.clone(),
            icon: words.icon,
        });
        let row = Row {
            at: RelTime::new(line.at, now, zone),
            via_href: link(&line.via_path),
            same_href: match line.same.as_str() {
                "" => String::new(),
                same => {
                    let source = params.source.clone();
                    let cause = Some(same.to_owned());
                    address(ws, &AuditParams { source, cause, ..AuditParams::default() })
                }
            },
            said: sentences.collect(),
            line,
        };
        match days.last_mut() {
            Some(day) if day.label == label => day.rows.push(row),
            _ => days.push(Day { label, rows: vec![row] }),
        }
    }
    days
}

/// Builds the page on a blocking thread, since it scans the feed.
async fn page(
    app: &App,
    ws: &Ws,
    who: &Person,
    shell: Shell,
    params: AuditParams,
) -> Result<Show, PageError> {
    let (app, who) = (app.clone(), who.clone());
    ws.read_blocking(move |ws| made(&app, ws, &who, shell, params)).await
}

fn made(
    app: &App,
    ws: &Ws,
    who: &Person,
    shell: Shell,
    params: AuditParams,
) -> Result<Show, PageError> {
    let (found, e) = match days(app, ws, who, &params) {
        Ok(found) => (found, Wrong::none()),
        Err(AuditError::Store(error)) => return Err(error.into()),
        Err(error) => {
            let none = Days {
                days: Vec::new(),
                next: String::new(),
                searched: String::new(),
                narrow: true,
                is_first: true,
            };
            (none, Wrong::of(&error).unwrap_or_else(|_| Wrong::field("before", error.to_string())))
        }
    };
    let (people, keeping) = ws.read(|snap| {
        let keeping = KeepingForm::of(&queries::keeping(snap)?, rev_of::<Keeping>(snap, ())?);
        Ok::<_, StoreError>((People::read(snap)?, keeping))
    })?;
    let tab = |label: &str, source: Option<&str>| {
        let to = AuditParams { source: source.map(str::to_owned), ..AuditParams::default() };
        let current = (params.source() == Source::Accounts) == source.is_some();
        Tab::new(label, address(ws, &to), current)
    };
    let export = AuditParams { before: None, ..params.clone() }.query();
    let clear = AuditParams { source: params.source.clone(), ..AuditParams::default() };
    Ok(Show {
        here: "audit",
        sources: vec![tab("Workspace", None), tab("Sign-ins and tokens", Some("accounts"))],
        whose: queries::whose(&people, who.account, params.by.as_deref()),
        causes: queries::causes(params.cause.as_deref()),
        events: queries::events(params.event.as_deref()),
        export: format!("{}?{export}", ws.url("settings/audit/export")),
        clear: address(ws, &clear),
        days: found.days,
        next: found.next,
        searched: found.searched,
        narrow: found.narrow,
        is_first: found.is_first,
        check: CheckView::of(app, ws, who)?,
        keeping,
        former_versions: ws.url("settings/audit/former-versions"),
        tables: tables(ws, Reach::of(app, who.account)?, ""),
        redact: RedactForm::default(),
        wrong: Wrong::none(),
        asked: params,
        e,
        shell,
    })
}

/// Number and size of former versions.
#[derive(Template)]
#[template(source = "<span>{{ summary }}</span>", ext = "html")]
struct FormerVersions {
    summary: String,
}

/// The same as a page, for browsers without script.
#[derive(Template)]
#[template(path = "audit/former_versions.html")]
struct FormerVersionsPage {
    shell: Shell,
    here: &'static str,
    summary: String,
}

async fn former_versions(ws: Ws, hx: Hx, shell: Shell) -> Result<Response, PageError> {
    let counted = ws.read_blocking(|ws| store::keep::images_within(&ws.store, COUNTING)).await?;
    let count = format::count(counted.count, "former version", "former versions");
    let size = format::size(counted.bytes);
    let summary = match counted {
        Images { count: 0, .. } => "None are stored now.".to_owned(),
        Images { more: true, .. } => format!("More than {count} are stored now, over {size}."),
        Images { count: 1, .. } => format!("{count} is stored now, {size}."),
        _ => format!("{count} are stored now, {size}."),
    };
    match hx.is_partial() {
        true => html::fragment(&FormerVersions { summary }),
        false => html::page(&FormerVersionsPage { shell, here: "audit", summary }),
    }
}

fn tables(ws: &Ws, reach: Reach, chosen: &str) -> Vec<Choice> {
    let mut all = queries::with_a_past(&ws.store);
    if reach == Reach::Both {
        all.extend(queries::with_a_past(&ws.app.system));
    }
    all.into_iter().map(|name| Choice::new(name, name, name == chosen)).collect()
}

async fn send(
    ws: Ws,
    who: Person,
    alive: Alive,
    Query(params): Query<AuditParams>,
) -> Result<Response, PageError> {
    export(ws, who, alive, params).await
}

// ── Verification ──

/// State of the last verification.
#[derive(Default)]
struct CheckView {
    url: String,
    running: bool,
    what: String,
    percent: u8,
    label: String,
    ended: Option<RelTime>,
    error: String,
    sound: bool,
    figures: String,
    head: String,
    faults: Vec<String>,
    more: u64,
}

#[derive(Template)]
#[template(path = "audit/_check.html")]
struct Check {
    check: CheckView,
}

impl CheckView {
    fn of(app: &App, ws: &Ws, who: &Person) -> Result<Self, StoreError> {
        let url = ws.url("settings/audit/verify");
        let Some(state) = app.jobs.state(&ws.slug, queries::VERIFY) else {
            return Ok(Self { url, ..Self::default() });
        };
        let state = Reach::of(app, who.account)?.sees(state);
        let zone = who.time_zone();
        let percent = percent(state.done, state.total);
        let mut view = Self {
            url,
            label: format!("{percent} percent verified"),
            percent,
            running: state.ended.is_none(),
            what: match state.total {
                0 => format!("{} {}", format::grouped(state.done), state.what),
                all => format!(
                    "{} of {} {}",
                    format::grouped(state.done),
                    format::grouped(all),
                    state.what
                ),
            },
            ended: state.ended.map(|at| RelTime::new(at, app.clock.now(), &zone)),
            error: state.error.clone().map(|error| sentence(&error)).unwrap_or_default(),
            ..Self::default()
        };
        view.found(&state);
        Ok(view)
    }

    fn found(&mut self, state: &JobState) {
        let part = |name: &str| -> Option<Verified> {
            serde_json::from_value(state.result.as_ref()?.get(name)?.clone()).ok()
        };
        let Some(own) = part("workspace") else { return };
        let accounts = part("accounts").unwrap_or_default();
        self.sound = own.is_sound() && accounts.is_sound();
        self.figures = format!(
            "{} entries, {} former versions and {} records match their hashes. Took {}.",
            format::grouped(own.entries + accounts.entries),
            format::grouped(own.images + accounts.images),
            format::grouped(own.rows + accounts.rows),
            format::duration(Duration::from_millis(own.took_ms + accounts.took_ms)),
        );
        self.head = own.head.clone();
        let faults_of = |report: &Verified, prefix: &str| {
            report.faults.iter().map(|fault| format!("{prefix}{fault}")).collect::<Vec<_>>()
        };
        self.faults = faults_of(&own, "");
        self.faults.extend(faults_of(&accounts, "accounts: "));
        let all = own.faults_count + accounts.faults_count;
        self.more = all - u64::try_from(self.faults.len()).unwrap_or(all);
    }
}

async fn check(app: App, ws: Ws, who: Person) -> Result<Response, PageError> {
    html::fragment(&Check { check: CheckView::of(&app, &ws, &who)? })
}

async fn begin(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    // A request during a verification shows its progress.
    let _running = queries::begin_verify(&ws, Depth::There, Reach::of(&app, who.account)?);
    if hx.is_partial() {
        return html::fragment(&Check { check: CheckView::of(&app, &ws, &who)? });
    }
    Ok(hx.go_to(&ws.url("settings/audit")))
}

// ── Retention ──

#[derive(Clone, Default, Deserialize)]
struct KeepingForm {
    #[serde(default)]
    days: String,
    #[serde(default)]
    megabytes: String,
    /// Revision of the settings that the form shows.
    #[serde(default)]
    rev: String,
}

impl KeepingForm {
    fn of(keeping: &Keeping, rev: String) -> Self {
        let megabytes = keeping.megabytes.map(|m| m.to_string()).unwrap_or_default();
        Self { days: keeping.days.to_string(), megabytes, rev }
    }

    fn read(&self) -> Result<Keeping, AuditError> {
        let days = self.days.trim().parse();
        let days = days.map_err(|_| AuditError::field("days", "enter a number of days"))?;
        let megabytes = match self.megabytes.trim() {
            "" => None,
            text => {
                let wrong = |_| AuditError::field("megabytes", "enter a number, or leave empty");
                Some(text.parse().map_err(wrong)?)
            }
        };
        Ok(Keeping { days, megabytes })
    }
}

async fn keep(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(form): Form<KeepingForm>,
) -> Result<Response, PageError> {
    let saved = match form.read() {
        Ok(keeping) => {
            let rev = form.rev.clone();
            ws.write(&who, move |tx| -> Result<_, AuditError> {
                check_rev::<Keeping>(tx, (), &rev)?;
                rules::keep(tx, keeping)
            })
            .await
        }
        Err(error) => Err(error),
    };
    match saved {
        Ok(_) => {
            let done = Flash::ok("Saved. Versions past the limit are deleted within an hour.");
            Ok(flash::say(&app, done, hx.go_to(&ws.url("settings/audit"))))
        }
        Err(error) => {
            let wrong = Wrong::of(&error)?;
            let mut page = page(&app, &ws, &who, shell, AuditParams::default()).await?;
            let status = wrong.status();
            let rev = match wrong.is_stale() {
                true => page.keeping.rev.clone(),
                false => form.rev.clone(),
            };
            (page.keeping, page.wrong) = (KeepingForm { rev, ..form }, wrong);
            html::document(status, &page)
        }
    }
}

#[derive(Clone, Default, Deserialize)]
struct RedactForm {
    #[serde(default)]
    table: String,
    #[serde(default)]
    id: String,
    /// The id, typed again as confirmation.
    #[serde(default)]
    sure: String,
}

async fn redact(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(form): Form<RedactForm>,
) -> Result<Response, PageError> {
    let done = match form.sure.trim() == "redact" {
        true => {
            let store = queries::store_with(&ws, Reach::of(&app, who.account)?, &form.table);
            queries::redact(store, &who, &form.table, &form.id).await
        }
        false => Err(AuditError::field("sure", "type the word redact to confirm")),
    };
    match done {
        Ok(n) => {
            let n = format::count(n.try_into().unwrap_or(u64::MAX), "version", "versions");
            let text = format!("Removed {n}. The current record is unchanged.");
            Ok(flash::say(&app, Flash::ok(text), hx.go_to(&ws.url("settings/audit"))))
        }
        Err(error) => {
            let wrong = match &error {
                AuditError::Store(StoreError::UnknownRecord) => {
                    Wrong::field("id", error.to_string())
                }
                error => Wrong::of(error as &dyn Problem)?,
            };
            let mut page = page(&app, &ws, &who, shell, AuditParams::default()).await?;
            page.tables = tables(&ws, Reach::of(&app, who.account)?, &form.table);
            (page.redact, page.wrong) = (form, wrong);
            html::document(axum::http::StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}
