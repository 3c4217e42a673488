//! Writes of sign-ins: where people sign in, one that is under way, what it came to. Tokens come sealed.

use jiff::SignedDuration;

use crate::connections::model::{Connection, Flow, Grant, Login, LoginState, Wire};
use kernel::text::ellipsis;
use kernel::{ConnectionId, Event, Timestamp};
use providers::base::{self, Server};
use providers::oauth::{Client, Endpoints, Vendor};
use store::{ReadExt, StoreError, WriteTx};

use super::{ConnectionError, good_model, good_name, origin, turns};

/// The longest id of a client, and of a program.
const MAX_ID: usize = 200;
/// The longest text of a maker that is kept.
const MAX_SAID: usize = 300;

/// A connection to which a person signs in.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub name: String,
    /// Where people sign in.
    pub client: Client,
    /// Where models answer, as typed; empty for the maker's own.
    pub base_url: String,
    /// The model that is used when nobody chose one.
    pub default_model: Option<String>,
}

/// Adds a connection to which nobody has signed in yet.
///
/// # Errors
/// When the name, an address, the client or the model cannot be used.
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
    // That agents stay with practice was said of another connection.
    super::leave_practice(tx)?;
    tx.emit(Event::ConnectionChanged { connection: connection.id });
    Ok(connection.id)
}

/// A client that can be used. Empty addresses are the maker's own.
pub(super) fn good_client(client: Client, vendor: Vendor) -> Result<Client, ConnectionError> {
    let bad = |field, said: &str| Err(ConnectionError::BadClient(field, said.to_owned()));
    let fits =
        |id: &str| !id.is_empty() && id.len() <= MAX_ID && id.chars().all(|c| c.is_ascii_graphic());
    let id = client.id.trim().to_owned();
    if !fits(&id) {
        return bad("client_id", "give the id that the maker gave your program");
    }
    let integration = client.integration.map(|text| text.trim().to_owned());
    let integration = integration.filter(|text| !text.is_empty());
    if integration.as_deref().is_some_and(|text| !fits(text)) {
        return bad("integration", "it has no spaces and at most 200 characters");
    }
    let usual = Endpoints::of(vendor);
    let good = |field: &'static str, typed: &str, usual: &str| {
        let typed = typed.trim();
        if typed.is_empty() || usual.is_empty() {
            return Ok(usual.to_owned());
        }
        let base = base::exact(typed, Server::Other);
        let base = base.map_err(|error| ConnectionError::BadClient(field, error.to_string()))?;
        if !base.private && !base.url.starts_with("https://") {
            let said = "tokens go there, so it has to begin with https://".to_owned();
            return Err(ConnectionError::BadClient(field, said));
        }
        // Where a browser is sent back to has to be what the maker knows, to the last character.
        Ok(if typed.contains("://") { typed.to_owned() } else { base.url })
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

/// For what a sign-in counts: whom tokens are given by and to whom they may go. An envelope opens for this place
/// only, so that no way to change a connection sends them anywhere else.
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

/// What is written of a sign-in that begins.
#[derive(Clone, Debug)]
pub struct NewLogin {
    pub flow: Flow,
    /// The envelope of what only HQ and the person know.
    pub sealed: String,
    /// The id of the master key that sealed it.
    pub key_id: String,
    /// How long the person has.
    pub life: SignedDuration,
    /// Between two questions whether the code was typed.
    pub pause: SignedDuration,
}

/// Begins a sign-in; one that was under way is over. Answers its number.
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

/// The sign-in of this number while the person is asked.
fn waiting(tx: &WriteTx<'_>, id: ConnectionId, number: u32) -> Result<Login, ConnectionError> {
    let login = tx.get::<Login>(id)?;
    let same = |login: &Login| login.number == number && login.state == LoginState::Waiting;
    login.filter(same).ok_or(ConnectionError::NoLogin)
}

/// How a person goes on being asked.
#[derive(Clone, Debug)]
pub struct Still {
    /// How long until the maker is asked next.
    pub wait: SignedDuration,
    /// Between two questions from then on.
    pub pause: SignedDuration,
    /// What the maker said, for people.
    pub said: String,
}

/// Notes that the person goes on being asked.
///
/// # Errors
/// `NoLogin` when it is over.
pub fn go_on(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    number: u32,
    still: Still,
) -> Result<(), ConnectionError> {
    let mut login = waiting(tx, id, number)?;
    login.next_at = tx.now() + still.wait;
    login.pause_ms = i64::try_from(still.pause.as_millis()).unwrap_or(i64::MAX);
    login.said = ellipsis(&still.said, MAX_SAID);
    tx.put(&login)?;
    Ok(())
}

/// Ends a sign-in that came to nothing.
///
/// # Errors
/// `NoLogin` when it is over.
pub fn end(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    number: u32,
    (state, said): (LoginState, String),
) -> Result<(), ConnectionError> {
    let mut login = waiting(tx, id, number)?;
    login.state = state;
    login.sealed = String::new();
    login.said = ellipsis(&said, MAX_SAID);
    tx.put(&login)?;
    Ok(())
}

/// Calls off the sign-in that is under way.
///
/// # Errors
/// `NoLogin` when there is none.
pub fn cancel(tx: &mut WriteTx<'_>, id: ConnectionId) -> Result<(), ConnectionError> {
    let number = tx.get::<Login>(id)?.ok_or(ConnectionError::NoLogin)?.number;
    end(tx, id, number, (LoginState::Cancelled, String::new()))
}

/// Tokens, sealed.
#[derive(Clone, Debug)]
pub struct NewTokens {
    /// The envelope.
    pub sealed: String,
    /// The id of the master key that sealed it.
    pub key_id: String,
    /// For what they were sealed; see [`place`].
    pub place: String,
    /// What people know the account by.
    pub label: Option<String>,
    /// When that ends which calls are made with.
    pub expires_at: Option<Timestamp>,
}

/// Keeps what a sign-in came to. All rests of the connection are over.
///
/// # Errors
/// `NoLogin` when it was called off, ran out, or leads elsewhere by now.
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

/// The grant of one sign-in; none when another came, or nobody is signed in any more.
fn grant(
    tx: &WriteTx<'_>,
    id: ConnectionId,
    since: Timestamp,
) -> Result<Option<Grant>, StoreError> {
    Ok(tx.get::<Grant>(id)?.filter(|grant| grant.signed_in_at == since))
}

/// Notes, before a maker is asked for new tokens, that it is: each of the old ones may be good for one answer only.
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

/// Keeps new tokens in place of the old ones.
///
/// # Errors
/// `NoLogin` when somebody has signed in or out meanwhile.
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

/// Why there were no new tokens.
#[derive(Clone, Debug)]
pub struct PutOff {
    /// How long the maker is left alone.
    pub pause: SignedDuration,
    pub said: String,
    /// Whether there may have been an answer that never arrived.
    pub unheard: bool,
}

/// Notes that there were no new tokens.
pub fn put_off(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    since: Timestamp,
    PutOff { pause, said, unheard }: PutOff,
) -> Result<(), ConnectionError> {
    if let Some(mut grant) = grant(tx, id, since)? {
        grant.asked_at = grant.asked_at.filter(|_| unheard);
        grant.failures = grant.failures.saturating_add(1);
        grant.retry_at = Some(tx.now() + pause);
        grant.said = ellipsis(&said, MAX_SAID);
        tx.put(&grant)?;
    }
    Ok(())
}

/// Notes that the sign-in does not count any more: a person has to sign in again.
pub fn lose(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    since: Timestamp,
    said: String,
) -> Result<(), ConnectionError> {
    let Some(mut grant) = grant(tx, id, since)? else { return Ok(()) };
    if grant.lost_at.is_none() {
        grant.lost_at = Some(tx.now());
        grant.said = ellipsis(&said, MAX_SAID);
        tx.put(&grant)?;
        tx.emit(Event::ConnectionChanged { connection: id });
    }
    Ok(())
}

/// Signs out: HQ forgets the tokens. A sign-in that is under way is over, too.
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

/// Forgets tokens and a sign-in that is under way.
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
