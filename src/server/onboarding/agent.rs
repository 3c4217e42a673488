//! Onboarding step: the first agent and its first task.

use askama::Template;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::agents::provision;
use features::agents::rules::{self as agent_rules, AgentError, ModelChoice, NewAgent};
use features::agents::templates::{self, Template as Role};
use features::connections::queries::{self as connections, fitting};
use features::onboarding::model::{Intent, Onboarding, Step};
use features::onboarding::presets::{self, FirstAgent, PRESETS};
use features::onboarding::queries as onboarding;
use features::onboarding::rules::OnboardingError;
use features::tasks::queries::{self as tasks, error::TaskError};
use features::tasks::rules::{self as task_rules, NewTask};
use kernel::{AgentId, Assignee, FieldError, Problem, ProblemKind, TaskId};
use store::{StoreError, WriteTx};
use web::error::PageError;
use web::extract::Query;
use web::flash;
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::session::Person;
use web::shell::{Flash, Theme};

use super::{Steps, address, at, owed, status};

struct Card {
    href: String,
    /// Words by which the search finds it.
    words: String,
    /// Whether the search leaves it out.
    is_hidden: bool,
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
    /// Whether the search finds no role.
    nothing: bool,
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
    /// First task; empty for none.
    task: String,
    /// Words that filter the roles.
    search: String,
    /// Non-empty to connect a messenger afterwards.
    connect: String,
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
    let task = ws.read(|snap| onboarding::first_task(snap, &role.slug))?;
    let v = FirstAgentForm {
        connect: form.connect.clone(),
        role: role.slug.clone(),
        name: called(&open, role),
        emoji: role.manifest.emoji.clone(),
        task: task.to_owned(),
        search: form.search,
    };
    page(&ws, &headers, &open, (role, v), Wrong::none())
}

/// The suggested agent for the chosen purpose, and its role.
fn suggested(open: &Onboarding) -> (&'static FirstAgent, &'static Role) {
    let first = &presets::of(open.intent.unwrap_or(Intent::Explore)).agent;
    let role = templates::find(first.template);
    (first, role.expect("invariant: a test finds the template of each preset"))
}

/// Proposed name for an agent of a role.
fn called(open: &Onboarding, role: &Role) -> String {
    let (first, own) = suggested(open);
    if own.slug == role.slug {
        return first.name.to_owned();
    }
    let other = PRESETS.iter().find(|preset| preset.agent.template == role.slug);
    other.map_or_else(|| role.manifest.name.clone(), |preset| preset.agent.name.to_owned())
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
        words: one.manifest.words(),
        is_hidden: !one.manifest.fits(&v.search),
        emoji: one.manifest.emoji.clone(),
        name: one.manifest.name.clone(),
        about: one.manifest.description.clone(),
        suggested: one.slug == own.slug,
        open: one.slug == role.slug,
    };
    let is_known = |slug: &str| PRESETS.iter().any(|preset| preset.agent.template == slug);
    let (mut few, rest): (Vec<&Role>, Vec<&Role>) =
        templates::builtin().iter().partition(|one| is_known(&one.slug));
    few.sort_by_key(|one| one.slug != own.slug);
    let cards: Vec<Card> = few.into_iter().map(card).collect();
    let rest: Vec<Card> = rest.into_iter().map(card).collect();
    let is_searched = !v.search.trim().is_empty();
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
        nothing: cards.iter().chain(&rest).all(|card| card.is_hidden),
        rest_open: is_searched || rest.iter().any(|card| card.open),
        cards,
        rest,
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
enum CreateError {
    /// Onboarding is finished or cannot be finished.
    #[error(transparent)]
    Setup(#[from] OnboardingError),
    /// The agent cannot be created.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// Its first task cannot be created.
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for CreateError {
    fn code(&self) -> &'static str {
        match self {
            Self::Setup(error) => error.code(),
            Self::Agent(error) => error.code(),
            Self::Task(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::Setup(error) => error.kind(),
            Self::Agent(error) => error.kind(),
            Self::Task(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Setup(error) => error.fields(),
            Self::Agent(error) => error.fields(),
            // The form has one field for the task.
            Self::Task(error) => vec![FieldError::new("task", error.to_string())],
            Self::Store(_) => Vec::new(),
        }
    }
}

/// What the form created.
#[derive(Serialize, Deserialize)]
struct Created {
    agent: AgentId,
    task: Option<TaskId>,
}

/// `POST /onboarding/agent`: creates the agent with its first task, finishes onboarding and opens the task, on which
/// the agent starts at once.
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
            return match ws.read(|snap| once.answered::<Created>(snap))? {
                Some(created) => finish(&app, &ws, &who, &hx, &created).await,
                None => Ok(elsewhere),
            };
        }
    };
    let role = templates::find(&form.role).unwrap_or_else(|| suggested(&open).1);
    let wrong = checked(&ws, role, &form)?;
    if wrong.has_fields() {
        return page(&ws, &headers, &open, (role, form), wrong);
    }
    let new = new_agent(&ws, &who, role, &form)?;
    let title = form.task.trim().to_owned();
    // One transaction creates the agent with its task and finishes onboarding, so of two windows only the first creates
    // one.
    let make = once.run(move |tx: &mut WriteTx<'_>| {
        if onboarding::open(tx)?.is_none() {
            return Err(OnboardingError::Over.into());
        }
        let agent = agent_rules::create(tx, new, &provision::template_names())?.id;
        owed::finish(tx)?;
        let mut task = None;
        if !title.is_empty() {
            let assignee = Some(Assignee::Agent(agent));
            let new = NewTask { assignee, ..NewTask::titled(title) };
            task = Some(task_rules::create(tx, new)?.id);
        }
        Ok::<_, CreateError>(Created { agent, task })
    });
    match ws.write(&who, make).await {
        Ok(created) if !form.connect.is_empty() => {
            let agent = provision::make(&ws, &who, created.agent).await?;
            let said = format!("{} {} is ready to help.", agent.emoji, agent.name);
            let to = ws.url(&channels::nouns::connect_path(&agent.slug));
            Ok(flash::say(&app, Flash::ok(said), hx.go_to(&to)))
        }
        Ok(created) => finish(&app, &ws, &who, &hx, &created).await,
        Err(CreateError::Setup(OnboardingError::Over)) => {
            let told = "The set-up was finished in another window. No other agent was created.";
            Ok(flash::say(&app, Flash::ok(told), hx.go_to(&ws.url(""))))
        }
        Err(error) => page(&ws, &headers, &open, (role, form), Wrong::of(&error)?),
    }
}

/// Errors of the form.
fn checked(ws: &Ws, role: &Role, form: &FirstAgentForm) -> Result<Wrong, StoreError> {
    let mut wrong = Wrong::none();
    wrong.note(agent_rules::good_name(&form.name));
    wrong.note(agent_rules::good_emoji(&form.emoji));
    let suggestion = ws.read(|snap| onboarding::first_task(snap, &role.slug))?;
    if let Some(gap) = onboarding::gap(suggestion).filter(|gap| form.task.contains(gap)) {
        let told = format!("replace {gap} with your own words, or clear the task to start later");
        wrong.join::<()>(Err(Wrong::field("task", told)));
    }
    Ok(wrong)
}

fn new_agent(
    ws: &Ws,
    who: &Person,
    role: &Role,
    form: &FirstAgentForm,
) -> Result<NewAgent, StoreError> {
    let fitting = ws.read(|snap| fitting::model(snap, role.manifest.model_class))?;
    let model = fitting.map_or_else(ModelChoice::default, |pick| ModelChoice {
        connection: pick.connection,
        model: Some(pick.model),
    });
    Ok(NewAgent {
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
    })
}

/// Creates the agent's files, with which it starts, and opens its first task, or the dashboard without one.
async fn finish(
    app: &App,
    ws: &Ws,
    who: &Person,
    hx: &Hx,
    created: &Created,
) -> Result<Response, PageError> {
    let agent = provision::make(ws, who, created.agent).await?;
    let task = ws.read(|snap| match created.task {
        Some(id) => Ok::<_, TaskError>(Some(tasks::name(snap, tasks::get(snap, id)?.number)?)),
        None => Ok(None),
    })?;
    let (told, to) = match task {
        Some(name) => {
            let told = format!("{} {} is working on this.", agent.emoji, agent.name);
            (told, ws.url(&format!("tasks/{name}")))
        }
        None => (format!("{} {} is ready to help.", agent.emoji, agent.name), ws.url("")),
    };
    Ok(flash::say(app, Flash::ok(told), hx.go_to(&to)))
}
