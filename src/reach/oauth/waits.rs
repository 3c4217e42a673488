//! Calls of agents that wait for a sign-in. A server has refused them before it carried them out, so that they are made
//! again, also those that act. What they wait for is in the store: they wait for days and over restarts of HQ.

use app::Ws;
use features::agents::model::Agent;
use features::runs::model::{Elicitation, Park, Run};
use features::runs::queries as runs;
use features::runs::rules::park as parking;
use jiff::SignedDuration;
use kernel::{Error, WaitFor};
use mcp::client::Parked;
use serde::{Deserialize, Serialize};
use store::{Read, ReadExt as _, StoreError};
use tool::{ServerQuestion, ToolCx, ToolError, ToolWait};

use super::flow::write;
use super::model::SignInState;
use crate::model::McpServer;
use crate::pool::Target;
use crate::queries;

/// Longest wait.
const LIMIT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A call that waits, with what a person has approved of it.
#[derive(Serialize, Deserialize)]
pub(crate) struct WaitingCall {
    target: Target,
    /// Of the server's configuration.
    fingerprint: String,
    /// Of the missing sign-in. The next one has another.
    serial: u64,
    /// Input of the call if it had continued after questions of the server.
    pub parked: Option<Parked>,
}

impl WaitingCall {
    /// Whether the call still goes to the server and the tool that were approved.
    fn is_for(&self, target: &Target, server: &McpServer) -> bool {
        self.target == *target && self.fingerprint == server.fingerprint
    }
}

fn broken(error: &serde_json::Error) -> ToolError {
    let message = format!("the state of a waiting call can't be converted: {error}");
    ToolError::Failed { code: "internal", message }
}

/// The wait of a refused call; `None` if it has waited for long enough or its server is gone.
pub(crate) fn wait(
    cx: &ToolCx,
    target: &Target,
    parked: Option<Parked>,
) -> Result<Option<ToolWait>, ToolError> {
    let now = cx.ws.app.clock.now();
    let found = cx.ws.read(|snap| {
        let before = snap.get::<Park>((cx.run, cx.step))?.filter(Park::is_for_sign_in);
        let is_late = before.and_then(|park| park.until).is_some_and(|until| until <= now);
        let server = snap.get::<McpServer>(target.server)?.filter(|_| !is_late);
        let serial = super::queries::grant(snap, target.server)?.serial;
        Ok::<_, StoreError>(server.map(|server| (server, serial)))
    })?;
    let Some((McpServer { id, name, fingerprint, .. }, serial)) = found else { return Ok(None) };
    let waiting = WaitingCall { target: target.clone(), fingerprint, serial, parked };
    let state = serde_json::to_string(&waiting).map_err(|error| broken(&error))?;
    let detail = format!("Waiting for sign-in to {name}.");
    let question = ServerQuestion {
        server: name,
        url: Some(format!("settings/mcp-servers?edit={id}#form")),
        state: Some(state),
        ..ServerQuestion::default()
    };
    Ok(Some(ToolWait {
        waits_for: WaitFor::SignIn,
        detail,
        until: Some(now + LIMIT),
        question: Some(Box::new(question)),
    }))
}

/// A call that is made again after its wait; `None` if its server or its tool is no longer what was approved.
pub(crate) fn resumed(
    cx: &ToolCx,
    target: &Target,
    asked: &Elicitation,
) -> Result<Option<WaitingCall>, ToolError> {
    let state = asked.state.as_ref().map_or("", |state| state.0.as_str());
    let waiting: WaitingCall = serde_json::from_str(state).map_err(|error| broken(&error))?;
    let server = cx.ws.read(|snap| snap.get::<McpServer>(target.server))?;
    let is_same = server.is_some_and(|server| waiting.is_for(target, &server));
    Ok(is_same.then_some(waiting))
}

/// Resumes the runs whose call need not wait any longer: after a sign-in, or because the call can't be made anyway.
pub(crate) async fn end_over(ws: &Ws) -> Result<(), StoreError> {
    let over = ws.read(|snap| {
        let mut over = Vec::new();
        for run in runs::live(snap)? {
            if let Some(park) = runs::park::sign_in_of(snap, &run)?
                && is_over(snap, &run, &park)?
            {
                over.push((run.id, park.step));
            }
        }
        Ok::<_, StoreError>(over)
    })?;
    for (run, step) in over {
        // A failure is logged, and the next round tries again.
        write(ws, move |tx| parking::sign_in_over(tx, run, step).map_err(Error::of)).await;
    }
    Ok(())
}

fn is_over(read: &dyn Read, run: &Run, park: &Park) -> Result<bool, StoreError> {
    let state = park.asked.as_ref().and_then(|asked| asked.state.as_ref());
    // ok: the call reports a state that can't be read.
    let waiting = state.and_then(|state| serde_json::from_str::<WaitingCall>(&state.0).ok());
    let Some(waiting) = waiting else { return Ok(true) };
    let Some(server) = read.get::<McpServer>(waiting.target.server)? else { return Ok(true) };
    let slug = read.get::<Agent>(run.agent)?.map(|agent| agent.slug).unwrap_or_default();
    let tool = queries::tool_of(read, server.id, &waiting.target.tool)?;
    let tool = tool.filter(|tool| server.is_for(&slug) && tool.is_for(&slug));
    let target = tool.and_then(|tool| Target::of(&tool, &server));
    if !target.is_some_and(|target| waiting.is_for(&target, &server)) {
        return Ok(true);
    }
    let grant = super::queries::grant(read, server.id)?;
    let state = grant.state_at(&server.url);
    let is_missing = matches!(state, SignInState::Needed | SignInState::Again);
    Ok(!is_missing || grant.serial != waiting.serial)
}
