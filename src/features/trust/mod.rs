//! Permissions of agents: modes, saved permissions, and approvals for calls that wait for a person. The `authorize`
//! module decides each call. Only the runtime makes calls, and it asks here first.

pub mod card;
mod compiled;
pub mod jail;
pub mod line;
pub mod loads;
pub mod model;
pub mod queries;
pub mod recent;
pub mod rules;
pub mod senders;
pub mod sites;
pub mod tools;
pub mod authorize;
