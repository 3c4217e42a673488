//! Members, invitations and joining. This module is part of `server` because accounts and memberships are in
//! different stores.
//!
//! Joining first claims the invitation, then creates the account, then the membership, so one invitation creates one
//! account. After a crash in between, the next start or the next visitor with this link finishes. Leaving first ends
//! the membership, which ends all access at once, then revokes the tokens. An hourly task revokes tokens that a crash
//! left.

pub mod accounts;
pub mod api;
pub mod handover;
pub mod join;
pub mod leaving;
pub mod local;
pub mod pages;

use std::collections::BTreeSet;
use std::net::IpAddr;

use app::{App, Who, Ws};
use crypto::token::{Token, TokenKind};
use features::notifications::sending::letters::{self, Invitation};
use features::users::model::ApiToken;
use features::users::rules::{UsersError, factors, workspaces};
use features::workspace;
use features::workspace::model::{Invite, Member};
use features::workspace::rules::invites::{self, NewInvite};
use features::workspace::rules::{WorkspaceError, members};
use kernel::{AccountId, Actor, Can, Cause, Part, Role, WorkspaceId};
use store::{Range, ReadExt, StoreError};
use web::error::PageError;
use web::idempotency::Once;
use web::session::{Access, Person, Proof};

/// Ends a membership and its access; another member takes over the open work. Completes even if the caller
/// disconnects.
///
/// # Errors
/// When the membership must not be ended, or the heir cannot take over.
pub async fn remove(
    app: &App,
    ws: &Ws,
    who: &Person,
    (account, heir): (AccountId, Option<AccountId>),
) -> Result<Member, PageError> {
    let (own, ws, who) = (app.clone(), ws.clone(), who.clone());
    let work = async move { end_membership(&own, &ws, &who, (account, heir)).await };
    app.see_through("end a membership", work).await?
}

async fn end_membership(
    app: &App,
    ws: &Ws,
    who: &Person,
    (account, heir): (AccountId, Option<AccountId>),
) -> Result<Member, PageError> {
    let _turn = app.people_turn.lock().await;
    let (role, shut) = (handled(ws, who, account)?, accounts::shut(app, ws)?);
    let gone = ws
        .write(who, move |tx| {
            same_role(tx, account, role)?;
            handover::begin(tx, account, heir, &shut)?;
            members::remove(tx, account, &shut)
        })
        .await?;
    let id = ws.id;
    let withdraw = move |tx: &mut store::WriteTx<'_>| {
        workspaces::withdraw_tokens(tx, |one| one.workspace == id && one.account == account)
    };
    app.system.write(who.actor(), who.cause(), withdraw).await?;
    handover::go_on(ws, who, account).await?;
    Ok(gone)
}

/// Hands over the open work of a member who stays.
///
/// # Errors
/// When the person lacks the right, or the heir cannot take over.
pub async fn hand_over(
    app: &App,
    ws: &Ws,
    who: &Person,
    (account, heir): (AccountId, Option<AccountId>),
) -> Result<(), PageError> {
    handled(ws, who, account)?;
    let shut = accounts::shut(app, ws)?;
    let (ws, who) = (ws.clone(), who.clone());
    let work = async move { handover::now(&ws, &who, account, heir, shut).await };
    Ok(app.see_through("hand work over", work).await??)
}

/// Changes a member's role. A repetition with the same idempotency key has no effect.
///
/// # Errors
/// When the role must not be changed.
pub async fn change_role(
    app: &App,
    ws: &Ws,
    who: &Person,
    (account, to): (AccountId, Role),
    once: Once,
) -> Result<Member, WorkspaceError> {
    give_no_more(who, to)?;
    let _turn = app.people_turn.lock().await;
    let (role, shut) = (handled(ws, who, account)?, accounts::shut(app, ws)?);
    let write = move |tx: &mut store::WriteTx<'_>| {
        same_role(tx, account, role)?;
        members::change_role(tx, account, to, &shut)
    };
    ws.write(who, once.run(write)).await
}

/// Removes the second factors of a member who has lost them. An owner can do this for members of this workspace,
/// unless the member is owner or admin of another workspace that the person does not own.
///
/// # Errors
/// When the account is the person's own or not a member's, or the person lacks the right.
pub async fn reset_factors(
    app: &App,
    ws: &Ws,
    who: &Person,
    account: AccountId,
) -> Result<Member, PageError> {
    // Removing one's own factor requires that factor; otherwise a password alone would suffice.
    let own = "reset your own second step here; use Settings, Two-step sign-in, or `hq user \
               reset-link --factors`";
    let member = accounts::another(ws, who, account, own)?;
    accounts::owns_all(app, who, account, |role| matches!(role, Role::Owner | Role::Admin))?;
    let clear = move |tx: &mut store::WriteTx<'_>| factors::clear(tx, account);
    app.system.write(who.actor(), who.cause(), clear).await?;
    Ok(member)
}

/// Creates an invitation with at most the rights of this request, which may be limited by a token. Returns the link's
/// token, which is shown once. A repeated form returns the same invitation with a token that does not open it.
///
/// # Errors
/// When the role has more rights, or a field is invalid.
pub async fn invite(
    ws: &Ws,
    who: &Person,
    role: Role,
    email: Option<String>,
    once: Once,
) -> Result<(Token, Invite), WorkspaceError> {
    give_no_more(who, role)?;
    let token = Token::issue(TokenKind::Invite);
    let (public, hash) = (token.id().to_owned(), token.hash());
    let strangers = accounts::strangers(&ws.app, ws)?.into_iter().map(|one| one.account).collect();
    let new = NewInvite { role, email, public, hash, strangers };
    let made = ws.write(who, once.run(move |tx| invites::create(tx, new))).await?;
    Ok((token, made))
}

/// Result of emailing an invitation.
pub enum Mailed {
    /// Not sent: the invitation has no email address, or the workspace has no mail server.
    Not,
    /// The mail server accepted the email.
    Sent,
    /// The mail server's reason for rejecting the email.
    Failed(String),
}

/// Emails an invitation to its address if the workspace has a mail server.
pub async fn mail_invite(
    ws: &Ws,
    who: &Person,
    invite: &Invite,
    link: &str,
) -> Result<Mailed, StoreError> {
    let Some(to) = invite.email.as_deref() else { return Ok(Mailed::Not) };
    if !letters::is_set_up(ws)? {
        return Ok(Mailed::Not);
    }
    if is_loopback(link) {
        let why = "the link only works on this machine; set HQ_PUBLIC_URL to this server’s address";
        return Ok(Mailed::Failed(why.to_owned()));
    }
    let account = who.account;
    let member = ws.read(|snap| workspace::queries::member(snap, account))?;
    let inviter = member.map_or_else(|| "A member".to_owned(), |member| member.name);
    let role = kernel::text::with_article(invite.role.word());
    let hours = invites::LIFE.as_hours();
    let letter = Invitation { id: invite.id, to, inviter: &inviter, role: &role, link, hours };
    Ok(match letters::invite(ws, &letter).await {
        Ok(()) => Mailed::Sent,
        Err((why, _)) => Mailed::Failed(why),
    })
}

/// Whether a link works only on this machine.
fn is_loopback(link: &str) -> bool {
    let link = link.parse::<axum::http::Uri>().ok();
    let host = link.as_ref().and_then(axum::http::Uri::host).unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let is_name = host == "localhost" || host.ends_with(".localhost");
    is_name || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The role of a member whom this request may change or remove: at most the rights of the request, which may be
/// limited by a token. A person's own membership counts as part of the account.
///
/// # Errors
/// When the role has more rights, or there is no such member.
pub fn handled(ws: &Ws, who: &Person, account: AccountId) -> Result<Role, WorkspaceError> {
    let member = ws.read(|snap| workspace::queries::member(snap, account))?;
    let role = member.ok_or(WorkspaceError::NoMember(account))?.role;
    if account != who.account {
        give_no_more(who, role)?;
    } else if !who.access.may(Can::Account) {
        return Err(WorkspaceError::MoreThanOwn(role.label()));
    }
    Ok(role)
}

/// Checks that the role has not changed since it was read.
///
/// # Errors
/// `StoreError::Stale`, if it has.
pub fn same_role(
    tx: &store::WriteTx<'_>,
    account: AccountId,
    role: Role,
) -> Result<(), WorkspaceError> {
    let now = workspace::queries::member(tx, account)?.map(|member| member.role);
    if now == Some(role) { Ok(()) } else { Err(StoreError::Stale.into()) }
}

/// Rejects granting a role with more rights than the request has.
///
/// # Errors
/// When the role has more rights.
pub fn give_no_more(who: &Person, role: Role) -> Result<(), WorkspaceError> {
    // Rights over one's own account are not granted by a role.
    let own = Access::of(&[Can::Account]);
    match who.access.or(own).covers(super::access::role(role)) {
        true => Ok(()),
        false => Err(WorkspaceError::MoreThanOwn(role.label())),
    }
}

/// Rejects making a member owner without re-authentication.
pub fn proved_for(role: Role, proof: Proof) -> Result<(), PageError> {
    if role == Role::Owner { proof.check() } else { Ok(()) }
}

/// Revokes open tokens of people who no longer belong to the workspace.
pub async fn withdraw_strange_tokens(app: &App) -> Result<(), UsersError> {
    let now = app.clock.now();
    let open = |token: &ApiToken| token.is_open() && now < token.expires_at;
    let all: Vec<ApiToken> = app.system.read(|snap| snap.list(&Range::all()))?;
    let mut strange: BTreeSet<(WorkspaceId, AccountId)> = BTreeSet::new();
    for token in all.iter().filter(|token| open(token)) {
        let Some(ws) = app.workspace_by_id(token.workspace) else { continue };
        let account = token.account;
        let member = ws.read(|snap| workspace::queries::member(snap, account));
        match member {
            Ok(None) => strange.insert((token.workspace, token.account)),
            Ok(Some(_)) => false,
            // The workspace has just been closed.
            Err(StoreError::Closed) => false,
            // Continue with the others; the next hour tries again.
            Err(error) => {
                tracing::warn!(workspace = ws.slug, %error, "its members cannot be read");
                false
            }
        };
    }
    if !strange.is_empty() {
        let by = Actor::System(Part::Timer);
        let withdraw = move |tx: &mut store::WriteTx<'_>| {
            workspaces::withdraw_tokens(tx, |one| strange.contains(&(one.workspace, one.account)))
        };
        app.system.write(by, Cause::Timer, withdraw).await?;
    }
    Ok(())
}
