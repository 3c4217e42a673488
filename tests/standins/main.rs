//! Runs a stand-in for clients of other languages.

fn main() {}
