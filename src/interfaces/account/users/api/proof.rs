//! `/api/v1/proof`: re-authentication of a signed-in browser.

use axum::http::header::{HeaderMap, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use app::App;
use kernel::{Can, Timestamp};
use web::error::ApiError;
use web::extract::Json;
use web::idempotency::NoKey;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::super::pages::passkeys::{self, UseForm};
use super::super::pages::prove::{Given, Ways, give, ways};
use super::super::session::Caller;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/proof",
            show.needs(Can::Account).doc(|| {
                Doc::new("Whether you confirmed your identity recently, and how you can")
                    .returns::<ProofView>()
            }),
        )
        .post(
            "/proof",
            prove.needs(Can::Account).doc(|| {
                Doc::new("Confirm your identity; lasts ten minutes and renews the cookie")
                    .no_key("each proof is one of its own")
                    .body::<ProofBody>()
                    .returns::<ProofView>()
            }),
        )
        .post(
            "/proof/passkey",
            begin.needs(Can::Account).doc(|| {
                Doc::new("What the browser asks the device for, as WebAuthn has it")
                    .no_key("each question is good once")
                    .returns::<Value>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct ProofView {
    /// Until when the last proof counts; nothing when there is none.
    #[schemars(with = "Option<String>")]
    until: Option<Timestamp>,
    /// Whether you can prove it by your password.
    password: bool,
    /// Whether by a code from your app.
    code: bool,
    /// Whether by a passkey that is good for this address.
    passkey: bool,
}

impl ProofView {
    fn of(until: Option<Timestamp>, ways: Ways) -> Self {
        let Ways { password, code, passkey } = ways;
        Self { until, password, code, passkey }
    }
}

/// One of these.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProofBody {
    /// The password.
    password: Option<String>,
    /// A code from the app, or a recovery code.
    code: Option<String>,
    /// The device's answer to `POST /api/v1/proof/passkey`.
    passkey: Option<PasskeyBody>,
}

/// What a device answers, each in base64url.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PasskeyBody {
    /// Which passkey: `rawId`.
    credential: String,
    /// `clientDataJSON`.
    client_data: String,
    /// `authenticatorData`.
    data: String,
    /// Its signature.
    signature: String,
}

impl From<PasskeyBody> for UseForm {
    fn from(body: PasskeyBody) -> Self {
        let PasskeyBody { credential, client_data, data, signature } = body;
        Self { credential, client_data, data, signature, next: String::new() }
    }
}

async fn show(
    app: App,
    who: Person,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<ProofView>, ApiError> {
    Ok(Json(ProofView::of(caller.proved_until(&app), ways(&app, &who, &headers)?)))
}

async fn begin(app: App, who: Person, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    Ok(Json(passkeys::ask_again(&app, &who, &headers)?))
}

async fn prove(
    app: App,
    who: Person,
    caller: Caller,
    headers: HeaderMap,
    _: NoKey,
    Json(body): Json<ProofBody>,
) -> Result<Response, ApiError> {
    let given = match (body.password, body.code, body.passkey) {
        (Some(password), None, None) => Given::Password(Zeroizing::new(password)),
        (None, Some(code), None) => Given::Code(code),
        (None, None, Some(passkey)) => Given::Passkey(passkey.into()),
        _ => return Err(ApiError::invalid("password", "send a password, a code or a passkey")),
    };
    let cookie = give(&app, &caller, &who, &headers, given).await?;
    let view = ProofView::of(caller.proved_until(&app), ways(&app, &who, &headers)?);
    Ok(([(SET_COOKIE, cookie)], Json(view)).into_response())
}
