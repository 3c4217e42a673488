//! Closed vocabularies used in records and events. Values are stored by position: append only.

use serde::{Deserialize, Serialize};

use super::id::{AccountId, AgentId};
use super::time::Timestamp;

/// Defines a closed list of words with one spelling everywhere. Stored by position: append only.
#[macro_export]
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal, $label:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// All values, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// The wire words, in order.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];
            /// The display labels, in order.
            pub const LABELS: &'static [&'static str] = &[$($label,)+];

            /// Wire word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Display label.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;
            fn from_str(text: &str) -> Result<Self, $crate::UnknownWord> {
                Self::ALL.iter().copied().find(|v| v.word() == text).ok_or_else(|| $crate::UnknownWord {
                    word: text.chars().take(40).collect(),
                    known: Self::ALL.iter().map(|v| v.word()).collect::<Vec<_>>().join(", "),
                })
            }
        }

        impl $crate::id::made_of::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(
                _: &mut $crate::id::made_of::schemars::SchemaGenerator,
            ) -> $crate::id::made_of::schemars::Schema {
                $crate::id::made_of::schemars::json_schema!({
                    "type": "string",
                    "enum": Self::ALL.iter().map(|v| v.word()).collect::<Vec<_>>(),
                })
            }
        }

        // One byte in records, the word in JSON and forms.
        impl $crate::id::made_of::serde::Serialize for $name {
            fn serialize<S: $crate::id::made_of::serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                if out.is_human_readable() { out.serialize_str(self.word()) } else { out.serialize_u8(*self as u8) }
            }
        }

        impl<'de> $crate::id::made_of::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::id::made_of::serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                if input.is_human_readable() {
                    let text: std::borrow::Cow<'de, str> =
                        $crate::id::made_of::serde::Deserialize::deserialize(input)?;
                    text.parse().map_err($crate::id::made_of::serde::de::Error::custom)
                } else {
                    let at: u8 = $crate::id::made_of::serde::Deserialize::deserialize(input)?;
                    Self::ALL.get(usize::from(at)).copied().ok_or_else(|| {
                        $crate::id::made_of::serde::de::Error::custom(concat!("unknown ", stringify!($name)))
                    })
                }
            }
        }
    };
}

mod groups;
mod lines;
mod looks;
mod money;
mod notices;
mod proof;
mod routines;
mod schedule;
mod talk;
mod trust;
mod waits;

pub use groups::{Hue, ReactionKind, RelationKind, StreamKind};
pub use lines::{Delegation, Manager};
pub use looks::{DateForm, Density, FirstDay, NumberForm, ThemeChoice, TimeForm};
pub use money::{CallEnd, CallKind, Period, PricedBy, Route};
pub use notices::{NoticeGroup, NoticeKind, WatchReason};
pub use proof::{ClaimKind, ClaimState, ProofMode};
pub use routines::{CatchUp, Fate, FiredBy, Overlap, RoutineAct, RoutineSession};
pub use schedule::{CadenceKind, MissedPolicy};
pub use talk::{DropPolicy, Placed, QueueMode, Verbosity};
pub use trust::{AccessDecision, ApprovalAnswer, Risk, TrustMode, WheelAct};
pub use waits::WaitFor;

/// A word that is not in the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{word}\" is not one of: {known}")]
pub struct UnknownWord {
    /// The given word.
    pub word: String,
    /// The known words.
    pub known: String,
}

words! {
    /// Where a task stands.
    TaskStatus {
        /// Not begun.
        Todo = "todo", "To do";
        /// Somebody works on it.
        InProgress = "in_progress", "In progress";
        /// It cannot go on.
        Blocked = "blocked", "Blocked";
        /// Finished.
        Done = "done", "Done";
        /// Given up.
        Cancelled = "cancelled", "Cancelled";
        /// Its day has passed.
        Missed = "missed", "Missed";
    }
}

impl TaskStatus {
    /// Returns `true` while the task is neither done nor given up.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Todo | Self::InProgress | Self::Blocked)
    }
}

words! {
    /// How urgent a task is; ordered from least to most.
    Priority {
        /// Some day.
        Low = "low", "Low";
        /// The default.
        Medium = "medium", "Medium";
        /// Soon.
        High = "high", "High";
        /// Now.
        Urgent = "urgent", "Urgent";
    }
}

words! {
    /// How much a model thinks before it answers.
    Thinking {
        /// Not at all.
        None = "none", "None";
        /// A little.
        Low = "low", "Low";
        /// Some.
        Medium = "medium", "Medium";
        /// Much.
        High = "high", "High";
        /// As much as the model can.
        Max = "max", "Max";
    }
}

words! {
    /// What is stored of an agent's state; what is shown is derived from it and from its runs.
    AgentStatus {
        /// Its files are being made.
        Provisioning = "provisioning", "Setting up";
        /// Ready for work.
        Ready = "ready", "Ready";
        /// A person paused it.
        Paused = "paused", "Paused";
        /// It cannot work; the reason is in the record.
        Error = "error", "Error";
        /// Its host sleeps.
        Hibernating = "hibernating", "Asleep";
    }
}

words! {
    /// What happened to a record of a noun with a card.
    RowAct {
        /// It was made.
        Created = "created", "Created";
        /// It was changed.
        Changed = "changed", "Changed";
        /// It is gone.
        Deleted = "deleted", "Deleted";
    }
}

words! {
    /// What a member may be.
    Role {
        /// Everything, and the workspace itself.
        Owner = "owner", "Owner";
        /// Everything but the workspace itself.
        Admin = "admin", "Admin";
        /// Work with tasks, agents and records.
        Member = "member", "Member";
        /// Look only.
        Viewer = "viewer", "Viewer";
    }
}

words! {
    /// Whether a workspace is worked in.
    WorkspaceState {
        /// It is.
        Active = "active", "Active";
        /// It is kept to look at.
        Archived = "archived", "Archived";
        /// It goes after a time of grace.
        Deleting = "deleting", "Will be deleted";
    }
}

words! {
    /// What happened to the ways in which a person proves who they are.
    FactorChange {
        /// Codes from an app are asked for from now on.
        TotpOn = "totp_on", "Turned on codes from an app";
        /// They are not any more.
        TotpOff = "totp_off", "Turned off codes from an app";
        /// New recovery codes were made; former ones are void.
        CodesMade = "codes_made", "Created new recovery codes";
        /// A recovery code was used up.
        CodeUsed = "code_used", "Used a recovery code";
        /// A passkey was added.
        PasskeyAdded = "passkey_added", "Added a passkey";
        /// A passkey was removed.
        PasskeyRemoved = "passkey_removed", "Removed a passkey";
        /// A passkey counted backwards: it may have been copied.
        PasskeyRegressed = "passkey_regressed", "A passkey may have been copied";
    }
}

words! {
    /// What a route, tool or stream needs; `server/access.rs` maps roles and token scopes to these.
    Can {
        /// Nobody needs to be signed in.
        Open = "open", "Open to all";
        /// Read what the workspace holds.
        Read = "read", "Read";
        /// Change tasks, comments and other shared records.
        Write = "write", "Write";
        /// Talk to agents and steer or stop their runs.
        Chat = "chat", "Chat with agents";
        /// Approve, ask for changes, reject.
        Review = "review", "Review deliverables";
        /// Make, change, pause and archive agents.
        Agents = "agents", "Manage agents";
        /// Connections, members, budgets, settings.
        Admin = "admin", "Administer";
        /// One's own account: sign-ins, tokens, password.
        Account = "account", "Own account";
        /// The machine's owner, over the local socket.
        Local = "local", "This machine";
        /// The workspace itself: archive it, delete it, say who must have a second factor.
        Own = "own", "Own the workspace";
        /// Say yes or no to what agents ask before they do it.
        Approve = "approve", "Answer approvals";
        /// Act in the browsers of agents, with their sign-ins.
        Browser = "browser", "Use agent browsers";
    }
}

words! {
    /// What an API token may be used for; never more than its owner may.
    Scope {
        /// Look at everything in the workspace.
        Read = "read", "Read";
        /// Change tasks, comments and other shared records.
        Write = "write", "Write";
        /// Talk to agents, also through the OpenAI-compatible API.
        Chat = "chat", "Chat with agents";
        /// Approve and reject delivered work.
        Review = "review", "Review";
        /// Make and change agents.
        Agents = "agents", "Manage agents";
        /// Connections and settings.
        Admin = "admin", "Administer";
        /// Say yes or no to what agents ask before they do it.
        Approvals = "approvals", "Answer approvals";
        /// Act in the browsers of agents, with their sign-ins.
        Browser = "browser", "Use agent browsers";
    }
}

words! {
    /// Why an agent has an inbox item.
    ItemKind {
        /// A task was given to it.
        TaskAssignment = "task_assignment", "Assigned";
        /// A task came to it from another agent.
        TaskReassignment = "task_reassignment", "Reassigned";
        /// It was mentioned.
        TaskCommentMention = "task_comment_mention", "Mentioned";
        /// A person commented on its task.
        TaskComment = "task_comment", "Comment";
        /// Its delivered work was looked at.
        DeliverableReview = "deliverable_review", "Review result";
        /// A colleague sent a message.
        AgentMessage = "agent_message", "Message";
        /// A task that it delegated has ended.
        DelegationResult = "delegation_result", "Delegated work returned";
        /// What its task waited for is over.
        BlockerResolved = "blocker_resolved", "Unblocked";
        /// A person wants it begun now, whatever it waits for.
        StartNow = "start_now", "Start requested";
        /// The time of a routine had come.
        RoutineSchedule = "routine_schedule", "Routine";
        /// Something happened that a routine waits for.
        RoutineEvent = "routine_event", "Routine, after an event";
        /// The due date of its task has passed.
        TaskOverdue = "task_overdue", "Overdue";
        /// A task of somebody who reports to it needs help.
        TaskEscalation = "task_escalation", "Escalated";
    }
}

words! {
    /// Where an inbox item stands.
    ItemState {
        /// Waits for a run.
        Pending = "pending", "Waiting";
        /// A run has it.
        Leased = "leased", "In progress";
        /// Handled.
        Done = "done", "Done";
        /// Failed; may be tried again.
        Failed = "failed", "Failed";
        /// Failed, and tried as often as allowed. People and programs see it as [`ItemState::Failed`].
        DeadLetter = "dead_letter", "Failed";
        /// Not wanted any more.
        Cancelled = "cancelled", "Cancelled";
    }
}

impl ItemState {
    /// The state shown in responses. Failed work is `Failed` however often it was retried.
    #[must_use]
    pub fn shown(self) -> Self {
        if self == Self::DeadLetter { Self::Failed } else { self }
    }
}

words! {
    /// What a run does.
    RunState {
        /// Waits for a slot.
        Queued = "queued", "Queued";
        /// A live task works on it.
        Running = "running", "Running";
        /// Waits for something outside; holds no task.
        Waiting = "waiting", "Waiting";
        /// Over; the outcome says how.
        Ended = "ended", "Ended";
    }
}

words! {
    /// What started a run.
    RunTrigger {
        /// An inbox item.
        Item = "item", "Work";
        /// A person's chat message.
        Chat = "chat", "Chat";
        /// An API call.
        Api = "api", "API";
        /// Another run, of which it is a sub-agent.
        Child = "child", "Sub-agent";
    }
}

words! {
    /// Whether a model is asked to answer sooner than others are answered, which may cost more.
    Fast {
        /// It is answered when its turn comes.
        Off = "off", "Off";
        /// In the first minute of a run, while somebody may wait for it.
        Auto = "auto", "In the first minute";
        /// Always.
        On = "on", "On";
    }
}

words! {
    /// What becomes of runs that are at work when somebody lets all stand still.
    HaltHow {
        /// They finish their step.
        AfterStep = "after_step", "After their step";
        /// They are cut off.
        Now = "now", "Now";
    }
}

words! {
    /// How a review ended.
    Verdict {
        /// Good.
        Approved = "approved", "Approved";
        /// To be done again, with a note.
        ChangesRequested = "changes_requested", "Changes requested";
        /// Not wanted.
        Rejected = "rejected", "Rejected";
    }
}

words! {
    /// Where a deliverable stands.
    DeliverableState {
        /// Not sent yet.
        Draft = "draft", "Draft";
        /// Waits for a person.
        InReview = "in_review", "In review";
        /// Accepted.
        Approved = "approved", "Approved";
        /// Sent back with a note.
        ChangesRequested = "changes_requested", "Changes requested";
        /// Refused.
        Rejected = "rejected", "Rejected";
    }
}

words! {
    /// What `work_done` says of the task it leaves.
    TaskState {
        /// The task is finished.
        Complete = "complete", "Complete";
        /// A person looks at the delivered work.
        InReview = "in_review", "In review";
        /// It cannot go on.
        Blocked = "blocked", "Blocked";
        /// Somebody else goes on.
        HandedOver = "handed_over", "Handed over";
        /// Nothing changes; something will bring it back.
        Leave = "leave", "Unchanged";
    }
}

words! {
    /// A field of a task, as named in events and history.
    TaskField {
        /// The title.
        Title = "title", "Title";
        /// The description.
        Description = "description", "Description";
        /// The priority.
        Priority = "priority", "Priority";
        /// The due date.
        Due = "due", "Due date";
        /// Archived or restored.
        Archived = "archived", "Archive";
        /// The model.
        Model = "model", "Model";
        /// The thinking level.
        Thinking = "thinking", "Thinking";
        /// The parent.
        Parent = "parent", "Parent";
        /// The stream.
        Stream = "stream", "Stream";
        /// The first day.
        Start = "start", "Start";
        /// The place in the order that people make.
        Rank = "rank", "Order";
        /// The labels.
        Labels = "labels", "Labels";
        /// The relations to other tasks.
        Relations = "relations", "Relations";
        /// The series that it comes from.
        Series = "series", "Series";
    }
}

/// The assignee of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Assignee {
    /// A member.
    Person(AccountId),
    /// An agent.
    Agent(AgentId),
    /// HQ itself.
    System,
}

impl Assignee {
    /// The agent id, if the assignee is an agent.
    #[must_use]
    pub fn agent(self) -> Option<AgentId> {
        match self {
            Self::Agent(agent) => Some(agent),
            _ => None,
        }
    }

    /// The account id, if the assignee is a person.
    #[must_use]
    pub fn person(self) -> Option<AccountId> {
        match self {
            Self::Person(account) => Some(account),
            _ => None,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Success.
    Done,
    /// Failure.
    Failed {
        /// Stable word: `provider`, `tool`, `agent`, …
        code: String,
        /// Reason for people.
        reason: String,
    },
    /// Suspended, to be resumed later.
    Snoozed {
        /// When to resume.
        until: Timestamp,
    },
    /// Stopped by a person.
    Stopped {
        /// The person, if known.
        by: Option<AccountId>,
    },
    /// The agent ended without reporting an outcome.
    NoOutcome,
    /// A limit was reached.
    Limit {
        /// Which limit: `calls`, `tools`, `time`, `cost`, `tokens` or `loop`.
        which: String,
    },
    /// Too old to resume after a restart.
    Interrupted,
    /// The run crashed the program three times without completing a step.
    CrashLoop,
}

impl Outcome {
    /// Wire word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed { .. } => "failed",
            Self::Snoozed { .. } => "snoozed",
            Self::Stopped { .. } => "stopped",
            Self::NoOutcome => "no_outcome",
            Self::Limit { .. } => "limit",
            Self::Interrupted => "interrupted",
            Self::CrashLoop => "crash_loop",
        }
    }
}
