//! The API of the hosts that agents may reach.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::model::ReachOf;
use features::agents::queries::reach;
use features::agents::rules;
use features::trust::queries::widening;
use kernel::{AgentId, Can};
use store::WriteTx;
use web::error::ApiError;
use web::extract::Json;
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use crate::agents::at::At;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/reach",
            show.needs(Can::Read).doc(|| Doc::new("Which hosts it reaches").returns::<ReachView>()),
        )
        .put(
            "/agents/{agent}/reach",
            set.needs(Can::Agents).doc(|| {
                Doc::new("Set them; they apply from its next request")
                    .body::<ReachBody>()
                    .returns::<ReachView>()
            }),
        )
        .get(
            "/reach",
            show_opened.needs(Can::Read).doc(|| {
                Doc::new("Which hosts in private networks all agents reach").returns::<OpenedView>()
            }),
        )
        .put(
            "/reach",
            set_opened.needs(Can::Admin).doc(|| {
                Doc::new("Set them; they apply from the next request")
                    .body::<OpenedBody>()
                    .returns::<OpenedView>()
            }),
        )
}

/// Which hosts an agent reaches.
#[derive(Serialize, JsonSchema)]
struct ReachView {
    /// These alone; when there is none, all that are public.
    only: Vec<String>,
}

/// Which hosts it is to reach.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReachBody {
    /// `example.com`, or `*.example.com` for all below it; none for all that are public.
    only: Vec<String>,
}

/// Which hosts in private networks all agents reach.
#[derive(Serialize, JsonSchema)]
struct OpenedView {
    /// Beside all that is public.
    opened: Vec<String>,
}

/// Which hosts in private networks all agents are to reach.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OpenedBody {
    /// `wiki.lan`, `wiki.lan:8080` or `192.168.1.5`.
    opened: Vec<String>,
}

fn view(ws: &Ws, agent: AgentId) -> Result<Json<ReachView>, ApiError> {
    let only = ws.read(|snap| reach::of(snap, ReachOf::Agent(agent)))?;
    Ok(Json(ReachView { only }))
}

async fn show(At { ws, agent, .. }: At<ApiError>) -> Result<Json<ReachView>, ApiError> {
    view(&ws, agent.id)
}

async fn set(
    At { ws, who, agent, .. }: At<ApiError>,
    once: Once,
    Json(body): Json<ReachBody>,
) -> Result<Json<ReachView>, ApiError> {
    let agent = agent.id;
    let set = once.run(move |tx| rules::reach::set(tx, ReachOf::Agent(agent), &body.only));
    ws.write(&who, widening::checked(&who, set)).await?;
    view(&ws, agent)
}

async fn show_opened(ws: Ws, _: Person) -> Result<Json<OpenedView>, ApiError> {
    let opened = ws.read(|snap| reach::of(snap, ReachOf::Workspace))?;
    Ok(Json(OpenedView { opened }))
}

async fn set_opened(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<OpenedBody>,
) -> Result<Json<OpenedView>, ApiError> {
    let set = move |tx: &mut WriteTx<'_>| rules::reach::set(tx, ReachOf::Workspace, &body.opened);
    ws.write(&who, widening::checked(&who, once.run(set))).await?;
    show_opened(ws, who).await
}
