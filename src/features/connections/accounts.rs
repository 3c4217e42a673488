//! Account of a signed-in connection: stored tokens, renewed before they expire.
//!
//! Only one task at a time asks the maker (see [`app::accounts`]); waiting tasks reread the store and find the new
//! token. A refresh token may be valid for one use only, so its use is recorded before the request and the answer is
//! stored before it is used. If HQ is killed in between, the answer is lost. The old token is then tried again, which
//! makers allow for a short time; if that fails, the person is told why to sign in again.

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
use providers::oauth::flows::{self, OauthFlow};
use providers::oauth::tokens::{Hidden, Tokens};
use providers::oauth::{AuthError, Client, Failure};
use store::ReadExt;

use super::away::Lent;
use super::model::{Connection, Grant};
use super::rules::sign_in::{self as rules, NewTokens, PutOff};
use super::rules::{ConnectionError, sign_in::place};

/// Automatic renewals have no author.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Pause after a maker refused this program or account.
const REFUSED: SignedDuration = SignedDuration::from_mins(10);

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

/// Stored state of an account.
struct Held {
    connection: Connection,
    client: Client,
    grant: Grant,
    tokens: Tokens,
}

impl Held {
    /// The token for calls.
    fn token(&self) -> &str {
        self.tokens.pass.as_ref().map_or(self.tokens.access.reveal(), |pass| pass.token.reveal())
    }

    /// Whether a token for calls exists. A token that must be exchanged first does not count.
    fn has_token(&self) -> bool {
        self.client.endpoints.exchange.is_empty() || self.tokens.pass.is_some()
    }

    fn is_fresh(&self, now_ms: i64) -> bool {
        self.has_token() && self.tokens.call_life().is_fresh(now_ms)
    }

    fn is_good(&self, now_ms: i64) -> bool {
        self.has_token() && self.tokens.call_life().is_good(now_ms)
    }

    /// Remaining pause after a failure. A pause longer than the maximum was written by a clock that was ahead, and is
    /// ignored.
    fn rests(&self, now: Timestamp) -> Option<SignedDuration> {
        let left = self.grant.retry_at?.duration_since(now);
        (left.is_positive() && left <= REFUSED).then_some(left)
    }

    fn access(&self) -> Result<Access, BaseError> {
        let vendor = self.client.vendor;
        let own = vendor.base(&self.connection.base_url)?;
        // The maker may name the account's base address. An address chosen by a person takes precedence.
        let stored =
            self.tokens.pass.as_ref().and_then(|pass| vendor.base(pass.base.as_ref()?).ok());
        let stored = stored.filter(|base| base.url.starts_with("https://") || base.private);
        let base = match stored {
            Some(stored) if own.url == vendor.about().base => stored,
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
        let grant = grant.ok_or_else(|| gone("not signed in yet"))?;
        if grant.lost_at.is_some() {
            return Err(gone(&grant.said));
        }
        let client = connection.sign_in.clone();
        let client = client.ok_or_else(|| gone("this connection doesn't use a sign-in"))?;
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

    /// Current access data for a host; `None` if a person has to sign in first.
    pub(super) fn lent(&self) -> Option<Zeroizing<String>> {
        // ok: a host without a token asks and gets the reason.
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

    /// Like [`Self::lent`], renewed if the token is about to expire or was refused.
    pub(super) async fn lent_anew(
        &self,
        is_refused: impl Fn(&str) -> bool + Send,
    ) -> Result<Zeroizing<String>, ProviderError> {
        let access = self.now().await?;
        if self.lent().is_some_and(|lent| is_refused(&lent)) {
            self.see_renewed(Some(access)).await?;
        }
        self.lent().ok_or_else(|| gone("not signed in yet"))
    }

    /// Completes a renewal even if the requesting run is stopped, because an unstored answer may be the last one.
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
        // Another task may have renewed the token while this one waited.
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
                // Use the current token until it expires.
                if usable { held.access().map_err(bad) } else { Err(refused) }
            }
        }
    }

    /// Requests new tokens from the maker.
    async fn ask(&self, held: &Held) -> Result<Tokens, Lack> {
        let app = &self.ws.app;
        let oauth = OauthFlow { http: &app.http, clock: &*app.clock, client: &held.client };
        let exchanges = !held.client.endpoints.exchange.is_empty();
        let mut tokens = held.tokens.clone();
        let can = tokens.refresh.is_some();
        let mut fresh = false;
        if !exchanges || (can && !tokens.life.is_fresh(app.clock.now_ms())) {
            tokens = self.refresh(oauth, held, &tokens).await?;
            fresh = true;
        }
        if !exchanges {
            return Ok(tokens);
        }
        let pass = match oauth.pass(&tokens).await {
            Err(error) if error.failure == Failure::Revoked && can && !fresh => {
                tokens = self.refresh(oauth, held, &tokens).await?;
                oauth.pass(&tokens).await?
            }
            other => other?,
        };
        tokens.pass = Some(pass);
        self.keep(held, &tokens).await?;
        Ok(tokens)
    }

    /// Exchanges the old tokens for new ones, which are stored before use.
    async fn refresh(
        &self,
        oauth: OauthFlow<'_>,
        held: &Held,
        old: &Tokens,
    ) -> Result<Tokens, Lack> {
        let (id, since) = (self.id, held.grant.signed_in_at);
        self.ws.write(&BY, move |tx| rules::ask(tx, id, since)).await?;
        let tokens = oauth.refresh(old).await?;
        self.keep(held, &tokens).await?;
        Ok(tokens)
    }

    async fn keep(&self, held: &Held, tokens: &Tokens) -> Result<(), ConnectionError> {
        let (id, since) = (self.id, held.grant.signed_in_at);
        // Redact the tokens everywhere from now on.
        watch(&self.ws.app, id, tokens);
        let new = seal(&self.ws.app, &held.connection, tokens)?;
        self.ws.write(&BY, move |tx| rules::renew(tx, id, since, new)).await
    }

    /// Stores the consequence of a maker's refusal. Returns the error for the caller.
    async fn refusal(&self, held: &Held, error: AuthError) -> Result<ProviderError, ProviderError> {
        let (id, since) = (self.id, held.grant.signed_in_at);
        let message = self.ws.app.redactor.masked(Spot::Errors, &error.message).into_owned();
        let kept = |error: ConnectionError| passing(&error.to_string());
        if error.failure == Failure::Revoked {
            let text = match held.grant.asked_at {
                Some(_) => format!(
                    "HQ was stopped or lost the network during the last renewal, so the old \
                        sign-in is no longer valid: {message}"
                ),
                None => format!("the sign-in is no longer valid: {message}"),
            };
            tracing::warn!(connection.id = %id, "somebody has to sign in to a connection again");
            let copy = text.clone();
            self.ws.write(&BY, move |tx| rules::lose(tx, id, since, copy)).await.map_err(kept)?;
            return Err(gone(&text));
        }
        let own = flows::pause(held.grant.failures.saturating_add(1), error.retry_after);
        let own = SignedDuration::try_from(own).unwrap_or(REFUSED);
        let pause = if error.failure == Failure::Passing { own } else { REFUSED };
        tracing::info!(connection.id = %id, "a sign-in could not be renewed");
        let off = PutOff { pause, message: message.clone(), unheard: error.unheard };
        self.ws.write(&BY, move |tx| rules::put_off(tx, id, since, off)).await.map_err(kept)?;
        Ok(match error.failure {
            Failure::Passing => {
                let wait = std::time::Duration::try_from(pause).ok(); // ok: never negative
                passing(&message).with_retry_after(wait)
            }
            _ => ProviderError {
                sent: false,
                ..ProviderError::new(
                    ErrorClass::Auth,
                    format!(
                        "the provider rejects it: \
                    {message}"
                    ),
                )
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

/// The account is not signed in.
pub(super) fn gone(message: &str) -> ProviderError {
    ProviderError { sent: false, ..ProviderError::new(ErrorClass::SignIn, message) }
}

/// A temporary failure.
pub(super) fn passing(message: &str) -> ProviderError {
    let message = format!("couldn't renew the sign-in: {message}");
    ProviderError { sent: false, ..ProviderError::new(ErrorClass::Network, message) }
}

/// Seals tokens, bound to their place.
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

/// Redaction placeholder of a token.
pub(super) fn watch_name(id: ConnectionId, which: &str) -> String {
    format!("connection-{}-{which}", id.short())
}

/// Redacts these tokens in all texts from now on.
pub(super) fn watch(app: &App, id: ConnectionId, tokens: &Tokens) {
    let named: Vec<(String, Secret)> = tokens
        .secrets()
        .into_iter()
        .map(|(which, secret)| (watch_name(id, which), Secret::new(secret)))
        .collect();
    app.redactor.add_all(named.iter().map(|(name, secret)| (name.as_str(), secret.clone())));
}

/// Stops redacting the tokens of an account that is signed out.
pub fn forget(app: &App, id: ConnectionId) {
    for which in ["access", "refresh", "pass"] {
        app.redactor.remove(&watch_name(id, which));
    }
    app.accounts.of(id).gauge.forget();
}

/// After a start: redacts the stored tokens of a connection in all texts.
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
