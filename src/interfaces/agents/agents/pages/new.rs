//! Creating an agent.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::provision;
use features::agents::queries::lines;
use features::agents::rules::{self, NewAgent};
use features::agents::templates::{self, Manifest};
use features::connections::queries::fitting;
use features::trust::queries::widening::{self, Refused};
use kernel::{Can, Manager};
use store::{Read, StoreError};
use web::emoji;
use web::error::PageError;
use web::extract::Query;
use web::flash;
use web::form::{Wrong, sentence};
use web::format;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::parts::Choice;
use web::session::Person;
use web::shell::Shell;

use super::{acts, line, model_choices, model_wish, thinking_choices};

/// Parses the budget.
pub(super) fn budget(text: &str) -> Result<Option<i64>, Wrong> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong =
        || Wrong::field("budget", format!("{}, or leave it empty", format::wanted_dollars()));
    format::parse_dollars(text).map(Some).ok_or_else(wrong)
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewAgentForm {
    template: String,
    name: String,
    slug: String,
    emoji: String,
    emoji_other: String,
    description: String,
    model: String,
    thinking: String,
    budget: String,
    exec: String,
    /// The manager's handle, or `none`; the creator if empty.
    reports_to: String,
    /// Text that filters the roles.
    search: String,
    /// Non-empty for an agent without a role, described by its creator.
    custom: String,
    /// Non-empty to connect a messenger afterwards.
    connect: String,
}

/// A role to choose.
struct RoleCard {
    href: String,
    name: &'static str,
    emoji: &'static str,
    about: &'static str,
    chosen: bool,
    /// Words by which the search finds it.
    words: String,
    /// Whether the search leaves it out.
    is_hidden: bool,
}

/// The roles of a team.
struct RoleTeam {
    label: &'static str,
    cards: Vec<RoleCard>,
    is_hidden: bool,
}

#[derive(Template)]
#[template(path = "agents/new.html")]
struct NewPage {
    shell: Shell,
    v: NewAgentForm,
    wrong: Wrong,
    /// The roles by team.
    teams: Vec<RoleTeam>,
    /// Whether the search finds no role.
    nothing: bool,
    /// The selected role.
    role: Option<&'static Manifest>,
    /// Whether a role is not selected yet.
    choosing: bool,
    about_hint: &'static str,
    emojis: Vec<Choice>,
    models: Vec<Choice>,
    /// Recommended model for the role; may be empty.
    model_hint: String,
    thinking: Vec<Choice>,
    managers: Vec<Choice>,
    /// Whether the creator may connect messengers.
    may_connect: bool,
}

pub(super) async fn form(
    ws: Ws,
    who: Person,
    shell: Shell,
    Query(form): Query<NewAgentForm>,
) -> Result<Response, PageError> {
    let choosing = form.template.is_empty() || !form.search.is_empty();
    let template = templates::find(&form.template).or_else(|| templates::find("default"));
    let manifest = template.map(|template| &template.manifest);
    let fitting = match manifest {
        Some(manifest) if form.model.is_empty() => {
            ws.read(|snap| fitting::model(snap, manifest.model_class))?
        }
        _ => None,
    };
    let v = NewAgentForm {
        model: fitting.map_or_else(|| form.model.clone(), |pick| pick.value()),
        template: template.map_or_else(String::new, |template| template.slug.clone()),
        emoji: manifest.map_or_else(String::new, |manifest| manifest.emoji.clone()),
        thinking: manifest.map_or_else(String::new, |m| m.thinking.word().to_owned()),
        exec: if manifest.is_none_or(|one| one.exec) { "on".to_owned() } else { String::new() },
        ..form
    };
    html::page(&NewPage { choosing, ..page(&ws, &who, shell, v, Wrong::none())? })
}

fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    v: NewAgentForm,
    wrong: Wrong,
) -> Result<NewPage, PageError> {
    let wish = model_wish(&v.model);
    let role = templates::find(&v.template).map(|template| &template.manifest);
    let (models, fitting, managers) = ws.read(|snap| {
        let now = asked_manager(snap, who, &v.reports_to)?.unwrap_or(Some(who.account.into()));
        let managers = line::choices(snap, None, now, who.account)?;
        let fitting = role.map(|role| fitting::model(snap, role.model_class)).transpose()?;
        Ok::<_, StoreError>((model_choices(snap, Some(&wish))?, fitting.flatten(), managers))
    })?;
    let card = |template: &'static templates::Template| RoleCard {
        href: ws.url(&format!("agents/new?template={}", template.slug)),
        name: &template.manifest.name,
        emoji: &template.manifest.emoji,
        about: &template.manifest.description,
        chosen: template.slug == v.template && v.custom.is_empty(),
        words: template.manifest.words(),
        is_hidden: !template.manifest.fits(&v.search),
    };
    let of_team = |(team, label): &(&str, &'static str)| {
        let own = templates::builtin().iter().filter(|one| one.manifest.team == *team);
        let cards: Vec<RoleCard> = own.map(card).collect();
        RoleTeam { label, is_hidden: cards.iter().all(|card| card.is_hidden), cards }
    };
    let mut teams: Vec<_> = templates::TEAMS.iter().map(of_team).collect();
    teams.retain(|team| !team.cards.is_empty());
    Ok(NewPage {
        may_connect: who.access.may(Can::Admin),
        shell,
        nothing: teams.iter().all(|team| team.is_hidden),
        teams,
        role: role.filter(|_| v.custom.is_empty()),
        model_hint: fitting
            .map(|pick| format!("{} is suggested for this role.", pick.label()))
            .unwrap_or_default(),
        choosing: false,
        about_hint: match v.custom.is_empty() {
            true => "You and other agents read this. Leave empty to use the template’s text.",
            false => "You and other agents read this.",
        },
        emojis: emoji::choices(&v.emoji),
        models,
        thinking: thinking_choices(v.thinking.parse().ok(), kernel::Thinking::ALL),
        managers,
        v,
        wrong,
    })
}

/// Resolves the manager; the inner error is the unknown name.
fn asked_manager(
    tx: &dyn Read,
    who: &Person,
    text: &str,
) -> Result<Result<Option<Manager>, String>, StoreError> {
    match text.trim() {
        "" => Ok(Ok(Some(who.account.into()))),
        name => lines::meant(tx, name),
    }
}

pub(super) async fn create(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    FormOnce(form, once): FormOnce<NewAgentForm>,
) -> Result<Response, PageError> {
    let (budget, mut wrong) = checked(&form);
    let manager = ws.read(|snap| asked_manager(snap, &who, &form.reports_to))?;
    let manager =
        wrong.join(manager.map_err(|name| {
            Wrong::field("reports_to", format!("no one here is called \"{name}\""))
        }));
    if wrong.has_fields() {
        return redisplay(&ws, &who, shell, form, wrong);
    }
    let template_description =
        templates::find(&form.template).map(|t| t.manifest.description.clone());
    let description = match form.description.trim() {
        "" => template_description.unwrap_or_default(),
        text => text.to_owned(),
    };
    let new = NewAgent {
        name: form.name.clone(),
        slug: form.slug.clone(),
        emoji: emoji::meant(&form.emoji, &form.emoji_other),
        description,
        template: form.template.clone(),
        model: model_wish(&form.model),
        thinking: form.thinking.parse().ok(),
        exec: !form.exec.is_empty(),
        budget_micros: budget,
        reports_to: manager.flatten(),
    };
    let make = once.run(move |tx| rules::create(tx, new, &provision::template_names()));
    let id = match ws.write(&who, widening::checked(&who, make)).await {
        Ok(agent) => agent.id,
        Err(error @ Refused::NotAdmin(_)) => {
            let wrong = Wrong::message(sentence(&error.to_string()));
            return redisplay(&ws, &who, shell, form, wrong);
        }
        Err(error) => return redisplay(&ws, &who, shell, form, Wrong::of(&error)?),
    };
    let agent = provision::make(&ws, &who, id).await?;
    let url = match !form.connect.is_empty() && who.access.may(Can::Admin) {
        true => ws.url(&channels::nouns::connect_path(&agent.slug)),
        false => ws.url(&format!("agents/{}", agent.slug)),
    };
    Ok(flash::say(&app, acts::to_flash(&agent), hx.go_to(&url)))
}

/// Validates the form; returns the budget and all errors.
fn checked(form: &NewAgentForm) -> (Option<i64>, Wrong) {
    let mut wrong = Wrong::none();
    wrong.note(rules::good_name(&form.name));
    if !form.slug.trim().is_empty() {
        wrong.note(rules::plain_slug(form.slug.trim()));
    }
    wrong.note(rules::good_emoji(&emoji::meant(&form.emoji, &form.emoji_other)));
    wrong.note(rules::good_description(&form.description));
    if !form.custom.is_empty() && form.description.trim().is_empty() {
        wrong.join::<()>(Err(Wrong::field("description", "describe in a line what it’s for")));
    }
    let budget = wrong.join(budget(&form.budget)).flatten();
    wrong.note(rules::good_budget(budget));
    (budget, wrong)
}

fn redisplay(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    form: NewAgentForm,
    wrong: Wrong,
) -> Result<Response, PageError> {
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page(ws, who, shell, form, wrong)?)
}
