//! The dashboard: what needs attention, what agents are doing, what happened, what it costs.
//!
//! Each part is a region that refreshes on its own; a part that cannot be read does not affect the others. Without
//! agents, the page offers three ways to start.

mod brief;
mod fleet;
mod happened;
mod hosts;
pub mod mission;
mod needs;
mod notices;
mod since;
mod spend;
mod streams;

use app::Ws;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use features::agents::queries as agents;
use features::dashboard::queries::{self as dashboard, DashboardContext};
use features::onboarding::queries as onboarding;
use features::tasks::model::BY_NUMBER;
use kernel::{AgentStatus, Can};
use store::{Range, Read, ReadExt, Snap, StoreError};
use web::error::PageError;
use web::extract::Query;
use web::html::{self, RenderError};
use web::hx::Hx;
use web::live::Live;
use web::parts::Face;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::Shell;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/", show.needs(Can::Read))
        .post("/needs/{id}/snooze", needs::put_off.needs(Can::Account))
        .post("/needs/{id}/dismiss", needs::dismiss.needs(Can::Account))
        .post("/needs/{id}/restore", needs::restore.needs(Can::Account))
}

/// A suggested first task for a new agent.
struct Starter {
    face: Face,
    name: String,
    slug: String,
    about: String,
    /// A task with a placeholder in brackets.
    task: &'static str,
    ready: bool,
}

#[derive(Template)]
#[template(path = "dashboard/show.html")]
struct Show {
    shell: Shell,
    brief: String,
    since: String,
    needs: String,
    fleet: String,
    spend: String,
    mission: Option<String>,
    streams: String,
    hosts: String,
    notices: String,
    happened: String,
    starter: Option<Starter>,
    /// Whether agents have no model except the practice provider.
    on_practice: bool,
    /// The makers who would see searches without an account, while it is open whether they are allowed; else empty.
    keyless: &'static str,
    may_admin: bool,
    may_write: bool,
}

/// A part that could not be read.
#[derive(Template)]
#[template(path = "dashboard/_failed.html")]
struct Failed {
    id: &'static str,
    live: Live,
    /// Address of a retry.
    again: String,
}

/// The page without agents.
#[derive(Template)]
#[template(path = "dashboard/empty.html")]
struct Empty {
    shell: Shell,
    greeting: String,
    may_agents: bool,
    may_admin: bool,
}

/// `GET /`, from one snapshot, on a blocking thread.
async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Query(params): Query<happened::RecentEventsParams>,
) -> Result<Response, PageError> {
    ws.read_blocking(move |ws| ws.read(|snap| drawn((ws, &who), snap, shell, (&hx, &params)))).await
}

fn drawn(
    (ws, who): (&Ws, &Person),
    snap: &Snap<'_>,
    shell: Shell,
    (hx, params): (&Hx, &happened::RecentEventsParams),
) -> Result<Response, PageError> {
    let scene = DashboardContext::new(snap, ws, who)?;
    if hx.is_partial() && params.is_more() {
        return html::fragment(&happened::more(&scene, params)?);
    }
    if let Some(region) = hx.target().filter(|_| hx.is_partial())
        && let Some(found) = region_of(snap, &scene, (region, params))?
    {
        return Ok(html::answer(StatusCode::OK, found));
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
    let waiting = dashboard::needs::read(snap, &scene);
    let count = waiting.as_ref().map(|found| found.count).unwrap_or_default();
    let needs = waiting.and_then(|found| needs::draw(snap, &scene, found));
    let mission = mission::read(snap, &scene).transpose();
    html::page(&Show {
        shell,
        brief: part(&scene, "brief", brief::read(snap, &scene, count))?,
        since: part(&scene, "since", since::read(snap, &scene))?,
        needs: part(&scene, "needs", needs)?,
        fleet: part(&scene, "fleet", fleet::read(snap, &scene))?,
        spend: part(&scene, "spend", spend::read(snap, &scene))?,
        mission: mission.map(|made| part(&scene, "mission", made)).transpose()?,
        streams: part(&scene, "stream-load", streams::read(snap, &scene))?,
        hosts: part(&scene, "hosts", hosts::read(snap, &scene))?,
        notices: part(&scene, "news", notices::read(snap, &scene))?,
        happened: part(&scene, "happened", happened::read(&scene, params))?,
        starter: starter(snap, &scene)?,
        on_practice: scene.settings.as_ref().is_none_or(|one| one.default_connection.is_none()),
        keyless: match may(Can::Admin) && ws.is_active() && onboarding::asks_keyless(snap)? {
            true => onboarding::KEYLESS_MAKERS,
            false => "",
        },
        may_admin: may(Can::Admin),
        may_write: may(Can::Write),
    })
}

/// One region alone; `None` if the page has no such region.
fn region_of(
    tx: &Snap<'_>,
    scene: &DashboardContext<'_>,
    (region, params): (&str, &happened::RecentEventsParams),
) -> Result<Option<String>, RenderError> {
    let waiting = || dashboard::needs::read(tx, scene);
    let drawn = match region {
        "brief" => {
            let made = waiting().and_then(|found| brief::read(tx, scene, found.count));
            part(scene, "brief", made)
        }
        "since" => part(scene, "since", since::read(tx, scene)),
        "needs" => {
            let made = waiting().and_then(|found| needs::draw(tx, scene, found));
            part(scene, "needs", made)
        }
        "fleet" => part(scene, "fleet", fleet::read(tx, scene)),
        "spend" => part(scene, "spend", spend::read(tx, scene)),
        "stream-load" => part(scene, "stream-load", streams::read(tx, scene)),
        "hosts" => part(scene, "hosts", hosts::read(tx, scene)),
        "mission" => match mission::read(tx, scene).transpose() {
            Some(made) => part(scene, "mission", made),
            None => Ok(mission::GONE.to_owned()),
        },
        "news" => part(scene, "news", notices::read(tx, scene)),
        "happened" => part(scene, "happened", happened::read(scene, params)),
        _ => return Ok(None),
    };
    drawn.map(Some)
}

/// A part of the page, or a placeholder that can retry the part alone.
fn part(
    scene: &DashboardContext<'_>,
    id: &'static str,
    made: Result<impl Template, StoreError>,
) -> Result<String, RenderError> {
    match made {
        Ok(part) => html::render(&part),
        Err(error) => {
            tracing::error!(%error, part = id, "a part of the first page could not be read");
            failed(id, scene.ws.url(""))
        }
    }
}

fn failed(id: &'static str, retry_url: String) -> Result<String, RenderError> {
    html::render(&Failed { id, live: Live::new(retry_url.clone()), again: retry_url })
}

/// Offered while the workspace has no tasks.
fn starter(tx: &dyn Read, scene: &DashboardContext<'_>) -> Result<Option<Starter>, StoreError> {
    let any = tx.len(BY_NUMBER, &Range::all().limit(1))?;
    if 0 < any || !scene.who.access.may(Can::Write) {
        return Ok(None);
    }
    let Some(agent) = scene.agents.first() else { return Ok(None) };
    Ok(Some(Starter {
        face: scene.called.face(agent),
        name: scene.called.name(agent),
        slug: agent.slug.clone(),
        about: agent.description.clone(),
        task: onboarding::first_task(tx, &agent.template)?,
        ready: agent.status == AgentStatus::Ready,
    }))
}

#[cfg(test)]
mod tests {
    use super::failed;

    #[test]
    fn a_part_that_could_not_be_read_stays_a_region_that_is_asked_for_again() {
        let drawn = failed("spend", "/w/marlow-cargo/".to_owned()).expect("a region");
        for words in ["id=\"spend\"", "data-region", "hx-target=\"#spend\"", "Retry"] {
            assert!(drawn.contains(words), "{words}: {drawn}");
        }
    }
}
