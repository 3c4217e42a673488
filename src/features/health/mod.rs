//! How HQ is: its parts, its durable consumers, its stores; and what an admin does about it.

pub mod queries;
pub mod rules;
