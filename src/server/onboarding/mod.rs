//! Onboarding steps after the account: purpose of the workspace, machine check, model connection, and first agent.
//! This module is part of `server` because it calls the rules of streams, connections, budgets and agents.

mod agent;
pub mod api;
mod machine;
mod model;
pub(crate) mod owed;
mod prepare;
mod work;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;

use app::{App, Ws};
use features::onboarding::model::{Onboarding, Step};
use features::onboarding::{queries, rules};
use interfaces_insights::dashboard::pages::mission::GONE;
use kernel::Can;
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::Flash;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/onboarding", show.needs(Can::Own))
        .get("/onboarding/work", work::show.needs(Can::Own))
        .post("/onboarding/work", work::choose.needs(Can::Own))
        .get("/onboarding/machine", machine::show.needs(Can::Own))
        .post("/onboarding/machine", machine::go_on.needs(Can::Own))
        .get("/onboarding/model", model::show.needs(Can::Own))
        .post("/onboarding/model", model::connect.needs(Can::Own))
        .post("/onboarding/model/choose", model::choose.needs(Can::Own))
        .post("/onboarding/model/skip", model::skip.needs(Can::Own))
        .get("/onboarding/agent", agent::show.needs(Can::Own))
        .post("/onboarding/agent", agent::create.needs(Can::Own))
        .post("/onboarding/agent/skip", skip.needs(Can::Own))
        .post("/mission/away", put_away.needs(Can::Read))
        .post("/onboarding/keyless", answer_keyless.needs(Can::Admin))
}

/// The first of a person's names.
pub(super) fn first_name(name: &str) -> &str {
    name.split_whitespace().next().unwrap_or_default()
}

/// A step in the progress bar.
pub(super) struct StepView {
    pub(super) number: usize,
    pub(super) label: &'static str,
    pub(super) is_now: bool,
    pub(super) is_done: bool,
    /// Link for revisiting the step.
    pub(super) href: Option<String>,
}

/// The progress bar at the top of each step.
pub(super) struct Steps {
    pub(super) all: Vec<StepView>,
    /// Target of *Back*; empty in the first step.
    pub(super) back: String,
}

impl Steps {
    /// The progress bar while the account is created.
    pub(super) fn of_account() -> Self {
        let you = StepView { number: 1, label: "You", is_now: true, is_done: false, href: None };
        let rest = Step::ALL.into_iter().zip(2..).map(|(step, number)| StepView {
            number,
            label: step.label(),
            is_now: false,
            is_done: false,
            href: None,
        });
        Self { all: std::iter::once(you).chain(rest).collect(), back: String::new() }
    }

    fn of(ws: &Ws, open: &Onboarding, now: Step) -> Self {
        let you = StepView { number: 1, label: "You", is_now: false, is_done: true, href: None };
        let mut all = if open.is_first { vec![you] } else { Vec::new() };
        let before = all.len();
        all.extend(Step::ALL.into_iter().zip(1 + before..).map(|(step, number)| StepView {
            number,
            label: step.label(),
            is_now: step == now,
            is_done: step < open.step && step != now,
            href: (step <= open.step && step != now).then(|| address(ws, step)),
        }));
        let back = now.before().map(|step| address(ws, step)).unwrap_or_default();
        Self { all, back }
    }

    fn now(&self) -> Option<&StepView> {
        self.all.iter().find(|step| step.is_now)
    }

    /// Number of the current step.
    pub(super) fn number(&self) -> usize {
        self.now().map_or(0, |step| step.number)
    }

    /// Label of the current step.
    pub(super) fn label(&self) -> &'static str {
        self.now().map_or("", |step| step.label)
    }
}

fn address(ws: &Ws, step: Step) -> String {
    ws.url(&format!("onboarding/{}", step.word()))
}

/// `GET /onboarding`: redirects to the open step.
async fn show(ws: Ws) -> Result<Response, PageError> {
    let open = ws.read(|snap| queries::open(snap))?;
    let to = open.map_or_else(|| ws.url(""), |open| address(&ws, open.step));
    Ok(Redirect::to(&to).into_response())
}

/// The onboarding state for a page of this step. A later step redirects to the open one; finished onboarding
/// redirects to the dashboard.
fn at(ws: &Ws, step: Step) -> Result<Result<Onboarding, Response>, PageError> {
    let open = ws.read(|snap| queries::open(snap))?;
    Ok(match open {
        None => Err(Redirect::to(&ws.url("")).into_response()),
        Some(open) if open.step < step => {
            Err(Redirect::to(&address(ws, open.step)).into_response())
        }
        Some(open) => Ok(open),
    })
}

/// `POST /onboarding/agent/skip`: ends onboarding without hiring an agent.
async fn skip(
    ws: Ws,
    who: Person,
    hx: Hx,
    FormOnce(IgnoredAny, _): FormOnce<IgnoredAny>,
) -> Result<Response, PageError> {
    ws.write(&who, owed::finish).await?;
    Ok(hx.go_to(&ws.url("")))
}

/// `POST /mission/away`: hides the list of suggestions after onboarding for this person.
async fn put_away(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    let account = who.account;
    ws.write(&who, move |tx| rules::put_away(tx, account)).await?;
    if hx.is_partial() {
        return Ok(html::answer(StatusCode::OK, GONE.to_owned()));
    }
    let done = Flash::ok("The list won’t be shown again.");
    Ok(flash::say(&app, done, hx.go_to(&ws.url(""))))
}

#[derive(Deserialize)]
struct KeylessForm {
    /// `allow` or `deny`.
    answer: String,
}

/// `POST /onboarding/keyless`: the answer of an admin whether agents may search the web without a key.
async fn answer_keyless(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<KeylessForm>,
) -> Result<Response, PageError> {
    let is_allowed = form.answer == "allow";
    ws.write(&who, move |tx| reach::search::switch_keyless(tx, is_allowed)).await?;
    let done = match is_allowed {
        true => "Agents may search the web. Change it in Settings, Web search.",
        false => "Agents don’t search without an account. Change it in Settings, Web search.",
    };
    Ok(flash::say(&app, Flash::ok(done), hx.go_to(&ws.url(""))))
}

/// Status of a form's response.
fn status(wrong: &web::form::Wrong) -> StatusCode {
    match wrong.has_fields() || !wrong.whole().is_empty() {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::OK,
    }
}

/// Completes a step and redirects to the next one.
async fn complete_step(ws: &Ws, who: &Person, hx: &Hx, from: Step) -> Result<Response, PageError> {
    let open = ws.write(who, move |tx| rules::go_on(tx, from)).await?;
    Ok(hx.go_to(&address(ws, from.next().unwrap_or(open.step))))
}
