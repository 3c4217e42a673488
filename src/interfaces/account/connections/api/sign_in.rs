//! The API of provider accounts: add, sign in, answer, cancel, sign out. Tokens are write-only.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::connections::logins::{self, Shown};
use features::connections::model::{Connection, Flow, Grant};
use features::connections::queries::eligible;
use features::connections::rules::ConnectionError;
use features::connections::rules::sign_in::{self as rules, NewAccount};
use kernel::{Can, ConnectionId};
use providers::oauth::{Client, Endpoints, Vendor};
use store::{Read, ReadExt, StoreError};
use web::error::ApiError;
use web::etag::Tagged;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::{View, with_etag};

pub(super) fn routes() -> Routes {
    let login = "/connections/{id}/login";
    Routes::new()
        .post(
            "/connections/accounts",
            create.needs(Can::Admin).doc(|| {
                Doc::new("Add a connection that uses a sign-in instead of a key")
                    .body::<NewBody>()
                    .returns::<View>()
                    .status(201)
            }),
        )
        .get(
            login,
            get.needs(Can::Admin).doc(|| {
                Doc::new("The current sign-in, or how the last one ended").returns::<LoginView>()
            }),
        )
        .post(
            login,
            begin.needs(Can::Admin).doc(|| {
                Doc::new("Start a sign-in. Ends one that is in progress")
                    .no_key("each call asks the provider again")
                    .body::<BeginBody>()
                    .returns::<LoginView>()
            }),
        )
        .delete(
            login,
            cancel.needs(Can::Admin).doc(|| {
                Doc::new("Cancel the current sign-in")
                    .no_key("a second call finds nothing to cancel")
                    .status(204)
            }),
        )
        .post(
            "/connections/{id}/login/answer",
            answer.needs(Can::Admin).doc(|| {
                Doc::new("Finish a sign-in with the redirect address or its code")
                    .no_key("a code works once")
                    .body::<AnswerBody>()
                    .returns::<LoginView>()
            }),
        )
        .delete(
            "/connections/{id}/account",
            sign_out.needs(Can::Admin).doc(|| {
                Doc::new("Sign out and delete a connection's tokens")
                    .no_key("a second call changes nothing")
                    .status(204)
            }),
        )
}

/// At whom people sign in.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Maker {
    /// A subscription of ChatGPT.
    Chatgpt,
    /// GitHub Copilot.
    Copilot,
}

impl From<Maker> for Vendor {
    fn from(maker: Maker) -> Self {
        match maker {
            Maker::Chatgpt => Self::ChatGpt,
            Maker::Copilot => Self::Copilot,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    maker: Maker,
    /// The id that the maker gave your program. HQ has none of its own.
    client_id: String,
    /// The name under which the maker knows your program in calls.
    #[serde(default)]
    integration: String,
    default_model: Option<String>,
    /// Where models answer; empty for the maker's own.
    #[serde(default)]
    base_url: String,
    /// Where a browser is sent; empty for the maker's own, as the others.
    #[serde(default)]
    authorize_url: String,
    #[serde(default)]
    token_url: String,
    /// Where a code to type is made.
    #[serde(default)]
    device_url: String,
    /// Where a token becomes the short one that calls are made with.
    #[serde(default)]
    exchange_url: String,
    /// Where a browser is sent back to.
    #[serde(default)]
    redirect_url: String,
}

/// The account of a connection, for those who manage connections.
#[derive(Serialize, JsonSchema)]
pub(super) struct AccountView {
    maker: &'static str,
    client_id: String,
    /// What people know the account by.
    label: Option<String>,
    signed_in: bool,
    signed_in_at: Option<String>,
    /// When that ends which calls are made with; it is renewed ahead of that.
    expires_at: Option<String>,
    /// Whether somebody has to sign in again.
    sign_in_again: bool,
    /// What the maker said to the last renewal that failed.
    message: String,
}

pub(super) fn account(
    tx: &dyn Read,
    connection: &Connection,
) -> Result<Option<AccountView>, StoreError> {
    let Some(client) = &connection.sign_in else { return Ok(None) };
    let grant = tx.get::<Grant>(connection.id)?;
    let counts = eligible::of_account(tx, connection)?.is_none();
    Ok(Some(AccountView {
        maker: client.vendor.word(),
        client_id: client.id.clone(),
        signed_in: counts,
        sign_in_again: grant.is_some() && !counts,
        label: grant.as_ref().and_then(|grant| grant.label.clone()),
        signed_in_at: grant.as_ref().map(|grant| grant.signed_in_at.to_string()),
        expires_at: grant.as_ref().and_then(|grant| Some(grant.expires_at?.to_string())),
        message: grant.map_or_else(String::new, |grant| grant.said),
    }))
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Way {
    /// In a browser, which is sent back with a code.
    Browser,
    /// By typing a short code at the maker's.
    Device,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BeginBody {
    /// How; none takes the first way that there is.
    flow: Option<Way>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnswerBody {
    /// The whole address, or the code alone.
    answer: String,
}

#[derive(Serialize, JsonSchema)]
struct LoginView {
    flow: Way,
    /// `waiting`, `done`, `denied`, `expired`, `cancelled` or `failed`.
    state: &'static str,
    /// Where the person goes; empty once it is over.
    url: String,
    /// What the person types there; empty where nothing is typed.
    code: String,
    expires_at: String,
    /// What the maker said last.
    message: String,
}

impl From<Shown> for LoginView {
    fn from(shown: Shown) -> Self {
        Self {
            flow: match shown.flow {
                Flow::Browser => Way::Browser,
                Flow::Device => Way::Device,
            },
            state: shown.state.word(),
            url: shown.url,
            code: shown.code,
            expires_at: shown.expires_at.to_string(),
            message: shown.message,
        }
    }
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<Tagged<View>, ApiError> {
    let new = NewAccount {
        name: body.name,
        client: Client {
            vendor: body.maker.into(),
            id: body.client_id,
            integration: Some(body.integration),
            endpoints: Endpoints {
                authorize: body.authorize_url,
                token: body.token_url,
                device: body.device_url,
                exchange: body.exchange_url,
                redirect: body.redirect_url,
            },
        },
        base_url: body.base_url,
        default_model: body.default_model,
    };
    let id = ws.write(&who, once.run(move |tx| rules::create(tx, new))).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..with_etag(&ws, id)? })
}

fn view(ws: &Ws, id: ConnectionId) -> Result<Json<LoginView>, ApiError> {
    let shown = logins::shown(ws, id)?.ok_or(ConnectionError::NoLogin)?;
    Ok(Json(shown.into()))
}

async fn get(ws: Ws, Path(id): Path<ConnectionId>) -> Result<Json<LoginView>, ApiError> {
    view(&ws, id)
}

async fn begin(
    ws: Ws,
    who: Person,
    Path(id): Path<ConnectionId>,
    Json(body): Json<BeginBody>,
) -> Result<Json<LoginView>, ApiError> {
    let flow = match body.flow {
        Some(Way::Browser) => Flow::Browser,
        Some(Way::Device) => Flow::Device,
        None => {
            let stored = ws.read(|snap| snap.get::<Connection>(id))?;
            let client = stored.ok_or(ConnectionError::NotFound(id))?.sign_in;
            let flows = client.map(|client| logins::flows_of(&client)).unwrap_or_default();
            *flows.first().ok_or(ConnectionError::NoSignIn)?
        }
    };
    Ok(Json(logins::begin(&ws, &who, id, flow).await?.into()))
}

async fn answer(
    ws: Ws,
    who: Person,
    Path(id): Path<ConnectionId>,
    Json(body): Json<AnswerBody>,
) -> Result<Json<LoginView>, ApiError> {
    logins::answer(&ws, &who, id, &body.answer).await?;
    view(&ws, id)
}

async fn cancel(ws: Ws, who: Person, Path(id): Path<ConnectionId>) -> Result<Response, ApiError> {
    logins::cancel(&ws, &who, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn sign_out(ws: Ws, who: Person, Path(id): Path<ConnectionId>) -> Result<Response, ApiError> {
    logins::sign_out(&ws, &who, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
