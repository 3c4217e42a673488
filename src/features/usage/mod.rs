//! Money: one row for each model call, sums by month, reservations for calls that run.
//!
//! Before a call starts, the most that it can cost is reserved in the transaction that notes its
//! start; when its answer is stored, what it really cost is booked in that transaction. A call
//! never starts while booked + reserved + bound > limit, for each budget that applies: the agent's
//! month, the workspace's month, the run.

pub mod chart;
pub mod model;
pub mod period;
pub mod queries;
pub mod reactions;
pub mod rules;
pub mod span;
