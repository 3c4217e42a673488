//! Calls of agents that wait for a sign-in. A server has refused them before it carried them out, so that they are made
//! again, also those that act. What they wait for is in the store: they wait for days and over restarts of HQ.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use app::Ws;
use features::agents::model::Agent;
use features::runs::model::{Elicitation, Park, Run};
use features::runs::queries as runs;
use features::runs::rules::park as parking;
use jiff::SignedDuration;
use kernel::key::KeyBuf;
use kernel::{Error, RunId, Timestamp, WaitFor};
use mcp::client::Parked;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use store::{Range, Read, ReadExt as _, StoreError};
use tool::{ServerQuestion, ToolCx, ToolError, ToolWait};

use super::flow::write;
use super::model::SignInState;
use crate::model::{McpServer, McpServerId};
use crate::pool::{Pool, Target};
use crate::queries;

/// Longest wait.
const LIMIT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The runs of a workspace whose calls may wait for a sign-in. Only these are read after each commit.
#[derive(Default)]
pub(crate) struct WaitingRuns {
    runs: Mutex<HashSet<RunId>>,
    /// The runs from before HQ was started are among them.
    has_earlier: AtomicBool,
}

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

fn waiting_call(park: &Park) -> Option<WaitingCall> {
    let state = park.asked.as_ref().and_then(|asked| asked.state.as_ref());
    // ok: the call reports a state that can't be read.
    state.and_then(|state| serde_json::from_str(&state.0).ok())
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
        let serial = super::queries::grant(snap, target.server)?.serial;
        let until = earlier_limit(snap, cx, (target.server, serial))?.unwrap_or(now + LIMIT);
        let server = snap.get::<McpServer>(target.server)?.filter(|_| now < until);
        Ok::<_, StoreError>(server.map(|server| (server, serial, until)))
    })?;
    let Some((server, serial, until)) = found else { return Ok(None) };
    let McpServer { id, name, fingerprint, .. } = server;
    let waiting = WaitingCall { target: target.clone(), fingerprint, serial, parked };
    let state = serde_json::to_string(&waiting).map_err(|error| broken(&error))?;
    let detail = format!("Waiting for sign-in to {name}.");
    let question = ServerQuestion {
        server: name,
        url: Some(format!("settings/mcp-servers?edit={id}#form")),
        state: Some(state),
        ..ServerQuestion::default()
    };
    // Before the run waits, so that no sign-in is missed.
    Pool::of(&cx.ws).sign_ins.runs.lock().insert(cx.run);
    Ok(Some(ToolWait {
        waits_for: WaitFor::SignIn,
        detail,
        until: Some(until),
        question: Some(Box::new(question)),
    }))
}

/// The limit of an earlier wait of the same call or for the same sign-in, so that waits don't add up.
fn earlier_limit(
    read: &dyn Read,
    cx: &ToolCx,
    (server, serial): (McpServerId, u64),
) -> Result<Option<Timestamp>, StoreError> {
    let parks: Vec<Park> = read.list(&Range::prefix(KeyBuf::of(&cx.run)))?;
    let is_same = |park: &&Park| {
        let is_for = |call: WaitingCall| call.target.server == server && call.serial == serial;
        park.is_for_sign_in() && (park.step == cx.step || waiting_call(park).is_some_and(is_for))
    };
    Ok(parks.iter().filter(is_same).filter_map(|park| park.until).min())
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
pub(crate) async fn end_over(ws: &Ws, waiting: &WaitingRuns) -> Result<(), StoreError> {
    if !waiting.has_earlier.load(Ordering::Acquire) {
        let earlier = ws.read(|snap| earlier(snap))?;
        waiting.runs.lock().extend(earlier);
        waiting.has_earlier.store(true, Ordering::Release);
    }
    let all: Vec<RunId> = waiting.runs.lock().iter().copied().collect();
    if all.is_empty() {
        return Ok(());
    }
    let (over, ended) = ws.read(|snap| {
        let (mut over, mut ended) = (Vec::new(), Vec::new());
        for id in all {
            let Some(run) = snap.get::<Run>(id)?.filter(Run::is_live) else {
                ended.push(id);
                continue;
            };
            if let Some(park) = runs::park::sign_in_of(snap, &run)?
                && is_over(snap, &run, &park)?
            {
                over.push((run.id, park.step));
            }
        }
        Ok::<_, StoreError>((over, ended))
    })?;
    // The others stay, because their wait may be about to be stored.
    waiting.runs.lock().retain(|id| !ended.contains(id));
    for (run, step) in over {
        // A failure is logged, and the next round tries again.
        write(ws, move |tx| parking::sign_in_over(tx, run, step).map_err(Error::of)).await;
    }
    Ok(())
}

/// The live runs that wait for a sign-in or may do so next: a host may just be recording a wait.
fn earlier(read: &dyn Read) -> Result<Vec<RunId>, StoreError> {
    let mut all = runs::live(read)?;
    all.retain(|run| run.waits_for().is_none_or(|what| what == WaitFor::SignIn));
    Ok(all.iter().map(|run| run.id).collect())
}

fn is_over(read: &dyn Read, run: &Run, park: &Park) -> Result<bool, StoreError> {
    let Some(waiting) = waiting_call(park) else { return Ok(true) };
    let Some(server) = read.get::<McpServer>(waiting.target.server)? else { return Ok(true) };
    let slug = read.get::<Agent>(run.agent)?.map(|agent| agent.slug).unwrap_or_default();
    let tool = queries::tool_of(read, server.id, &waiting.target.tool)?;
    let tool = tool.filter(|tool| server.is_for(&slug) && tool.is_for(&slug));
    let target = tool.and_then(|tool| Target::of(&tool, &server));
    if !target.is_some_and(|target| waiting.is_for(&target, &server)) {
        return Ok(true);
    }
    let grant = super::queries::grant(read, server.id)?;
    // A server that has answered another call without the sign-in may still require it for this one.
    Ok(grant.state_at(&server.url) == SignInState::In || grant.serial != waiting.serial)
}
