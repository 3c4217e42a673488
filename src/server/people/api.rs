//! `/api/v1/members/…` and `/api/v1/invites`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::local::Reached;
use app::{App, Ws};
use features::users::model::Account;
use features::workspace::model::{Invite, Member};
use features::workspace::queries;
use features::workspace::rules::{WorkspaceError, invites};
use kernel::{AccountId, Can, InviteId, Role, Timestamp};
use web::error::ApiError;
use web::extract::{Json, Path, Query};
use web::idempotency::{NoKey, Once};
use web::routes::{Doc, Needs, Routes};
use web::session::{Person, Proof};

use super::pages::{bound_email, link};
use super::{Mailed, accounts, handover};

#[must_use]
pub fn routes() -> Routes {
    account_routes()
        .patch(
            "/members/{id}",
            change.needs(Can::Admin).doc(|| {
                Doc::new("Change a member's role").body::<RoleBody>().returns::<MemberView>()
            }),
        )
        .delete(
            "/members/{id}",
            remove.needs(Can::Admin).doc(|| {
                Doc::new("Remove a member; the name stays, the work goes to someone else")
                    .query::<Heir>()
                    .no_key("a repeat finds no member and changes nothing")
                    .returns::<MemberView>()
            }),
        )
        .get(
            "/members/{id}/load",
            load.needs(Can::Read).doc(|| {
                Doc::new("A member's open work, and who could take it over").returns::<LoadView>()
            }),
        )
        .post(
            "/members/{id}/handover",
            hand_over.needs(Can::Admin).doc(|| {
                Doc::new("Hand a member's open work over to someone else")
                    .query::<Heir>()
                    .no_key("a repeat finds nothing left to give")
                    .returns::<LoadView>()
            }),
        )
        .post(
            "/members/{id}/disable",
            disable.needs(Can::Own).proved().doc(|| {
                Doc::new("Disable a member's account: signed out everywhere, tokens revoked")
                    .no_key(AGAIN)
                    .returns::<AccountView>()
            }),
        )
        .post(
            "/members/{id}/enable",
            enable.needs(Can::Own).proved().doc(|| {
                Doc::new("Enable a member's account again").no_key(AGAIN).returns::<AccountView>()
            }),
        )
        .post(
            "/members/{id}/reset-factors",
            reset_factors.needs(Can::Own).proved().doc(|| {
                Doc::new("Reset a member's second step: signed out everywhere")
                    .no_key("a repeat finds none, and only signs out once more")
                    .returns::<MemberView>()
            }),
        )
        .post(
            "/leave",
            leave_workspace.needs(Can::Account).doc(|| {
                Doc::new("Leave the workspace; your work goes to someone else")
                    .query::<Heir>()
                    .no_key("a repeat finds no member and changes nothing")
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
                Doc::new("Create an invitation; its link is shown once")
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

/// Routes for accounts that belong to no workspace.
fn account_routes() -> Routes {
    Routes::new()
        .get(
            "/accounts",
            list_accounts.needs(Can::Own).doc(|| {
                Doc::new(
                    "Accounts without a workspace, for HQ's admin or an owner of all its \
                     workspaces",
                )
                .returns::<Accounts>()
            }),
        )
        .delete(
            "/accounts/{id}",
            remove_account.needs(Can::Own).proved().doc(|| {
                Doc::new("Remove an account without a workspace")
                    .no_key("a repeat finds none and changes nothing")
                    .returns::<AccountView>()
            }),
        )
}

const AGAIN: &str = "a repeat finds the account as it is and changes nothing";

/// A person's account, which is one for all workspaces of the server.
#[derive(Serialize, JsonSchema)]
struct AccountView {
    account: AccountId,
    name: String,
    email: String,
    /// Since when it is disabled.
    #[schemars(with = "Option<String>")]
    disabled_at: Option<Timestamp>,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        let Account { id, name, email, disabled_at, .. } = account;
        Self { account: id, name, email, disabled_at }
    }
}

#[derive(Serialize, JsonSchema)]
struct Accounts {
    items: Vec<AccountView>,
    next: Option<String>,
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
    app: App,
    ws: Ws,
    who: Person,
    once: Once,
    proof: Proof,
    Path(account): Path<AccountId>,
    Json(body): Json<RoleBody>,
) -> Result<Json<MemberView>, ApiError> {
    super::proved_for(body.role, proof)?;
    Ok(Json(super::change_role(&app, &ws, &who, (account, body.role), once).await?.into()))
}

/// Who takes over.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Heir {
    /// A member who can work; without it whoever asks, or an owner.
    to: Option<AccountId>,
}

async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    Path(account): Path<AccountId>,
    Query(heir): Query<Heir>,
) -> Result<Json<MemberView>, ApiError> {
    Ok(Json(super::remove(&app, &ws, &who, (account, heir.to)).await?.into()))
}

/// What a member has to do.
#[derive(Serialize, JsonSchema)]
struct LoadView {
    /// Open tasks.
    tasks: u64,
    /// Names of the agents that report to this member.
    agents: Vec<String>,
    /// Delivered work of those agents that waits for a review.
    reviews: usize,
    /// Who could take it over, the most fitting first.
    heirs: Vec<HeirView>,
}

#[derive(Serialize, JsonSchema)]
struct HeirView {
    account: AccountId,
    name: String,
}

async fn load(
    app: App,
    ws: Ws,
    who: Person,
    Path(account): Path<AccountId>,
) -> Result<Json<LoadView>, ApiError> {
    let shut = accounts::shut(&app, &ws)?;
    let found = ws.read(|snap| {
        let member = queries::member(snap, account)?.ok_or(WorkspaceError::NoMember(account))?;
        let heirs = handover::heirs(snap, member.account, who.account, &shut)?;
        Ok::<_, WorkspaceError>((handover::Load::of(snap, account)?, heirs))
    });
    let (handover::Load { tasks, agents, reviews }, heirs) = found?;
    let heir = |one: Member| HeirView { account: one.account, name: one.name };
    let heirs = heirs.into_iter().map(heir).collect();
    Ok(Json(LoadView { tasks, agents, reviews, heirs }))
}

async fn hand_over(
    app: App,
    ws: Ws,
    who: Person,
    Path(account): Path<AccountId>,
    Query(heir): Query<Heir>,
) -> Result<Json<LoadView>, ApiError> {
    super::hand_over(&app, &ws, &who, (account, heir.to)).await?;
    load(app, ws, who, Path(account)).await
}

async fn disable(
    app: App,
    ws: Ws,
    who: Person,
    Path(account): Path<AccountId>,
) -> Result<Json<AccountView>, ApiError> {
    Ok(Json(accounts::set(&app, &ws, &who, account, false).await?.1.into()))
}

async fn enable(
    app: App,
    ws: Ws,
    who: Person,
    Path(account): Path<AccountId>,
) -> Result<Json<AccountView>, ApiError> {
    Ok(Json(accounts::set(&app, &ws, &who, account, true).await?.1.into()))
}

async fn reset_factors(
    app: App,
    ws: Ws,
    who: Person,
    Path(account): Path<AccountId>,
) -> Result<Json<MemberView>, ApiError> {
    Ok(Json(super::reset_factors(&app, &ws, &who, account).await?.into()))
}

async fn leave_workspace(
    app: App,
    ws: Ws,
    who: Person,
    Query(heir): Query<Heir>,
) -> Result<Json<MemberView>, ApiError> {
    Ok(Json(super::remove(&app, &ws, &who, (who.account, heir.to)).await?.into()))
}

async fn list_accounts(app: App, who: Person) -> Result<Json<Accounts>, ApiError> {
    let all = match accounts::decides(&app, &who)? {
        true => accounts::without_workspace(&app)?,
        false => Vec::new(),
    };
    Ok(Json(Accounts { items: all.into_iter().map(AccountView::from).collect(), next: None }))
}

async fn remove_account(
    app: App,
    who: Person,
    Path(account): Path<AccountId>,
) -> Result<Json<AccountView>, ApiError> {
    Ok(Json(accounts::remove_as(&app, &who, account).await?.into()))
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
    /// The link, never shown again.
    link: String,
    /// Whether HQ sent the link to the address: it does when the workspace has a mail server.
    emailed: bool,
    /// Why the mail server did not take the email.
    #[serde(skip_serializing_if = "Option::is_none")]
    email_error: Option<String>,
    #[serde(flatten)]
    view: InviteView,
}

async fn invite(
    ws: Ws,
    who: Person,
    proof: Proof,
    reached: Reached,
    _: NoKey,
    Json(body): Json<InviteBody>,
) -> Result<Response, ApiError> {
    super::proved_for(body.role, proof)?;
    let email = bound_email(&body.email.unwrap_or_default())?;
    let (token, made) = super::invite(&ws, &who, body.role, email, Once::without_key()).await?;
    let link = link(&reached, &ws, &token);
    let (emailed, email_error) = match super::mail_invite(&ws, &who, &made, &link).await? {
        Mailed::Not => (false, None),
        Mailed::Sent => (true, None),
        Mailed::Failed(why) => (false, Some(why)),
    };
    let fresh = FreshInvite { link, emailed, email_error, view: made.into() };
    Ok((StatusCode::CREATED, Json(fresh)).into_response())
}

async fn withdraw(
    ws: Ws,
    who: Person,
    Path(id): Path<InviteId>,
) -> Result<Json<InviteView>, ApiError> {
    Ok(Json(ws.write(&who, move |tx| invites::withdraw(tx, id)).await?.into()))
}
