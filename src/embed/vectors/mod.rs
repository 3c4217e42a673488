//! Vectors.
/// A.
pub struct Arena;
