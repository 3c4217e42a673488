//! Downloads of the join command: the script and, with the token, the program.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName};
use axum::response::{IntoResponse as _, Response};
use tokio_util::io::ReaderStream;

use app::limits::Patience;
use app::{App, Ws};
use crypto::token::{Token, TokenKind};
use kernel::{Actor, Cause, Part, ProblemKind};
use web::error::{ApiError, Failure};
use web::session::{Peer, RequestId};

use crate::error::GatewayError;
use crate::machine::{BUILT_FOR, PROGRAM, program as measured};
use crate::model::GatewayToken;
use crate::place::Place;
use crate::{queries, rules};

const SCRIPT: &str = include_str!("../join.sh");
/// Header with the join token.
const TOKEN: &str = "x-hq-join";
/// Limit of wrong tokens per address.
const WRONG: Patience = Patience {
    free: 3,
    window: Duration::from_secs(10 * 60),
    first: Duration::from_secs(5 * 60),
    longest: Duration::from_secs(5 * 60),
};

/// `GET /join`: the join script. If machines cannot join by script, the script prints the reason and exits.
#[must_use]
pub fn script(app: &App) -> Response {
    let text = match Place::of(&app.config) {
        Place::Anywhere(url) => SCRIPT.replace("@HOME@", &url).replace("@ARCH@", BUILT_FOR),
        Place::Nowhere(_) => refusal("This HQ has no public address, so machines can’t join."),
        Place::ByHand(_) => refusal(
            "This HQ uses plain HTTP, where downloads aren’t protected from tampering. Join \
                manually: Settings, Gateways, Add gateway.",
        ),
    };
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// A script that prints why it does nothing.
fn refusal(why: &str) -> String {
    format!("#!/bin/sh\necho \"{why}\" >&2\nexit 1\n")
}

/// `GET /join/program`: the executable of this process, for a valid token.
pub(super) async fn program(
    app: App,
    peer: Peer,
    id: RequestId,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let refused = |kind, code: &str, text: &str| ApiError(Failure::new(kind, code, text));
    if !matches!(Place::of(&app.config), Place::Anywhere(_)) {
        let text = "the program is only available over HTTPS; copy it to the other machine \
            manually";
        return Err(refused(ProblemKind::Conflict, "by_hand", text));
    }
    let sent = headers.get(TOKEN).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (now, from) = (app.clock.now(), peer.key());
    app.limiter.strike("gateway", &from, WRONG, now.as_millisecond()).map_err(|wait| {
        let text = format!("too many wrong tokens; try again in {} s", wait.as_secs() + 1);
        refused(ProblemKind::Limited, "rate_limited", &text)
    })?;
    let found = find(&app, sent)?;
    let (ws, token) = found
        .filter(|(ws, one)| ws.is_active() && one.revoked_at.is_none() && now < one.expires_at)
        .ok_or_else(|| {
            let text = "this token doesn't exist or has expired; create one in Settings, Gateways";
            refused(ProblemKind::Unauthorized, "bad_token", text)
        })?;
    app.limiter.forgive("gateway", &from);
    let by = (Actor::System(Part::Setup), Cause::Request(id.0));
    ws.write(&by, move |tx| rules::called(tx, token.id)).await?;
    let unread = |error: std::io::Error| ApiError(Failure::internal(error));
    let known = tokio::task::spawn_blocking(measured).await;
    let (hash, bytes) =
        known.map_err(std::io::Error::other).and_then(|read| read).map_err(unread)?;
    let file = tokio::fs::File::open(PROGRAM).await.map_err(unread)?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, bytes.to_string()),
        (HeaderName::from_static("x-hq-sha256"), hash),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

/// Finds the workspace of a token; the token does not name it.
fn find(app: &App, sent: &str) -> Result<Option<(Ws, GatewayToken)>, GatewayError> {
    // ok: malformed tokens count as unknown.
    let Ok(token) = Token::parse(TokenKind::Gateway, sent.trim()) else { return Ok(None) };
    let all = app.ask_each(|ws| ws.read(|snap| queries::token(snap, &token)))?;
    Ok(all.into_iter().find_map(|(ws, found)| Some((ws, found?))))
}
