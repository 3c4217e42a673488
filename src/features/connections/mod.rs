//! Provider connections: where models come from, with keys encrypted at rest.
//!
//! `practice` is built in and has no record: wherever a connection is optional, none means practice.

pub mod accounts;
pub mod away;
pub mod card;
pub mod checks;
pub mod jobs;
pub mod logins;
pub mod model;
pub mod presets;
pub mod probes;
pub mod provider;
pub mod queries;
pub mod cooldown;
pub mod rules;
pub mod vectors;

pub use provider::provider;
