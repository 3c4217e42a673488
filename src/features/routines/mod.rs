//! Routines: what begins by itself, at a time or when something happens.
//!
//! A firing has an identity (routine and instant, or routine and event) that is used once, for ever; its
//! row, the next instant and what it begins are one transaction. Schedules are read by a task of the
//! server, events by a durable consumer of the feed: a routine never fails and never slows the write of
//! a person. What it begins are items and tasks like any others, made by the features that own them.

pub mod conditions;
pub mod follow;
pub mod model;
pub mod queries;
pub mod reactions;
pub mod registry;
pub mod render;
pub mod rules;
pub mod event_context;
pub mod wish;
