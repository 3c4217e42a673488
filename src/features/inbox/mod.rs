//! Inbox items: one reason for an agent to act, served by one run.
//!
//! Work (assignment, mention, comment, review result) becomes an item in the transaction that
//! caused it. A key is used once, for ever; a new cause for the same agent, kind and task while an
//! item is pending is merged into it. What ends a run closes its item, in the same transaction.

pub mod model;
pub mod queries;
pub mod reactions;
pub mod rules;
