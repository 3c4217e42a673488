//! `/api/v1/members/…` and `/api/v1/invites`.

use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, Ws};
use crate::features::workspace::model::{Invite, Member};
use crate::features::workspace::queries;
use crate::features::workspace::rules::{invites, members};
use crate::kernel::{AccountId, Can, InviteId, Role, Timestamp};
use crate::web::error::ApiError;
use crate::web::extract::{Json, Path};
use crate::web::idempotency::{NoKey, Once};
use crate::web::routes::{Doc, Needs, Routes};
use crate::web::session::Person;

use super::pages::{bound_email, link};

/// Routes below `/api/v1`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .patch(
            "/members/{id}",
            change.needs(Can::Admin).doc(|| {
                Doc::new("Change what a member is").body::<RoleBody>().returns::<MemberView>()
            }),
        )
        .delete(
            "/members/{id}",
            remove.needs(Can::Admin).doc(|| {
                Doc::new("End a membership; the name stays in the history")
                    .no_key("a repeat finds nobody and changes nothing")
                    .returns::<MemberView>()
            }),
        )
        .post(
            "/leave",
            leave.needs(Can::Account).doc(|| {
                Doc::new("End your own membership")
                    .no_key("a repeat finds nobody and changes nothing")
                    .returns::<MemberView>()
            }),
        )
        .get(
            "/invites",
            list.needs(Can::Admin).doc(|| Doc::new("Open invitations").returns::<Invites>()),
        )
        .post(
            "/invites",
            invite.needs(Can::Admin).doc(|| {
                Doc::new("Make an invitation; its link is shown once")
                    .no_key("the answer holds a secret, so a key is refused with 422")
                    .body::<InviteBody>()
                    .returns::<FreshInvite>()
                    .status(201)
            }),
        )
        .delete(
            "/invites/{id}",
            withdraw.needs(Can::Admin).doc(|| {
                Doc::new("Withdraw an invitation")
                    .no_key("a repeat changes nothing anyway")
                    .returns::<InviteView>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct MemberView {
    account: AccountId,
    name: String,
    handle: String,
    role: Role,
    #[schemars(with = "Option<String>")]
    left_at: Option<Timestamp>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        let Member { account, name, handle, role, left_at, .. } = member;
        Self { account, name, handle, role, left_at }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoleBody {
    role: Role,
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    Path(account): Path<AccountId>,
    Json(body): Json<RoleBody>,
) -> Result<Json<MemberView>, ApiError> {
    super::give_no_more(&who, body.role)?;
    let role = super::handled(&ws, &who, account)?;
    let write = move |tx: &mut crate::store::WriteTx<'_>| {
        super::same_role(tx, account, role)?;
        members::change_role(tx, account, body.role)
    };
    Ok(Json(ws.write(&who, once.run(write)).await?.into()))
}

async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    Path(account): Path<AccountId>,
) -> Result<Json<MemberView>, ApiError> {
    Ok(Json(super::remove(&app, &ws, &who, account).await?.into()))
}

async fn leave(app: App, ws: Ws, who: Person) -> Result<Json<MemberView>, ApiError> {
    Ok(Json(super::remove(&app, &ws, &who, who.account).await?.into()))
}

#[derive(Serialize, JsonSchema)]
struct InviteView {
    id: InviteId,
    role: Role,
    /// The only address that may use it.
    email: Option<String>,
    by: AccountId,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    expires_at: Timestamp,
    /// Since when it is used up or withdrawn.
    #[schemars(with = "Option<String>")]
    ended_at: Option<Timestamp>,
}

impl From<Invite> for InviteView {
    fn from(invite: Invite) -> Self {
        let Invite { id, role, email, by, created_at, expires_at, ended_at, .. } = invite;
        Self { id, role, email, by, created_at, expires_at, ended_at }
    }
}

#[derive(Serialize, JsonSchema)]
struct Invites {
    items: Vec<InviteView>,
    next: Option<String>,
}

async fn list(app: App, ws: Ws) -> Result<Json<Invites>, ApiError> {
    let now = app.clock.now();
    let open = ws.read(|snap| queries::open_invites(snap, now))?;
    Ok(Json(Invites { items: open.into_iter().map(InviteView::from).collect(), next: None }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InviteBody {
    /// What its bearer will be.
    role: Role,
    /// The only address that may use it.
    email: Option<String>,
}

/// A new invitation with its link.
#[derive(Serialize, JsonSchema)]
struct FreshInvite {
    /// The link, never shown again. HQ sends no mail.
    link: String,
    #[serde(flatten)]
    view: InviteView,
}

async fn invite(
    app: App,
    ws: Ws,
    who: Person,
    headers: HeaderMap,
    _: NoKey,
    Json(body): Json<InviteBody>,
) -> Result<Response, ApiError> {
    let email = bound_email(&body.email.unwrap_or_default())?;
    let (token, made) = super::invite(&ws, &who, body.role, email).await?;
    let link = link(&app, &ws, &headers, &token);
    let fresh = FreshInvite { link, view: made.into() };
    Ok((StatusCode::CREATED, Json(fresh)).into_response())
}

async fn withdraw(
    ws: Ws,
    who: Person,
    Path(id): Path<InviteId>,
) -> Result<Json<InviteView>, ApiError> {
    Ok(Json(ws.write(&who, move |tx| invites::withdraw(tx, id)).await?.into()))
}
