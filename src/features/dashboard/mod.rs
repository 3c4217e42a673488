//! The dashboard: items that need the person, current agent activity, and recent events. Everything is read from other
//! nouns; only hidden items are stored.

pub mod model;
pub mod queries;
pub mod rules;
