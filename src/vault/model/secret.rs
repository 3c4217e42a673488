//! Metadata of a secret. The value is a separate record, so readers of this one never hold it.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, AgentId, GatewayId, Part, Timestamp, TypedId as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

use features::agents::model::Agent;
use gateways::model::{Gateway, local};

use super::SecretId;

pub const SECRETS: Table = Table::new(360, "secrets");
/// Variable, then owner; unique per owner. Removed secrets are not indexed.
pub const BY_KEY: Index = Index::unique(361, "secrets_by_key");

kernel::words! {
    /// What a secret is for.
    Category {
        /// Programs and requests of agents.
        User = "user", "Custom";
        /// A channel alone.
        Channel = "channel", "Channel";
        /// A connector alone.
        Integration = "integration", "Integration";
    }
}

kernel::words! {
    /// How agents use a secret.
    Way {
        /// Programs have the value in their environment.
        Value = "value", "As a variable";
        /// Programs have a stand-in, which becomes the value on the way to the hosts.
        StandIn = "stand_in", "As a placeholder";
        /// Requests of HQ alone have it.
        Requests = "requests", "In requests only";
    }
}

/// Number of the reference to a gateway; references to agents have lower numbers.
const GATEWAY: u8 = 200;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Workspace,
    /// Only these agents; nobody if none of them exists any more.
    Agents(Vec<AgentId>),
    /// All agents on this gateway.
    Gateway(GatewayId),
}

/// The owner of a variable: at most one secret per variable and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    All,
    /// All agents of a gateway; overrides [`Owner::All`].
    Gateway(GatewayId),
    /// One agent; overrides everything else.
    Agent(AgentId),
}

impl Scope {
    #[must_use]
    pub fn agents(&self) -> &[AgentId] {
        match self {
            Self::Workspace | Self::Gateway(_) => &[],
            Self::Agents(agents) => agents,
        }
    }

    #[must_use]
    pub fn gateway(&self) -> Option<GatewayId> {
        match self {
            Self::Gateway(id) => Some(*id),
            Self::Workspace | Self::Agents(_) => None,
        }
    }

    #[must_use]
    pub fn names(&self, agent: AgentId) -> bool {
        self.agents().contains(&agent)
    }

    /// Whether the scope includes this agent, which works on gateway `at`.
    #[must_use]
    pub fn reaches(&self, agent: AgentId, at: GatewayId) -> bool {
        match self {
            Self::Workspace => true,
            Self::Gateway(id) => *id == at,
            Self::Agents(agents) => agents.contains(&agent),
        }
    }

    /// Precedence: of several secrets that reach an agent, the highest rank is in force.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Workspace => 0,
            Self::Gateway(_) => 1,
            Self::Agents(_) => 2,
        }
    }

    /// The owners for whom the variable must be unique.
    #[must_use]
    pub fn owners(&self) -> Vec<Owner> {
        match self {
            Self::Workspace => vec![Owner::All],
            Self::Gateway(id) => vec![Owner::Gateway(*id)],
            Self::Agents(agents) => agents.iter().copied().map(Owner::Agent).collect(),
        }
    }

    /// `workspace`, `gateway` or `agents`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Gateway(_) => "gateway",
            Self::Agents(_) => "agents",
        }
    }
}

/// The places of a request in which a stand-in becomes the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Places {
    /// Headers, also inside `Authorization: Basic`.
    pub headers: bool,
    /// These parameters of the query.
    pub query: Vec<String>,
    /// The path.
    pub path: bool,
    /// These fields of the body.
    pub body: Vec<String>,
}

impl Default for Places {
    fn default() -> Self {
        Self { headers: true, query: Vec::new(), path: false, body: Vec::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    pub id: SecretId,
    /// For example `SHOP_API_KEY`.
    pub key: String,
    pub name: String,
    pub note: String,
    pub category: Category,
    pub scope: Scope,
    pub way: Way,
    /// Only programs for which an agent names the secret get the value.
    pub named_only: bool,
    /// Hosts that the value may be sent to: `api.example.com`, `*.example.com`.
    pub hosts: Vec<String>,
    /// Where in a request the value may be inserted.
    pub places: Places,
    /// The value may be read: a variable, not a secret.
    pub plain: bool,
    /// Version of the value, counted from the first one.
    pub version: u32,
    /// When the value was set.
    #[serde(with = "millisecond::required")]
    pub rotated_at: Timestamp,
    /// When the value should be replaced.
    #[serde(with = "millisecond::optional")]
    pub expires_at: Option<Timestamp>,
    /// When the secret was removed.
    #[serde(with = "millisecond::optional")]
    pub removed_at: Option<Timestamp>,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Secret {
    type Id = SecretId;
    const TABLE: Table = SECRETS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_KEY];
    fn id(&self) -> SecretId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.removed_at.is_some() {
            return;
        }
        match &self.scope {
            Scope::Workspace => {
                keys.entry(BY_KEY).text(&self.key).u8(0);
            }
            Scope::Agents(agents) => {
                for agent in agents {
                    keys.entry(BY_KEY).text(&self.key).u8(1).part(*agent);
                }
            }
            Scope::Gateway(gateway) => {
                keys.entry(BY_KEY).text(&self.key).u8(2).part(*gateway);
            }
        }
    }
    fn refs(&self, refs: &mut Refs) {
        for (field, agent) in (0..=u8::MAX).zip(self.scope.agents()) {
            refs.to::<Agent>(field, Some(*agent), OnDelete::Clear);
        }
        // This machine may have no gateway row, and is never deleted.
        let gateway = self.scope.gateway().filter(|id| *id != local());
        let kept = if self.removed_at.is_some() { OnDelete::Clear } else { OnDelete::Refuse };
        refs.to::<Gateway>(GATEWAY, gateway, kept);
    }
    fn clear(&mut self, field: u8) {
        match &mut self.scope {
            Scope::Agents(agents) => {
                agents.remove(usize::from(field));
            }
            Scope::Gateway(_) => self.scope = Scope::Agents(Vec::new()),
            Scope::Workspace => {}
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: SecretId::from_bytes([90; 16]),
            key: "SHOP_API_KEY".into(),
            name: "Shop system ü".into(),
            note: "Made in the shop".into(),
            category: Category::User,
            scope: Scope::Agents(vec![AgentId::from_bytes([5; 16])]),
            way: Way::StandIn,
            named_only: true,
            hosts: vec!["*.shop.example".into()],
            places: Places {
                headers: true,
                query: vec!["key".into()],
                path: false,
                body: vec!["token".into()],
            },
            plain: false,
            version: 3,
            rotated_at: at,
            expires_at: Some(at),
            removed_at: Some(at),
            by: Actor::System(Part::Setup),
            created_at: at,
        }
    }
}
