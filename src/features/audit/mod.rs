//! The audit: who did what, when and through what, from the heads of the feed; whether they are what
//! was written; and how long former versions are kept. Sign-ins, tokens and accounts of the members
//! come from the system store, which has a feed of its own.

pub mod model;
pub mod queries;
pub mod rules;
