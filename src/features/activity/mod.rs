//! What happened: a view of the feed's heads for people, the same feed for programs, and the live
//! stream of pages. Writes nothing.

pub mod feed;
pub mod queries;
pub mod words;
