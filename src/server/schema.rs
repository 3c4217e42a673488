//! All record types, with and without entity descriptor. Used for tables, doctor, export and the golden tests.

use entity::Entity;
use features::agents::prompted;
use features::{
    activity, agents, audit, backups, cards, claims, comments, connections, dashboard,
    deliverables, files, history, inbox, jobs, links, notifications, onboarding, rotation,
    routines, runs, streams, tasks, trust, usage, users, workspace,
};
use std::sync::LazyLock;
use store::{Schema, schema};

/// Entity descriptors of the packages outside `interfaces`.
fn nouns() -> &'static [&'static Entity] {
    static ALL: LazyLock<Vec<&Entity>> = LazyLock::new(|| {
        let all = crm::NOUNS.iter().chain(&knowledge::NOUNS).chain(&sources::NOUNS);
        let all = all.chain(&vault::NOUNS).chain(&gateways::NOUNS);
        let all = all.chain(&channels::nouns::NOUNS);
        let all = all.chain(&reach::nouns::NOUNS).chain(&reach::search::NOUNS);
        let all = all.chain(&reach::skills::NOUNS);
        all.copied().collect()
    });
    &ALL
}

/// Gives lower layers the queries of nouns above them.
fn install_queries() {
    prompted::install_knowledge(knowledge::context::prompt);
    prompted::install_search(reach::search::is_set_up);
    prompted::install_skills(knowledge::skills::BY_NAME);
    agents::packages::install(reach::skills::packages);
    agents::packages::install_proposals(reach::skills::PROPOSALS);
    knowledge::origin::install(sources::cards::origin);
    dashboard::queries::hosts::install(gateways::hosts::hosts);
    agents::queries::elsewhere::install(gateways::hosts::elsewhere, gateways::hosts::machine);
    agents::queries::machines::install(
        gateways::hosts::place,
        gateways::hosts::machines,
        gateways::hosts::former,
    );
    links::queries::install_names(knowledge::links::in_text);
    links::queries::install_said(knowledge::linked::suggestions);
    notifications::queries::chats::install(channels::rules::has_chat);
    dashboard::queries::requests::install(channels::queries::access_requests);
    routines::delivery::install(channels::places::for_results, channels::places::for_result);
    trust::queries::places::install(trust::queries::places::Places {
        has_channel: channels::places::has_channel,
        reach: channels::places::reach,
    });
    claims::queries::sends::install(channels::queries::sending);
    deliverables::paged::install(knowledge::tools::deliver::PAGES);
}

/// The tables of a workspace's store.
#[must_use]
pub fn workspace() -> Schema {
    cards::install(nouns());
    install_queries();
    cards::tables(schema! {
        workspace::model::Settings,
        workspace::model::Member,
        workspace::model::Counter,
        workspace::model::Invite,
        workspace::model::InviteSecret,
        workspace::model::People,
        workspace::model::Brand,
        workspace::model::Handover,
        tasks::model::Task,
        tasks::model::label::TaskLabel,
        tasks::model::relation::Relation,
        onboarding::model::Onboarding,
        onboarding::model::MissionAway,
        onboarding::model::KeylessAnswer,
        activity::model::Visit,
        dashboard::model::Away,
        streams::model::Stream,
        tasks::model::series::Series,
        tasks::model::series::Occurrence,
        tasks::model::overdue::OverdueMark,
        tasks::model::overdue::TaskRules,
        tasks::model::template::Template,
        comments::model::Comment,
        comments::model::Reaction,
        deliverables::model::Deliverable,
        deliverables::model::Version,
        deliverables::model::Review,
        claims::model::ClaimCheck,
        claims::model::TaskProof,
        files::model::TaskFile,
        links::model::Link,
        agents::model::Agent,
        agents::model::Reach,
        inbox::model::Item,
        inbox::model::pace::Pace,
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
        runs::model::Outside,
        runs::model::Written,
        runs::model::Evidence,
        runs::model::SubagentLimits,
        runs::model::RunLimits, runs::model::InputGrant, runs::model::SenderGrant,
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
        usage::model::grant::RunGrant,
        usage::model::price::EnteredPrice,
        usage::model::day::UsageDay,
        usage::model::day::DayZone,
        usage::model::source::UsageSource,
        audit::model::Keeping,
        history::model::FileRevert,
        routines::model::Routine,
        routines::model::RoutineRules,
        routines::model::Firing,
        routines::model::Clock,
        notifications::model::Watch,
        notifications::model::Notification,
        notifications::model::Recipient,
        notifications::model::Choices,
        notifications::model::Fanout,
        notifications::model::sending::Delivery,
        notifications::model::sending::MailSettings,
        notifications::model::sending::NoticeSecret,
    })
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
        users::model::appearance::Appearance,
        users::model::devices::KnownDevices,
        users::model::factors::Totp,
        users::model::factors::RecoveryCodes,
        users::model::factors::Passkey,
        users::model::factors::PasskeyUse,
        backups::model::BackupSettings,
        backups::model::BackupSecret,
        backups::model::BackupRun,
        backups::model::CachedBackup,
        backups::model::KnownPlace,
        backups::model::Restoration,
        rotation::model::Rotation,
        notifications::model::sending::PushSubscription,
        notifications::model::sending::NoticeSecret,
    }
}
