//! Reads of notifications: watchers, rows, preferences.

pub mod chats;
pub mod opened;
pub mod sending;
pub mod snooze;
pub mod view;

pub use opened::unread_at;

use crate::agents::model::Agent;
use crate::agents::queries::{self as agents, lines};
use crate::runs::model::{Run, Session};
use crate::runs::queries::talk;
use crate::tasks::model::Task;
use crate::workspace::model::Member;
use crate::workspace::queries as workspace;
use kernel::key::KeyBuf;
use kernel::{
    About, AccountId, Actor, AgentId, Assignee, Cause, NoticeGroup, NoticeKind, NotificationId,
    Role, Timestamp, WatchReason,
};
use store::{Range, Read, ReadExt, StoreError, feed};

use super::model::{
    Choices, NOTIFICATION_BY_ABOUT, Notification, RECIPIENT_SHOWN, RECIPIENT_SNOOZED,
    RECIPIENT_UNREAD, Recipient, WATCH_BY_MEMBER, Watch, Ways,
};

/// Maximum number of watchers per subject.
const MAX_WATCHERS: usize = 2_000;
/// Number of latest notifications of a kind to search.
const MOST_ASKED: usize = 100;
/// Limit of the unread count for a badge.
pub const MANY: usize = 100;
/// Limit of every other unread count.
pub const ALL: usize = 10_000;
/// Default hour of the daily digest.
pub const DIGEST_HOUR: u8 = 8;

/// The person responsible for an agent: the first person above it.
pub fn manager(read: &dyn Read, agent: AgentId) -> Result<Option<AccountId>, StoreError> {
    lines::first_person(read, agent)
}

/// Implicit watchers of a subject, closest reason first.
fn by_record(read: &dyn Read, about: About) -> Result<Vec<(AccountId, WatchReason)>, StoreError> {
    let mut found = Vec::new();
    match about {
        About::Task(id) => {
            let Some(task) = read.get::<Task>(id)? else { return Ok(found) };
            match task.assignee {
                Some(Assignee::Person(account)) => found.push((account, WatchReason::Assignee)),
                Some(Assignee::Agent(agent)) => {
                    let manager = manager(read, agent)?;
                    found.extend(manager.map(|account| (account, WatchReason::Manager)));
                }
                Some(Assignee::System) | None => {}
            }
            match task.created_by {
                Actor::Person { account, .. } => found.push((account, WatchReason::Creator)),
                Actor::Agent { agent, .. } => {
                    let manager = manager(read, agent)?;
                    found.extend(manager.map(|account| (account, WatchReason::Manager)));
                }
                Actor::Plugin(_) | Actor::Gateway(_) | Actor::System(_) => {}
            }
        }
        About::Agent(agent) => {
            let manager = manager(read, agent)?;
            found.extend(manager.map(|account| (account, WatchReason::Manager)));
        }
        About::Run(id) => {
            let Some(run) = read.get::<Run>(id)? else { return Ok(found) };
            let session = read.get::<Session>(run.session)?;
            let owner = session.and_then(|session| session.owner);
            found.extend(owner.map(|account| (account, WatchReason::Creator)));
            if let Some(task) = run.task {
                found.extend(watchers(read, About::Task(task))?);
            }
            let manager = manager(read, run.agent)?;
            found.extend(manager.map(|account| (account, WatchReason::Manager)));
        }
        About::Workspace
        | About::Connection(_)
        | About::Routine(_)
        | About::Import(_)
        | About::Plugin(_)
        | About::Gateway(_)
        | About::Stream(_)
        | About::Row(..) => {}
    }
    Ok(found)
}

/// All watchers of a subject who have not muted it, without duplicates, with the closest reason.
pub fn watchers(
    read: &dyn Read,
    about: About,
) -> Result<Vec<(AccountId, WatchReason)>, StoreError> {
    let own: Vec<Watch> = read.list(&Range::prefix(KeyBuf::of(&about)).limit(MAX_WATCHERS))?;
    let mut found: Vec<(AccountId, WatchReason)> = Vec::new();
    let chosen = own.iter().filter(|watch| !watch.muted).map(|watch| (watch.member, watch.reason));
    for (member, reason) in by_record(read, about)?.into_iter().chain(chosen) {
        let muted = own.iter().any(|watch| watch.member == member && watch.muted);
        if !muted && found.iter().all(|(known, _)| *known != member) {
            found.push((member, reason));
        }
    }
    Ok(found)
}

/// Watch state of a person for a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// `true` if the person is notified.
    pub on: bool,
    /// Reason for following, also while muted.
    pub reason: Option<WatchReason>,
}

impl Following {
    /// Reason in words, or empty.
    #[must_use]
    pub fn why(&self) -> &'static str {
        self.reason.map_or("", WatchReason::label)
    }
}

pub fn following(
    read: &dyn Read,
    about: About,
    member: AccountId,
) -> Result<Following, StoreError> {
    let record = by_record(read, about)?.into_iter().find(|(account, _)| *account == member);
    let row = read.get::<Watch>((about, member))?;
    let muted = row.as_ref().is_some_and(|watch| watch.muted);
    let reason = record.map(|(_, reason)| reason).or(row.map(|watch| watch.reason));
    Ok(Following { on: reason.is_some() && !muted, reason })
}

/// Returns `true` if the person watches the subject implicitly.
pub fn watches_by_record(
    read: &dyn Read,
    about: About,
    member: AccountId,
) -> Result<bool, StoreError> {
    Ok(by_record(read, about)?.iter().any(|(account, _)| *account == member))
}

/// Explicit watches of a person: by choice, comment or mention.
pub fn followed(read: &dyn Read, member: AccountId) -> Result<Vec<Watch>, StoreError> {
    read.scan(WATCH_BY_MEMBER, &Range::prefix(KeyBuf::of(&member)))
}

/// Owners and admins of the workspace.
pub fn admins(read: &dyn Read) -> Result<Vec<AccountId>, StoreError> {
    let all = workspace::members(read)?;
    let looks = |member: &Member| matches!(member.role, Role::Owner | Role::Admin);
    Ok(all.into_iter().filter(looks).map(|member| member.account).collect())
}

/// Returns `true` if the member has access to the subject. Conversations may be private.
pub fn may_know(read: &dyn Read, about: About, member: &Member) -> Result<bool, StoreError> {
    match about {
        // Admins may read private conversations, but are not notified of them.
        About::Run(id) => match read.get::<Run>(id)? {
            Some(run) => talk::may_speak(&read, &run, member.account),
            None => Ok(false),
        },
        About::Connection(_) | About::Plugin(_) => {
            Ok(matches!(member.role, Role::Owner | Role::Admin))
        }
        About::Workspace
        | About::Task(_)
        | About::Agent(_)
        | About::Routine(_)
        | About::Import(_)
        | About::Gateway(_)
        | About::Stream(_)
        | About::Row(..) => Ok(true),
    }
}

/// Display name of an actor.
pub fn name(read: &dyn Read, actor: Actor) -> Result<String, StoreError> {
    let name = match actor {
        Actor::Person { account, .. } => read.get::<Member>(account)?.map(|member| member.name),
        Actor::Agent { agent, .. } => match read.get::<Agent>(agent)? {
            Some(agent) => Some(agents::called(read, &agent)?),
            None => None,
        },
        Actor::Plugin(_) | Actor::Gateway(_) | Actor::System(_) => None,
    };
    Ok(name.unwrap_or_else(|| "HQ".to_owned()))
}

/// Default channels of a group.
#[must_use]
pub fn usual(group: NoticeGroup) -> Ways {
    let ways = |push, digest| Ways { app: true, push, mail: false, digest, channel: false };
    match group {
        NoticeGroup::Questions | NoticeGroup::Reviews => ways(true, true),
        NoticeGroup::Comments => ways(false, true),
        NoticeGroup::Tasks => ways(false, true),
        NoticeGroup::System => ways(false, true),
        NoticeGroup::Budget => ways(false, false),
    }
}

/// Default channels of a kind, where they differ from its group's.
#[must_use]
pub fn unusual(kind: NoticeKind) -> Option<Ways> {
    match kind {
        NoticeKind::OperationDone => Some(Ways::default()),
        NoticeKind::Mention => Some(Ways { push: true, ..usual(NoticeGroup::Comments) }),
        // An agent addresses its person.
        NoticeKind::AgentSuggestion => {
            Some(Ways { channel: true, ..usual(NoticeGroup::Questions) })
        }
        _ => None,
    }
}

impl Choices {
    /// Default preferences.
    #[must_use]
    pub fn usual(member: AccountId) -> Self {
        let (groups, kinds) = (Vec::new(), Vec::new());
        Self { member, groups, kinds, digest_hour: DIGEST_HOUR, zone: None }
    }

    /// Channels of a group.
    #[must_use]
    pub fn group(&self, group: NoticeGroup) -> Ways {
        let own = self.groups.iter().find(|(one, _)| *one == group);
        own.map_or_else(|| usual(group), |(_, ways)| *ways)
    }

    /// Channels of a kind: its own, else those of its group.
    #[must_use]
    pub fn of(&self, kind: NoticeKind) -> Ways {
        if let Some((_, ways)) = self.kinds.iter().find(|(one, _)| *one == kind) {
            return *ways;
        }
        let group = kind.group();
        let chosen = self.groups.iter().any(|(one, _)| *one == group);
        unusual(kind).filter(|_| !chosen).unwrap_or_else(|| self.group(group))
    }
}

/// Stored preferences, or the defaults.
pub fn choices(read: &dyn Read, member: AccountId) -> Result<Choices, StoreError> {
    Ok(read.get::<Choices>(member)?.unwrap_or_else(|| Choices::usual(member)))
}

/// Range of a member's rows that are displayed at `now`, newest first.
pub(super) fn shown_by(member: AccountId, now: Timestamp) -> Range {
    let start = KeyBuf::of(&member);
    let end = KeyBuf::of(&member).with(&(now.as_millisecond() + 1));
    Range::between(start, end).reverse()
}

/// Number of unread rows, counted up to a limit: [`MANY`] for a badge, [`ALL`] for a displayed number.
pub fn unread(
    read: &dyn Read,
    (member, now): (AccountId, Timestamp),
    most: usize,
) -> Result<usize, StoreError> {
    read.len(RECIPIENT_UNREAD, &shown_by(member, now).limit(most))
}

/// Filter of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub unread: bool,
    pub group: Option<NoticeGroup>,
}

/// A page of a person's displayed rows, newest first, and the cursor key of the next page.
pub fn list(
    read: &dyn Read,
    (member, now): (AccountId, Timestamp),
    wanted: Wanted,
    (after, limit): (Option<&[u8]>, usize),
) -> Result<(Vec<Recipient>, Option<Vec<u8>>), StoreError> {
    let index = if wanted.unread { RECIPIENT_UNREAD } else { RECIPIENT_SHOWN };
    let mut found = Vec::new();
    let mut place = after.map(<[u8]>::to_vec);
    // The group filter rejects few rows; each step reads one page.
    for _ in 0..20 {
        let mut range = shown_by(member, now).limit(limit + 1);
        if let Some(place) = &place {
            range = range.after(place);
        }
        let hits = read.hits::<Recipient>(index, &range)?;
        let more = limit < hits.len();
        for hit in hits.into_iter().take(limit) {
            place = Some(hit.key);
            if wanted.group.is_none_or(|group| hit.record.kind.group() == group) {
                found.push(hit.record);
            }
            if found.len() == limit {
                break;
            }
        }
        if !more && found.len() < limit {
            return Ok((found, None));
        }
        if found.len() == limit {
            return Ok((found, place.filter(|_| more)));
        }
    }
    Ok((found, place))
}

/// A person's snoozed rows, next to return first.
pub fn snoozed(
    read: &dyn Read,
    member: AccountId,
    now: Timestamp,
) -> Result<Vec<Recipient>, StoreError> {
    let start = KeyBuf::of(&member).with(&(now.as_millisecond() + 1));
    let end = KeyBuf::of(&member).with(&i64::MAX);
    read.scan(RECIPIENT_SHOWN, &Range::between(start, end).limit(MANY))
}

/// Rows of all members whose snooze ends by this moment.
pub fn due_snoozes(
    read: &dyn Read,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Recipient>, StoreError> {
    let end = KeyBuf::of(&(now.as_millisecond() + 1));
    read.scan(RECIPIENT_SNOOZED, &Range::between(KeyBuf::new(), end).limit(limit))
}

/// End of the next snooze.
pub fn next_snooze(read: &dyn Read) -> Result<Option<Timestamp>, StoreError> {
    let first: Vec<Recipient> = read.scan(RECIPIENT_SNOOZED, &Range::all().limit(1))?;
    Ok(first.first().and_then(|row| row.snoozed_until))
}

/// A displayed recent row of a person into which a notification is merged.
pub fn joins(
    read: &dyn Read,
    notification: &Notification,
    member: AccountId,
    since: Timestamp,
) -> Result<Option<Recipient>, StoreError> {
    let start = KeyBuf::of(&member).with(&since);
    let end = KeyBuf::of(&member).with(&(notification.at.as_millisecond() + 1));
    let range = Range::between(start, end).reverse().limit(30);
    let near: Vec<Recipient> = read.scan(RECIPIENT_SHOWN, &range)?;
    let same = |row: &Recipient| {
        row.kind == notification.kind
            && row.about == notification.about
            && row.snoozed_until.is_none()
    };
    Ok(near.into_iter().find(same))
}

/// Time of the latest notification of a kind about a subject.
pub fn last_told(
    read: &dyn Read,
    about: About,
    kind: NoticeKind,
) -> Result<Option<Timestamp>, StoreError> {
    let mut prefix = KeyBuf::of(&about);
    prefix.u8(kind as u8);
    let range = Range::prefix(prefix).reverse().limit(1);
    let last: Vec<Notification> = read.scan(NOTIFICATION_BY_ABOUT, &range)?;
    Ok(last.first().map(|notice| notice.at))
}

/// Returns `true` if the same notification, with this kind, subject and title, was sent for a matching cause.
pub fn was_told(
    read: &dyn Read,
    (about, kind): (About, NoticeKind),
    title: &str,
    because: &dyn Fn(Cause) -> bool,
) -> Result<bool, StoreError> {
    let mut prefix = KeyBuf::of(&about);
    prefix.u8(kind as u8);
    let range = Range::prefix(prefix).reverse().limit(MOST_ASKED);
    let notices: Vec<Notification> = read.scan(NOTIFICATION_BY_ABOUT, &range)?;
    for one in notices.into_iter().filter(|one| one.title == title) {
        // The row is written only once, by the entry that sent it.
        let Some((_, rev)) = read.get_rev::<Notification>(one.id)? else { continue };
        if feed::entry(read, rev)?.is_some_and(|entry| because(entry.cause)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Row of a person, by its first notification.
pub fn row(
    read: &dyn Read,
    member: AccountId,
    first: NotificationId,
) -> Result<Option<Recipient>, StoreError> {
    read.get::<Recipient>((member, first))
}
