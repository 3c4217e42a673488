//! Tasks: work on the board.
//!
//! A task has a number that is never used again (`MC-142`). Any status may follow any other.
//! Assignment leaves the status alone: the run that takes the work sets `in_progress`.

pub mod card;
pub mod model;
pub mod queries;
pub mod reactions;
pub mod rules;
