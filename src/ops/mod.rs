//! Health and doctor.

pub mod blobs;
