//! The network of a jailed program: an egress proxy that admits only the hosts of a list. The program needs a pass, which
//! is in its environment, and reaches no other port.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener as Listener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use app::{App, Ws};
use crypto::keyring::Secret;
use crypto::redact::Redactor;
use crypto::token::{Token, TokenKind};
use futures_util::future::BoxFuture;
use net::egress::{self, Closed, EgressPolicy};
use net::guard::{Hosts, Opened};
use sandbox::confine;
use sandbox::job::Job;
use sandbox::policy::{Network, OwnNetwork, Policy};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use url::Url;

/// Most concurrent connections of a program.
const CONNECTIONS: usize = 64;
/// Delay after a failed accept, which means that the host lacks a resource.
const PAUSE: Duration = Duration::from_millis(200);

/// Passes of this process.
static ISSUED: AtomicU64 = AtomicU64::new(0);

/// The proxy of one program.
pub struct Way {
    app: App,
    listener: TcpListener,
    port: u16,
    door: Arc<Door>,
}

struct Door {
    pass: String,
    /// Replaces the pass in texts, because a program may print its environment.
    redactor: Arc<Redactor>,
    /// The name of the pass in texts.
    name: String,
    hosts: Hosts,
    opened: Opened,
}

impl Door {
    fn new(redactor: &Arc<Redactor>, hosts: &[String], open_hosts: &[String]) -> Self {
        let pass = Token::issue(TokenKind::Agent).reveal().to_owned();
        let number = ISSUED.fetch_add(1, Ordering::Relaxed);
        let name = format!("the way out of program {number}");
        redactor.add(&name, Secret::new(pass.as_str()));
        let (hosts, opened) = (Hosts::of(vec![hosts.to_vec()]), Opened::of(open_hosts));
        Self { pass, redactor: Arc::clone(redactor), name, hosts, opened }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.redactor.remove(&self.name);
    }
}

impl EgressPolicy for Door {
    fn admit(&self, pass: &str, url: &Url) -> Result<Opened, Closed> {
        if pass != self.pass {
            return Err(Closed::NoPass);
        }
        if self.opened.has(url) {
            return Ok(self.opened.clone());
        }
        self.hosts.check(url).map_err(|error| Closed::Refused(error.to_string()))?;
        Ok(Opened::default())
    }

    /// The program ends when its configuration changes, so nothing is withdrawn before.
    fn shut<'d>(&'d self, _: &'d str, _: &'d Url) -> BoxFuture<'d, ()> {
        Box::pin(std::future::pending())
    }
}

impl Way {
    /// Opens the proxy for these hosts and puts it into the policy. Returns `None` if this machine cannot keep a
    /// program to it.
    pub async fn open(
        ws: &Ws,
        (hosts, open_hosts): (&[String], &[String]),
        policy: &mut Policy,
    ) -> io::Result<Option<Self>> {
        let tells_ports = confine::PORTS <= confine::abi_for(policy);
        if !tells_ports && !ws.app.sandbox.has_own_networks().await {
            return Ok(None);
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        policy.network = Network::through(port);
        policy.own_network = if tells_ports { OwnNetwork::Served } else { OwnNetwork::Required };
        let door = Door::new(&ws.app.redactor, hosts, open_hosts);
        Ok(Some(Self { app: ws.app.clone(), listener, port, door: Arc::new(door) }))
    }

    /// Environment variables that lead programs to the proxy.
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        let address = format!("http://mcp:{}@127.0.0.1:{}", self.door.pass, self.port);
        let mut env =
            vec![("NODE_USE_ENV_PROXY".into(), "1".into()), ("no_proxy".into(), "".into())];
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            env.push((name.into(), address.clone().into()));
        }
        env
    }

    /// Serves the program until none of its processes is left. `own` is the listener in its own network, if it has
    /// one; otherwise it uses the port of this machine.
    pub fn serve(self, own: Option<Listener>, job: &Job) {
        let Self { app, listener, door, .. } = self;
        let listener = match own {
            None => Ok(listener),
            Some(own) => own.set_nonblocking(true).and_then(|()| TcpListener::from_std(own)),
        };
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%error, "the network of a program cannot be served");
                return;
            }
        };
        let (job, inner) = (job.clone(), app.clone());
        app.spawn("the network of a program", async move {
            tokio::select! {
                () = listen(&inner, listener, door) => {}
                () = job.wait_for_all() => {}
                () = inner.stopping.cancelled() => {}
            }
        });
    }
}

async fn listen(app: &App, listener: TcpListener, door: Arc<Door>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // ok: the semaphore is never closed; if it were, there would be no limit.
        let place = Arc::clone(&places).acquire_owned().await.ok();
        match listener.accept().await {
            Ok((stream, _)) => {
                let (door, own) = (Arc::clone(&door), app.clone());
                app.spawn("a connection of a program", async move {
                    tokio::select! {
                        () = egress::serve(stream, own.http.guard(), &*door) => {}
                        () = own.stopping.cancelled() => {}
                    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crypto::redact::Redactor;

    use super::Door;

    #[test]
    fn a_pass_is_hidden_in_texts_while_its_program_runs() {
        let redactor = Arc::new(Redactor::new());
        let door = Door::new(&redactor, &[], &[]);
        let printed = format!("http_proxy={}", door.pass);
        assert!(!redactor.text(&printed).contains(&door.pass));
        drop(door);
        assert_eq!(redactor.text(&printed), printed);
    }
}
