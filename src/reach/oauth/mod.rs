//! Sign-in to MCP servers: OAuth 2.1 as in the authorization chapter of MCP 2026-07-28. A refusal of the server leads to
//! the metadata of the server and of its authorization server, and a person signs in there with their browser.
//!
//! Tokens are sealed in the vault and used only for the address and with the issuer for which they were obtained. They
//! are refreshed once at a time, and in a task of their own, because a refresh token may be valid for one use only.
//! Nobody but this module opens them.

mod challenge;
mod client;
mod discovery;
mod flow;
mod keep;
mod model;
pub mod ops;
mod pending;
pub(crate) mod queries;
mod refresh;
mod revocation;
pub(crate) mod rules;
mod tokens;
pub(crate) mod waits;
mod wire;

pub use client::{CALLBACK, DOCUMENT, document};
pub use flow::{Answer, finish};
pub use model::{GRANTS, McpGrant, McpRevocation, SignInState};
pub use pending::{Open, open};

pub(crate) use flow::{Attempt, Bearer, Refusal, bearer, needed, refused, watch_all, welcomed};
pub(crate) use refresh::NoToken;
pub(crate) use revocation::revoke_ended;
