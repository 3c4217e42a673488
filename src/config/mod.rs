//! Bootstrap settings only: flags, environment and `hq.toml`; everything else is a setting in the store.
