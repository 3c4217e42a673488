//! Connections to MCP servers: one per configuration for all agents of a workspace, opened when a call needs it and
//! closed after five idle minutes. A program that ends too often is turned off. No program outlives HQ.

mod connection;
mod fault;
mod health;
mod program;
mod timed_elicit;
mod way;

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use app::Ws;
use features::runs::queries::halt;
use futures_util::FutureExt as _;
use futures_util::future::{self, Shared};
use jiff::SignedDuration;
use kernel::{Actor, Cause, Error, Part, Timestamp};
use mcp::client::{DeclineAll, Elicit, McpError, Parked};
use mcp::wire::CallResult;
use parking_lot::Mutex;
use sandbox::left_over;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Lane, ReadExt as _, StoreError, WriteTx};
use tokio_util::sync::CancellationToken;

use crate::asking::Waiting;
use crate::model::{McpServer, McpServerId, McpTool, Mode, ToolState};
use crate::oauth::waits::WaitingRuns;
use crate::oauth::{self, Attempt, Refusal};
use crate::secrets::{self, Filled};
use crate::{config, queries, result, rules};
use connection::Connection;
use health::Health;
use timed_elicit::TimedElicit;

pub use fault::Fault;
pub use health::Status;
pub(crate) use program::marks;
pub(crate) use way::Way;

/// Actor and cause of the pool's own writes.
const BY: (Actor, Cause) = (Actor::System(Part::Consumer), Cause::Timer);
/// Longest sleep of the supervisor.
const ROUND: SignedDuration = SignedDuration::from_secs(30);
/// A connection without calls is closed after this time.
const IDLE: SignedDuration = SignedDuration::from_mins(5);
/// So many ends of a program within this time turn its server off.
const CRASHES: (usize, SignedDuration) = (5, SignedDuration::from_mins(10));

/// The pools of this process by workspace folder.
static POOLS: LazyLock<Mutex<HashMap<PathBuf, Arc<Pool>>>> = LazyLock::new(Mutex::default);

/// Purpose of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Call,
    /// A person's test, also of a server that is not approved or ended too often.
    Test,
}

/// A tool to call, as it was approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub server: McpServerId,
    /// The server's name of the tool.
    pub tool: String,
    /// SHA-256 of the approved definition.
    pub hash: String,
    pub mode: Mode,
}

impl Target {
    /// Returns `None` if the tool is not approved, or off.
    #[must_use]
    pub fn of(tool: &McpTool, server: &McpServer) -> Option<Self> {
        let is_on = tool.state(server) == ToolState::Approved && server.is_enabled;
        let approval = tool.approved().filter(|_| is_on)?;
        let (tool, hash) = (tool.tool.clone(), approval.hash.clone());
        Some(Self { server: server.id, tool, hash, mode: approval.mode })
    }
}

/// Arguments of a call, with the answers if it continues after questions.
pub struct Invocation<'a> {
    pub arguments: &'a Map<String, Value>,
    pub parked: Option<Parked>,
}

/// The connections of a workspace.
#[derive(Default)]
pub struct Pool {
    slots: Mutex<HashMap<McpServerId, Arc<Slot>>>,
    /// Calls that wait for people on an open connection.
    pub held: Waiting,
    /// Runs whose calls may wait for a sign-in.
    pub(crate) sign_ins: WaitingRuns,
    swept: OnceLock<Shared<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

/// The connection of a server, and what is known of it.
#[derive(Default)]
struct Slot {
    /// Held while a connection is made.
    open: tokio::sync::Mutex<Option<Arc<Connection>>>,
    health: Arc<Health>,
}

/// Starts the supervisor of a workspace. Only the primary has servers.
pub fn begin(ws: &Ws) {
    if ws.upstream.is_none() {
        ws.keep("mcp servers", supervise);
    }
}

async fn supervise(ws: Ws) {
    let pool = Pool::of(&ws);
    pool.sweep(&ws).await;
    let own = ws.clone();
    // ok: tokens are also masked whenever they are used.
    let _ = tokio::task::spawn_blocking(move || oauth::watch_all(&own)).await;
    let (stopping, mut feed) = (ws.halt(), ws.store.watch());
    while !stopping.is_cancelled() {
        feed.borrow_and_update();
        let now = ws.app.clock.now();
        match pool.tend(&ws, now).await {
            Ok(()) => {}
            Err(StoreError::Closed) => break,
            Err(error) => tracing::warn!(%error, "MCP servers of {} have to wait", ws.slug),
        }
        oauth::revoke_ended(&ws).await;
        tokio::select! {
            () = ws.app.sleep_from(now, now + ROUND) => {}
            changed = feed.changed() => if changed.is_err() { break },
            () = stopping.cancelled() => break,
        }
    }
    pool.close_all().await;
    POOLS.lock().retain(|_, one| !Arc::ptr_eq(one, &pool));
}

impl Pool {
    #[must_use]
    pub fn of(ws: &Ws) -> Arc<Self> {
        Arc::clone(POOLS.lock().entry(ws.folder.clone()).or_default())
    }

    /// Ends what an earlier HQ has left. No program starts before that: its mark would be taken for an old one.
    pub(crate) async fn sweep(&self, ws: &Ws) {
        let start = || {
            let (marks, slug) = (program::marks(ws), ws.slug.clone());
            let sweeping = tokio::task::spawn_blocking(move || {
                let ended = left_over::end_all(&marks);
                left_over::sweep(&marks, |_| false);
                ended
            });
            let swept = async move {
                if let Ok(ended @ 1..) = sweeping.await {
                    tracing::info!(
                        "{ended} processes of MCP servers of {slug} were left and ended"
                    );
                }
            };
            (Box::pin(swept) as Pin<Box<dyn Future<Output = ()> + Send>>).shared()
        };
        self.swept.get_or_init(start).clone().await;
    }

    fn slot(&self, server: McpServerId) -> Arc<Slot> {
        Arc::clone(self.slots.lock().entry(server).or_default())
    }

    /// State of a server's connection.
    #[must_use]
    pub fn status(&self, server: McpServerId) -> Status {
        let slot = self.slot(server);
        // ok: a connection that is being made counts as not open.
        let is_open = slot
            .open
            .try_lock()
            .is_ok_and(|open| open.as_ref().is_some_and(|connection| !connection.is_ended()));
        slot.health.status(is_open)
    }

    /// Closes idle connections and those whose server was changed, turned off or removed. Ends waits for sign-ins.
    async fn tend(&self, ws: &Ws, now: Timestamp) -> Result<(), StoreError> {
        self.held.sweep(ws)?;
        oauth::waits::end_over(ws, &self.sign_ins).await?;
        let slots: Vec<(McpServerId, Arc<Slot>)> =
            self.slots.lock().iter().map(|(id, slot)| (*id, Arc::clone(slot))).collect();
        for (id, slot) in slots {
            // ok: a connection that is being made now was not idle.
            let Ok(mut open) = slot.open.try_lock() else { continue };
            let (server, is_paused) = ws.read(|snap| {
                let is_paused = halt::of_workspace(snap)?.is_some();
                Ok::<_, StoreError>((snap.get::<McpServer>(id)?, is_paused))
            })?;
            let is_over = |connection: &Arc<Connection>| match &server {
                Some(server) if server.is_enabled && server.is_approved() => {
                    is_paused
                        || !ws.is_active()
                        || !connection.is_of(server)
                        || connection.is_idle(now, IDLE)
                        || connection.is_ended()
                }
                _ => true,
            };
            if let Some(connection) = open.take_if(|connection| is_over(connection)) {
                connection.close().await;
            }
            if server.is_none() {
                self.slots.lock().remove(&id);
                program::forget(ws, id).await;
            }
            drop(open);
        }
        Ok(())
    }

    async fn close_all(&self) {
        let slots: Vec<Arc<Slot>> = self.slots.lock().drain().map(|(_, slot)| slot).collect();
        let close = |slot: Arc<Slot>| async move {
            if let Some(connection) = slot.open.lock().await.take() {
                connection.close().await;
            }
        };
        future::join_all(slots.into_iter().map(close)).await;
    }

    /// Connects where needed and reads the tools, also of a server that is not approved yet. The store has them
    /// afterwards.
    ///
    /// # Errors
    /// Why it is not reachable.
    pub async fn probe(&self, ws: &Ws, id: McpServerId) -> Result<usize, Fault> {
        let slot = self.slot(id);
        let connection = self.connect(ws, id, &slot, Purpose::Test).await?;
        slot.health.forgive();
        Ok(connection.count())
    }

    /// The connection of a server, with its tools. Opens one if there is none for its present configuration.
    async fn connect(
        &self,
        ws: &Ws,
        id: McpServerId,
        slot: &Arc<Slot>,
        purpose: Purpose,
    ) -> Result<Arc<Connection>, Fault> {
        let mut open = slot.open.lock().await;
        // Read only here: the wait for another caller's connection may take minutes.
        let server = self.usable(ws, id, slot, purpose)?;
        let connection = match self.admitted((ws, &server, slot), &mut open, purpose).await {
            Ok(connection) => connection,
            Err(fault) => {
                let detail = result::brief(&ws.app.redactor, &fault.describe());
                write(ws, move |tx| rules::report(tx, id, None, &detail)).await;
                return Err(fault);
            }
        };
        let refusal = match self.usable(ws, id, slot, purpose) {
            Ok(server) if connection.is_of(&server) => None,
            Ok(_) => Some(Fault::NotReady("The MCP server has just been changed.".to_owned())),
            Err(fault) => Some(fault),
        };
        let is_kept = refusal.is_none() && server.is_approved();
        if !is_kept && let Some(connection) = open.take() {
            connection.close().await;
        }
        refusal.map_or(Ok(connection), Err)
    }

    /// The connection in a slot, or a new one. A refused token is refreshed once.
    async fn admitted(
        &self,
        (ws, server, slot): (&Ws, &McpServer, &Arc<Slot>),
        open: &mut Option<Arc<Connection>>,
        purpose: Purpose,
    ) -> Result<Arc<Connection>, Fault> {
        let mut was_renewed = false;
        loop {
            let filled = signed(ws, server).await?;
            let serial = filled.serial;
            let made = opened(self, (ws, server, slot), (&mut *open, filled), purpose).await;
            let error = match made {
                Ok(connection) => {
                    oauth::welcomed(ws, server, false).await;
                    return Ok(connection);
                }
                Err(Fault::Call(error)) => error,
                Err(fault) => return Err(fault),
            };
            let attempt = Attempt { serial, was_renewed, is_call: false };
            match oauth::refused(ws, server, &error, attempt).await {
                Refusal::Other => return Err(Fault::Call(error)),
                Refusal::Renewed => was_renewed = true,
                Refusal::Failed(why) => return Err(why.into()),
            }
        }
    }

    /// The server, if it may be used now.
    fn usable(
        &self,
        ws: &Ws,
        id: McpServerId,
        slot: &Arc<Slot>,
        purpose: Purpose,
    ) -> Result<McpServer, Fault> {
        let server = find(ws, id)?;
        if purpose == Purpose::Call {
            ready(ws, &server)?;
        }
        // The supervisor no longer sees a removed slot, so a program there would stay.
        let is_seen = self.slots.lock().get(&id).is_some_and(|one| Arc::ptr_eq(one, slot));
        let gone = || Fault::NotReady("Its connection has just been closed. Try again.".to_owned());
        is_seen.then_some(server).ok_or_else(gone)
    }

    /// Calls an approved tool. If the program ends during the call, a tool that reads is called once more; also a call that
    /// the server refuses because its tools have changed, if they still have the approved definition.
    ///
    /// # Errors
    /// Why there is no result.
    pub async fn call(
        &self,
        ws: &Ws,
        target: &Target,
        arguments: &Map<String, Value>,
        cancel: &CancellationToken,
    ) -> Result<CallResult, Fault> {
        self.call_asking(ws, target, Invocation { arguments, parked: None }, cancel, &DeclineAll)
            .await
    }

    /// Like [`Pool::call`], for a caller that answers questions of the server.
    ///
    /// # Errors
    /// Why there is no result.
    pub async fn call_asking(
        &self,
        ws: &Ws,
        target: &Target,
        Invocation { arguments, parked }: Invocation<'_>,
        cancel: &CancellationToken,
        elicit: &dyn Elicit,
    ) -> Result<CallResult, Fault> {
        let (mut is_repeated, mut was_renewed) = (false, false);
        loop {
            let slot = self.slot(target.server);
            let connection = tokio::select! {
                made = self.connect(ws, target.server, &slot, Purpose::Call) => {
                    made.map_err(Fault::before_call)?
                }
                () = cancel.cancelled() => {
                    return Err(Fault::Call(McpError::Cancelled { was_sent: false }));
                }
            };
            match connection.has(&target.tool, &target.hash) {
                Some(true) => {}
                Some(false) => {
                    let text = "The tool has changed since it was approved. It is off until a person approves it again.";
                    return Err(Fault::NotReady(text.to_owned()));
                }
                // Another caller lists the tools at this moment.
                None => continue,
            }
            let server = allowed(ws, target)?;
            let serial = connection.serial();
            let began = Instant::now();
            let busy = connection.busy(ws.app.clock.now());
            let timed = TimedElicit::new(elicit);
            let called = match &parked {
                None => connection.client.call(&target.tool, arguments, cancel, &timed).await,
                Some(parked) => {
                    let (call, parked) = ((target.tool.as_str(), arguments), parked.clone());
                    connection.client.resume(call, parked, cancel, &timed).await
                }
            };
            drop(busy);
            connection.touch(ws.app.clock.now());
            // A call that waits for a person has neither failed nor ended.
            if !matches!(called, Err(McpError::Parked(_))) {
                let took = began.elapsed().saturating_sub(timed.waited());
                slot.health.called(&target.tool, ws.app.clock.now(), took, called.is_ok());
            }
            match called {
                Ok(result) => {
                    oauth::welcomed(ws, &server, true).await;
                    return Ok(result);
                }
                Err(error) => {
                    let attempt = Attempt { serial, was_renewed, is_call: true };
                    match oauth::refused(ws, &server, &error, attempt).await {
                        Refusal::Other => {}
                        Refusal::Renewed => {
                            was_renewed = true;
                            continue;
                        }
                        Refusal::Failed(why) => return Err(why.into()),
                    }
                    let may_repeat = target.mode == Mode::Reads || !error.was_sent();
                    let is_gone = error.is_fatal() || matches!(error, McpError::Outdated { .. });
                    if is_gone && may_repeat && !is_repeated {
                        is_repeated = true;
                        continue;
                    }
                    return Err(Fault::Call(error));
                }
            }
        }
    }
}

/// The connection in a slot, or a new one.
async fn opened(
    pool: &Pool,
    (ws, server, slot): (&Ws, &McpServer, &Arc<Slot>),
    (open, filled): (&mut Option<Arc<Connection>>, Filled),
    purpose: Purpose,
) -> Result<Arc<Connection>, Fault> {
    let is_test = purpose == Purpose::Test;
    if let Some(connection) = &*open
        && connection.wiring == filled.wiring
        && !connection.is_ended()
    {
        connection.sign(&filled);
        if !is_test && !connection.must_list(ws.app.clock.now()) {
            return Ok(Arc::clone(connection));
        }
        match connection.list(ws).await {
            Ok(()) => return Ok(Arc::clone(connection)),
            Err(_) if connection.is_ended() => {}
            // A test helps a program that no longer answers.
            Err(Fault::Call(_)) if is_test => {}
            Err(fault) => return Err(fault),
        }
    }
    if let Some(old) = open.take() {
        old.close().await;
    }
    pool.sweep(ws).await;
    let era = ws.read(|snap| queries::state(snap, server.id));
    let era = era.map(|state| state.era).unwrap_or_default();
    let made = Connection::open(ws, server, filled, (&era, &slot.health)).await;
    // A person who tests sees how it ends.
    let counts = !is_test && server.is_program();
    let connection = match made {
        Ok(connection) => Arc::new(connection),
        Err(fault) => {
            if counts && matches!(fault, Fault::Call(McpError::Closed { .. })) {
                count_end(ws, server.id, &slot.health).await;
            }
            return Err(fault);
        }
    };
    if let Err(fault) = connection.list(ws).await {
        connection.close().await;
        if counts && !connection.is_intended() {
            count_end(ws, server.id, &slot.health).await;
        }
        return Err(fault);
    }
    *open = Some(Arc::clone(&connection));
    watch(ws, server.id, &connection, Arc::clone(slot));
    Ok(connection)
}

/// Checks the approval of a tool again, after the wait for a connection.
fn allowed(ws: &Ws, target: &Target) -> Result<McpServer, Fault> {
    let server = find(ws, target.server)?;
    ready(ws, &server)?;
    let tool = ws.read(|snap| queries::tool_of(snap, server.id, &target.tool));
    let tool = tool.map_err(|error| Fault::NotReady(web::form::sentence(&error.to_string())))?;
    match tool.and_then(|tool| Target::of(&tool, &server)) {
        Some(now) if now == *target => Ok(server),
        _ => Err(Fault::NotReady(tool::APPROVAL_CHANGED.to_owned())),
    }
}

/// The server's headers and variables, with the token of its sign-in.
async fn signed(ws: &Ws, server: &McpServer) -> Result<Filled, Fault> {
    let mut filled = filled(ws, server).await.map_err(Fault::NotReady)?;
    if let Some(bearer) = oauth::bearer(ws, server).await? {
        filled.sign(&bearer);
    }
    Ok(filled)
}

/// The server's headers and variables. Opening secrets takes a moment.
async fn filled(ws: &Ws, server: &McpServer) -> Result<Filled, String> {
    if config::secrets_of(server).is_empty() {
        return secrets::fill(ws, server);
    }
    let (own, of) = (ws.clone(), server.clone());
    let filled = tokio::task::spawn_blocking(move || secrets::fill(&own, &of)).await;
    filled.unwrap_or_else(|error| Err(format!("HQ failed: {error}.")))
}

fn find(ws: &Ws, id: McpServerId) -> Result<McpServer, Fault> {
    let found = ws.read(|snap| snap.get::<McpServer>(id));
    let found = found.map_err(|error| Fault::NotReady(web::form::sentence(&error.to_string())))?;
    let held = ws.read(|snap| Ok::<_, StoreError>(halt::of_workspace(snap)?.is_some()));
    if held.unwrap_or(true) || !ws.is_active() || ws.halt().is_cancelled() {
        let text = "The workspace is paused, so HQ starts no MCP server.";
        return Err(Fault::NotReady(text.to_owned()));
    }
    found.ok_or_else(|| Fault::NotReady("The MCP server was removed.".to_owned()))
}

/// Checks that a server may be used.
fn ready(ws: &Ws, server: &McpServer) -> Result<(), Fault> {
    let refused = |text: &str| Err(Fault::NotReady(format!("{}: {text}", server.name)));
    if !server.is_enabled {
        return refused("The MCP server is turned off.");
    }
    if !server.is_approved() {
        return refused("The MCP server’s configuration needs a person’s approval.");
    }
    if let Some(text) = oauth::needed(ws, server) {
        return Err(Fault::SignIn(text));
    }
    let state = ws.read(|snap| queries::state(snap, server.id));
    match state.map(|state| state.has_crashed) {
        Ok(false) => Ok(()),
        _ => refused("The MCP server ended too often and is off until a person tests it."),
    }
}

/// Drives a connection until it ends, so that changed tools are reported between calls, too.
fn watch(ws: &Ws, id: McpServerId, connection: &Arc<Connection>, slot: Arc<Slot>) {
    if !connection.client.can_end() {
        return;
    }
    let (own, connection) = (ws.clone(), Arc::clone(connection));
    ws.spawn("mcp server", async move {
        tokio::select! {
            ended = connection.client.ended() => tracing::debug!("the MCP server {id}: {ended}"),
            () = connection.stopped() => {}
            () = own.halt().cancelled_owned() => return,
        }
        // Whoever finds a program that has ended closes it too, so only the connection knows who was first.
        connection.close().await;
        let is_program = connection.is_program();
        if is_program && !connection.is_intended() && !own.halt().is_cancelled() {
            tracing::info!("the MCP server {id} ended");
            count_end(&own, id, &slot.health).await;
        }
    });
}

/// Counts an end of a program that HQ did not want, and turns its server off after too many.
async fn count_end(ws: &Ws, id: McpServerId, health: &Health) {
    if health.crashed(ws.app.clock.now(), CRASHES) {
        let detail =
            "It ended five times in ten minutes and was turned off. See its log, then test it.";
        write(ws, move |tx| rules::crashed(tx, id, detail)).await;
    }
}

/// Writes as the pool. Failures are logged: the next connection repeats what matters.
async fn write(
    ws: &Ws,
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), Error> + Send + 'static,
) -> bool {
    match ws.store.write_in(Lane::Second, BY.0, BY.1, body).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "an MCP server of {} could not store its state", ws.slug);
            false
        }
    }
}
