//! Whether an agent continues on its own after reading untrusted content.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::trust::rules;
use kernel::Can;
use web::error::{ApiError, PageError};
use web::extract::{Form, Json, Path};
use web::flash;
use web::hx::Hx;
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Flash;

pub(super) fn pages(routes: Routes) -> Routes {
    routes.post("/agents/{slug}/behaviour/autonomy", set.needs(Can::Admin).proved())
}

pub(super) fn api(routes: Routes) -> Routes {
    routes.put(
        "/agents/{agent}/autonomy",
        api_set.needs(Can::Admin).proved().doc(|| {
            Doc::new("Set whether an agent needs extra approvals after untrusted content")
                .body::<Autonomy>()
                .returns::<Autonomy>()
        }),
    )
}

/// The autonomy form.
#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    /// `on`, or empty if unchecked.
    #[serde(default)]
    autonomous: String,
}

/// `POST /agents/{slug}/behaviour/autonomy`
async fn set(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(chosen): Form<Chosen>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| agents::by_name(snap, &slug))?;
    let agent = agent.ok_or_else(|| PageError::not_found("This agent"))?;
    let name = ws.read(|snap| agents::called(snap, &agent))?;
    let Agent { id, slug, .. } = agent;
    let autonomous = !chosen.autonomous.is_empty();
    ws.write(&who, move |tx| rules::set_autonomous(tx, id, autonomous)).await?;
    let message = match autonomous {
        true => format!("{name} no longer needs extra approvals after reading untrusted content."),
        false => format!("{name} asks again after reading untrusted content."),
    };
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&ws.url(&format!("agents/{slug}/behaviour")))))
}

/// Whether an agent goes on by itself.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Autonomy {
    /// After it has read words from outside, it asks no more than before.
    autonomous: bool,
}

async fn api_set(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(Autonomy { autonomous }): Json<Autonomy>,
) -> Result<Json<Autonomy>, ApiError> {
    let agent = ws.read(|snap| agents::by_name(snap, &name))?;
    let id = agent.ok_or_else(|| ApiError::not_found("This agent"))?.id;
    ws.write(&who, once.run(move |tx| rules::set_autonomous(tx, id, autonomous))).await?;
    Ok(Json(Autonomy { autonomous }))
}
