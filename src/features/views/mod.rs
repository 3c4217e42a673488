//! Saved views: what a list of some noun shows, under a name, for one person or for all.
//!
//! A view keeps words as they stand in an address; what they mean is the noun's. A person's own view is
//! changed by that person alone, a shared one by whoever may write.

pub mod card;
pub mod model;
pub mod queries;
pub mod rules;
