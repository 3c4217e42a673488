//! Comments on tasks and records, with mentions and reactions.

pub mod mentions;
pub mod model;
pub mod queries;
pub mod rules;
