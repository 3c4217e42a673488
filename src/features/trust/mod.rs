//! What agents may do without asking: the mode of each, permissions that people keep, and approvals, which are calls
//! that wait for a person's yes. `weigh` says what becomes of a call; the runtime alone makes calls, and asks here first.

pub mod card;
mod compiled;
pub mod jail;
pub mod line;
pub mod loads;
pub mod model;
pub mod queries;
pub mod recent;
pub mod rules;
pub mod sites;
pub mod tools;
pub mod authorize;
