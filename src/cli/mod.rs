//! Commands of the one binary.
