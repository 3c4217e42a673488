//! Vocabulary of notifications: kinds, the groups in notification settings, and reasons for watching.

words! {
    /// What people choose by; each kind belongs to one.
    NoticeGroup {
        /// Somebody waits for an answer.
        Questions = "questions", "Approvals and questions";
        /// Delivered work waits for a look.
        Reviews = "reviews", "Reviews";
        /// Somebody said something.
        Comments = "comments", "Comments and mentions";
        /// What becomes of tasks.
        Tasks = "tasks", "My tasks";
        /// Something does not work, or HQ has something to say.
        System = "system", "Failures and system";
        /// Money.
        Budget = "budget", "Budget";
    }
}

words! {
    /// What a notification is about. The union of all lists; some are made by parts that come later.
    NoticeKind {
        /// A customer is to be called back.
        FollowUp = "follow_up", "Follow-up";
        /// Nobody has talked to a customer for long.
        StaleContact = "stale_contact", "Stale contact";
        /// An agent proposes or tells something.
        AgentSuggestion = "agent_suggestion", "Message from an agent";
        /// An agent commented.
        AgentComment = "agent_comment", "Comment from an agent";
        /// A task is due within a day.
        TaskReminder = "task_reminder", "Task due soon";
        /// A task was given to the person, or to an agent while the person follows it.
        TaskAssigned = "task_assigned", "Task assigned";
        /// A task is done.
        TaskCompleted = "task_completed", "Task completed";
        /// A task cannot go on.
        TaskBlocked = "task_blocked", "Task blocked";
        /// A task's day has passed.
        TaskOverdue = "task_overdue", "Task overdue";
        /// Work was delivered.
        DeliverableSubmitted = "deliverable_submitted", "Work to review";
        /// HQ has something to say.
        System = "system", "System";
        /// Most of a budget is spent.
        BudgetWarned = "budget.warned", "Budget warning";
        /// A budget is spent.
        BudgetExceeded = "budget.exceeded", "Budget used up";
        /// The person was mentioned.
        Mention = "mention", "Mention";
        /// What a task waited for is done.
        BlockerResolved = "blocker_resolved", "Blocker resolved";
        /// An agent wants to do something that a person has to allow.
        ApprovalRequested = "approval_requested", "Approval requested";
        /// An agent asks.
        QuestionAsked = "question_asked", "Question";
        /// Somebody wants to talk to an agent from outside.
        PairingRequested = "pairing_requested", "Pairing requested";
        /// Work of an agent failed for good, or ended without an outcome.
        WorkFailed = "work_failed", "Work failed";
        /// An agent does not get on.
        AgentStalled = "agent_stalled", "Agent needs attention";
        /// A host of agents is silent.
        GatewayOffline = "gateway_offline", "Gateway offline";
        /// It is back.
        GatewayOnline = "gateway_online", "Gateway online";
        /// A provider refuses.
        ProviderFailed = "provider_failed", "Provider failed";
        /// The sign-in at a provider ends soon.
        ProviderExpiring = "provider_expiring", "Provider expiring";
        /// A plugin failed or was switched off.
        PluginFailed = "plugin_failed", "Plugin failed";
        /// A source of knowledge failed.
        SourceFailed = "source_failed", "Source failed";
        /// A routine, a job or another piece of work failed.
        OperationFailed = "operation_failed", "Operation failed";
        /// Such work went well.
        OperationDone = "operation_done", "Operation done";
        /// An import is over.
        ImportFinished = "import_finished", "Import finished";
        /// A backup failed.
        BackupFailed = "backup_failed", "Backup failed";
        /// There is a newer HQ.
        UpdateAvailable = "update_available", "Update available";
        /// A person commented.
        Comment = "comment", "Comment";
        /// Somebody decided on work that the person delivered.
        DeliverableReviewed = "deliverable_reviewed", "Work reviewed";
        /// A host of agents says that something is wrong with it.
        GatewayTrouble = "gateway_trouble", "Gateway problem";
    }
}

impl NoticeKind {
    /// The settings group of this kind.
    #[must_use]
    pub fn group(self) -> NoticeGroup {
        match self {
            Self::ApprovalRequested
            | Self::QuestionAsked
            | Self::PairingRequested
            | Self::AgentSuggestion => NoticeGroup::Questions,
            Self::DeliverableSubmitted | Self::DeliverableReviewed => NoticeGroup::Reviews,
            Self::AgentComment | Self::Comment | Self::Mention => NoticeGroup::Comments,
            Self::FollowUp
            | Self::StaleContact
            | Self::TaskReminder
            | Self::TaskAssigned
            | Self::TaskCompleted
            | Self::TaskBlocked
            | Self::TaskOverdue
            | Self::BlockerResolved => NoticeGroup::Tasks,
            Self::BudgetWarned | Self::BudgetExceeded => NoticeGroup::Budget,
            Self::System
            | Self::WorkFailed
            | Self::AgentStalled
            | Self::GatewayOffline
            | Self::GatewayOnline
            | Self::GatewayTrouble
            | Self::ProviderFailed
            | Self::ProviderExpiring
            | Self::PluginFailed
            | Self::SourceFailed
            | Self::OperationFailed
            | Self::OperationDone
            | Self::ImportFinished
            | Self::BackupFailed
            | Self::UpdateAvailable => NoticeGroup::System,
        }
    }
}

words! {
    /// Why somebody hears of something.
    WatchReason {
        /// They follow it.
        Chosen = "chosen", "You follow this";
        /// They made it.
        Creator = "creator", "You created this";
        /// It is theirs.
        Assignee = "assignee", "Assigned to you";
        /// They commented on it.
        Commenter = "commenter", "You commented on this";
        /// They were mentioned in it.
        Mentioned = "mentioned", "You were mentioned here";
        /// Its agent reports to them.
        Manager = "manager", "Its agent reports to you";
        /// They look after the workspace.
        Admin = "admin", "You manage this workspace";
        /// It was sent to them by name.
        Addressed = "addressed", "This was sent to you";
    }
}
