//! The behaviour page of an agent: mode, tools, permissions.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::{Agent, ReachOf};
use features::agents::queries::head::{self, Head, Place};
use features::agents::queries::{self as agents, reach};
use features::history::queries as history;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::view_context::ViewContext;
use features::trust::model::AgentTrust;
use features::trust::queries::{self, widening};
use features::trust::rules;
use kernel::{Can, TrustMode};
use store::Snap;
use web::error::PageError;
use web::extract::{Form, Path};
use web::form::Wrong;
use web::hx::Hx;
use web::live::Live;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, html};

use super::permits::{self, PermissionForm, Permits};
use super::table::{self, Part};

/// Explanation of a mode.
pub(super) fn meaning(mode: TrustMode) -> &'static str {
    match mode {
        TrustMode::Locked => {
            "Read-only. Programs already running continue without network access. Permissions \
             can’t override this."
        }
        TrustMode::Ask => {
            "Works on its own. Asks before running programs with network access, acting outside \
             HQ, or editing its identity files."
        }
        TrustMode::Auto => {
            "Asks like Ask, but the workspace reviewer may approve single commands or requests \
             that aren’t high-risk. Without a reviewer, or after untrusted content, people decide."
        }
        TrustMode::Full => {
            "Does everything its settings allow. Only permissions and untrusted content make it \
             ask."
        }
    }
}

/// The mode in a few words, on its card.
fn short(mode: TrustMode) -> &'static str {
    match mode {
        TrustMode::Locked => "Reads, changes nothing",
        TrustMode::Ask => "Works, asks before risky actions",
        TrustMode::Auto => "Asks a reviewer first",
        TrustMode::Full => "Does all its settings allow",
    }
}

#[derive(Template)]
#[template(path = "trust/behaviour.html")]
struct BehaviourPage {
    shell: Shell,
    head: Head,
    live: Live,
    mode: TrustMode,
    modes: Vec<Choice>,
    /// What each mode means.
    meanings: Vec<(&'static str, &'static str)>,
    /// Whether the agent continues on its own after reading untrusted content.
    autonomous: bool,
    /// Whether this person may change the mode.
    may: bool,
    history: String,
    /// What its programs can reach.
    programs: &'static str,
    /// The allowed hosts, if they are restricted.
    hosts: Vec<String>,
    parts: Vec<Part>,
    permits: Permits,
}

web::region!(BehaviourPage, as_standing, BehaviourStanding, "trust/behaviour-standing.html");

impl BehaviourPage {
    /// Explanation of the mode.
    fn meaning(&self) -> &'static str {
        meaning(self.mode)
    }
}

fn found(ws: &Ws, slug: &str) -> Result<Agent, PageError> {
    let agent = ws.read(|snap| agents::by_name(snap, slug))?;
    agent.ok_or_else(|| PageError::not_found("This agent"))
}

/// `GET /agents/{slug}/behaviour`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let agent = found(&ws, &slug)?;
    let page = page(&ws, &who, shell, &agent, (PermissionForm::default(), Wrong::none()))?;
    match hx.is_partial() {
        true => html::fragment(&page.as_standing()),
        false => html::page(&page),
    }
}

/// The page with a rejected form.
pub(super) fn redisplay(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    agent: &Agent,
    form: (PermissionForm, Wrong),
) -> Result<Response, PageError> {
    let page = page(ws, who, shell, agent, form)?;
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    agent: &Agent,
    form: (PermissionForm, Wrong),
) -> Result<BehaviourPage, PageError> {
    Ok(ws.read(|snap| view(ws, who, snap, (shell, agent), form))?)
}

fn view(
    ws: &Ws,
    who: &Person,
    snap: &Snap<'_>,
    (shell, agent): (Shell, &Agent),
    form: (PermissionForm, Wrong),
) -> Result<BehaviourPage, TaskError> {
    let scene = ViewContext::new(ws, who, snap)?;
    let now = scene.today.now;
    let head = head::head(ws, snap, agent, Place::Behaviour, who.access, now)?;
    let may = who.access.may(Can::Admin) && !head.is_archived;
    let AgentTrust { mode, autonomous, .. } = queries::trust_of(snap, agent.id)?;
    let modes = [TrustMode::Locked, TrustMode::Ask, TrustMode::Auto, TrustMode::Full];
    let meanings = modes.iter().map(|one| (one.label(), meaning(*one))).collect();
    let modes = modes
        .iter()
        .map(|one| Choice::new(one.word(), one.label(), *one == mode).hint(short(*one)));
    let programs = table::programs(snap, agent)?;
    let hosts = match programs.ends_with(':') {
        true => reach::of(snap, ReachOf::Agent(agent.id))?,
        false => Vec::new(),
    };
    let specs = table::tools_of(snap, agent)?;
    Ok(BehaviourPage {
        shell,
        live: Live::new(format!("{}/{}", head.base, Place::Behaviour.word()))
            .record("agents", agent.id)
            .tables(&["trust_modes", "permissions", "permission_uses", "agent_browsers"])
            .debounced(),
        mode,
        modes: modes.collect(),
        meanings,
        autonomous,
        may,
        history: history::href_if_any::<AgentTrust>(ws, snap, agent.id)?,
        programs,
        hosts,
        parts: table::parts(snap, agent, now)?,
        permits: permits::permits(snap, &scene, (Some(agent), specs.as_slice()), may, form)?,
        head,
    })
}

/// The mode form.
#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    mode: TrustMode,
}

/// `POST /agents/{slug}/behaviour`
pub(super) async fn set_mode(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(Chosen { mode }): Form<Chosen>,
) -> Result<Response, PageError> {
    let agent = found(&ws, &slug)?;
    let id = agent.id;
    ws.write(&who, widening::checked(&who, move |tx| rules::set_mode(tx, id, mode))).await?;
    let name = ws.read(|snap| agents::called(snap, &agent))?;
    let message = format!("The mode of {name} is {}.", mode.label());
    let url = ws.url(&format!("agents/{}/behaviour", agent.slug));
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&url)))
}
