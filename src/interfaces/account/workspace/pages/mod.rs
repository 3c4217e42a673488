//! Pages of the workspace itself: settings, members, sidebar.

mod brand;
mod modules;
pub mod shell;

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::ReachOf;
use features::agents::queries::reach;
use features::history::queries as history;
use features::runs::model::{QueueOf, RunLimits, SubagentLimits};
use features::runs::queries::{limits, preferences, queue, run_limits};
use kernel::{Can, Problem, WorkspaceState, text};
use store::{StoreError, WriteTx};
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::form::{Wrong, check_rev, rev_of};
use web::format;
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell, closed as draw_closed, nav as draw_nav, switcher as draw_switcher};
use web::time::zones;

use features::trust::queries::widening;
use features::workspace::model::{People, Settings};
use features::workspace::rules::{self, SettingsPatch, WorkspaceError};
use features::workspace::{money, queries};

use brand::BrandFields;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/nav", nav.needs(Can::Read))
        .get("/places", places.needs(Can::Read))
        .get("/closed", closed.needs(Can::Read))
        .get("/settings/general", general.needs(Can::Read))
        .post("/settings/general", save.needs(Can::Admin))
        .get("/brand.css", brand::css.needs(Can::Read))
        .post("/settings/brand", brand::save.needs(Can::Admin))
        .get("/settings/modules", modules::show.needs(Can::Read))
        .post("/settings/modules", modules::save.needs(Can::Admin))
        .post("/settings/modules/{word}/on", modules::enable.needs(Can::Admin))
        .post("/settings/people", save_people.needs(Can::Own).proved())
        .post("/settings/name", rename.needs(Can::Account))
}

/// State of a workspace beside its name; empty if active.
#[must_use]
pub fn note(ws: &Ws) -> &'static str {
    match (ws.standing().state, ws.shown()) {
        (WorkspaceState::Active, _) => "",
        (WorkspaceState::Archived, Some(_)) => "Being archived",
        (state, _) => state.label(),
    }
}

/// The sidebar, for its refresh.
async fn nav(shell: Shell, hx: Hx) -> Result<Response, PageError> {
    let shown = hx.current_url().and_then(|url| url.parse::<axum::http::Uri>().ok());
    let path = shown.map(|uri| uri.path().to_owned()).unwrap_or_default();
    draw_nav(shell.at(&path))
}

/// The switcher, for its refresh.
async fn places(shell: Shell) -> Result<Response, PageError> {
    draw_switcher(shell)
}

/// The banner of a closed workspace, for its refresh.
async fn closed(shell: Shell) -> Result<Response, PageError> {
    draw_closed(shell)
}

/// Length of a rejected name that is shown again, in bytes.
const MAX_TYPED: usize = 8_000;

// ── General ──

#[derive(Clone, Default, Deserialize)]
struct Values {
    /// Revision of the settings that the form shows.
    #[serde(default)]
    rev: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    emoji: String,
    #[serde(default)]
    task_key: String,
    #[serde(default)]
    zone: String,
    #[serde(default)]
    budget: String,
    #[serde(default)]
    run_cap: String,
    comments_reach_assignee: Option<String>,
    exec_without_jail: Option<String>,
}

impl Values {
    fn of(settings: Settings, rev: String) -> Self {
        let on = |is: bool| is.then(|| "on".to_owned());
        Self {
            rev,
            name: settings.name,
            emoji: settings.emoji,
            task_key: settings.task_key,
            zone: settings.zone,
            budget: settings.budget_micros.map(money::dollars).unwrap_or_default(),
            run_cap: money::dollars(settings.run_cap_micros),
            comments_reach_assignee: on(settings.comments_reach_assignee),
            exec_without_jail: on(settings.exec_without_jail),
        }
    }

    /// Parses the form; returns all errors at once.
    fn patch(&self) -> Result<SettingsPatch, Wrong> {
        let mut wrong = Wrong::none();
        wrong.note(queries::checked_name(&self.name));
        wrong.note(rules::checked_emoji(&self.emoji));
        wrong.note(rules::checked_key(&self.task_key));
        wrong.note(queries::checked_zone(&self.zone));
        let amount = |field: &'static str, text: &str| {
            money::micros(field, text).and_then(|micros| rules::checked_money(field, micros))
        };
        let budget = match self.budget.trim() {
            "" => None,
            text => wrong.note(amount("budget", text)),
        };
        let run_cap = wrong.note(amount("run_cap", &self.run_cap));
        if wrong.has_fields() {
            return Err(wrong);
        }
        Ok(SettingsPatch {
            name: Some(self.name.clone()),
            emoji: Some(self.emoji.clone()),
            task_key: Some(self.task_key.clone()),
            zone: Some(self.zone.clone()),
            budget_micros: Some(budget),
            run_cap_micros: run_cap,
            comments_reach_assignee: Some(self.comments_reach_assignee.is_some()),
            exec_without_jail: Some(self.exec_without_jail.is_some()),
            without: None,
        })
    }
}

#[derive(Template)]
#[template(path = "workspace/general.html")]
struct General {
    shell: Shell,
    may: bool,
    own: bool,
    state: WorkspaceState,
    v: Values,
    e: Wrong,
    wrong: String,
    zones: Vec<Choice>,
    beside: Beside,
}

/// Settings with forms of their own.
struct Beside {
    brand: BrandFields,
    queue: queue::Fields,
    subagents: SubagentLimits,
    subagents_rev: String,
    bounds: run_limits::Fields,
    bounds_history: String,
    talk: preferences::Fields,
    /// Private-network hosts that agents may reach, one per line.
    hosts: String,
}

impl Beside {
    fn read(ws: &Ws) -> Result<Self, PageError> {
        let of = QueueOf::Workspace;
        let read = ws.read(|snap| {
            Ok::<_, StoreError>(Self {
                brand: BrandFields::read(snap)?,
                queue: queue::fields(snap, of)?,
                subagents: limits::of(snap)?,
                subagents_rev: rev_of::<SubagentLimits>(snap, ())?,
                bounds: run_limits::fields(snap, ReachOf::Workspace)?,
                bounds_history: history::href_if_any::<RunLimits>(ws, snap, ReachOf::Workspace)?,
                talk: preferences::fields(snap, of)?,
                hosts: reach::of(snap, ReachOf::Workspace)?.join("\n"),
            })
        });
        Ok(read?)
    }
}

async fn general(ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    html::page(&page(&ws, &who, shell)?)
}

/// The page with the saved values.
fn page(ws: &Ws, who: &Person, shell: Shell) -> Result<General, PageError> {
    let (settings, rev) = ws.read(|snap| {
        Ok::<_, StoreError>((queries::settings(snap)?, rev_of::<Settings>(snap, ())?))
    })?;
    let v = settings.map(|settings| Values::of(settings, rev)).unwrap_or_default();
    let (may, own) = (who.access.may(Can::Admin) && ws.is_active(), who.access.may(Can::Own));
    let (state, zones, e) = (ws.standing().state, zones(&v.zone), Wrong::none());
    let (wrong, beside) = (String::new(), Beside::read(ws)?);
    Ok(General { shell, may, own, state, v, e, wrong, zones, beside })
}

async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(mut form): Form<Values>,
) -> Result<Response, PageError> {
    let e = match form.patch() {
        Ok(patch) => {
            let rev = form.rev.clone();
            let update = move |tx: &mut WriteTx<'_>| -> Result<_, WorkspaceError> {
                check_rev::<Settings>(tx, (), &rev)?;
                rules::update(tx, patch, None)
            };
            match ws.write(&who, widening::checked(&who, update)).await {
                Ok(_) => {
                    let back = hx.go_to(&ws.url("settings/general"));
                    return Ok(flash::say(&app, Flash::ok("Saved."), back));
                }
                Err(error) => Wrong::of(&error)?,
            }
        }
        Err(wrong) => wrong,
    };
    let status = e.status();
    let wrong = match e.is_stale() {
        true => {
            form.rev = ws.read(|snap| rev_of::<Settings>(snap, ()))?;
            e.whole().to_owned()
        }
        false => "Check the highlighted fields. Nothing has been saved.".to_owned(),
    };
    let zones = zones(&form.zone);
    let (own, state) = (who.access.may(Can::Own), ws.standing().state);
    let (v, may, beside) = (form, true, Beside::read(&ws)?);
    let page = General { shell, may, own, state, v, e, wrong, zones, beside };
    html::document(status, &page)
}

#[derive(Deserialize)]
struct PeopleForm {
    factor_for_admins: Option<String>,
}

/// Saves the requirements for members.
async fn save_people(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<PeopleForm>,
) -> Result<Response, PageError> {
    let policy = People { factor_for_admins: form.factor_for_admins.is_some() };
    ws.write(&who, move |tx| rules::invites::require_factor(tx, policy)).await?;
    let back = hx.go_to(&ws.url("settings/members"));
    Ok(flash::say(&app, Flash::ok("Saved."), back))
}

#[derive(Deserialize)]
struct NameForm {
    #[serde(default)]
    name: String,
}

async fn rename(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<NameForm>,
) -> Result<Response, PageError> {
    if let Some(words) = ws.closed_words() {
        return Err(WorkspaceError::Closed(words).into());
    }
    let account = who.account;
    let name = form.name.clone();
    let saved = ws.write(&who, move |tx| rules::rename_member(tx, account, &name)).await;
    let back = ws.url("settings/profile");
    match saved {
        Ok(_) => Ok(flash::say(&app, Flash::ok("Name saved."), hx.go_to(&back))),
        // The profile page belongs to accounts; it reports the error of the name in its address.
        Err(error) if !error.fields().is_empty() => {
            let shortened = format::query_value(text::cut(&form.name, MAX_TYPED));
            Ok(hx.go_to(&format!("{back}?name={shortened}")))
        }
        Err(error) => Err(error.into()),
    }
}
