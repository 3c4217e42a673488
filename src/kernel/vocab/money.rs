//! Vocabulary of budgets and model calls.

words! {
    /// What a budget is of.
    Period {
        /// A day.
        Day = "day", "Day";
        /// A week, from Monday on.
        Week = "week", "Week";
        /// A month.
        Month = "month", "Month";
        /// All time.
        Total = "total", "In total";
        /// Each run.
        Run = "run", "A run";
    }
}

words! {
    /// What a model call is for.
    CallKind {
        /// A step of a run.
        Step = "step", "Step";
        /// The last words of a run that has reached a limit.
        WrapUp = "wrap_up", "Closing message";
        /// A summary of a long conversation.
        Compaction = "compaction", "Summary";
        /// Writing down what is to be kept, before a conversation is made shorter.
        Memory = "memory", "Memory";
        /// The test of a connection.
        Test = "test", "Test";
        /// The review of a call that people would be asked for.
        Review = "review", "Call review";
        /// Vectors of texts, for search by meaning.
        Embedding = "embedding", "Embeddings";
        /// A web search, which an engine and no model answers.
        Search = "search", "Web search";
    }
}

words! {
    /// How a model call ended.
    CallEnd {
        /// With an answer.
        Answered = "answered", "Answered";
        /// It broke off; what had come may be billed.
        CutOff = "cut_off", "Cut off";
        /// Nobody saw its end.
        Lost = "lost", "Lost";
        /// The provider refused it, or it never arrived: it costs nothing.
        Refused = "refused", "Refused";
    }
}

words! {
    /// On which way a provider is paid.
    Route {
        /// By the token.
        Api = "api", "API";
        /// A subscription, which pays for calls as they come.
        Subscription = "subscription", "Subscription";
        /// A server of one's own.
        Own = "own", "Own server";
        /// The built-in practice provider.
        Practice = "practice", "Practice";
    }
}

words! {
    /// Where the price of a call comes from.
    PricedBy {
        /// Nobody knows one: the call is unmetered.
        Nobody = "nobody", "Unmetered";
        /// The catalogue, or the provider's own list.
        Catalogue = "catalogue", "Catalogue";
        /// A person entered it.
        Person = "person", "Entered";
        /// Nothing is charged by the token.
        Route = "route", "Not charged";
        /// None is known, but a budget applies: the dearest known price.
        Dearest = "dearest", "Most expensive known";
    }
}
