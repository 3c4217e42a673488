//! Why a line or a command cannot be told in advance.

use std::fmt;

/// Why nothing can be kept or let through for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no command, or one is missing beside an operator.
    Missing,
    /// More bytes than [`crate::MAX_LINE`], or more commands than [`crate::MAX_SEGMENTS`].
    Long,
    /// Shells in shells beyond [`crate::MAX_DEPTH`].
    Deep,
    /// A control character, a space that is none, or a sign that turns text around.
    Hidden,
    /// `$`, a backtick: the shell would fill something in.
    Substitution,
    /// `*`, `?` or `[`: the shell would look for files.
    Glob,
    /// `{a,b}`, which some shells multiply.
    Braces,
    /// `~`: the shell would fill in a home folder.
    Home,
    /// A file is read or written by the shell itself.
    Redirection,
    /// `&`: something goes on in the background.
    Background,
    /// Parentheses, a loop, a condition or a function.
    Compound,
    /// `NAME=value` before a command.
    Assignment,
    /// Quotes or escapes that do not end, or that shells read differently.
    Quoting,
    /// A word of the shell that changes what later words mean, such as `eval` or `export`.
    State,
    /// The folder changes in a way that cannot be followed.
    Folder,
    /// A wrapper such as `env` with options that are not known.
    Wrapper,
    /// A program that runs what its words or its input say.
    Inline,
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Missing => "a command is missing",
            Self::Long => "the line is too long to be checked",
            Self::Deep => "shells stand in shells too deep to be checked",
            Self::Hidden => "the line has a character that cannot be seen",
            Self::Substitution => "the shell would fill in text ($ or `)",
            Self::Glob => "the shell would look for matching files (*, ? or [)",
            Self::Braces => "the shell may expand braces",
            Self::Home => "the shell would fill in a home folder (~)",
            Self::Redirection => "the shell itself would read or write a file",
            Self::Background => "a part goes on in the background (&)",
            Self::Compound => "the line has a group, a loop, a condition or a function",
            Self::Assignment => "a variable is set before a command",
            Self::Quoting => "quotes or escapes do not reduce to plain words",
            Self::State => "a word changes what later words of the line mean",
            Self::Folder => "the folder changes in a way that cannot be followed",
            Self::Wrapper => "a wrapper has options that are not known",
            Self::Inline => "the program runs what its words or its input say",
        })
    }
}
