//! Connections: accepted before the stores are open, answered with a start page until the router is ready, drained at
//! shutdown.

use std::convert::Infallible;
use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Service;

use web::assets;
use web::error::{ApiError, Failure};
use web::routes::is_api;
use web::session::Peer;
use web::trouble;

use kernel::ProblemKind;

use super::stream::{self, Hatch, Watched};
use super::tasks::Tasks;
use super::unread;

/// Maximum size of a request head in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// Read buffer of a connection in bytes.
const MAX_AHEAD: usize = 64 * 1024;
/// How long an open request may continue at shutdown.
pub const DRAIN: Duration = Duration::from_secs(8);

/// Timeouts of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a request head, from the start of the connection; also between two requests.
    pub head: Duration,
    pub body: Duration,
    /// Maximum time that a request searches for rare matches before it returns a cursor for the rest.
    pub look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            body: Duration::from_secs(60),
            look: Duration::from_secs(1),
        }
    }
}

/// How long a call waits for a start that is nearly finished.
const START: Duration = Duration::from_secs(2);

/// Progress of the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// Description; empty for the default text.
    pub said: String,
    pub percent: Option<u8>,
}

/// Handles requests: start page first, router once it is ready.
#[derive(Clone, Default)]
pub struct Front {
    router: Arc<OnceLock<Router>>,
    opened: CancellationToken,
    stage: Arc<Mutex<Stage>>,
}

impl Front {
    /// Replaces the start page by the router.
    pub fn open(&self, router: Router) {
        // ok: `server::start` opens a front once.
        let _ = self.router.set(router);
        self.opened.cancel();
    }

    /// Sets the progress on the start page.
    pub fn tell(&self, stage: Stage) {
        *self.stage.lock() = stage;
    }

    async fn answer(&self, mut request: Request<Incoming>, peer: Peer) -> Response {
        request.extensions_mut().insert(peer);
        if self.router.get().is_none() && waits_for_start(&request) {
            // ok: after the timeout, the response says that HQ is starting.
            let _ = tokio::time::timeout(START, self.opened.cancelled()).await;
        }
        match self.router.get() {
            Some(router) => {
                let (request, unread) = unread::lend(request);
                let response = match router.clone().call(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                match unread {
                    Some(unread) => unread.settle(response).await,
                    None => response,
                }
            }
            None => {
                let stage = self.stage.lock().clone();
                starting(request.uri().path(), request.headers(), &stage)
            }
        }
    }
}

/// Whether a request waits for the start: API calls and submitted forms would be lost otherwise. Pages show the
/// progress and reload themselves.
fn waits_for_start<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    is_api(path) || !(path == "/healthz" || request.method().is_safe())
}

/// Response before the router is ready: healthy, with only the start page and its assets.
fn starting(path: &str, headers: &HeaderMap, stage: &Stage) -> Response {
    if let Some(file) = path.strip_prefix("/s/") {
        return assets::answer(file, headers);
    }
    if path == "/healthz" {
        return (StatusCode::OK, "ok\n").into_response();
    }
    if is_api(path) || path == "/readyz" {
        let done = stage.percent.map(|percent| format!(", {percent} % done")).unwrap_or_default();
        let message = match stage.said.is_empty() {
            true => "try again in a moment".to_owned(),
            false => format!("{}{done}", stage.said),
        };
        let text = format!("HQ is starting; {message}");
        return ApiError(Failure::new(ProblemKind::Unavailable, "starting", text)).into_response();
    }
    let message = match stage.said.as_str() {
        "" => "Opening the data folder.".to_owned(),
        message => web::form::sentence(message),
    };
    trouble::starting(&message, stage.percent)
}

/// Accepts network connections until the process stops.
pub async fn network(
    listener: TcpListener,
    front: Front,
    tasks: Tasks,
    stop: CancellationToken,
    head_within: Duration,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, SocketAddr::V4(_) | SocketAddr::V6(_))) => {
                // ok: a connection without a peer address is already closed.
                let Ok(from) = stream.peer_addr() else { continue };
                // ok: otherwise responses only take slightly longer.
                let _ = stream.set_nodelay(true);
                let (front, stop) = (front.clone(), stop.clone());
                let peer = Peer::Net(from.ip());
                tasks.start(
                    "connection",
                    Box::pin(connection(stream, peer, front, stop, head_within)),
                );
            }
            Err(error) => {
                // Probably out of file descriptors: give open connections time to end.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves one connection to its end.
pub async fn connection<S>(
    stream: S,
    peer: Peer,
    front: Front,
    stop: CancellationToken,
    head_within: Duration,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut served = pin!(serve(stream, peer, front, stop.clone(), head_within));
    tokio::select! {
        () = served.as_mut() => {}
        () = stop.cancelled() => {
            // ok: a client that does not read the rest in time is cut off.
            let _ = tokio::time::timeout(DRAIN, served).await;
        }
    }
}

async fn serve<S>(
    stream: S,
    peer: Peer,
    front: Front,
    stop: CancellationToken,
    head_within: Duration,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (stream, behind) = Watched::new(stream);
    let hatch = Hatch::default();
    let leaving = hatch.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (front, leaving) = (front.clone(), leaving.clone());
        let may_leave = stream::may_leave(&request) && !behind.is();
        async move {
            let response = front.answer(request, peer).await;
            let response = match may_leave && stream::is_one(&response) {
                true => leaving.hand_over(response).await,
                false => response,
            };
            Ok::<_, Infallible>(response)
        }
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_within)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_AHEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // Boxed, so that its memory is released when a stream takes over.
    let mut http = Box::new(http);
    let left = tokio::select! {
        ended = &mut http => return log_end(ended),
        left = hatch.left() => left,
        () = stop.cancelled() => {
            std::pin::Pin::new(http.as_mut()).graceful_shutdown();
            tokio::select! {
                ended = &mut http => return log_end(ended),
                left = hatch.left() => left,
            }
        }
    };
    // `None` after an upgrade; no response has been detached then.
    if let Some(parts) = (*http).into_parts() {
        log_end(stream::relay(parts.io.into_inner(), left).await);
    }
}

fn log_end<E: Display>(ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Front, Stage, connection, starting};
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio_util::sync::CancellationToken;
    use web::assets;
    use web::session::Peer;

    async fn body(response: axum::response::Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_call_that_comes_during_the_start_waits_for_its_end() {
        let (mut client, server) = duplex(64 * 1024);
        let (front, stop) = (Front::default(), CancellationToken::new());
        let peer = Peer::Net([127, 0, 0, 1].into());
        let (own, head) = (front.clone(), Duration::from_secs(30));
        let served = tokio::spawn(connection(server, peer, own, stop.clone(), head));
        let call = b"POST /api/v1/tasks HTTP/1.1\r\nhost: hq\r\ncontent-length: 0\r\n\r\n";
        client.write_all(call).await.unwrap();
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        front.open(Router::new().route("/api/v1/tasks", post(|| async { "taken" })));
        let mut texts = Vec::new();
        while !texts.ends_with(b"taken") {
            let n = client.read_buf(&mut texts).await.unwrap();
            assert!(0 < n, "{}", String::from_utf8_lossy(&texts));
        }
        stop.cancel();
        served.await.unwrap();
    }

    #[tokio::test]
    async fn before_the_stores_are_open_everybody_is_told_how_far_it_is() {
        assets::install(bundle::get);
        let shown = "acme was not closed well and is being recovered".to_owned();
        let none = HeaderMap::new();
        let stage = Stage { said: shown, percent: Some(40) };
        assert_eq!(starting("/healthz", &none, &stage).status(), StatusCode::OK);
        let api = starting("/api/v1/tasks", &none, &stage);
        assert_eq!(api.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(api.headers().contains_key("retry-after"));
        let text = body(api).await;
        assert!(text.contains("acme") && text.contains("40 % done"), "{text}");
        assert_eq!(starting("/readyz", &none, &stage).status(), StatusCode::SERVICE_UNAVAILABLE);
        let page = starting("/w/acme/", &none, &stage);
        assert!(page.headers().contains_key("retry-after"));
        let page = body(page).await;
        assert!(page.contains("value=\"40\"") && page.contains("http-equiv=\"refresh\""), "{page}");
        assert!(!page.contains("<script"), "what a script would ask is not there yet: {page}");
        let style = &assets::links().style;
        assert!(!style.is_empty() && page.contains(style), "{}: {page}", assets::MISSING);
        assert_eq!(starting(style, &none, &stage).status(), StatusCode::OK);
        assert_eq!(starting("/s/none.css", &none, &stage).status(), StatusCode::NOT_FOUND);
        let usual = body(starting("/", &none, &Stage::default())).await;
        assert!(usual.contains("Opening the data folder.") && !usual.contains("<progress"));
    }
}
