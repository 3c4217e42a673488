//! `POST /hooks/channels/{id}`: messages from the bridge of a webhook channel, in any workspace.

use app::{App, Ws};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use channels::hook;
use channels::model::Channel;
use channels::rules::Context;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kernel::{Can, ProblemKind};
use store::StoreError;
use tokio::sync::Semaphore;
use web::error::{ApiError, Failure};
use web::extract::Path;
use web::routes::{Needs as _, Routes};

use super::access;

/// Forms that are read at a time: each may need 21 MiB of memory before its signature is known to be right.
static FORMS: Semaphore = Semaphore::const_new(3);

pub fn routes() -> Routes {
    Routes::new().post(format!("{}{{id}}", hook::PATH), receive.needs(Can::Open))
}

/// 202 once the message is stored, 200 if it was stored before.
async fn receive(
    app: App,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let Some((ws, channel)) = find(&app, &id)? else {
        let text = "there is no webhook channel at this address; copy it again from HQ";
        return Err(ApiError(Failure::new(ProblemKind::NotFound, "unknown_hook", text)));
    };
    let is_form = hook::is_form(&headers);
    let _permit = match is_form {
        // ok: the semaphore is never closed.
        true => FORMS.acquire().await.ok(),
        false => None,
    };
    let most = if is_form { hook::MAX_FORM } else { hook::MAX_EVENT };
    let body = Limited::new(body, most).collect().await.map_err(|error| {
        let is_large = error.downcast_ref::<LengthLimitError>().is_some();
        let (kind, text) = match (is_large, is_form) {
            (true, true) => (ProblemKind::TooLarge, "send at most 20 MiB of files"),
            (true, false) => (ProblemKind::TooLarge, "send at most 1 MiB of JSON"),
            (false, _) => (ProblemKind::Invalid, "the body was cut off; send all of it"),
        };
        ApiError(Failure::new(kind, "bad_body", text))
    })?;
    let body = body.to_bytes();
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = hook::Signed {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let cx = Context { ws, rights: access::role };
    let is_new = hook::receive(&cx, &channel, signed, &headers, body).await?;
    Ok(if is_new { StatusCode::ACCEPTED } else { StatusCode::OK })
}

fn find(app: &App, id: &str) -> Result<Option<(Ws, Channel)>, StoreError> {
    let all = app.ask_each(|ws| ws.read(|snap| channels::queries::by_address(snap, id)))?;
    Ok(all.into_iter().find_map(|(ws, channel)| Some((ws, channel?))))
}
