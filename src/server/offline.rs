//! Stores and routes without a running server, for commands while HQ is stopped and for the demo.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use app::App;
use app::config::Config;
use backup::finish_swap;
use web::session::Peer;

use super::listen::{Front, Patience};
use super::lock::{self, Lock};
use super::tasks::Tasks;
use super::workspaces::life;
use super::{Parts, StartError, close_stores, local, local_url, open, router};

/// The open stores of a data directory whose server is not running.
pub struct Offline {
    /// `App` without listener and engine.
    pub app: App,
    /// Where the server would be reachable.
    here: Arc<local::Here>,
    router: OnceLock<Router>,
    _lock: Lock,
}

impl Offline {
    /// Handles a request of the machine's owner like the socket of a running server.
    pub async fn answer(&self, mut request: Request) -> Response {
        request.extensions_mut().insert(Peer::Socket { uid: rustix::process::getuid().as_raw() });
        let router = self.router.get_or_init(|| {
            router::site(&self.app, Arc::clone(&self.here), Patience::default().body).router
        });
        let Ok(response) = router.clone().oneshot(request).await;
        response
    }

    /// Closes the stores, so that the next start needs no recovery.
    pub async fn close(self) {
        self.app.stopping.cancel();
        close_stores(&self.app).await;
    }
}

/// Opens an unlocked data directory. Call from an async runtime.
///
/// # Errors
/// When the directory is locked, or a store cannot be opened.
pub async fn offline(config: Config) -> Result<Offline, StartError> {
    offline_with(config, Parts::default()).await
}

/// Like [`offline`], with other dependencies such as another clock.
///
/// # Errors
/// As [`offline`].
pub async fn offline_with(config: Config, parts: Parts) -> Result<Offline, StartError> {
    let lock = lock::take(&config.data, parts.clock.now())?;
    finish_swap(&config.data, &*parts.faults)?;
    let url = config.public_url.clone().unwrap_or_else(|| local_url(config.listen));
    let stopping = CancellationToken::new();
    let spawn = Tasks::new(stopping.clone()).spawn();
    let ends = (stopping, Front::default());
    let (tell, is_owned) = oneshot::channel();
    let opened = tokio::task::spawn_blocking(move || open(config, parts, spawn, ends, tell)).await;
    let app = opened.map_err(|error| StartError::CutOff(error.to_string()))??;
    let owned = is_owned.await == Ok(true);
    life::complete(&app, owned).await?;
    let here = Arc::new(local::Here { url });
    Ok(Offline { app, here, router: OnceLock::new(), _lock: lock })
}
