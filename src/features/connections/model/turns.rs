//! Records for failover: additional keys, fallback lists, cooldowns, and model properties reported by providers.

use jiff::SignedDuration;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::super::cooldown::LONGEST;
use super::Connection;
use crate::agents::model::Agent;
use kernel::{AgentId, ConnectionId, Thinking, Timestamp, TypedId};
use providers::error::ErrorClass;
use store::{Class, OnDelete, Record, Refs, Table};

pub const OFFERS: Table = Table::new(150, "model_offers");
/// Keys besides the first.
pub const SPARE_KEYS: Table = Table::new(151, "connection_spare_keys");
pub const COOLDOWNS: Table = Table::new(152, "model_cooldowns");
pub const FALLBACKS: Table = Table::new(153, "model_fallbacks");
pub const USUAL_THINKING: Table = Table::new(154, "usual_thinking");

/// Context windows for servers that have to be told.
pub const WINDOWS: Table = Table::new(155, "connection_windows");

/// Properties of a model as reported by its provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Model id of the provider.
    pub id: String,
    /// Context window in tokens.
    pub window: Option<u32>,
    /// Maximum tokens of one response.
    pub max_output: Option<u32>,
    /// Whether the model calls tools.
    pub tools: Option<bool>,
    /// Whether the model accepts images.
    pub vision: Option<bool>,
    pub thinking: Option<bool>,
    /// The provider's own price in micro-dollars per million tokens: input, cache read, cache write, output.
    pub price: Option<[u64; 4]>,
}

/// The latest model list of a provider. `Local`: it can be requested again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    pub connection: ConnectionId,
    #[serde(with = "millisecond::required")]
    pub read_at: Timestamp,
    pub models: Vec<Offer>,
}

impl Record for Offers {
    type Id = ConnectionId;
    const TABLE: Table = OFFERS;
    const CLASS: Class = Class::Local;
    fn id(&self) -> ConnectionId {
        self.connection
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, Some(self.connection), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let offer = Offer {
            id: "claude".into(),
            window: Some(200_000),
            max_output: None,
            tools: Some(true),
            vision: Some(false),
            thinking: None,
            price: Some([3_000_000, 300_000, 3_750_000, 15_000_000]),
        };
        Self {
            connection: ConnectionId::from_bytes([7; 16]),
            read_at: kernel::time::from_ms(1_700_000_000_000),
            models: vec![offer],
        }
    }
}

/// An additional key of a connection.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpareKey {
    /// Number in the connection, from 1; never reused. The first key is 0.
    pub slot: u32,
    /// The envelope.
    pub sealed: String,
    /// Id of the master key that sealed it.
    pub key_id: String,
    /// Last characters of the key.
    pub hint: String,
}

impl std::fmt::Debug for SpareKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SpareKey({})", self.slot)
    }
}

/// The additional keys of a connection in order of use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpareKeys {
    pub connection: ConnectionId,
    /// Number of the next key.
    pub next: u32,
    pub keys: Vec<SpareKey>,
}

impl Record for SpareKeys {
    type Id = ConnectionId;
    const TABLE: Table = SPARE_KEYS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> ConnectionId {
        self.connection
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, Some(self.connection), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let key = SpareKey {
            slot: 1,
            sealed: "enc:v1:sample".into(),
            key_id: "k1".into(),
            hint: "…7f3b".into(),
        };
        Self { connection: ConnectionId::from_bytes([7; 16]), next: 2, keys: vec![key] }
    }
}

/// Cooldown of a key, or of one model with that key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooldown {
    /// See [`Cooldown::key`].
    pub id: String,
    pub connection: ConnectionId,
    /// Number of the key.
    pub slot: u32,
    /// `None` if the whole key is in cooldown.
    pub model: Option<String>,
    pub class: ErrorClass,
    /// Message of the provider.
    pub message: String,
    /// Consecutive failures.
    pub failures: u32,
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
}

impl Cooldown {
    /// Id of the cooldown of a key, or of one model with that key.
    #[must_use]
    pub fn key(connection: ConnectionId, slot: u32, model: Option<&str>) -> String {
        format!("{connection}/{slot}/{}", model.unwrap_or(""))
    }

    /// Whether the cooldown is active. One longer than the maximum was written by a clock that was ahead, and is
    /// ignored.
    #[must_use]
    pub fn goes_on(&self, now: Timestamp) -> bool {
        let left = self.until.duration_since(now);
        left.is_positive() && SignedDuration::try_from(LONGEST).is_ok_and(|most| left <= most)
    }
}

impl Record for Cooldown {
    type Id = String;
    const TABLE: Table = COOLDOWNS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> String {
        self.id.clone()
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, Some(self.connection), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let connection = ConnectionId::from_bytes([7; 16]);
        Self {
            id: Self::key(connection, 0, Some("claude")),
            connection,
            slot: 0,
            model: Some("claude".into()),
            class: ErrorClass::RateLimit,
            message: "slow down".into(),
            failures: 2,
            until: kernel::time::from_ms(1_700_000_060_000),
        }
    }
}

/// A model of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    pub model: String,
}

/// A fallback list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallbacks {
    /// See [`Fallbacks::key`].
    pub id: String,
    /// `None` for the workspace's list.
    pub agent: Option<AgentId>,
    /// In order.
    pub models: Vec<Named>,
}

impl Fallbacks {
    /// Id of an agent's list, or of the workspace's.
    #[must_use]
    pub fn key(agent: Option<AgentId>) -> String {
        agent.map_or_else(|| "workspace".to_owned(), |agent| agent.to_string())
    }
}

impl Record for Fallbacks {
    type Id = String;
    const TABLE: Table = FALLBACKS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> String {
        self.id.clone()
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, self.agent, OnDelete::Cascade);
    }
    fn sample() -> Self {
        let agent = Some(AgentId::from_bytes([5; 16]));
        let named =
            Named { connection: Some(ConnectionId::from_bytes([7; 16])), model: "gpt".into() };
        Self { id: Self::key(agent), agent, models: vec![named] }
    }
}

/// Default thinking level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsualThinking {
    pub level: Thinking,
}

impl Record for UsualThinking {
    type Id = ();
    const TABLE: Table = USUAL_THINKING;
    const CLASS: Class = Class::Tracked;
    fn id(&self) {}
    fn sample() -> Self {
        Self { level: Thinking::Medium }
    }
}

/// Context window of a connection's models in tokens, for a server that has to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub connection: ConnectionId,
    pub tokens: u32,
}

impl Record for Window {
    type Id = ConnectionId;
    const TABLE: Table = WINDOWS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> ConnectionId {
        self.connection
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, Some(self.connection), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { connection: ConnectionId::from_bytes([7; 16]), tokens: 32_768 }
    }
}
