//! Integration tests of sources: pages, API, tools, and the life cycle of syncs.

mod common;
mod folders;
mod rules;
