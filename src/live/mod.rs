//! The lossy hub that tells open pages what changed.
