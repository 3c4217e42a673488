//! Gateways: the machines that agents work on. "This machine" always exists; others join with a command that is shown
//! once. This package holds their records, health and admission rules. `link` implements the connection between primary
//! and host and calls [`rules::judge_join`] and [`rules::judge_known`] for admission.

// Templates use full paths that start with the crate name.
extern crate self as gateways;

pub mod api;
pub mod cards;
pub mod error;
pub mod health;
pub mod hosts;
pub mod identity;
pub mod lately;
mod linked;
pub mod machine;
pub mod model;
pub mod pages;
pub mod place;
pub mod queries;
pub mod rules;
pub mod watch;

pub use cards::NOUNS;
