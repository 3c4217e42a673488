//! Servers that answer like messengers, for tests.

pub mod discord;
pub mod gate;
pub mod slack;
pub mod telegram;
