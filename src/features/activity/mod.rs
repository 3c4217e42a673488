//! Activity: the feed as sentences for people, the feed API, and visits. Writes only visits.

pub mod feed;
pub mod model;
pub mod queries;
pub mod rules;
pub mod words;
