//! Servers that answer like messengers, for tests.

pub mod telegram;
