//! Sources of knowledge: folders and sites whose pages are kept up to date here as items of knowledge. Who reads where
//! stands in `connect`; here stands what is read, when, and what becomes of it.

// Templates name what stands here by its full path.
extern crate self as sources;

pub mod api;
pub mod cards;
pub mod error;
pub mod model;
pub mod pages;
pub mod queries;
pub mod reach;
pub mod rules;
pub mod sync;
pub mod tools;

pub use cards::NOUNS;
