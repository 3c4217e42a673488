//! Conversation rules in the workspace's and an agent's settings.

use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::runs::model::{ConversationOptions, QueueOf, TalkChoice};
use features::runs::queries::preferences as reading;
use features::runs::rules::{self, RunError};
use web::error::PageError;
use web::extract::{Form, Path};
use web::form::check_rev;
use web::hx::Hx;
use web::session::Person;

use super::chat::find;
use super::limits::{numbers, saved};

/// The form; empty fields mean the default.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PreferencesForm {
    daily_hour: String,
    idle_minutes: String,
    parts_days: String,
    steps_days: String,
    rev: String,
}

impl PreferencesForm {
    fn wish(&self, before: ConversationOptions) -> Result<ConversationOptions, RunError> {
        let values = [&self.daily_hour, &self.idle_minutes, &self.parts_days, &self.steps_days];
        let [daily_hour, idle_minutes, parts_days, steps_days] =
            numbers(ConversationOptions::BOUNDS, values)?;
        // A number that does not fit is invalid.
        let daily_hour = daily_hour.map(|hour| u8::try_from(hour).unwrap_or(u8::MAX));
        Ok(ConversationOptions { daily_hour, idle_minutes, parts_days, steps_days, ..before })
    }
}

async fn choose(
    (app, ws, who, hx): (&App, &Ws, &Person, &Hx),
    of: QueueOf,
    form: PreferencesForm,
    back: &str,
) -> Result<Response, PageError> {
    let before = ws.read(|snap| reading::chosen(snap, of))?;
    let done = match form.wish(before) {
        Ok(wish) => {
            ws.write(who, move |tx| -> Result<_, RunError> {
                check_rev::<TalkChoice>(tx, of, &form.rev)?;
                rules::preferences::choose(tx, of, wish)
            })
            .await
        }
        Err(error) => Err(error),
    };
    saved((app, ws, hx), done, back)
}

/// `POST /settings/conversations`
pub(super) async fn of_workspace(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<PreferencesForm>,
) -> Result<Response, PageError> {
    choose((&app, &ws, &who, &hx), QueueOf::Workspace, form, "settings/general").await
}

/// `POST /agents/{slug}/conversations`
pub(super) async fn of_agent(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(form): Form<PreferencesForm>,
) -> Result<Response, PageError> {
    let agent = find(&ws, &slug)?;
    let back = format!("agents/{slug}/settings");
    choose((&app, &ws, &who, &hx), QueueOf::Agent(agent.id), form, &back).await
}
