//! Money: one row for each model call, sums by month, reservations for calls that run.

pub mod model;
