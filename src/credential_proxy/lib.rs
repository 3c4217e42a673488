//! Stand-ins: a program holds a random word in place of a key. The way out ends its TLS, swaps the word for the key in
//! the places where the key is allowed, sends the request to the one host that the key is for, and swaps back what
//! answers echo.
//!
//! A value leaves only towards a host whose certificate was checked, named by the tunnel, by SNI and by `Host` alike.
//! What cannot be read in exactly one way, and a stand-in anywhere else, is refused and never passed on. Bodies are
//! streamed. Nothing here opens a connection, knows a store or decides who may go where: the caller does.

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
