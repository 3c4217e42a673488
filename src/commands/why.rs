//! Why the effect of a line or command cannot be determined in advance.

use std::fmt;

/// Why no rule can be stored or applied for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no command, or one is missing next to an operator.
    Missing,
    /// More bytes than [`crate::MAX_LINE`], or more commands than [`crate::MAX_SEGMENTS`].
    Long,
    /// Nested shells beyond [`crate::MAX_DEPTH`].
    Deep,
    /// Control characters, unusual spaces, or characters that change the text direction.
    Hidden,
    /// `$` or a backtick: expansion or substitution.
    Substitution,
    /// `*`, `?` or `[`: pathname expansion.
    Glob,
    /// `{a,b}`: brace expansion in some shells.
    Braces,
    /// `~`: home folder expansion.
    Home,
    /// The shell itself reads or writes a file.
    Redirection,
    /// `&`: background execution.
    Background,
    /// Parentheses, a loop, a condition or a function.
    Compound,
    /// `NAME=value` before a command.
    Assignment,
    /// Unterminated quotes or escapes, or those that shells read differently.
    Quoting,
    /// A builtin that changes the meaning of later words, such as `eval` or `export`.
    State,
    /// A change of folder that cannot be followed.
    Folder,
    /// A wrapper such as `env` with unknown options.
    Wrapper,
    /// A program that runs code from its arguments or input.
    Inline,
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Missing => "a command is missing",
            Self::Long => "the line is too long to check",
            Self::Deep => "shells are nested too deep to check",
            Self::Hidden => "the line has an invisible character",
            Self::Substitution => "the shell would expand text ($ or `)",
            Self::Glob => "the shell would look for matching files (*, ? or [)",
            Self::Braces => "the shell might expand braces",
            Self::Home => "the shell would expand a home folder (~)",
            Self::Redirection => "the shell itself would read or write a file",
            Self::Background => "a part runs in the background (&)",
            Self::Compound => "the line has a group, a loop, a condition or a function",
            Self::Assignment => "a variable is set before a command",
            Self::Quoting => "quotes or escapes don’t resolve to plain words",
            Self::State => "a word changes what later words of the line mean",
            Self::Folder => "the folder changes unpredictably",
            Self::Wrapper => "a wrapper has unknown options",
            Self::Inline => "the program runs code from its arguments or input",
        })
    }
}
