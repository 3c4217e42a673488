//! Liveness and readiness checks.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use app::App;
use features::users;

/// `GET /healthz`: the process responds.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the stores are readable and work is running. A server without an owner is ready, too: a load
/// balancer must let the first person in.
pub async fn ready(app: App) -> Response {
    let system = app.system.read(|snap| users::queries::any_account(snap));
    let all: Vec<_> = app.workspaces.read().clone();
    let readable =
        all.iter().all(|ws| ws.read(|snap| features::workspace::queries::settings(snap)).is_ok());
    let works = system.is_ok() && readable && !app.closing.is_cancelled();
    let room = app.system.room().filter(|room| room.is_full());
    if let Some(room) = room {
        // Existing data can be read and space freed, but nothing new is saved.
        let (free, reserve) = (room.free >> 20, room.reserve >> 20);
        let words = format!("not ready: storage_full: {free} MB free, {reserve} MB reserved\n");
        return (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    }
    if works {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}
