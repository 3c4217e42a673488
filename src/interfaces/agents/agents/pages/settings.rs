//! The settings of an agent.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::{Agent, Reach, ReachOf};
use features::agents::provision;
use features::agents::queries::head::{self, Head, Place};
use features::agents::queries::{self as agents, Called, lines, reach};
use features::agents::rules::{self, Changes, ModelChoice};
use features::connections::model::Fallbacks;
use features::connections::queries::turns;
use features::history::queries::{self as history, meanwhile};
use features::inbox::model::pace::Pace;
use features::inbox::queries::pace;
use features::routines::queries as routines;
use features::runs::model::{QueueOf, RunLimits};
use features::runs::queries::{preferences, queue, run_limits};
use features::tasks::queries as tasks;
use features::trust::queries::widening::{self, Refused};
use git::Author;
use kernel::Assignee;
use kernel::text::listed;
use store::{Read, ReadExt, StoreError};
use web::emoji;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::{EditConflict, Wrong, sentence};
use web::format;
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};

use super::began::{self, Began};
use super::new::budget;
use super::{chosen, find, line, model_choices, model_wish, thinking_choices};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AgentSettingsForm {
    rev: String,
    /// The initial field values, as [`Began`].
    began: String,
    name: String,
    emoji: String,
    emoji_other: String,
    description: String,
    model: String,
    model_other: String,
    thinking: String,
    max_output: String,
    budget: String,
    budget_soft: String,
    exec: String,
    network: String,
}

#[derive(Template)]
#[template(path = "agents/settings.html")]
struct SettingsPage {
    shell: Shell,
    head: Head,
    handle_hint: String,
    history: String,
    v: AgentSettingsForm,
    wrong: Wrong,
    since: EditConflict,
    emojis: Vec<Choice>,
    models: Vec<Choice>,
    thinking: Vec<Choice>,
    /// Whether the agent has a model of its own; only then does it have its own fallback list.
    has_model: bool,
    fallbacks: Vec<turns::Place>,
    fallbacks_href: String,
    order_history: String,
    queue: queue::Fields,
    queue_href: String,
    talk: preferences::Fields,
    talk_href: String,
    /// The limits of its runs.
    bounds: run_limits::Fields,
    bounds_history: String,
    /// The allowed hosts, one per line.
    only: String,
    reach_history: String,
    /// When the agent starts work, and how much.
    pace: pace::Fields,
    pace_history: String,
    /// What the agent owns, and who can take it over on archiving.
    leaves: Leaves,
}

/// What another agent or person must take over.
struct Leaves {
    /// Label of the field for its tasks; empty if it has none.
    tasks: String,
    tasks_to: Vec<Choice>,
    /// Label of the field for its routines; empty if it has none.
    routines: String,
    routines_to: Vec<Choice>,
    /// Summary in a sentence; empty if it owns nothing.
    has: String,
    /// Further effects of archiving.
    told: String,
}

impl Leaves {
    fn of(tx: &dyn Read, agent: &Agent, who: &Person) -> Result<Self, StoreError> {
        let tasks = tasks::list::open_count_of(tx, Assignee::Agent(agent.id))?;
        let routines = routines::of_agent(tx, agent.id)?.len() as u64;
        let reports = lines::reports(tx, agent.id)?;
        let mut tasks_to = line::choices(tx, None, None, who.account)?;
        tasks_to.retain(|choice| choice.value != agent.slug);
        let stops = if routines == 1 { "No one (it stops)" } else { "No one (they stop)" };
        let mut routines_to = vec![Choice::new("none", stops, true)];
        let all = agents::all(tx)?;
        let called = Called::among(&all);
        let others = all.iter().filter(|other| other.id != agent.id);
        routines_to.extend(others.map(|other| Choice::new(&other.slug, called.name(other), false)));
        let mut lines =
            vec!["Its runs are stopped and its waiting items are cancelled.".to_owned()];
        let has = [
            (tasks, format::count(tasks, "open task", "open tasks")),
            (routines, format::count(routines, "routine", "routines")),
        ];
        let has: Vec<String> =
            has.into_iter().filter(|(count, _)| 0 < *count).map(|(_, words)| words).collect();
        let has = match (has.is_empty(), tasks + routines) {
            (true, _) => String::new(),
            (false, 1) => format!("It has {}: choose who gets it.", listed(&has)),
            (false, _) => format!("It has {}: choose who gets them.", listed(&has)),
        };
        if !reports.is_empty() {
            let names: Vec<String> = reports.iter().map(|one| called.name(one)).collect();
            let chief = line::face(tx, &called, agent.reports_to)?;
            let chief = chief.map_or_else(|| "no one".to_owned(), |chief| chief.name);
            let verb = if names.len() == 1 { "reports" } else { "report" };
            lines.push(format!("{} then {verb} to {chief}.", listed(&names)));
        }
        lines.push("Files, chats and history are kept.".to_owned());
        let label = |count: u64, one: &str, many: &str| match count {
            0 => String::new(),
            1 => format!("Its {one} goes to"),
            count => format!("Its {} {many} go to", format::grouped(count)),
        };
        Ok(Self {
            tasks: label(tasks, "open task", "open tasks"),
            tasks_to,
            routines: label(routines, "routine", "routines"),
            routines_to,
            has,
            told: lines.join(" "),
        })
    }
}

fn on(is: bool) -> String {
    if is { "on".to_owned() } else { String::new() }
}

pub(super) async fn form(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let (agent, rev) = stored(&ws, &slug)?;
    let v = AgentSettingsForm {
        rev: rev.to_string(),
        began: Began::of(&agent).json(),
        name: agent.name.clone(),
        emoji: agent.emoji.clone(),
        description: agent.description.clone(),
        thinking: agent.thinking.map_or_else(String::new, |level| level.word().to_owned()),
        max_output: agent.max_output.to_string(),
        budget: agent.budget_micros.map_or_else(String::new, format::plain_dollars),
        budget_soft: agent.budget_soft_pct.to_string(),
        exec: on(agent.exec),
        network: on(agent.network),
        ..AgentSettingsForm::default()
    };
    let wish = ModelChoice { connection: agent.connection, model: agent.model.clone() };
    html::page(&page(&ws, &who, shell, &agent, v, &wish, Wrong::none())?)
}

fn stored(ws: &Ws, slug: &str) -> Result<(Agent, u64), PageError> {
    ws.read(|snap| {
        let id = find(snap, slug)?.id;
        snap.get_rev::<Agent>(id)?.ok_or_else(|| PageError::not_found("This agent"))
    })
}

fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    agent: &Agent,
    v: AgentSettingsForm,
    wish: &ModelChoice,
    wrong: Wrong,
) -> Result<SettingsPage, PageError> {
    let now = ws.app.clock.now();
    let (head, models, fallbacks, levels, (queue, talk, bounds, only, pace), histories) =
        ws.read(|snap| {
            let head = head::head(ws, snap, agent, Place::Settings, who.access, now)?;
            let fallbacks = turns::fallback_fields(snap, Some(agent.id))?;
            let now = chosen(snap, agent)?;
            let levels = turns::levels(snap, now.connection, &now.model)?;
            let of = QueueOf::Agent(agent.id);
            let only = reach::of(snap, ReachOf::Agent(agent.id))?.join("\n");
            let whose = ReachOf::Agent(agent.id);
            let bounds = run_limits::fields(snap, whose)?;
            let pace = pace::fields(snap, agent.id)?;
            let own =
                (queue::fields(snap, of)?, preferences::fields(snap, of)?, bounds, only, pace);
            let order = Fallbacks::key(Some(agent.id));
            let histories = (
                history::href_if_any::<Fallbacks>(ws, snap, order)?,
                history::href_if_any::<RunLimits>(ws, snap, whose)?,
                history::href_if_any::<Pace>(ws, snap, agent.id)?,
            );
            Ok::<_, PageError>((
                head,
                model_choices(snap, Some(wish))?,
                fallbacks,
                levels,
                own,
                histories,
            ))
        })?;
    let (order_history, bounds_history, pace_history) = histories;
    let leaves = ws.read(|snap| Leaves::of(snap, agent, who))?;
    Ok(SettingsPage {
        shell,
        head,
        history: ws.url(&format!("history/agents/{}", agent.slug)),
        handle_hint: format!("Its handle is still @{}.", agent.slug),
        emojis: emoji::choices(&v.emoji),
        models,
        has_model: agent.model.is_some() || agent.connection.is_some(),
        fallbacks,
        queue,
        reach_history: match only.is_empty() {
            true => String::new(),
            false => history::href::<Reach>(ws, ReachOf::Agent(agent.id)),
        },
        only,
        pace,
        pace_history,
        leaves,
        queue_href: ws.url(&format!("agents/{}/queue", agent.slug)),
        talk,
        talk_href: ws.url(&format!("agents/{}/conversations", agent.slug)),
        fallbacks_href: ws.url(&format!("settings/connections/fallbacks/{}", agent.id)),
        order_history,
        bounds,
        bounds_history,
        thinking: thinking_choices(v.thinking.parse().ok(), &levels),
        v,
        wrong,
        since: EditConflict::default(),
    })
}

/// Parses the form; returns all errors at once.
fn changes(form: &AgentSettingsForm) -> Result<Changes, Wrong> {
    let whole = |field: &str, text: &str| {
        let message = "enter a whole number";
        text.trim().parse::<u32>().map_err(|_| Wrong::field(field, message))
    };
    let mut wrong = Wrong::none();
    let emoji = emoji::meant(&form.emoji, &form.emoji_other);
    wrong.note(rules::good_name(&form.name));
    wrong.note(rules::good_emoji(&emoji));
    wrong.note(rules::good_description(&form.description));
    let budget = wrong.join(budget(&form.budget)).flatten();
    wrong.note(rules::good_budget(budget));
    // A share above 255 is reported like one above 100.
    let share = wrong.join(whole("budget_soft", &form.budget_soft));
    let share = share.map(|share| u8::try_from(share).unwrap_or(u8::MAX));
    share.and_then(|share| wrong.note(rules::good_share(share)));
    let tokens = wrong.join(whole("max_output", &form.max_output));
    tokens.and_then(|tokens| wrong.note(rules::good_output(tokens)));
    if wrong.has_fields() {
        return Err(wrong);
    }
    let model = match form.model_other.trim() {
        "" => model_wish(&form.model),
        other => ModelChoice { model: Some(other.to_owned()), ..model_wish(&form.model) },
    };
    Ok(Changes {
        name: Some(form.name.clone()),
        emoji: Some(emoji),
        description: Some(form.description.clone()),
        model: Some(model),
        thinking: Some(form.thinking.parse().ok()),
        exec: Some(!form.exec.is_empty()),
        network: Some(!form.network.is_empty()),
        budget_micros: Some(budget),
        budget_soft_pct: share,
        max_output: tokens,
        // Profile and manager are changed on the agent's page.
        ..Changes::default()
    })
}

pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Form(mut form): Form<AgentSettingsForm>,
) -> Result<Response, PageError> {
    let (before, _) = stored(&ws, &slug)?;
    let id = before.id;
    let rev = form.rev.parse().ok();
    let mut since = EditConflict::default();
    let refused = match changes(&form) {
        Ok(changes) => {
            let save = began::save(Began::read(&form.began), (id, rev), changes);
            match ws.write(&who, widening::checked(&who, save)).await {
                Ok(agent) => {
                    let author = Author::person(&who.name, who.account);
                    provision::tell_change(&ws, author, &before, &agent).await;
                    let text =
                        format!("{} is saved.", ws.read(|snap| agents::called(snap, &agent))?);
                    let url = ws.url(&format!("agents/{}/settings", agent.slug));
                    return Ok(flash::say(&app, Flash::ok(text), hx.go_to(&url)));
                }
                Err(error) => {
                    since = ws.read(|snap| {
                        meanwhile::after::<Agent>(&ws, &who, snap, (id, &form.rev), &error)
                    })?;
                    since.renew(&mut form.rev);
                    match &error {
                        _ if since.is_told() => Wrong::none(),
                        Refused::NotAdmin(_) => Wrong::message(sentence(&error.to_string())),
                        error => Wrong::of(error)?,
                    }
                }
            }
        }
        Err(wrong) => wrong,
    };
    let wish = model_wish(&form.model);
    let page = page(&ws, &who, shell, &before, form, &wish, refused)?;
    html::document(since.status(), &SettingsPage { since, ..page })
}
