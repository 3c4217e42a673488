//! The list of all records: makes the tables, feeds doctor, export and the golden tests.

use crate::features::{
    agents, audit, backups, comments, connections, deliverables, files, history, inbox, jobs,
    notifications, runs, streams, tasks, usage, users, workspace,
};
use crate::schema;
use crate::store::Schema;

/// The tables of a workspace's store.
#[must_use]
pub fn workspace() -> Schema {
    schema! {
        workspace::model::Settings,
        workspace::model::Member,
        workspace::model::Counter,
        workspace::model::Invite,
        workspace::model::InviteSecret,
        workspace::model::People,
        workspace::model::Handover,
        tasks::model::Task,
        tasks::model::label::Label,
        tasks::model::label::TaskLabel,
        tasks::model::relation::Relation,
        streams::model::Stream,
        tasks::model::series::Series,
        tasks::model::series::Occurrence,
        comments::model::Comment,
        deliverables::model::Deliverable,
        deliverables::model::Version,
        deliverables::model::Review,
        files::model::TaskFile,
        agents::model::Agent,
        agents::model::Reach,
        inbox::model::Item,
        runs::model::Session,
        runs::model::SessionEvent,
        runs::model::Run,
        runs::model::Input,
        runs::model::QueueChoice,
        runs::model::TalkChoice,
        runs::model::Context,
        runs::model::Halt,
        runs::model::Park,
        runs::model::Child,
        runs::model::Branch,
        runs::model::ReadMark,
        runs::model::SubagentLimits,
        jobs::model::Job,
        connections::model::Connection,
        connections::model::ConnectionKey,
        connections::model::Offers,
        connections::model::SpareKeys,
        connections::model::Cooldown,
        connections::model::Fallbacks,
        connections::model::UsualThinking,
        connections::model::Window,
        connections::model::Grant,
        connections::model::Login,
        usage::model::Usage,
        usage::model::Reservation,
        usage::model::SeenRatio,
        usage::model::budget::Budget,
        usage::model::budget::BudgetNotice,
        usage::model::budget::BudgetWait,
        usage::model::price::EnteredPrice,
        usage::model::day::UsageDay,
        usage::model::day::DayZone,
        usage::model::source::UsageSource,
        audit::model::Keeping,
        history::model::FileRevert,
        notifications::model::Watch,
        notifications::model::Notification,
        notifications::model::Recipient,
        notifications::model::Choices,
        notifications::model::Fanout,
    }
}

/// The tables of `system.redb`.
#[must_use]
pub fn system() -> Schema {
    schema! {
        users::model::Account,
        users::model::Password,
        users::model::SignIn,
        users::model::LastSeen,
        users::model::ApiToken,
        users::model::TokenSecret,
        users::model::LastUsed,
        users::model::Workspace,
        users::model::Link,
        users::model::factors::Totp,
        users::model::factors::RecoveryCodes,
        users::model::factors::Passkey,
        users::model::factors::PasskeyUse,
        backups::model::BackupSettings,
        backups::model::BackupSecret,
        backups::model::BackupRun,
        backups::model::Kept,
        backups::model::KnownPlace,
        backups::model::Restoration,
    }
}
