//! Sources of knowledge: folders and sites whose pages are kept up to date as knowledge items. `connect` implements the
//! reading; this package decides what is read and when, and stores the results.

// Templates use full paths that start with the crate name.
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
