//! Domain events: facts in the past tense, emitted by rules, handled by reactions in the same transaction and kept in the
//! head of the feed. Stored by position: variants are only appended, and a field is added by a new variant.

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

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A task was made.
    TaskCreated {
        /// The task.
        task: TaskId,
        /// The task that it belongs to.
        parent: Option<TaskId>,
    },
    /// Fields of a task changed that have no event of their own.
    TaskChanged {
        /// The task.
        task: TaskId,
        /// Which fields.
        fields: Vec<TaskField>,
    },
    /// A task was given to somebody else, or to nobody.
    TaskAssigned {
        /// The task.
        task: TaskId,
        /// Who had it.
        from: Option<Assignee>,
        /// Who has it now.
        to: Option<Assignee>,
        /// Counts the assignments of this task; part of the inbox key.
        assignment: u32,
    },
    /// A task moved to another status.
    TaskStatusChanged {
        /// The task.
        task: TaskId,
        /// Who has it.
        assignee: Option<Assignee>,
        /// Before.
        from: TaskStatus,
        /// Now.
        to: TaskStatus,
    },
    /// Somebody commented on a task.
    CommentAdded {
        /// The comment.
        comment: CommentId,
        /// Its task.
        task: TaskId,
        /// Agents mentioned in it, without its author.
        mentions: Vec<AgentId>,
        /// Whether the task's agent is left alone.
        note_only: bool,
    },
    /// Work was delivered, for the first time or again.
    DeliverableSubmitted {
        /// The deliverable.
        deliverable: DeliverableId,
        /// The version.
        version: VersionId,
        /// Its task.
        task: TaskId,
    },
    /// A person looked at delivered work.
    DeliverableReviewed {
        /// The deliverable.
        deliverable: DeliverableId,
        /// The version that was looked at.
        version: VersionId,
        /// Its task.
        task: TaskId,
        /// How.
        verdict: Verdict,
        /// The agent that delivered it.
        submitter: Option<AgentId>,
    },
    /// An agent was made.
    AgentCreated {
        /// The agent.
        agent: AgentId,
    },
    /// An agent's stored status changed.
    AgentStatusChanged {
        /// The agent.
        agent: AgentId,
        /// Before.
        from: AgentStatus,
        /// Now.
        to: AgentStatus,
    },
    /// An agent was archived.
    AgentArchived {
        /// The agent.
        agent: AgentId,
    },
    /// An agent sent a message to a colleague.
    AgentMessageSent {
        /// From.
        from: AgentId,
        /// To.
        to: AgentId,
        /// The task that it is about.
        task: Option<TaskId>,
        /// The text, at most 1 KiB.
        text: String,
    },
    /// An agent has something to do.
    ItemEnqueued {
        /// The item.
        item: ItemId,
        /// For whom.
        agent: AgentId,
    },
    /// An inbox item ended.
    ItemEnded {
        /// The item.
        item: ItemId,
        /// Whose.
        agent: AgentId,
        /// Its task.
        task: Option<TaskId>,
    },
    /// Somebody said something in a session.
    InputQueued {
        /// The input.
        input: InputId,
        /// The session.
        session: SessionId,
        /// Whose session.
        agent: AgentId,
    },
    /// A run began to work.
    RunStarted {
        /// The run.
        run: RunId,
        /// Whose.
        agent: AgentId,
        /// The item that it serves.
        item: Option<ItemId>,
        /// The task that it works on.
        task: Option<TaskId>,
    },
    /// Somebody asked a run to stop.
    RunStopRequested {
        /// The run.
        run: RunId,
        /// Who.
        by: Option<AccountId>,
    },
    /// A run is over.
    RunEnded {
        /// The run.
        run: RunId,
        /// Whose.
        agent: AgentId,
        /// The item that it served.
        item: Option<ItemId>,
        /// The task that it worked on.
        task: Option<TaskId>,
        /// The word of its outcome.
        outcome: String,
    },
    /// A provider connection was made, changed or tested.
    ConnectionChanged {
        /// The connection.
        connection: ConnectionId,
    },
    /// Somebody joined the workspace.
    MemberJoined {
        /// The account.
        account: AccountId,
    },
    /// Somebody signed in.
    SignedIn {
        /// Who.
        account: AccountId,
        /// The new sign-in.
        sign_in: SignInId,
    },
    /// A sign-in ended.
    SignedOut {
        /// Whose.
        account: AccountId,
        /// The sign-in.
        sign_in: SignInId,
    },
    /// An API token was made.
    TokenCreated {
        /// The token.
        token: TokenId,
    },
    /// An API token was withdrawn.
    TokenRevoked {
        /// The token.
        token: TokenId,
    },
    /// Somebody left the workspace, or was removed.
    MemberLeft {
        /// The account.
        account: AccountId,
    },
    /// A member may do more or less than before.
    MemberRoleChanged {
        /// The account.
        account: AccountId,
        /// Before.
        from: Role,
        /// Now.
        to: Role,
    },
    /// An invitation was made.
    Invited {
        /// The invitation.
        invite: InviteId,
        /// What its bearer will be.
        role: Role,
    },
    /// An invitation was withdrawn.
    InviteWithdrawn {
        /// The invitation.
        invite: InviteId,
    },
    /// Somebody joined by an invitation.
    InviteAccepted {
        /// The invitation.
        invite: InviteId,
        /// Who.
        account: AccountId,
    },
    /// A workspace was made, or a folder with one was taken in.
    WorkspaceAdded {
        /// The workspace.
        workspace: WorkspaceId,
        /// Its name in addresses.
        slug: String,
    },
    /// A workspace was archived, marked for deletion, or brought back.
    WorkspaceStateChanged {
        /// The workspace.
        workspace: WorkspaceId,
        /// Before.
        from: WorkspaceState,
        /// Now.
        to: WorkspaceState,
    },
    /// A workspace is not here any more: deleted after its time of grace, or moved away.
    WorkspaceRemoved {
        /// The workspace.
        workspace: WorkspaceId,
        /// Its name in addresses.
        slug: String,
        /// Its name.
        label: String,
    },
    /// A person's second factor or passkeys changed.
    FactorChanged {
        /// Whose.
        account: AccountId,
        /// How.
        change: FactorChange,
    },
    /// The former versions of a record were removed from the feed for good.
    RecordRedacted {
        /// The table's number.
        table: u16,
        /// The key's bytes.
        key: Vec<u8>,
    },
    /// Somebody paused a durable consumer, let it go on, or moved it.
    ConsumerChanged {
        /// Its number.
        consumer: u16,
        /// What was done with it, as a word.
        act: String,
    },
    /// What the store keeps beside the records was put right.
    StoreMended {
        /// How many rows.
        rows: u32,
    },
    /// What some entries did was undone.
    UndoApplied {
        /// The last of the entries.
        of: u64,
        /// The run that was undone, when it was one.
        run: Option<RunId>,
        /// Inbox items that they made.
        items: Vec<ItemId>,
        /// Queued inputs that they made.
        inputs: Vec<InputId>,
        /// Runs that serve those items and have not ended.
        stops: Vec<RunId>,
    },
    /// A backup was made.
    BackupMade {
        /// Its name.
        backup: String,
    },
    /// A backup, a check of one, or a restore drill failed.
    BackupFailed {
        /// What was done.
        what: String,
        /// Why it failed.
        why: String,
    },
    /// This store was restored from a backup.
    Restored {
        /// The backup.
        backup: String,
        /// When that was taken, in milliseconds since 1970.
        taken_at: i64,
    },
    /// A file was put on a task.
    FileAdded {
        /// The file.
        file: FileId,
        /// The task.
        task: TaskId,
        /// What it is called.
        name: String,
    },
    /// A file was taken off a task.
    FileRemoved {
        /// The file.
        file: FileId,
        /// The task.
        task: TaskId,
        /// What it was called.
        name: String,
    },
    /// A program that an agent left running has ended.
    JobEnded {
        /// The job.
        job: JobId,
        /// Whose.
        agent: AgentId,
        /// The run that began it.
        run: RunId,
        /// The session that hears of it.
        session: SessionId,
    },
    /// Somebody asked for the end of a program that an agent left running.
    JobStopRequested {
        /// The job.
        job: JobId,
        /// Whose.
        agent: AgentId,
    },
    /// An account was closed: its person may not come in any more.
    AccountDisabled {
        /// Whose.
        account: AccountId,
    },
    /// A closed account was opened again.
    AccountEnabled {
        /// Whose.
        account: AccountId,
    },
    /// Somebody wants a conversation compacted in which nobody worked.
    CompactionAsked {
        /// The session.
        session: SessionId,
        /// Whose session.
        agent: AgentId,
    },
    /// What a member had to do, or a part of it, is somebody else's now.
    MemberHandedOver {
        /// The member.
        account: AccountId,
        /// Who has it now.
        to: AccountId,
        /// How many open tasks.
        tasks: u32,
        /// How many agents report to somebody else.
        agents: u32,
    },
    /// Somebody let all runs of an agent, or of everybody, stand still.
    WorkHalted {
        /// Whose; everybody's when there is none.
        agent: Option<AgentId>,
        /// Whether at once, and not after their step.
        now: bool,
    },
    /// Somebody let them go on.
    WorkGoesOn {
        /// Whose; everybody's when there is none.
        agent: Option<AgentId>,
    },
    /// What a run waited for has come.
    RunAnswered {
        /// The run.
        run: RunId,
        /// Its session.
        session: SessionId,
        /// Whose.
        agent: AgentId,
    },
    /// A budget was set, changed or taken away.
    BudgetChanged {
        /// Who pays.
        payer: Payer,
        /// Of what.
        period: Period,
    },
    /// So much of a budget is spent that a person should know; once in each period.
    BudgetWarned {
        /// Who pays.
        payer: Payer,
        /// Of what.
        period: Period,
    },
    /// A budget stops what it pays for; told once in each period.
    BudgetReached {
        /// Who pays.
        payer: Payer,
        /// Of what.
        period: Period,
    },
    /// A run made a sub-agent: a run of its own for a part of its work.
    ChildSpawned {
        /// The sub-agent's run.
        run: RunId,
        /// The run that made it.
        parent: RunId,
        /// Whose both are.
        agent: AgentId,
    },
    /// A sub-agent has ended, and whoever made it has its result in the same transaction.
    ChildEnded {
        /// The sub-agent's run.
        run: RunId,
        /// The run that made it.
        parent: RunId,
        /// Whose both are.
        agent: AgentId,
        /// The word of its outcome.
        outcome: String,
    },
    /// What a model costs from some moment on was entered, changed or taken away.
    PriceChanged {
        /// The model.
        model: String,
        /// Where; everywhere when there is none.
        connection: Option<ConnectionId>,
    },
    /// What was learned of how a model counts tokens was forgotten.
    CountingReset {
        /// The model.
        model: String,
        /// Where; practice when there is none.
        connection: Option<ConnectionId>,
    },
    /// People are told of something.
    NoticeGiven {
        /// What.
        notice: Notice,
    },
    /// A run waits for a person.
    RunAsks {
        /// The run.
        run: RunId,
        /// Whose.
        agent: AgentId,
        /// For what.
        waits_for: WaitFor,
    },
    /// A person wrote to a program that runs.
    JobInputSent {
        /// The job.
        job: JobId,
        /// Whose.
        agent: AgentId,
        /// How many bytes it was to read.
        bytes: u32,
        /// Whether it reads nothing behind them.
        end: bool,
    },
    /// The program began again and went on with so many runs that were at work when it ended.
    RunsTakenUp(u32),
    /// The last thing that a task waited for is over.
    TaskUnblocked {
        /// The task.
        task: TaskId,
        /// What it waited for last.
        by: TaskId,
    },
    /// A person wants the agent of a task to begin now, whatever the task waits for.
    TaskStartAsked {
        /// The task.
        task: TaskId,
    },
    /// A stream was made.
    StreamCreated {
        /// The stream.
        stream: StreamId,
    },
    /// A stream was changed, archived or brought back.
    StreamChanged {
        /// The stream.
        stream: StreamId,
    },
    /// A label was made. Entries of today have `Row`.
    LabelCreated(RecordId),
    /// A label has another name, colour or description. Entries of today have `Row`.
    LabelChanged(RecordId),
    /// A label was taken away from everywhere. Entries of today have `Row`.
    LabelDeleted {
        /// The label.
        label: RecordId,
        /// What it was called.
        name: String,
    },
    /// A routine was made, changed, paused, resumed or deleted.
    RoutineChanged {
        /// The routine.
        routine: RoutineId,
        /// What it is called: it may be gone.
        name: String,
        /// What was done.
        act: RoutineAct,
    },
    /// A routine fired, and what it begins follows in the same transaction.
    RoutineFired {
        /// The routine.
        routine: RoutineId,
        /// The firing.
        firing: FiringId,
        /// Whose the routine is.
        agent: AgentId,
    },
    /// An agent cannot go on with a task and asks whom it reports to.
    TaskEscalated {
        /// The task.
        task: TaskId,
        /// The agent that asks.
        agent: AgentId,
        /// Whom it asks; nobody when it reports to nobody.
        to: Option<Manager>,
        /// Why, in its words.
        text: String,
    },
    /// Somebody took the whole workspace out as one file.
    WorkspaceExported,
    /// A person changed a file of an agent. What its runs change stands in their events.
    AgentFilesChanged {
        /// Whose it is.
        agent: AgentId,
        /// The file.
        path: String,
        /// The commit on the agent's branch.
        commit: String,
    },
    /// A record of a noun with a card was made, changed or deleted, or a comment on one.
    Row {
        /// Its table.
        table: u16,
        /// The bytes of its key.
        id: Vec<u8>,
        /// What happened to it.
        act: RowAct,
        /// The names of the fields that changed, as its JSON has them; none when it was made or deleted.
        fields: Vec<String>,
    },
    /// What an agent has goes to others: it is archived in the same transaction.
    AgentSucceeded {
        /// The agent.
        agent: AgentId,
        /// Who gets its open tasks; with nobody they are nobody's from now on.
        tasks: Option<Assignee>,
        /// Which agent gets its routines; with nobody they stop.
        routines: Option<AgentId>,
    },
    /// A person has answered what a run asks before it makes a call: the approval, its run, whose, and the answer.
    ApprovalAnswered(ApprovalId, RunId, AgentId, ApprovalAnswer),
    /// An agent follows another template from now on: the one that it was made from, the one that it follows.
    AgentMoved(AgentId, String, String),
    /// The wheel of an agent's browser came to somebody else.
    WheelTurned(AgentId, WheelAct),
    /// Another master key seals from now on, or all that former ones had sealed is sealed with it: what names the key,
    /// and how many rows were sealed anew; none while that has only begun.
    MasterKeyChanged(String, Option<u64>),
}
