//! The first page: what needs the person, what the fleet does now, what happened. All of it is read from other
//! nouns; its own is only what somebody has put away of what needs them.

pub mod model;
pub mod queries;
pub mod rules;
