//! Claims of agents about finished work, checked against the calls of their runs. No model takes part.
//!
//! A submission is checked once, when it is made. The verdicts are stored and never change: they say what the journal
//! showed at that time.

pub mod model;
pub mod queries;
pub mod rules;
