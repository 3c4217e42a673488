//! Vocabulary of routines.

words! {
    /// What was done with a routine.
    RoutineAct {
        /// It was made.
        Created = "created", "Created";
        /// It was changed.
        Changed = "changed", "Changed";
        /// It stands still.
        Paused = "paused", "Paused";
        /// It goes on.
        Resumed = "resumed", "Resumed";
        /// It is gone.
        Deleted = "deleted", "Deleted";
        /// A person let it begin that an agent made.
        Approved = "approved", "Approved";
        /// It stands still because what it began failed too often.
        Tripped = "tripped", "Stopped after failures";
        /// It was for one moment, and what it was for is done.
        PutAway = "put_away", "Archived";
    }
}

words! {
    /// What becomes of instants that passed while HQ was off.
    CatchUp {
        /// The newest is made up for.
        One = "one", "One run for all missed times";
        /// All are, as far as a limit.
        All = "all", "Every missed time";
        /// None is.
        None = "none", "Nothing";
    }
}

words! {
    /// What becomes of a firing while what an earlier one began is not over.
    Overlap {
        /// It is left out.
        Skip = "skip", "Skip it";
        /// It waits, as far as a limit.
        Queue = "queue", "Queue it";
        /// It begins all the same.
        Allow = "allow", "Start it anyway";
    }
}

words! {
    /// Which conversation a run goes on in that a routine woke its agent for.
    RoutineSession {
        /// One of its own for each firing.
        Isolated = "isolated", "New each time";
        /// The one in which its agent does all work that is of no task.
        Main = "main", "The agent’s main conversation";
    }
}

words! {
    /// What made a routine fire.
    FiredBy {
        /// Its time had come.
        Schedule = "schedule", "Schedule";
        /// Its time had come while HQ was off.
        CatchUp = "catch_up", "Caught up";
        /// Something happened.
        Event = "event", "Event";
        /// More happened than single firings are made of.
        Digest = "digest", "Digest";
        /// A person wanted it.
        Manual = "manual", "Manual";
    }
}

words! {
    /// What became of a firing.
    Fate {
        /// It began something.
        Started = "started", "Started";
        /// What an earlier one began was not over.
        SkippedOverlap = "skipped_overlap", "Skipped: the last one is still running";
        /// HQ was off, and it is not made up for.
        Missed = "missed", "Missed";
        /// Routines have caused each other too often.
        ChainEnded = "chain_ended", "Skipped: routines triggered each other";
        /// What it wanted to begin was refused.
        Refused = "refused", "Could not start";
    }
}
