//! Vocabulary of schedules.

words! {
    /// How a schedule repeats.
    CadenceKind {
        /// Every so many minutes.
        EveryNMinutes = "every_n_minutes", "Every few minutes";
        /// Every so many hours.
        EveryNHours = "every_n_hours", "Every few hours";
        /// Each day.
        Daily = "daily", "Daily";
        /// Monday to Friday.
        Weekdays = "weekdays", "Weekdays";
        /// On some days of the week.
        Weekly = "weekly", "Weekly";
        /// On one day of the month.
        Monthly = "monthly", "Monthly";
        /// Every so many days.
        EveryNDays = "every_n_days", "Every few days";
        /// Five fields, as cron reads them.
        Cron = "cron", "Cron";
        /// At one moment.
        Once = "once", "Once";
    }
}

words! {
    /// What becomes of the open task of a series when the next one comes.
    MissedPolicy {
        /// It is marked as missed.
        AutoSkip = "auto_skip", "Mark as missed";
        /// It stays as it is.
        Queue = "queue", "Keep open";
    }
}
