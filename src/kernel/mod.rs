//! The words shared by every layer: ids, time, actors, events, vocabularies, problems. No I/O, no async.
