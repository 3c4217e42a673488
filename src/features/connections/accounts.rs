//! The account of a connection to which a person signed in: tokens from the store, renewed ahead of their end.
//!
//! One at a time asks the maker (see [`app::accounts`]); who waited reads again and finds what the other got.
//! A token may be good for one answer only, so before the maker is asked that is written down, and what it answers
//! is kept before it is used. When the program is killed in between, the answer is lost: the old token is tried
//! again, which makers allow for a short while, and if they do not, the person is told why to sign in again.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use zeroize::Zeroizing;

use app::accounts::Account as Shared;
use app::{App, Ws};
use crypto::keyring::{Binding, Sealed, Secret};
use crypto::redact::Spot;
use kernel::{Actor, Cause, ConnectionId, Part, Timestamp, TypedId};
use providers::Key;
use providers::account::{Access, Account};
use providers::base::BaseError;
use providers::error::{ErrorClass, ProviderError};
use providers::oauth::flows::{self, Desk};
use providers::oauth::tokens::{Hidden, Tokens};
use providers::oauth::{AuthError, Client, Failure};
use store::ReadExt;

use super::away::Lent;
use super::model::{Connection, Grant};
use super::rules::sign_in::{self as rules, NewTokens, PutOff};
use super::rules::{ConnectionError, sign_in::place};

/// Nobody asked for it.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// How long a maker is left alone that does not want this program or this account.
const REFUSED: SignedDuration = SignedDuration::from_mins(10);

/// The account of a connection.
#[derive(Clone)]
pub struct StoredAccount {
    ws: Ws,
    id: ConnectionId,
    shared: Arc<Shared>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum Lack {
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// What the store holds of an account.
struct Held {
    connection: Connection,
    client: Client,
    grant: Grant,
    tokens: Tokens,
}

impl Held {
    /// What calls are made with.
    fn token(&self) -> &str {
        self.tokens.pass.as_ref().map_or(self.tokens.access.reveal(), |pass| pass.token.reveal())
    }

    /// Whether a token that a call can be made with is there. One that has to be changed first is none.
    fn has_token(&self) -> bool {
        self.client.endpoints.exchange.is_empty() || self.tokens.pass.is_some()
    }

    fn is_fresh(&self, now_ms: i64) -> bool {
        self.has_token() && self.tokens.call_life().is_fresh(now_ms)
    }

    fn is_good(&self, now_ms: i64) -> bool {
        self.has_token() && self.tokens.call_life().is_good(now_ms)
    }

    /// Until when its maker is left alone after a failure. A pause that is longer than any was noted by a clock
    /// that was ahead, and is over.
    fn rests(&self, now: Timestamp) -> Option<SignedDuration> {
        let left = self.grant.retry_at?.duration_since(now);
        (left.is_positive() && left <= REFUSED).then_some(left)
    }

    fn access(&self) -> Result<Access, BaseError> {
        let vendor = self.client.vendor;
        let own = vendor.base(&self.connection.base_url)?;
        // The maker may say where this account is answered, unless a person has chosen another place.
        let told = self.tokens.pass.as_ref().and_then(|pass| vendor.base(pass.base.as_ref()?).ok());
        let told = told.filter(|base| base.url.starts_with("https://") || base.private);
        let base = match told {
            Some(told) if own.url == vendor.about().base => told,
            _ => own,
        };
        Ok(Access {
            token: Key::new(self.token()).ok_or(BaseError::Empty)?,
            base,
            headers: self.client.headers(self.tokens.account.as_deref()),
        })
    }
}

impl StoredAccount {
    /// The account of a connection.
    #[must_use]
    pub fn new(ws: &Ws, id: ConnectionId) -> Self {
        Self { ws: ws.clone(), id, shared: ws.app.accounts.of(id) }
    }

    fn held(&self) -> Result<Held, ProviderError> {
        let id = self.id;
        let read = self.ws.read(|snap| {
            let connection = snap.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
            Ok::<_, ConnectionError>((connection, snap.get::<Grant>(id)?))
        });
        let (connection, grant) = read.map_err(|error| match error {
            ConnectionError::Store(error) => passing(&error.to_string()),
            error => gone(&error.to_string()),
        })?;
        let grant = grant.ok_or_else(|| gone("nobody has signed in yet"))?;
        if grant.lost_at.is_some() {
            return Err(gone(&grant.said));
        }
        let client = connection.sign_in.clone();
        let client = client.ok_or_else(|| gone("nobody signs in to this connection"))?;
        let tokens = open(&self.ws.app, &connection, &grant);
        let tokens = tokens.map_err(|error| gone(&error.to_string()))?;
        Ok(Held { connection, client, grant, tokens })
    }

    async fn now(&self) -> Result<Access, ProviderError> {
        let held = self.held()?;
        let clock = &self.ws.app.clock;
        let good = held.is_good(clock.now_ms());
        if held.is_fresh(clock.now_ms()) || (good && held.rests(clock.now()).is_some()) {
            return held.access().map_err(|error| gone(&error.to_string()));
        }
        self.see_renewed(None).await
    }

    /// What calls are made with now, as it is sent to a host; none where somebody has to sign in first.
    pub(super) fn lent(&self) -> Option<Zeroizing<String>> {
        // ok: a host that has none asks, and hears why.
        let held = self.held().ok().filter(Held::has_token)?;
        let access = held.access().ok()?; // ok: as above
        let lent = Lent {
            token: Hidden::new(held.token().to_owned()),
            life: held.tokens.call_life(),
            base: access.base.url,
            headers: access.headers,
        };
        serde_json::to_string(&lent).ok().map(Zeroizing::new) // ok: as above
    }

    /// The same, renewed where it is about to end or is one that was refused.
    pub(super) async fn lent_anew(
        &self,
        is_refused: impl Fn(&str) -> bool + Send,
    ) -> Result<Zeroizing<String>, ProviderError> {
        let access = self.now().await?;
        if self.lent().is_some_and(|lent| is_refused(&lent)) {
            self.see_renewed(Some(access)).await?;
        }
        self.lent().ok_or_else(|| gone("nobody has signed in yet"))
    }

    /// Renews to the end, also when the run that wanted it is stopped meanwhile: an answer that nobody keeps may be
    /// the last one.
    async fn see_renewed(&self, refused: Option<Access>) -> Result<Access, ProviderError> {
        let this = self.clone();
        let renewed = async move { this.renew(refused.as_ref()).await };
        let seen = self.ws.app.see_through("renewal of a sign-in", renewed).await;
        seen.unwrap_or_else(|error| Err(passing(&error.to_string())))
    }

    async fn renew(&self, refused: Option<&Access>) -> Result<Access, ProviderError> {
        let _turn = self.shared.turn.lock().await;
        let held = self.held()?;
        let app = &self.ws.app;
        let bad = |error: BaseError| gone(&error.to_string());
        // Whoever waited for this turn may find that another has got a new one.
        let another = match refused {
            Some(refused) => held.has_token() && !refused.is_made_with(held.token()),
            None => held.is_fresh(app.clock.now_ms()),
        };
        let usable = another || (refused.is_none() && held.is_good(app.clock.now_ms()));
        match held.rests(app.clock.now()) {
            _ if another => return held.access().map_err(bad),
            Some(_) if usable => return held.access().map_err(bad),
            Some(left) => {
                let wait = std::time::Duration::try_from(left).unwrap_or_default();
                return Err(passing(&held.grant.said).with_retry_after(Some(wait)));
            }
            None => {}
        }
        match self.ask(&held).await {
            Ok(tokens) => Held { tokens, ..held }.access().map_err(bad),
            Err(Lack::Connection(error)) => Err(passing(&error.to_string())),
            Err(Lack::Auth(error)) => {
                let refused = self.refusal(&held, error).await?;
                // The last token is used to its end.
                if usable { held.access().map_err(bad) } else { Err(refused) }
            }
        }
    }

    /// Asks the maker for what the next calls are made with.
    async fn ask(&self, held: &Held) -> Result<Tokens, Lack> {
        let app = &self.ws.app;
        let desk = Desk { http: &app.http, clock: &*app.clock, client: &held.client };
        let exchanges = !held.client.endpoints.exchange.is_empty();
        let mut tokens = held.tokens.clone();
        let can = tokens.refresh.is_some();
        let mut fresh = false;
        if !exchanges || (can && !tokens.life.is_fresh(app.clock.now_ms())) {
            tokens = self.refresh(desk, held, &tokens).await?;
            fresh = true;
        }
        if !exchanges {
            return Ok(tokens);
        }
        let pass = match desk.pass(&tokens).await {
            Err(error) if error.failure == Failure::Revoked && can && !fresh => {
                tokens = self.refresh(desk, held, &tokens).await?;
                desk.pass(&tokens).await?
            }
            other => other?,
        };
        tokens.pass = Some(pass);
        self.keep(held, &tokens).await?;
        Ok(tokens)
    }

    /// New tokens for the old ones, kept before anybody uses them.
    async fn refresh(&self, desk: Desk<'_>, held: &Held, old: &Tokens) -> Result<Tokens, Lack> {
        let (id, since) = (self.id, held.grant.signed_in_at);
        self.ws.write(&BY, move |tx| rules::ask(tx, id, since)).await?;
        let tokens = desk.refresh(old).await?;
        self.keep(held, &tokens).await?;
        Ok(tokens)
    }

    async fn keep(&self, held: &Held, tokens: &Tokens) -> Result<(), ConnectionError> {
        let (id, since) = (self.id, held.grant.signed_in_at);
        // Nothing says them from now on, wherever they turn up.
        watch(&self.ws.app, id, tokens);
        let new = seal(&self.ws.app, &held.connection, tokens)?;
        self.ws.write(&BY, move |tx| rules::renew(tx, id, since, new)).await
    }

    /// Keeps what a maker's refusal means; gives what the caller is told.
    async fn refusal(&self, held: &Held, error: AuthError) -> Result<ProviderError, ProviderError> {
        let (id, since) = (self.id, held.grant.signed_in_at);
        let message = self.ws.app.redactor.masked(Spot::Errors, &error.message).into_owned();
        let kept = |error: ConnectionError| passing(&error.to_string());
        if error.failure == Failure::Revoked {
            let said = match held.grant.asked_at {
                Some(_) => format!(
                    "HQ never got the answer to its last renewal, because it was stopped or the line broke; \
                     the old sign-in does not count any more: {message}"
                ),
                None => format!("the sign-in does not count any more: {message}"),
            };
            tracing::warn!(connection.id = %id, "somebody has to sign in to a connection again");
            let told = said.clone();
            self.ws.write(&BY, move |tx| rules::lose(tx, id, since, told)).await.map_err(kept)?;
            return Err(gone(&said));
        }
        let own = flows::pause(held.grant.failures.saturating_add(1), error.retry_after);
        let own = SignedDuration::try_from(own).unwrap_or(REFUSED);
        let pause = if error.failure == Failure::Passing { own } else { REFUSED };
        tracing::info!(connection.id = %id, "a sign-in could not be renewed");
        let off = PutOff { pause, said: message.clone(), unheard: error.unheard };
        self.ws.write(&BY, move |tx| rules::put_off(tx, id, since, off)).await.map_err(kept)?;
        Ok(match error.failure {
            Failure::Passing => {
                let wait = std::time::Duration::try_from(pause).ok(); // ok: it is never negative
                passing(&message).with_retry_after(wait)
            }
            _ => ProviderError {
                sent: false,
                ..ProviderError::new(ErrorClass::Auth, format!("the maker refuses it: {message}"))
            },
        })
    }
}

impl Account for StoredAccount {
    fn access(&self) -> BoxFuture<'_, Result<Access, ProviderError>> {
        self.now().boxed()
    }

    fn refused<'a>(&'a self, access: &'a Access) -> BoxFuture<'a, Result<Access, ProviderError>> {
        self.see_renewed(Some(access.clone())).boxed()
    }
}

/// Nobody is signed in.
pub(super) fn gone(message: &str) -> ProviderError {
    ProviderError { sent: false, ..ProviderError::new(ErrorClass::SignIn, message) }
}

/// It may go well in a moment.
pub(super) fn passing(message: &str) -> ProviderError {
    let message = format!("the sign-in could not be renewed: {message}");
    ProviderError { sent: false, ..ProviderError::new(ErrorClass::Network, message) }
}

/// Seals tokens for the place that they are for.
///
/// # Errors
/// `NoSignIn` for a connection with a key.
pub(super) fn seal(
    app: &App,
    connection: &Connection,
    tokens: &Tokens,
) -> Result<NewTokens, ConnectionError> {
    let place = place(connection).ok_or(ConnectionError::NoSignIn)?;
    let text = serde_json::to_string(tokens).map(Hidden::new);
    let text = text.map_err(|_| ConnectionError::NoSignIn)?;
    let owner = connection.id.to_string();
    let binding = Binding { scope: "connection", owner: &owner, name: &place };
    Ok(NewTokens {
        sealed: app.keyring.seal_bound(binding, text.reveal().as_bytes()).as_str().to_owned(),
        key_id: app.keyring.key_id().to_string(),
        label: tokens.label.clone(),
        expires_at: tokens.call_life().ends(),
        place,
    })
}

pub(super) fn open(
    app: &App,
    connection: &Connection,
    grant: &Grant,
) -> Result<Tokens, ConnectionError> {
    let place = place(connection).ok_or(ConnectionError::NoSignIn)?;
    let owner = connection.id.to_string();
    let binding = Binding { scope: "connection", owner: &owner, name: &place };
    let secret = app.keyring.open(&Sealed::from_stored(grant.sealed.as_str()), binding)?;
    let tokens = serde_json::from_str(secret.expose_text()?);
    tokens.map_err(|_| ConnectionError::Unreadable(crypto::keyring::SealError::BadFormat))
}

/// The name that stands in a text in place of a token.
pub(super) fn watch_name(id: ConnectionId, which: &str) -> String {
    format!("connection-{}-{which}", id.short())
}

/// Takes these tokens out of every text from now on.
pub(super) fn watch(app: &App, id: ConnectionId, tokens: &Tokens) {
    let named: Vec<(String, Secret)> = tokens
        .secrets()
        .into_iter()
        .map(|(which, secret)| (watch_name(id, which), Secret::new(secret)))
        .collect();
    app.redactor.add_all(named.iter().map(|(name, secret)| (name.as_str(), secret.clone())));
}

/// Forgets the tokens of an account that nobody is signed in to any more.
pub fn forget(app: &App, id: ConnectionId) {
    for which in ["access", "refresh", "pass"] {
        app.redactor.remove(&watch_name(id, which));
    }
    app.accounts.of(id).gauge.forget();
}

/// Takes the tokens of a connection out of every text from now on, after a start.
pub(super) fn watch_stored(
    app: &App,
    ws: &Ws,
    connection: &Connection,
) -> Result<(), ConnectionError> {
    let id = connection.id;
    if let Some(grant) = ws.read(|snap| snap.get::<Grant>(id))? {
        match open(app, connection, &grant) {
            Ok(tokens) => watch(app, id, &tokens),
            Err(error) => {
                tracing::warn!(connection.id = %id, "a sign-in cannot be opened: {error}");
            }
        }
    }
    Ok(())
}
