//! Credential proxy: a program holds a random placeholder token instead of a key. The proxy terminates the program's
//! TLS, replaces the placeholder with the key where the key is allowed, sends the request to the only host of the key,
//! and masks the key in responses.
//!
//! A value is sent only to a host with a validated certificate, named identically by tunnel, SNI and `Host`. Ambiguous
//! messages, and placeholders anywhere else, are refused and never forwarded. Bodies are streamed. The caller opens
//! connections, stores data and decides about access.

pub mod error;
pub mod report;
pub mod table;
pub mod authority;
pub mod trust;
pub mod serve;

mod token;
mod forms;
mod finder;
mod head;
mod wire;
mod body;
mod fields;
mod swap;
mod talk;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod swap_tests;
#[cfg(test)]
mod talk_tests;
#[cfg(test)]
mod tls_tests;
#[cfg(test)]
mod foreign_tests;
