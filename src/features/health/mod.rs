//! Health of HQ: parts, durable consumers and stores, and manual operations on them.

pub mod queries;
pub mod rules;
