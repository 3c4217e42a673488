//! Analysis of command lines without running them.
//!
//! [`reduce`] splits a line into commands of literal words, exactly as the shell would; anything that the shell would
//! expand makes the line opaque. [`resolve`] removes wrappers and resolves names on the machine. [`Seen::matches`]
//! compares a command with the [`Pattern`] of a rule, [`scopes`] offers patterns for rules, and [`risk`] assesses the
//! risk. The analysis fails closed: unknown characters lead to a question. No I/O; work is bounded by the length of the
//! line.

mod inside;
mod lookup;
mod pattern;
mod programs;
mod reduce;
mod risk;
mod scan;
mod unwrap;
mod why;

pub use lookup::{Bound, Machine, Place, Seen, misses, resolve};
pub use pattern::{Key, Pattern, Scope, scopes};
pub use reduce::{Join, Reduced, Segment, reduce};
pub use risk::{Level, Risk, risk};
pub use unwrap::{Command, Unwrapped, unwrap};
pub use why::Why;

/// Whether a program runs code from files or arguments: interpreters, build tools, `xargs` and similar programs.
#[must_use]
pub fn runs_code(program: &str) -> bool {
    programs::is_interpreter(program) || programs::is_runner(program) || programs::builds(program)
}

/// In bytes.
pub const MAX_LINE: usize = 16 << 10;
/// Limit of commands per line.
pub const MAX_SEGMENTS: usize = 64;
/// Limit of nested shells.
pub const MAX_DEPTH: usize = 3;
/// Limit of possible folders per command.
pub const MAX_FOLDERS: usize = 4;

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod dash_tests;
#[cfg(test)]
mod pattern_tests;
#[cfg(test)]
mod risk_tests;
