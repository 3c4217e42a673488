//! Reads of notifications: who watches what, what reached whom, what somebody chose.

pub mod sending;
pub mod snooze;
pub mod view;

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

/// How many watchers of one thing are looked at.
const MAX_WATCHERS: usize = 2_000;
/// So many of the last notifications of a kind are looked through for one.
const MOST_ASKED: usize = 100;
/// The number from which unread ones are not counted further for a badge.
pub const MANY: usize = 100;
/// The number from which they are not counted further anywhere.
pub const ALL: usize = 10_000;
/// The hour at which the email of the day is sent, unless somebody chose another.
pub const DIGEST_HOUR: u8 = 8;

/// The person who answers for an agent: the first one up its line.
pub fn manager(read: &dyn Read, agent: AgentId) -> Result<Option<AccountId>, StoreError> {
    lines::first_person(read, agent)
}

/// Who watches something because of what its record says, closest reason first.
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

/// Everybody who watches something and has not muted it, each once, with the closest reason.
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

/// How somebody stands to something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// Whether they hear of it.
    pub on: bool,
    /// Why, or why they would.
    pub reason: Option<WatchReason>,
}

impl Following {
    /// Why, in words, or nothing.
    #[must_use]
    pub fn why(&self) -> &'static str {
        self.reason.map_or("", WatchReason::label)
    }
}

/// How a person stands to something.
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

/// Whether a person watches something because of its record.
pub fn watches_by_record(
    read: &dyn Read,
    about: About,
    member: AccountId,
) -> Result<bool, StoreError> {
    Ok(by_record(read, about)?.iter().any(|(account, _)| *account == member))
}

/// What somebody follows by a choice of theirs, a comment or a mention: not what they made or have.
pub fn followed(read: &dyn Read, member: AccountId) -> Result<Vec<Watch>, StoreError> {
    read.scan(WATCH_BY_MEMBER, &Range::prefix(KeyBuf::of(&member)))
}

/// Those who look after the workspace.
pub fn admins(read: &dyn Read) -> Result<Vec<AccountId>, StoreError> {
    let all = workspace::members(read)?;
    let looks = |member: &Member| matches!(member.role, Role::Owner | Role::Admin);
    Ok(all.into_iter().filter(looks).map(|member| member.account).collect())
}

/// Whether this person may know of something. Conversations may be private.
pub fn may_know(read: &dyn Read, about: About, member: &Member) -> Result<bool, StoreError> {
    match about {
        // Those who look after a workspace may look at what is private; they are not told of it.
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

/// What a person calls whoever did something.
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

/// The ways of a group that nobody has chosen others for.
#[must_use]
pub fn usual(group: NoticeGroup) -> Ways {
    let ways = |push, digest| Ways { app: true, push, mail: false, digest };
    match group {
        NoticeGroup::Questions | NoticeGroup::Reviews => ways(true, true),
        NoticeGroup::Comments => ways(false, true),
        NoticeGroup::Tasks => ways(false, true),
        NoticeGroup::System => ways(false, true),
        NoticeGroup::Budget => ways(false, false),
    }
}

/// The ways of a kind when nobody has chosen others for it or its group; none when they are those of
/// the group.
#[must_use]
pub fn unusual(kind: NoticeKind) -> Option<Ways> {
    match kind {
        NoticeKind::OperationDone => Some(Ways::default()),
        NoticeKind::Mention => Some(Ways { push: true, ..usual(NoticeGroup::Comments) }),
        _ => None,
    }
}

impl Choices {
    /// Those of somebody who has chosen nothing.
    #[must_use]
    pub fn usual(member: AccountId) -> Self {
        let (groups, kinds) = (Vec::new(), Vec::new());
        Self { member, groups, kinds, digest_hour: DIGEST_HOUR, zone: None }
    }

    /// The ways of a group.
    #[must_use]
    pub fn group(&self, group: NoticeGroup) -> Ways {
        let own = self.groups.iter().find(|(one, _)| *one == group);
        own.map_or_else(|| usual(group), |(_, ways)| *ways)
    }

    /// The ways of a kind: its own, or else those of its group.
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

/// What somebody chose.
pub fn choices(read: &dyn Read, member: AccountId) -> Result<Choices, StoreError> {
    Ok(read.get::<Choices>(member)?.unwrap_or_else(|| Choices::usual(member)))
}

/// The range of a member's rows that are shown by this moment, newest first.
fn shown_by(member: AccountId, now: Timestamp) -> Range {
    let start = KeyBuf::of(&member);
    let end = KeyBuf::of(&member).with(&(now.as_millisecond() + 1));
    Range::between(start, end).reverse()
}

/// How many unread ones a person has, counted up to so many: [`MANY`] for a badge, [`ALL`] where the number is told.
pub fn unread(
    read: &dyn Read,
    (member, now): (AccountId, Timestamp),
    most: usize,
) -> Result<usize, StoreError> {
    read.len(RECIPIENT_UNREAD, &shown_by(member, now).limit(most))
}

/// Which of somebody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only unread ones.
    pub unread: bool,
    /// Only those of this group.
    pub group: Option<NoticeGroup>,
}

/// A person's rows that are shown now, newest first, and the place where to go on, as a key.
pub fn list(
    read: &dyn Read,
    (member, now): (AccountId, Timestamp),
    wanted: Wanted,
    (after, limit): (Option<&[u8]>, usize),
) -> Result<(Vec<Recipient>, Option<Vec<u8>>), StoreError> {
    let index = if wanted.unread { RECIPIENT_UNREAD } else { RECIPIENT_SHOWN };
    let mut found = Vec::new();
    let mut place = after.map(<[u8]>::to_vec);
    // What is left out by group is few; each step reads a page.
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

/// A person's rows that are put off, the next to come back first.
pub fn snoozed(
    read: &dyn Read,
    member: AccountId,
    now: Timestamp,
) -> Result<Vec<Recipient>, StoreError> {
    let start = KeyBuf::of(&member).with(&(now.as_millisecond() + 1));
    let end = KeyBuf::of(&member).with(&i64::MAX);
    read.scan(RECIPIENT_SHOWN, &Range::between(start, end).limit(MANY))
}

/// What comes back by this moment, of everybody.
pub fn due_snoozes(
    read: &dyn Read,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Recipient>, StoreError> {
    let end = KeyBuf::of(&(now.as_millisecond() + 1));
    read.scan(RECIPIENT_SNOOZED, &Range::between(KeyBuf::new(), end).limit(limit))
}

/// When the next one comes back.
pub fn next_snooze(read: &dyn Read) -> Result<Option<Timestamp>, StoreError> {
    let first: Vec<Recipient> = read.scan(RECIPIENT_SNOOZED, &Range::all().limit(1))?;
    Ok(first.first().and_then(|row| row.snoozed_until))
}

/// The row of a person that is shown and joins what happens to the same thing within minutes.
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

/// When something of a kind was told last about a thing.
pub fn last_told(
    read: &dyn Read,
    about: About,
    kind: NoticeKind,
) -> Result<Option<Timestamp>, StoreError> {
    let mut prefix = KeyBuf::of(&about);
    prefix.u8(kind as u8);
    let range = Range::prefix(prefix).reverse().limit(1);
    let last: Vec<Notification> = read.scan(NOTIFICATION_BY_ABOUT, &range)?;
    Ok(last.first().map(|told| told.at))
}

/// Whether people were told exactly this of a thing because of something of this kind.
pub fn was_told(
    read: &dyn Read,
    (about, kind): (About, NoticeKind),
    title: &str,
    because: &dyn Fn(Cause) -> bool,
) -> Result<bool, StoreError> {
    let mut prefix = KeyBuf::of(&about);
    prefix.u8(kind as u8);
    let range = Range::prefix(prefix).reverse().limit(MOST_ASKED);
    let told: Vec<Notification> = read.scan(NOTIFICATION_BY_ABOUT, &range)?;
    for one in told.into_iter().filter(|one| one.title == title) {
        // It was written by the entry that told of it, and never again.
        let Some((_, rev)) = read.get_rev::<Notification>(one.id)? else { continue };
        if feed::entry(read, rev)?.is_some_and(|entry| because(entry.cause)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A person's row, by what happened first.
pub fn row(
    read: &dyn Read,
    member: AccountId,
    first: NotificationId,
) -> Result<Option<Recipient>, StoreError> {
    read.get::<Recipient>((member, first))
}
