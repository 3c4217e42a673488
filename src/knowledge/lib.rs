//! Knowledge: pages and skills that people and agents write, and files with their extracted text. Each item states
//! which agents have it in their context at the start. All items are searchable.

// Templates use absolute paths into this crate.
extern crate self as knowledge;

pub mod api;
mod blend;
pub mod cards;
pub mod cited;
pub mod context;
pub mod cursor;
pub mod cut;
pub mod error;
pub mod find;
mod found;
mod lines;
pub mod linked;
pub mod links;
pub mod meaning;
pub mod model;
pub mod origin;
pub mod pages;
pub mod passages;
pub mod queries;
pub mod readers;
pub mod reading;
mod recent;
pub mod rules;
pub mod skills;
pub mod suggested;
pub mod tools;
pub mod words;

pub use cards::NOUNS;
