//! The pages of agents.

mod acts;
mod began;
mod chart;
mod drafts;
mod editing;
mod files;
mod diverged;
mod knows;
mod line;
mod list;
mod memory;
mod new;
pub(crate) mod overview;
mod profile;
mod rail;
mod reach;
mod runs;
mod settings;
mod skills;
mod spent;
mod upgrade;
mod versions;

use axum::extract::DefaultBodyLimit;
use jiff::tz::TimeZone;

use app::Ws;
use features::connections::queries::{self as connections, Choice as Chosen, ModelRequest, Pick};
use kernel::{Can, Thinking, Timestamp};
use store::{Read, Snap, StoreError};
use web::error::PageError;
use web::parts::Choice;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::time::RelTime;

use features::agents::model::Agent;
use features::agents::queries;
use features::agents::rules::ModelChoice;
use features::runs::queries::today;

use super::at::Finds;

/// Size limit of a form with texts, in bytes: two texts of the largest size in form encoding.
const MAX_TEXTS: usize = 8 << 20;

/// `/agents/{slug}/chat` belongs to runs, `/agents/{slug}/inbox` to the inbox.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/agents", list::show.needs(Can::Read))
        .post("/agents", new::create.needs(Can::Agents))
        .get("/agents/new", new::form.needs(Can::Agents))
        .get("/agents/upgrades", upgrade::list.needs(Can::Read))
        .post("/agents/upgrades", upgrade::take_clean.needs(Can::Agents))
        .get("/agents/{slug}", overview::show.needs(Can::Read))
        .get("/agents/{slug}/head", overview::head.needs(Can::Read))
        .get("/agents/{slug}/chat/skills", skills::names.needs(Can::Read))
        .get("/agents/{slug}/memory", memory::show.needs(Can::Read))
        .post("/agents/{slug}/memory", memory::save.needs(Can::Agents))
        .get("/agents/{slug}/files", files::show.needs(Can::Read))
        .get("/agents/{slug}/files/raw", files::raw.needs(Can::Read))
        .merge(texts())
        .post("/agents/{slug}/files/rename", editing::rename.needs(Can::Agents))
        .post("/agents/{slug}/files/remove", editing::remove.needs(Can::Agents))
        .post("/agents/{slug}/files/send", editing::send.needs(Can::Agents))
        .get("/agents/{slug}/kept/{name}", diverged::show.needs(Can::Read))
        .post("/agents/{slug}/kept/{name}/take", diverged::take.needs(Can::Agents))
        .post("/agents/{slug}/kept/{name}/drop", diverged::forget.needs(Can::Agents))
        .get("/agents/{slug}/history", versions::show.needs(Can::Read))
        .post("/agents/{slug}/history", versions::bring_back.needs(Can::Agents))
        .get("/drafts", drafts::show.needs(Can::Read))
        .post("/agents/{slug}/drafts/{name}/accept", drafts::accept.needs(Can::Agents))
        .post("/agents/{slug}/drafts/{name}/refuse", drafts::refuse.needs(Can::Agents))
        .get("/agents/{slug}/upgrade", upgrade::show.needs(Can::Read))
        .post("/agents/{slug}/upgrade", upgrade::take.needs(Can::Agents))
        .post("/agents/{slug}/upgrade/dismiss", upgrade::pass.needs(Can::Agents))
        .post("/agents/{slug}/upgrade/undo", upgrade::undo.needs(Can::Agents))
        .get("/agents/{slug}/runs", runs::show.needs(Can::Read))
        .get("/agents/{slug}/settings", settings::form.needs(Can::Agents))
        .post("/agents/{slug}/settings", settings::save.needs(Can::Agents))
        .post("/agents/{slug}/reach", reach::save.needs(Can::Agents))
        .post("/settings/reach", reach::save_opened.needs(Can::Admin))
        .post("/agents/{slug}/profile", profile::save.needs(Can::Agents))
        .post("/agents/{slug}/manager", line::save.needs(Can::Agents))
        .post("/agents/{slug}/thinks", rail::save.needs(Can::Agents))
        .post("/agents/{slug}/pause", acts::pause.needs(Can::Agents))
        .post("/agents/{slug}/resume", acts::resume.needs(Can::Agents))
        .post("/agents/{slug}/retry", acts::retry.needs(Can::Agents))
        .post("/agents/{slug}/archive", acts::archive.needs(Can::Agents))
        .post("/agents/{slug}/restore", acts::restore.needs(Can::Agents))
}

/// Forms that contain a full text and the text that it is based on.
fn texts() -> Routes {
    Routes::new()
        .post("/agents/{slug}/files", editing::save.needs(Can::Agents))
        .post("/agents/{slug}/files/new", editing::create.needs(Can::Agents))
        .wrap(|route| route.layer(DefaultBodyLimit::max(MAX_TEXTS)))
}

/// The agent with this slug.
fn find(tx: &dyn Read, slug: &str) -> Result<Agent, PageError> {
    queries::by_name(tx, slug)?.ok_or_else(|| PageError::not_found("This agent"))
}

impl Finds for PageError {
    fn find(snap: &Snap<'_>, name: &str) -> Result<Agent, Self> {
        find(snap, name)
    }
}

/// The current time and the person's time zone.
struct When {
    now: Timestamp,
    zone: TimeZone,
}

impl When {
    fn of(ws: &Ws, who: &Person) -> Self {
        let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
        Self { now: ws.app.clock.now(), zone }
    }

    fn at(&self, at: Timestamp) -> RelTime {
        RelTime::new(at, self.now, &self.zone)
    }

    /// Start of today in the person's zone.
    fn midnight(&self) -> Timestamp {
        today::midnight(self.now, &self.zone)
    }

    /// Name of the month that costs count, which is a month in UTC: "November".
    fn month(&self) -> String {
        self.now.to_zoned(TimeZone::UTC).strftime("%B").to_string()
    }
}

/// The model that an agent uses by default.
fn chosen(tx: &dyn Read, agent: &Agent) -> Result<Chosen, StoreError> {
    connections::resolve(tx, ModelRequest { message: None, task: None, agent })
}

/// The model choices of a form: the workspace's model, then those of all connections.
fn model_choices(tx: &dyn Read, now: Option<&ModelChoice>) -> Result<Vec<Choice>, StoreError> {
    let none = ModelChoice::default();
    let now = now.unwrap_or(&none);
    let default = connections::resolve_default(tx)?;
    let mut choices =
        vec![Choice::new("", format!("Workspace default ({default})"), now.model.is_none())];
    for pick in connections::picks(tx)? {
        let is_now = now.model.as_deref() == Some(pick.model.as_str())
            && (now.connection == pick.connection || now.connection.is_none());
        // Several connections may offer the same model; the first match is the current one.
        let is_now = is_now && !choices.iter().any(|choice| choice.chosen);
        choices.push(Choice::new(pick.value(), pick.label(), is_now));
    }
    if !choices.iter().any(|choice| choice.chosen)
        && let Some(model) = &now.model
    {
        let value = match now.connection {
            Some(id) => format!("{id}/{model}"),
            None => model.clone(),
        };
        choices.push(Choice::new(value, model, true));
    }
    Ok(choices)
}

/// Parses a form's model field.
fn model_wish(value: &str) -> ModelChoice {
    let value = value.trim();
    if value.is_empty() {
        return ModelChoice::default();
    }
    match Pick::parse(value) {
        Some((connection, model)) => ModelChoice { connection, model: Some(model) },
        None => ModelChoice { connection: None, model: Some(value.to_owned()) },
    }
}

/// Thinking levels for a form: those that the model supports, and the current one.
fn thinking_choices(now: Option<Thinking>, levels: &[Thinking]) -> Vec<Choice> {
    let all = Thinking::ALL.iter().filter(|level| levels.contains(level) || Some(**level) == now);
    let mut choices = vec![Choice::new("", "Default", now.is_none())];
    choices.extend(all.map(|level| Choice::new(level.word(), level.label(), Some(*level) == now)));
    choices
}
