//! Provider connections: where models come from, with keys encrypted at rest.
//!
//! `practice` is built in and has no record.

pub mod model;
