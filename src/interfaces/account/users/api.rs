//! `/api/v1/me` and `/api/v1/tokens`.

mod factors;
mod proof;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Who, Ws};
use crypto::token::{Token, TokenKind};
use kernel::{AccountId, Can, Role, Scope, Timestamp, TokenId, WorkspaceId};
use store::StoreError;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::{NoKey, Once};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::session::{Caller, Rights};
use super::tokens;
use features::users::model::ApiToken;
use features::users::rules::NewToken;
use features::users::{queries, rules};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .merge(factors::routes())
        .merge(proof::routes())
        .get(
            "/me",
            me.needs(Can::Read)
                .doc(|| Doc::new("The signed-in account and its permissions").returns::<Me>()),
        )
        .get(
            "/tokens",
            list.needs(Can::Account).doc(|| Doc::new("Your API tokens").returns::<Tokens>()),
        )
        .post(
            "/tokens",
            create.needs(Can::Account).proved().doc(|| {
                Doc::new("Create an API token; it is shown once")
                    .no_key("the answer holds a secret, so a key is refused with 422")
                    .body::<NewTokenBody>()
                    .returns::<FreshToken>()
                    .status(201)
            }),
        )
        .get(
            "/workspace/tokens",
            list_all
                .needs(Can::Admin)
                .doc(|| Doc::new("Active API tokens of all members").returns::<PeoplesTokens>()),
        )
        .delete(
            "/workspace/tokens/{id}",
            withdraw.needs(Can::Admin).proved().doc(|| {
                Doc::new("Revoke a member's API token for this workspace")
                    .no_key("a repeat changes nothing anyway")
                    .returns::<TokenView>()
            }),
        )
        .delete(
            "/tokens/{id}",
            revoke.needs(Can::Account).doc(|| {
                Doc::new("Revoke an API token")
                    .no_key("a repeat changes nothing anyway")
                    .returns::<TokenView>()
            }),
        )
}

/// Who is asking.
#[derive(Serialize, JsonSchema)]
struct Me {
    account: AccountView,
    workspace: WorkspaceView,
    /// What this request may do.
    can: Vec<Can>,
}

#[derive(Serialize, JsonSchema)]
struct AccountView {
    id: AccountId,
    name: String,
    email: String,
}

#[derive(Serialize, JsonSchema)]
struct WorkspaceView {
    id: WorkspaceId,
    slug: String,
    role: Role,
}

async fn me(ws: Ws, who: Person, caller: Caller) -> Json<Me> {
    let can = Can::ALL.iter().copied();
    Json(Me {
        account: AccountView {
            id: who.account,
            name: caller.account.name,
            email: caller.account.email,
        },
        workspace: WorkspaceView { id: ws.id, slug: ws.slug.clone(), role: who.role },
        can: can.filter(|can| *can != Can::Open && who.access.may(*can)).collect(),
    })
}

/// A token without its secret.
#[derive(Serialize, JsonSchema)]
struct TokenView {
    id: TokenId,
    /// Its beginning, which may be shown.
    mark: String,
    name: String,
    scopes: Vec<Scope>,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    expires_at: Timestamp,
    #[schemars(with = "Option<String>")]
    last_used_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    revoked_at: Option<Timestamp>,
}

impl TokenView {
    fn of(token: ApiToken, last_used_at: Option<Timestamp>) -> Self {
        Self {
            id: token.id,
            mark: format!("{}{}", TokenKind::Personal.prefix(), token.public),
            name: token.name,
            scopes: token.scopes,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at,
            revoked_at: token.revoked_at,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct Tokens {
    items: Vec<TokenView>,
    next: Option<String>,
}

async fn list(app: App, ws: Ws, who: Person) -> Result<Json<Tokens>, ApiError> {
    let items = app.system.read(|snap| {
        let all = queries::tokens(snap, who.account)?;
        let here = all.into_iter().filter(|token| token.workspace == ws.id);
        let view = |token: ApiToken| {
            let used = queries::last_used(snap, token.id)?;
            Ok::<_, StoreError>(TokenView::of(token, used))
        };
        here.map(view).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(Json(Tokens { items, next: None }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewTokenBody {
    /// What it is for.
    name: String,
    /// What it may be used for.
    scopes: Vec<Scope>,
    /// How many days it lives: 1 to 365, 90 unless said otherwise.
    #[serde(default = "usual_days")]
    days: i64,
}

fn usual_days() -> i64 {
    90
}

/// A new token with its secret.
#[derive(Serialize, JsonSchema)]
struct FreshToken {
    /// The token itself, never shown again.
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

async fn create(
    app: App,
    ws: Ws,
    who: Person,
    rights: Rights,
    _: NoKey,
    Json(body): Json<NewTokenBody>,
) -> Result<Response, ApiError> {
    let token = Token::issue(TokenKind::Personal);
    let new = NewToken {
        account: who.account,
        workspace: ws.id,
        name: body.name,
        scopes: body.scopes,
        days: body.days,
        public: token.id().to_owned(),
        hash: token.hash(),
    };
    let made = tokens::create(&app, &who, rights, new, Once::without_key()).await?;
    let fresh = FreshToken { token: token.reveal().to_owned(), view: TokenView::of(made, None) };
    Ok((StatusCode::CREATED, Json(fresh)).into_response())
}

async fn revoke(
    app: App,
    who: Person,
    Path(id): Path<TokenId>,
) -> Result<Json<TokenView>, ApiError> {
    let account = who.account;
    let gone = app
        .system
        .write(who.actor(), who.cause(), move |tx| rules::revoke_token(tx, account, id))
        .await?;
    Ok(Json(TokenView::of(gone, None)))
}

/// A token and whose it is.
#[derive(Serialize, JsonSchema)]
struct PeoplesToken {
    account: AccountId,
    #[serde(flatten)]
    view: TokenView,
}

#[derive(Serialize, JsonSchema)]
struct PeoplesTokens {
    items: Vec<PeoplesToken>,
    next: Option<String>,
}

async fn list_all(app: App, ws: Ws) -> Result<Json<PeoplesTokens>, ApiError> {
    let now = app.clock.now();
    let items = app.system.read(|snap| {
        let view = |token: ApiToken| {
            let used = queries::last_used(snap, token.id)?;
            let account = token.account;
            Ok::<_, StoreError>(PeoplesToken { account, view: TokenView::of(token, used) })
        };
        let all = queries::tokens_of(snap, ws.id, now)?;
        all.into_iter().map(view).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(Json(PeoplesTokens { items, next: None }))
}

async fn withdraw(
    app: App,
    ws: Ws,
    who: Person,
    Path(id): Path<TokenId>,
) -> Result<Json<TokenView>, ApiError> {
    Ok(Json(TokenView::of(tokens::withdraw(&app, &ws, &who, id).await?, None)))
}
