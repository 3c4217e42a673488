//! Pages of secrets: list, details, create, import, and the secrets of an agent. No page shows a secret value.

mod agent;
mod list;
mod masks;
mod master;
mod one;
mod paste;
mod typed;

use app::{App, Ws};
use axum::response::Response;
use features::tasks::queries::view_context::ViewContext;
use gateways::model::{AGENT_PLACES, GATEWAYS};
use kernel::{AgentId, Assignee, Can};
use web::error::PageError;
use web::flash;
use web::hx::Hx;
use web::parts::Face;
use web::routes::{Needs as _, Routes};
use web::shell::Flash;
use web::sse::HOSTS;

use crate::given;
use crate::model::{
    SECRET_MASKS, SECRET_RECEIPTS, SECRET_USES, SECRET_VALUES, SECRETS, Scope, Secret,
};
use crate::sync::Machines;
pub(crate) use master::only_managers;

/// Path of these pages.
const HERE: &str = "settings/secrets";
/// Entry in the settings menu.
const MENU: &str = "secrets";
/// Tables that refresh the pages.
const TABLES: [&str; 8] = [
    SECRETS.name,
    SECRET_VALUES.name,
    SECRET_USES.name,
    SECRET_MASKS.name,
    SECRET_RECEIPTS.name,
    GATEWAYS.name,
    AGENT_PLACES.name,
    HOSTS,
];

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/secrets", list::list.needs(Can::Admin))
        .post("/settings/secrets", one::create.needs(Can::Admin))
        .get("/settings/secrets/new", one::new.needs(Can::Admin))
        .get("/settings/secrets/paste", paste::form.needs(Can::Admin))
        .post("/settings/secrets/paste", paste::send.needs(Can::Admin))
        .post("/settings/secrets/masks", masks::add.needs(Can::Admin))
        .post("/settings/secrets/masks/{id}/remove", masks::remove.needs(Can::Admin))
        .get("/settings/secrets/master-key", master::show.needs(Can::Admin))
        .post("/settings/secrets/master-key", master::change.needs(Can::Admin).proved())
        .post("/settings/secrets/master-key/discard", master::discard.needs(Can::Admin).proved())
        .get("/settings/secrets/{id}", one::show.needs(Can::Admin))
        .post("/settings/secrets/{id}", one::save.needs(Can::Admin).proved())
        .post("/settings/secrets/{id}/value", one::set_value.needs(Can::Admin))
        .post("/settings/secrets/{id}/put-back", one::put_back.needs(Can::Admin))
        .post("/settings/secrets/{id}/remove", one::remove.needs(Can::Admin))
        .post("/settings/secrets/{id}/restore", one::restore.needs(Can::Admin))
        .get("/agents/{slug}/secrets", agent::show.needs(Can::Read))
}

/// Shows a confirmation on the list.
async fn done(app: &App, ws: &Ws, hx: &Hx, words: String) -> Result<Response, PageError> {
    given::follow(ws).await?;
    Ok(flash::say(app, Flash::ok(words), hx.go_to(&ws.url(HERE))))
}

/// Faces of these agents, each once.
fn faces(scene: &ViewContext, agents: impl IntoIterator<Item = AgentId>) -> Vec<Face> {
    let mut all: Vec<AgentId> = Vec::new();
    for agent in agents {
        if !all.contains(&agent) {
            all.push(agent);
        }
    }
    all.into_iter().map(|agent| scene.people.face(Assignee::Agent(agent))).collect()
}

fn who(scene: &ViewContext, machines: &Machines, secret: &Secret) -> String {
    let name = |id: &AgentId| scene.people.name(Assignee::Agent(*id));
    match &secret.scope {
        Scope::Workspace => "All agents".to_owned(),
        Scope::Gateway(id) => format!("All agents on {}", machines.label(*id)),
        Scope::Agents(agents) if agents.is_empty() => "No one".to_owned(),
        Scope::Agents(agents) => agents.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}
