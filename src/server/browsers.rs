//! Supervises agents' browsers: ends those that are idle, hang or use too much memory, and those whose setting, agent
//! or workspace no longer allows them.

use std::time::Duration;

use app::{App, Ws};
use browser::fleet::Key;
use features::browsers::{queries, rules};
use kernel::{Actor, AgentId, Cause, Part, TypedId as _, WheelAct, WorkspaceId};

/// Interval of the checks.
const EVERY: Duration = Duration::from_secs(5);

/// Runs until the process stops, then ends all browsers.
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

/// Records control that was returned automatically after inactivity.
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

/// Whether a browser may still be used. If the check fails, the browser stays.
fn is_allowed(app: &App, (ws, agent): Key) -> bool {
    let ws = app.workspace_by_id(WorkspaceId::from_uuid(ws));
    let Some(ws) = ws.filter(Ws::is_active) else { return false };
    let is_on = ws.read(|snap| queries::is_on(snap, &[AgentId::from_uuid(agent)]));
    is_on.unwrap_or_else(|error| {
        tracing::warn!(%error, "an agent could not be looked up for its browser");
        true
    })
}
