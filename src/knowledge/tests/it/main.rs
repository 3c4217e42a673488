//! The package with a whole HQ around it: one program, since each is linked with everything.

mod meaning;
mod quality;
mod vectors;
mod whole;

const HERE: &str = "/w/marlow-cargo";
