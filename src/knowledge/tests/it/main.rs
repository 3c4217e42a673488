//! Integration tests of knowledge against a complete HQ. One test program, because each links the whole workspace.

mod meaning;
mod quality;
mod vectors;
mod whole;

const HERE: &str = "/w/marlow-cargo";
