//! `POST /hooks/channels/{id}`: messages from the bridge of a webhook channel, in any workspace.

use app::{App, Ws};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use channels::hook;
use channels::model::Channel;
use channels::rules::Context;
use kernel::{Can, ProblemKind};
use store::StoreError;
use web::error::{ApiError, Failure};
use web::extract::Path;
use web::routes::{Needs as _, Routes};

use super::access;

pub fn routes() -> Routes {
    Routes::new().post(format!("{}{{id}}", hook::PATH), receive.needs(Can::Open))
}

/// 202 once the message is stored, 200 if it was stored before.
async fn receive(
    app: App,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let Some((ws, channel)) = find(&app, &id)? else {
        let text = "there is no webhook channel at this address; copy it again from HQ";
        return Err(ApiError(Failure::new(ProblemKind::NotFound, "unknown_hook", text)));
    };
    let body = body.map_err(|error| {
        let text = "send at most 1 MiB of JSON, and all of it";
        let kind = match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ProblemKind::TooLarge,
            _ => ProblemKind::Invalid,
        };
        ApiError(Failure::new(kind, "bad_body", text))
    })?;
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = hook::Signed {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let cx = Context { ws, rights: access::role };
    let is_new = hook::receive(&cx, &channel, signed, &body).await?;
    Ok(if is_new { StatusCode::ACCEPTED } else { StatusCode::OK })
}

fn find(app: &App, id: &str) -> Result<Option<(Ws, Channel)>, StoreError> {
    let all = app.ask_each(|ws| ws.read(|snap| channels::queries::by_address(snap, id)))?;
    Ok(all.into_iter().find_map(|(ws, channel)| Some((ws, channel?))))
}
