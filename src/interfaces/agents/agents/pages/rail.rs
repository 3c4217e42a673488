//! Model and thinking level of an agent, changed beside its overview.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::queries;
use features::agents::rules::{self, Changes, ModelChoice};
use features::connections::queries::{Choice as Chosen, turns};
use store::{Snap, StoreError};
use web::error::PageError;
use web::extract::Form;
use web::hx::{Ask, Hx};
use web::parts::{Choice, Tone};
use web::shell::Flash;
use web::{flash, html};

use super::{chosen, model_choices, model_wish, thinking_choices};
use crate::agents::at::At;

/// Maximum number of models offered; the settings offer all.
const MODELS: usize = 30;

/// The choices of model and thinking level.
pub(super) struct Offered {
    /// Address of the form.
    pub action: String,
    pub models: Vec<Choice>,
    pub thinking: Vec<Choice>,
}

/// The choices for an agent, given its current model.
pub(super) fn offered(
    ws: &Ws,
    snap: &Snap<'_>,
    agent: &Agent,
    now: &Chosen,
) -> Result<Offered, StoreError> {
    let wish = ModelChoice { connection: agent.connection, model: agent.model.clone() };
    let mut place = 0..;
    let mut models = model_choices(snap, Some(&wish))?;
    models.retain(|choice| choice.chosen || place.next().is_some_and(|place| place < MODELS));
    let levels = turns::levels(snap, now.connection, &now.model)?;
    Ok(Offered {
        action: ws.url(&format!("agents/{}/thinks", agent.slug)),
        models,
        thinking: thinking_choices(agent.thinking, &levels),
    })
}

/// Either field may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ThinkingForm {
    model: Option<String>,
    thinking: Option<String>,
}

/// `POST /agents/{slug}/thinks`
pub(super) async fn save(
    app: App,
    At { ws, who, agent, .. }: At<PageError>,
    hx: Hx,
    Form(form): Form<ThinkingForm>,
) -> Result<Response, PageError> {
    let id = agent.id;
    let changes = Changes {
        model: form.model.as_deref().map(model_wish),
        thinking: form.thinking.map(|level| level.parse().ok()),
        ..Changes::default()
    };
    let agent = ws.write(&who, move |tx| rules::update(tx, id, None, changes)).await?;
    let (name, now) = ws.read(|snap| {
        Ok::<_, StoreError>((queries::called(snap, &agent)?, chosen(snap, &agent)?))
    })?;
    let message = format!("{name} now uses {}. Thinking: {}.", now.model, now.thinking.label());
    if hx.is_partial() {
        let ask = Ask::new().reswap("none").changed("agents", id).toast(Tone::Ok, &message);
        return Ok((ask, html::answer(StatusCode::OK, String::new())).into_response());
    }
    let back = ws.url(&format!("agents/{}", agent.slug));
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&back)))
}
