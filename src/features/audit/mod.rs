//! The audit: who did what, when and how, from the heads of the feed; verification of the feed; retention of
//! former versions. Sign-ins, tokens and accounts of members come from the system store, which has its own feed.

pub mod model;
pub mod queries;
pub mod rules;
