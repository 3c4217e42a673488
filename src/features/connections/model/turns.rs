//! Who may answer in turn: more keys of a connection, lists to fall back on, rests after failures, and what a
//! provider said of its models.

use jiff::SignedDuration;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::super::cooldown::LONGEST;
use super::Connection;
use crate::agents::model::Agent;
use kernel::{AgentId, ConnectionId, Thinking, Timestamp, TypedId};
use providers::error::ErrorClass;
use store::{Class, OnDelete, Record, Refs, Table};

/// What providers said of their models.
pub const OFFERS: Table = Table::new(150, "model_offers");
/// Keys of connections beside the first.
pub const SPARE_KEYS: Table = Table::new(151, "connection_spare_keys");
/// Who rests after a failure.
pub const COOLDOWNS: Table = Table::new(152, "model_cooldowns");
/// Models to fall back on.
pub const FALLBACKS: Table = Table::new(153, "model_fallbacks");
/// How much the workspace's model thinks.
pub const USUAL_THINKING: Table = Table::new(154, "usual_thinking");

/// Windows that people set, for servers that have to be told how large they are.
pub const WINDOWS: Table = Table::new(155, "connection_windows");

/// A model as a provider describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its id on the wire.
    pub id: String,
    /// Its window in tokens.
    pub window: Option<u32>,
    /// The most tokens of one answer.
    pub max_output: Option<u32>,
    /// Whether it calls tools.
    pub tools: Option<bool>,
    /// Whether it sees pictures.
    pub vision: Option<bool>,
    /// Whether it thinks first.
    pub thinking: Option<bool>,
    /// The provider's own price of a million tokens in micro-dollars: input, from the cache, into
    /// the cache, output.
    pub price: Option<[u64; 4]>,
}

/// What a provider said of its models when it was asked last. `Local`: it is asked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    pub connection: ConnectionId,
    /// When it was asked.
    #[serde(with = "millisecond::required")]
    pub read_at: Timestamp,
    /// What it said.
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

/// One more key of a connection.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpareKey {
    /// Its number in the connection, from 1; never given again. The first key is 0.
    pub slot: u32,
    /// The envelope.
    pub sealed: String,
    /// The id of the master key that sealed it.
    pub key_id: String,
    /// Its last characters.
    pub hint: String,
}

impl std::fmt::Debug for SpareKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SpareKey({})", self.slot)
    }
}

/// The keys of a connection beside the first, in the order in which they are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpareKeys {
    pub connection: ConnectionId,
    /// The number of the next key.
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

/// A key of a connection, or one model with it, that is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooldown {
    /// See [`Cooldown::key`].
    pub id: String,
    pub connection: ConnectionId,
    /// The number of the key.
    pub slot: u32,
    /// The model; none when the key itself rests.
    pub model: Option<String>,
    pub class: ErrorClass,
    /// What the provider said.
    pub message: String,
    /// Failures in a row.
    pub failures: u32,
    /// When it is asked again.
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
}

impl Cooldown {
    /// The id of the rest of a key, or of one model with it.
    #[must_use]
    pub fn key(connection: ConnectionId, slot: u32, model: Option<&str>) -> String {
        format!("{connection}/{slot}/{}", model.unwrap_or(""))
    }

    /// Whether it goes on. One that is longer than any was noted by a clock that was ahead, and is over.
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
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    pub model: String,
}

/// The models that answer in turn when the one that was chosen does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallbacks {
    /// See [`Fallbacks::key`].
    pub id: String,
    /// Whose list it is; none for the workspace's.
    pub agent: Option<AgentId>,
    /// In order.
    pub models: Vec<Named>,
}

impl Fallbacks {
    /// The id of an agent's list, or of the workspace's.
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

/// How much models think for agents and tasks that say nothing of it.
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

/// The window of a connection's models, in tokens, for a server that has to be told.
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
