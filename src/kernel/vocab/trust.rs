//! Vocabulary of agent permissions and approvals.

words! {
    /// How much an agent may do without asking.
    TrustMode {
        /// It looks and changes nothing.
        Locked = "locked", "Locked";
        /// It asks before it does what cannot be taken back.
        Ask = "ask", "Ask";
        /// It does all that its switches allow.
        Full = "full", "Full";
        /// It asks as `Ask` does, and a model that the workspace has chosen may say yes.
        Auto = "auto", "Auto";
    }
}

words! {
    /// What becomes of a call before it is made.
    AccessDecision {
        /// It is made.
        Allow = "allow", "Allow";
        /// A person is asked.
        Ask = "ask", "Ask";
        /// It is refused.
        Deny = "deny", "Deny";
    }
}

words! {
    /// How much harm a call may do.
    Risk {
        /// It looks.
        Low = "low", "Low risk";
        /// It changes something.
        Medium = "medium", "Medium risk";
        /// It may destroy something, or cannot be told from one that does.
        High = "high", "High risk";
    }
}

words! {
    /// What became of the wheel of a browser.
    WheelAct {
        /// A person took it from the agent.
        Taken = "taken", "Taken";
        /// A person took it from another one.
        TakenOver = "taken_over", "Taken over";
        /// A person gave it back.
        HandedBack = "handed_back", "Handed back";
        /// Nobody used it for too long, and the agent has it back.
        Left = "left", "Left";
        /// A person acted in it through the API, without taking it.
        Acted = "acted", "Acted";
    }
}

words! {
    /// How an approval was answered.
    ApprovalAnswer {
        /// Yes, this one call.
        Once = "once", "Allowed once";
        /// Yes, and the like for the rest of the run.
        Run = "run", "Allowed for this run";
        /// Yes, and the like from now on.
        Always = "always", "Always allowed";
        /// No.
        Denied = "denied", "Denied";
        /// Nobody answered in time.
        Expired = "expired", "Not answered in time";
        /// The run ended before anybody answered.
        Withdrawn = "withdrawn", "No longer needed";
        /// What it would do had changed since: it is asked anew.
        Changed = "changed", "Changed since";
        /// Yes, this one call, by the model that reviews.
        Reviewed = "reviewed", "Allowed by the reviewer";
    }
}
