//! Forms of fallbacks: additional keys, fallback lists, "try again now".

use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::connections::model::{Fallbacks, Named};
use features::connections::provider::{forget_spare, seal_key, watch_spare};
use features::connections::queries::{Pick, turns as reads};
use features::connections::rules::{ConnectionError, turns};
use kernel::{AgentId, ConnectionId, Thinking};
use store::ReadExt;
use web::error::PageError;
use web::extract::{Form, Path, Path2};
use web::flash;
use web::form::check_rev;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::session::Person;
use web::shell::Flash;

use super::{HERE, list};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyForm {
    more_key: String,
}

pub(super) async fn add_key(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ConnectionId>,
    FormOnce(form, once): FormOnce<KeyForm>,
) -> Result<Response, PageError> {
    let key = seal_key(&app, &form.more_key).ok_or(ConnectionError::KeyMissing)?;
    let slot = ws.write(&who, once.run(move |tx| turns::add_key(tx, id, key))).await?;
    watch_spare(&app, id, slot, &form.more_key);
    let flash = Flash::ok("Key added. It’s used when the keys before it don’t work.");
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(&format!("{HERE}/{id}")))))
}

pub(super) async fn remove_key(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, slot): Path2<ConnectionId, u32>,
) -> Result<Response, PageError> {
    ws.write(&who, move |tx| turns::remove_key(tx, id, slot)).await?;
    forget_spare(&app, id, slot);
    let flash = Flash::ok("Key removed");
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(&format!("{HERE}/{id}")))))
}

pub(super) async fn wake(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ConnectionId>,
) -> Result<Response, PageError> {
    ws.write(&who, move |tx| turns::retry_now(tx, id)).await?;
    if hx.is_partial() {
        return list::one(&ws, &who, id);
    }
    let flash = Flash::ok("HQ is using it again.");
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(HERE))))
}

#[derive(Deserialize)]
pub(super) struct ThinkingForm {
    level: Thinking,
}

pub(super) async fn thinking(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<ThinkingForm>,
) -> Result<Response, PageError> {
    ws.write(&who, move |tx| turns::set_thinking(tx, form.level)).await?;
    let flash = Flash::ok("Saved. Applies from each run’s next step.");
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(HERE))))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct FallbackForm {
    first: String,
    second: String,
    third: String,
    rev: String,
}

impl FallbackForm {
    fn models(&self) -> Result<Vec<Named>, ConnectionError> {
        let choices = [&self.first, &self.second, &self.third];
        let named = |text: &&String| {
            let (connection, model) = Pick::parse(text).ok_or(ConnectionError::BadModel)?;
            Ok(Named { connection, model })
        };
        choices.iter().filter(|text| !text.is_empty()).map(named).collect()
    }
}

pub(super) async fn fallbacks(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<FallbackForm>,
) -> Result<Response, PageError> {
    let models = form.models()?;
    ws.write(&who, move |tx| -> Result<_, ConnectionError> {
        check_rev::<Fallbacks>(tx, Fallbacks::key(None), &form.rev)?;
        turns::set_fallbacks(tx, None, models)
    })
    .await?;
    Ok(flash::say(&app, Flash::ok("Order saved"), hx.go_to(&ws.url(HERE))))
}

pub(super) async fn of_agent(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<AgentId>,
    Form(form): Form<FallbackForm>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| snap.get::<Agent>(id))?;
    let agent = agent.ok_or_else(|| PageError::not_found("This agent"))?;
    let models = match form.first == reads::OF_WORKSPACE {
        true => None,
        false => Some(form.models()?),
    };
    ws.write(&who, move |tx| -> Result<_, ConnectionError> {
        check_rev::<Fallbacks>(tx, Fallbacks::key(Some(id)), &form.rev)?;
        match models {
            None => turns::follow_fallbacks(tx, id),
            Some(models) => turns::set_fallbacks(tx, Some(id), models),
        }
    })
    .await?;
    let next = ws.url(&format!("agents/{}/settings", agent.slug));
    Ok(flash::say(&app, Flash::ok("Order saved"), hx.go_to(&next)))
}
