//! Connections on a host: the credentials that the primary sends, kept in memory only, and calls made with them.
//!
//! Keys are sent as they are. Of a sign-in only the current access token is sent, never the refresh token: only the
//! primary renews. A host whose token is about to expire or was refused requests a new one and waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;
use zeroize::Zeroizing;

use app::Ws;
use app::upstream::{Aside, Refusal, Upstream, Wanted, access_handle, facts_handle, handle};
use crypto::keyring::Secret;
use crypto::redact::Redactor;
use kernel::time::Clock;
use kernel::{AgentId, ConnectionId};
use providers::Key;
use providers::account::{Access, Account};
use providers::error::{ErrorClass, ProviderError};
use providers::model::ModelInfo;
use providers::oauth::Vendor;
use providers::oauth::tokens::{Hidden, Life};
use store::{Read, ReadExt, StoreError};

use super::accounts::{self, StoredAccount};
use super::cooldown::Candidate;
use super::model::{Offer, Offers};
use super::provider;
use super::queries::{Choice, turns};
use super::rules::ConnectionError;

/// If the primary does not answer within this time, a token that is still valid is used.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum time until a token announced by the primary arrives.
const COMES: Duration = Duration::from_secs(20);

/// Access data of an account, as sent to a host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lent {
    pub token: Hidden,
    /// Validity by the primary's clock.
    pub life: Life,
    /// Base address for this account's calls.
    pub base: String,
    /// Headers sent with every call.
    pub headers: Vec<(String, String)>,
}

impl Lent {
    /// Whether the token is valid for some time yet. If the local clock is behind the primary's, the time of issue
    /// counts as now.
    fn is_fresh(&self, now_ms: i64) -> bool {
        self.life.is_fresh(now_ms.max(self.life.from))
    }
}

/// Properties of a connection outside its record. The feed does not contain them, so they are sent with the keys.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    /// Key slots in order of use.
    slots: Vec<u32>,
    /// Model properties reported by the provider.
    models: Vec<Offer>,
}

/// Everything that a host keeps in memory about a connection, by handle.
///
/// # Errors
/// If a key cannot be opened.
pub fn sent(
    ws: &Ws,
    id: ConnectionId,
) -> Result<Vec<(String, Zeroizing<String>)>, ConnectionError> {
    let keys = provider::keys(ws, id)?.into_iter();
    let mut all: Vec<_> = keys.map(|(slot, key)| (handle(id, slot), key)).collect();
    let lent = StoredAccount::new(ws, id).lent();
    all.extend(lent.map(|lent| (access_handle(id), lent)));
    let facts = ws.read(|snap| {
        let slots = turns::slots(snap, id)?;
        let models = snap.get::<Offers>(id)?.map_or_else(Vec::new, |offers| offers.models);
        Ok::<_, StoreError>(Facts { slots, models })
    })?;
    // ok: numbers and strings always serialize.
    let facts = serde_json::to_string(&facts).ok();
    all.extend(facts.map(|facts| (facts_handle(id), Zeroizing::new(facts))));
    Ok(all)
}

/// Access data of an account for a host whose token is invalid: different from the refused one.
///
/// # Errors
/// The reason why there is no token.
pub async fn renewed(
    ws: &Ws,
    id: ConnectionId,
    is_refused: impl Fn(&str) -> bool + Send,
) -> Result<Zeroizing<String>, ProviderError> {
    StoredAccount::new(ws, id).lent_anew(is_refused).await
}

fn facts(up: &dyn Upstream, id: ConnectionId) -> Option<Facts> {
    let (_, text) = up.key(&facts_handle(id))?;
    // ok: data from a primary of another version is ignored.
    serde_json::from_str(&text).ok()
}

/// On a host: model properties that the provider last reported to the primary.
pub(super) fn model_info(up: &dyn Upstream, id: ConnectionId, model: &str) -> Option<ModelInfo> {
    let models = facts(up, id)?.models;
    models.into_iter().find(|offer| offer.id == model).map(turns::as_info)
}

/// All candidates for a choice, on the primary and on a host; see [`turns::candidates`].
pub fn candidates(
    ws: &Ws,
    tx: &dyn Read,
    choice: &Choice,
    agent: AgentId,
) -> Result<Vec<Candidate>, StoreError> {
    let all = turns::candidates(tx, choice, agent)?;
    Ok(match &ws.upstream {
        None => all,
        Some(up) => with_all_keys(&**up, all),
    })
}

/// A host stores no keys; the primary sends the list of slots.
fn with_all_keys(up: &dyn Upstream, all: Vec<Candidate>) -> Vec<Candidate> {
    let mut spread = Vec::with_capacity(all.len());
    for one in all {
        let slots = one.connection.and_then(|id| facts(up, id)).map(|facts| facts.slots);
        match slots.filter(|slots| !slots.is_empty()) {
            Some(slots) => {
                spread.extend(slots.into_iter().map(|slot| Candidate { slot, ..one.clone() }));
            }
            None => spread.push(one),
        }
    }
    spread
}

/// Account of a connection on a host.
pub(super) struct LentAccount {
    up: Arc<dyn Upstream>,
    id: ConnectionId,
    vendor: Vendor,
    clock: Arc<dyn Clock>,
    redactor: Arc<Redactor>,
}

impl LentAccount {
    pub(super) fn new(ws: &Ws, up: &Arc<dyn Upstream>, of: (ConnectionId, Vendor)) -> Self {
        let (id, vendor) = of;
        let (clock, redactor) = (Arc::clone(&ws.app.clock), Arc::clone(&ws.app.redactor));
        Self { up: Arc::clone(up), id, vendor, clock, redactor }
    }

    /// The access data sent last, with its version.
    fn held(&self) -> Option<(u64, Lent)> {
        let (version, text) = self.up.key(&access_handle(self.id))?;
        // ok: data from a primary of another version is ignored.
        Some((version, serde_json::from_str(&text).ok()?))
    }

    fn access(&self, lent: &Lent) -> Result<Access, ProviderError> {
        let token = lent.token.reveal();
        let (group, name) = (access_handle(self.id), accounts::watch_name(self.id, "access"));
        self.redactor.replace(&group, vec![(name, Secret::new(token))]);
        let base = self.vendor.base(&lent.base);
        Ok(Access {
            token: Key::new(token).ok_or_else(|| accounts::gone("HQ has sent no token"))?,
            base: base.map_err(|error| accounts::gone(&error.to_string()))?,
            headers: lent.headers.clone(),
        })
    }

    async fn now(&self) -> Result<Access, ProviderError> {
        let now = self.clock.now_ms();
        let Some((_, lent)) = self.held() else { return self.request_token(None).await };
        if lent.is_fresh(now) {
            return self.access(&lent);
        }
        let request = self.request_token(None);
        if !lent.life.is_good(now) {
            return request.await;
        }
        match timeout(PATIENCE, request).await {
            Ok(answer) => answer,
            // The link may be down: use the token until it expires.
            Err(_) => self.access(&lent),
        }
    }

    /// Requests a token from the primary and waits until it arrives. The primary decides whether the token is valid,
    /// whatever the local clock says.
    async fn request_token(&self, refused: Option<u64>) -> Result<Access, ProviderError> {
        let mut moves = self.up.moves();
        let wanted = Wanted { connection: self.id, refused };
        let answer = self.up.asks(Aside::Access(wanted).to_json()).await.map_err(refusal)?;
        let version = answer["version"].as_u64();
        let comes = async {
            loop {
                if let Some((has, lent)) = self.held()
                    && Some(has) == version
                {
                    return Some(lent);
                }
                if moves.changed().await.is_err() {
                    return None;
                }
            }
        };
        match timeout(COMES, comes).await {
            Ok(Some(lent)) => self.access(&lent),
            _ => Err(accounts::passing("HQ hasn't sent it yet")),
        }
    }

    /// A token other than the refused one, which may have arrived meanwhile.
    async fn other(&self, access: &Access) -> Result<Access, ProviderError> {
        match self.held() {
            Some((_, lent)) if !access.is_made_with(lent.token.reveal()) => self.access(&lent),
            held => self.request_token(held.map(|(version, _)| version)).await,
        }
    }
}

impl Account for LentAccount {
    fn access(&self) -> BoxFuture<'_, Result<Access, ProviderError>> {
        self.now().boxed()
    }

    fn refused<'a>(&'a self, access: &'a Access) -> BoxFuture<'a, Result<Access, ProviderError>> {
        self.other(access).boxed()
    }
}

/// The reason for a missing token, as sent over the link.
#[must_use]
pub fn as_refusal(error: &ProviderError) -> Refusal {
    let wait = error.retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok());
    let refusal = Refusal::new(error.class.word(), error.message.clone());
    Refusal { with: json!({ "wait_ms": wait }), ..refusal }
}

/// Decodes [`as_refusal`] on the host.
fn refusal(refusal: Refusal) -> ProviderError {
    let wait = refusal.with["wait_ms"].as_u64().map(Duration::from_millis);
    let class = ErrorClass::named(&refusal.code).unwrap_or(ErrorClass::Network);
    let error = ProviderError::new(class, refusal.sentence);
    ProviderError { sent: false, ..error }.with_retry_after(wait)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::future::Future;
    use std::pin::Pin;

    use app::downstream::Tell;
    use app::live::Piece;
    use app::upstream::{Answered, MayAlone, Tried};
    use kernel::time::{ManualClock, from_ms};
    use kernel::{RunId, TypedId as _};
    use parking_lot::Mutex;
    use serde_json::Value;
    use tokio::sync::{mpsc, watch};

    use super::*;

    const NOW: i64 = 1_795_000_000_000;
    const HOUR: i64 = 3_600_000;

    fn id() -> ConnectionId {
        ConnectionId::from_bytes([7; 16])
    }

    fn lent(token: &str, until: i64) -> String {
        let life = Life { from: NOW, until: Some(until) };
        let token = Hidden::new(token.to_owned());
        let lent = Lent { token, life, base: String::new(), headers: Vec::new() };
        serde_json::to_string(&lent).unwrap()
    }

    /// A primary that renews on request or refuses.
    #[derive(Default)]
    struct Home {
        keys: Mutex<BTreeMap<String, (u64, String)>>,
        requests: Mutex<Vec<Wanted>>,
        refuses: Option<Refusal>,
        moves: watch::Sender<u64>,
    }

    impl Home {
        fn sends(&self, version: u64, text: String) {
            self.keys.lock().insert(access_handle(id()), (version, text));
            self.moves.send_modify(|count| *count += 1);
        }
    }

    impl Upstream for Home {
        fn say(&self, _: Option<RunId>, _: Value) -> Answered<'_> {
            unreachable!("nothing is written")
        }
        fn words(&self, what: Value) -> Value {
            what
        }
        fn says(&self, _: RunId, _: Value) -> Answered<'_> {
            unreachable!("nothing is written")
        }
        fn tries(&self, _: RunId, _: Value) -> Tried<'_> {
            unreachable!("nothing is written")
        }
        fn alone(&self, _: RunId) -> MayAlone<'_> {
            unreachable!("nothing is written")
        }
        fn wrote(&self, _: RunId) {}
        fn drained(&self, _: RunId) -> u64 {
            0
        }
        fn asks(&self, what: Value) -> Answered<'_> {
            let Some(Aside::Access(wanted)) = Aside::of(&what) else { panic!("{what}") };
            self.requests.lock().push(wanted);
            Box::pin(async move {
                if let Some(refusal) = &self.refuses {
                    return Err(refusal.clone());
                }
                // The token arrives beside the response.
                self.sends(9, lent("renewed-token", NOW + 2 * HOUR));
                Ok(json!({ "version": 9 }))
            })
        }
        fn is_heard_by(&self, _: mpsc::UnboundedSender<Tell>) {}
        fn agents(&self) -> BTreeSet<AgentId> {
            BTreeSet::new()
        }
        fn is_paused(&self) -> bool {
            false
        }
        fn is_linked(&self) -> bool {
            true
        }
        fn moves(&self) -> watch::Receiver<u64> {
            self.moves.subscribe()
        }
        fn shows(&self, _: Piece) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            Box::pin(async {})
        }
        fn key(&self, handle: &str) -> Option<(u64, Zeroizing<String>)> {
            let keys = self.keys.lock();
            keys.get(handle).map(|(version, text)| (*version, Zeroizing::new(text.clone())))
        }
        fn keys(&self, _: &str) -> Vec<Zeroizing<String>> {
            Vec::new()
        }
        fn lacks_keys(&self) -> bool {
            false
        }
    }

    fn account(home: &Arc<Home>, now: i64) -> LentAccount {
        let up: Arc<dyn Upstream> = home.clone();
        let clock = Arc::new(ManualClock::at(from_ms(now)));
        let redactor = Arc::new(Redactor::new());
        LentAccount { up, id: id(), vendor: Vendor::ChatGpt, clock, redactor }
    }

    #[tokio::test]
    async fn a_token_is_used_while_it_is_good_and_another_is_asked_for_ahead_of_its_end() {
        let home = Arc::new(Home::default());
        home.sends(1, lent("first-token", NOW + HOUR));
        let access = account(&home, NOW).now().await.unwrap();
        assert!(access.is_made_with("first-token") && home.requests.lock().is_empty());
        // Also with a clock behind the primary's.
        let access = account(&home, NOW - 365 * 24 * HOUR).now().await.unwrap();
        assert!(access.is_made_with("first-token") && home.requests.lock().is_empty());
        let access = account(&home, NOW + HOUR - 1_000).now().await.unwrap();
        assert!(access.is_made_with("renewed-token"));
        assert_eq!(*home.requests.lock(), [Wanted { connection: id(), refused: None }]);
    }

    #[tokio::test]
    async fn a_token_that_was_refused_is_named_and_not_used_again() {
        let home = Arc::new(Home::default());
        home.sends(1, lent("first-token", NOW + HOUR));
        let account = account(&home, NOW);
        let first = account.access(&account.held().unwrap().1).unwrap();
        let second = account.refused(&first).await.unwrap();
        assert!(second.is_made_with("renewed-token"));
        assert_eq!(*home.requests.lock(), [Wanted { connection: id(), refused: Some(1) }]);
        // A later request with the old token gets the same new one.
        assert!(account.refused(&first).await.unwrap().is_made_with("renewed-token"));
        assert_eq!(home.requests.lock().len(), 1);
        let masked = account.redactor.text("with renewed-token it goes on").into_owned();
        assert!(!masked.contains("renewed-token"), "{masked}");
    }

    #[tokio::test]
    async fn what_home_says_instead_of_a_token_is_what_the_run_hears() {
        let refusal = ProviderError::new(ErrorClass::SignIn, "not signed in yet");
        let refusal = refusal.with_retry_after(Some(Duration::from_secs(7)));
        let home = Arc::new(Home { refuses: Some(as_refusal(&refusal)), ..Home::default() });
        let error = account(&home, NOW).now().await.unwrap_err();
        assert_eq!(
            (error.class, error.message.as_str()),
            (refusal.class, refusal.message.as_str())
        );
        assert_eq!((error.retry_after, error.sent), (refusal.retry_after, false));
    }

    #[test]
    fn keys_and_models_of_a_connection_are_known_on_a_host() {
        let home = Home::default();
        let offer = Offer {
            id: "m".into(),
            window: Some(9_000),
            max_output: None,
            tools: Some(true),
            vision: Some(true),
            thinking: None,
            price: None,
        };
        let facts = Facts { slots: vec![2, 0], models: vec![offer] };
        let text = serde_json::to_string(&facts).unwrap();
        home.keys.lock().insert(facts_handle(id()), (1, text));
        assert_eq!(model_info(&home, id(), "m").and_then(|info| info.window), Some(9_000));
        assert!(model_info(&home, id(), "other").is_none());
        let one = |connection, slot| Candidate { connection, slot, model: "m".into() };
        let other = Some(ConnectionId::from_bytes([8; 16]));
        let all = vec![one(Some(id()), 0), one(None, 0), one(other, 0)];
        let spread = [one(Some(id()), 2), one(Some(id()), 0), one(None, 0), one(other, 0)];
        assert_eq!(with_all_keys(&home, all), spread);
    }
}
