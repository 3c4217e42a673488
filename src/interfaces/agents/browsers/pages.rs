//! The browser tab of an agent's page: switch, live view, policy, stop and reset.

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use app::{App, Ws};
use browser::act::Shot;
use features::agents::model::Agent;
use features::agents::queries::head::{self, Head, Place};
use features::browsers::model::{AgentBrowser, BrowserPolicy};
use features::browsers::queries;
use features::browsers::rules::{self, Switch};
use features::history::queries as history;
use features::trust::queries::widening;
use kernel::Can;
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::flash;
use web::form::Wrong;
use web::format;
use web::html;
use web::hx::Hx;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};

use super::asks::{self, Asks};
use super::side::{self, Side};
use super::{State, view};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/agents/{slug}/browser", show.needs(Can::Read))
        .get("/agents/{slug}/browser/picture", picture.needs(Can::Read))
        .get("/agents/{slug}/browser/downloads/{id}", download.needs(Can::Agents))
        .get("/agents/{slug}/browser/view", view::watch.needs(Can::Read))
        .post("/agents/{slug}/browser/ticket", view::ticket.needs(Can::Read).also_closed())
        .post("/agents/{slug}/browser/upload", view::give.needs(Can::Agents))
        .post("/agents/{slug}/browser/open", open.needs(Can::Agents))
        .post("/agents/{slug}/browser/switch", switch.needs(Can::Agents))
        .post("/agents/{slug}/browser/policy", set_rules.needs(Can::Admin))
        .post("/agents/{slug}/browser/stop", stop.needs(Can::Agents))
        .post("/agents/{slug}/browser/reset", reset.needs(Can::Agents).proved())
}

/// A browser tab.
struct Row {
    name: String,
    title: String,
    url: String,
    has_crashed: bool,
}

#[derive(Template)]
#[template(path = "agents/browser.html")]
struct BrowserPage {
    shell: Shell,
    head: Head,
    base: String,
    /// Requests to people in this browser.
    asks: Asks,
    /// Recent actions and downloads.
    side: Side,
    /// Style and script of the live view.
    files: (&'static str, &'static str),
    is_on: bool,
    /// Whether this person may switch, stop and reset the browser.
    may: bool,
    is_running: bool,
    rows: Vec<Row>,
    /// Notice of tabs that this person may not see; may be empty.
    hidden: String,
    /// Title of the tab in the picture; `None` without a picture.
    picture: Option<String>,
    /// Missing requirements of this machine, one sentence each.
    needs: Vec<String>,
    history: String,
    rules: RulesForm,
}

/// The browser policy, as stored or as typed.
struct RulesForm {
    /// Whether this person may change it.
    may: bool,
    scripts: bool,
    /// One host per line.
    allowed: String,
    blocked: String,
    wrong: Wrong,
    history: String,
}

impl RulesForm {
    /// The stored policy.
    fn of(policy: &BrowserPolicy) -> Self {
        Self {
            may: false,
            scripts: policy.scripts,
            allowed: policy.allowed.join("\n"),
            blocked: policy.blocked.join("\n"),
            wrong: Wrong::none(),
            history: String::new(),
        }
    }
}

fn found(ws: &Ws, slug: &str) -> Result<Agent, PageError> {
    super::found(ws, slug)?.ok_or_else(|| PageError::not_found("This agent"))
}

/// Version of the requests that the page was loaded with, for detecting news.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    shown: String,
}

/// `GET /agents/{slug}/browser`
async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Query(given): Query<Given>,
) -> Result<Response, PageError> {
    let agent = found(&ws, &slug)?;
    if hx.wants(side::REGION) {
        return html::fragment(&side::read(&ws, &who, &agent).await?);
    }
    let is_part = hx.wants(asks::REGION);
    let shown = if is_part { given.shown.as_str() } else { "" };
    let asks = ws.read(|snap| asks::read(snap, &ws, &who, &agent, shown))?;
    if is_part {
        return html::fragment(&asks);
    }
    let policy = ws.read(|snap| queries::policy(snap, agent.id))?;
    html::page(&whole((&ws, &who), shell, asks, &agent, RulesForm::of(&policy)).await?)
}

/// The page with the policy form.
async fn whole(
    (ws, who): (&Ws, &Person),
    shell: Shell,
    asks: Asks,
    agent: &Agent,
    mut rules: RulesForm,
) -> Result<BrowserPage, PageError> {
    let now = ws.app.clock.now();
    let (head, history, of_rules) = ws.read(|snap| {
        let head = head::head(ws, snap, agent, Place::Browser, who.access, now)?;
        let history = history::href_if_any::<AgentBrowser>(ws, snap, agent.id)?;
        let of_rules = history::href_if_any::<BrowserPolicy>(ws, snap, agent.id)?;
        Ok::<_, PageError>((head, history, of_rules))
    })?;
    rules.history = of_rules;
    rules.may = who.access.may(Can::Admin) && !head.is_archived;
    let State { is_on, is_running, tabs, hidden, needs, .. } = super::state(ws, who, agent).await?;
    let page = super::shown(ws, who, agent.id)?;
    let picture = page.and_then(|page| tabs.iter().find(|tab| tab.number == page.number()));
    let picture = picture.map(|tab| named(&tab.title, &tab.url));
    let rows = tabs.into_iter().map(|tab| Row {
        name: format!("t{}", tab.number),
        title: named(&tab.title, &tab.url),
        url: tab.url,
        has_crashed: tab.has_crashed,
    });
    let side = side::read(ws, who, agent).await?;
    Ok(BrowserPage {
        side,
        base: format!("{}/browser", head.base),
        asks,
        shell,
        may: who.access.may(Can::Agents) && !head.is_archived,
        head,
        files: (web::assets::more("browser.css"), web::assets::more("browser.js")),
        is_on,
        is_running,
        rows: rows.collect(),
        hidden: match hidden as u64 {
            0 => String::new(),
            count => format!(
                "{} from private conversations.",
                format::count(count, "more tab", "more tabs")
            ),
        },
        picture,
        needs: needs.into_iter().map(|need| need.says).collect(),
        history,
        rules,
    })
}

/// The label of a tab. A tab has neither title nor address while a credential is typed.
pub(super) fn named(title: &str, url: &str) -> String {
    let name = if title.is_empty() { url } else { title };
    if name.is_empty() { "Hidden".to_owned() } else { name.to_owned() }
}

/// `GET /agents/{slug}/browser/picture`
async fn picture(ws: Ws, who: Person, Path(slug): Path<String>) -> Result<Response, PageError> {
    let agent = found(&ws, &slug)?;
    let page = super::shown(&ws, &who, agent.id)?;
    let page = page.ok_or_else(|| PageError::not_found("A picture of a running browser"))?;
    let picture = super::picture(&ws, agent.id, &page, Shot::default()).await?;
    let head = [
        (CONTENT_TYPE, "image/jpeg"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((head, picture).into_response())
}

/// `GET /agents/{slug}/browser/downloads/{id}`
async fn download(
    ws: Ws,
    who: Person,
    Path2(slug, id): Path2<String, String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let agent = found(&ws, &slug)?;
    super::download((&ws, &who), agent.id, &id, &headers).await
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BrowserInputForm {
    /// Empty for off.
    on: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    /// Empty for none.
    url: String,
}

/// `POST /agents/{slug}/browser/open`
async fn open(
    ws: Ws,
    _: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(wanted): Form<Wanted>,
) -> Result<Response, PageError> {
    super::open(&ws, &found(&ws, &slug)?, &wanted.url).await?;
    Ok(hx.go_to(&ws.url(&format!("agents/{slug}/browser"))))
}

/// `POST /agents/{slug}/browser/switch`
async fn switch(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(form): Form<BrowserInputForm>,
) -> Result<Response, PageError> {
    let id = found(&ws, &slug)?.id;
    let (to, says) = match form.on.as_str() {
        "" => (Switch::Off, "The browser is off."),
        _ => (Switch::On, "The browser is on."),
    };
    ws.write(&who, widening::checked(&who, move |tx| rules::set(tx, id, to))).await?;
    if to == Switch::Off {
        super::stop(&ws, id).await;
    }
    Ok(back(&app, &ws, &hx, &slug, says))
}

/// The policy form.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RulesInput {
    /// Empty for off.
    scripts: String,
    allowed_hosts: String,
    blocked_hosts: String,
}

/// `POST /agents/{slug}/browser/policy`
async fn set_rules(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Form(values): Form<RulesInput>,
) -> Result<Response, PageError> {
    let agent = found(&ws, &slug)?;
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let policy = BrowserPolicy {
        agent: agent.id,
        scripts: !values.scripts.is_empty(),
        allowed: lines(&values.allowed_hosts),
        blocked: lines(&values.blocked_hosts),
    };
    let values = RulesForm::of(&policy);
    let set = widening::checked(&who, move |tx| rules::set_policy(tx, policy));
    match ws.write(&who, set).await {
        Ok(()) => Ok(back(&app, &ws, &hx, &slug, "Saved the browser rules.")),
        Err(error) => {
            let form = RulesForm { wrong: Wrong::of(&error)?, ..values };
            let asks = ws.read(|snap| asks::read(snap, &ws, &who, &agent, ""))?;
            let page = whole((&ws, &who), shell, asks, &agent, form).await?;
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// `POST /agents/{slug}/browser/stop`
async fn stop(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let id = found(&ws, &slug)?.id;
    super::not_driven(&ws, &who, id)?;
    super::stop(&ws, id).await;
    Ok(back(&app, &ws, &hx, &slug, "The browser has stopped."))
}

/// `POST /agents/{slug}/browser/reset`
async fn reset(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let agent = found(&ws, &slug)?;
    super::not_driven(&ws, &who, agent.id)?;
    super::reset(&ws, &agent).await?;
    Ok(back(&app, &ws, &hx, &slug, "The browser was reset."))
}

fn back(app: &App, ws: &Ws, hx: &Hx, slug: &str, says: &str) -> Response {
    let url = ws.url(&format!("agents/{slug}/browser"));
    flash::say(app, Flash::ok(says), hx.go_to(&url))
}
