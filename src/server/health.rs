//! Whether the program lives, and whether it can work.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use app::App;
use features::users;

/// `GET /healthz`: the process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the stores can be read, and work is begun. Ready to be set up counts: a load balancer
/// must let the first person in.
pub async fn ready(app: App) -> Response {
    let system = app.system.read(|snap| users::queries::any_account(snap));
    let all: Vec<_> = app.workspaces.read().clone();
    let readable =
        all.iter().all(|ws| ws.read(|snap| features::workspace::queries::settings(snap)).is_ok());
    if system.is_ok() && readable && !app.closing.is_cancelled() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}
