//! Connection records.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{ConnectionId, Timestamp, TypedId};
use providers::oauth::{Client, Endpoints, Vendor};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Table, codec};

mod sign_in;
mod turns;
mod vectors;

pub use sign_in::{Flow, GRANTS, Grant, LOGINS, Login, LoginState};
pub use turns::{
    COOLDOWNS, Cooldown, FALLBACKS, Fallbacks, Named, Offer, Offers, SPARE_KEYS, SpareKey,
    SpareKeys, USUAL_THINKING, UsualThinking, WINDOWS, Window,
};
pub use vectors::{Maker, VECTOR_SOURCES, VectorSource, VectorSourceId};

pub const CONNECTIONS: Table = Table::new(75, "connections");
pub const BY_NAME: Index = Index::unique(76, "connections_by_name");
/// The sealed keys of connections.
pub const CONNECTION_KEYS: Table = Table::new(77, "connection_keys");

/// Wire protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions and compatible servers.
    OpenaiChat,
    OpenaiResponses,
    /// Gemini's native protocol.
    Gemini,
    /// Ollama's native protocol.
    Ollama,
}

/// Result of the last test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Whether a real call was answered.
    pub ok: bool,
    pub message: String,
}

/// A model as listed by the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedModel {
    /// Model id of the provider.
    pub id: String,
    /// Display name.
    pub name: String,
}

/// A provider account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    pub id: ConnectionId,
    pub name: String,
    pub wire: Wire,
    pub base_url: String,
    /// Used without another choice.
    pub default_model: Option<String>,
    /// Latest list of the provider.
    pub models: Vec<ListedModel>,
    /// Last characters of the key, for recognition.
    pub key_hint: Option<String>,
    pub tested: Option<Tested>,
    /// Micro-dollars per million tokens if the catalogue has no price: input, output.
    pub price: Option<(i64, i64)>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Set if a person signs in instead of giving a key.
    pub sign_in: Option<Client>,
}

/// Layout before sign-ins. Frozen.
#[derive(Deserialize)]
struct ConnectionV1 {
    id: ConnectionId,
    name: String,
    wire: Wire,
    base_url: String,
    default_model: Option<String>,
    models: Vec<ListedModel>,
    key_hint: Option<String>,
    tested: Option<Tested>,
    price: Option<(i64, i64)>,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
}

impl From<ConnectionV1> for Connection {
    fn from(old: ConnectionV1) -> Self {
        Self {
            id: old.id,
            name: old.name,
            wire: old.wire,
            base_url: old.base_url,
            default_model: old.default_model,
            models: old.models,
            key_hint: old.key_hint,
            tested: old.tested,
            price: old.price,
            created_at: old.created_at,
            updated_at: old.updated_at,
            sign_in: None,
        }
    }
}

impl Record for Connection {
    type Id = ConnectionId;
    const TABLE: Table = CONNECTIONS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[BY_NAME];
    fn id(&self) -> ConnectionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_NAME).text(&self.name.to_lowercase());
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<ConnectionV1>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: CONNECTIONS.name, version }),
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: ConnectionId::from_bytes([7; 16]),
            name: "Anthropic".into(),
            wire: Wire::Anthropic,
            base_url: "https://api.anthropic.com".into(),
            default_model: Some("claude".into()),
            models: vec![ListedModel { id: "claude".into(), name: "Claude".into() }],
            key_hint: Some("…7f3a".into()),
            tested: Some(Tested { at, ok: true, message: "answered in 0.8 s".into() }),
            price: Some((3_000_000, 15_000_000)),
            created_at: at,
            updated_at: at,
            sign_in: Some(Client {
                vendor: Vendor::Copilot,
                id: "our-client".into(),
                integration: Some("ours".into()),
                endpoints: Endpoints {
                    authorize: String::new(),
                    token: "https://github.example/token".into(),
                    device: "https://github.example/device".into(),
                    exchange: "https://api.github.example/pass".into(),
                    redirect: String::new(),
                },
            }),
        }
    }
}

/// The key of a connection, sealed with `enc:v1`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionKey {
    pub connection: ConnectionId,
    /// The envelope.
    pub sealed: String,
    /// Id of the master key that sealed it.
    pub key_id: String,
}

impl std::fmt::Debug for ConnectionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConnectionKey({})", self.connection)
    }
}

impl Record for ConnectionKey {
    type Id = ConnectionId;
    const TABLE: Table = CONNECTION_KEYS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> ConnectionId {
        self.connection
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, Some(self.connection), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            connection: ConnectionId::from_bytes([7; 16]),
            sealed: "enc:v1:sample".into(),
            key_id: "k1".into(),
        }
    }
}
