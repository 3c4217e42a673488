//! Master key rotation: its record in the system store, and what still needs a retired key. The resealing is in
//! `vault`, which knows all rows with secrets.

pub mod model;
pub mod resealer;
pub mod queries;
pub mod rules;
