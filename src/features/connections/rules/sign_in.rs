//! Writes of sign-ins: the client, pending sign-ins and their results. Tokens arrive sealed.

use jiff::SignedDuration;

use crate::connections::model::{Connection, Flow, Grant, Login, LoginState, Wire};
use kernel::text::ellipsis;
use kernel::{ConnectionId, Event, Timestamp};
use providers::base::{self, Server};
use providers::oauth::{Client, Endpoints, Vendor};
use store::{ReadExt, StoreError, WriteTx};

use super::{ConnectionError, good_model, good_name, origin, turns};

/// Maximum length of a client id and of an integration id.
const MAX_ID: usize = 200;
/// Maximum stored length of a maker's message.
const MAX_SAID: usize = 300;

/// Request for a connection with sign-in.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub name: String,
    pub client: Client,
    /// Base address as typed; empty for the maker's own.
    pub base_url: String,
    pub default_model: Option<String>,
}

/// Adds a connection that is not signed in yet.
///
/// # Errors
/// If the name, an address, the client or the model is invalid.
pub fn create(tx: &mut WriteTx<'_>, new: NewAccount) -> Result<ConnectionId, ConnectionError> {
    let name = good_name(tx, &new.name, None)?;
    let vendor = new.client.vendor;
    let client = good_client(new.client, vendor)?;
    let now = tx.now();
    let connection = Connection {
        id: tx.new_id(),
        name,
        wire: match vendor {
            Vendor::ChatGpt => Wire::OpenaiResponses,
            Vendor::Copilot => Wire::OpenaiChat,
        },
        base_url: vendor.base(&new.base_url)?.url,
        default_model: good_model(new.default_model)?,
        models: Vec::new(),
        key_hint: None,
        tested: None,
        price: None,
        created_at: now,
        updated_at: now,
        sign_in: Some(client),
    };
    tx.put(&connection)?;
    // The choice of practice referred to the earlier connections.
    super::leave_practice(tx)?;
    tx.emit(Event::ConnectionChanged { connection: connection.id });
    Ok(connection.id)
}

/// Validates a client. Empty addresses become the maker's own.
pub(super) fn good_client(client: Client, vendor: Vendor) -> Result<Client, ConnectionError> {
    let bad = |field, message: &str| Err(ConnectionError::BadClient(field, message.to_owned()));
    let fits =
        |id: &str| !id.is_empty() && id.len() <= MAX_ID && id.chars().all(|c| c.is_ascii_graphic());
    let id = client.id.trim().to_owned();
    if !fits(&id) {
        return bad("client_id", "enter the ID the provider gave your app");
    }
    let integration = client.integration.map(|text| text.trim().to_owned());
    let integration = integration.filter(|text| !text.is_empty());
    if integration.as_deref().is_some_and(|text| !fits(text)) {
        return bad("integration", "use at most 200 characters without spaces");
    }
    let usual = Endpoints::of(vendor);
    let good = |field: &'static str, url: &str, usual: &str| {
        let url = url.trim();
        if url.is_empty() || usual.is_empty() {
            return Ok(usual.to_owned());
        }
        let base = base::exact(url, Server::Other);
        let base = base.map_err(|error| ConnectionError::BadClient(field, error.to_string()))?;
        if !base.private && !base.url.starts_with("https://") {
            let message = "tokens are sent there, so it must start with https://".to_owned();
            return Err(ConnectionError::BadClient(field, message));
        }
        // The redirect address must match the one registered with the maker exactly.
        Ok(if url.contains("://") { url.to_owned() } else { base.url })
    };
    let given = client.endpoints;
    let endpoints = Endpoints {
        authorize: good("authorize_url", &given.authorize, &usual.authorize)?,
        token: good("token_url", &given.token, &usual.token)?,
        device: good("device_url", &given.device, &usual.device)?,
        exchange: good("exchange_url", &given.exchange, &usual.exchange)?,
        redirect: good("redirect_url", &given.redirect, &usual.redirect)?,
    };
    Ok(Client { vendor, id, integration, endpoints })
}

/// Binding of a sign-in: the issuer of the tokens and their allowed targets. The envelope opens for this place only,
/// so that no change of a connection sends the tokens elsewhere.
#[must_use]
pub fn place(connection: &Connection) -> Option<String> {
    let client = connection.sign_in.as_ref()?;
    let ends = &client.endpoints;
    let all = [
        client.vendor.word(),
        client.id.as_str(),
        origin(&ends.token),
        origin(&ends.exchange),
        origin(&connection.base_url),
    ];
    Some(all.join(" "))
}

/// Request for a pending sign-in.
#[derive(Clone, Debug)]
pub struct NewLogin {
    pub flow: Flow,
    /// Envelope of the secrets of the sign-in.
    pub sealed: String,
    /// Id of the master key that sealed it.
    pub key_id: String,
    /// Time allowed for the person.
    pub life: SignedDuration,
    /// Poll interval of the device flow.
    pub pause: SignedDuration,
}

/// Begins a sign-in and cancels a pending one. Returns its number.
///
/// # Errors
/// `NotFound`; `NoSignIn`.
pub fn begin(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    new: NewLogin,
) -> Result<u32, ConnectionError> {
    let connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    if connection.sign_in.is_none() {
        return Err(ConnectionError::NoSignIn);
    }
    let now = tx.now();
    let number = tx.get::<Login>(id)?.map_or(1, |last| last.number.saturating_add(1));
    tx.put(&Login {
        connection: id,
        number,
        flow: new.flow,
        state: LoginState::Waiting,
        sealed: new.sealed,
        key_id: new.key_id,
        begun_at: now,
        expires_at: now + new.life,
        pause_ms: i64::try_from(new.pause.as_millis()).unwrap_or(i64::MAX),
        next_at: now + new.pause,
        said: String::new(),
    })?;
    Ok(number)
}

/// The pending sign-in with this number.
fn waiting(tx: &WriteTx<'_>, id: ConnectionId, number: u32) -> Result<Login, ConnectionError> {
    let login = tx.get::<Login>(id)?;
    let same = |login: &Login| login.number == number && login.state == LoginState::Waiting;
    login.filter(same).ok_or(ConnectionError::NoLogin)
}

/// State of a sign-in that stays pending.
#[derive(Clone, Debug)]
pub struct Still {
    /// Time until the next poll.
    pub wait: SignedDuration,
    /// Poll interval from then on.
    pub pause: SignedDuration,
    /// Message of the maker, for display.
    pub message: String,
}

/// Keeps a sign-in pending.
///
/// # Errors
/// `NoLogin` if it is over.
pub fn go_on(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    number: u32,
    still: Still,
) -> Result<(), ConnectionError> {
    let mut login = waiting(tx, id, number)?;
    login.next_at = tx.now() + still.wait;
    login.pause_ms = i64::try_from(still.pause.as_millis()).unwrap_or(i64::MAX);
    login.said = ellipsis(&still.message, MAX_SAID);
    tx.put(&login)?;
    Ok(())
}

/// Ends a failed sign-in.
///
/// # Errors
/// `NoLogin` if it is over.
pub fn end(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    number: u32,
    (state, message): (LoginState, String),
) -> Result<(), ConnectionError> {
    let mut login = waiting(tx, id, number)?;
    login.state = state;
    login.sealed = String::new();
    login.said = ellipsis(&message, MAX_SAID);
    tx.put(&login)?;
    Ok(())
}

/// Cancels the pending sign-in.
///
/// # Errors
/// `NoLogin` if there is none.
pub fn cancel(tx: &mut WriteTx<'_>, id: ConnectionId) -> Result<(), ConnectionError> {
    let number = tx.get::<Login>(id)?.ok_or(ConnectionError::NoLogin)?.number;
    end(tx, id, number, (LoginState::Cancelled, String::new()))
}

/// Sealed tokens.
#[derive(Clone, Debug)]
pub struct NewTokens {
    /// The envelope.
    pub sealed: String,
    /// Id of the master key that sealed it.
    pub key_id: String,
    /// Binding of the envelope; see [`place`].
    pub place: String,
    /// Display name of the account.
    pub label: Option<String>,
    /// Expiry of the token for calls.
    pub expires_at: Option<Timestamp>,
}

/// Stores the tokens of a finished sign-in and ends all cooldowns of the connection.
///
/// # Errors
/// `NoLogin` if it was cancelled, expired, or the connection's place has changed.
pub fn finish(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    number: u32,
    new: NewTokens,
) -> Result<(), ConnectionError> {
    let connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    if place(&connection).as_ref() != Some(&new.place) {
        return Err(ConnectionError::NoLogin);
    }
    end(tx, id, number, (LoginState::Done, String::new()))?;
    let now = tx.now();
    tx.put(&Grant {
        connection: id,
        sealed: new.sealed,
        key_id: new.key_id,
        label: new.label.map(|label| ellipsis(&label, MAX_ID)),
        expires_at: new.expires_at,
        signed_in_at: now,
        renewed_at: now,
        asked_at: None,
        failures: 0,
        retry_at: None,
        said: String::new(),
        lost_at: None,
    })?;
    turns::retry_now(tx, id)?;
    Ok(())
}

/// The grant of this sign-in; `None` after another sign-in or a sign-out.
fn grant(
    tx: &WriteTx<'_>,
    id: ConnectionId,
    since: Timestamp,
) -> Result<Option<Grant>, StoreError> {
    Ok(tx.get::<Grant>(id)?.filter(|grant| grant.signed_in_at == since))
}

/// Records, before the request, that new tokens are requested: a refresh token may be valid for one use only.
pub fn ask(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    since: Timestamp,
) -> Result<(), ConnectionError> {
    if let Some(mut grant) = grant(tx, id, since)? {
        grant.asked_at = Some(tx.now());
        tx.put(&grant)?;
    }
    Ok(())
}

/// Replaces the tokens.
///
/// # Errors
/// `NoLogin` after another sign-in or a sign-out.
pub fn renew(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    since: Timestamp,
    new: NewTokens,
) -> Result<(), ConnectionError> {
    let grant = grant(tx, id, since)?.ok_or(ConnectionError::NoLogin)?;
    tx.put(&Grant {
        sealed: new.sealed,
        key_id: new.key_id,
        label: new.label.map(|label| ellipsis(&label, MAX_ID)).or(grant.label),
        expires_at: new.expires_at,
        renewed_at: tx.now(),
        asked_at: None,
        failures: 0,
        retry_at: None,
        said: String::new(),
        lost_at: None,
        ..grant
    })?;
    Ok(())
}

/// Details of a failed renewal.
#[derive(Clone, Debug)]
pub struct PutOff {
    /// Pause before the next attempt.
    pub pause: SignedDuration,
    pub message: String,
    /// Whether an answer may have been lost.
    pub unheard: bool,
}

/// Records a failed renewal.
pub fn put_off(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    since: Timestamp,
    PutOff { pause, message, unheard }: PutOff,
) -> Result<(), ConnectionError> {
    if let Some(mut grant) = grant(tx, id, since)? {
        grant.asked_at = grant.asked_at.filter(|_| unheard);
        grant.failures = grant.failures.saturating_add(1);
        grant.retry_at = Some(tx.now() + pause);
        grant.said = ellipsis(&message, MAX_SAID);
        tx.put(&grant)?;
    }
    Ok(())
}

/// Marks the sign-in as invalid: a person has to sign in again.
pub fn lose(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    since: Timestamp,
    message: String,
) -> Result<(), ConnectionError> {
    let Some(mut grant) = grant(tx, id, since)? else { return Ok(()) };
    if grant.lost_at.is_none() {
        grant.lost_at = Some(tx.now());
        grant.said = ellipsis(&message, MAX_SAID);
        tx.put(&grant)?;
        tx.emit(Event::ConnectionChanged { connection: id });
    }
    Ok(())
}

/// Signs out: deletes the tokens and cancels a pending sign-in.
///
/// # Errors
/// `NotFound`; `NoSignIn`.
pub fn sign_out(tx: &mut WriteTx<'_>, id: ConnectionId) -> Result<(), ConnectionError> {
    let connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    if connection.sign_in.is_none() {
        return Err(ConnectionError::NoSignIn);
    }
    forget(tx, id)?;
    tx.emit(Event::ConnectionChanged { connection: id });
    Ok(())
}

/// Deletes the tokens and cancels a pending sign-in.
pub(super) fn forget(tx: &mut WriteTx<'_>, id: ConnectionId) -> Result<(), StoreError> {
    if tx.get::<Grant>(id)?.is_some() {
        tx.delete::<Grant>(id)?;
    }
    if let Some(mut login) = tx.get::<Login>(id)?.filter(|one| one.state == LoginState::Waiting) {
        login.state = LoginState::Cancelled;
        login.sealed = String::new();
        tx.put(&login)?;
    }
    Ok(())
}
