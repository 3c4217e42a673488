//! Files on tasks and records: upload, display, range requests, removal.
//!
//! The content is in a blob, the record holds the metadata. A file is never served as a page of HQ.

pub mod model;
pub mod queries;
pub mod rules;
