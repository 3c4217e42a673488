//! Routines: work that starts on a schedule or after an event.
//!
//! A firing is identified by routine and slot, which is used once and for all. Its row, the next instant and the
//! started work are one transaction. A server task reads schedules and a durable feed consumer reads events, so a
//! routine never fails or delays a person's write. The started items and tasks are ordinary ones, created by the rules
//! of their nouns.

pub mod conditions;
pub mod delivery;
pub mod follow;
pub mod model;
pub mod queries;
pub mod reactions;
pub mod registry;
pub mod render;
pub mod rules;
pub mod event_context;
pub mod wish;
