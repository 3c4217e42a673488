//! Push notifications of a browser: the subscription. The service worker (`static/js/worker/push.js`) shows them.

use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use app::{App, Who as _};
use crypto::webpush::BrowserKeys;
use features::notifications::rules::NotificationError;
use features::notifications::rules::sending::{self as rules, NewBrowser};
use features::notifications::sending::push;
use kernel::Can;
use kernel::text::ellipsis;
use web::error::PageError;
use web::extract::Json;
use web::routes::{Needs, Routes};
use web::session::Person;

/// Maximum length of a push endpoint.
const MAX_ENDPOINT: usize = 2_000;
/// Maximum length of a browser's description.
const MAX_AGENT: usize = 120;

/// Routes below the workspace. A subscription applies to all workspaces of the person.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post("/settings/push/key", key.needs(Can::Account))
        .post("/settings/push", subscribe.needs(Can::Account))
        .post("/settings/push/remove", unsubscribe.needs(Can::Account))
}

async fn key(app: App) -> Result<Response, PageError> {
    let vapid = push::vapid(&app).await?;
    Ok(Json(json!({ "key": vapid.public() })).into_response())
}

#[derive(Deserialize)]
struct Keys {
    p256dh: String,
    auth: String,
}

/// A push subscription.
#[derive(Deserialize)]
struct Subscription {
    endpoint: String,
    keys: Keys,
}

async fn subscribe(
    app: App,
    who: Person,
    headers: HeaderMap,
    Json(sent): Json<Subscription>,
) -> Result<Response, PageError> {
    let Subscription { endpoint, keys } = sent;
    let is_address = endpoint.starts_with("https://") && endpoint.len() <= MAX_ENDPOINT;
    if !is_address || BrowserKeys::read(&keys.p256dh, &keys.auth).is_err() {
        let text = "this isn't a browser's push subscription";
        return Err(NotificationError::field("endpoint", text).into());
    }
    let agent =
        headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("A browser");
    let new = NewBrowser {
        endpoint,
        p256dh: keys.p256dh,
        auth: keys.auth,
        agent: ellipsis(agent, MAX_AGENT),
    };
    let account = who.account;
    app.system
        .write(who.actor(), who.cause(), move |tx| rules::subscribe(tx, account, new))
        .await?;
    Ok(Json(json!({ "told": true })).into_response())
}

#[derive(Deserialize)]
struct Removal {
    endpoint: String,
}

async fn unsubscribe(
    app: App,
    who: Person,
    Json(sent): Json<Removal>,
) -> Result<Response, PageError> {
    let (account, endpoint) = (who.account, sent.endpoint);
    app.system
        .write(who.actor(), who.cause(), move |tx| rules::unsubscribe(tx, account, &endpoint))
        .await?;
    Ok(Json(json!({ "told": false })).into_response())
}
