//! Vocabulary of waits.

words! {
    /// What a waiting run waits for.
    WaitFor {
        /// A decision on a risky call.
        Approval = "approval", "approval";
        /// An answer.
        Question = "question", "an answer";
        /// A sub-agent.
        Child = "child", "a sub-agent";
        /// A moment.
        Timer = "timer", "a set time";
        /// A provider that is down or full.
        Provider = "provider", "the provider";
        /// A client tool.
        External = "external", "a program";
        /// Money.
        Budget = "budget", "budget";
        /// The link to its host.
        Link = "link", "its machine";
        /// A person, who acts in its browser.
        Browser = "browser", "a person";
        /// A sign-in to an MCP server.
        SignIn = "sign_in", "sign-in";
    }
}

impl WaitFor {
    /// Whether a person has to answer, in text or in the agent's browser.
    #[must_use]
    pub fn is_question(self) -> bool {
        matches!(self, Self::Question | Self::Browser)
    }

    /// Whether a person has to decide, answer or sign in.
    #[must_use]
    pub fn needs_person(self) -> bool {
        self.is_question() || matches!(self, Self::Approval | Self::SignIn)
    }
}
