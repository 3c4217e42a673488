//! Onboarding step: the first agent and its first task.

use askama::Template;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::provision;
use features::agents::rules::{self as agent_rules, AgentError, ModelChoice, NewAgent};
use features::agents::templates::{self, Template as Role};
use features::connections::queries::{self as connections, fitting};
use features::onboarding::model::{Intent, Onboarding, Step};
use features::onboarding::presets::{self, Hire, PRESETS};
use features::onboarding::queries as onboarding;
use features::onboarding::rules::OnboardingError;
use kernel::{FieldError, Problem, ProblemKind};
use store::{StoreError, WriteTx};
use web::error::PageError;
use web::extract::Query;
use web::flash;
use web::form::Wrong;
use web::format;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::session::Person;
use web::shell::{Flash, Theme};

use super::{Steps, address, at, owed, status};

struct Card {
    href: String,
    emoji: String,
    name: String,
    about: String,
    suggested: bool,
    open: bool,
}

#[derive(Template)]
#[template(path = "onboarding/agent.html")]
struct Page {
    theme: Theme,
    steps: Steps,
    here: String,
    cards: Vec<Card>,
    rest: Vec<Card>,
    rest_open: bool,
    role: &'static Role,
    model: String,
    v: FirstAgentForm,
    wrong: Wrong,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FirstAgentForm {
    role: String,
    name: String,
    emoji: String,
}

pub(super) async fn show(
    ws: Ws,
    headers: HeaderMap,
    Query(form): Query<FirstAgentForm>,
) -> Result<Response, PageError> {
    let open = match at(&ws, Step::Agent)? {
        Ok(open) => open,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let role = templates::find(&form.role).unwrap_or_else(|| suggested(&open).1);
    let v = FirstAgentForm {
        role: role.slug.clone(),
        name: called(&open, role),
        emoji: role.manifest.emoji.clone(),
    };
    page(&ws, &headers, &open, (role, v), Wrong::none())
}

/// The suggested agent for the chosen purpose, and its role.
fn suggested(open: &Onboarding) -> (&'static Hire, &'static Role) {
    let hire = &presets::of(open.intent.unwrap_or(Intent::Explore)).hire;
    let role = templates::find(hire.template);
    (hire, role.expect("invariant: a test finds the template of each preset"))
}

/// Proposed name for an agent of a role.
fn called(open: &Onboarding, role: &Role) -> String {
    let (hire, own) = suggested(open);
    if own.slug == role.slug {
        return hire.name.to_owned();
    }
    let other = PRESETS.iter().find(|preset| preset.hire.template == role.slug);
    other.map_or_else(|| role.manifest.name.clone(), |preset| preset.hire.name.to_owned())
}

fn page(
    ws: &Ws,
    headers: &HeaderMap,
    open: &Onboarding,
    (role, v): (&'static Role, FirstAgentForm),
    wrong: Wrong,
) -> Result<Response, PageError> {
    let here = address(ws, Step::Agent);
    let own = suggested(open).1;
    let card = |one: &Role| Card {
        href: format!("{here}?role={}", one.slug),
        emoji: one.manifest.emoji.clone(),
        name: one.manifest.name.clone(),
        about: one.manifest.description.clone(),
        suggested: one.slug == own.slug,
        open: one.slug == role.slug,
    };
    let is_known = |slug: &str| PRESETS.iter().any(|preset| preset.hire.template == slug);
    let (mut few, rest): (Vec<&Role>, Vec<&Role>) =
        templates::builtin().iter().partition(|one| is_known(&one.slug));
    few.sort_by_key(|one| one.slug != own.slug);
    let model = ws.read(|snap| {
        Ok::<_, StoreError>(match fitting::model(snap, role.manifest.model_class)? {
            Some(pick) => pick.model,
            None => connections::resolve_default(snap)?,
        })
    })?;
    let model =
        if model == connections::PRACTICE { "practice mode (a script)" } else { &model }.to_owned();
    let page = Page {
        theme: Theme::from_headers(headers),
        steps: Steps::of(ws, open, Step::Agent),
        cards: few.into_iter().map(card).collect(),
        rest_open: rest.iter().any(|one| one.slug == role.slug),
        rest: rest.into_iter().map(card).collect(),
        here: here.clone(),
        role,
        model,
        v,
        wrong,
    };
    html::document(status(&page.wrong), &page)
}

/// Why no agent was created.
#[derive(Debug, thiserror::Error)]
enum HireError {
    /// Onboarding is finished or cannot be finished.
    #[error(transparent)]
    Setup(#[from] OnboardingError),
    /// The agent cannot be created.
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for HireError {
    fn code(&self) -> &'static str {
        match self {
            Self::Setup(error) => error.code(),
            Self::Agent(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::Setup(error) => error.kind(),
            Self::Agent(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Setup(error) => error.fields(),
            Self::Agent(error) => error.fields(),
            Self::Store(_) => Vec::new(),
        }
    }
}

/// `POST /onboarding/agent`: creates the agent, finishes onboarding and opens the form of the first task.
pub(super) async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    headers: HeaderMap,
    FormOnce(form, once): FormOnce<FirstAgentForm>,
) -> Result<Response, PageError> {
    let open = match at(&ws, Step::Agent)? {
        Ok(open) => open,
        // A second click leads to the same page as the first.
        Err(elsewhere) => {
            return match ws.read(|snap| once.answered::<Agent>(snap))? {
                Some(agent) => first_task(&app, &ws, &hx, &agent),
                None => Ok(elsewhere),
            };
        }
    };
    let role = templates::find(&form.role).unwrap_or_else(|| suggested(&open).1);
    let mut wrong = Wrong::none();
    wrong.note(agent_rules::good_name(&form.name));
    wrong.note(agent_rules::good_emoji(&form.emoji));
    if wrong.has_fields() {
        return page(&ws, &headers, &open, (role, form), wrong);
    }
    let fitting = ws.read(|snap| fitting::model(snap, role.manifest.model_class))?;
    let model = fitting.map_or_else(ModelChoice::default, |pick| ModelChoice {
        connection: pick.connection,
        model: Some(pick.model),
    });
    let new = NewAgent {
        name: form.name.clone(),
        slug: String::new(),
        emoji: form.emoji.clone(),
        description: role.manifest.description.clone(),
        template: role.slug.clone(),
        model,
        thinking: Some(role.manifest.thinking),
        exec: role.manifest.exec,
        budget_micros: None,
        reports_to: Some(who.account.into()),
    };
    // One transaction creates the agent and finishes onboarding, so of two windows only the first creates one.
    let make = once.run(move |tx: &mut WriteTx<'_>| {
        if onboarding::open(tx)?.is_none() {
            return Err(OnboardingError::Over.into());
        }
        let agent = agent_rules::create(tx, new, &provision::template_names())?;
        owed::finish(tx)?;
        Ok::<_, HireError>(agent)
    });
    let id = match ws.write(&who, make).await {
        Ok(agent) => agent.id,
        Err(HireError::Setup(OnboardingError::Over)) => {
            let message = "The set-up was finished in another window. No other agent was created.";
            return Ok(flash::say(&app, Flash::ok(message), hx.go_to(&ws.url(""))));
        }
        Err(error) => return page(&ws, &headers, &open, (role, form), Wrong::of(&error)?),
    };
    let agent = provision::make(&ws, &who, id).await?;
    first_task(&app, &ws, &hx, &agent)
}

/// Opens the form of an agent's first task with a suggestion.
fn first_task(app: &App, ws: &Ws, hx: &Hx, agent: &Agent) -> Result<Response, PageError> {
    let task = ws.read(|snap| onboarding::first_task(snap, &agent.template))?;
    let task = format::query_value(task);
    let done = Flash::ok(format!("{} {} is ready to help.", agent.emoji, agent.name));
    let to = ws.url(&format!("tasks/new?title={task}&assignee={}", agent.slug));
    Ok(flash::say(app, done, hx.go_to(&to)))
}
