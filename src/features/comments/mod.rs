//! Comments on tasks and records, and the mentions in them.

pub mod mentions;
pub mod model;
pub mod queries;
pub mod rules;
