//! People and the workspaces that they belong to: members, invitations, who joins. It stands here because
//! accounts and memberships lie in two stores.
//!
//! Who joins takes the invitation first, has an account second and a membership third: one invitation makes one account.
//! What a crash cuts off in between is settled at the next start, or by whoever comes with that link. Who leaves loses the membership first,
//! which closes every door at once; their tokens are withdrawn second, and again every hour for those
//! that a crash left.

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

/// Ends a membership, and what it opened; somebody takes over what was to do. It goes on when whoever
/// asked for it goes away.
///
/// # Errors
/// When it may not be ended, or the heir cannot take over.
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

/// Hands over what a member has to do, who stays.
///
/// # Errors
/// When it is more than the person may do, or the heir cannot take over.
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

/// Changes what a member is. Of a request that is repeated with its key, once.
///
/// # Errors
/// When it may not be changed.
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

/// Takes the second factors of a member away who has lost them. An owner does this for people of this
/// workspace, but not for somebody who looks after another one that is not theirs.
///
/// # Errors
/// When it is one's own, not a member's, or more than the person may do.
pub async fn reset_factors(
    app: &App,
    ws: &Ws,
    who: &Person,
    account: AccountId,
) -> Result<Member, PageError> {
    // Whoever takes the own one away proves that it is there: else a password alone would do.
    let own = "take your own second step away here; use Settings, Security, or `hq user reset-link \
               --factors`";
    let member = accounts::another(ws, who, account, own)?;
    accounts::owns_all(app, who, account, |role| matches!(role, Role::Owner | Role::Admin))?;
    let clear = move |tx: &mut store::WriteTx<'_>| factors::clear(tx, account);
    app.system.write(who.actor(), who.cause(), clear).await?;
    Ok(member)
}

/// Makes an invitation for somebody who gets no more rights than the person who invites has, also
/// when that person comes by a token. Gives the link's token, which is shown once. A form that is
/// sent again gets the invitation that it made, and a token that is not that one's.
///
/// # Errors
/// When it would give more, or a field is wrong.
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

/// What became of the email of an invitation.
pub enum Mailed {
    /// It is bound to no address, or the workspace has no mail server.
    Not,
    /// The mail server took it.
    Sent,
    /// Why the mail server did not take it.
    Failed(String),
}

/// Emails an invitation to the address that it is bound to, when the workspace has a mail server.
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
        let why =
            "the link leads to this machine alone; set HQ_PUBLIC_URL to the address of this server";
        return Ok(Mailed::Failed(why.to_owned()));
    }
    let account = who.account;
    let member = ws.read(|snap| workspace::queries::member(snap, account))?;
    let inviter = member.map_or_else(|| "Somebody".to_owned(), |member| member.name);
    let role = with_article(invite.role);
    let hours = invites::LIFE.as_hours();
    let letter = Invitation { id: invite.id, to, inviter: &inviter, role, link, hours };
    Ok(match letters::invite(ws, &letter).await {
        Ok(()) => Mailed::Sent,
        Err((why, _)) => Mailed::Failed(why),
    })
}

/// Whether nobody on another machine can open a link.
fn is_loopback(link: &str) -> bool {
    let link = link.parse::<axum::http::Uri>().ok();
    let host = link.as_ref().and_then(axum::http::Uri::host).unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let is_name = host == "localhost" || host.ends_with(".localhost");
    is_name || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn with_article(role: Role) -> &'static str {
    match role {
        Role::Owner => "an owner",
        Role::Admin => "an admin",
        Role::Member => "a member",
        Role::Viewer => "a viewer",
    }
}

/// The role of somebody whom this request may change or remove: no more than it may do itself, also
/// when it comes by a token. One's own membership is part of one's account.
///
/// # Errors
/// When it is more, or nobody.
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

/// Refuses when somebody was given another role since it was looked at.
///
/// # Errors
/// When it differs.
pub fn same_role(
    tx: &store::WriteTx<'_>,
    account: AccountId,
    role: Role,
) -> Result<(), WorkspaceError> {
    let now = workspace::queries::member(tx, account)?.map(|member| member.role);
    if now == Some(role) { Ok(()) } else { Err(StoreError::Stale.into()) }
}

/// Refuses to give a role that allows more than this request may do.
///
/// # Errors
/// When it does.
pub fn give_no_more(who: &Person, role: Role) -> Result<(), WorkspaceError> {
    // What everybody may do with their own account is nothing that is given.
    let own = Access::of(&[Can::Account]);
    match who.access.or(own).covers(super::access::role(role)) {
        true => Ok(()),
        false => Err(WorkspaceError::MoreThanOwn(role.label())),
    }
}

/// Refuses to make somebody an owner for whom no proof was given.
pub fn proved_for(role: Role, proof: Proof) -> Result<(), PageError> {
    if role == Role::Owner { proof.check() } else { Ok(()) }
}

/// Withdraws the open tokens of people who do not belong to their workspace any more.
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
            // Taken away just now.
            Err(StoreError::Closed) => false,
            // The others go on; the next hour tries again.
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
