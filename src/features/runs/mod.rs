//! Conversations and activations of agents: sessions, their events, runs, queued inputs.
//!
//! Session events are `Log` records, appended before the run goes on; after a crash the run is
//! rebuilt from them. Every append passes the fence: a writer with an old epoch stops.

pub mod model;
