//! What happened: a view of the feed's heads for people, the same feed for programs, and the live
//! stream of pages. Writes nothing but when people were here.

pub mod feed;
pub mod model;
pub mod queries;
pub mod rules;
pub mod words;
