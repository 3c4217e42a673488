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

/// How often it is looked whether keys are still to be kept.
const LOOKS: Duration = Duration::from_secs(60);
/// How often it is looked, while there is no link, whether the machine has other networks.
const NETWORKS: Duration = Duration::from_secs(2);
/// The page cache of the mirror.
const CACHE: usize = 2 << 20;

/// Something that goes on.
pub type Boxed<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What works here for the agents of a host.
pub trait Work: Send + Sync {
    /// Lets it come to rest: what is begun is put back, while there is a link. At once: programs and browsers are ended
    /// first, as this machine may do nothing for the workspace any more.
    fn end(&self, at_once: bool) -> Boxed<'_, ()>;
}

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

pub enum Token {
    /// In the command.
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
    /// Names this start of the program.
    life: String,
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
            // Before the status says that it is held, since that names the copy.
            self.note_that_there_are_two(&why.code);
            self.cut_off(&why);
            if self.ends_if_not_let_in(&why).await {
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
        // One that was not chosen would say it in the name of the other.
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

    /// Notes that there is no link, and why. The log warns once of a reason that lasts.
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

/// Runs that went on here while the line was cut, and their conversations, are ahead of home until it has heard all.
fn leads(read: &dyn Read, at: &At) -> Result<bool, StoreError> {
    match [RUNS.number, SESSIONS.number].contains(&at.table) {
        true => outbox::leads(read, &at.key),
        false => Ok(false),
    }
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

#[cfg(test)]
mod simulate_tests;
