//! Outbound network access: HTTP client, SSRF guard, event streams, retries, readable pages, mail.
//!
//! No type of the HTTP library leaves this package.

pub mod error;
pub mod mail;
pub mod message;
pub mod address;
pub mod guard;
pub mod client;
pub mod callback;
pub mod sse;
pub mod lines;
pub mod retry;
pub mod html;
pub mod readable;
pub mod fetch;
pub mod pages;
pub mod egress;
pub mod ws;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod ws_tests;
