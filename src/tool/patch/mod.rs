//! Multi-file patches in one text, `*** Begin Patch … *** End Patch`.
//!
//! [`apply`] computes a patch against the current files, all or nothing. Nothing is guessed: one code fence or heredoc
//! around the patch is removed. Every other error is reported with its line.

mod apply;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub use apply::{Applied, Tree, apply};
pub use parse::parse;

/// Maximum patch size, in bytes.
pub const MAX_PATCH: usize = 2 * 1024 * 1024;

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ADD: &str = "*** Add File: ";
const DELETE: &str = "*** Delete File: ";
const UPDATE: &str = "*** Update File: ";
const MOVE: &str = "*** Move to: ";
const AT_END: &str = "*** End of File";

/// A parsed patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Operations, in order.
    pub ops: Vec<Op>,
}

/// A file operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Creates a file.
    Add {
        /// Path of the file.
        path: String,
        /// Content lines.
        lines: Vec<String>,
    },
    /// Deletes a file.
    Delete {
        /// Path of the file.
        path: String,
    },
    /// Changes a file.
    Update {
        /// Path of the file.
        path: String,
        /// New path, if the file is moved.
        to: Option<String>,
        /// Hunks, from top to bottom.
        hunks: Vec<Hunk>,
    },
}

/// A change within a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Context lines after which the hunk is located, each after the previous one.
    pub contexts: Vec<String>,
    /// Old and new lines.
    pub lines: Vec<HunkLine>,
    /// Whether the hunk is at the end of the file.
    pub at_end: bool,
    /// Line number of the hunk in the patch, from 1.
    pub at: usize,
}

/// A line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HunkLine {
    /// Unchanged line.
    Same(String),
    /// Removed line.
    Gone(String),
    /// Added line.
    New(String),
}

impl HunkLine {
    /// The text of an old line; `None` for an added line.
    #[must_use]
    pub fn before(&self) -> Option<&str> {
        match self {
            Self::Same(text) | Self::Gone(text) => Some(text),
            Self::New(_) => None,
        }
    }
}

impl fmt::Display for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{BEGIN}")?;
        for op in &self.ops {
            match op {
                Op::Add { path, lines } => {
                    writeln!(f, "{ADD}{path}")?;
                    lines.iter().try_for_each(|line| writeln!(f, "+{line}"))?;
                }
                Op::Delete { path } => writeln!(f, "{DELETE}{path}")?,
                Op::Update { path, to, hunks } => {
                    writeln!(f, "{UPDATE}{path}")?;
                    if let Some(to) = to {
                        writeln!(f, "{MOVE}{to}")?;
                    }
                    hunks.iter().try_for_each(|hunk| write!(f, "{hunk}"))?;
                }
            }
        }
        writeln!(f, "{END}")
    }
}

impl fmt::Display for Hunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.contexts.is_empty() {
            writeln!(f, "@@")?;
        }
        self.contexts.iter().try_for_each(|context| writeln!(f, "@@ {context}"))?;
        for line in &self.lines {
            match line {
                HunkLine::Same(text) => writeln!(f, " {text}")?,
                HunkLine::Gone(text) => writeln!(f, "-{text}")?,
                HunkLine::New(text) => writeln!(f, "+{text}")?,
            }
        }
        if self.at_end { writeln!(f, "{AT_END}") } else { Ok(()) }
    }
}
