//! Search over everything that has text, the search page and the command palette.
//!
//! [`follow`] keeps the index of a workspace in step with its feed; [`queries`] ask it, add what it does
//! not hold yet, and look at the records themselves before anybody sees a hit.

pub mod follow;
pub mod model;
pub mod queries;
