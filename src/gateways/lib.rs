//! Gateways: the machines that agents work on. "This machine" is the first of them and always there; others join by a
//! command that a person is shown once. Here stands what is known of each, how it stands with it, and who may join;
//! how home and a host talk stands in `link`, which asks [`rules::judge_join`] and [`rules::judge_known`] whom it lets
//! in.

// Templates name what stands here by its full path.
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
