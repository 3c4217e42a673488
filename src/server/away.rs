//! The process on a host: only the engine, on the host's mirror of the workspace. It opens nothing that only the
//! primary needs.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::sync::{Notify, broadcast::error::RecvError};
use tokio_util::sync::CancellationToken;

use app::cache::{Cache, Numbers};
use app::config::Config;
use app::downstream::Looks;
use app::finding::Finding;
use app::inputs::Inputs;
use app::jobs::Jobs;
use app::limits::Limiter;
use app::live::Hub;
use app::meaning::{Meaning, Vectors};
use app::passwords::Hasher;
use app::paths::PathLocks;
use app::upstream::Upstream;
use app::{App, AppParts, Work, Ws, WsParts};
use backup::BackupJob;
use crypto::keyring::Keyring;
use crypto::master::MasterKey;
use features::workspace;
use kernel::{TypedId as _, WorkspaceId};
use net::client::HttpClient;
use parking_lot::RwLock;
use runtime::Engine;
use sandbox::spawn::Spawner;
use store::{Blobs, Options, Store};

use super::data_dir_guard::Anchor;
use super::tasks::Tasks;
use super::{END_WITHIN, Parts, StartError, lock, restore, schema, tools, workspaces};

/// The system store, which stays empty on a host.
const SYSTEM: &str = "engine.redb";

/// The engine on a host.
pub struct Away {
    app: App,
    engine: Engine,
    tasks: Tasks,
}

/// Starts the engine on a mirror. Call from an async runtime.
///
/// # Errors
/// When the folder cannot be used.
pub async fn begin(
    config: Config,
    parts: Parts,
    store: Store,
    upstream: Arc<dyn Upstream>,
) -> Result<Away, StartError> {
    let stopping = CancellationToken::new();
    let tasks = Tasks::new(stopping.clone());
    let (limits, trusted, spawn) = (parts.runs, parts.trusted.clone(), tasks.spawn());
    let up = Arc::clone(&upstream);
    let opened =
        tokio::task::spawn_blocking(move || open(config, parts, (spawn, stopping), (store, up)));
    let (app, ws) = opened.await.map_err(|error| StartError::CutOff(error.to_string()))??;
    let engine = tools::engine(&app, limits, trusted);
    let (watched, mut moves) = (ws.clone(), upstream.moves());
    ws.spawn("secrets of a host", async move {
        let halt = watched.halt();
        loop {
            // Before a value from the primary can appear in a text.
            vault::away::watch_sent(&watched);
            tokio::select! {
                () = halt.cancelled() => return,
                moved = moves.changed() => if moved.is_err() { return },
            }
        }
    });
    let (shown, mut pieces) = (ws.clone(), ws.live.subscribe());
    ws.spawn("running text", async move {
        let halt = shown.halt();
        loop {
            tokio::select! {
                () = halt.cancelled() => return,
                piece = pieces.recv() => match piece {
                    Ok(piece) => upstream.shows((*piece).clone()).await,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
        }
    });
    runtime::start_away(engine.clone(), ws);
    tracing::info!("agents work here");
    Ok(Away { app, engine, tasks })
}

impl Away {
    /// Stops: starts no new work, lets runs come to a stop and closes everything. Ends all programs and browsers;
    /// with `at_once`, without waiting for their work.
    pub async fn end(&self, at_once: bool) {
        self.app.closing.cancel();
        if at_once {
            tokio::join!(self.app.sandbox.shutdown(), self.app.browsers.stop_all());
        }
        // ok: a run that has not stopped resumes after the next start.
        let _ = tokio::time::timeout(END_WITHIN / 2, self.engine.rests()).await;
        self.app.stopping.cancel();
        if !self.tasks.wait(END_WITHIN / 5).await {
            tracing::warn!("{} tasks were still busy at the end", self.tasks.count());
        }
        // Also those that were started meanwhile.
        tokio::join!(self.app.sandbox.shutdown(), self.app.browsers.stop_all());
        self.app.workspaces.write().clear();
        let system = self.app.system.clone();
        // ok: a store that was not closed is recovered.
        let _ = tokio::task::spawn_blocking(move || system.close()).await;
    }
}

/// A random key that seals nothing: secrets are not stored on a host.
fn keyring() -> Result<Keyring, StartError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| StartError::CutOff(error.to_string()))?;
    Ok(Keyring::new(MasterKey::from_bytes(&bytes)))
}

/// The system store.
fn system(folder: &Path, parts: &Parts) -> Result<Store, StartError> {
    Ok(Store::open(Options {
        path: folder.join(SYSTEM),
        schema: schema::system(),
        cache: 1 << 20,
        clock: Arc::clone(&parts.clock),
        ids: Arc::clone(&parts.ids),
        reactor: None,
        faults: Arc::clone(&parts.faults),
    })?)
}

/// Opens what the engine needs. Blocking.
fn open(
    config: Config,
    parts: Parts,
    (spawn, stopping): (app::Spawn, CancellationToken),
    (store, upstream): (Store, Arc<dyn Upstream>),
) -> Result<(App, Ws), StartError> {
    let folder = config.data.clone();
    let system = system(&folder, &parts)?;
    let keyring = Arc::new(keyring()?);
    let bad = |source| workspaces::OpenError::Folder { folder: folder.clone(), source };
    let blobs = Blobs::open_with(folder.join("blobs"), Arc::clone(&parts.faults)).map_err(bad)?;
    let app = App::new(AppParts {
        clock: Arc::clone(&parts.clock),
        ids: Arc::clone(&parts.ids),
        faults: parts.faults,
        onlooker: Arc::new(|_, _| {}),
        system,
        hasher: Arc::new(Hasher::new(Arc::clone(&keyring))),
        keyring,
        redactor: parts.redactor,
        http: HttpClient::new(parts.http.without(config.listen, None)),
        sandbox: Spawner::new(parts.jail_program)?,
        practice_pause: config.practice_pause,
        look: parts.patience.look,
        backups: BackupJob::default(),
        rehearse: restore::rehearse(parts.clock, parts.ids),
        limiter: Limiter::default(),
        jobs: Jobs::default(),
        consumers: parts.consumers,
        indexing: tokio::sync::Mutex::default(),
        browsers: browser::fleet::Browsers::default(),
        open_way: runtime::way_of_browsers(),
        tickets: app::tickets::Tickets::default(),
        hosts: app::hosts::Hosts::default(),
        meaning: Meaning::at(folder.join("models"), None),
        accounts: app::accounts::Accounts::default(),
        challenges: app::challenges::Challenges::default(),
        proofs: app::proofs::Proofs::default(),
        spawn,
        closing: stopping.child_token(),
        stopping,
        clock_moved: Notify::new(),
        workspaces: RwLock::default(),
        broken: RwLock::default(),
        anchor: Anchor::of(&folder.join(lock::NAME)),
        list_turn: tokio::sync::Mutex::default(),
        people_turn: tokio::sync::Mutex::default(),
        on_open: RwLock::default(),
        config,
    });
    let settings = store.read(|snap| workspace::queries::settings(snap))?;
    let ws = Ws::new(WsParts {
        app: app.clone(),
        id: settings.map_or_else(|| WorkspaceId::from_bytes([0; 16]), |settings| settings.id),
        slug: "away".to_owned(),
        store,
        blobs,
        live: Hub::default(),
        paths: PathLocks::default(),
        repo: OnceLock::new(),
        work: Work::new(&app.stopping),
        people: Cache::default(),
        numbers: Numbers::default(),
        finding: Finding::at(folder.join("search")),
        vectors: Vectors::at(folder.join("vectors")),
        inputs: Inputs::default(),
        looks: Looks::default(),
        upstream: Some(upstream),
        folder,
    });
    app.workspaces.write().push(ws.clone());
    Ok((app, ws))
}
