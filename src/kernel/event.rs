//! Domain events: facts in the past tense, emitted by rules, handled by reactions in the same transaction and stored in
//! the head of the feed. Stored by position: variants are only appended, and a new field needs a new variant.

mod names;

use serde::{Deserialize, Serialize};

use super::budget::Payer;
use super::id::{
    AccountId, AgentId, ApprovalId, CommentId, ConnectionId, DeliverableId, FileId, FiringId,
    InputId, InviteId, ItemId, JobId, RecordId, RoutineId, RunId, SessionId, SignInId, StreamId,
    TaskId, TokenId, VersionId, WorkspaceId,
};
use super::notice::Notice;
use super::vocab::{
    AgentStatus, ApprovalAnswer, Assignee, FactorChange, Manager, Period, Role, RoutineAct, RowAct,
    TaskField, TaskStatus, Verdict, WaitFor, WheelAct, WorkspaceState,
};

/// A domain event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A task was created.
    TaskCreated {
        /// The task.
        task: TaskId,
        /// The parent task.
        parent: Option<TaskId>,
    },
    /// Fields of a task changed that have no event of their own.
    TaskChanged {
        /// The task.
        task: TaskId,
        /// The changed fields.
        fields: Vec<TaskField>,
    },
    /// A task was assigned to somebody else, or to nobody.
    TaskAssigned {
        /// The task.
        task: TaskId,
        /// The previous assignee.
        from: Option<Assignee>,
        /// The new assignee.
        to: Option<Assignee>,
        /// Number of assignments of this task so far. Part of the inbox key.
        assignment: u32,
    },
    /// The status of a task changed.
    TaskStatusChanged {
        /// The task.
        task: TaskId,
        /// The current assignee.
        assignee: Option<Assignee>,
        /// The old status.
        from: TaskStatus,
        /// The new status.
        to: TaskStatus,
    },
    /// A comment was added to a task.
    CommentAdded {
        /// The comment.
        comment: CommentId,
        /// The commented task.
        task: TaskId,
        /// Agents mentioned in the comment, without its author.
        mentions: Vec<AgentId>,
        /// Whether the task's agent is not notified.
        note_only: bool,
    },
    /// A deliverable was submitted, for the first time or again.
    DeliverableSubmitted {
        /// The deliverable.
        deliverable: DeliverableId,
        /// The submitted version.
        version: VersionId,
        /// The task of the deliverable.
        task: TaskId,
    },
    /// A person reviewed a deliverable.
    DeliverableReviewed {
        /// The deliverable.
        deliverable: DeliverableId,
        /// The reviewed version.
        version: VersionId,
        /// The task of the deliverable.
        task: TaskId,
        /// The review result.
        verdict: Verdict,
        /// The agent that submitted it.
        submitter: Option<AgentId>,
    },
    /// An agent was created.
    AgentCreated {
        /// The agent.
        agent: AgentId,
    },
    /// The stored status of an agent changed.
    AgentStatusChanged {
        /// The agent.
        agent: AgentId,
        /// The old status.
        from: AgentStatus,
        /// The new status.
        to: AgentStatus,
    },
    /// An agent was archived.
    AgentArchived {
        /// The agent.
        agent: AgentId,
    },
    /// An agent sent a message to another agent.
    AgentMessageSent {
        /// The sender.
        from: AgentId,
        /// The recipient.
        to: AgentId,
        /// The task the message is about.
        task: Option<TaskId>,
        /// The text, at most 1 KiB.
        text: String,
    },
    /// An inbox item was queued for an agent.
    ItemEnqueued {
        /// The inbox item.
        item: ItemId,
        /// The agent that gets the item.
        agent: AgentId,
    },
    /// An inbox item ended.
    ItemEnded {
        /// The inbox item.
        item: ItemId,
        /// The agent that had the item.
        agent: AgentId,
        /// The task of the item.
        task: Option<TaskId>,
    },
    /// A message was queued in a session.
    InputQueued {
        /// The input.
        input: InputId,
        /// The session that gets the input.
        session: SessionId,
        /// The agent of the session.
        agent: AgentId,
    },
    /// A run started.
    RunStarted {
        /// The run.
        run: RunId,
        /// The agent of the run.
        agent: AgentId,
        /// The inbox item that the run serves.
        item: Option<ItemId>,
        /// The task that the run works on.
        task: Option<TaskId>,
    },
    /// A stop of a run was requested.
    RunStopRequested {
        /// The run.
        run: RunId,
        /// The person who requested the stop.
        by: Option<AccountId>,
    },
    /// A run ended.
    RunEnded {
        /// The run.
        run: RunId,
        /// The agent of the run.
        agent: AgentId,
        /// The inbox item that the run served.
        item: Option<ItemId>,
        /// The task that the run worked on.
        task: Option<TaskId>,
        /// Wire word of the outcome.
        outcome: String,
    },
    /// A provider connection was created, changed or tested.
    ConnectionChanged {
        /// The connection.
        connection: ConnectionId,
    },
    /// A member joined the workspace.
    MemberJoined {
        /// The account of the member.
        account: AccountId,
    },
    /// A person signed in.
    SignedIn {
        /// The account that signed in.
        account: AccountId,
        /// The new sign-in.
        sign_in: SignInId,
    },
    /// A sign-in ended.
    SignedOut {
        /// The account that was signed in.
        account: AccountId,
        /// The sign-in that ended.
        sign_in: SignInId,
    },
    /// An API token was created.
    TokenCreated {
        /// The new token.
        token: TokenId,
    },
    /// An API token was revoked.
    TokenRevoked {
        /// The revoked token.
        token: TokenId,
    },
    /// A member left the workspace or was removed.
    MemberLeft {
        /// The account of the former member.
        account: AccountId,
    },
    /// The role of a member changed.
    MemberRoleChanged {
        /// The account of the member.
        account: AccountId,
        /// The old role.
        from: Role,
        /// The new role.
        to: Role,
    },
    /// An invitation was created.
    Invited {
        /// The invitation.
        invite: InviteId,
        /// The role granted by the invitation.
        role: Role,
    },
    /// An invitation was withdrawn.
    InviteWithdrawn {
        /// The invitation.
        invite: InviteId,
    },
    /// A person joined through an invitation.
    InviteAccepted {
        /// The invitation.
        invite: InviteId,
        /// The account that joined.
        account: AccountId,
    },
    /// A workspace was created, or an existing workspace folder was added.
    WorkspaceAdded {
        /// The workspace.
        workspace: WorkspaceId,
        /// Its slug.
        slug: String,
    },
    /// A workspace was archived, marked for deletion or restored.
    WorkspaceStateChanged {
        /// The workspace.
        workspace: WorkspaceId,
        /// The old state.
        from: WorkspaceState,
        /// The new state.
        to: WorkspaceState,
    },
    /// A workspace is gone: deleted after its grace period, or moved away.
    WorkspaceRemoved {
        /// The workspace.
        workspace: WorkspaceId,
        /// Its slug.
        slug: String,
        /// Its display name.
        label: String,
    },
    /// A second factor or passkey of a person changed.
    FactorChanged {
        /// The account of the person.
        account: AccountId,
        /// The change.
        change: FactorChange,
    },
    /// Former versions of a record were permanently removed from the feed.
    RecordRedacted {
        /// Table number.
        table: u16,
        /// Encoded key of the record.
        key: Vec<u8>,
    },
    /// A durable consumer was paused, resumed or moved.
    ConsumerChanged {
        /// Consumer number.
        consumer: u16,
        /// What was done, as a word.
        act: String,
    },
    /// Derived data of the store was repaired.
    StoreMended {
        /// Number of repaired rows.
        rows: u32,
    },
    /// Feed entries were undone.
    UndoApplied {
        /// The last of the undone entries.
        of: u64,
        /// The run that was undone, if it was one.
        run: Option<RunId>,
        /// Inbox items created by the entries.
        items: Vec<ItemId>,
        /// Queued inputs created by the entries.
        inputs: Vec<InputId>,
        /// Runs that serve those items and have not ended.
        stops: Vec<RunId>,
    },
    /// A backup was made.
    BackupMade {
        /// The backup's name.
        backup: String,
    },
    /// A backup, a backup check or a restore drill failed.
    BackupFailed {
        /// The failed operation.
        what: String,
        /// Reason of the failure.
        why: String,
    },
    /// This store was restored from a backup.
    Restored {
        /// The backup's name.
        backup: String,
        /// When the backup was made, in milliseconds since 1970.
        taken_at: i64,
    },
    /// A file was attached to a task.
    FileAdded {
        /// The file.
        file: FileId,
        /// The task.
        task: TaskId,
        /// File name.
        name: String,
    },
    /// A file was removed from a task.
    FileRemoved {
        /// The file.
        file: FileId,
        /// The task.
        task: TaskId,
        /// File name.
        name: String,
    },
    /// A background job of an agent ended.
    JobEnded {
        /// The job.
        job: JobId,
        /// The agent of the job.
        agent: AgentId,
        /// The run that started the job.
        run: RunId,
        /// The session that is notified.
        session: SessionId,
    },
    /// A stop of a background job was requested.
    JobStopRequested {
        /// The job.
        job: JobId,
        /// The agent of the job.
        agent: AgentId,
    },
    /// An account was disabled: its person can no longer sign in.
    AccountDisabled {
        /// The disabled account.
        account: AccountId,
    },
    /// A disabled account was enabled again.
    AccountEnabled {
        /// The enabled account.
        account: AccountId,
    },
    /// Compaction of an idle conversation was requested.
    CompactionAsked {
        /// The session of the conversation.
        session: SessionId,
        /// The agent of the session.
        agent: AgentId,
    },
    /// Duties of a member, or some of them, were handed over to another person.
    MemberHandedOver {
        /// The member who hands over.
        account: AccountId,
        /// The new holder.
        to: AccountId,
        /// Number of open tasks handed over.
        tasks: u32,
        /// Number of agents whose manager changed.
        agents: u32,
    },
    /// All runs of one agent, or of all agents, were paused.
    WorkHalted {
        /// The paused agent; `None` for all agents.
        agent: Option<AgentId>,
        /// Whether runs stop immediately instead of after their current step.
        now: bool,
    },
    /// Paused runs were resumed.
    WorkGoesOn {
        /// The resumed agent; `None` for all agents.
        agent: Option<AgentId>,
    },
    /// A waiting run got its answer.
    RunAnswered {
        /// The run.
        run: RunId,
        /// The session of the run.
        session: SessionId,
        /// The agent of the run.
        agent: AgentId,
    },
    /// A budget was set, changed or removed.
    BudgetChanged {
        /// The payer of the budget.
        payer: Payer,
        /// The period of the budget.
        period: Period,
    },
    /// A budget reached its warning threshold. Emitted once per period.
    BudgetWarned {
        /// The payer of the budget.
        payer: Payer,
        /// The period of the budget.
        period: Period,
    },
    /// A budget is used up and blocks its payer. Emitted once per period.
    BudgetReached {
        /// The payer of the budget.
        payer: Payer,
        /// The period of the budget.
        period: Period,
    },
    /// A run started a sub-agent: a separate run for part of its work.
    ChildSpawned {
        /// The sub-agent's run.
        run: RunId,
        /// The parent run.
        parent: RunId,
        /// The agent of both runs.
        agent: AgentId,
    },
    /// A sub-agent ended. The parent run receives the result in the same transaction.
    ChildEnded {
        /// The sub-agent's run.
        run: RunId,
        /// The parent run.
        parent: RunId,
        /// The agent of both runs.
        agent: AgentId,
        /// Wire word of the outcome.
        outcome: String,
    },
    /// A model price with a start date was entered, changed or removed.
    PriceChanged {
        /// The model.
        model: String,
        /// The connection that the price applies to; `None` for all.
        connection: Option<ConnectionId>,
    },
    /// The learned token counting of a model was reset.
    CountingReset {
        /// The model.
        model: String,
        /// The connection; `None` for the practice provider.
        connection: Option<ConnectionId>,
    },
    /// A notification was raised.
    NoticeGiven {
        /// The notification.
        notice: Notice,
    },
    /// A run waits for a person.
    RunAsks {
        /// The run.
        run: RunId,
        /// The agent of the run.
        agent: AgentId,
        /// What the run waits for.
        waits_for: WaitFor,
    },
    /// A person sent input to a background job.
    JobInputSent {
        /// The job.
        job: JobId,
        /// The agent of the job.
        agent: AgentId,
        /// Number of bytes sent.
        bytes: u32,
        /// Whether the job's standard input is closed after them.
        end: bool,
    },
    /// After a restart, this many interrupted runs were resumed.
    RunsTakenUp(u32),
    /// The last blocker of a task is resolved.
    TaskUnblocked {
        /// The task.
        task: TaskId,
        /// The blocker that was resolved last.
        by: TaskId,
    },
    /// A person wants the agent to start a task now, whatever blocks the task.
    TaskStartAsked {
        /// The task.
        task: TaskId,
    },
    /// A stream was created.
    StreamCreated {
        /// The stream.
        stream: StreamId,
    },
    /// A stream was changed, archived or restored.
    StreamChanged {
        /// The stream.
        stream: StreamId,
    },
    /// A label was created. Current entries use `Row`.
    LabelCreated(RecordId),
    /// The name, colour or description of a label changed. Current entries use `Row`.
    LabelChanged(RecordId),
    /// A label was deleted everywhere. Current entries use `Row`.
    LabelDeleted {
        /// The deleted label.
        label: RecordId,
        /// Name of the label.
        name: String,
    },
    /// A routine was created, changed, paused, resumed or deleted.
    RoutineChanged {
        /// The routine.
        routine: RoutineId,
        /// Name of the routine, which may have been deleted since.
        name: String,
        /// The action.
        act: RoutineAct,
    },
    /// A routine fired. The work that it starts follows in the same transaction.
    RoutineFired {
        /// The routine.
        routine: RoutineId,
        /// The firing.
        firing: FiringId,
        /// The agent of the routine.
        agent: AgentId,
    },
    /// An agent is blocked on a task and asks its manager.
    TaskEscalated {
        /// The task.
        task: TaskId,
        /// The asking agent.
        agent: AgentId,
        /// The agent's manager, if any.
        to: Option<Manager>,
        /// Reason in the agent's words.
        text: String,
    },
    /// The whole workspace was exported as one file.
    WorkspaceExported,
    /// A person changed a file of an agent. Changes by runs are recorded in their own events.
    AgentFilesChanged {
        /// The agent that owns the file.
        agent: AgentId,
        /// Path of the file.
        path: String,
        /// The commit on the agent's branch.
        commit: String,
    },
    /// A record of an entity, or a comment on one, was created, changed or deleted.
    Row {
        /// Table number.
        table: u16,
        /// Encoded key of the record.
        id: Vec<u8>,
        /// The action.
        act: RowAct,
        /// JSON names of the changed fields; empty on creation and deletion.
        fields: Vec<String>,
    },
    /// Tasks and routines of an agent go to others. The agent is archived in the same transaction.
    AgentSucceeded {
        /// The archived agent.
        agent: AgentId,
        /// The new assignee of its open tasks; `None` leaves them unassigned.
        tasks: Option<Assignee>,
        /// The new agent of its routines; `None` stops them.
        routines: Option<AgentId>,
    },
    /// A person answered an approval request: the approval, its run, its agent and the answer.
    ApprovalAnswered(ApprovalId, RunId, AgentId, ApprovalAnswer),
    /// An agent moved to another template: the template it was created from and the template it follows now.
    AgentMoved(AgentId, String, String),
    /// Control of an agent's browser changed.
    WheelTurned(AgentId, WheelAct),
    /// The master key was rotated: the name of the new key, and the number of resealed rows. `None` means that
    /// resealing has only begun.
    MasterKeyChanged(String, Option<u64>),
}
