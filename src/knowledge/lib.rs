//! Knowledge: pages and skills that people and agents write, files with the words that are read in them. Each item says
//! who has it in front of them at the start of work; all of it is found by words.

// Templates name what stands here by its full path.
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
pub mod suggested;
pub mod tools;
pub mod words;

pub use cards::NOUNS;
