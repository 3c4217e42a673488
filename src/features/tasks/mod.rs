//! Tasks.
//!
//! A task has a number that is never reused (`MC-142`). Every status change is allowed. Assignment does not change the
//! status: the run that takes the task sets `in_progress`.

pub mod card;
pub mod model;
pub mod queries;
pub mod reactions;
pub mod rules;
