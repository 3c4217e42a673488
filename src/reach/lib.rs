//! What agents reach beyond HQ: MCP servers, skills and search engines.
//!
//! An MCP server is a company of tools. Nothing of it can be called before a person has approved its configuration and
//! each of its tools. What was approved is pinned by hash: a tool that changes is off until its new definition is
//! approved.

mod asking;
pub mod config;
pub mod engines;
mod flags;
mod layer;
pub mod model;
mod names;
mod newest;
pub mod nouns;
pub mod oauth;
mod ops;
mod pins;
pub mod pool;
pub mod queries;
mod result;
pub mod rules;
pub mod search;
mod secrets;
pub mod skills;

pub use layer::McpTools;
