//! What a command line will run, read without running it.
//!
//! [`reduce`] takes a line apart into programs with literal words, exactly as the shell would; whatever
//! the shell would work out first is opaque, with the reason. [`look`] takes away what only wraps a
//! program and asks the machine what its names mean, [`Seen::matches`] compares that with a [`Pattern`]
//! that a person has kept, [`scopes`] offers the patterns worth keeping, and [`risk`] tells what is at
//! stake. Reading fails closed: a character without a known meaning is a reason to ask. Nothing here does
//! I/O of its own, and all work is bounded by the length of the line.

mod inside;
mod lookup;
mod pattern;
mod programs;
mod reduce;
mod risk;
mod scan;
mod unwrap;
mod why;

pub use lookup::{Bound, Machine, Place, Seen, look, misses};
pub use pattern::{Key, Pattern, Scope, scopes};
pub use reduce::{Join, Reduced, Segment, reduce};
pub use risk::{Level, Risk, risk};
pub use unwrap::{Command, Unwrapped, unwrap};
pub use why::Why;

/// Whether a program runs what a file says, or code among its words: interpreters, builders, `xargs` and their like.
#[must_use]
pub fn runs_code(program: &str) -> bool {
    programs::is_interpreter(program) || programs::is_runner(program) || programs::builds(program)
}

/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 16 << 10;
/// The most commands in one line.
pub const MAX_SEGMENTS: usize = 64;
/// How deep shells may stand in shells.
pub const MAX_DEPTH: usize = 3;
/// In how many folders one command of a line may possibly run.
pub const MAX_FOLDERS: usize = 4;

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod dash_tests;
#[cfg(test)]
mod pattern_tests;
#[cfg(test)]
mod risk_tests;
