//! One connection to a server, with its program if it has one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use app::Ws;
use jiff::SignedDuration;
use kernel::Timestamp;
use mcp::client::{Client, Link, McpError, Options, ToolList};
use mcp::schema::Checker;
use mcp::wire::Era;
use net::guard::{self, Hosts, Opened};
use net::message::Policy;
use parking_lot::Mutex;
use sandbox::job::{Job, StopReason};
use sandbox::left_over;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::{Fault, program, write};
use crate::model::{McpServer, McpServerId};
use crate::rules::{self, Listed};
use crate::secrets::Filled;

/// How long the end of a session may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long the processes of a program may take to end.
const ENDING: Duration = Duration::from_secs(2);
/// How long the check of all schemas may take.
const CHECKING: Duration = Duration::from_secs(30);
/// For how long a list is believed if the server says more or nothing. Not all servers report changes.
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// For how long a list is believed if the server says less.
const BRIEF: SignedDuration = SignedDuration::from_secs(10);

/// The last list of tools.
struct Tools {
    /// SHA-256 of the definitions, by the server's names.
    hashes: HashMap<String, String>,
    at: Timestamp,
    fresh: SignedDuration,
}

impl Tools {
    fn is_old(&self, now: Timestamp) -> bool {
        // If the clock was set back, the age is unknown.
        !(SignedDuration::ZERO..self.fresh).contains(&now.duration_since(self.at))
    }
}

/// How long a list is believed, by what the server says.
fn fresh(ttl: Option<Duration>) -> SignedDuration {
    // ok: a longer time than can be stored is longer than the longest.
    let said = ttl.map_or(FRESH, |ttl| SignedDuration::try_from(ttl).unwrap_or(FRESH));
    said.clamp(BRIEF, FRESH)
}

pub struct Connection {
    pub client: Client,
    server: McpServerId,
    fingerprint: String,
    /// The configuration and the values of its secrets, as a hash.
    pub wiring: String,
    /// Of the token in its headers; 0 without one.
    serial: AtomicU64,
    /// The program; ended with the connection.
    job: Option<Job>,
    /// The folder with the program's mark.
    mark: Option<PathBuf>,
    /// `None` while they are not known: before and during a list, and after one that failed.
    tools: Mutex<Option<Tools>>,
    stop: CancellationToken,
    /// Whether it was closed while it could still be used.
    is_intended: OnceLock<bool>,
    busy: AtomicUsize,
    /// Milliseconds since the epoch.
    used: AtomicI64,
}

/// A call is running.
pub struct Busy<'c>(&'c AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(job) = &self.job {
            job.stop(StopReason::Stopped);
        }
    }
}

impl Connection {
    /// Connects. `era` is the one of the last connection.
    pub async fn open(
        ws: &Ws,
        server: &McpServer,
        filled: Filled,
        (era, health): (&str, &Arc<Health>),
    ) -> Result<Self, Fault> {
        let era = match era {
            "modern" => Some(Era::Modern),
            "legacy" => Some(Era::Legacy),
            _ => None,
        };
        let options = Options { era, ..Options::default() };
        let (wiring, serial) = (filled.wiring.clone(), filled.serial);
        let made = |client, job, mark| Self {
            client,
            server: server.id,
            fingerprint: server.fingerprint.clone(),
            wiring,
            serial: AtomicU64::new(serial),
            job,
            mark,
            tools: Mutex::default(),
            stop: CancellationToken::new(),
            is_intended: OnceLock::new(),
            busy: AtomicUsize::new(0),
            used: AtomicI64::new(ws.app.clock.now().as_millisecond()),
        };
        if !server.is_program() {
            let client = Client::connect(link(ws, server, filled)?, options).await;
            return Ok(made(client.map_err(Fault::Call)?, None, None));
        }
        let first = start(ws, server, (&filled, health), options.clone()).await;
        let (client, job, mark) = match first {
            // Some old programs end when they get a request that they don't know.
            Err(Fault::Call(McpError::Closed { .. })) if era.is_none() => {
                let legacy = Options { era: Some(Era::Legacy), ..options };
                start(ws, server, (&filled, health), legacy).await?
            }
            other => other?,
        };
        Ok(made(client, Some(job), Some(mark)))
    }

    pub fn is_program(&self) -> bool {
        self.job.is_some()
    }

    pub fn is_of(&self, server: &McpServer) -> bool {
        self.fingerprint == server.fingerprint
    }

    pub fn is_ended(&self) -> bool {
        self.has_ended() || self.stop.is_cancelled()
    }

    /// Whether the program has ended.
    fn has_ended(&self) -> bool {
        self.client.is_ended() || self.job.as_ref().is_some_and(|job| job.end().is_some())
    }

    /// Uses these headers from now on, with a token that may have been refreshed.
    pub fn sign(&self, filled: &Filled) {
        self.client.set_headers(filled.headers.clone());
        self.serial.store(filled.serial, Ordering::Relaxed);
    }

    /// Serial of the token in its headers.
    pub fn serial(&self) -> u64 {
        self.serial.load(Ordering::Relaxed)
    }

    /// Whether HQ has ended it, not the program.
    pub fn is_intended(&self) -> bool {
        self.is_intended.get().is_some_and(|is_intended| *is_intended)
    }

    /// Whether the tools are not known, or may have changed.
    pub fn must_list(&self, now: Timestamp) -> bool {
        self.client.is_stale() || self.tools.lock().as_ref().is_none_or(|tools| tools.is_old(now))
    }

    /// Whether the tool has this definition now. `None` while the tools are not known.
    pub fn has(&self, tool: &str, hash: &str) -> Option<bool> {
        let tools = self.tools.lock();
        let now = tools.as_ref()?.hashes.get(tool);
        Some(now.is_some_and(|now| now == hash))
    }

    /// Number of tools.
    pub fn count(&self) -> usize {
        self.tools.lock().as_ref().map_or(0, |tools| tools.hashes.len())
    }

    pub fn busy(&self, now: Timestamp) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.touch(now);
        Busy(&self.busy)
    }

    pub fn touch(&self, now: Timestamp) {
        self.used.store(now.as_millisecond(), Ordering::Relaxed);
    }

    pub fn is_idle(&self, now: Timestamp, after: SignedDuration) -> bool {
        let used = kernel::time::from_ms(self.used.load(Ordering::Relaxed));
        self.busy.load(Ordering::Relaxed) == 0 && after <= now.duration_since(used)
    }

    /// Completes when the connection is closed.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Ends the session and the program with all its processes.
    pub async fn close(&self) {
        self.is_intended.get_or_init(|| !self.has_ended());
        if !self.stop.is_cancelled() {
            self.stop.cancel();
            if tokio::time::timeout(FAREWELL, self.client.close()).await.is_err() {
                let server = self.server;
                tracing::debug!("the MCP server {server} doesn't take the end of its session");
            }
        }
        let Some(job) = &self.job else { return };
        job.stop(StopReason::Stopped);
        // What is left keeps its mark, by which the next start of HQ ends it.
        let gone = tokio::time::timeout(ENDING, job.wait_for_all()).await.is_ok();
        if let Some(mark) = self.mark.clone().filter(|_| gone) {
            // ok: a remaining mark names a session that is gone.
            let _ = tokio::task::spawn_blocking(move || left_over::clear(&mark)).await;
        }
    }

    /// Reads the tools and stores them. Until that has succeeded no tool can be called.
    pub async fn list(&self, ws: &Ws) -> Result<(), Fault> {
        *self.tools.lock() = None;
        let at = ws.app.clock.now();
        let found = self.client.tools().await.map_err(Fault::Call)?;
        let (rejected, fresh) = (found.rejected.len(), fresh(found.ttl));
        let listed = checked(found).await?;
        let hashes = listed.iter().map(|one| (one.tool.clone(), one.hash.clone())).collect();
        let (id, era, count) = (self.server, self.client.server().era, listed.len());
        let stored = write(ws, move |tx| {
            rules::sync(tx, id, &listed)?;
            rules::report(tx, id, Some(era), &answered(count, rejected))
        });
        if !stored.await {
            let text = "Its list of tools couldn’t be stored. Try again later.";
            return Err(Fault::NotReady(text.to_owned()));
        }
        *self.tools.lock() = Some(Tools { hashes, at, fresh });
        Ok(())
    }
}

/// Checks the schemas of listed tools, which takes a while if a server wants it to.
async fn checked(found: ToolList) -> Result<Vec<Listed>, Fault> {
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    let check = move || {
        let tools = found.tools.iter().take_while(|_| !stop.is_cancelled());
        let mut listed: Vec<Listed> = tools.map(|tool| Listed::of(tool, usable)).collect();
        for one in &mut listed {
            if found.duplicates.contains(&one.tool) {
                one.unusable = "The server lists several tools with this name.".to_owned();
            }
        }
        listed
    };
    let checked = tokio::time::timeout(CHECKING, tokio::task::spawn_blocking(check)).await;
    let late = |_| Fault::NotReady("The check of its tools takes too long.".to_owned());
    checked.map_err(late)?.map_err(|error| Fault::NotReady(format!("HQ failed: {error}.")))
}

fn answered(count: usize, rejected: usize) -> String {
    let tools = if count == 1 { "1 tool".to_owned() } else { format!("{count} tools") };
    match rejected {
        0 => format!("It answers and has {tools}."),
        rejected => format!("It answers and has {tools}; {rejected} more can’t be read."),
    }
}

/// Why a schema cannot be used: it cannot be shown to models, or arguments cannot be checked against it.
fn usable(schema: &serde_json::Value) -> Result<(), String> {
    tool::schema::simplified(schema).map_err(|error| error.to_string())?;
    Checker::new(schema).map(drop).map_err(|error| error.to_string())
}

/// The address of a server. Only its own host is reached, also by redirects.
fn link(ws: &Ws, server: &McpServer, filled: Filled) -> Result<Link, Fault> {
    let wrong = |text: String| Fault::NotReady(web::form::sentence(&text));
    let url = guard::parse(&server.url).map_err(|error| wrong(error.to_string()))?;
    let opened = Opened::of(&server.open_hosts);
    let http = match opened.has(&url) {
        true => ws.app.http.opening(opened),
        false => ws.app.http.clone(),
    };
    let host = Hosts::line(url.host_str().unwrap_or_default());
    Ok(Link::Http {
        http,
        url: server.url.clone(),
        headers: filled.headers,
        policy: Policy::Guarded,
        only: Hosts::of(vec![host.into_iter().collect()]),
    })
}

/// Ends a program whose caller stopped waiting for the connection.
struct Ends(Option<Job>);

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(job) = &self.0 {
            job.stop(StopReason::Stopped);
        }
    }
}

/// Starts the program and connects to it.
async fn start(
    ws: &Ws,
    server: &McpServer,
    (filled, health): (&Filled, &Arc<Health>),
    options: Options,
) -> Result<(Client, Job, PathBuf), Fault> {
    let started = program::start(ws, server, filled.env.clone()).await;
    let program::Program { job, mark, input, output, errors } = started.map_err(Fault::NotReady)?;
    ws.spawn("messages of an MCP server", record(errors, Arc::clone(health)));
    let mut ends = Ends(Some(job.clone()));
    let link = Link::Stdio { reader: Box::new(output), writer: Box::new(input) };
    match Client::connect(link, options).await {
        Ok(client) => {
            ends.0 = None;
            Ok((client, job, mark))
        }
        Err(error) => {
            drop(ends);
            let not_started = job.wait().await.not_started;
            Err(match not_started {
                Some(why) => Fault::NotReady(format!("The sandbox can’t be set up: {why}.")),
                None => Fault::Call(error),
            })
        }
    }
}

/// Keeps the end of what the program prints beside its messages, until it ends.
async fn record(mut errors: Receiver, health: Arc<Health>) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = errors.read(&mut piece).await {
        health.print(&piece[..count]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::{BRIEF, FRESH, Tools, fresh};

    #[test]
    fn a_list_is_believed_for_as_long_as_the_server_says_within_limits() {
        assert_eq!(fresh(None), FRESH);
        assert_eq!(fresh(Some(Duration::MAX)), FRESH);
        assert_eq!(fresh(Some(Duration::ZERO)), BRIEF);
        assert_eq!(fresh(Some(Duration::from_secs(60))).as_secs(), 60);
    }

    #[test]
    fn a_list_gets_old() {
        let at = kernel::time::from_ms;
        let tools = Tools { hashes: HashMap::new(), at: at(10_000), fresh: BRIEF };
        assert!(!tools.is_old(at(10_000)) && !tools.is_old(at(19_999)));
        assert!(tools.is_old(at(20_000)));
        assert!(tools.is_old(at(9_999)), "the clock was put back");
    }
}
