//! Costs: one row per model call, monthly totals, and reservations for running calls.
//!
//! Before a call, its maximum cost is reserved in the transaction that records its start. The actual cost is booked
//! in the transaction that stores its response. A call never starts while booked + reserved + bound > limit for any
//! applicable budget: the agent's month, the workspace's month, the run.

pub mod chart;
pub mod model;
pub mod period;
pub mod queries;
pub mod reactions;
pub mod rules;
pub mod span;
