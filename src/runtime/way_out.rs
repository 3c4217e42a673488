//! The way out of agents' programs: where the jail can tell ports apart, a program with the network reaches the
//! proxy of `net/egress` and nothing else. It listens from the first such program on, on this machine alone.
//!
//! A pass says whose program asks. What its agent may do is looked up each time: a switch that is turned off
//! counts from then on, and closes what is open.

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
use kernel::{AgentId, WorkspaceId};
use net::egress::{self, Closed, Doorman};
use net::guard::Opened;
use store::{ReadExt, StoreError};
use tool::{ToolCx, leaks};

use super::feed::changed;

/// How many connections programs have at once.
const CONNECTIONS: usize = 256;
/// How long to wait when no connection can be taken: the host is short of something.
const PAUSE: Duration = Duration::from_millis(200);

/// Whose program this is: an agent's and, of a sub-agent, of those who asked for it.
type Whose = (WorkspaceId, Vec<AgentId>);

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

    async fn open(&self, app: &App) -> io::Result<u16> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let door = Arc::new(Door { app: app.clone(), passes: Arc::clone(&self.passes) });
        app.spawn("the way out of programs", listen(listener, door));
        Ok(port)
    }
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

/// Knows who may go out.
struct Door {
    app: App,
    passes: Arc<Mutex<Passes>>,
}

impl Door {
    async fn serve(&self, inner: TcpStream) {
        tokio::select! {
            () = egress::serve(inner, self.app.http.guard(), self) => {}
            () = self.app.stopping.cancelled() => {}
        }
    }
}

/// Whether the programs of all of them may use the network.
fn switched_on(tx: &impl ReadExt, agents: &[AgentId]) -> Result<bool, StoreError> {
    for id in agents {
        let agent = tx.get::<Agent>(*id)?;
        if !agent.is_some_and(|a| a.exec && a.network && a.archived_at.is_none()) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Doorman for Door {
    fn admit(&self, pass: &str, url: &Url) -> Result<Opened, Closed> {
        let refused = |why: &str| Closed::Refused(why.to_owned());
        let whose = self.passes.lock().whose.get(pass).cloned();
        let (ws, agents) = whose.ok_or(Closed::NoPass)?;
        let ws = self.app.workspace_by_id(ws).ok_or_else(|| refused("its workspace is closed"))?;
        let facts = ws.read(|snap| {
            let hosts = reach::of_all(snap, &agents)?;
            Ok::<_, StoreError>((switched_on(snap, &agents)?, hosts, reach::opened(snap)?))
        });
        let (is_on, hosts, opened) = facts.map_err(|error| {
            tracing::error!(%error, "an agent could not be looked up for a program");
            refused("who asks could not be looked up; try again")
        })?;
        if !is_on {
            return Err(refused("the network is switched off for this agent"));
        }
        hosts.check(url).map_err(|error| Closed::Refused(error.to_string()))?;
        match leaks::of(&self.app.redactor, url.as_str()) {
            Some(why) => Err(Closed::Refused(format!("nothing was sent: {why}"))),
            None => Ok(opened),
        }
    }

    fn shut<'d>(&'d self, pass: &'d str, url: &'d Url) -> BoxFuture<'d, ()> {
        let whose = self.passes.lock().whose.get(pass).map(|(ws, _)| *ws);
        let ws = whose.and_then(|ws| self.app.workspace_by_id(ws));
        Box::pin(async move {
            let Some(ws) = ws else { return };
            let (mut feed, halt) = (ws.store.subscribe(), ws.halt());
            // Looked at once more after it was subscribed to: it may have changed since it was opened.
            while self.admit(pass, url).is_ok() {
                tokio::select! {
                    () = halt.cancelled() => return,
                    is_open = changed(&mut feed, &[AGENTS, REACH]) => if !is_open { return },
                }
            }
        })
    }
}
