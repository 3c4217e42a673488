//! The API of agents' browsers.

mod acts;
mod body;
mod looks;
mod moves;
mod news;
mod rules;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use browser::doctor::Need;
use browser::tabs::TabInfo;
use features::agents::model::Agent;
use features::browsers::rules::{Switch, set};
use features::trust::queries::widening;
use kernel::Can;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/browser",
            show.needs(Can::Read).doc(|| {
                Doc::new("An agent's browser: whether it is on, and its tabs while it runs")
                    .returns::<BrowserView>()
            }),
        )
        .put(
            "/agents/{agent}/browser",
            switch.needs(Can::Agents).doc(|| {
                Doc::new("Turn it on or off; applies from its next request")
                    .body::<BrowserBody>()
                    .returns::<BrowserView>()
            }),
        )
        .post(
            "/agents/{agent}/browser/stop",
            stop.needs(Can::Browser).doc(|| {
                Doc::new("Stop it; its tabs are restored at its next use")
                    .no_key("a repeat finds it stopped")
                    .returns::<BrowserView>()
            }),
        )
        .post(
            "/agents/{agent}/browser/reset",
            reset.needs(Can::Browser).proved().doc(|| {
                Doc::new("Reset it: stop it and delete sign-ins, tabs and downloads")
                    .no_key("a repeat finds nothing more to forget")
                    .returns::<BrowserView>()
            }),
        )
        .merge(acts::routes())
        .merge(looks::routes())
        .merge(moves::routes())
        .merge(rules::routes())
}

/// The browser of an agent.
#[derive(Serialize, JsonSchema)]
struct BrowserView {
    /// Whether the agent may use it.
    on: bool,
    /// Whether it runs at this moment; it starts at its first use.
    running: bool,
    /// Who has the wheel; null while the agent acts.
    driver: Option<String>,
    /// Whether a credential is being typed, so that nothing of a page is told.
    hidden: bool,
    /// Its tabs while it runs, those that you may see; with the scope `browser` alone. Without titles and addresses while
    /// somebody else types a credential.
    tabs: Vec<BrowserTab>,
    /// What this machine lacks for it.
    needs: Vec<BrowserNeed>,
}

/// A tab of a browser.
#[derive(Serialize, JsonSchema)]
struct BrowserTab {
    number: u32,
    title: String,
    url: String,
    /// The tab whose page opened it.
    opened_by: Option<u32>,
    crashed: bool,
}

/// Something that a browser needs and does not find.
#[derive(Serialize, JsonSchema)]
struct BrowserNeed {
    name: String,
    /// What was found, and what would help.
    says: String,
}

/// How the switch is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BrowserBody {
    on: bool,
}

impl From<TabInfo> for BrowserTab {
    fn from(tab: TabInfo) -> Self {
        let TabInfo { number, title, url, opened_by, has_crashed } = tab;
        Self { number, title, url, opened_by, crashed: has_crashed }
    }
}

impl From<Need> for BrowserNeed {
    fn from(need: Need) -> Self {
        Self { name: need.name.to_owned(), says: need.says }
    }
}

fn found(ws: &Ws, name: &str) -> Result<Agent, ApiError> {
    super::found(ws, name)?.ok_or_else(|| ApiError::not_found("This agent"))
}

async fn view(ws: &Ws, who: &Person, agent: &Agent) -> Result<Json<BrowserView>, ApiError> {
    let mut state = super::state(ws, who, agent).await?;
    if !who.access.may(Can::Browser) {
        state.tabs.clear();
    }
    Ok(Json(BrowserView {
        on: state.is_on,
        running: state.is_running,
        driver: state.driver,
        hidden: state.is_dark,
        tabs: state.tabs.into_iter().map(BrowserTab::from).collect(),
        needs: state.needs.into_iter().map(BrowserNeed::from).collect(),
    }))
}

async fn show(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Json<BrowserView>, ApiError> {
    let agent = found(&ws, &name)?;
    view(&ws, &who, &agent).await
}

async fn switch(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<BrowserBody>,
) -> Result<Json<BrowserView>, ApiError> {
    let agent = found(&ws, &name)?;
    let (id, to) = (agent.id, if body.on { Switch::On } else { Switch::Off });
    let set = once.run(move |tx| set(tx, id, to));
    ws.write(&who, widening::checked(&who, set)).await?;
    if to == Switch::Off {
        super::stop(&ws, id).await;
    }
    view(&ws, &who, &agent).await
}

async fn stop(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Json<BrowserView>, ApiError> {
    let agent = found(&ws, &name)?;
    super::not_driven(&ws, &who, agent.id)?;
    super::stop(&ws, agent.id).await;
    view(&ws, &who, &agent).await
}

async fn reset(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Json<BrowserView>, ApiError> {
    let agent = found(&ws, &name)?;
    super::not_driven(&ws, &who, agent.id)?;
    super::reset(&ws, &agent).await?;
    view(&ws, &who, &agent).await
}
