//! Sign-in to a connection: in a browser that is redirected back with a code, which is caught on this machine or
//! pasted, or by a short code typed on the maker's page, which HQ polls. A pending sign-in is stored sealed and
//! continues after a restart. If HQ is killed between the maker's last answer and its storage, the answer is lost and
//! the person has to start again.

use std::collections::HashSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use app::{App, Who, Ws};
use crypto::keyring::{Binding, Sealed};
use crypto::pkce::{self, Pkce};
use crypto::redact::Spot;
use kernel::{Actor, Cause, ConnectionId, FieldError, Part, Problem, ProblemKind, Timestamp};
use net::callback::{self, Callback};
use providers::oauth::answer;
use providers::oauth::flows::{self, OauthFlow};
use providers::oauth::tokens::{Hidden, Tokens};
use providers::oauth::{AuthError, Client, Failure};
use store::{Range, ReadExt, StoreError};

use super::model::{Connection, Flow, Grant, Login, LoginState};
use super::rules::ConnectionError;
use super::rules::sign_in::{self as rules, NewLogin, Still};
use super::{accounts, checks};

/// Automatic steps have no author.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Time allowed for a sign-in in the browser.
const BROWSER: SignedDuration = SignedDuration::from_mins(15);
/// Timeout for reporting a sign-out to the maker.
const TOLD: std::time::Duration = std::time::Duration::from_secs(30);
/// Added to the poll interval if the maker asks to slow down.
const SLOWER: SignedDuration = SignedDuration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The pasted or caught answer is unusable.
    #[error("{0}")]
    Answer(String),
    /// Message of the maker.
    #[error("{0}")]
    Maker(String),
}

impl Problem for LoginError {
    fn code(&self) -> &'static str {
        match self {
            Self::Connection(error) => error.code(),
            Self::Answer(_) => "answer_invalid",
            Self::Maker(_) => "sign_in_failed",
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::Connection(error) => error.kind(),
            Self::Answer(_) => ProblemKind::Invalid,
            Self::Maker(_) => ProblemKind::Upstream,
        }
    }
    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Connection(error) => error.fields(),
            Self::Answer(message) => vec![FieldError::new("answer", message.clone())],
            Self::Maker(_) => Vec::new(),
        }
    }
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        Self::Connection(error.into())
    }
}

/// Secrets of a pending sign-in, known only to HQ and the person.
#[derive(Serialize, Deserialize)]
struct Pending {
    url: String,
    code: String,
    verifier: Hidden,
    state: Hidden,
    device_code: Hidden,
}

/// A sign-in as shown to people who manage connections.
#[derive(Clone, Debug)]
pub struct Shown {
    pub flow: Flow,
    pub state: LoginState,
    /// URL for the person; empty once the sign-in is over.
    pub url: String,
    /// Code for the person to type; empty if none is needed.
    pub code: String,
    pub begun_at: Timestamp,
    pub expires_at: Timestamp,
    /// Last message of the maker.
    pub message: String,
}

/// The sign-in flows that a client supports.
#[must_use]
pub fn flows_of(client: &Client) -> Vec<Flow> {
    let ends = &client.endpoints;
    let mut flows = Vec::new();
    if !ends.authorize.is_empty() {
        flows.push(Flow::Browser);
    }
    if !client.device().is_empty() {
        flows.push(Flow::Device);
    }
    flows
}

fn stored(ws: &Ws, id: ConnectionId) -> Result<(Connection, Client), ConnectionError> {
    let connection = ws.read(|snap| snap.get::<Connection>(id))?;
    let connection = connection.ok_or(ConnectionError::NotFound(id))?;
    let client = connection.sign_in.clone().ok_or(ConnectionError::NoSignIn)?;
    Ok((connection, client))
}

fn oauth_flow<'a>(app: &'a App, client: &'a Client) -> OauthFlow<'a> {
    OauthFlow { http: &app.http, clock: &*app.clock, client }
}

/// Binding of the envelope of a pending sign-in.
#[must_use]
pub fn place(owner: &str) -> Binding<'_> {
    Binding { scope: "connection", owner, name: "login" }
}

fn open(app: &App, login: &Login) -> Result<Pending, ConnectionError> {
    let owner = login.connection.to_string();
    let secret = app.keyring.open(&Sealed::from_stored(login.sealed.as_str()), place(&owner))?;
    let pending = serde_json::from_str(secret.expose_text()?);
    pending.map_err(|_| ConnectionError::NoLogin)
}

/// The pending sign-in of a connection, or the result of the last one.
///
/// # Errors
/// If the store fails or the master key has changed.
pub fn shown(ws: &Ws, id: ConnectionId) -> Result<Option<Shown>, ConnectionError> {
    let Some(login) = ws.read(|snap| snap.get::<Login>(id))? else { return Ok(None) };
    let now = ws.app.clock.now();
    let waits = login.state == LoginState::Waiting;
    let (url, code) = match waits {
        true => open(&ws.app, &login).map(|pending| (pending.url, pending.code))?,
        false => Default::default(),
    };
    Ok(Some(Shown {
        flow: login.flow,
        // The sign-in may have expired before the background task recorded it.
        state: if waits && login.is_over(now) { LoginState::Expired } else { login.state },
        url,
        code,
        begun_at: login.begun_at,
        expires_at: login.expires_at,
        message: login.said,
    }))
}

/// Begins a sign-in and cancels a pending one.
///
/// # Errors
/// `NoSignIn`, `NoFlow`, or an error of the maker.
pub async fn begin(
    ws: &Ws,
    who: &impl Who,
    id: ConnectionId,
    flow: Flow,
) -> Result<Shown, LoginError> {
    let (_, client) = stored(ws, id)?;
    if !flows_of(&client).contains(&flow) {
        return Err(ConnectionError::NoFlow.into());
    }
    let none = || Hidden::new(String::new());
    let (pending, life, pause) = match flow {
        Flow::Browser => {
            let pkce = Pkce::issue();
            let url = answer::authorize_url(&client, &pkce.challenge, &pkce.state);
            let pending = Pending {
                url: url.map_err(|error| login_error(ws, &error))?,
                code: String::new(),
                verifier: Hidden::new(pkce.verifier.to_string()),
                state: Hidden::new(pkce.state.to_string()),
                device_code: none(),
            };
            (pending, BROWSER, SignedDuration::ZERO)
        }
        Flow::Device => {
            let device = oauth_flow(&ws.app, &client).device().await;
            let device = device.map_err(|error| login_error(ws, &error))?;
            let seconds = |n: u32| SignedDuration::from_secs(i64::from(n));
            let (life, pause) = (seconds(device.life), seconds(device.pause));
            let pending = Pending {
                url: device.address,
                code: device.user_code,
                verifier: none(),
                state: none(),
                device_code: Hidden::new(device.device_code),
            };
            (pending, life, pause)
        }
    };
    let text = serde_json::to_string(&pending).map(Hidden::new);
    let text = text.map_err(|_| ConnectionError::NoLogin)?;
    let owner = id.to_string();
    let sealed = ws.app.keyring.seal_bound(place(&owner), text.reveal().as_bytes());
    let new = NewLogin {
        flow,
        sealed: sealed.as_str().to_owned(),
        key_id: ws.app.keyring.key_id().to_string(),
        life,
        pause,
    };
    ws.write(who, move |tx| rules::begin(tx, id, new)).await?;
    ws.app.accounts.nudge();
    Ok(shown(ws, id)?.ok_or(ConnectionError::NoLogin)?)
}

/// An error of the maker, without secrets.
fn login_error(ws: &Ws, error: &AuthError) -> LoginError {
    LoginError::Maker(ws.app.redactor.masked(Spot::Errors, &error.message).into_owned())
}

/// Takes the pasted or caught answer of a browser and finishes the sign-in. Completes even if the sender disconnects,
/// because a code is valid once.
///
/// # Errors
/// `NoLogin`; an unusable answer, after which another can be tried; an error of the maker.
pub async fn answer(
    ws: &Ws,
    who: &impl Who,
    id: ConnectionId,
    came: &str,
) -> Result<(), LoginError> {
    let (here, by, came) = (ws.clone(), (who.actor(), who.cause()), came.to_owned());
    let work = async move { take(&here, by, id, &came).await };
    ws.app.see_through("end of a sign-in", work).await?
}

async fn take(ws: &Ws, by: (Actor, Cause), id: ConnectionId, came: &str) -> Result<(), LoginError> {
    let shared = ws.app.accounts.of(id);
    let _turn = shared.turn.lock().await;
    let login = ws.read(|snap| snap.get::<Login>(id))?;
    let is_open = |login: &Login| login.state == LoginState::Waiting && login.flow == Flow::Browser;
    let login = login.filter(is_open).ok_or(ConnectionError::NoLogin)?;
    if login.is_over(ws.app.clock.now()) {
        end(ws, by, &login, LoginState::Expired, "").await?;
        return Err(LoginError::Answer("this sign-in has expired; start again".into()));
    }
    let (connection, client) = stored(ws, id)?;
    let pending = open(&ws.app, &login)?;
    let answer = match answer::read(came) {
        Ok(answer) => answer,
        Err(error) => {
            if error.failure == Failure::Denied {
                end(ws, by, &login, LoginState::Denied, &error.message).await?;
            }
            return Err(LoginError::Answer(error.message));
        }
    };
    if answer.state.is_some_and(|state| !pkce::is_same(pending.state.reveal(), &state)) {
        let other = "this belongs to another sign-in; open the sign-in page from here and try \
            again";
        return Err(LoginError::Answer(other.into()));
    }
    let tokens =
        oauth_flow(&ws.app, &client).exchange(&answer.code, pending.verifier.reveal()).await;
    match tokens {
        Ok(tokens) => complete(ws, by, &login, (connection, client), tokens).await,
        Err(error) => Err(failed(ws, by, &login, &error).await?),
    }
}

/// Stores the consequence of a failure. Returns the error to report.
async fn failed(
    ws: &Ws,
    by: (Actor, Cause),
    login: &Login,
    error: &AuthError,
) -> Result<LoginError, LoginError> {
    let message = ws.app.redactor.masked(Spot::Errors, &error.message).into_owned();
    let pause = SignedDuration::from_millis(login.pause_ms);
    let state = match error.failure {
        Failure::Pending | Failure::SlowDown(_) | Failure::Passing => LoginState::Waiting,
        Failure::Denied => LoginState::Denied,
        Failure::Expired => LoginState::Expired,
        Failure::Revoked | Failure::Refused => LoginState::Failed,
    };
    let still = match error.failure {
        Failure::Pending => Still { wait: pause, pause, message: String::new() },
        Failure::SlowDown(requested) => {
            let requested = requested.map(|n| SignedDuration::from_secs(i64::from(n.min(300))));
            let slower = requested.unwrap_or(SignedDuration::ZERO).max(pause + SLOWER);
            Still { wait: slower, pause: slower, message: String::new() }
        }
        _ => {
            let wait = flows::pause(1, error.retry_after);
            let wait = pause.max(SignedDuration::try_from(wait).unwrap_or(SLOWER));
            Still { wait, pause, message: message.clone() }
        }
    };
    if state == LoginState::Waiting {
        let (id, number) = (login.connection, login.number);
        ws.write(&by, move |tx| rules::go_on(tx, id, number, still)).await?;
    } else {
        end(ws, by, login, state, &message).await?;
    }
    Ok(LoginError::Maker(message))
}

async fn end(
    ws: &Ws,
    by: (Actor, Cause),
    login: &Login,
    state: LoginState,
    message: &str,
) -> Result<(), ConnectionError> {
    let (id, number, message) = (login.connection, login.number, message.to_owned());
    ws.write(&by, move |tx| rules::end(tx, id, number, (state, message))).await?;
    ws.app.accounts.nudge();
    Ok(())
}

/// Stores the maker's tokens. If they have to be exchanged for a short-lived token, this is tried at once, because it
/// shows whether the account may use the models.
async fn complete(
    ws: &Ws,
    by: (Actor, Cause),
    login: &Login,
    (connection, client): (Connection, Client),
    mut tokens: Tokens,
) -> Result<(), LoginError> {
    let (id, number) = (login.connection, login.number);
    accounts::watch(&ws.app, id, &tokens);
    if !client.endpoints.exchange.is_empty() {
        match oauth_flow(&ws.app, &client).pass(&tokens).await {
            Ok(pass) => tokens.pass = Some(pass),
            // The exchange is repeated before the first call.
            Err(error) if error.failure == Failure::Passing => {}
            Err(error) => {
                let message = ws.app.redactor.masked(Spot::Errors, &error.message).into_owned();
                end(ws, by, login, LoginState::Failed, &message).await?;
                return Err(LoginError::Maker(message));
            }
        }
    }
    accounts::watch(&ws.app, id, &tokens);
    let new = accounts::seal(&ws.app, &connection, &tokens)?;
    ws.write(&by, move |tx| rules::finish(tx, id, number, new)).await?;
    ws.app.accounts.nudge();
    let here = ws.clone();
    // Test the connection in the background; the person need not wait.
    ws.spawn("test of a sign-in", async move {
        let halt = here.halt();
        tokio::select! {
            () = halt.cancelled() => {}
            tested = checks::test(&here, &by, id) => if let Err(error) = tested {
                tracing::info!(connection.id = %id, "a connection was not tested: {error}");
            },
        }
    });
    Ok(())
}

/// Cancels the pending sign-in.
///
/// # Errors
/// `NoLogin`.
pub async fn cancel(ws: &Ws, who: &impl Who, id: ConnectionId) -> Result<(), ConnectionError> {
    ws.write(who, move |tx| rules::cancel(tx, id)).await?;
    ws.app.accounts.nudge();
    Ok(())
}

/// Signs out: deletes the tokens and informs the maker if it supports revocation.
///
/// # Errors
/// `NotFound`; `NoSignIn`.
pub async fn sign_out(ws: &Ws, who: &impl Who, id: ConnectionId) -> Result<(), ConnectionError> {
    let shared = ws.app.accounts.of(id);
    // Wait for a running renewal, so that its new tokens are revoked too.
    let _turn = shared.turn.lock().await;
    let leaving = Leaving::of(ws, id);
    ws.write(who, move |tx| rules::sign_out(tx, id)).await?;
    accounts::forget(&ws.app, id);
    ws.app.accounts.nudge();
    if let Some(leaving) = leaving {
        leaving.tell(ws);
    }
    Ok(())
}

/// A signed-out account whose maker was not informed yet.
pub struct Leaving {
    connection: ConnectionId,
    client: Client,
    tokens: Tokens,
}

impl Leaving {
    /// The account of a connection, taken before its tokens are deleted; `None` if it is not signed in or cannot be
    /// opened.
    #[must_use]
    pub fn of(ws: &Ws, id: ConnectionId) -> Option<Self> {
        // ok: without tokens there is nothing to revoke
        let (connection, client) = stored(ws, id).ok()?;
        client.revoke()?;
        let grant = ws.read(|snap| snap.get::<Grant>(id)).ok()??;
        let tokens = accounts::open(&ws.app, &connection, &grant).ok()?;
        Some(Self { connection: id, client, tokens })
    }

    /// Informs the maker in the background.
    pub fn tell(self, ws: &Ws) {
        let Self { connection, client, tokens } = self;
        let here = ws.clone();
        ws.spawn("end of a sign-in at its maker", async move {
            let halt = here.halt();
            let oauth = oauth_flow(&here.app, &client);
            let revoked = oauth.revoke(&tokens);
            let revoked = tokio::select! {
                () = halt.cancelled() => return,
                revoked = tokio::time::timeout(TOLD, revoked) => revoked,
            };
            match revoked {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(connection.id = %connection, "a maker was not told of a sign-out: {error}");
                }
                Err(_) => {
                    tracing::warn!(connection.id = %connection, "a maker was not told of a sign-out in time");
                }
            }
        });
    }
}

/// Drives all pending sign-ins until the workspace closes: polls makers, listens for browser callbacks and records
/// expiry.
pub async fn see_to_all(ws: Ws) {
    let (halt, app) = (ws.halt(), ws.app.clone());
    let mut nudges = app.accounts.nudges();
    let mut heard: HashSet<(ConnectionId, u32)> = HashSet::new();
    // End of the last sleep: what was due then stays due if the clock is set back.
    let mut slept: Option<Timestamp> = None;
    loop {
        nudges.borrow_and_update();
        let open = open_ones(&ws);
        heard.retain(|one| open.iter().any(|login| (login.connection, login.number) == *one));
        let now = app.clock.now();
        let until = slept.take().map_or(now, |until| until.max(now));
        let (mut next, mut acted): (Option<Timestamp>, bool) = (None, false);
        for login in open {
            if login.flow == Flow::Browser && heard.insert((login.connection, login.number)) {
                ws.spawn("sign-in callback", listen(ws.clone(), login.clone()));
            }
            let due = login.due(now);
            if until < due {
                next = next.into_iter().chain([due]).min();
                continue;
            }
            acted = true;
            tokio::select! {
                biased;
                () = look_after(&ws, &login) => {}
                () = halt.cancelled() => return,
            }
        }
        if acted {
            continue;
        }
        let wait = async {
            match next {
                Some(at) => app.sleep_from(now, at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = halt.cancelled() => return,
            () = wait => slept = next,
            changed = nudges.changed() => if changed.is_err() { return },
        }
    }
}

fn open_ones(ws: &Ws) -> Vec<Login> {
    let all = ws.read(|snap| snap.list::<Login>(&Range::all()));
    let all = all.unwrap_or_else(|error| {
        tracing::warn!(%error, "sign-ins that are under way could not be read");
        Vec::new()
    });
    all.into_iter().filter(|login| login.state == LoginState::Waiting).collect()
}

/// Performs the due step of a sign-in.
async fn look_after(ws: &Ws, login: &Login) {
    let done = match login.is_over(ws.app.clock.now()) {
        true => end(ws, BY, login, LoginState::Expired, "").await.map_err(LoginError::from),
        false => poll(ws, login).await,
    };
    match done {
        Ok(()) | Err(LoginError::Connection(ConnectionError::NoLogin)) => {}
        Err(error) => {
            let error = ws.app.redactor.masked(Spot::Errors, &error.to_string()).into_owned();
            tracing::info!(connection.id = %login.connection, "a sign-in does not go on: {error}");
            // Avoid a busy loop, whatever the error is.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

/// Polls whether the code was typed.
async fn poll(ws: &Ws, login: &Login) -> Result<(), LoginError> {
    let ready = stored(ws, login.connection).and_then(|known| Ok((known, open(&ws.app, login)?)));
    let ((connection, client), pending) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            end(ws, BY, login, LoginState::Failed, &error.to_string()).await?;
            return Err(error.into());
        }
    };
    match oauth_flow(&ws.app, &client).poll(pending.device_code.reveal()).await {
        Ok(tokens) => complete(ws, BY, login, (connection, client), tokens).await,
        Err(error) => failed(ws, BY, login, &error).await.map(drop),
    }
}

/// Waits for the browser callback on a local port. If another program has the port or the browser runs elsewhere, the
/// person pastes the address instead.
async fn listen(ws: Ws, login: Login) {
    let Ok((_, client)) = stored(&ws, login.connection) else { return };
    let redirect = client.endpoints.redirect;
    let Some(port) = callback::port_of(&redirect) else { return };
    let place = match Callback::bind(port).await {
        Ok(place) => place,
        Err(error) => {
            tracing::info!("nobody is caught on port {port} after a sign-in: {error}");
            return;
        }
    };
    let path = url::Url::parse(&redirect).map_or_else(|_| "/".to_owned(), |u| u.path().to_owned());
    let (halt, app) = (ws.halt(), ws.app.clone());
    let mut nudges = app.accounts.nudges();
    loop {
        nudges.borrow_and_update();
        let same = |one: &Login| one.connection == login.connection && one.number == login.number;
        if !open_ones(&ws).iter().any(same) {
            return;
        }
        let caller = tokio::select! {
            () = halt.cancelled() => return,
            () = app.sleep_until(login.expires_at) => return,
            _ = nudges.changed() => continue,
            caller = place.next() => match caller {
                Ok(caller) => caller,
                Err(_) => return,
            },
        };
        if caller.target().split('?').next() != Some(path.as_str()) {
            caller.say("404 Not Found", "Page not found.").await;
            continue;
        }
        match answer(&ws, &BY, login.connection, caller.target()).await {
            Ok(()) => {
                caller.say("200 OK", "You’re signed in. You can close this page.").await;
                return;
            }
            Err(error) => {
                let text = format!("Sign-in failed: {error}. Go back to HQ and try again.");
                caller.say("400 Bad Request", &text).await;
            }
        }
    }
}
