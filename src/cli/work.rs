//! The commands that ask the API of a workspace, on this machine or on another one.

use clap::Subcommand;

use super::door::Door;
use super::reach::CommandError;
use super::{
    Common, activity, agents, approvals, connections, fields, gateways, history, imports, inbox,
    jobs, knowledge, members, model, models, money, needs, notifications, nouns, onboarding,
    policy, prices, routines, rows, runs, search, secrets, series, sources, streams, tasks,
    templates, undo, views, web,
};

/// What is asked of the API.
#[derive(Subcommand)]
pub enum Work {
    /// Agents: list, run, chat, stop
    #[command(subcommand)]
    Agent(agents::Command),
    /// Runs: list, show, follow, stop
    #[command(subcommand)]
    Runs(runs::Command),
    /// Approvals: list, show, approve, deny, again
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// Modes and permissions: show, mode, reviewer, allow, ask, deny, remove, explain, preset
    #[command(subcommand)]
    Policy(policy::Command),
    /// The sandbox of agents' programs: explain
    #[command(subcommand)]
    Sandbox(policy::Sandbox),
    /// Programs that agents left running: list, show, follow, write, stop
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Tasks: list, show, add, edit, claim, block, deliver, review and more
    #[command(subcommand)]
    Task(tasks::Command),
    /// Streams, groups of tasks with a common goal: list, show, add, edit, archive
    #[command(subcommand)]
    Stream(streams::Command),
    /// Contacts: list, show, add, edit, log, archive, remove
    #[command(subcommand)]
    Contact(rows::Command),
    /// Organizations: list, show, add, edit, log, archive, remove
    #[command(subcommand)]
    Org(rows::Command),
    /// Collections, tables of your own: list, show, add, remove
    #[command(subcommand)]
    Collection(rows::CollectionCommand),
    /// Records of collections: list, show, add, edit, archive, remove
    #[command(subcommand)]
    Record(rows::RecordCommand),
    /// Knowledge pages, skills and files: search, show, add, upload, edit, versions, archive, remove
    #[command(subcommand)]
    Knowledge(knowledge::Command),
    /// Models for semantic search: list, download, add, use, off, remove
    #[command(subcommand)]
    Model(model::Command),
    /// Sources, folders and sites synced into knowledge: list, show, add, edit, sync, remove
    #[command(subcommand)]
    Source(sources::Command),
    /// Secrets: list, set, remove, restore, put-back, why, uses, import, master key
    #[command(subcommand)]
    Secret(secrets::Command),
    /// Gateways, the machines that agents work on: list, show, add, rename, pause, resume, keep, remove
    #[command(subcommand)]
    Gateway(gateways::Command),
    /// File imports: list, show, undo, redo
    #[command(subcommand)]
    Imports(imports::Command),
    /// Fields of contacts, organizations and collections: list, add, kind, conversion, undo, redo, remove
    #[command(subcommand)]
    Field(fields::Command),
    #[command(flatten)]
    Noun(nouns::Command),
    /// Recurring tasks: list, show, pause, resume, spawn
    #[command(subcommand)]
    Series(series::Command),
    /// Task templates: list, show, preview, use
    #[command(subcommand)]
    Template(templates::Command),
    /// Saved views of tasks, contacts, organizations, collections: list, show, add, remove
    #[command(subcommand)]
    View(views::Command),
    /// The agent inbox: list, retry, front, cancel, drop
    #[command(subcommand)]
    Inbox(inbox::Command),
    /// Routines: list, show, test, run, pause, resume, history
    #[command(subcommand, visible_alias = "cron")]
    Routine(routines::Command),
    /// What needs you: list, snooze, dismiss, restore
    #[command(subcommand)]
    Needs(needs::Command),
    /// Your notifications: list, read, settings
    #[command(subcommand)]
    Notifications(notifications::Command),
    /// Activity: who did what, when, and through which run or routine
    Activity(activity::Activity),
    /// Changes to one record: who changed which field, when, how, and the values before and after
    History(history::History),
    /// Undo an entry or a whole run, after a preview and confirmation
    Undo(undo::Undo),
    /// Search tasks, comments, files, agents, conversations and more
    Search(search::Search),
    /// The web: read a page, search
    #[command(subcommand)]
    Web(web::Command),
    /// Usage and cost by agent, model, task, source, kind or day
    Usage(money::Usage),
    /// Budgets: list, set, clear, raise
    #[command(subcommand)]
    Budget(money::Budget),
    /// Model prices: list, set, remove, reset token counting
    #[command(subcommand)]
    Prices(prices::Command),
    /// Members: list, role, remove, second step
    #[command(subcommand)]
    Member(members::Command),
    /// Invitations: list, add, withdraw
    #[command(subcommand)]
    Invite(members::Invite),
    /// The set-up of a workspace: show, choose, finish
    #[command(subcommand)]
    Onboarding(onboarding::Command),
    /// Provider connections: list, sign in, sign out, uses, remove
    #[command(subcommand)]
    Connection(connections::Command),
    /// Models: list, status, default, fallbacks
    #[command(subcommand)]
    Models(models::Command),
}

impl Work {
    /// Asks, and prints what there is to say.
    pub async fn run(self, common: &Common, door: &Door) -> Result<u8, CommandError> {
        match self {
            Self::Agent(command) => agents::run(common, door, command).await,
            Self::Runs(command) => runs::run(common, door, command).await,
            Self::Approvals(command) => approvals::run(common, door, command).await,
            Self::Policy(command) => policy::run(common, door, command).await,
            Self::Sandbox(command) => policy::sandbox(common, door, command).await,
            Self::Jobs(command) => jobs::run(common, door, command).await,
            Self::Task(command) => tasks::run(common, door, command).await,
            Self::Stream(command) => streams::run(common, door, command).await,
            Self::Contact(command) => rows::run(common, door, rows::CONTACTS, command).await,
            Self::Org(command) => rows::run(common, door, rows::ORGANIZATIONS, command).await,
            Self::Collection(command) => rows::run_collection(common, door, command).await,
            Self::Record(command) => rows::run_record(common, door, command).await,
            Self::Secret(command) => secrets::run(common, door, command).await,
            Self::Source(command) => sources::run(common, door, command).await,
            Self::Knowledge(command) => knowledge::run(common, door, command).await,
            Self::Model(command) => model::run(common, door, command).await,
            Self::Gateway(command) => gateways::run(common, door, command).await,
            Self::Imports(command) => imports::run(common, door, command).await,
            Self::Field(command) => fields::run(common, door, command).await,
            Self::Noun(command) => nouns::run(common, door, command).await,
            Self::Series(command) => series::run(common, door, command).await,
            Self::Template(command) => templates::run(common, door, command).await,
            Self::View(command) => views::run(common, door, command).await,
            Self::Inbox(command) => inbox::run(common, door, command).await,
            Self::Routine(command) => routines::run(common, door, command).await,
            Self::Needs(command) => needs::run(common, door, command).await,
            Self::Notifications(command) => notifications::run(common, door, command).await,
            Self::Activity(flags) => activity::run(common, door, flags).await,
            Self::History(flags) => history::run(common, door, flags).await,
            Self::Undo(flags) => undo::run(common, door, flags).await,
            Self::Search(flags) => search::run(common, door, flags).await,
            Self::Web(command) => web::run(common, door, command).await,
            Self::Usage(flags) => money::usage(common, door, flags).await,
            Self::Budget(command) => money::budget(common, door, command).await,
            Self::Prices(command) => prices::run(common, door, command).await,
            Self::Member(command) => members::run(common, door, command).await,
            Self::Invite(command) => members::invite(common, door, command).await,
            Self::Onboarding(command) => onboarding::run(common, door, command).await,
            Self::Connection(command) => connections::run(common, door, command).await,
            Self::Models(command) => models::run(common, door, command).await,
        }
    }
}
