//! [`App`] holds the parts that exist once per process, [`Ws`] those of one open workspace.
//!
//! Both are cheap to clone. Handlers, tools and the engine receive a `Ws`; there is no global store.

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

use jiff::tz::TimeZone;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::config::Config;
use crate::live::Hub;
use backup::{BackupError, BackupJob, Manifest, Meter, Repository};
use browser::fleet::Browsers;
use crypto::keyring::Keyring;
use crypto::redact::Redactor;
use git::{AgentsRepo, GitError};
use kernel::display;
use kernel::id::IdSource;
use kernel::{
    AccountId, Actor, Cause, Clock, Timestamp, TypedId as _, WorkspaceId, WorkspaceState,
};
use net::client::HttpClient;
use sandbox::spawn::Spawner;
use store::{Blobs, Faults, Opening, Pending, Snap, Store, StoreError, WriteTx};

pub use panics::blocking;

pub type BoxTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts named tasks. `server` provides an implementation that supervises them.
pub type Spawn = Arc<dyn Fn(&'static str, BoxTask) + Send + Sync>;

/// Starts background work when a workspace opens. `server` provides the implementation.
pub type OnOpen = Arc<dyn Fn(&Ws) + Send + Sync>;

/// Reports slow steps while a store opens: the name of its folder or file, and the step.
pub type OpenProgress = Arc<dyn Fn(&str, Opening) + Send + Sync>;
/// Rehearses a restore: restores a backup into a folder, opens and checks its stores, then removes the folder.
/// Returns a summary of the check. `server` provides the implementation because it knows all record types.
pub type Rehearse =
    Arc<dyn Fn(&Repository, &Manifest, &Path, &Meter) -> Result<String, BackupError> + Send + Sync>;

/// Process-wide state.
#[derive(Clone)]
pub struct App(Arc<AppParts>);

pub struct AppParts {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    /// Reports slow steps while a store opens.
    pub onlooker: OpenProgress,
    /// Fault injection for disk operations. Production injects none.
    pub faults: Arc<dyn Faults>,
    /// The system store: accounts, sign-ins, tokens and the list of workspaces.
    pub system: Store,
    /// Seals and opens secrets.
    pub keyring: Arc<Keyring>,
    /// Removes live secrets from text.
    pub redactor: Arc<Redactor>,
    /// HTTP client for outbound requests.
    pub http: HttpClient,
    /// Starts agents' programs in the jail.
    pub sandbox: Spawner,
    /// Pause of the practice provider between two words. Zero in tests.
    pub practice_pause: Duration,
    /// Maximum time that a request searches for rare matches before it returns a cursor for the rest. Zero in tests.
    pub look: Duration,
    pub hasher: Arc<passwords::Hasher>,
    pub limiter: limits::Limiter,
    /// Long-running jobs that a user started.
    pub jobs: jobs::Jobs,
    /// The durable feed consumers.
    pub consumers: consumers::Consumers,
    /// Held while a search index is written. Contains the last index, whose writer may still be open.
    pub indexing: tokio::sync::Mutex<Option<search::Search>>,
    pub browsers: Browsers,
    /// Opens network egress for browsers. The engine provides the implementation.
    pub open_way: browsers::OpenWay,
    /// Tickets for browser screencasts.
    pub tickets: tickets::Tickets,
    /// The hosts that are linked now.
    pub hosts: hosts::Hosts,
    /// The embedding model for semantic search.
    pub meaning: meaning::Meaning,
    /// Shared state of provider connections.
    pub accounts: accounts::Accounts,
    /// Open WebAuthn challenges.
    pub challenges: challenges::Challenges,
    /// Recent re-authentications by sign-in.
    pub proofs: proofs::Proofs,
    /// The running backup, if any.
    pub backups: BackupJob,
    /// Rehearses a restore.
    pub rehearse: Rehearse,
    /// Starts supervised tasks.
    pub spawn: Spawn,
    /// Cancelled when the process stops.
    pub stopping: CancellationToken,
    /// Cancelled before `stopping`, or together with it. Running work may finish; no new work starts.
    pub closing: CancellationToken,
    /// Notified when a test moves the clock, so that timers check again.
    pub clock_moved: Notify,
    /// Open workspaces.
    pub workspaces: RwLock<Vec<Ws>>,
    /// Workspaces that exist on disk and cannot be opened.
    pub broken: RwLock<Vec<Broken>>,
    /// Detects a replaced data directory.
    pub anchor: Box<dyn DataDirGuard>,
    /// Held while a workspace is added or removed.
    pub list_turn: tokio::sync::Mutex<()>,
    /// Held while an account is closed or an owner is removed. Two stores together decide whether a workspace keeps
    /// an owner that can sign in.
    pub people_turn: tokio::sync::Mutex<()>,
    /// Starts background work when a workspace opens.
    pub on_open: RwLock<Option<OnOpen>>,
}

/// Detects that the data directory was replaced while the process runs.
pub trait DataDirGuard: Send + Sync {
    /// Returns `false` permanently once the data directory has been replaced.
    fn is_here(&self) -> bool;
}

#[derive(Clone, Debug)]
pub struct Broken {
    /// Slug in URLs; equal to the folder name.
    pub slug: String,
    /// The reason. If a backup cannot restore the workspace, the text also says what to do.
    pub reason: String,
    /// Whether a backup can restore the workspace.
    pub restore: bool,
    /// Its members when the workspace was last readable.
    pub people: Vec<AccountId>,
}

/// State of a workspace: active, archived or scheduled for deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub state: WorkspaceState,
    /// Scheduled deletion time.
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
    #[must_use]
    pub fn new(parts: AppParts) -> Self {
        Self(Arc::new(parts))
    }

    #[must_use]
    pub fn workspace(&self, slug: &str) -> Option<Ws> {
        self.workspaces.read().iter().find(|ws| ws.slug == slug).cloned()
    }

    /// Whether the data directory is still the one that was opened.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.anchor.is_here()
    }

    /// Returns the workspace with this slug if it exists and cannot be opened.
    #[must_use]
    pub fn broken_workspace(&self, slug: &str) -> Option<Broken> {
        self.broken.read().iter().find(|broken| broken.slug == slug).cloned()
    }

    #[must_use]
    pub fn workspace_by_id(&self, id: WorkspaceId) -> Option<Ws> {
        self.workspaces.read().iter().find(|ws| ws.id == id).cloned()
    }

    /// Calls `ask` for each open workspace and collects the results. Skips a workspace that is closed meanwhile.
    ///
    /// # Errors
    /// Returns `StoreError::Closed` while the process stops.
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

    /// Registers a newly opened workspace and starts its background work.
    pub fn add_workspace(&self, ws: &Ws) {
        self.workspaces.write().push(ws.clone());
        self.begin_work(ws);
    }

    /// Removes a workspace from the list of open ones. Its store stays open until it is closed.
    pub fn drop_workspace(&self, id: WorkspaceId) {
        self.workspaces.write().retain(|ws| ws.id != id);
    }

    /// Starts background work in a workspace if the workspace is active.
    pub fn begin_work(&self, ws: &Ws) {
        let begin = self.on_open.read().clone();
        if let Some(begin) = begin.filter(|_| ws.is_active()) {
            begin(ws);
        }
    }

    /// Waits until the clock reaches `at`. Reacts when a test moves the clock. If the clock is set back during the
    /// wait, the remaining time stays the same.
    pub async fn sleep_until(&self, at: Timestamp) {
        self.sleep_from(self.clock.now(), at).await;
    }

    /// Like [`App::sleep_until`], with `seen` as the last time that the caller read from the clock.
    pub async fn sleep_from(&self, mut seen: Timestamp, mut at: Timestamp) {
        loop {
            // Register before reading the clock, so that a move in between is not missed.
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

    /// Runs `work` to completion even if the caller's future is dropped.
    ///
    /// # Errors
    /// Returns `StoreError::Panicked` if the task panicked.
    pub async fn see_through<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, result) = oneshot::channel();
        let work = work.in_current_span();
        self.spawn(name, async move {
            // ok: the caller has gone.
            let _ = tell.send(work.await);
        });
        result.await.map_err(|_| StoreError::Panicked(format!("{name} was not brought to its end")))
    }

    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        (self.0.spawn)(name, Box::pin(task));
    }
}

/// Actor and cause of a write. [`Ws::write`] records both.
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

pub struct WsParts {
    pub app: App,
    pub id: WorkspaceId,
    /// Slug in URLs; never changes.
    pub slug: String,
    pub folder: PathBuf,
    pub store: Store,
    pub blobs: Blobs,
    /// Live model output.
    pub live: Hub,
    /// One lock for each file path that is being written.
    pub paths: paths::PathLocks,
    /// The agents' repository. [`Ws::repo`] opens it at first use.
    pub repo: OnceLock<AgentsRepo>,
    /// Background work, which can stop while the process runs.
    pub work: Work,
    /// Cached members of the workspace.
    pub people: cache::Cache,
    /// Cached task counts of saved views.
    pub numbers: cache::Numbers,
    /// The search index, created when the first text arrives or at the first query.
    pub finding: finding::Finding,
    /// Embedding vectors of the workspace's passages.
    pub vectors: meaning::Vectors,
    /// Standard inputs of running background programs.
    pub inputs: inputs::Inputs,
    /// Last known state of agents' files on remote hosts.
    pub looks: downstream::Looks,
    /// Connection to the primary. `Some` only on a host.
    pub upstream: Option<Arc<dyn upstream::Upstream>>,
}

/// Background work of a workspace: state, cancellation and tasks.
pub struct Work {
    standing: RwLock<Standing>,
    halt: RwLock<CancellationToken>,
    tasks: TaskTracker,
    /// The running maintenance operation, as UI text.
    shown: Arc<RwLock<Option<&'static str>>>,
}

/// Guard of [`Ws::shows`]: clears the displayed operation on drop.
pub struct Shown(Arc<RwLock<Option<&'static str>>>);

impl Drop for Shown {
    fn drop(&mut self) {
        *self.0.write() = None;
    }
}

impl Work {
    /// Creates a work handle without tasks. `stopping` cancels its work.
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
    #[must_use]
    pub fn new(parts: WsParts) -> Self {
        Self(Arc::new(parts))
    }

    /// URL of a page of this workspace: `url("tasks")` is `/w/acme/tasks`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("/w/{}/{path}", self.slug)
    }

    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.work.standing.read()
    }

    /// Sets the state only. The caller starts or stops the work.
    pub fn stand(&self, standing: Standing) {
        *self.work.standing.write() = standing;
    }

    #[must_use]
    pub fn is_active(&self) -> bool {
        self.standing().state == WorkspaceState::Active
    }

    /// Displays a maintenance operation to users until the guard is dropped.
    #[must_use]
    pub fn shows(&self, what: &'static str) -> Shown {
        *self.work.shown.write() = Some(what);
        Shown(Arc::clone(&self.work.shown))
    }

    /// The maintenance operation that is running now.
    #[must_use]
    pub fn shown(&self) -> Option<&'static str> {
        *self.work.shown.read()
    }

    /// Explains why the workspace is read-only; `None` if it is active.
    #[must_use]
    pub fn closed_words(&self) -> Option<String> {
        let Standing { state, delete_after } = self.standing();
        let until = delete_after.map(|at| {
            let at = at.to_zoned(TimeZone::UTC);
            format!("{}, {} UTC", display::long_day(at.date()), display::time(at.time()))
        });
        match state {
            WorkspaceState::Active => None,
            WorkspaceState::Archived => Some(
                "this workspace is archived and read-only; an owner can restore it in its general \
                 settings"
                    .to_owned(),
            ),
            WorkspaceState::Deleting => Some(format!(
                "this workspace will be deleted on {} and is read-only; an owner can cancel that \
                 in its general settings",
                until.unwrap_or_default()
            )),
        }
    }

    /// Token that is cancelled when the process stops or the workspace is archived. Work stops at its next step.
    #[must_use]
    pub fn halt(&self) -> CancellationToken {
        self.work.halt.read().clone()
    }

    /// Starts a task that [`Ws::rest`] waits for.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.app.spawn(name, self.work.tasks.track_future(task));
    }

    /// Cancels the work and waits at most `patience` for its tasks to end. Returns whether all have ended. Closes the
    /// workspace's browsers.
    pub async fn rest(&self, patience: Duration) -> bool {
        self.halt().cancel();
        self.work.tasks.close();
        let rested = tokio::time::timeout(patience, self.work.tasks.wait()).await.is_ok();
        self.work.tasks.reopen();
        self.app.browsers.forget_of(self.id.uuid()).await;
        rested
    }

    /// Allows new work after [`Ws::rest`].
    pub fn wake(&self) {
        *self.work.halt.write() = self.app.stopping.child_token();
    }

    /// The agents' repository. Blocking: call from `spawn_blocking`.
    ///
    /// # Errors
    /// When the repository cannot be opened or created.
    pub fn repo(&self) -> Result<&AgentsRepo, GitError> {
        if let Some(repo) = self.repo.get() {
            return Ok(repo);
        }
        // Serialised: opening removes unfinished repositories as leftovers, including one that another thread is
        // creating.
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

    /// Folder for output and session markers of agents' programs. HQ reads these files, so programs cannot write to
    /// this folder directly.
    #[must_use]
    pub fn jobs_folder(&self) -> PathBuf {
        self.folder.join("jobs")
    }

    /// Scratch folder of an agent: temporary files of its programs. Never committed.
    #[must_use]
    pub fn agent_scratch(&self, slug: &str) -> PathBuf {
        self.folder.join("agents").join(slug).join("scratch")
    }

    /// Runs a write transaction with this actor and cause.
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

    /// Runs `body` on a snapshot.
    pub fn read<T, E: From<StoreError>>(
        &self,
        body: impl FnOnce(&Snap<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.store.read(body)
    }

    /// Runs a long read on a blocking thread.
    ///
    /// # Errors
    /// Returns the error of `body`, or `StoreError::Panicked`.
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
