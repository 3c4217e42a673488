//! Integration tests of secrets: pages, API, tools, precedence, and where values must not appear.

mod canary;
mod common;
mod doors;
mod gateways;
mod precedence;
mod rotation;
mod rules;
