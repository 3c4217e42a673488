//! Conversations of agents.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use kernel::{AccountId, AgentId, InputId, RunId, SessionId, TaskId, Thinking, Timestamp, TypedId};
use store::codec::{self, DecodeError};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

pub const SESSIONS: Table = Table::new(60, "sessions");
/// Session key. A reset gives the key to the new session.
pub const SESSION_BY_KEY: Index = Index::unique(61, "sessions_by_key");
/// Agent, then creation order; sessions of single API calls are excluded.
pub const SESSION_BY_AGENT: Index = Index::multi(62, "sessions_by_agent");

/// A conversation of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub id: SessionId,
    pub agent: AgentId,
    /// `agent:<slug>:main` or `agent:<slug>:person:<account>` for a person's first conversation,
    /// `agent:<slug>:dashboard:<id>` for each further one, `agent:<slug>:task:<task>`, `agent:<slug>:explicit:<id>`
    /// for an API client. A single API call whose run continues without its client has `stays-` before the id.
    pub key: String,
    /// `None` for work.
    pub owner: Option<AccountId>,
    pub task: Option<TaskId>,
    /// Raised whenever another writer begins, which fences out older writers.
    pub epoch: u64,
    /// Number of events, and the number of the next event.
    pub events: u32,
    pub active_run: Option<RunId>,
    /// Tools found by `tool_search`, kept for the session.
    pub loaded_tools: Vec<String>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Time of the last message.
    #[serde(with = "millisecond::required")]
    pub last_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub archived_at: Option<Timestamp>,
    /// `None`: the first words of the conversation are shown.
    pub name: Option<String>,
    /// The last message. A page that shows another one is out of date.
    pub leaf: Option<InputId>,
    /// Model chosen for this conversation only.
    pub model: Option<String>,
    /// Thinking level chosen for this conversation only.
    pub thinking: Option<Thinking>,
    /// Whether model and thinking level pass to the next conversation under the key.
    pub lasting: bool,
    /// Whether the whole workspace may view it and speak in it. Otherwise a person's conversation is private.
    pub shared: bool,
}

impl Session {
    /// Whether the conversation belongs to a person and is not shared.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.owner.is_some() && !self.shared
    }

    /// Whether the person may speak in it: it is about work, their own, or shared.
    #[must_use]
    pub fn admits(&self, account: AccountId) -> bool {
        !self.is_private() || self.owner == Some(account)
    }
}

/// Layout before `shared`. Frozen.
#[derive(Deserialize)]
struct SessionV2 {
    id: SessionId,
    agent: AgentId,
    key: String,
    owner: Option<AccountId>,
    task: Option<TaskId>,
    epoch: u64,
    events: u32,
    active_run: Option<RunId>,
    loaded_tools: Vec<String>,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    last_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    archived_at: Option<Timestamp>,
    name: Option<String>,
    leaf: Option<InputId>,
    model: Option<String>,
    thinking: Option<Thinking>,
    lasting: bool,
}

impl SessionV2 {
    fn now(self) -> Session {
        Session {
            id: self.id,
            agent: self.agent,
            key: self.key,
            owner: self.owner,
            task: self.task,
            epoch: self.epoch,
            events: self.events,
            active_run: self.active_run,
            loaded_tools: self.loaded_tools,
            created_at: self.created_at,
            last_at: self.last_at,
            archived_at: self.archived_at,
            name: self.name,
            leaf: self.leaf,
            model: self.model,
            thinking: self.thinking,
            lasting: self.lasting,
            shared: false,
        }
    }
}

/// Layout before names and own models. Frozen.
#[derive(Deserialize)]
struct SessionV1 {
    id: SessionId,
    agent: AgentId,
    key: String,
    owner: Option<AccountId>,
    task: Option<TaskId>,
    epoch: u64,
    events: u32,
    active_run: Option<RunId>,
    loaded_tools: Vec<String>,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    last_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    archived_at: Option<Timestamp>,
}

impl Record for Session {
    type Id = SessionId;
    const TABLE: Table = SESSIONS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 3;
    const INDEXES: &'static [Index] = &[SESSION_BY_KEY, SESSION_BY_AGENT];
    fn id(&self) -> SessionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.archived_at.is_none() {
            keys.entry(SESSION_BY_KEY).text(&self.key);
        }
        if !crate::runs::queries::talk::is_throw_away(&self.key) {
            keys.entry(SESSION_BY_AGENT).part(self.agent).part(self.created_at);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: SessionId::from_bytes([12; 16]),
            agent: AgentId::from_bytes([5; 16]),
            key: "agent:ada:main".into(),
            owner: Some(AccountId::from_bytes([1; 16])),
            task: None,
            epoch: 4,
            events: 17,
            active_run: None,
            loaded_tools: vec!["progress".into()],
            created_at: at,
            last_at: at,
            archived_at: None,
            name: Some("Prices of vans".into()),
            leaf: Some(InputId::from_bytes([13; 16])),
            model: Some("practice-1".into()),
            thinking: Some(Thinking::High),
            lasting: true,
            shared: true,
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => {
                let old: SessionV1 = codec::decode(body)?;
                Ok(Self {
                    id: old.id,
                    agent: old.agent,
                    key: old.key,
                    owner: old.owner,
                    task: old.task,
                    epoch: old.epoch,
                    events: old.events,
                    active_run: old.active_run,
                    loaded_tools: old.loaded_tools,
                    created_at: old.created_at,
                    last_at: old.last_at,
                    archived_at: old.archived_at,
                    name: None,
                    leaf: None,
                    model: None,
                    thinking: None,
                    lasting: false,
                    shared: false,
                })
            }
            2 => Ok(codec::decode::<SessionV2>(body)?.now()),
            _ => Err(DecodeError::UnknownVersion { table: SESSIONS.name, version }),
        }
    }
}
