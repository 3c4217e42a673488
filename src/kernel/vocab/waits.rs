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
