//! Health and doctor.

pub mod blobs;
pub mod connections;
pub mod keys;
