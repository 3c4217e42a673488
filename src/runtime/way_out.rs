//! Egress of agents' programs. Where the jail can filter ports, a program with network access reaches only the proxy of
//! `net/egress`, which listens on loopback. If a program has a network namespace of its own, the proxy listens inside
//! it, and the port on the host is only reserved.
//!
//! A pass (proxy password) identifies the owner of a program: an agent, or a run with placeholder tokens, which the
//! proxy replaces with credentials for their hosts. Browsers cannot send a pass, so each has its own port, the only one
//! its jail allows. Access is checked for each request. Revoking it also closes open connections.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::net::TcpListener as Listener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use app::App;
use app::browsers::OpenWay;
use browser::setup::ServeWay;
use crypto::keyring::Secret;
use crypto::token::{Token, TokenKind};
use features::agents::model::{AGENTS, Agent, REACH};
use features::agents::queries::reach;
use features::browsers::model::{AGENT_BROWSERS, BROWSER_POLICIES};
use features::browsers::queries as browsers;
use features::jobs::queries as jobs;
use features::runs::model::Run;
use features::trust::model::TRUST_MODES;
use features::trust::queries as trust;
use kernel::{AgentId, RunId, TrustMode, WorkspaceId};
use net::egress::{self, Closed, EgressPolicy, Handler, Kind};
use net::guard::Opened;
use sandbox::confine;
use sandbox::job::Job;
use store::{Read, ReadExt, StoreError, Table};
use tool::{ToolCx, leaks};
use vault::Given;

use super::feed::changed;
use super::stand_ins::{self, Ends, StandIns, Trusted};

/// Most concurrent connections of all programs, and of each browser.
const CONNECTIONS: usize = 256;
/// Delay after a failed accept, which means that the host lacks a resource.
const PAUSE: Duration = Duration::from_millis(200);

/// Most stored passes of runs with placeholder tokens; the oldest are removed first.
const MOST_OF_RUNS: usize = 2_000;

/// Tables that decide who may reach what.
const SWITCHES: [Table; 5] = [AGENTS, REACH, AGENT_BROWSERS, BROWSER_POLICIES, TRUST_MODES];
/// Placeholder for the pass of a browser, which has none.
const NO_PASS: &str = "";

/// The owner of a program: its agent and, for a sub-agent, the agents that started it.
pub(crate) type Whose = (WorkspaceId, Vec<AgentId>);

/// The owner of a pass.
#[derive(Clone)]
struct Holder {
    whose: Whose,
    stand_ins: Option<Arc<StandIns>>,
}

/// The pass of a run with placeholder tokens.
struct OfRun {
    run: (WorkspaceId, RunId),
    pass: String,
    /// The name by which the redactor replaces the pass in texts.
    name: String,
    stand_ins: Arc<StandIns>,
}

/// Passes by their value, and by their owner.
#[derive(Default)]
struct Passes {
    holders: HashMap<String, Holder>,
    /// Passes of runs without placeholder tokens.
    of: HashMap<Whose, String>,
    /// Passes of runs with placeholder tokens, oldest first. A run gets another pass when its secrets change.
    of_runs: VecDeque<OfRun>,
}

impl Passes {
    /// Removes the passes of these runs, and the oldest passes above the limit.
    fn take(&mut self, ended: &HashSet<(WorkspaceId, RunId)>) -> VecDeque<OfRun> {
        let (mut gone, mut left): (VecDeque<_>, VecDeque<_>) =
            self.of_runs.drain(..).partition(|one| ended.contains(&one.run));
        gone.extend(left.drain(..(left.len() + 1).saturating_sub(MOST_OF_RUNS)));
        for one in &gone {
            self.holders.remove(&one.pass);
        }
        self.of_runs = left;
        gone
    }
}

/// The proxy; it starts with the first use.
#[derive(Default)]
pub(crate) struct WayOut {
    opening: OnceCell<Arc<Opening>>,
    passes: Arc<Mutex<Passes>>,
    /// Number of issued passes.
    issued: AtomicUsize,
    trusted: Trusted,
    /// Terminates the TLS of programs; created with the first placeholder token.
    ends: OnceCell<Arc<Ends>>,
}

/// Opens the egress of a browser: a port that stays the same until HQ ends.
#[must_use]
pub fn way_of_browsers() -> OpenWay {
    let openings: Arc<tokio::sync::Mutex<HashMap<Whose, Arc<Opening>>>> = Arc::default();
    Arc::new(move |app, ws, agent| {
        let openings = Arc::clone(&openings);
        Box::pin(async move {
            let is_kept = confine::PORTS <= confine::landlock_abi();
            if !is_kept && !app.sandbox.has_own_networks().await {
                return Err(io::Error::other(
                    "this machine can't restrict a browser to HQ's proxy",
                ));
            }
            let whose = (ws.id, vec![agent]);
            let mut openings = openings.lock().await;
            let opening = match openings.get(&whose) {
                Some(opening) => Arc::clone(opening),
                None => Arc::new(Opening::make(&app, Keeps::Browser(whose.clone())).await?),
            };
            openings.insert(whose, Arc::clone(&opening));
            let port = opening.port;
            let serve: ServeWay = Arc::new(move |own, job| opening.serve(own, job));
            Ok((port, serve))
        })
    })
}

/// The egress of one program.
pub(crate) struct Way {
    pub(crate) port: u16,
    opening: Arc<Opening>,
    pass: String,
    stand_ins: Option<Arc<StandIns>>,
}

impl Way {
    /// Environment variables for the proxy and for its root certificate.
    pub(crate) fn env(&self) -> Vec<(OsString, OsString)> {
        let address = format!("http://agent:{}@127.0.0.1:{}", self.pass, self.port);
        let mut env =
            vec![("NODE_USE_ENV_PROXY".into(), "1".into()), ("no_proxy".into(), "".into())];
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            env.push((name.into(), address.clone().into()));
        }
        let files = self.stand_ins.iter().flat_map(|all| all.files());
        env.extend(files.map(|(name, path)| (name.into(), path.into())));
        env
    }

    /// Serves a program that was started with this egress. `own` is the listener in its own network namespace, if it
    /// has one.
    pub(crate) fn serve(&self, own: Option<Listener>, job: &Job) {
        self.opening.serve(own, job);
    }

    /// The root certificate file that the program must be able to read.
    pub(crate) fn roots(&self) -> Option<&Path> {
        self.stand_ins.as_ref().map(|all| all.roots())
    }

    /// Variable names of secrets with their placeholder tokens.
    pub(crate) fn stand_ins(&self) -> impl Iterator<Item = (&str, &str)> {
        self.stand_ins.iter().flat_map(|all| all.variables())
    }
}

impl WayOut {
    /// An egress proxy that trusts these roots upstream.
    pub(crate) fn trusting(trusted: Trusted) -> Self {
        Self { trusted, ..Self::default() }
    }

    /// The egress for a program that has these secrets.
    ///
    /// # Errors
    /// If no port can be opened.
    pub(crate) async fn of(&self, cx: &ToolCx, given: &[Given]) -> io::Result<Way> {
        let opening = Arc::clone(self.opening.get_or_try_init(|| self.open(&cx.ws.app)).await?);
        let to = |pass, stand_ins| {
            let opening = Arc::clone(&opening);
            Way { port: opening.port, opening, pass, stand_ins }
        };
        let agents = cx.ws.read(|snap| reach::agents_of(snap, cx.agent, cx.run));
        let whose = (cx.ws.id, agents.map_err(io::Error::other)?);
        if stand_ins::are_in(given) {
            match self.of_run(cx, given, whose.clone()).await {
                Ok((pass, stand_ins)) => return Ok(to(pass, Some(stand_ins))),
                // The program still has egress, like one without secrets.
                Err(error) => tracing::warn!(%error, run.id = %cx.run, "there are no placeholders"),
            }
        }
        let known = self.passes.lock().of.get(&whose).cloned();
        if let Some(pass) = known {
            return Ok(to(pass, None));
        }
        let (pass, _) = self.issue(&cx.ws.app);
        let mut passes = self.passes.lock();
        passes.of.insert(whose.clone(), pass.clone());
        passes.holders.insert(pass.clone(), Holder { whose, stand_ins: None });
        Ok(to(pass, None))
    }

    /// The pass of the programs of a run with placeholder tokens.
    async fn of_run(
        &self,
        cx: &ToolCx,
        given: &[Given],
        whose: Whose,
    ) -> io::Result<(String, Arc<StandIns>)> {
        let run = (cx.ws.id, cx.run);
        let is_same = |one: &&OfRun| one.run == run && one.stand_ins.are_for(given);
        if let Some(one) = self.passes.lock().of_runs.iter().rev().find(is_same) {
            return Ok((one.pass.clone(), Arc::clone(&one.stand_ins)));
        }
        let ends = Arc::clone(self.ends.get_or_try_init(|| self.end(&cx.ws.app)).await?);
        let made = StandIns::make(cx, given, ends).map_err(io::Error::other)?;
        let stand_ins = Arc::new(made);
        self.forget_ended(&cx.ws.app);
        let (pass, name) = self.issue(&cx.ws.app);
        let mut passes = self.passes.lock();
        let holder = Holder { whose, stand_ins: Some(Arc::clone(&stand_ins)) };
        passes.holders.insert(pass.clone(), holder);
        let own = Arc::clone(&stand_ins);
        passes.of_runs.push_back(OfRun { run, pass: pass.clone(), name, stand_ins: own });
        Ok((pass, stand_ins))
    }

    /// A new pass and its name in texts: the redactor replaces it, because a program may print its environment.
    fn issue(&self, app: &App) -> (String, String) {
        let pass = Token::issue(TokenKind::Agent).reveal().to_owned();
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let name = format!("the way out of program {number}");
        app.redactor.add(&name, Secret::new(pass.as_str()));
        (pass, name)
    }

    /// Creates the TLS termination for programs.
    async fn end(&self, app: &App) -> io::Result<Arc<Ends>> {
        let (data, trusted) = (app.config.data.clone(), self.trusted.clone());
        let made = tokio::task::spawn_blocking(move || Ends::make(&data, &trusted)).await;
        made.map_err(io::Error::other).flatten().map(Arc::new)
    }

    /// Removes the passes of runs that have ended and have no running jobs.
    fn forget_ended(&self, app: &App) {
        let mut known: HashMap<WorkspaceId, HashSet<RunId>> = HashMap::new();
        for one in &self.passes.lock().of_runs {
            known.entry(one.run.0).or_default().insert(one.run.1);
        }
        let mut ended = HashSet::new();
        for (id, runs) in known {
            let gone = match app.workspace_by_id(id) {
                None => runs,
                Some(ws) => ws.read(|snap| over(snap, runs)).unwrap_or_else(|error| {
                    tracing::warn!(%error, "runs with stand-ins could not be looked up");
                    HashSet::new()
                }),
            };
            ended.extend(gone.into_iter().map(|run| (id, run)));
        }
        let gone = self.passes.lock().take(&ended);
        for one in gone {
            app.redactor.remove(&one.name);
        }
    }

    async fn open(&self, app: &App) -> io::Result<Arc<Opening>> {
        let keeps = Keeps::Programs(Arc::clone(&self.passes));
        Opening::make(app, keeps).await.map(Arc::new)
    }
}

/// Those of these runs that have ended and have no running jobs.
fn over(tx: &dyn Read, mut runs: HashSet<RunId>) -> Result<HashSet<RunId>, StoreError> {
    for job in jobs::running(tx, None)? {
        runs.remove(&job.run);
    }
    let mut over = HashSet::new();
    for id in runs {
        if !tx.get::<Run>(id)?.is_some_and(|run| run.is_live()) {
            over.insert(id);
        }
    }
    Ok(over)
}

/// A port of the proxy and its connection handler.
struct Opening {
    port: u16,
    door: Arc<Door>,
    /// Reserves the port on the host. Connections are accepted only once a program without its own network namespace
    /// starts.
    held: Mutex<Option<TcpListener>>,
}

impl Opening {
    /// Binds a free loopback port.
    async fn make(app: &App, keeps: Keeps) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let door = Arc::new(Door { app: app.clone(), keeps, places });
        Ok(Self { port, door, held: Mutex::new(Some(listener)) })
    }

    /// Serves a program: inside its own network namespace as long as it has processes, or on the host port from now on.
    fn serve(&self, own: Option<Listener>, job: &Job) {
        let (app, door) = (&self.door.app, Arc::clone(&self.door));
        let Some(own) = own else {
            if let Some(listener) = self.held.lock().take() {
                app.spawn("a way out", listen(listener, door));
            }
            return;
        };
        let listener = own.set_nonblocking(true).and_then(|()| TcpListener::from_std(own));
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%error, "the way out of a program cannot be served");
                return;
            }
        };
        let job = job.clone();
        app.spawn("a way out of a program", async move {
            tokio::select! {
                () = listen(listener, door) => {}
                () = job.wait_for_all() => {}
            }
        });
    }
}

/// Accepts connections until HQ ends.
async fn listen(listener: TcpListener, door: Arc<Door>) {
    let stopping = door.app.stopping.clone();
    loop {
        let next = async {
            let place = Arc::clone(&door.places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, taken) = tokio::select! {
            next = next => next,
            () = stopping.cancelled() => return,
        };
        match taken {
            Ok((inner, _)) => {
                let door = Arc::clone(&door);
                let app = door.app.clone();
                app.spawn("a connection of a program", async move {
                    door.serve(inner).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of a program could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The users of a port.
enum Keeps {
    /// All programs, told apart by their passes.
    Programs(Arc<Mutex<Passes>>),
    Browser(Whose),
}

/// Decides which requests may leave.
struct Door {
    app: App,
    keeps: Keeps,
    /// Limits concurrent connections.
    places: Arc<Semaphore>,
}

impl Door {
    async fn serve(&self, inner: TcpStream) {
        tokio::select! {
            () = egress::serve(inner, self.app.http.guard(), self) => {}
            () = self.app.stopping.cancelled() => {}
        }
    }

    /// The owner of this pass.
    fn holder(&self, pass: &str) -> Option<Holder> {
        match &self.keeps {
            Keeps::Programs(passes) => passes.lock().holders.get(pass).cloned(),
            Keeps::Browser(whose) => Some(Holder { whose: whose.clone(), stand_ins: None }),
        }
    }

    /// Whether all of these agents have egress here, and the refusal for one that has not.
    fn switched_on(
        &self,
        tx: &dyn Read,
        agents: &[AgentId],
        url: &Url,
    ) -> Result<(bool, &'static str), StoreError> {
        Ok(match self.keeps {
            Keeps::Programs(_) => {
                (may_reach_out(tx, agents)?, "network access is turned off for this agent")
            }
            Keeps::Browser(_) => match browsers::closes(tx, agents, url)? {
                Some(why) => (false, why),
                None => (browsers::is_on(tx, agents)?, "the browser is turned off for this agent"),
            },
        })
    }
}

/// Returns `true` if the programs of all these agents may use the network.
fn may_reach_out(tx: &dyn Read, agents: &[AgentId]) -> Result<bool, StoreError> {
    for id in agents {
        let agent = tx.get::<Agent>(*id)?;
        let is_locked = trust::mode_of(tx, *id)? == TrustMode::Locked;
        if is_locked || !agent.is_some_and(|a| a.exec && a.network && a.archived_at.is_none()) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl EgressPolicy for Door {
    fn own_pass(&self) -> Option<&str> {
        match self.keeps {
            Keeps::Programs(_) => None,
            Keeps::Browser(_) => Some(NO_PASS),
        }
    }

    fn admit(&self, pass: &str, url: &Url) -> Result<Opened, Closed> {
        let refused = |why: &str| Closed::Refused(why.to_owned());
        let Holder { whose: (ws, agents), stand_ins } = self.holder(pass).ok_or(Closed::NoPass)?;
        let ws = self.app.workspace_by_id(ws).ok_or_else(|| refused("its workspace is closed"))?;
        let facts = ws.read(|snap| {
            let hosts = reach::of_all(snap, &agents)?;
            Ok::<_, StoreError>((
                self.switched_on(snap, &agents, url)?,
                hosts,
                reach::opened(snap)?,
            ))
        });
        let ((is_on, off), hosts, opened) = facts.map_err(|error| {
            tracing::error!(%error, "an agent could not be looked up for a program");
            refused("couldn't identify the program; try again")
        })?;
        if !is_on {
            return Err(refused(off));
        }
        hosts.check(url).map_err(|error| Closed::Refused(error.to_string()))?;
        let sent = match stand_ins {
            Some(all) => all.left_out(url.as_str()),
            None => url.to_string(),
        };
        match leaks::of(&self.app.redactor, &sent) {
            Some(why) => Err(Closed::Refused(format!("nothing was sent: {why}"))),
            None => Ok(opened),
        }
    }

    fn takes_over(&self, pass: &str, url: &Url, kind: Kind) -> Option<Handler> {
        let Holder { whose: (ws, _), stand_ins } = self.holder(pass)?;
        stand_ins?.takes_over(&self.app.workspace_by_id(ws)?, url, kind)
    }

    fn shut<'d>(&'d self, pass: &'d str, url: &'d Url) -> BoxFuture<'d, ()> {
        let ws = self.holder(pass).and_then(|of| self.app.workspace_by_id(of.whose.0));
        Box::pin(async move {
            let Some(ws) = ws else { return };
            let (mut feed, halt) = (ws.store.subscribe(), ws.halt());
            // Check again after subscribing: access may have changed since the connection was opened.
            while self.admit(pass, url).is_ok() {
                tokio::select! {
                    () = halt.cancelled() => return,
                    is_open = changed(&mut feed, &SWITCHES) => if !is_open { return },
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::TypedId as _;

    #[test]
    fn passes_of_ended_runs_go_and_so_do_the_oldest_of_too_many() {
        let data = tempfile::tempdir().unwrap();
        let stand_ins = Arc::new(StandIns::none(data.path()));
        let ws = WorkspaceId::from_bytes([9; 16]);
        let id = |n: usize| (ws, RunId::from_bytes((n as u128).to_be_bytes()));
        let mut passes = Passes::default();
        for n in 0..MOST_OF_RUNS + 2 {
            let (run, pass, own) = (id(n), n.to_string(), Arc::clone(&stand_ins));
            let holder = Holder { whose: (ws, Vec::new()), stand_ins: Some(Arc::clone(&own)) };
            passes.holders.insert(pass.clone(), holder);
            passes.of_runs.push_back(OfRun { run, name: pass.clone(), pass, stand_ins: own });
        }
        let gone: Vec<_> =
            passes.take(&HashSet::from([id(5)])).into_iter().map(|one| one.pass).collect();
        assert_eq!(gone, ["5", "0", "1"], "one more has room");
        assert_eq!(
            (passes.of_runs.len(), passes.holders.len()),
            (MOST_OF_RUNS - 1, MOST_OF_RUNS - 1)
        );
        assert!(!passes.holders.contains_key("5") && passes.holders.contains_key("2"));
        assert!(passes.take(&HashSet::new()).is_empty());
    }
}
