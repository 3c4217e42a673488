//! Models behind one trait. Our own words stand at the boundary (`model`); wire formats end here. A stream without
//! its final event is an error, never an answer.

pub mod model;
pub mod error;
pub mod catalog;
pub mod bound;
pub mod base;
