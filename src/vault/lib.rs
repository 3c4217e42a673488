//! Secrets: names, scopes, ways of use, and records of uses. Values go in and never come out on pages or in the API.
//! `runtime` passes values to programs and requests: it gets an agent's secrets from [`given`] and records uses with
//! [`rules::used`].
//!
//! Values are sealed in a table of their own, which history and export do not read. Only [`given`], [`watch`] and
//! [`away`] (for hosts whose agents have the secret) open them. [`rotation`] changes the master key that seals them.

// Templates use full paths that start with the crate name.
extern crate self as vault;

pub mod api;
pub mod away;
pub mod cards;
pub mod dotenv;
pub mod error;
mod given;
pub mod model;
pub mod names;
pub mod ordinary;
pub mod pages;
pub mod queries;
pub mod rotation;
pub mod rules;
pub mod sync;
pub mod tools;
pub mod values;

pub use cards::NOUNS;
pub use given::{Given, given, sweep, watch};
