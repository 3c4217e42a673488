//! Assembly: start, router, access, schema, reactions, stop.
//!
//! `hq serve` and the tests call [`start`]. It listens before the stores are open, so that health checks are answered
//! early, and returns a [`Running`] server.

pub mod access;
mod api_tools;
pub mod data_dir_guard;
pub mod retry;
pub mod away;
pub mod consumers;
pub mod doors;
mod due;
pub mod backups;
mod browsers;
mod compression;
pub mod exports;
pub mod first_boot;
pub mod health;
mod hooks;
mod hosts;
mod indexer;
mod installed;
mod leftovers;
mod module_off;
pub mod listen;
pub mod local;
pub mod lock;
mod mcp_sign_in;
pub mod migrations;
mod offline;
pub mod openapi;
pub mod operate;
pub mod portable;
pub mod ops;
pub mod people;
mod place;
pub mod reactions;
mod reader;
pub mod restore;
pub mod router;
mod routines;
pub mod schema;
pub mod socket;
mod starts;
mod stream;
pub mod tasks;
pub mod tidy;
pub mod timers;
mod tools;
pub mod transfer;
pub mod onboarding;
pub mod try_practice;
mod unread;
pub mod upgrade;
pub mod workspaces;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use app::config::Config;
use app::consumers::Consumers;
use app::jobs::Jobs;
use app::limits::Limiter;
use app::meaning::Meaning;
use app::passwords::Hasher;
use app::{App, AppParts, OpenProgress, Ws};
use backup::{BackupError, BackupJob, finish_swap};
use crypto::keyring::Keyring;
use crypto::master::{KeyError, MasterKey};
use crypto::redact::Redactor;
use crypto::token::{Token, TokenKind};
use features::users;
use features::users::model::Purpose;
use features::users::rules::UsersError;
use kernel::id::{IdSource, SystemIds};
use kernel::time::SystemClock;
use kernel::{Actor, Cause, Clock, Part};
use net::client::{ClientParts, HttpClient};
use runtime::{Engine, Limits, Trusted};
use sandbox::spawn::{OWN_PROGRAM, Spawner};
use sandbox::{SandboxError, own_files};
use store::migrate::UpgradeError;
use store::{Faults, NoFaults, Opening, Options, Store, StoreError};
use tool::Layers;
use web::routes::Mounted;

pub use due::catch_up;
pub use offline::{Offline, offline, offline_with};

use data_dir_guard::Anchor;
use listen::{Front, Patience, Stage};
use lock::{Lock, LockError};
use socket::Socket;
use tasks::Tasks;
use upgrade::Upgrader;
use workspaces::OpenError;
use workspaces::life::{self, LifeError};

/// How long the shutdown may take.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Dependencies of a server besides its settings. Tests replace them.
pub struct Parts {
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    /// HTTP client for outbound requests.
    pub http: ClientParts,
    /// The executable that runs jailed programs: this one.
    pub jail_program: PathBuf,
    /// Limits of agents' runs.
    pub runs: Limits,
    /// Root certificates and port for outbound connections of agents' programs.
    pub trusted: Trusted,
    /// Further tools of agents, besides those of MCP servers.
    pub layers: Layers,
    /// Removes live secrets from text. The log uses it, too.
    pub redactor: Arc<Redactor>,
    /// Timeouts of clients.
    pub patience: Patience,
    pub consumers: Consumers,
    /// Fault injection for disk operations. Production injects none.
    pub faults: Arc<dyn Faults>,
    /// Whether to start without accounts if there are workspaces but no `system.redb`.
    pub start_fresh: bool,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds::default()),
            http: ClientParts::default(),
            jail_program: PathBuf::from(OWN_PROGRAM),
            runs: Limits::default(),
            trusted: Trusted::default(),
            layers: Layers::default(),
            redactor: Arc::new(Redactor::new()),
            patience: Patience::default(),
            consumers: consumers::all(),
            faults: Arc::new(NoFaults),
            start_fresh: false,
        }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process uses the data directory, or it is not writable.
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("can't listen on {address}: {source}; choose another address with --listen")]
    Listen { address: SocketAddr, source: io::Error },
    /// Listening on a network without an owner.
    #[error(
        "refusing to listen on {0} without an owner; set up HQ on 127.0.0.1 first, then listen \
         on more addresses"
    )]
    Exposed(SocketAddr),
    /// `system.redb` is missing although workspaces exist.
    #[error(
        "{} is missing, although there are workspaces here ({workspaces}): it held accounts, \
         sign-ins, tokens and the list of workspaces. Put the file back, or restore a backup with \
         `hq restore <place> --data '{}'`. Only if you have neither: `hq serve --start-fresh` asks \
         for a new owner and adopts the workspaces; other accounts can no longer sign in to them",
        data.join("system.redb").display(), data.display()
    )]
    NoAccounts {
        /// Path of the data directory.
        data: PathBuf,
        workspaces: String,
    },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("system.redb: {0}")]
    System(#[from] StoreError),
    #[error(transparent)]
    Workspace(#[from] OpenError),
    #[error(transparent)]
    List(#[from] LifeError),
    #[error(transparent)]
    Users(#[from] UsersError),
    /// A store has a format of an older or newer version.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// An interrupted restore cannot be finished.
    #[error(transparent)]
    Restore(#[from] BackupError),
    /// A thread that opens files ended early.
    #[error("opening the data folder was interrupted: {0}")]
    CutOff(String),
}

/// A started server.
pub struct Running {
    pub app: App,
    /// Listen address.
    pub address: SocketAddr,
    /// Base URL for people, without a trailing slash.
    pub url: String,
    /// The one-time set-up link, while there is no owner.
    pub setup_link: Option<String>,
    /// All routes with their requirements.
    pub routes: Arc<Vec<Mounted>>,
    engine: Engine,
    tasks: Tasks,
    socket: Option<Socket>,
    _lock: Lock,
}

/// Starts a server: listens, opens the stores, then accepts requests.
///
/// # Errors
/// When the data directory is locked, the address is in use, or a store cannot be opened.
pub async fn start(config: Config, parts: Parts) -> Result<Running, StartError> {
    let lock = lock::take(&config.data, parts.clock.now())?;
    finish_swap(&config.data, &*parts.faults)?;
    raise_open_files();
    let stopping = CancellationToken::new();
    // A failed start stops all tasks.
    let guard = stopping.clone().drop_guard();
    let tasks = Tasks::new(stopping.clone());
    let (front, patience) = (Front::default(), parts.patience);
    // Commands at the socket see the progress of the start, too.
    let socket = socket::open(&config.data, front.clone(), stopping.clone())
        .inspect_err(
            |error| tracing::warn!(%error, "there is no local socket; commands do not work"),
        )
        .ok();
    // On a network, do not respond before an owner is known to exist.
    let wide = !config.listen.ip().is_loopback() && !in_container();
    let early =
        if wide { None } else { Some(listen(&config, &front, &tasks, &stopping, patience).await?) };
    let (start, spawner) = (config.clone(), tasks.spawn());
    let (limits, trusted, layers) = (parts.runs, parts.trusted.clone(), parts.layers.clone());
    let (token, shown) = (stopping.clone(), front.clone());
    let (tell, is_owned) = oneshot::channel();
    let opened =
        tokio::task::spawn_blocking(move || open(config, parts, spawner, (token, shown), tell));
    // The accounts open first: workspaces may take long.
    let owned = is_owned.await == Ok(true);
    let listening = match (early, owned) {
        (Some(address), _) => Ok(address),
        (None, true) => listen(&start, &front, &tasks, &stopping, patience).await,
        (None, false) => Err(StartError::Exposed(start.listen)),
    };
    let app = opened.await.map_err(|error| StartError::CutOff(error.to_string()))??;
    let address = listening?;
    life::complete(&app, owned).await?;
    people::withdraw_strange_tokens(&app).await?;
    place::heed(&app, in_container()).await;
    starts::heed(&app).await;
    backups::heed(&app).await;
    let engine = begin_work(&app, limits, (trusted, layers)).await;
    let sweeping = app.clone();
    tasks.keep("timers", move || Box::pin(timers::run(sweeping.clone())));
    let holding = app.clone();
    tasks.keep("data folder", move || Box::pin(data_dir_guard::watch(holding.clone())));
    let keeping = app.clone();
    tasks.keep("backups", move || Box::pin(backups::run(keeping.clone())));
    let tending = app.clone();
    tasks.keep("browsers", move || Box::pin(browsers::run(tending.clone())));
    let url = app.config.public_url.clone().unwrap_or_else(|| local_url(address));
    let site = router::site(&app, Arc::new(local::Here { url: url.clone() }), patience.body);
    front.open(site.router);
    let setup_link = if owned { None } else { Some(setup_link(&app, &url).await?) };
    guard.disarm();
    let routes = site.routes;
    Ok(Running { app, address, url, setup_link, routes, engine, tasks, socket, _lock: lock })
}

async fn listen(
    config: &Config,
    front: &Front,
    tasks: &Tasks,
    stopping: &CancellationToken,
    patience: Patience,
) -> Result<SocketAddr, StartError> {
    let address = config.listen;
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let accepting =
        listen::network(listener, front.clone(), tasks.clone(), stopping.clone(), patience.head);
    tasks.start("listener", Box::pin(accepting));
    Ok(bound)
}

/// Shows the progress on the start page.
fn telling(front: &Front) -> OpenProgress {
    let front = front.clone();
    Arc::new(move |which, opening| {
        front.tell(match opening {
            Opening::Recovering(percent) => Stage {
                said: format!("the store {which} was not closed well and is being recovered"),
                percent: Some(percent),
            },
            Opening::Compacting => Stage {
                said: format!(
                    "the store {which} takes more room than it needs and is being made smaller"
                ),
                percent: None,
            },
        });
    })
}

/// Found and known format, if the system store has an unknown format.
fn formats(error: &StartError) -> Option<(u32, u32)> {
    match error {
        StartError::System(StoreError::Format { found, known }) => Some((*found, *known)),
        _ => None,
    }
}

/// Opens everything in the data directory. Sends on `tell` whether there is an owner, as soon as that is known.
/// Blocking.
fn open(
    config: Config,
    parts: Parts,
    spawn: app::Spawn,
    (stopping, front): (CancellationToken, Front),
    tell: oneshot::Sender<bool>,
) -> Result<App, StartError> {
    let path = config.data.join("system.redb");
    let left = if path.exists() { Vec::new() } else { workspaces::folders(&config.data)? };
    if !left.is_empty() && !parts.start_fresh {
        let names = left.iter().filter_map(|folder| folder.file_name());
        let names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        return Err(StartError::NoAccounts {
            data: config.data.clone(),
            workspaces: names.join(", "),
        });
    }
    if !left.is_empty() {
        tracing::warn!("there is no system.redb: HQ begins without accounts, as it was told to");
    }
    for restored in own_files::restore(&config.data) {
        tracing::warn!("{}", restored.describe());
    }
    let anchor = Anchor::of(&config.data.join(lock::NAME));
    let key = match &config.master_key_file {
        Some(file) => MasterKey::load(file)?,
        None => MasterKey::load_or_create(&config.key_file())?,
    };
    let keyring = Arc::new(Keyring::new(key).with_formers_of(&config.key_file())?);
    let onlooker = telling(&front);
    let looking = Arc::clone(&onlooker);
    let look: Arc<store::OpenProgress> = Arc::new(move |opening| looking("system.redb", opening));
    let upgrader = Upgrader {
        data: config.data.clone(),
        clock: Arc::clone(&parts.clock),
        ids: Arc::clone(&parts.ids),
        faults: Arc::clone(&parts.faults),
        front,
    };
    let system = upgrader.open(&path, schema::system, formats, || -> Result<_, StartError> {
        let options = Options {
            path: path.clone(),
            schema: schema::system(),
            cache: workspaces::LEAST_CACHE,
            clock: Arc::clone(&parts.clock),
            ids: Arc::clone(&parts.ids),
            reactor: None,
            faults: Arc::clone(&parts.faults),
        };
        let limits = store::Limits::default();
        Ok(Store::open_watched(options, limits, Some(Arc::clone(&look)))?)
    })?;
    // ok: the receiver does not need the result any more.
    let _ = tell.send(system.read(|snap| users::queries::any_account(snap))?);
    let rehearse = restore::rehearse(Arc::clone(&parts.clock), Arc::clone(&parts.ids));
    let app = App::new(AppParts {
        clock: parts.clock,
        ids: parts.ids,
        faults: parts.faults,
        onlooker,
        system,
        hasher: Arc::new(Hasher::new(Arc::clone(&keyring))),
        keyring,
        redactor: parts.redactor,
        http: HttpClient::new(parts.http.without(config.listen, config.public_url.as_deref())),
        sandbox: Spawner::new(parts.jail_program)?,
        practice_pause: config.practice_pause,
        look: parts.patience.look,
        backups: BackupJob::default(),
        rehearse,
        limiter: Limiter::default(),
        jobs: Jobs::default(),
        consumers: parts.consumers,
        indexing: tokio::sync::Mutex::default(),
        browsers: browser::fleet::Browsers::default(),
        open_way: runtime::way_of_browsers(),
        tickets: app::tickets::Tickets::default(),
        hosts: app::hosts::Hosts::default(),
        meaning: Meaning::at(config.data.join("models"), config.embed_model_dir.clone()),
        accounts: app::accounts::Accounts::default(),
        challenges: app::challenges::Challenges::default(),
        proofs: app::proofs::Proofs::default(),
        spawn,
        closing: stopping.child_token(),
        stopping,
        clock_moved: Notify::new(),
        workspaces: RwLock::default(),
        broken: RwLock::default(),
        anchor,
        list_turn: tokio::sync::Mutex::default(),
        people_turn: tokio::sync::Mutex::default(),
        on_open: RwLock::default(),
        config,
    });
    reader::install(&app);
    if let Err(error) = leftovers::clear(&app.config.data) {
        tracing::warn!(%error, "what a program that was ended has left could not be removed");
    }
    workspaces::open_all(&app, &upgrader)?;
    let misfit = app.system.read(|snap| users::queries::key_trouble(snap, &app.keyring))?;
    if let Some(misfit) = misfit {
        tracing::error!("{}", misfit.words);
    }
    Ok(app)
}

/// Starts agents' work in all open workspaces and in those opened later. First finishes operations that a crash
/// interrupted.
async fn begin_work(app: &App, limits: Limits, (trusted, layers): (Trusted, Layers)) -> Engine {
    let layers = layers.after(doors::layers());
    let engine = tools::engine(app, limits, trusted).with_layers(layers);
    let made = engine.clone();
    let all: Vec<Ws> = app.workspaces.read().clone();
    for ws in &all {
        life::prepare(app, ws).await;
        ops::files::at_start(ws).await;
    }
    if let Err(error) = timers::master_key(app).await {
        tracing::error!(%error, "the change of the master key cannot go on");
    }
    let begin = move |ws: &Ws| {
        routines::begin(ws);
        consumers::begin(ws);
        indexer::begin(ws);
        due::begin(ws);
        crm::begin(ws);
        knowledge::reading::begin(ws);
        knowledge::meaning::worker::begin(ws);
        sources::sync::begin(ws);
        gateways::watch::begin(ws);
        channels::worker::begin(ws, access::role);
        reach::pool::begin(ws);
        reach::skills::begin(ws);
        features::notifications::sending::begin(ws);
        runtime::start(engine.clone(), ws.clone());
    };
    app.hosts.are_answered_by(Some(Arc::new(runtime::AtHome::new(made.clone()))));
    *app.on_open.write() = Some(Arc::new(begin));
    all.iter().for_each(|ws| app.begin_work(ws));
    made
}

/// Creates a one-time link for the first owner.
pub async fn setup_link(app: &App, url: &str) -> Result<String, UsersError> {
    let token = Token::issue(TokenKind::Link);
    let link = format!("{url}/setup?token={}", token.reveal());
    let by = Actor::System(Part::Setup);
    app.system
        .write(by, Cause::Setup, move |tx| users::rules::give_link(tx, &token, Purpose::SetUp))
        .await?;
    Ok(link)
}

impl Running {
    /// Starts no new work and waits at most `patience` until no agent is working. A running model call or tool may
    /// finish; its run is put back before the next step. Returns whether all agents have stopped. Pages and the API
    /// keep working; new requests for work wait for the next start.
    pub async fn settle(&self, patience: Duration) -> bool {
        self.app.closing.cancel();
        tokio::time::timeout(patience, self.engine.rests()).await.is_ok()
    }

    /// Stops accepting work, lets open requests end and closes the stores. Returns whether everything ended in time.
    pub async fn stop(self) -> bool {
        self.app.stopping.cancel();
        self.app.backups.close();
        let ended = self.tasks.wait(END_WITHIN).await;
        if let Some(socket) = self.socket
            && let Err(error) = tokio::task::spawn_blocking(move || socket.close()).await
        {
            tracing::error!(%error, "the socket did not close well");
        }
        if !ended {
            tracing::warn!("{} tasks were still busy at the end", self.tasks.count());
        }
        let all: Vec<Ws> = self.app.workspaces.read().clone();
        for ws in all.iter().filter(|_| self.app.is_here()) {
            workspaces::labels::note_people(ws).await;
        }
        self.app.hosts.are_answered_by(None);
        // Breaks the reference cycle between engine and `App`.
        *self.app.on_open.write() = None;
        close_stores(&self.app).await;
        if self.app.is_here() {
            starts::ended_well(&self.app.config.data);
        }
        ended
    }
}

/// Closes all stores. Later accesses get an error. A closed store needs no recovery.
async fn close_stores(app: &App) {
    let mut stores: Vec<Store> =
        app.workspaces.write().drain(..).map(|ws| ws.store.clone()).collect();
    stores.push(app.system.clone());
    let closed = tokio::task::spawn_blocking(move || stores.iter().for_each(Store::close));
    if let Err(error) = closed.await {
        tracing::error!(%error, "a store did not close well");
    }
}

/// URL of a listen address for a browser on this machine.
fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// Whether the process runs in a container. Its operator decides where the port is published.
fn in_container() -> bool {
    // The last file is part of our own image, because not every container engine leaves a marker.
    ["/.dockerenv", "/run/.containerenv", "/etc/hq/container"]
        .iter()
        .any(|mark| fs::exists(mark).unwrap_or(false))
}

/// Raises the limit of open files to the maximum: connections, stores and logs need many.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
}
