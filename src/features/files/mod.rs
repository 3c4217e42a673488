//! Files on tasks: sent by people and programs, shown, fetched in parts, removed.
//!
//! The content lies in a blob; the record holds its name. A file is never a page of ours.

pub mod model;
pub mod queries;
pub mod rules;
