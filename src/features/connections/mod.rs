//! Provider connections: access to models, with keys encrypted at rest.
//!
//! `practice` is built in and has no record: an optional connection of `None` means practice.

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
