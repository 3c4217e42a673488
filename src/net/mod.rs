//! The outside world over HTTP: one client, the SSRF guard, event streams, retries.
//!
//! No type of the HTTP library leaves this module.

pub mod address;
pub mod guard;
pub mod sse;
pub mod retry;
