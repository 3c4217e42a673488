//! Vocabulary of conversations.

words! {
    /// How much of what an agent's tools do stands in a conversation.
    Verbosity {
        /// Nothing: the steps of a run have it.
        Off = "off", "Left out";
        /// Each step, unfolded.
        On = "on", "Expanded";
        /// Each step, with what the tool was given and what it gave back.
        Full = "full", "Expanded, with results";
    }
}

words! {
    /// What a message does that comes while a run works in its session.
    QueueMode {
        /// The run reads it at its next step.
        Steer = "steer", "Steer";
        /// It gets a turn of its own afterwards.
        Followup = "followup", "Afterwards";
        /// It waits until it is quiet and gets one turn with the others.
        Collect = "collect", "Collect";
        /// The run is stopped and it comes next.
        Interrupt = "interrupt", "Interrupt";
    }
}

words! {
    /// What goes when too many messages wait.
    DropPolicy {
        /// The oldest; the agent reads one line of it.
        Summarize = "summarize", "Summarize the oldest";
        /// The oldest.
        Old = "old", "Drop the oldest";
        /// The newest is refused.
        New = "new", "Refuse the newest";
    }
}

words! {
    /// What became of a message when it was sent.
    Placed {
        /// A run was made for it.
        Started = "started", "Starting";
        /// The run that works reads it at its next step.
        Steered = "steered", "Read at the next step";
        /// It waits for a turn of its own.
        Followup = "queued_followup", "Queued for its own turn";
        /// It waits for a turn with others.
        Collect = "queued_collect", "Collecting until it’s quiet";
        /// The run that worked is stopped for it.
        Interrupted = "interrupted_previous", "Comes next";
    }
}
