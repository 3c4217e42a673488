//! What the tests share; the benches use it, too.

#![allow(dead_code, reason = "the integration tests and the benches each use a part")]

pub mod browse;
pub mod hq;
pub mod model;
pub mod program;
pub mod source;
pub mod wire;
pub mod work;
