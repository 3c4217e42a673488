//! Kinds of findings.

/// How much a finding matters by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Note,
    Caution,
    Danger,
}

kernel::words! {
    /// Kind of a finding. Records store its word.
    FindingKind {
        HiddenText = "hidden_text", "Hidden characters";
        OverridesRules = "overrides_rules", "Tells the agent to ignore its rules";
        Exfiltrates = "exfiltrates", "Sends data elsewhere";
        RemoteShell = "remote_shell", "Opens a shell to another machine";
        PipesToShell = "pipes_to_shell", "Runs a download in a shell";
        RunsDecoded = "runs_decoded", "Runs encoded code";
        ReadsCredentials = "reads_credentials", "Reads credentials";
        AsksForKey = "asks_for_key", "Asks for a key or password";
        ChangesSystem = "changes_system", "Changes the machine";
        Obfuscated = "obfuscated", "Code that is hard to read";
        Encoded = "encoded", "Encoded data";
        HiddenComment = "hidden_comment", "Instructions in a hidden comment";
        LookalikeName = "lookalike_name", "Letters that look like others";
        Program = "program", "Compiled program";
        NestedArchive = "nested_archive", "Archive within the package";
        Binary = "binary", "Binary file";
        Script = "script", "Script";
        Host = "host", "Network host";
        Specification = "specification", "Departs from the specification";
        Unexamined = "unexamined", "Too much text to examine";
    }
}

impl FindingKind {
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
