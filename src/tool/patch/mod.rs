//! Patches of several files in one text, `*** Begin Patch … *** End Patch`.
//!
//! ```text
//! patch  := "*** Begin Patch" NL op+ "*** End Patch"
//! op     := add | delete | update
//! add    := "*** Add File: " path NL ("+" text NL)+
//! delete := "*** Delete File: " path NL
//! update := "*** Update File: " path NL ["*** Move to: " path NL] hunk*
//! hunk   := ("@@" [" " context] NL)+ line+ ["*** End of File" NL]
//! line   := (" " | "-" | "+") text NL        an empty line is an empty context line
//! ```
//!
//! A patch is worked out against the files as they are ([`apply`]) and makes all of its changes or none.
//! Nothing is guessed: one fence or heredoc around it is taken off, every other fault is told with its line.

mod apply;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub use apply::{Applied, Tree, apply};
pub use parse::parse;

/// The longest patch, in bytes.
pub const MAX_PATCH: usize = 2 * 1024 * 1024;

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ADD: &str = "*** Add File: ";
const DELETE: &str = "*** Delete File: ";
const UPDATE: &str = "*** Update File: ";
const MOVE: &str = "*** Move to: ";
const AT_END: &str = "*** End of File";

/// A patch as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// What it does, in order.
    pub ops: Vec<Op>,
}

/// What a patch does with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Makes it.
    Add {
        /// The path.
        path: String,
        /// Its lines.
        lines: Vec<String>,
    },
    /// Removes it.
    Delete {
        /// The path.
        path: String,
    },
    /// Changes it.
    Update {
        /// The path.
        path: String,
        /// Its new path.
        to: Option<String>,
        /// The changes, from top to bottom.
        hunks: Vec<Hunk>,
    },
}

/// One change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Lines of the file behind which the change is looked for, each behind the one before.
    pub contexts: Vec<String>,
    /// What is there and what will be.
    pub lines: Vec<HunkLine>,
    /// Whether it stands at the end of the file.
    pub at_end: bool,
    /// The line of the patch where it begins, from 1.
    pub at: usize,
}

/// A line of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HunkLine {
    /// It is there and stays.
    Same(String),
    /// It is there and goes.
    Gone(String),
    /// It comes.
    New(String),
}

impl HunkLine {
    /// The text when it is there before.
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
