//! The stand-ins of runs: what programs hold in the place of keys, and who swaps them on the way out.
//!
//! A run has stand-ins of its own from its first program on that has the network. What people change meanwhile counts
//! for programs that begin later; of what they take away nothing goes out from then on.

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

/// The file of roots that programs with stand-ins read, in the data folder.
const ROOTS: &str = "roots.pem";
/// The variables that name such a file.
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

/// Which hosts are believed to be who they say, and where they get keys. Tests put in their own.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// A PEM file of roots in the place of those of this machine.
    pub roots: Option<String>,
    pub port: u16,
}

impl Default for Trusted {
    fn default() -> Self {
        Self { roots: None, port: HTTPS }
    }
}

/// What ends the TLS of programs towards hosts that have a key: one for all runs of a process.
pub(crate) struct Ends {
    authority: Authority,
    trust: Trust,
    port: u16,
    /// The file that makes programs trust the authority. They read it, and none writes it.
    roots: PathBuf,
}

impl Ends {
    /// Makes an authority and writes its file. Blocking.
    ///
    /// # Errors
    /// When this machine has no roots, or the file cannot be written.
    pub(crate) fn make(data: &Path, trusted: &Trusted) -> io::Result<Self> {
        // Programs go by the clock of the machine, whatever HQ goes by.
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

/// A key for which programs have a stand-in.
#[derive(PartialEq, Eq)]
struct Key {
    key: String,
    id: SecretId,
    version: u32,
    hosts: Vec<String>,
    places: Places,
    plain: bool,
}

/// Whose programs have them.
struct Of {
    run: RunId,
    step: u32,
    agent: AgentId,
    task: Option<TaskId>,
}

/// The stand-ins of a run.
pub(crate) struct StandIns {
    of: Of,
    keys: Vec<Key>,
    table: Standins,
    ends: Arc<Ends>,
    /// What was noted already: once for each key and host.
    noted: Mutex<HashSet<(SecretId, String)>>,
}

/// Whether programs get a stand-in for one of these.
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
    /// Makes a stand-in for each of these that programs do not get as it is.
    ///
    /// # Errors
    /// When one of them cannot be bound to its hosts.
    pub(crate) fn make(
        cx: &ToolCx,
        given: &[Given],
        ends: Arc<Ends>,
    ) -> Result<Self, StandinError> {
        let new = |one: &Given| {
            let value = one.value.as_ref().ok()?; // ok: those that do not open have no stand-in
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

    /// Whether they stand for just these.
    pub(crate) fn are_for(&self, given: &[Given]) -> bool {
        keys_of(given).collect::<Vec<_>>() == self.keys
    }

    /// Each variable with its stand-in.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.table.tokens()
    }

    /// The file of roots, by each variable that names one.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        READ_BY.into_iter().map(|name| (name, self.roots()))
    }

    /// The file of roots.
    pub(crate) fn roots(&self) -> &Path {
        &self.ends.roots
    }

    /// A text without them: they are no secrets, whatever they look like.
    pub(crate) fn left_out(&self, text: &str) -> String {
        self.table.tokens().fold(text.to_owned(), |text, (_, token)| text.replace(token, ""))
    }

    /// Serves the program's side of a way to a host that has a key. To no other.
    pub(crate) fn takes_over(self: &Arc<Self>, ws: &Ws, url: &Url, kind: Kind) -> Option<Handler> {
        let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
        // Nothing is sent unsealed but to the port at which nothing is sealed.
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
        let (hearing, asked) = (Arc::clone(self), Arc::clone(self));
        let (here, there) = (ws.clone(), ws.clone());
        Report::telling(move |told| match told {
            Told::Used(used) => hearing.note(&here, used),
            Told::Refused(refusal) => hearing.tell(refusal),
        })
        .asking(move |used| asked.check(&there, used))
    }

    fn key(&self, used: &Use) -> Option<&Key> {
        self.keys.iter().find(|key| key.key == used.id)
    }

    /// Why a key may not be sent any more.
    fn check(&self, ws: &Ws, used: &Use) -> Result<(), String> {
        let Some(Key { key, id, version, .. }) = self.key(used) else { return Ok(()) };
        let (id, version, agent) = (*id, *version, self.of.agent);
        let sending = Sending { id, version, agent, host: &used.host };
        match vault::away::barred(ws, sending) {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(format!("{key} {why}")),
            Err(error) => {
                tracing::error!(%error, "a secret could not be looked up for a program");
                Err(format!("{key} could not be looked up; try again"))
            }
        }
    }

    /// Notes the first use of a key for a host.
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
        /// Those of a run that has none, and the folder of its file.
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
