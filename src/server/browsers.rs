//! Looks after the browsers of agents until the program ends: those that are idle, hang or need too much memory are
//! ended, and so are those whose switch, agent or workspace no longer lets them be.

use std::time::Duration;

use app::{App, Ws};
use browser::fleet::Key;
use features::browsers::{queries, rules};
use kernel::{Actor, AgentId, Cause, Part, TypedId as _, WheelAct, WorkspaceId};

/// How often.
const EVERY: Duration = Duration::from_secs(5);

/// Runs until the program ends; then nothing of them is left.
pub async fn run(app: App) {
    let stopping = app.stopping.clone();
    while tokio::time::timeout(EVERY, stopping.cancelled()).await.is_err() {
        let look = async {
            for key in app.browsers.keys() {
                if !is_allowed(&app, key) {
                    app.browsers.forget(key).await;
                }
            }
            app.browsers.tend().await;
            note_idle_wheels(&app).await;
        };
        tokio::select! {
            () = look => {}
            () = stopping.cancelled() => {}
        }
    }
    app.browsers.stop_all().await;
}

/// Writes down whose wheels went back by themselves.
async fn note_idle_wheels(app: &App) {
    for ((ws, agent), driver) in app.browsers.take_idle_wheels() {
        let agent = AgentId::from_uuid(agent);
        let Some(ws) = app.workspace_by_id(WorkspaceId::from_uuid(ws)) else { continue };
        let by = (Actor::System(Part::Timer), Cause::Timer);
        let noted = ws.write(&by, move |tx| rules::note_wheel(tx, agent, WheelAct::Left)).await;
        if let Err(error) = noted {
            tracing::warn!(%error, "could not write down that {} has left a browser", driver.who);
        }
    }
}

/// Whether a browser may still be used. One that cannot be looked up stays.
fn is_allowed(app: &App, (ws, agent): Key) -> bool {
    let ws = app.workspace_by_id(WorkspaceId::from_uuid(ws));
    let Some(ws) = ws.filter(Ws::is_active) else { return false };
    let is_on = ws.read(|snap| queries::is_on(snap, &[AgentId::from_uuid(agent)]));
    is_on.unwrap_or_else(|error| {
        tracing::warn!(%error, "an agent could not be looked up for its browser");
        true
    })
}
