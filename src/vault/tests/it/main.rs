//! Secrets as people, programs and agents use them, what an agent has, and where no value may be.

mod canary;
mod common;
mod doors;
mod gateways;
mod precedence;
mod rotation;
mod rules;
