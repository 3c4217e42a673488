//! This machine as a *host*: it belongs to a workspace that lies elsewhere, keeps what its agents need of it, and says
//! how it is. It calls; nobody calls it. What it may have and how it is laid stands in `mirror`, how both talk in `link`.
//!
//! [`Replica::open`] opens the folder, [`Replica::run`] links again and again until it is asked to end. In between it
//! answers how it stands, what is wrong, and that it is to leave. A cut line stops nothing here: what came is durable
//! before it is acknowledged, and home hears at the next link where it goes on.

pub mod doctor;
pub mod error;
pub mod folder;
pub mod status;

mod calls;
mod drain;
mod facts;
mod talk;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use app::upstream::{KEYS_GONE, Upstream};
use features::runs::model::{RUNS, SESSIONS};
use features::usage::rules::grants;
use gateways::model::CUT_HOURS;
use gateways::rules::outbox;
use kernel::id::IdSource;
use kernel::{Clock, Timestamp};
use link::{Backoff, Identity, Knock, LinkError, Linked, Pin, Purpose, Refusal, Trust};
use mirror::{At, Mirror, Standing};
use parking_lot::Mutex;
use store::{Faults, Options, Read, Schema, Store, StoreError};
use tokio::sync::{Notify, watch};
use zeroize::Zeroizing;

use calls::Calls;
pub use error::ReplicaError;
pub use facts::VERSION;
use folder::Known;
pub use link::Pace;
use status::{Now, Why};

/// How often it is looked whether keys are still to be kept.
const LOOKS: Duration = Duration::from_secs(60);
/// How often it is looked, while there is no link, whether the machine has other networks.
const NETWORKS: Duration = Duration::from_secs(2);
/// The page cache of the mirror.
const CACHE: usize = 2 << 20;
/// How long a host waits that is not let in any more.
const SHUT_OUT: Duration = Duration::from_secs(5 * 60);
/// What home says to a machine that it does not let in any more.
const SHUT_OUT_CODES: [&str; 2] = ["gateway_revoked", "unknown_gateway"];
/// How long one waits whose program is of another version, or whose key another program uses.
const AT_ODDS: Duration = Duration::from_secs(60);

/// Something that goes on.
pub type Boxed<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What works here for the agents of a host.
pub trait Work: Send + Sync {
    /// Lets it come to rest: what is begun is put back, while there is a link. At once: programs and browsers are ended
    /// first, as this machine may do nothing for the workspace any more.
    fn end(&self, at_once: bool) -> Boxed<'_, ()>;
}

/// What that is given.
pub struct Given {
    /// What the host has of the workspace.
    pub store: Store,
    /// The way to home.
    pub upstream: Arc<dyn Upstream>,
}

/// Begins the work; the program gives it. It is not called before an agent works here.
pub type Begin = Arc<dyn Fn(Given) -> Boxed<'static, Result<Box<dyn Work>, String>> + Send + Sync>;

/// What a host is made of besides its folder.
#[derive(Clone)]
pub struct Parts {
    /// The tables of a workspace.
    pub schema: fn() -> Schema,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
    /// What may happen to disks; nothing is injected in the program.
    pub faults: Arc<dyn Faults>,
    /// How long the link may take over things.
    pub pace: Pace,
    /// Begins the work of agents; without it none do.
    pub begin: Option<Begin>,
}

/// What the command says that a machine joins by.
#[derive(Default)]
pub struct Join {
    /// The address of home.
    pub home: Option<String>,
    /// The fingerprint of the key of the workspace.
    pub fingerprint: Option<String>,
    /// The token, which is good once.
    pub token: Option<Token>,
    /// What this machine has or is.
    pub labels: Vec<String>,
}

/// Where the token is.
pub enum Token {
    /// In the command.
    Given(Zeroizing<String>),
    /// In a file.
    File(PathBuf),
}

impl Token {
    fn read(&self) -> Result<Zeroizing<String>, ReplicaError> {
        let text = match self {
            Self::Given(text) => text.clone(),
            Self::File(path) => {
                Zeroizing::new(std::fs::read_to_string(path).map_err(ReplicaError::disk(path))?)
            }
        };
        Ok(Zeroizing::new(text.trim().to_owned()))
    }
}

/// Why a host ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The program is asked to end, and comes back.
    Stopping,
    /// The machine is a gateway no more.
    Leaving,
    /// It is not let in any more, and had keys. The caller begins anew in a process without what this one has in memory.
    ShutOut,
}

impl Ending {
    /// The word that home hears.
    fn word(self) -> &'static str {
        match self {
            Self::Stopping | Self::ShutOut => talk::STOPPING,
            Self::Leaving => "left",
        }
    }
}

/// A host. Cheap to clone.
#[derive(Clone)]
pub struct Replica(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    identity: Identity,
    mirror: Mirror,
    clock: Arc<dyn Clock>,
    pace: Pace,
    labels: Vec<String>,
    /// What the command said of home, if there was one.
    joins: Option<(String, String)>,
    token: Mutex<Option<Token>>,
    known: Mutex<Option<Known>>,
    now: Mutex<Now>,
    calls: Arc<Calls>,
    begin: Option<Begin>,
    /// Whether there is something to work with.
    is_wanted: watch::Sender<bool>,
    work: tokio::sync::Mutex<Option<Box<dyn Work>>>,
    ending: watch::Sender<Option<Ending>>,
    /// Told when it is not to wait for the next try.
    hurry: Notify,
}

impl Replica {
    /// Opens the folder of a host, whose lock the caller holds, and makes what is missing in it. Blocking.
    ///
    /// # Errors
    /// When it is a home's, belongs to another workspace than the command says, has joined none and there is no command,
    /// or cannot be read.
    pub fn open(folder: &Path, join: Join, parts: Parts) -> Result<Self, ReplicaError> {
        folder::check(folder)?;
        let known = Known::load(folder)?;
        let joins = meant(known.as_ref(), &join)?;
        folder::make(folder)?;
        let identity = Identity::load_or_create(&folder.join(folder::KEY))?;
        let store = open_store(folder, &parts)?;
        let mirror = Mirror::new(store, Arc::new(leads))?;
        let ahead = mirror.store().read(|snap| outbox::runs(snap))?.into_keys().collect();
        let since = parts.clock.now();
        let has = match mirror.standing()? {
            Standing::Following(_, seq) => seq,
            _ => 0,
        };
        let life = parts.ids.next(parts.clock.now_ms()).to_string();
        Ok(Self(Arc::new(Inner {
            folder: folder.to_owned(),
            identity,
            mirror,
            calls: Arc::new(Calls::new(life, has, Arc::clone(&parts.clock), ahead)),
            clock: parts.clock,
            pace: parts.pace,
            labels: join.labels,
            joins,
            token: Mutex::new(join.token),
            known: Mutex::new(known),
            now: Mutex::new(Now::apart(since)),
            begin: parts.begin,
            is_wanted: watch::Sender::new(false),
            work: tokio::sync::Mutex::default(),
            ending: watch::Sender::new(None),
            hurry: Notify::new(),
        })))
    }

    /// Asks it to end.
    pub fn end(&self, ending: Ending) {
        self.0.ending.send_replace(Some(ending));
    }

    /// Links now, where it waits before the next try.
    pub fn connect(&self) {
        self.0.hurry.notify_waiters();
    }

    /// Closes the store. Blocking.
    pub fn close(&self) {
        self.0.mirror.store().close();
    }

    /// Links again and again, until it is asked to end.
    ///
    /// # Errors
    /// When it has not joined yet and cannot: home refuses the token, or is another one than was named.
    pub async fn run(&self) -> Result<Ending, ReplicaError> {
        let ended = tokio::select! {
            biased;
            ended = self.links() => ended,
            () = self.works() => Ok(Ending::Stopping),
            () = self.lets_keys_go() => Ok(Ending::Stopping),
        };
        self.0.calls.close();
        self.ends_work(matches!(ended, Ok(Ending::Leaving | Ending::ShutOut))).await;
        ended
    }

    /// Lets the work of agents come to rest, while there is a link.
    pub async fn rest(&self) {
        self.ends_work(false).await;
    }

    async fn ends_work(&self, at_once: bool) {
        let work = self.0.work.lock().await.take();
        if let Some(work) = work {
            work.end(at_once).await;
        }
    }

    /// Ends what works here when home lets this machine in no more: nothing is left of programs and browsers. If it is let
    /// in after all, it is begun anew. Says whether keys may be left in the memory of this process.
    async fn ends_if_shut_out(&self, why: &Why) -> bool {
        if !SHUT_OUT_CODES.contains(&why.code.as_str()) {
            return false;
        }
        self.0.calls.forget_keys();
        self.0.is_wanted.send_replace(false);
        self.ends_work(true).await;
        self.0.calls.had_keys()
    }

    /// Begins the work of agents whenever there is something to work with; never ends.
    async fn works(&self) {
        let mut is_wanted = self.0.is_wanted.subscribe();
        loop {
            // ok, here and below: the sender is part of what is waited on, so it is there.
            let _ = is_wanted.wait_for(|is_wanted| *is_wanted).await;
            self.begins_work().await;
            if !*is_wanted.borrow() {
                // It was shut out meanwhile.
                self.ends_work(true).await;
            }
            let _ = is_wanted.wait_for(|is_wanted| !*is_wanted).await;
        }
    }

    async fn begins_work(&self) {
        if let Some(begin) = &self.0.begin {
            let upstream: Arc<dyn Upstream> = self.0.calls.clone();
            let given = Given { store: self.0.mirror.store().clone(), upstream };
            match begin(given).await {
                Ok(work) => *self.0.work.lock().await = Some(work),
                Err(words) => {
                    tracing::error!("agents cannot work here: {words}");
                    self.0.now.lock().trouble = Some(words);
                }
            }
        }
    }

    /// Drops keys and secrets once the line has been cut for so long that no run here may spend anything; never ends.
    async fn lets_keys_go(&self) {
        loop {
            tokio::time::sleep(LOOKS).await;
            if !self.0.calls.keeps_keys_alone() {
                continue;
            }
            let store = self.0.mirror.store().clone();
            let read = move || store.read(|snap| grants::longest(snap));
            let span = match tokio::task::spawn_blocking(read).await {
                Ok(Ok(span)) => span,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "it cannot be read how long keys may be kept");
                    None
                }
                Err(_) => None,
            };
            // Without a grant: as long as one holds unless somebody chooses otherwise.
            let span = span.unwrap_or_else(|| grants::span(CUT_HOURS));
            if self.0.calls.drop_keys_after(span) {
                tracing::warn!("{KEYS_GONE}");
            }
        }
    }

    async fn links(&self) -> Result<Ending, ReplicaError> {
        let mut backoff = Backoff::default();
        loop {
            let reached = tokio::select! {
                biased;
                ending = self.asked() => return Ok(ending),
                reached = self.reach() => reached,
            };
            let why = match reached {
                Ok(linked) => {
                    backoff.linked(self.0.clock.passed());
                    match self.converse(linked).await {
                        Ok(ending) => return Ok(ending),
                        Err(why) => why,
                    }
                }
                Err(error) if self.is_final(&error) => return Err(error),
                Err(error) => Why::of(&error),
            };
            self.cut_off(&why);
            if self.ends_if_shut_out(&why).await {
                return Ok(Ending::ShutOut);
            }
            let pause = backoff.pause(self.0.clock.passed(), net::retry::random(), why.wait);
            tokio::select! {
                biased;
                ending = self.asked() => return Ok(ending),
                () = self.0.hurry.notified() => backoff = Backoff::default(),
                () = net_changes(), if why.wait.is_none() => backoff = Backoff::default(),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Leaves while nobody runs it: tells home, as far as that is possible. What lies in the folder is removed by
    /// [`folder::forget`].
    ///
    /// # Errors
    /// When home could not be told.
    pub async fn say_goodbye(&self) -> Result<(), ReplicaError> {
        if self.known().is_none() {
            return Ok(());
        }
        let linked = self.reach().await?;
        self.end(Ending::Leaving);
        match self.converse(linked).await {
            Ok(_) => Ok(()),
            Err(_) => Err(LinkError::Cut.into()),
        }
    }

    /// Waits until it is asked to end.
    async fn asked(&self) -> Ending {
        let mut ending = self.0.ending.subscribe();
        match ending.wait_for(Option::is_some).await.map(|ending| *ending) {
            Ok(Some(ending)) => ending,
            // ok: the sender is part of what is waited on, so it is there.
            Ok(None) | Err(_) => Ending::Stopping,
        }
    }

    fn known(&self) -> Option<Known> {
        self.0.known.lock().clone()
    }

    fn keep(&self, known: Known) -> Result<(), ReplicaError> {
        if self.known().as_ref() != Some(&known) {
            known.save(&self.0.folder)?;
            *self.0.known.lock() = Some(known);
        }
        Ok(())
    }

    /// Whether it is of no use to try again: somebody has to look at the command.
    fn is_final(&self, error: &ReplicaError) -> bool {
        if self.known().is_some() {
            return false;
        }
        match error {
            ReplicaError::Link(LinkError::Refused(refusal)) => refusal.wait.is_none(),
            ReplicaError::Link(LinkError::OtherHome { .. } | LinkError::BadAddress { .. })
            | ReplicaError::NoSuchHome { .. }
            | ReplicaError::NoToken
            | ReplicaError::NotJoined
            | ReplicaError::Disk { .. } => true,
            _ => false,
        }
    }

    /// Notes that there is no link, and why.
    fn cut_off(&self, why: &Why) {
        tracing::warn!("no link to the workspace: {}", why.sentence);
        self.0.now.lock().cut(self.0.clock.now(), why.clone());
    }

    /// Links to home: as the gateway that it is, else with the token.
    async fn reach(&self) -> Result<Linked, ReplicaError> {
        let Some(known) = self.known() else { return self.join().await };
        let home = match &self.0.joins {
            Some((home, _)) => home.clone(),
            None => known.home.clone(),
        };
        let purpose = Purpose::Known { gateway: known.gateway };
        match self.knock(&home, &Pin::Key(known.key), purpose).await {
            Ok(linked) => {
                let label = linked.admitted.label.clone();
                self.keep(Known { home, label, ..known })?;
                folder::forget_token(&self.0.folder)?;
                Ok(linked)
            }
            // It was removed there. A new command makes a new gateway of it, with the same key.
            Err(ReplicaError::Link(LinkError::Refused(refusal)))
                if refusal.code == "unknown_gateway" && self.has_token() =>
            {
                self.join().await
            }
            Err(error) => Err(error),
        }
    }

    fn has_token(&self) -> bool {
        match &*self.0.token.lock() {
            Some(Token::File(path)) => path.exists(),
            Some(Token::Given(_)) => true,
            None => false,
        }
    }

    /// Joins with the token. It is used up by that, and forgotten.
    async fn join(&self) -> Result<Linked, ReplicaError> {
        let (home, print) = self.0.joins.clone().ok_or(ReplicaError::NotJoined)?;
        let token = match &*self.0.token.lock() {
            Some(token) => token.read()?,
            None => return Err(ReplicaError::NoToken),
        };
        let pin = Pin::Fingerprint(print.clone());
        let linked = match self.knock(&home, &pin, Purpose::Join { token }).await {
            Err(ReplicaError::Link(LinkError::NoSocket { status: 404, .. })) => {
                return Err(ReplicaError::NoSuchHome { home, fingerprint: print });
            }
            other => other?,
        };
        self.keep(Known {
            home: home.clone(),
            key: linked.home,
            gateway: linked.admitted.gateway,
            label: linked.admitted.label.clone(),
            epoch: None,
        })?;
        *self.0.token.lock() = None;
        folder::forget_token(&self.0.folder)?;
        tracing::info!("joined {home} as {}", linked.admitted.label);
        Ok(linked)
    }

    async fn knock(&self, home: &str, pin: &Pin, purpose: Purpose) -> Result<Linked, ReplicaError> {
        let print = match pin {
            Pin::Key(key) => key.fingerprint(),
            Pin::Fingerprint(print) => print.clone(),
        };
        let trust = trust(home).await?;
        let address = match &purpose {
            Purpose::Known { gateway } => link::address_of(home, &print, *gateway),
            Purpose::Join { .. } => link::address(home, &print),
        };
        let carrier = link::connect(&address, &trust, self.0.pace).await?;
        let facts = facts::facts(&self.0.folder, &self.0.labels);
        let knock = Knock {
            identity: &self.0.identity,
            pin,
            purpose,
            facts: &facts,
            version: VERSION,
            pace: self.0.pace,
        };
        Ok(link::knock(carrier, knock).await?)
    }

    /// When it is.
    fn moment(&self) -> Timestamp {
        self.0.clock.now()
    }
}

/// Runs that went on here while the line was cut, and their conversations, are ahead of home until it has heard all.
fn leads(read: &dyn Read, at: &At) -> Result<bool, StoreError> {
    match [RUNS.number, SESSIONS.number].contains(&at.table) {
        true => outbox::leads(read, &at.key),
        false => Ok(false),
    }
}

/// The home that the command means; nothing where there is none. What is known already holds.
fn meant(known: Option<&Known>, join: &Join) -> Result<Option<(String, String)>, ReplicaError> {
    let print = join.fingerprint.as_deref().map(link::grouped);
    let home = join.home.as_deref().map(|home| home.trim().trim_end_matches('/').to_owned());
    match (known, home) {
        (None, None) => Err(ReplicaError::NotJoined),
        (Some(_), None) => Ok(None),
        (None, Some(home)) => match print {
            None => Err(ReplicaError::NoFingerprint),
            Some(_) if join.token.is_none() => Err(ReplicaError::NoToken),
            Some(print) => Ok(Some((home, print))),
        },
        (Some(known), Some(home)) => match print {
            Some(print) if !known.key.is(&print) => Err(ReplicaError::Elsewhere {
                home: known.home.clone(),
                fingerprint: known.key.fingerprint(),
            }),
            _ => Ok(Some((home, known.key.fingerprint()))),
        },
    }
}

/// The roots for an address: they are read for each link, so that an idle host keeps none.
async fn trust(home: &str) -> Result<Trust, LinkError> {
    if !home.starts_with("https://") && !home.starts_with("wss://") {
        return Trust::nobody();
    }
    let read = tokio::task::spawn_blocking(Trust::system).await;
    read.unwrap_or_else(|error| Err(LinkError::Roots { detail: error.to_string() }))
}

/// Opens the mirror. One that cannot be read any more comes anew from home; it is set aside, because home may not have heard
/// yet what was written in it.
fn open_store(folder: &Path, parts: &Parts) -> Result<Store, ReplicaError> {
    let options = || Options {
        path: folder.join(folder::STORE),
        schema: (parts.schema)().mirrored(),
        cache: CACHE,
        clock: Arc::clone(&parts.clock),
        ids: Arc::clone(&parts.ids),
        reactor: None,
        faults: Arc::clone(&parts.faults),
    };
    match Store::open(options()) {
        Err(
            error @ (StoreError::Format { .. }
            | StoreError::Damaged(_)
            | StoreError::Lost { .. }
            | StoreError::Decode(_)),
        ) => {
            tracing::warn!(%error, "what this machine had of the workspace cannot be read; it comes anew");
            folder::set_aside(folder, parts.clock.now_ms())?;
            Ok(Store::open(options())?)
        }
        opened => Ok(opened?),
    }
}

/// Waits until the machine has other networks than at the beginning.
async fn net_changes() {
    let before = facts::networks();
    loop {
        tokio::time::sleep(NETWORKS).await;
        if facts::networks() != before {
            tracing::info!("the networks of this machine have changed");
            return;
        }
    }
}

/// How long to wait at least before the next try.
fn wait_after(error: &ReplicaError) -> Option<Duration> {
    match error {
        ReplicaError::Link(LinkError::Refused(refusal)) => {
            let own = if refusal.code == Refusal::WIRE { AT_ODDS } else { SHUT_OUT };
            Some(refusal.wait.unwrap_or(own))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{GatewayId, TypedId as _};

    fn known() -> Known {
        Known {
            home: "https://hq.example.com".into(),
            key: Identity::generate().public(),
            gateway: GatewayId::from_bytes([9; 16]),
            label: "GPU".into(),
            epoch: None,
        }
    }

    fn join(home: &str, print: Option<&str>, token: bool) -> Join {
        Join {
            home: Some(home.into()),
            fingerprint: print.map(str::to_owned),
            token: token.then(|| Token::Given(Zeroizing::new("hq_gw_x".to_owned()))),
            labels: Vec::new(),
        }
    }

    #[test]
    fn a_command_that_says_too_little_is_told_what_is_missing() {
        let code = |known: Option<&Known>, join: &Join| {
            meant(known, join).map_err(|error| error.code().to_owned())
        };
        assert_eq!(code(None, &Join::default()), Err("not_joined".into()));
        let home = "https://hq.example.com/";
        assert_eq!(code(None, &join(home, None, true)), Err("no_fingerprint".into()));
        assert_eq!(code(None, &join(home, Some("abcd"), false)), Err("no_token".into()));
        let right = Ok(Some(("https://hq.example.com".to_owned(), "ABCD-EF".to_owned())));
        assert_eq!(code(None, &join(home, Some("ab cd-ef"), true)), right);
    }

    #[test]
    fn what_was_joined_holds_and_may_move_to_another_address() {
        let known = known();
        assert_eq!(meant(Some(&known), &Join::default()).unwrap(), None);
        let print = known.key.fingerprint();
        let moved =
            meant(Some(&known), &join("http://10.0.0.7", Some(&print.to_lowercase()), false));
        assert_eq!(moved.unwrap(), Some(("http://10.0.0.7".to_owned(), print)));
        let other = meant(Some(&known), &join("http://10.0.0.7", Some("ABCD"), true)).unwrap_err();
        assert_eq!(other.code(), "joined_elsewhere");
    }

    #[test]
    fn who_is_not_let_in_waits_and_who_is_cut_off_does_not() {
        let refused = |code| ReplicaError::Link(LinkError::Refused(Refusal::new(code, "No.")));
        assert_eq!(wait_after(&refused("gateway_revoked")), Some(SHUT_OUT));
        assert_eq!(wait_after(&refused(Refusal::WIRE)), Some(AT_ODDS));
        assert_eq!(wait_after(&LinkError::Cut.into()), None);
    }
}

#[cfg(test)]
mod simulate_tests;
