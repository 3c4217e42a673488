//! `App`, what the process has once, and `Ws`, one open workspace.
