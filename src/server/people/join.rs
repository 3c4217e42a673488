//! `/join`: an invitation is accepted, by somebody new or by somebody with an account.

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

/// Wrong tries with one invitation from one address, and from one address with what is none.
const WRONG: Patience = Patience {
    free: 5,
    window: Duration::from_secs(10 * 60),
    first: Duration::from_secs(60 * 60),
    longest: Duration::from_secs(60 * 60),
};

/// Routes outside of a workspace.
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
    /// Who is signed in, if somebody is.
    me: Option<Account>,
    /// What is said to somebody who is signed in with another address than the invited one.
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

/// A good invitation.
struct Found {
    ws: Ws,
    invite: Invite,
    settings: Settings,
    by: String,
}

/// The invitation of a link. Guessing is slowed down by what is guessed at and from where: behind one
/// address there may be a whole office, or a proxy with everybody behind it, and nobody's tries keep
/// the others from their own links. A dead link looks like a wrong one.
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
    // Whose account is closed invites nobody.
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
            format!("This invitation is for {only}. Sign in with that address to use it.")
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

/// Whether whoever asks wants a page.
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
    // A machine that joins asks for the script here; it has no invitation, and no browser.
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
            // Who goes away in the middle of it leaves nothing half done.
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
                true => "Please look at the marked fields; nothing was made yet.".to_owned(),
                false => wrong.whole().to_owned(),
            };
            page.wrong = wrong;
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// Why nobody has joined: what they can mend in the form, or why it cannot be mended there.
type Kept = Result<Wrong, PageError>;

fn kept(error: impl Into<PageError>) -> Kept {
    Err(error.into())
}

/// Who joins.
enum Comes {
    /// Somebody who is signed in.
    Known(Account),
    /// Somebody who gets an account.
    New(NewPerson),
}

/// What the account of somebody new is made of.
struct NewPerson {
    name: String,
    email: String,
    hash: String,
}

/// What somebody new has typed, checked. The password is hashed here, while nobody waits for a turn.
async fn new_account(app: &App, found: &Found, values: &Values) -> Result<NewPerson, Kept> {
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

/// Lets somebody in, one at a time: an invitation is taken before an account is made for it, and used up after. What a
/// crash leaves in between is settled by whoever comes next, and at the next start.
async fn enter(
    app: &App,
    ws: &Ws,
    (invite, text): (&Invite, &str),
    comes: Comes,
    by: (Actor, Cause),
) -> Result<Account, Kept> {
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

/// Settles the invitations of a workspace that were taken for an account and neither used up nor given back.
pub async fn settle(app: &App, ws: &Ws) -> Result<(), PageError> {
    let _turn = app.people_turn.lock().await;
    settle_in_turn(app, ws).await
}

/// The same for who holds `people_turn`: whoever took one of them does not go on any more.
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

/// The id of a new account. Who was asked in by their address, and came with this workspace alone, is that member
/// again, with all that was theirs; anybody else is somebody new, to whom [`accept`] gives what a former
/// member of that address had to do.
fn own_id(app: &App, ws: &Ws, invite: &Invite, email: &str) -> Result<AccountId, StoreError> {
    let mut strangers = accounts::strangers(app, ws)?.into_iter();
    let asked = strangers.find(|one| invite.email.is_some() && one.email == email);
    if let Some(member) = asked
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

/// Who joins by this invitation was here by another name, maybe; and who takes nothing over.
fn before(
    app: &App,
    ws: &Ws,
    invite: &Invite,
    account: &Account,
) -> Result<(Option<AccountId>, Shut), StoreError> {
    // Only who was asked in by their address is that person for sure.
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
) -> Result<(), Kept> {
    let (who, token) = (joining(account), token_of(text)?);
    let before = before(app, ws, invite, account).map_err(kept)?;
    let accept = move |tx: &mut WriteTx<'_>| invites::accept(tx, &token, who, anew);
    let accepted = handover::succeed(ws, &by, before, accept).await;
    accepted.map(drop).map_err(|error| Ok(words(error)))
}

fn token_of(text: &str) -> Result<Token, Kept> {
    Token::parse(TokenKind::Invite, text).map_err(|error| Ok(Wrong::said(error.to_string())))
}

/// What a rule refused, as the page shows it.
fn words(error: WorkspaceError) -> Wrong {
    let mut wrong = Wrong::none();
    let text = error.to_string();
    wrong.note(Err::<(), _>(error));
    if wrong.has_fields() { wrong } else { Wrong::said(text) }
}
