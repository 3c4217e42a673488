//! Kinds of findings.

/// How much a finding matters by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Note,
    Caution,
    Danger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    HiddenText,
    OverridesRules,
    Exfiltrates,
    RemoteShell,
    PipesToShell,
    RunsDecoded,
    ReadsCredentials,
    AsksForKey,
    ChangesSystem,
    Obfuscated,
    Encoded,
    HiddenComment,
    LookalikeName,
    Program,
    NestedArchive,
    Binary,
    Script,
    Host,
    Specification,
    Unexamined,
}

impl FindingKind {
    pub const ALL: &[Self] = &[
        Self::HiddenText,
        Self::OverridesRules,
        Self::Exfiltrates,
        Self::RemoteShell,
        Self::PipesToShell,
        Self::RunsDecoded,
        Self::ReadsCredentials,
        Self::AsksForKey,
        Self::ChangesSystem,
        Self::Obfuscated,
        Self::Encoded,
        Self::HiddenComment,
        Self::LookalikeName,
        Self::Program,
        Self::NestedArchive,
        Self::Binary,
        Self::Script,
        Self::Host,
        Self::Specification,
        Self::Unexamined,
    ];

    /// Stable word for stores and APIs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::HiddenText => "hidden_text",
            Self::OverridesRules => "overrides_rules",
            Self::Exfiltrates => "exfiltrates",
            Self::RemoteShell => "remote_shell",
            Self::PipesToShell => "pipes_to_shell",
            Self::RunsDecoded => "runs_decoded",
            Self::ReadsCredentials => "reads_credentials",
            Self::AsksForKey => "asks_for_key",
            Self::ChangesSystem => "changes_system",
            Self::Obfuscated => "obfuscated",
            Self::Encoded => "encoded",
            Self::HiddenComment => "hidden_comment",
            Self::LookalikeName => "lookalike_name",
            Self::Program => "program",
            Self::NestedArchive => "nested_archive",
            Self::Binary => "binary",
            Self::Script => "script",
            Self::Host => "host",
            Self::Specification => "specification",
            Self::Unexamined => "unexamined",
        }
    }

    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::HiddenText => "Hidden characters",
            Self::OverridesRules => "Tells the agent to ignore its rules",
            Self::Exfiltrates => "Sends data elsewhere",
            Self::RemoteShell => "Opens a shell to another machine",
            Self::PipesToShell => "Runs a download in a shell",
            Self::RunsDecoded => "Runs encoded code",
            Self::ReadsCredentials => "Reads credentials",
            Self::AsksForKey => "Asks for a key or password",
            Self::ChangesSystem => "Changes the machine",
            Self::Obfuscated => "Code that is hard to read",
            Self::Encoded => "Encoded data",
            Self::HiddenComment => "Instructions in a hidden comment",
            Self::LookalikeName => "Letters that look like others",
            Self::Program => "Compiled program",
            Self::NestedArchive => "Archive within the package",
            Self::Binary => "Binary file",
            Self::Script => "Script",
            Self::Host => "Network host",
            Self::Specification => "Departs from the specification",
            Self::Unexamined => "Too much text to examine",
        }
    }

    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::HiddenText
            | Self::OverridesRules
            | Self::Exfiltrates
            | Self::RemoteShell
            | Self::PipesToShell
            | Self::RunsDecoded
            | Self::ReadsCredentials
            | Self::Program => Level::Danger,
            Self::AsksForKey
            | Self::ChangesSystem
            | Self::Obfuscated
            | Self::Encoded
            | Self::HiddenComment
            | Self::LookalikeName
            | Self::NestedArchive
            | Self::Unexamined => Level::Caution,
            Self::Binary | Self::Script | Self::Host | Self::Specification => Level::Note,
        }
    }
}
