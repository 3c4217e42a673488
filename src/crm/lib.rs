//! Contacts, organizations and collections. A record is a set of cells; each cell says who put its value there, when,
//! through what and on which grounds. What differs between the three is a table, a card and the fields that HQ brings.

// Templates name what stands here by its full path.
extern crate self as crm;

pub mod api;
pub mod cards;
pub mod columns;
pub mod error;
pub mod filters;
pub mod import;
pub mod list;
pub mod model;
pub mod names;
pub mod pages;
pub mod queries;
pub mod rules;
pub mod tools;
mod touches;
mod typed;
mod uses;
pub mod views;

pub use cards::NOUNS;
