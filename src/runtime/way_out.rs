//! The way out of agents' programs: where the jail can tell ports apart, a program with the network reaches the
//! proxy of `net/egress` and nothing else. It listens from the first such program on, on this machine alone.
//!
//! A pass says whose program asks. A browser takes no pass to a proxy, so each has a port of its own, which is the only
//! one that its jail lets it reach. What an agent may do is looked up each time: a switch that is turned off counts from
//! then on, and closes what is open.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use app::App;
use crypto::keyring::Secret;
use crypto::token::{Token, TokenKind};
use features::agents::model::{AGENTS, Agent, REACH};
use features::agents::queries::reach;
use features::browsers::model::AGENT_BROWSERS;
use features::browsers::queries as browsers;
use kernel::{AgentId, WorkspaceId};
use net::egress::{self, Closed, Doorman};
use net::guard::Opened;
use store::{ReadExt, StoreError, Table};
use tool::{ToolCx, leaks};

use super::feed::changed;

/// How many connections programs have at once, and each browser.
const CONNECTIONS: usize = 256;
/// How long to wait when no connection can be taken: the host is short of something.
const PAUSE: Duration = Duration::from_millis(200);

/// Where it stands who may go where.
const SWITCHES: [Table; 3] = [AGENTS, REACH, AGENT_BROWSERS];
/// What stands for the pass of a browser, which has none.
const NO_PASS: &str = "";

/// Whose program this is: an agent's and, of a sub-agent, of those who asked for it.
pub(crate) type Whose = (WorkspaceId, Vec<AgentId>);

/// Passes by what they say, and by whose they are.
#[derive(Default)]
struct Passes {
    whose: HashMap<String, Whose>,
    of: HashMap<Whose, String>,
}

/// The proxy, once it is needed.
#[derive(Default)]
pub(crate) struct WayOut {
    port: OnceCell<u16>,
    passes: Arc<Mutex<Passes>>,
    /// The ports of browsers.
    ports: tokio::sync::Mutex<HashMap<Whose, u16>>,
}

/// How one program gets out.
pub(crate) struct Way {
    /// The port of the proxy.
    pub(crate) port: u16,
    pass: String,
}

impl Way {
    /// What tells programs of it.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        let address = format!("http://agent:{}@127.0.0.1:{}", self.pass, self.port);
        let mut env = vec![("NODE_USE_ENV_PROXY", "1".to_owned()), ("no_proxy", String::new())];
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            env.push((name, address.clone()));
        }
        env
    }
}

impl WayOut {
    /// The way out of an agent's programs.
    ///
    /// # Errors
    /// When this machine gives no port.
    pub(crate) async fn of(&self, cx: &ToolCx) -> io::Result<Way> {
        let port = *self.port.get_or_try_init(|| self.open(&cx.ws.app)).await?;
        let agents = cx.ws.read(|snap| reach::agents_of(snap, cx.agent, cx.run));
        let whose = (cx.ws.id, agents.map_err(io::Error::other)?);
        let mut passes = self.passes.lock();
        if let Some(pass) = passes.of.get(&whose) {
            return Ok(Way { port, pass: pass.clone() });
        }
        let pass = Token::issue(TokenKind::Agent).reveal().to_owned();
        // A program may print what surrounds it.
        let name = format!("the way out of program {}", passes.of.len());
        cx.ws.app.redactor.add(&name, Secret::new(pass.as_str()));
        passes.of.insert(whose.clone(), pass.clone());
        passes.whose.insert(pass.clone(), whose);
        Ok(Way { port, pass })
    }

    /// The port of the way out of a browser; it stays the same until the program ends.
    ///
    /// # Errors
    /// When this machine gives no port.
    pub(crate) async fn port_of(&self, app: &App, whose: Whose) -> io::Result<u16> {
        let mut ports = self.ports.lock().await;
        if let Some(port) = ports.get(&whose) {
            return Ok(*port);
        }
        let port = begin(app, Keeps::Browser(whose.clone())).await?;
        ports.insert(whose, port);
        Ok(port)
    }

    async fn open(&self, app: &App) -> io::Result<u16> {
        begin(app, Keeps::Programs(Arc::clone(&self.passes))).await
    }
}

/// Begins to listen on a free port.
async fn begin(app: &App, keeps: Keeps) -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let door = Arc::new(Door { app: app.clone(), keeps });
    app.spawn("a way out", listen(listener, door));
    Ok(port)
}

/// Takes connections until the program ends.
async fn listen(listener: TcpListener, door: Arc<Door>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let stopping = door.app.stopping.clone();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
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

/// For whom a port is.
enum Keeps {
    /// For all programs, which are told apart by their passes.
    Programs(Arc<Mutex<Passes>>),
    /// For one browser.
    Browser(Whose),
}

/// Knows who may go out.
struct Door {
    app: App,
    keeps: Keeps,
}

impl Door {
    async fn serve(&self, inner: TcpStream) {
        tokio::select! {
            () = egress::serve(inner, self.app.http.guard(), self) => {}
            () = self.app.stopping.cancelled() => {}
        }
    }

    /// Who comes with this pass.
    fn whose(&self, pass: &str) -> Option<Whose> {
        match &self.keeps {
            Keeps::Programs(passes) => passes.lock().whose.get(pass).cloned(),
            Keeps::Browser(whose) => Some(whose.clone()),
        }
    }

    /// Whether all of them are let out here, and the refusal when they are not.
    fn switched_on(
        &self,
        tx: &impl ReadExt,
        agents: &[AgentId],
    ) -> Result<(bool, &'static str), StoreError> {
        Ok(match self.keeps {
            Keeps::Programs(_) => {
                (may_reach_out(tx, agents)?, "the network is switched off for this agent")
            }
            Keeps::Browser(_) => {
                (browsers::is_on(tx, agents)?, "the browser is switched off for this agent")
            }
        })
    }
}

/// Whether the programs of all of them may use the network.
fn may_reach_out(tx: &impl ReadExt, agents: &[AgentId]) -> Result<bool, StoreError> {
    for id in agents {
        let agent = tx.get::<Agent>(*id)?;
        if !agent.is_some_and(|a| a.exec && a.network && a.archived_at.is_none()) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Doorman for Door {
    fn own_pass(&self) -> Option<&str> {
        match self.keeps {
            Keeps::Programs(_) => None,
            Keeps::Browser(_) => Some(NO_PASS),
        }
    }

    fn admit(&self, pass: &str, url: &Url) -> Result<Opened, Closed> {
        let refused = |why: &str| Closed::Refused(why.to_owned());
        let (ws, agents) = self.whose(pass).ok_or(Closed::NoPass)?;
        let ws = self.app.workspace_by_id(ws).ok_or_else(|| refused("its workspace is closed"))?;
        let facts = ws.read(|snap| {
            let hosts = reach::of_all(snap, &agents)?;
            Ok::<_, StoreError>((self.switched_on(snap, &agents)?, hosts, reach::opened(snap)?))
        });
        let ((is_on, off), hosts, opened) = facts.map_err(|error| {
            tracing::error!(%error, "an agent could not be looked up for a program");
            refused("who asks could not be looked up; try again")
        })?;
        if !is_on {
            return Err(refused(off));
        }
        hosts.check(url).map_err(|error| Closed::Refused(error.to_string()))?;
        match leaks::of(&self.app.redactor, url.as_str()) {
            Some(why) => Err(Closed::Refused(format!("nothing was sent: {why}"))),
            None => Ok(opened),
        }
    }

    fn shut<'d>(&'d self, pass: &'d str, url: &'d Url) -> BoxFuture<'d, ()> {
        let ws = self.whose(pass).and_then(|(ws, _)| self.app.workspace_by_id(ws));
        Box::pin(async move {
            let Some(ws) = ws else { return };
            let (mut feed, halt) = (ws.store.subscribe(), ws.halt());
            // Looked at once more after it was subscribed to: it may have changed since it was opened.
            while self.admit(pass, url).is_ok() {
                tokio::select! {
                    () = halt.cancelled() => return,
                    is_open = changed(&mut feed, &SWITCHES) => if !is_open { return },
                }
            }
        })
    }
}
