//! `/join`: accepts an invitation, for a new person or for a person with an account.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, HeaderMap};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::time::Duration;
use zeroize::Zeroizing;

use app::limits::Patience;
use app::{App, Ws};
use crypto::password;
use crypto::token::{Token, TokenKind};
use features::users::model::Account;
use features::users::rules::{NewAccount, UsersError, accounts as accounts_rules};
use features::users::{queries as users, rules};
use features::workspace::model::{Invite, Settings};
use features::workspace::queries;
use features::workspace::rules::WorkspaceError;
use features::workspace::rules::invites;
use features::workspace::rules::members::{Joining, Shut};
use interfaces_account::users::pages::issue;
use interfaces_account::users::session::Caller;
use kernel::{AccountId, Actor, Can, Cause, Part, ProblemKind, Role, TypedId};
use store::{ReadExt as _, StoreError, WriteTx};
use web::error::{Failure, PageError};
use web::extract::{Form, Query};
use web::flash;
use web::form::Wrong;
use web::html;
use web::routes::{Needs, Routes};
use web::session::{Peer, RequestId};
use web::shell::{Flash, Theme};

use super::{accounts, handover};

/// Failed attempts per address and invitation, and per address with an unknown invitation.
const WRONG: Patience = Patience {
    free: 5,
    window: Duration::from_secs(10 * 60),
    first: Duration::from_secs(60 * 60),
    longest: Duration::from_secs(60 * 60),
};

#[must_use]
pub fn routes() -> Routes {
    Routes::new().get("/join", form.needs(Can::Open)).post("/join", join.needs(Can::Open))
}

#[derive(Deserialize)]
struct LinkQuery {
    #[serde(default, rename = "in")]
    place: String,
    #[serde(default)]
    token: String,
}

#[derive(Clone, Default, Deserialize)]
struct Values {
    #[serde(default, rename = "in")]
    place: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

#[derive(Template)]
#[template(path = "workspace/join.html")]
struct Page {
    theme: Theme,
    settings: Settings,
    role: Role,
    by: String,
    /// The signed-in person, if any.
    me: Option<Account>,
    /// Text for a person who is signed in with another address than the invited one.
    other: String,
    sign_in: String,
    values: Values,
    wrong: Wrong,
    whole: String,
}

#[derive(Template)]
#[template(path = "workspace/join_closed.html")]
struct Closed {
    theme: Theme,
}

/// A valid invitation.
struct Found {
    ws: Ws,
    invite: Invite,
    settings: Settings,
    by: String,
}

/// Finds the invitation of a link. Failed attempts are limited per address and invitation: an address may be shared
/// by an office or a proxy, and other people's attempts must not block valid links. An expired link is
/// indistinguishable from a wrong one.
fn find(app: &App, peer: Peer, place: &str, text: &str) -> Result<Option<Found>, PageError> {
    let now = app.clock.now();
    let named = app.workspace(place).zip(Token::parse(TokenKind::Invite, text).ok());
    let at = match &named {
        Some((ws, token)) if ws.read(|snap| queries::has_invite(snap, token))? => {
            format!("{} {}", peer.key(), token.id())
        }
        _ => peer.key(),
    };
    app.limiter.strike("invitation", &at, WRONG, now.as_millisecond()).map_err(|wait| {
        let minutes = wait.as_secs() / 60 + 1;
        let text = format!("too many wrong invitations; try again in {minutes} minutes");
        PageError(Failure::new(ProblemKind::Limited, "rate_limited", text))
    })?;
    let Some((ws, token)) = named else { return Ok(None) };
    let found = ws.read(|snap| {
        let Some(invite) = queries::invite(snap, &token, now)? else { return Ok(None) };
        let by = queries::known_person(snap, invite.by)?.map(|by| by.name).unwrap_or_default();
        Ok::<_, StoreError>(queries::settings(snap)?.map(|settings| (invite, settings, by)))
    })?;
    let Some((invite, settings, by)) = found.filter(|_| ws.is_active()) else { return Ok(None) };
    // Invitations of a disabled account are invalid.
    if accounts::shut(app, &ws)?.contains_key(&invite.by) {
        return Ok(None);
    }
    app.limiter.forgive("invitation", &at);
    Ok(Some(Found { ws, invite, settings, by }))
}

fn page(theme: Theme, found: Found, me: Option<Account>, values: Values) -> Page {
    let back = serde_urlencoded::to_string([("in", &values.place), ("token", &values.token)]);
    let back = format!("/join?{}", back.unwrap_or_default());
    let sign_in = serde_urlencoded::to_string([("next", &back)]).unwrap_or_default();
    let only = found.invite.email.unwrap_or_default();
    let mut values = Values { password: String::new(), ..values };
    if values.email.is_empty() {
        only.clone_into(&mut values.email);
    }
    let other = match &me {
        Some(me) if !only.is_empty() && only != me.email => {
            format!("This invitation is for {only}. Sign in with that address to accept it.")
        }
        _ => String::new(),
    };
    Page {
        theme,
        settings: found.settings,
        role: found.invite.role,
        by: found.by,
        me,
        other,
        sign_in: format!("/login?{sign_in}"),
        values,
        wrong: Wrong::none(),
        whole: String::new(),
    }
}

/// Whether the client accepts HTML.
fn is_browser(headers: &HeaderMap) -> bool {
    let wants = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    wants.is_some_and(|wants| wants.contains("text/html"))
}

async fn form(
    app: App,
    peer: Peer,
    headers: HeaderMap,
    caller: Option<axum::Extension<Caller>>,
    Query(query): Query<LinkQuery>,
) -> Result<Response, PageError> {
    let theme = Theme::from_headers(&headers);
    // A joining machine requests the script here, without invitation and without browser.
    if query.place.is_empty() && query.token.is_empty() && !is_browser(&headers) {
        return Ok(gateways::pages::script(&app));
    }
    let Some(found) = find(&app, peer, &query.place, &query.token)? else {
        return html::document(StatusCode::GONE, &Closed { theme });
    };
    let me = caller.map(|caller| caller.0.account);
    if let Some(me) = &me
        && found.ws.read(|snap| queries::member(snap, me.id))?.is_some()
    {
        return Ok(Redirect::to(&found.ws.url("")).into_response());
    }
    let values = Values { place: query.place, token: query.token, ..Values::default() };
    html::page(&page(theme, found, me, values))
}

async fn join(
    app: App,
    peer: Peer,
    id: RequestId,
    headers: HeaderMap,
    caller: Option<axum::Extension<Caller>>,
    Form(values): Form<Values>,
) -> Result<Response, PageError> {
    let theme = Theme::from_headers(&headers);
    let Some(found) = find(&app, peer, &values.place, &values.token)? else {
        return html::document(StatusCode::GONE, &Closed { theme });
    };
    let known = caller.map(|caller| caller.0);
    let by = known.as_ref().map_or(Actor::System(Part::Setup), Caller::actor);
    let by = (by, Cause::Request(id.0));
    let comes = match &known {
        Some(caller) => Ok(Comes::Known(caller.account.clone())),
        None => new_account(&app, &found, &values).await.map(Comes::New),
    };
    let joined = match comes {
        Ok(comes) => {
            let (own, ws) = (app.clone(), found.ws.clone());
            let (invite, token) = (found.invite.clone(), values.token.clone());
            let work = async move { enter(&own, &ws, (&invite, &token), comes, by).await };
            // Completes even if the client disconnects.
            app.see_through("join a workspace", work).await?
        }
        Err(wrong) => Err(wrong),
    };
    match joined {
        Ok(account) => {
            let welcome = format!("Welcome to {}.", found.settings.name);
            let mut answer = Redirect::to(&found.ws.url("")).into_response();
            if known.is_none() {
                let cookies = issue(&app, &account, peer, id, &headers).await?;
                answer = cookies.on(&app.config, answer);
            }
            Ok(flash::say(&app, Flash::ok(welcome), answer))
        }
        Err(wrong) => {
            let wrong = wrong?;
            let mut page = page(theme, found, known.map(|caller| caller.account), values);
            page.whole = match wrong.has_fields() {
                true => "Check the highlighted fields. Nothing has been created yet.".to_owned(),
                false => wrong.whole().to_owned(),
            };
            page.wrong = wrong;
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// Why joining failed: errors that the person can fix in the form, or another error.
type JoinFailure = Result<Wrong, PageError>;

fn kept(error: impl Into<PageError>) -> JoinFailure {
    Err(error.into())
}

/// The joining person.
enum Comes {
    /// A signed-in person.
    Known(Account),
    /// A person who gets a new account.
    New(NewPerson),
}

/// Data of a new account.
struct NewPerson {
    name: String,
    email: String,
    hash: String,
}

/// Validates the form of a new person. Hashes the password here, outside the lock.
async fn new_account(app: &App, found: &Found, values: &Values) -> Result<NewPerson, JoinFailure> {
    let mut wrong = Wrong::none();
    let about = [values.name.as_str(), values.email.as_str(), found.settings.name.as_str()];
    let name = wrong.note(users::checked_name(&values.name));
    let email = wrong.note(users::checked_email(&values.email));
    wrong.note(password::check(&values.password, &about).map_err(UsersError::from));
    if found.invite.email.is_some() && email.is_some() && found.invite.email != email {
        let only = WorkspaceError::field("email", "this invitation is for another address");
        wrong.note(Err::<(), _>(only));
    }
    let (Some(name), Some(email), false) = (name, email, wrong.has_fields()) else {
        return Err(Ok(wrong));
    };
    let hash = app.hasher.hash(Zeroizing::new(values.password.clone())).await;
    let hash = hash.map_err(|error| kept(UsersError::from(error)))?;
    Ok(NewPerson { name, email, hash })
}

/// Joins one person at a time: the invitation is claimed before the account is created, and consumed afterwards.
/// After a crash in between, the next visitor or the next start finishes.
async fn enter(
    app: &App,
    ws: &Ws,
    (invite, text): (&Invite, &str),
    comes: Comes,
    by: (Actor, Cause),
) -> Result<Account, JoinFailure> {
    let _turn = app.people_turn.lock().await;
    settle_in_turn(app, ws).await.map_err(kept)?;
    let account = match comes {
        Comes::Known(account) => {
            accept(app, ws, (invite, text), (&account, false), by).await?;
            return Ok(account);
        }
        Comes::New(NewPerson { name, email, hash }) => {
            let id = own_id(app, ws, invite, &email).map_err(kept)?;
            let token = token_of(text)?;
            let claim = ws.write(&by, move |tx| invites::claim(tx, &token, id));
            claim.await.map_err(|error| Ok(words(error)))?;
            let new = NewAccount { id, name, email, hash };
            let setup = (Actor::System(Part::Setup), by.1);
            let made = app.system.write(setup.0, setup.1, move |tx| rules::create_account(tx, new));
            made.await.map_err(|error| Wrong::of(&error))
        }
    };
    let joined = match account {
        Ok(account) => {
            let joined = accept(app, ws, (invite, text), (&account, true), by).await;
            if joined.is_err() {
                let id = account.id;
                let setup = Actor::System(Part::Setup);
                let undo = app.system.write(setup, by.1, move |tx| accounts_rules::remove(tx, id));
                undo.await.map_err(kept)?;
            }
            joined.map(|()| account)
        }
        Err(wrong) => Err(wrong),
    };
    if joined.is_err() {
        let id = invite.id;
        let release = ws.write(&by, move |tx| invites::release(tx, id));
        release.await.map_err(kept)?;
    }
    joined
}

/// Settles invitations of a workspace that were claimed and neither consumed nor released.
pub async fn settle(app: &App, ws: &Ws) -> Result<(), PageError> {
    let _turn = app.people_turn.lock().await;
    settle_in_turn(app, ws).await
}

/// Like [`settle`], for a caller that holds `people_turn`: no claim can still be in progress.
async fn settle_in_turn(app: &App, ws: &Ws) -> Result<(), PageError> {
    let by = (Actor::System(Part::Setup), Cause::Setup);
    for invite in ws.read(|snap| queries::taken_invites(snap))? {
        let (id, used_by) = (invite.id, invite.used_by);
        let made = app.system.read(|snap| match used_by {
            Some(account) => snap.get::<Account>(account),
            None => Ok(None),
        })?;
        let done = match made {
            Some(account) => {
                let who = joining(&account);
                let (former, shut) = before(app, ws, &invite, &account)?;
                let finish = move |tx: &mut WriteTx<'_>| invites::finish(tx, id, who);
                handover::succeed(ws, &by, (former, shut), finish).await.map(drop)
            }
            None => ws.write(&by, move |tx| invites::release(tx, id)).await,
        };
        match done {
            Ok(()) => {}
            Err(WorkspaceError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(workspace = ws.slug, %error, "an invitation cannot be settled");
                ws.write(&by, move |tx| invites::release(tx, id)).await?;
            }
        }
    }
    Ok(())
}

/// The id of a new account. A person who was invited by email and is an imported member of only this workspace
/// becomes that member again, with everything that belonged to them. Any other person gets a new id, and [`accept`]
/// hands over the work of a former member with that address.
fn own_id(app: &App, ws: &Ws, invite: &Invite, email: &str) -> Result<AccountId, StoreError> {
    let mut strangers = accounts::strangers(app, ws)?.into_iter();
    let found = strangers.find(|one| invite.email.is_some() && one.email == email);
    if let Some(member) = found
        && !accounts::may_be_elsewhere(app, ws, member.account)?
    {
        return Ok(member.account);
    }
    Ok(AccountId::from_uuid(app.ids.next(app.clock.now_ms())))
}

fn joining(account: &Account) -> Joining {
    let (name, email) = (account.name.clone(), account.email.clone());
    Joining { account: account.id, name, email }
}

/// The member that the joining person was before, if any, and the members who cannot take over work.
fn before(
    app: &App,
    ws: &Ws,
    invite: &Invite,
    account: &Account,
) -> Result<(Option<AccountId>, Shut), StoreError> {
    // Only an invitation by email proves the identity.
    let former = match invite.email {
        Some(_) => accounts::former(app, ws, account)?,
        None => None,
    };
    Ok((former, accounts::shut(app, ws)?))
}

async fn accept(
    app: &App,
    ws: &Ws,
    (invite, text): (&Invite, &str),
    (account, anew): (&Account, bool),
    by: (Actor, Cause),
) -> Result<(), JoinFailure> {
    let (who, token) = (joining(account), token_of(text)?);
    let before = before(app, ws, invite, account).map_err(kept)?;
    let accept = move |tx: &mut WriteTx<'_>| invites::accept(tx, &token, who, anew);
    let accepted = handover::succeed(ws, &by, before, accept).await;
    accepted.map(drop).map_err(|error| Ok(words(error)))
}

fn token_of(text: &str) -> Result<Token, JoinFailure> {
    Token::parse(TokenKind::Invite, text).map_err(|error| Ok(Wrong::message(error.to_string())))
}

/// Converts a rule's error for the form.
fn words(error: WorkspaceError) -> Wrong {
    let mut wrong = Wrong::none();
    let text = error.to_string();
    wrong.note(Err::<(), _>(error));
    if wrong.has_fields() { wrong } else { Wrong::message(text) }
}
