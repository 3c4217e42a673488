//! Model Context Protocol (<https://modelcontextprotocol.io>): wire format, a client over stdio and HTTP, and a stateless
//! server. Both eras are spoken: 2026-07-28 without sessions, and 2025-11-25 back to 2024-11-05 with `initialize`.
//!
//! This package knows neither the store nor any noun. Callers start programs and decide who may call what.

pub mod client;
pub mod headers;
pub mod schema;
pub mod server;
pub mod wire;

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod wire_tests;
