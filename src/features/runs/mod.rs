//! Conversations and activations of agents: sessions, their events, runs, queued inputs.
//!
//! Session events are `Log` records, appended before the run goes on; after a crash the run is
//! rebuilt from them. Every append passes the fence: a writer with an old epoch stops. Talk is a
//! queued input; it is never lost around the end of a run, because the end hands what is left to
//! the next run in its own transaction.

pub mod model;
pub mod queries;
pub mod reactions;
pub mod rules;
