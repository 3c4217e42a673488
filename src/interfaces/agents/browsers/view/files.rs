//! Uploads from the person in control to an open file chooser.

use std::io;

use axum::extract::Request;
use axum::http::StatusCode;

use app::Ws;
use browser::BrowserError;
use browser::chooser::Chosen;
use browser::live_view::Stage;
use browser::page::Page;
use features::agents::model::Agent;
use kernel::TypedId as _;
use web::error::ApiError;
use web::extract::Path;
use web::session::Person;
use web::upload;

/// Maximum number of files per upload.
const AT_ONCE: usize = 10;

/// `POST /agents/{slug}/browser/upload`
pub(in crate::browsers) async fn give(
    ws: Ws,
    who: Person,
    Path(slug): Path<String>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let agent = super::super::found(&ws, &slug)?;
    let agent = agent.ok_or_else(|| ApiError::not_found("This agent"))?;
    let stage = ws.app.browsers.stage(ws.browser_of(agent.id)).ok_or(BrowserError::NotDriving)?;
    // Checked before reading the upload, and again afterwards.
    waiting(&ws, &who, &agent, &stage)?;
    let files = arrived(&ws, request).await?;
    let page = waiting(&ws, &who, &agent, &stage)?;
    page.choose(files).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The uploaded files of a form, for a page.
pub(in crate::browsers) async fn arrived(
    ws: &Ws,
    request: Request,
) -> Result<Vec<Chosen>, ApiError> {
    let (parts, body) = request.into_parts();
    let limit = ws.app.config.limits.upload_bytes();
    let arrived = upload::form(ws, (&parts.headers, body), AT_ONCE, limit).await?;
    let own = ws.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let open = |one: upload::Arrived| {
            Ok(Chosen { name: one.name, file: own.blobs.open_blob(one.blob)? })
        };
        arrived.into_iter().map(open).collect::<io::Result<Vec<_>>>()
    });
    Ok(opened.await.map_err(io::Error::other).flatten().map_err(BrowserError::Folder)?)
}

/// The page whose file chooser waits for this person, who must be in control.
fn waiting(ws: &Ws, who: &Person, agent: &Agent, stage: &Stage) -> Result<Page, ApiError> {
    stage.steer(who.account.uuid())?;
    let page = super::super::shown(ws, who, agent.id)?;
    let page = page.filter(|page| page.chooser().is_some());
    Ok(page.ok_or(BrowserError::NoChooser)?)
}
