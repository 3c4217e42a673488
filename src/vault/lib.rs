//! Secrets: values that go in and never come out. Here stands what they are called, who may use them and in which way,
//! and who used what. How a value reaches a program or a request stands in `runtime`, which asks [`given`] for what an
//! agent has and says with [`rules::used`] what it used.
//!
//! A value is sealed in a table of its own, which neither history nor export reads; nothing but [`given`], [`watch`] and
//! [`away`], for hosts whose agents have it, opens one. [`rotation`] puts another master key in the place of the one that seals them.

// Templates name what stands here by its full path.
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
