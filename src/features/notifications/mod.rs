//! Who follows what, what people are told of, and how it reaches them.
//!
//! One function tells people something: `rules::notify`. This feature's reactions call it for what the
//! events of others say; another feature emits a `kernel::Notice`. What somebody is told stands in the
//! transaction that caused it, as one row for each person; sending it out is a consumer's.

pub mod model;
pub mod outbound;
pub mod queries;
pub mod reactions;
pub mod rules;
pub mod sending;
