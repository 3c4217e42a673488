//! Sources as people, programs and agents use them, and the life of their syncs.

mod common;
mod folders;
mod rules;
