//! What the tests share; the benches use it, too.

#![allow(
    dead_code,
    unused_imports,
    reason = "the integration tests and the benches each use a part"
)]

pub mod browse;
pub mod hq;
pub mod invite;
pub mod maker;
pub mod model;
pub mod office;
pub mod program;
pub mod source;
pub mod wire;
pub mod work;

/// Held by tests that fork without end until they are caught: one at a time. (For `cargo test`, where all tests share
/// a process; with nextest its configuration sees to it.)
pub static BOMB: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
