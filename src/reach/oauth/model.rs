//! The sign-in to an MCP server. Tokens and keys are in the vault.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _, ids};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Root, Table};
use vault::model::{Secret, SecretId};

use crate::model::{McpServer, McpServerId};

ids! {
    /// An ended sign-in to an MCP server.
    McpRevocationId,
}

pub const GRANTS: Table = Table::new(464, "mcp_grants");
pub const REVOCATIONS: Table = Table::new(482, "mcp_revocations");

kernel::words! {
    /// Whether HQ is signed in to a server.
    SignInState {
        Out = "out", "Not signed in";
        /// The server has refused a request without a sign-in.
        Needed = "needed", "Sign in";
        In = "in", "Signed in";
        /// The sign-in has ended, or lacks rights.
        Again = "again", "Sign in again";
    }
}

/// The sign-in to a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpGrant {
    pub server: McpServerId,
    pub state: SignInState,
    /// Rises with each sign-in and refresh, to distinguish a refused token from a newer one.
    pub serial: u64,
    /// Calls of tools were refused without a sign-in. Some servers list their tools without one.
    pub is_for_calls: bool,
    /// The server's address for which the sign-in and the challenge are.
    pub url: String,
    /// Address of the metadata in the server's last challenge; empty for the usual place.
    pub metadata: String,
    /// Scopes that the last challenges named, separated by spaces.
    pub scopes: String,
    /// The client that people registered by hand; empty for none.
    pub client_id: String,
    /// The only issuer that knows this client; empty before its first use.
    pub client_issuer: String,
    pub client_secret: Option<SecretId>,
    /// The issuer of the tokens.
    pub issuer: String,
    /// Tokens and registered client.
    pub credentials: Option<SecretId>,
    /// Why a person has to sign in again, in a sentence.
    pub detail: String,
    #[serde(with = "millisecond::optional")]
    pub signed_in_at: Option<Timestamp>,
}

impl McpGrant {
    #[must_use]
    pub fn new(server: McpServerId) -> Self {
        Self {
            server,
            state: SignInState::Out,
            serial: 0,
            is_for_calls: false,
            url: String::new(),
            metadata: String::new(),
            scopes: String::new(),
            client_id: String::new(),
            client_issuer: String::new(),
            client_secret: None,
            issuer: String::new(),
            credentials: None,
            detail: String::new(),
            signed_in_at: None,
        }
    }

    /// The state for the server's present address.
    #[must_use]
    pub fn state_at(&self, url: &str) -> SignInState {
        if self.url == url { self.state } else { SignInState::Out }
    }

    /// Whether a person can sign in: the server has once asked for it at this address, and there are no tokens or they
    /// are not enough.
    #[must_use]
    pub fn may_sign_in(&self, url: &str) -> bool {
        let is_lacking = self.credentials.is_none() || self.state == SignInState::Again;
        !url.is_empty() && self.url == url && is_lacking
    }
}

impl Record for McpGrant {
    type Id = McpServerId;
    const TABLE: Table = GRANTS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> McpServerId {
        self.server
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<McpServer>(0, Some(self.server), OnDelete::Cascade);
        refs.to::<Secret>(1, self.client_secret, OnDelete::Clear);
        refs.to::<Secret>(2, self.credentials, OnDelete::Clear);
    }
    fn clear(&mut self, field: u8) {
        match field {
            1 => self.client_secret = None,
            _ => self.credentials = None,
        }
    }
    fn root(&self) -> Root {
        Root::of::<McpServer>(self.server)
    }
    fn sample() -> Self {
        Self {
            state: SignInState::Again,
            serial: 7,
            is_for_calls: true,
            url: "https://mcp.example/mcp".into(),
            metadata: "https://mcp.example/.well-known/oauth-protected-resource/mcp".into(),
            scopes: "files:read files:write".into(),
            client_id: "hq ü".into(),
            client_issuer: "https://auth.example".into(),
            client_secret: Some(SecretId::from_bytes([90; 16])),
            issuer: "https://auth.example".into(),
            credentials: Some(SecretId::from_bytes([90; 16])),
            detail: "The sign-in has ended.".into(),
            signed_in_at: Some(kernel::time::from_ms(1_700_000_000_000)),
            ..Self::new(McpServerId::from_bytes([70; 16]))
        }
    }
}

/// An ended sign-in whose tokens are still to be withdrawn at their authorization server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpRevocation {
    pub id: McpRevocationId,
    /// The credentials, deleted when the withdrawal begins.
    pub secret: SecretId,
    /// Private hosts of the server, of which the authorization server may be one.
    pub open_hosts: Vec<String>,
}

impl Record for McpRevocation {
    type Id = McpRevocationId;
    const TABLE: Table = REVOCATIONS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> McpRevocationId {
        self.id
    }
    fn sample() -> Self {
        Self {
            id: McpRevocationId::from_bytes([91; 16]),
            secret: SecretId::from_bytes([90; 16]),
            open_hosts: vec!["10.0.0.1:8080".into()],
        }
    }
}
