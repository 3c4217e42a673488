//! Page before a member leaves: open work, and who takes it over.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::workspace::queries;
use features::workspace::rules::WorkspaceError;
use kernel::{AccountId, Can, ProblemKind};
use store::StoreError;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::sentence;
use web::format;
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};

use super::accounts;
use super::handover::{Load, heirs};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/members/{id}/remove", ask_remove.needs(Can::Admin))
        .post("/settings/members/{id}/remove", remove.needs(Can::Admin))
        .get("/settings/members/{id}/handover", ask_hand_over.needs(Can::Admin))
        .post("/settings/members/{id}/handover", hand_over.needs(Can::Admin))
        .get("/settings/leave", ask_leave.needs(Can::Account))
        .post("/settings/leave", leave_workspace.needs(Can::Account))
}

/// The action of the page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Remove,
    HandOver,
    Leave,
}

#[derive(Template)]
#[template(path = "workspace/leaving.html")]
struct Page {
    shell: Shell,
    title: String,
    about: &'static str,
    /// "12 open tasks", "2 agents that report to them: Ada, Bo".
    load: Vec<String>,
    heirs: Vec<Choice>,
    wrong: String,
    action: String,
    verb: &'static str,
    /// Style of the button.
    kind: &'static str,
    /// Whether there is anything to do.
    acts: bool,
}

impl Page {
    fn of(
        app: &App,
        ws: &Ws,
        who: &Person,
        shell: Shell,
        (act, account): (Act, AccountId),
    ) -> Result<Self, PageError> {
        let shut = accounts::shut(app, ws)?;
        let (member, load, heirs) = ws.read(|snap| {
            let member = queries::member(snap, account)?;
            let heirs = heirs(snap, account, who.account, &shut)?;
            Ok::<_, StoreError>((member, Load::of(snap, account)?, heirs))
        })?;
        let member = member.ok_or(WorkspaceError::NoMember(account))?;
        let moves = !load.is_empty() && !heirs.is_empty();
        let heirs = heirs.into_iter().enumerate().map(|(n, one)| {
            let own = if one.account == who.account { " (you)" } else { "" };
            Choice::new(one.account.to_string(), format!("{}{own}", one.name), n == 0)
        });
        let name = member.name;
        let (title, about, path, verb) = match act {
            Act::Remove => (
                format!("Remove {name}"),
                "They lose access immediately, and their tokens for this workspace stop working. \
                 Their name stays in the history.",
                format!("settings/members/{account}/remove"),
                "Remove",
            ),
            Act::HandOver => (
                format!("Hand over {name}’s work"),
                "They stay a member and can be assigned new work.",
                format!("settings/members/{account}/handover"),
                "Hand over",
            ),
            Act::Leave => (
                format!("Leave {}", shell.place.name),
                "You lose access immediately, and your tokens for this workspace stop working. \
                 To come back, you need a new invitation.",
                "settings/leave".to_owned(),
                "Leave",
            ),
        };
        Ok(Self {
            shell,
            title,
            about,
            heirs: if load.is_empty() { Vec::new() } else { heirs.collect() },
            load: words(&load, act == Act::Leave),
            wrong: String::new(),
            action: ws.url(&path),
            verb,
            kind: if act == Act::HandOver { "primary" } else { "destroy" },
            acts: act != Act::HandOver || moves,
        })
    }
}

/// The open work, one line per kind.
fn words(load: &Load, own: bool) -> Vec<String> {
    let whom = if own { "you" } else { "them" };
    let mut lines = Vec::new();
    if 0 < load.tasks {
        lines.push(format::count(load.tasks, "open task", "open tasks"));
    }
    if !load.agents.is_empty() {
        let (agents, names) = (load.agents.len() as u64, load.agents.join(", "));
        let agents = format::count(agents, "agent that reports", "agents that report");
        lines.push(format!("{agents} to {whom}: {names}"));
    }
    if 0 < load.reviews {
        let (one, many) = ("deliverable", "deliverables");
        let pieces = format::count(load.reviews as u64, one, many);
        lines.push(format!("{pieces} to review"));
    }
    lines
}

#[derive(Deserialize)]
struct HeirForm {
    to: Option<AccountId>,
}

async fn ask_remove(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(account): Path<AccountId>,
) -> Result<Response, PageError> {
    html::page(&Page::of(&app, &ws, &who, shell, (Act::Remove, account))?)
}

async fn ask_hand_over(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(account): Path<AccountId>,
) -> Result<Response, PageError> {
    html::page(&Page::of(&app, &ws, &who, shell, (Act::HandOver, account))?)
}

async fn ask_leave(app: App, ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    html::page(&Page::of(&app, &ws, &who, shell, (Act::Leave, who.account))?)
}

async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(account): Path<AccountId>,
    shell: Shell,
    Form(heir): Form<HeirForm>,
) -> Result<Response, PageError> {
    match super::remove(&app, &ws, &who, (account, heir.to)).await {
        Ok(gone) => {
            let text = format!("{} is no longer a member of this workspace.", gone.name);
            let back = hx.go_to(&ws.url("settings/members"));
            Ok(flash::say(&app, Flash::ok(text), back))
        }
        Err(error) => refused(error, || Page::of(&app, &ws, &who, shell, (Act::Remove, account))),
    }
}

async fn hand_over(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(account): Path<AccountId>,
    shell: Shell,
    Form(heir): Form<HeirForm>,
) -> Result<Response, PageError> {
    match super::hand_over(&app, &ws, &who, (account, heir.to)).await {
        Ok(()) => {
            let back = hx.go_to(&ws.url("settings/members"));
            Ok(flash::say(&app, Flash::ok("Work handed over."), back))
        }
        Err(error) => refused(error, || Page::of(&app, &ws, &who, shell, (Act::HandOver, account))),
    }
}

async fn leave_workspace(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(heir): Form<HeirForm>,
) -> Result<Response, PageError> {
    match super::remove(&app, &ws, &who, (who.account, heir.to)).await {
        Ok(_) => Ok(flash::say(&app, Flash::ok("You left the workspace."), hx.go_to("/"))),
        Err(error) => {
            refused(error, || Page::of(&app, &ws, &who, shell, (Act::Leave, who.account)))
        }
    }
}

/// Shows the page again with an error.
fn refused(
    error: PageError,
    page: impl FnOnce() -> Result<Page, PageError>,
) -> Result<Response, PageError> {
    if !matches!(error.0.kind, ProblemKind::Conflict | ProblemKind::Invalid) {
        return Err(error);
    }
    let page = Page { wrong: sentence(&error.0.detail), ..page()? };
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}
