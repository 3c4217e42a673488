//! Inbox items: reasons for an agent to act, each served by one run.
//!
//! Work (assignment, mention, comment, review result) becomes an item in the transaction that caused it. A key is used
//! once and for all. While an item is pending, a new reason for the same agent, kind and task joins it. The end of a
//! run closes its item in the same transaction.

pub mod model;
pub mod queries;
pub mod reactions;
pub mod rules;
