//! Checks of `hq doctor`.

pub mod blobs;
pub mod connections;
pub mod files;
pub mod keys;
