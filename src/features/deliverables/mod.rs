//! Delivered work: deliverables, their versions and reviews. Nothing is overwritten.

pub mod model;
