//! How an agent is set.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::{Agent, Reach, ReachOf};
use features::agents::provision;
use features::agents::queries::head::{self, Head, Place};
use features::agents::queries::reach;
use features::agents::rules::{self, Changes, ModelWish};
use features::connections::model::Fallbacks;
use features::connections::queries::turns;
use features::history::queries::{self as history, meanwhile};
use features::inbox::model::pace::Pace;
use features::inbox::queries::pace;
use features::runs::model::{QueueOf, RunLimits};
use features::runs::queries::{bounds, habits, queue};
use git::Author;
use store::ReadExt;
use web::emoji;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::form::{Meanwhile, Wrong};
use web::format;
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};

use super::new::budget;
use super::{chosen, find, model_choices, model_wish, thinking_choices};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Typed {
    rev: String,
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
    v: Typed,
    wrong: Wrong,
    since: Meanwhile,
    emojis: Vec<Choice>,
    models: Vec<Choice>,
    thinking: Vec<Choice>,
    /// Whether it has a model of its own: only then it has a list of its own to fall back on.
    has_model: bool,
    fallbacks: Vec<turns::Place>,
    fallbacks_href: String,
    order_history: String,
    queue: queue::Fields,
    queue_href: String,
    talk: habits::Fields,
    talk_href: String,
    /// What bounds its runs.
    bounds: bounds::Fields,
    bounds_history: String,
    /// The hosts that it reaches, one a line.
    only: String,
    reach_history: String,
    /// When it begins work and how much.
    pace: pace::Fields,
    pace_history: String,
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
    let v = Typed {
        rev: rev.to_string(),
        name: agent.name.clone(),
        emoji: agent.emoji.clone(),
        description: agent.description.clone(),
        thinking: agent.thinking.map_or_else(String::new, |level| level.word().to_owned()),
        max_output: agent.max_output.to_string(),
        budget: agent.budget_micros.map_or_else(String::new, format::plain_dollars),
        budget_soft: agent.budget_soft_pct.to_string(),
        exec: on(agent.exec),
        network: on(agent.network),
        ..Typed::default()
    };
    let wish = ModelWish { connection: agent.connection, model: agent.model.clone() };
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
    v: Typed,
    wish: &ModelWish,
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
            let bounds = bounds::fields(snap, whose)?;
            let pace = pace::fields(snap, agent.id)?;
            let own = (queue::fields(snap, of)?, habits::fields(snap, of)?, bounds, only, pace);
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
    Ok(SettingsPage {
        shell,
        head,
        history: ws.url(&format!("history/agents/{}", agent.slug)),
        handle_hint: format!("Its handle stays @{}.", agent.slug),
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
        since: Meanwhile::default(),
    })
}

/// What the form asks for, or all that is wrong with it at once.
fn changes(typed: &Typed) -> Result<Changes, Wrong> {
    let whole = |field: &str, text: &str| {
        let message = "write a whole number";
        text.trim().parse::<u32>().map_err(|_| Wrong::field(field, message))
    };
    let mut wrong = Wrong::none();
    let emoji = emoji::meant(&typed.emoji, &typed.emoji_other);
    wrong.note(rules::good_name(&typed.name));
    wrong.note(rules::good_emoji(&emoji));
    wrong.note(rules::good_description(&typed.description));
    let budget = wrong.join(budget(&typed.budget)).flatten();
    wrong.note(rules::good_budget(budget));
    // A share above 255 is as wrong as one above 100.
    let share = wrong.join(whole("budget_soft", &typed.budget_soft));
    let share = share.map(|share| u8::try_from(share).unwrap_or(u8::MAX));
    share.and_then(|share| wrong.note(rules::good_share(share)));
    let tokens = wrong.join(whole("max_output", &typed.max_output));
    tokens.and_then(|tokens| wrong.note(rules::good_output(tokens)));
    if wrong.has_fields() {
        return Err(wrong);
    }
    let model = match typed.model_other.trim() {
        "" => model_wish(&typed.model),
        other => ModelWish { model: Some(other.to_owned()), ..model_wish(&typed.model) },
    };
    Ok(Changes {
        name: Some(typed.name.clone()),
        emoji: Some(emoji),
        description: Some(typed.description.clone()),
        model: Some(model),
        thinking: Some(typed.thinking.parse().ok()),
        exec: Some(!typed.exec.is_empty()),
        network: Some(!typed.network.is_empty()),
        budget_micros: Some(budget),
        budget_soft_pct: share,
        max_output: tokens,
        // The page of the agent has the picker.
        reports_to: None,
    })
}

pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Form(mut typed): Form<Typed>,
) -> Result<Response, PageError> {
    let (before, _) = stored(&ws, &slug)?;
    let id = before.id;
    let rev = typed.rev.parse().ok();
    let mut since = Meanwhile::default();
    let refused = match changes(&typed) {
        Ok(changes) => match ws.write(&who, move |tx| rules::update(tx, id, rev, changes)).await {
            Ok(agent) => {
                let author = Author::new(&who.name, &who.email);
                provision::tell_change(&ws, author, &before, &agent).await;
                let text = format!("{} is saved.", agent.name);
                let url = ws.url(&format!("agents/{}/settings", agent.slug));
                return Ok(flash::say(&app, Flash::ok(text), hx.go_to(&url)));
            }
            Err(error) => {
                since = ws.read(|snap| {
                    meanwhile::after::<Agent>(&ws, &who, snap, (id, &typed.rev), &error)
                })?;
                since.renew(&mut typed.rev);
                if since.is_told() { Wrong::none() } else { Wrong::of(&error)? }
            }
        },
        Err(wrong) => wrong,
    };
    let wish = model_wish(&typed.model);
    let page = page(&ws, &who, shell, &before, typed, &wish, refused)?;
    html::document(since.status(), &SettingsPage { since, ..page })
}
