//! The change of the master key: what is kept of it in the system store, and what still needs a former key. The sealing
//! itself stands in `vault`, which knows all sealed rows.

pub mod model;
pub mod pen;
pub mod queries;
pub mod rules;
