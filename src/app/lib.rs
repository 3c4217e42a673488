//! `App`, what the process has once, and `Ws`, one open workspace.
//!
//! Both are cheap to clone. Handlers, tools and the engine take a `Ws`, never a global store.

pub mod accounts;
pub mod browsers;
pub mod base64_serde;
pub mod config;
pub mod consumers;
pub mod copies;
pub mod downstream;
mod extract;
pub mod finding;
pub mod hosts;
pub mod inputs;
pub mod jobs;
pub mod cache;
pub mod challenges;
pub mod limits;
pub mod live;
pub mod meaning;
pub mod passwords;
pub mod paths;
mod panics;
pub mod proofs;
pub mod tickets;
pub mod troubles;
pub mod upstream;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::config::Config;
use crate::live::Hub;
use backup::{BackupError, Desk, Manifest, Meter, Repository};
use browser::fleet::Browsers;
use crypto::keyring::Keyring;
use crypto::redact::Redactor;
use git::{AgentsRepo, GitError};
use kernel::id::IdSource;
use kernel::{
    AccountId, Actor, Cause, Clock, Timestamp, TypedId as _, WorkspaceId, WorkspaceState,
};
use net::client::HttpClient;
use sandbox::spawn::Spawner;
use store::{Blobs, Faults, Opening, Pending, Snap, Store, StoreError, WriteTx};

pub use panics::blocking;

/// A task of the async runtime, handed to the supervised spawner.
pub type BoxTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts named tasks; `server` gives one that supervises them.
pub type Spawn = Arc<dyn Fn(&'static str, BoxTask) + Send + Sync>;

/// What begins when a workspace is opened; `server` gives it.
pub type OnOpen = Arc<dyn Fn(&Ws) + Send + Sync>;

/// Told what takes long while a store is opened: the name of its folder or file, and what.
pub type OpenProgress = Arc<dyn Fn(&str, Opening) + Send + Sync>;
/// Restores a backup into a folder, opens what is there, checks it and removes it; `server` gives
/// it, since it knows all records. Says what was found.
pub type Rehearse =
    Arc<dyn Fn(&Repository, &Manifest, &Path, &Meter) -> Result<String, BackupError> + Send + Sync>;

/// What the process has once.
#[derive(Clone)]
pub struct App(Arc<AppParts>);

/// The parts of an [`App`].
pub struct AppParts {
    /// Bootstrap settings.
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
    /// Told what takes long while a store is opened: which one, and what.
    pub onlooker: OpenProgress,
    /// What may happen to disks; nothing is injected in the program.
    pub faults: Arc<dyn Faults>,
    /// Accounts, sign-ins, tokens, the list of workspaces.
    pub system: Store,
    /// Seals and opens secrets.
    pub keyring: Arc<Keyring>,
    /// Takes live secrets out of text.
    pub redactor: Arc<Redactor>,
    /// Makes requests to the outside.
    pub http: HttpClient,
    /// Starts the programs of agents, in the jail.
    pub sandbox: Spawner,
    /// How long practice pauses between two words; zero in tests.
    pub practice_pause: Duration,
    /// How long an answer looks for what is rare before it says where to go on; zero in tests.
    pub look: Duration,
    /// Hashes passwords.
    pub hasher: Arc<passwords::Hasher>,
    /// How often somebody may do something.
    pub limiter: limits::Limiter,
    /// Long pieces of work that somebody asked for.
    pub jobs: jobs::Jobs,
    /// The durable consumers of the feed.
    pub consumers: consumers::Consumers,
    /// Held by whoever writes a search index, with the one whose writer may still be open.
    pub indexing: tokio::sync::Mutex<Option<search::Search>>,
    /// The browsers of agents.
    pub browsers: Browsers,
    /// Opens the ways out of browsers; the engine gives it.
    pub open_way: browsers::OpenWay,
    /// Tickets for those who watch them.
    pub tickets: tickets::Tickets,
    /// The hosts that are linked.
    pub hosts: hosts::Hosts,
    /// The model that search by meaning uses.
    pub meaning: meaning::Meaning,
    /// Accounts that people signed in to at providers.
    pub accounts: accounts::Accounts,
    /// What browsers' devices are asked.
    pub challenges: challenges::Challenges,
    /// Which browsers have proved a moment ago whose they are.
    pub proofs: proofs::Proofs,
    /// The backup that is being made, if one is.
    pub backups: Desk,
    /// How a restore is tried.
    pub rehearse: Rehearse,
    /// Starts supervised tasks.
    pub spawn: Spawn,
    /// Set when the program is to end.
    pub stopping: CancellationToken,
    /// Set before that, and with it at the latest: what is under way may end, and no work is begun.
    pub closing: CancellationToken,
    /// Raised when a test moves the clock: timers look again.
    pub clock_moved: Notify,
    /// Open workspaces by slug.
    pub workspaces: RwLock<Vec<Ws>>,
    /// Workspaces that are here and cannot be opened.
    pub broken: RwLock<Vec<Broken>>,
    /// Whether the data folder is where it was.
    pub anchor: Box<dyn DataDirGuard>,
    /// Held by whoever adds or takes away a workspace.
    pub list_turn: tokio::sync::Mutex<()>,
    /// Held by whoever closes an account or takes away an owner: whether a workspace keeps one that
    /// can sign in is told by two stores.
    pub people_turn: tokio::sync::Mutex<()>,
    /// What begins when a workspace is opened.
    pub on_open: RwLock<Option<OnOpen>>,
}

/// What the program stands on: its data folder.
pub trait DataDirGuard: Send + Sync {
    /// Whether it is still the folder that was opened; once it was not, never again.
    fn is_here(&self) -> bool;
}

/// A workspace that cannot be opened.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Its name in addresses, which is the name of its folder.
    pub slug: String,
    /// Why, and, where no backup brings it back, what to do.
    pub reason: String,
    /// Whether a backup brings it back.
    pub restore: bool,
    /// Accounts that belonged to it when that was looked at last.
    pub people: Vec<AccountId>,
}

/// Whether a workspace is worked in, and until when it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is worked in.
    pub state: WorkspaceState,
    /// When it goes, if it is to be deleted.
    pub delete_after: Option<Timestamp>,
}

impl Default for Standing {
    fn default() -> Self {
        Self { state: WorkspaceState::Active, delete_after: None }
    }
}

impl std::ops::Deref for App {
    type Target = AppParts;
    fn deref(&self) -> &AppParts {
        &self.0
    }
}

impl App {
    /// Shares the parts.
    #[must_use]
    pub fn new(parts: AppParts) -> Self {
        Self(Arc::new(parts))
    }

    /// An open workspace by its slug.
    #[must_use]
    pub fn workspace(&self, slug: &str) -> Option<Ws> {
        self.workspaces.read().iter().find(|ws| ws.slug == slug).cloned()
    }

    /// Whether the data folder is still the one that was opened.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.anchor.is_here()
    }

    /// The workspace of this slug, if it is here and cannot be opened.
    #[must_use]
    pub fn broken_workspace(&self, slug: &str) -> Option<Broken> {
        self.broken.read().iter().find(|broken| broken.slug == slug).cloned()
    }

    /// An open workspace by its id.
    #[must_use]
    pub fn workspace_by_id(&self, id: WorkspaceId) -> Option<Ws> {
        self.workspaces.read().iter().find(|ws| ws.id == id).cloned()
    }

    /// What each open workspace answers. One that was closed while it was asked is none of them any more.
    ///
    /// # Errors
    /// When the disk fails, or the program ends.
    pub fn ask_each<T>(
        &self,
        ask: impl Fn(&Ws) -> Result<T, StoreError>,
    ) -> Result<Vec<(Ws, T)>, StoreError> {
        let all: Vec<Ws> = self.workspaces.read().clone();
        let mut answers = Vec::with_capacity(all.len());
        for ws in all {
            match ask(&ws) {
                Ok(answer) => answers.push((ws, answer)),
                Err(StoreError::Closed)
                    if !self.stopping.is_cancelled() && self.workspace_by_id(ws.id).is_none() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// Takes in a workspace that was opened just now.
    pub fn add_workspace(&self, ws: &Ws) {
        self.workspaces.write().push(ws.clone());
        self.begin_work(ws);
    }

    /// Forgets an open workspace; its store stays open until it is closed.
    pub fn drop_workspace(&self, id: WorkspaceId) {
        self.workspaces.write().retain(|ws| ws.id != id);
    }

    /// Lets agents work in a workspace, if it is active.
    pub fn begin_work(&self, ws: &Ws) {
        let begin = self.on_open.read().clone();
        if let Some(begin) = begin.filter(|_| ws.is_active()) {
            begin(ws);
        }
    }

    /// Waits until the clock has reached a moment; a test that moves the clock is noticed. When the
    /// clock is set back meanwhile, no more is left to wait than before.
    pub async fn sleep_until(&self, at: Timestamp) {
        self.sleep_from(self.clock.now(), at).await;
    }

    /// As [`App::sleep_until`], by a clock that was looked at a while ago.
    pub async fn sleep_from(&self, mut seen: Timestamp, mut at: Timestamp) {
        loop {
            // Registered before the clock is read, so that a move in between is not missed.
            let moved = self.clock_moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let now = self.clock.now();
            if now < seen {
                at -= seen.duration_since(now);
            }
            seen = now;
            let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = moved => {}
            }
        }
    }

    /// Does something to its end, also when whoever asked for it goes away meanwhile.
    ///
    /// # Errors
    /// When a bug ended it.
    pub async fn see_through<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let work = work.in_current_span();
        self.spawn(name, async move {
            // ok: nobody waits for it any more.
            let _ = tell.send(work.await);
        });
        told.await.map_err(|_| StoreError::Panicked(format!("{name} was not brought to its end")))
    }

    /// Starts a supervised task.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        (self.0.spawn)(name, Box::pin(task));
    }
}

/// Who does something and why: what `Ws::write` needs to know.
pub trait Who {
    fn actor(&self) -> Actor;
    fn cause(&self) -> Cause;
}

impl Who for (Actor, Cause) {
    fn actor(&self) -> Actor {
        self.0
    }
    fn cause(&self) -> Cause {
        self.1
    }
}

/// One open workspace.
#[derive(Clone)]
pub struct Ws(Arc<WsParts>);

/// The parts of a [`Ws`].
pub struct WsParts {
    /// The program.
    pub app: App,
    pub id: WorkspaceId,
    /// Its name in addresses; never changes.
    pub slug: String,
    pub folder: PathBuf,
    /// All its records.
    pub store: Store,
    pub blobs: Blobs,
    /// Running text.
    pub live: Hub,
    /// One lock for each file path that is being written.
    pub paths: paths::PathLocks,
    /// The agents' repository, opened at first use through [`Ws::repo`].
    pub repo: OnceLock<AgentsRepo>,
    /// Its own work, which can be halted without the program.
    pub work: Work,
    /// Its people, as requests of all of them ask for them.
    pub people: cache::Cache,
    /// How many tasks its views hold, as pages ask for it again and again.
    pub numbers: cache::Numbers,
    /// Its search index, made when the first text arrives or somebody asks.
    pub finding: finding::Finding,
    /// The vectors of its passages.
    pub vectors: meaning::Vectors,
    /// What its programs that go on read.
    pub inputs: inputs::Inputs,
    /// What was seen last of files of agents on other machines.
    pub looks: downstream::Looks,
    /// The way to home, where this is what a host has of a workspace.
    pub upstream: Option<Arc<dyn upstream::Upstream>>,
}

/// What goes on in a workspace by itself, and whether it may.
pub struct Work {
    standing: RwLock<Standing>,
    halt: RwLock<CancellationToken>,
    tasks: TaskTracker,
    /// What is being done with the workspace as a whole, for people.
    shown: Arc<RwLock<Option<&'static str>>>,
}

/// What is being done with a workspace is shown until this is dropped.
pub struct Shown(Arc<RwLock<Option<&'static str>>>);

impl Drop for Shown {
    fn drop(&mut self) {
        *self.0.write() = None;
    }
}

impl Work {
    /// Nothing yet; it ends with the program.
    #[must_use]
    pub fn new(stopping: &CancellationToken) -> Self {
        Self {
            standing: RwLock::default(),
            halt: RwLock::new(stopping.child_token()),
            tasks: TaskTracker::new(),
            shown: Arc::default(),
        }
    }
}

impl std::ops::Deref for Ws {
    type Target = WsParts;
    fn deref(&self) -> &WsParts {
        &self.0
    }
}

impl Ws {
    /// Shares the parts.
    #[must_use]
    pub fn new(parts: WsParts) -> Self {
        Self(Arc::new(parts))
    }

    /// The address of a page of this workspace: `url("tasks")` is `/w/acme/tasks`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("/w/{}/{path}", self.slug)
    }

    /// Whether it is worked in, and until when it is kept.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.work.standing.read()
    }

    /// Says whether it is worked in; what it means for the work, the caller sees to.
    pub fn stand(&self, standing: Standing) {
        *self.work.standing.write() = standing;
    }

    /// Whether it is worked in.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.standing().state == WorkspaceState::Active
    }

    /// Shows people what is being done with the workspace as a whole, until the guard goes.
    #[must_use]
    pub fn shows(&self, what: &'static str) -> Shown {
        *self.work.shown.write() = Some(what);
        Shown(Arc::clone(&self.work.shown))
    }

    /// What is being done with the workspace as a whole right now.
    #[must_use]
    pub fn shown(&self) -> Option<&'static str> {
        *self.work.shown.read()
    }

    /// Why nothing changes here, for a workspace that nobody works in.
    #[must_use]
    pub fn closed_words(&self) -> Option<String> {
        let Standing { state, delete_after } = self.standing();
        let until = delete_after.map(|at| at.strftime("%-d %B %Y, %H:%M UTC").to_string());
        match state {
            WorkspaceState::Active => None,
            WorkspaceState::Archived => Some(
                "this workspace is archived and nothing in it changes; an owner can bring it back \
                 in its general settings"
                    .to_owned(),
            ),
            WorkspaceState::Deleting => Some(format!(
                "this workspace will be deleted on {} and nothing in it changes; an owner can keep \
                 it in its general settings",
                until.unwrap_or_default()
            )),
        }
    }

    /// Set when the program ends or the workspace is archived: its work stops at the next step.
    #[must_use]
    pub fn halt(&self) -> CancellationToken {
        self.work.halt.read().clone()
    }

    /// Starts a task of its own work, which [`Ws::rest`] waits for.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.app.spawn(name, self.work.tasks.track_future(task));
    }

    /// Halts its work and waits, at most so long, until it has come to rest. Says whether it has.
    pub async fn rest(&self, patience: Duration) -> bool {
        self.halt().cancel();
        self.work.tasks.close();
        let rested = tokio::time::timeout(patience, self.work.tasks.wait()).await.is_ok();
        self.work.tasks.reopen();
        self.app.browsers.forget_of(self.id.uuid()).await;
        rested
    }

    /// Lets work begin again after a rest.
    pub fn wake(&self) {
        *self.work.halt.write() = self.app.stopping.child_token();
    }

    /// The agents' repository. Blocking: call from `spawn_blocking`.
    ///
    /// # Errors
    /// When it cannot be opened or made.
    pub fn repo(&self) -> Result<&AgentsRepo, GitError> {
        if let Some(repo) = self.repo.get() {
            return Ok(repo);
        }
        // One after the other: opening takes what lies half made for left over, also what another is making now.
        static OPENING: Mutex<()> = Mutex::new(());
        let _alone = OPENING.lock();
        if let Some(repo) = self.repo.get() {
            return Ok(repo);
        }
        let repo = AgentsRepo::open_or_init(&self.folder.join("agents.git"))?;
        Ok(self.repo.get_or_init(|| repo))
    }

    #[must_use]
    pub fn agent_folder(&self, slug: &str) -> PathBuf {
        self.folder.join("agents").join(slug).join("files")
    }

    /// Where the programs of agents keep what HQ reads: their output, the marks of their sessions.
    /// It lies outside of everything that a program may write to.
    #[must_use]
    pub fn jobs_folder(&self) -> PathBuf {
        self.folder.join("jobs")
    }

    /// The scratch folder of an agent: temporary files of its programs; never in its commits.
    #[must_use]
    pub fn agent_scratch(&self, slug: &str) -> PathBuf {
        self.folder.join("agents").join(slug).join("scratch")
    }

    /// Runs a transaction as somebody.
    pub fn write<T, E>(
        &self,
        who: &dyn Who,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Pending<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.store.write(who.actor(), who.cause(), body)
    }

    /// Reads on a snapshot.
    pub fn read<T, E: From<StoreError>>(
        &self,
        body: impl FnOnce(&Snap<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.store.read(body)
    }

    /// Does what reads for long on a thread that may block, so that nobody else waits for it.
    ///
    /// # Errors
    /// What the body answers, or that it ended early.
    pub fn read_blocking<T, E>(
        &self,
        body: impl FnOnce(&Self) -> Result<T, E> + Send + 'static,
    ) -> Pending<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let ws = self.clone();
        let (job, slot) = panics::into_slot(move || body(&ws));
        Pending::new(panics::read_blocking(job), slot)
    }
}
