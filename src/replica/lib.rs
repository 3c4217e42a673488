//! This machine as a *host* of a remote workspace: it mirrors what its agents need and reports its state. The host
//! always connects to the primary, never the reverse. `mirror` defines what is replicated, `link` the connection.
//!
//! [`Replica::open`] opens the folder. [`Replica::run`] links again and again until it is asked to end. A cut link
//! loses nothing: data is durable before it is acknowledged, and the primary continues from there at the next link.

pub mod doctor;
pub mod error;
pub mod folder;
pub mod status;

mod calls;
mod drain;
mod facts;
mod reach;
mod shut_out;
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
use link::{Backoff, Identity, LinkError};
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
use reach::meant;
use status::{Now, Why};

/// Interval for checking whether keys may be kept.
const LOOKS: Duration = Duration::from_secs(60);
/// Interval of checks for network changes while there is no link.
const NETWORKS: Duration = Duration::from_secs(2);
/// Page cache of the mirror, in bytes.
const CACHE: usize = 2 << 20;

/// A boxed future.
pub type Boxed<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The running engine for the agents of a host.
pub trait Work: Send + Sync {
    /// Stops the engine: runs are requeued while there is a link. With `at_once`, programs and browsers are ended
    /// first, because this host may do nothing more for the workspace.
    fn end(&self, at_once: bool) -> Boxed<'_, ()>;
}

pub struct Given {
    /// The mirror.
    pub store: Store,
    /// The link to the primary.
    pub upstream: Arc<dyn Upstream>,
}

/// Starts the engine; provided by the program. Called only once an agent works here.
pub type Begin = Arc<dyn Fn(Given) -> Boxed<'static, Result<Box<dyn Work>, String>> + Send + Sync>;

/// The dependencies of a host.
#[derive(Clone)]
pub struct Parts {
    /// The tables of a workspace.
    pub schema: fn() -> Schema,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    /// Injected disk faults; none in production.
    pub faults: Arc<dyn Faults>,
    /// The timeouts of the link.
    pub pace: Pace,
    /// Starts the engine; `None` for a host without one.
    pub begin: Option<Begin>,
}

/// The arguments of the join command.
#[derive(Default)]
pub struct Join {
    /// The address of the primary.
    pub home: Option<String>,
    /// The fingerprint of the workspace's key.
    pub fingerprint: Option<String>,
    /// A token that can be used once.
    pub token: Option<Token>,
    /// Labels of this machine.
    pub labels: Vec<String>,
}

pub enum Token {
    /// On the command line.
    Given(Zeroizing<String>),
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
    /// The program stops and will come back.
    Stopping,
    /// The machine is no longer a gateway.
    Leaving,
    /// The host is shut out and had keys. The caller must restart in a new process, whose memory has none of them.
    ShutOut,
}

impl Ending {
    /// The goodbye word to the primary.
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
    /// The id of this process start.
    life: String,
    mirror: Mirror,
    clock: Arc<dyn Clock>,
    pace: Pace,
    labels: Vec<String>,
    /// The primary's address and fingerprint in the join command.
    joins: Option<(String, String)>,
    token: Mutex<Option<Token>>,
    known: Mutex<Option<Known>>,
    now: Mutex<Now>,
    calls: Arc<Calls>,
    begin: Option<Begin>,
    /// Whether the engine is needed.
    is_wanted: watch::Sender<bool>,
    work: tokio::sync::Mutex<Option<Box<dyn Work>>>,
    ending: watch::Sender<Option<Ending>>,
    /// Interrupts the delay before the next attempt.
    hurry: Notify,
}

impl Replica {
    /// Opens the folder of a host, and creates missing files. The caller holds the folder's lock. Blocking.
    ///
    /// # Errors
    /// If the folder is a primary's, belongs to another workspace than `join`, has joined none and `join` is empty, or
    /// cannot be read.
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
            life: life.clone(),
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

    /// Asks the host to end.
    pub fn end(&self, ending: Ending) {
        self.0.ending.send_replace(Some(ending));
    }

    /// Connects now instead of waiting for the next attempt.
    pub fn connect(&self) {
        self.0.hurry.notify_waiters();
    }

    /// Closes the store. Blocking.
    pub fn close(&self) {
        self.0.mirror.store().close();
    }

    /// Links again and again, until the host is asked to end.
    ///
    /// # Errors
    /// If the host cannot join: the primary refuses the token, or has another key.
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

    /// Stops the engine while there is a link.
    pub async fn rest(&self) {
        self.ends_work(false).await;
    }

    async fn ends_work(&self, at_once: bool) {
        let work = self.0.work.lock().await.take();
        if let Some(work) = work {
            work.end(at_once).await;
        }
    }

    /// Runs the engine whenever it is needed; never returns.
    async fn works(&self) {
        let mut is_wanted = self.0.is_wanted.subscribe();
        loop {
            // ok, here and below: the sender outlives this wait.
            let _ = is_wanted.wait_for(|is_wanted| *is_wanted).await;
            self.begins_work().await;
            if !*is_wanted.borrow() {
                // The host was shut out meanwhile.
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

    /// Drops keys and secrets once the link has been down so long that no run may spend anything; never returns.
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
            // Without a grant: the default duration of grants.
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
                ending = self.until_ending() => return Ok(ending),
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
            // Noted before the status changes, because the status names the copy.
            self.note_that_there_are_two(&why.code);
            self.cut_off(&why);
            if self.ends_if_not_let_in(&why).await {
                return Ok(Ending::ShutOut);
            }
            let pause = backoff.pause(self.0.clock.passed(), net::retry::random(), why.wait);
            tokio::select! {
                biased;
                ending = self.until_ending() => return Ok(ending),
                () = self.0.hurry.notified() => backoff = Backoff::default(),
                () = net_changes(), if why.wait.is_none() => backoff = Backoff::default(),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Leaves the workspace while no program runs the host: says goodbye to the primary if possible. [`folder::forget`]
    /// removes the files.
    ///
    /// # Errors
    /// If the primary could not be reached.
    pub async fn say_goodbye(&self) -> Result<(), ReplicaError> {
        // A copy that was not chosen would say goodbye in the other's name.
        if self.known().is_none_or(|known| known.is_refused) {
            return Ok(());
        }
        let linked = self.reach().await?;
        self.end(Ending::Leaving);
        match self.converse(linked).await {
            Ok(_) => Ok(()),
            Err(_) => Err(LinkError::Cut.into()),
        }
    }

    /// Waits until the host is asked to end.
    async fn until_ending(&self) -> Ending {
        let mut ending = self.0.ending.subscribe();
        match ending.wait_for(Option::is_some).await.map(|ending| *ending) {
            Ok(Some(ending)) => ending,
            // ok: the sender outlives this wait.
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

    /// Records that there is no link, and why. Warns once per reason.
    fn cut_off(&self, why: &Why) {
        let is_new = self.0.now.lock().cut(self.0.clock.now(), why.clone());
        match is_new {
            true => tracing::warn!("no link to the workspace: {}", why.sentence),
            false => tracing::debug!("no link to the workspace: {}", why.sentence),
        }
    }

    fn moment(&self) -> Timestamp {
        self.0.clock.now()
    }
}

/// Rows of runs that continued offline, and of their sessions, are ahead of the primary until it has received
/// everything.
fn leads(read: &dyn Read, at: &At) -> Result<bool, StoreError> {
    match [RUNS.number, SESSIONS.number].contains(&at.table) {
        true => outbox::leads(read, &at.key),
        false => Ok(false),
    }
}

/// Opens the mirror. An unreadable mirror is replaced by a new one and set aside, because it may contain writes that
/// the primary has not received.
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

/// Waits until the networks of the machine change.
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

#[cfg(test)]
mod simulate_tests;
