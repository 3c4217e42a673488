//! Onboarding: purpose of a new workspace, what is prepared for it, and the owner's progress.

pub mod local;
pub mod model;
pub mod presets;
pub mod queries;
pub mod rules;
