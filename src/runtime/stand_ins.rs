//! Placeholder tokens of runs: what programs get instead of credentials, and the proxy that replaces them on the way
//! out.
//!
//! A run gets its own tokens with its first program that has network access. A credential that is added or changed
//! later applies to programs that start later. A revoked one is no longer sent from that moment on.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use url::Url;

use app::Ws;
use credential_proxy::authority::Authority;
use credential_proxy::error::StandinError;
use credential_proxy::report::{Refusal, Report, Told, Use};
use credential_proxy::serve::{self, Limits};
use credential_proxy::table::{HTTP, HTTPS, NewStandin, Place, Shape, Standins, Value};
use credential_proxy::trust::Trust;
use kernel::time::{Clock, SystemClock};
use kernel::{Actor, AgentId, Cause, RunId, TaskId};
use net::egress::{Handler, Kind};
use sandbox::handed;
use tool::ToolCx;
use vault::Given;
use vault::model::{Places, SecretId, Way};
use vault::queries::Sending;
use vault::rules::Used;

use super::command::orders::SecretsUsed;
use super::port::Port;

/// The root certificate file for programs with placeholder tokens, in the data directory.
const ROOTS: &str = "roots.pem";
/// Environment variables that name such a file.
const READ_BY: [&str; 9] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "DENO_CERT",
    "AWS_CA_BUNDLE",
];

/// Which upstream hosts are trusted, and at which port credentials are sent. Tests use their own.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// PEM roots that replace those of the system.
    pub roots: Option<String>,
    pub port: u16,
}

impl Default for Trusted {
    fn default() -> Self {
        Self { roots: None, port: HTTPS }
    }
}

/// The TLS termination for connections to hosts with a credential; one per process.
pub(crate) struct Ends {
    authority: Authority,
    trust: Trust,
    port: u16,
    /// The file by which programs trust the authority. Programs can read it but not write it.
    roots: PathBuf,
}

impl Ends {
    /// Creates an authority and writes its file. Blocking.
    ///
    /// # Errors
    /// If the system has no roots, or the file cannot be written.
    pub(crate) fn make(data: &Path, trusted: &Trusted) -> io::Result<Self> {
        // Programs use the system clock, whatever clock HQ uses.
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let authority = Authority::new(Arc::clone(&clock)).map_err(io::Error::other)?;
        let (trust, bundle) = match &trusted.roots {
            Some(roots) => (Trust::only(roots, clock), Ok(authority.pem().to_owned() + roots)),
            None => (Trust::system(clock), authority.bundle()),
        };
        let (trust, roots) = (trust.map_err(io::Error::other)?, data.join(ROOTS));
        handed::write(&roots, &bundle.map_err(io::Error::other)?)?;
        Ok(Self { authority, trust, port: trusted.port, roots })
    }
}

/// A secret for which programs get a placeholder token.
#[derive(PartialEq, Eq)]
struct Key {
    key: String,
    id: SecretId,
    version: u32,
    hosts: Vec<String>,
    places: Places,
    plain: bool,
}

/// The owner of the programs.
struct Of {
    run: RunId,
    step: u32,
    agent: AgentId,
    task: Option<TaskId>,
}

/// The placeholder tokens of a run.
pub(crate) struct StandIns {
    of: Of,
    keys: Vec<Key>,
    table: Standins,
    ends: Arc<Ends>,
    /// Uses that are recorded already: one per secret and host.
    noted: Mutex<HashSet<(SecretId, String)>>,
}

/// Returns `true` if programs get a placeholder token for one of these.
pub(crate) fn are_in(given: &[Given]) -> bool {
    given.iter().any(stands_in)
}

fn stands_in(one: &Given) -> bool {
    one.way == Way::StandIn && one.value.is_ok() && !places_of(&one.places).is_empty()
}

fn keys_of(given: &[Given]) -> impl Iterator<Item = Key> {
    given.iter().filter(|one| stands_in(one)).map(|one| Key {
        key: one.key.clone(),
        id: one.id,
        version: one.version,
        hosts: one.hosts.clone(),
        places: one.places.clone(),
        plain: one.plain,
    })
}

fn places_of(places: &Places) -> Vec<Place> {
    let Places { headers, query, path, body } = places;
    let mut all = Vec::new();
    all.extend(headers.then_some(Place::Headers));
    all.extend(query.iter().cloned().map(Place::Parameter));
    all.extend(path.then_some(Place::Path));
    all.extend(body.iter().cloned().map(Place::Field));
    all
}

impl StandIns {
    /// Creates a placeholder token for each secret that programs do not get in plain text.
    ///
    /// # Errors
    /// If a token cannot be bound to its hosts.
    pub(crate) fn make(
        cx: &ToolCx,
        given: &[Given],
        ends: Arc<Ends>,
    ) -> Result<Self, StandinError> {
        let new = |one: &Given| {
            let value = one.value.as_ref().ok()?; // ok: secrets that cannot be opened get no token
            Some(NewStandin {
                id: one.key.clone(),
                value: Value::new(value.expose()),
                hosts: one.hosts.clone(),
                port: ends.port,
                places: places_of(&one.places),
                shape: Shape::AsValue,
            })
        };
        let table = given.iter().filter(|one| stands_in(one)).filter_map(new).collect();
        Ok(Self {
            of: Of { run: cx.run, step: cx.step, agent: cx.agent, task: cx.task },
            keys: keys_of(given).collect(),
            table: Standins::new(table)?,
            ends,
            noted: Mutex::default(),
        })
    }

    /// Returns `true` if the tokens stand for exactly these secrets.
    pub(crate) fn are_for(&self, given: &[Given]) -> bool {
        keys_of(given).collect::<Vec<_>>() == self.keys
    }

    /// Environment variables with their placeholder tokens.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.table.tokens()
    }

    /// Variables that name the file of roots, with its path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        READ_BY.into_iter().map(|name| (name, self.roots()))
    }

    pub(crate) fn roots(&self) -> &Path {
        &self.ends.roots
    }

    /// Removes the tokens from a text. They are no secrets, although they look like some.
    pub(crate) fn left_out(&self, text: &str) -> String {
        self.table.tokens().fold(text.to_owned(), |text, (_, token)| text.replace(token, ""))
    }

    /// A handler for a connection to a host with a credential; `None` for other hosts.
    pub(crate) fn takes_over(self: &Arc<Self>, ws: &Ws, url: &Url, kind: Kind) -> Option<Handler> {
        let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
        // Plain HTTP is only allowed at the plain HTTP port.
        let is_fit = kind == Kind::Tunnel || port == HTTP;
        if !is_fit || !self.table.cover(&host, port) {
            return None;
        }
        let (own, report) = (Arc::clone(self), self.report(ws));
        Some(Box::new(move |inner, outer| {
            Box::pin(async move {
                let way = serve::Way {
                    host: &host,
                    port,
                    standins: &own.table,
                    authority: &own.ends.authority,
                    trust: &own.ends.trust,
                    limits: Limits::default(),
                };
                let dial = || outer.dial();
                let ended = match kind {
                    Kind::Tunnel => serve::serve(inner, &way, dial, &report).await,
                    Kind::Plain => serve::serve_plain(inner, &way, dial, &report).await,
                };
                if let Err(error) = ended {
                    tracing::debug!(run.id = %own.of.run, "a way with stand-ins ended: {error}");
                }
            })
        }))
    }

    fn report(self: &Arc<Self>, ws: &Ws) -> Report {
        let (hearing, checking) = (Arc::clone(self), Arc::clone(self));
        let (here, there) = (ws.clone(), ws.clone());
        Report::telling(move |report| match report {
            Told::Used(used) => hearing.note(&here, used),
            Told::Refused(refusal) => hearing.tell(refusal),
        })
        .asking(move |used| checking.check(&there, used))
    }

    fn key(&self, used: &Use) -> Option<&Key> {
        self.keys.iter().find(|key| key.key == used.id)
    }

    /// Checks whether a secret may still be sent; the error says why not.
    fn check(&self, ws: &Ws, used: &Use) -> Result<(), String> {
        let Some(Key { key, id, version, .. }) = self.key(used) else { return Ok(()) };
        let (id, version, agent) = (*id, *version, self.of.agent);
        let sending = Sending { id, version, agent, host: &used.host };
        match vault::away::barred(ws, sending) {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(format!("{key} {why}")),
            Err(error) => {
                tracing::error!(%error, "a secret could not be looked up for a program");
                Err(format!("couldn't look up {key}; try again"))
            }
        }
    }

    /// Records the first use of a secret for a host.
    fn note(&self, ws: &Ws, used: &Use) {
        let Some(key) = self.key(used).filter(|key| !key.plain) else { return };
        if !self.noted.lock().insert((key.id, used.host.clone())) {
            return;
        }
        let Of { run, step, agent, task } = self.of;
        let (secret, version, host) = (key.id, key.version, used.host.clone());
        let one = Used { secret, version, run, agent, task, way: Way::StandIn, host };
        let own = ws.clone();
        ws.spawn("a use of a secret", async move {
            let by = (Actor::Agent { agent, run }, Cause::Step(run, step));
            if let Err(error) = own.order(by, SecretsUsed { uses: vec![one] }).await {
                tracing::error!(%error, run.id = %run, "the use of a secret could not be noted");
            }
        });
    }

    fn tell(&self, refusal: &Refusal) {
        let (run, Refusal { host, why }) = (self.of.run, refusal);
        tracing::info!(run.id = %run, "a request of a program to {host} was refused: {why}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use kernel::TypedId as _;

    impl StandIns {
        /// For a run without secrets; writes its root file to `data`.
        pub(crate) fn none(data: &Path) -> Self {
            let roots = Authority::new(Arc::new(SystemClock)).unwrap().pem().to_owned();
            let trusted = Trusted { roots: Some(roots.clone()), ..Trusted::default() };
            let ends = Ends::make(data, &trusted).unwrap();
            let written = fs::read_to_string(&ends.roots).unwrap();
            assert!(written.contains(&roots) && written.starts_with(ends.authority.pem()));
            let (run, agent) = (RunId::from_bytes([1; 16]), AgentId::from_bytes([2; 16]));
            Self {
                of: Of { run, step: 1, agent, task: None },
                keys: Vec::new(),
                table: Standins::new(Vec::new()).unwrap(),
                ends: Arc::new(ends),
                noted: Mutex::default(),
            }
        }
    }

    #[test]
    fn places_are_those_that_the_secret_names_and_no_other() {
        let none = Places { headers: false, ..Places::default() };
        assert!(places_of(&none).is_empty());
        assert_eq!(places_of(&Places::default()), [Place::Headers]);
        let (query, body) = (vec!["key".to_owned()], vec!["token".to_owned()]);
        let all = places_of(&Places { query, path: true, body, ..none });
        let (query, body) = (Place::Parameter("key".to_owned()), Place::Field("token".to_owned()));
        assert_eq!(all, [query, Place::Path, body]);
    }
}
