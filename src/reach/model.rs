//! Records of MCP servers. Configuration and approvals are tracked; what HQ observed of a server is not.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Part, Timestamp, TypedId as _, ids};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

ids! {
    /// An MCP server.
    McpServerId,
    /// A tool of an MCP server.
    McpToolId,
}

pub const SERVERS: Table = Table::new(433, "mcp_servers");
pub const SERVER_BY_NAME: Index = Index::unique(434, "mcp_servers_by_name");
pub const STATES: Table = Table::new(435, "mcp_states");
pub const TOOLS: Table = Table::new(436, "mcp_tools");
/// Server and the tool's own name.
pub const TOOL_BY_SERVER: Index = Index::unique(437, "mcp_tools_by_server");
/// The name by which agents call it.
pub const TOOL_BY_NAME: Index = Index::unique(438, "mcp_tools_by_name");

/// A configured server: an address, or a program in the jail. Lists have one entry per line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpServer {
    pub id: McpServerId,
    pub name: String,
    /// Empty for a program.
    pub url: String,
    /// `Name: value`; values may contain `{{secret:KEY}}`.
    pub headers: Vec<String>,
    /// Program and arguments; empty for an address.
    pub command: Vec<String>,
    /// `KEY=value`; values may contain `{{secret:KEY}}`.
    pub env: Vec<String>,
    /// Folders of this machine that the program may read.
    pub read: Vec<String>,
    /// Folders of this machine that the program may change.
    pub write: Vec<String>,
    /// Hosts that the program may reach.
    pub hosts: Vec<String>,
    /// Hosts in private networks that are reachable for this server alone.
    pub open_hosts: Vec<String>,
    /// Slugs of the agents that have it; all agents if empty.
    pub agents: Vec<String>,
    pub is_enabled: bool,
    /// SHA-256 of the configuration that decides what the server is.
    pub fingerprint: String,
    /// The fingerprint that a person approved; empty before.
    pub approved: String,
    pub approved_by: Option<Actor>,
    #[serde(with = "millisecond::optional")]
    pub approved_at: Option<Timestamp>,
    /// SHA-256 of the last tool list, so that a page that shows older tools is outdated.
    pub catalogue: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl McpServer {
    /// Whether a person approved exactly this configuration.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        !self.approved.is_empty() && self.approved == self.fingerprint
    }

    #[must_use]
    pub fn is_program(&self) -> bool {
        !self.command.is_empty()
    }

    #[must_use]
    pub fn is_for(&self, agent: &str) -> bool {
        is_listed(&self.agents, agent)
    }
}

/// Whether a list of agents, in which none means all, has this one.
fn is_listed(agents: &[String], agent: &str) -> bool {
    agents.is_empty() || agents.iter().any(|slug| slug == agent)
}

impl Record for McpServer {
    type Id = McpServerId;
    const TABLE: Table = SERVERS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[SERVER_BY_NAME];
    fn id(&self) -> McpServerId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(SERVER_BY_NAME).text(&self.name);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: McpServerId::from_bytes([70; 16]),
            name: "files".into(),
            url: String::new(),
            headers: vec!["Authorization: Bearer {{secret:FILES_KEY}}".into()],
            command: vec!["npx".into(), "-y".into(), "server-filesystem@1.2.3 ü".into()],
            env: vec!["MODE={{secret:MODE}}".into()],
            read: vec!["/srv/files".into()],
            write: vec!["/srv/out".into()],
            hosts: vec!["registry.npmjs.org".into()],
            open_hosts: vec!["10.0.0.1:8080".into()],
            agents: vec!["ada".into()],
            is_enabled: true,
            fingerprint: "ab".into(),
            approved: "ab".into(),
            approved_by: Some(Actor::System(Part::Setup)),
            approved_at: Some(at),
            catalogue: "cd".into(),
            by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
        }
    }
}

/// What HQ observed of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpState {
    pub server: McpServerId,
    /// Rises with each change of the server's tools or approvals. Part of the key of caches.
    pub version: u64,
    /// The result of the last connection, in a sentence.
    pub detail: String,
    pub is_ok: bool,
    /// `modern` or `legacy`; empty before the first connection.
    pub era: String,
    /// Whether it is off because it crashed too often. A new check turns it on again.
    pub has_crashed: bool,
    #[serde(with = "millisecond::optional")]
    pub checked_at: Option<Timestamp>,
}

impl McpState {
    #[must_use]
    pub fn new(server: McpServerId) -> Self {
        Self {
            server,
            version: 0,
            detail: String::new(),
            is_ok: false,
            era: String::new(),
            has_crashed: false,
            checked_at: None,
        }
    }
}

impl Record for McpState {
    type Id = McpServerId;
    const TABLE: Table = STATES;
    const CLASS: Class = Class::Work;
    fn id(&self) -> McpServerId {
        self.server
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<McpServer>(0, Some(self.server), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<McpServer>(self.server)
    }
    fn sample() -> Self {
        Self {
            version: 7,
            detail: "It answers and has 2 tools.".into(),
            is_ok: true,
            era: "modern".into(),
            checked_at: Some(kernel::time::from_ms(1_700_000_000_000)),
            ..Self::new(McpServerId::from_bytes([70; 16]))
        }
    }
}

kernel::words! {
    /// What calls of a tool do. Decides about approval of calls and about repeats after a crash.
    Mode {
        /// It changes nothing; a call may be repeated.
        Reads = "reads", "Reads";
        Acts = "acts", "Acts";
    }
}

/// The definition that a person approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Canonical JSON.
    pub definition: String,
    /// SHA-256 of the definition.
    pub hash: String,
    pub mode: Mode,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// A tool in the last tool list of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpTool {
    pub id: McpToolId,
    pub server: McpServerId,
    /// The name by which agents call it: `<server>__<tool>`.
    pub name: String,
    /// The server's name for it.
    pub tool: String,
    /// Canonical JSON of the current definition; empty if it is too large.
    pub definition: String,
    /// SHA-256 of the current definition.
    pub hash: String,
    pub approval: Option<Approval>,
    /// Turned off by a person.
    pub is_off: bool,
    /// Slugs of the agents that have it; all agents of the server if empty.
    pub agents: Vec<String>,
    /// Whether the last tool list did not have it.
    pub is_missing: bool,
    /// Why it cannot be used; empty if it can.
    pub unusable: String,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

kernel::words! {
    /// Whether agents can call a tool.
    ToolState {
        Approved = "approved", "Approved";
        New = "new", "New";
        Changed = "changed", "Changed";
        Off = "off", "Off";
        Missing = "missing", "Missing";
        Unusable = "unusable", "Unusable";
        /// The configuration of its server is not approved.
        Quarantined = "quarantined", "Quarantined";
    }
}

impl McpTool {
    /// The approval, if it is for the current definition.
    #[must_use]
    pub fn approved(&self) -> Option<&Approval> {
        self.approval.as_ref().filter(|approval| approval.hash == self.hash)
    }

    #[must_use]
    pub fn state(&self, server: &McpServer) -> ToolState {
        match (&self.approval, self.approved()) {
            _ if !self.unusable.is_empty() => ToolState::Unusable,
            _ if self.is_missing => ToolState::Missing,
            (None, _) => ToolState::New,
            (Some(_), None) => ToolState::Changed,
            _ if self.is_off => ToolState::Off,
            _ if !server.is_approved() => ToolState::Quarantined,
            _ => ToolState::Approved,
        }
    }

    /// Whether it is on for an agent of the server.
    #[must_use]
    pub fn is_for(&self, agent: &str) -> bool {
        is_listed(&self.agents, agent)
    }
}

impl Record for McpTool {
    type Id = McpToolId;
    const TABLE: Table = TOOLS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[TOOL_BY_SERVER, TOOL_BY_NAME];
    fn id(&self) -> McpToolId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(TOOL_BY_SERVER).part(self.server).text(&self.tool);
        keys.entry(TOOL_BY_NAME).text(&self.name);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<McpServer>(1, Some(self.server), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: McpToolId::from_bytes([71; 16]),
            server: McpServerId::from_bytes([70; 16]),
            name: "files__read_file".into(),
            tool: "read_file".into(),
            definition: r#"{"inputSchema":{"type":"object"},"name":"read_file ü"}"#.into(),
            hash: "ef".into(),
            approval: Some(Approval {
                definition: r#"{"name":"read_file"}"#.into(),
                hash: "ee".into(),
                mode: Mode::Reads,
                by: Actor::System(Part::Setup),
                at,
            }),
            is_off: true,
            agents: vec!["ada".into()],
            is_missing: true,
            unusable: "Its schema can’t be used.".into(),
            created_at: at,
            updated_at: at,
        }
    }
}
