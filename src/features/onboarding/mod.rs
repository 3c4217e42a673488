//! Set-up in steps: what a new workspace is for, what is prepared for it, and how far its owner has come.

pub mod local;
pub mod model;
pub mod presets;
pub mod queries;
pub mod rules;
