//! Saved views: a named look of a list, private or shared.
//!
//! A view stores URL parameters; the list's noun interprets them. A private view can be changed only by its owner, a
//! shared one by everybody with write permission.

pub mod card;
pub mod model;
pub mod queries;
pub mod rules;
