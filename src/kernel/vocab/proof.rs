//! Vocabulary of claims about finished work, and of the evidence for them.

words! {
    /// What a claim is about.
    ClaimKind {
        /// A file was written, changed or read.
        File = "file", "File";
        /// A program ran and succeeded.
        Command = "command", "Command";
        /// A message was accepted.
        Sent = "sent", "Message";
        /// A record of the workspace was written.
        Record = "record", "Record";
        /// A page was read.
        Source = "source", "Source";
    }
}

words! {
    /// Whether the calls of a run support a claim.
    ClaimState {
        /// A matching call ended well.
        Supported = "supported", "Supported";
        /// The matching call failed, or its file changed since.
        Contradicted = "contradicted", "Contradicted";
        /// No call shows it.
        Unsupported = "unsupported", "Unsupported";
    }
}

words! {
    /// Whether agents must give evidence with finished work.
    ProofMode {
        /// Evidence is checked and shown.
        Show = "show", "Show evidence";
        /// Work without it is returned once.
        Require = "require", "Require evidence";
    }
}
