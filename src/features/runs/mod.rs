//! Conversations and runs of agents: sessions, session events, runs and queued inputs.
//!
//! Session events are `Log` records, appended before the run continues; after a crash the run is rebuilt from them.
//! Every append checks the session's epoch, so a writer with an old epoch stops. Messages are queued inputs. They are
//! never lost at the end of a run, because the end assigns the remaining ones to the next run in the same
//! transaction.

pub mod model;
pub mod queries;
pub mod reactions;
pub mod rules;
