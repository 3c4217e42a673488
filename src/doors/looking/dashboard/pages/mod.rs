//! The dashboard: what needs the person, what the fleet does now, what happened, what it costs.
//!
//! Each part is a region that renews itself alone. Before the first agent there is nothing to
//! show; then the page offers the three ways to begin.

mod brief;
mod fleet;
mod happened;
pub mod mission;
mod needs;
mod since;
mod spend;
mod streams;

use app::Ws;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use features::agents::queries as agents;
use features::dashboard::queries::{self as dashboard, Scene};
use features::onboarding::queries as onboarding;
use features::tasks::model::BY_NUMBER;
use kernel::{AgentStatus, Can};
use store::{Range, ReadExt, Snap, StoreError};
use web::error::PageError;
use web::html::{self, RenderError};
use web::hx::Hx;
use web::parts::Face;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::Shell;

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().get("/", show.needs(Can::Read))
}

/// The first thing to do with a new agent.
struct Starter {
    face: Face,
    name: String,
    slug: String,
    about: String,
    ready: bool,
}

#[derive(Template)]
#[template(path = "dashboard/show.html")]
struct Show {
    shell: Shell,
    brief: brief::Brief,
    since: since::Since,
    needs: needs::Needs,
    fleet: fleet::Fleet,
    spend: spend::Spend,
    mission: Option<mission::Mission>,
    streams: streams::Streams,
    happened: happened::Happened,
    starter: Option<Starter>,
    /// Whether agents have no model but Practice.
    on_practice: bool,
    may_admin: bool,
}

/// Before the first agent.
#[derive(Template)]
#[template(path = "dashboard/empty.html")]
struct Empty {
    shell: Shell,
    greeting: String,
    may_agents: bool,
    may_admin: bool,
}

/// `GET /`, all of it from one snapshot, on a thread that may block.
async fn show(ws: Ws, who: Person, shell: Shell, hx: Hx) -> Result<Response, PageError> {
    ws.look(move |ws| ws.read(|snap| drawn(ws, snap, &who, shell, &hx))).await
}

fn drawn(
    ws: &Ws,
    snap: &Snap<'_>,
    who: &Person,
    shell: Shell,
    hx: &Hx,
) -> Result<Response, PageError> {
    let scene = Scene::new(snap, ws, who)?;
    if let Some(region) = hx.target().filter(|_| hx.is_partial())
        && let Some(found) = region_of(snap, &scene, region)?
    {
        return Ok(html::answer(StatusCode::OK, found?));
    }
    let may = |can| who.access.may(can);
    if agents::all(snap)?.is_empty() {
        if may(Can::Own) && ws.is_active() && onboarding::leads(snap)? {
            return Ok(hx.go_to(&ws.url("onboarding")));
        }
        return html::page(&Empty {
            shell,
            greeting: format!("Welcome, {}", brief::first_name(&who.name)),
            may_agents: may(Can::Agents),
            may_admin: may(Can::Admin),
        });
    }
    let waiting = dashboard::needs::read(snap, &scene)?;
    html::page(&Show {
        shell,
        brief: brief::read(snap, &scene, waiting.count)?,
        since: since::read(snap, &scene)?,
        needs: needs::draw(&scene, waiting),
        fleet: fleet::read(snap, &scene)?,
        spend: spend::read(snap, &scene)?,
        mission: mission::read(snap, &scene)?,
        streams: streams::read(snap, &scene)?,
        happened: happened::read(&scene)?,
        starter: starter(snap, &scene)?,
        on_practice: scene.settings.as_ref().is_none_or(|one| one.default_connection.is_none()),
        may_admin: may(Can::Admin),
    })
}

/// One region alone.
fn region_of(
    tx: &Snap<'_>,
    scene: &Scene<'_>,
    region: &str,
) -> Result<Option<Result<String, RenderError>>, StoreError> {
    Ok(match region {
        "brief" => {
            Some(html::render(&brief::read(tx, scene, dashboard::needs::read(tx, scene)?.count)?))
        }
        "since" => Some(html::render(&since::read(tx, scene)?)),
        "needs" => Some(html::render(&needs::draw(scene, dashboard::needs::read(tx, scene)?))),
        "fleet" => Some(html::render(&fleet::read(tx, scene)?)),
        "spend" => Some(html::render(&spend::read(tx, scene)?)),
        "stream-load" => Some(html::render(&streams::read(tx, scene)?)),
        "mission" => match mission::read(tx, scene)? {
            Some(mission) => Some(html::render(&mission)),
            None => Some(Ok(mission::GONE.to_owned())),
        },
        "happened" => Some(html::render(&happened::read(scene)?)),
        _ => None,
    })
}

/// Offered while there is no task at all.
fn starter(tx: &impl ReadExt, scene: &Scene<'_>) -> Result<Option<Starter>, StoreError> {
    let any = tx.len(BY_NUMBER, &Range::all().limit(1))?;
    if 0 < any || !scene.who.access.may(Can::Write) {
        return Ok(None);
    }
    Ok(scene.agents.first().map(|agent| Starter {
        face: scene.called.face(agent),
        name: scene.called.name(agent),
        slug: agent.slug.clone(),
        about: agent.description.clone(),
        ready: agent.status == AgentStatus::Ready,
    }))
}
