//! Downloads a known model, file by file. Partial files are kept, so a new attempt resumes. A file is used only after
//! its hash was verified.

use std::io::Write as _;
use std::time::Duration;

use app::App;
use app::meaning::Coming;
use embed::{FILES, Model, Refused};
use net::client::{HttpClient, Response};
use net::error::NetError;
use net::message::{Method, Policy, Request, Timeouts};

/// Bytes buffered before a write.
const PIECE: usize = 1024 * 1024;
/// No total timeout: a large file may take as long as data keeps arriving.
const TIMES: Timeouts =
    Timeouts { headers: Duration::from_secs(30), idle: Duration::from_secs(60), total: None };

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("the server answered {file} with status {status}")]
    Status { file: &'static str, status: u16 },
    #[error("couldn't write to disk: {0}")]
    Disk(#[from] std::io::Error),
    #[error("the download isn't the model: {0}; try again")]
    Other(Refused),
    #[error("the download was stopped")]
    Stopped,
}

/// Starts the download of a model, which is then taken into use. Returns `false` if a download is in progress.
#[must_use]
pub fn begin(app: &App, model: &'static Model) -> bool {
    if !app.meaning.begins(&model.id) {
        return false;
    }
    let own = app.clone();
    app.spawn("model download", async move {
        let fetched = fetch(&own, model).await;
        let trouble = match &fetched {
            Ok(()) => String::new(),
            Err(error) => {
                tracing::warn!(%error, "the model {} did not come", model.name);
                web::form::sentence(&format!("couldn’t download {}: {error}", model.name))
            }
        };
        own.meaning.comes(Coming { trouble, ..Coming::default() });
        own.meaning.changed();
    });
    true
}

async fn fetch(app: &App, model: &'static Model) -> Result<(), Failed> {
    let mut coming = app.meaning.coming();
    for at in 0..FILES.len() {
        file(app, model, at, &mut coming).await?;
    }
    let own = app.clone();
    let kept = tokio::task::spawn_blocking(move || {
        let landing = own.meaning.shelf.landing(&model.id)?;
        match landing.take_in(None) {
            Ok(taken) if taken.id == model.id => Ok(own.meaning.shelf.choose(&taken.id)?),
            Ok(_) => Err(Failed::Other(Refused::Unconfirmed { found: String::new() })),
            Err(refused) => {
                // Otherwise the damaged file would be found damaged again.
                landing.clear()?;
                Err(Failed::Other(refused))
            }
        }
    });
    kept.await.unwrap_or(Err(Failed::Stopped))
}

/// Downloads the missing part of file number `at`.
async fn file(
    app: &App,
    model: &'static Model,
    at: usize,
    coming: &mut Coming,
) -> Result<(), Failed> {
    let landing = app.meaning.shelf.landing(&model.id)?;
    let have = landing.have(at);
    let (repository, revision) = (model.repository.unwrap_or(""), model.revision.unwrap_or(""));
    let source = &app.config.embed_source;
    let url = format!("{source}/{repository}/resolve/{revision}/{}", FILES[at]);
    let mut request = Request::new(Policy::Guarded, Method::Get, url)
        .header("accept", "*/*")
        .header("accept-encoding", "identity")
        .timeouts(TIMES)
        .max_body(model.files[at].limit);
    if 0 < have {
        request = request.header("range", format!("bytes={have}-"));
    }
    let response = client(app).request(request).await?;
    let anew = match response.status {
        200 => true,
        206 => false,
        // The file is already complete.
        416 if 0 < have => return Ok(()),
        status => return Err(Failed::Status { file: FILES[at], status }),
    };
    if anew {
        coming.have = coming.have.saturating_sub(have);
    }
    coming.all += length(&response) + if anew { 0 } else { have };
    coming.have += if anew { 0 } else { have };
    let mut out = landing.open(at, anew)?;
    let mut body = response.body;
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        let chunk = body.chunk().await?;
        piece.extend_from_slice(chunk.as_deref().unwrap_or_default());
        if PIECE <= piece.len() || chunk.is_none() {
            if app.stopping.is_cancelled() {
                return Err(Failed::Stopped);
            }
            coming.have += piece.len() as u64;
            let written = tokio::task::spawn_blocking(move || {
                out.write_all(&piece).map(|()| (out, Vec::with_capacity(PIECE)))
            });
            (out, piece) = written.await.map_err(|_| Failed::Stopped)??;
            app.meaning.comes(coming.clone());
        }
        if chunk.is_none() {
            return Ok(());
        }
    }
}

/// The client for the model source. A configured mirror may be in a private network, but no other private address is
/// reachable.
fn client(app: &App) -> HttpClient {
    match app.config.has_mirror() {
        true => app.http.opening_host_of(&app.config.embed_source),
        false => app.http.clone(),
    }
}

/// Expected number of bytes; 0 if unknown.
fn length(response: &Response) -> u64 {
    let header = response.headers.get("content-length");
    header.and_then(|header| header.parse().ok()).unwrap_or(0)
}
