//! All writes of notifications and watches.

pub mod keeping;
pub mod sending;
pub mod settling;

use jiff::SignedDuration;

use crate::tasks::model::Task;
use crate::workspace::queries as workspace;
use kernel::notice::Admins;
use kernel::{
    About, AccountId, AgentId, FieldError, Notice, NoticeKind, NotificationId, Problem,
    ProblemKind, TaskId, Timestamp, WatchReason,
};
use store::{ReadExt, StoreError, WriteTx};

use super::model::{Choices, Fanout, Notification, Recipient, Watch, Ways};
use super::queries;

/// Notifications about the same subject within this time are merged into one row.
const TOGETHER: SignedDuration = SignedDuration::from_mins(10);
/// Number of recipients handled in the causing transaction. A consumer handles the rest.
const PAGE: usize = 50;
/// Maximum snooze duration.
const LONGEST_SNOOZE: SignedDuration = SignedDuration::from_hours(24 * 60);

#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    /// Does not exist or belongs to another person.
    #[error("this notification no longer exists")]
    NotFound,
    #[error("there is nothing to follow")]
    NotWatchable,
    /// The actor is no person.
    #[error("only people can follow tasks and get notifications; agents have an inbox")]
    NoPerson,
    /// The snooze time is out of range.
    #[error("choose a time within the next 60 days")]
    BadTime,
    #[error("choose an hour from 0 to 23")]
    BadHour,
    #[error("{}", .0.message)]
    Field(FieldError),
    /// The workspace is archived or scheduled for deletion.
    #[error("{0}")]
    Closed(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotificationError {
    pub fn field(name: &str, message: &str) -> Self {
        Self::Field(FieldError::new(name, message))
    }
}

impl Problem for NotificationError {
    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Field(field) => vec![field.clone()],
            _ => Vec::new(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "notification_not_found",
            Self::NotWatchable => "not_watchable",
            Self::NoPerson => "not_a_person",
            Self::BadTime => "snooze_time",
            Self::BadHour => "digest_hour",
            Self::Field(_) => "mail_settings",
            Self::Closed(_) => "workspace_closed",
            Self::Store(error) => error.code(),
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound | Self::NotWatchable => ProblemKind::NotFound,
            Self::NoPerson => ProblemKind::Forbidden,
            Self::BadTime | Self::BadHour | Self::Field(_) => ProblemKind::Invalid,
            Self::Closed(_) => ProblemKind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
}

/// Notifies people in this transaction: the named recipients, the watchers of the subject and, if requested, the
/// admins. Excludes the actor, former members and people without access to the subject. Returns `None` if nobody is
/// left.
pub fn notify(
    tx: &mut WriteTx<'_>,
    notice: Notice,
) -> Result<Option<NotificationId>, NotificationError> {
    Ok(write(tx, notice)?.map(|told| told.id))
}

/// A notification and those of its recipients who get it at once.
#[derive(Clone, Debug)]
pub struct Told {
    pub id: NotificationId,
    pub to: Vec<AccountId>,
}

fn write(tx: &mut WriteTx<'_>, notice: Notice) -> Result<Option<Told>, NotificationError> {
    let mut who = addressees(tx, &notice)?;
    if who.is_empty() {
        return Ok(None);
    }
    let notification = Notification {
        id: tx.new_id(),
        kind: notice.kind,
        about: notice.about,
        actor: tx.by(),
        title: notice.title,
        body: notice.body,
        at: tx.now(),
    };
    tx.put(&notification)?;
    let left = who.split_off(who.len().min(PAGE));
    let mut told = Told { id: notification.id, to: Vec::new() };
    for (member, why) in who {
        told.to.extend(tell(tx, &notification, member, why)?.map(|row| row.member));
    }
    if !left.is_empty() {
        tx.put(&Fanout { notification: notification.id, left })?;
    }
    Ok(Some(told))
}

/// Sends a message of an agent to the person it reports to, else to the admins. `None` if nobody was notified.
///
/// # Errors
/// If the message is empty.
pub fn tell_owner(
    tx: &mut WriteTx<'_>,
    agent: AgentId,
    task: Option<TaskId>,
    (title, body): (&str, &str),
) -> Result<Option<Told>, NotificationError> {
    if title.trim().is_empty() {
        return Err(NotificationError::field("title", "enter a one-line summary"));
    }
    let name = queries::name(tx, tx.by())?;
    let about = task.map_or(About::Agent(agent), About::Task);
    let title = format!("{name}: {}", title.trim());
    let mut notice = Notice::new(NoticeKind::AgentSuggestion, about, title).body(body).only();
    if let Some(manager) = queries::manager(tx, agent)? {
        notice = notice.to(manager);
    }
    write(tx, notice.or_admins())
}

/// Handles the next page of a fan-out.
pub fn fan_out(tx: &mut WriteTx<'_>, id: NotificationId) -> Result<(), NotificationError> {
    let Some(mut fanout) = tx.get::<Fanout>(id)? else { return Ok(()) };
    let rest = fanout.left.split_off(fanout.left.len().min(PAGE));
    if let Some(notification) = tx.get::<Notification>(id)? {
        for (member, why) in fanout.left {
            if let Some(row) = tell(tx, &notification, member, why)? {
                let new = sending::New { first: row.count == 1, last: true };
                sending::queue(tx, &row, new)?;
            }
        }
    }
    if rest.is_empty() {
        tx.delete::<Fanout>(id)?;
    } else {
        tx.put(&Fanout { notification: id, left: rest })?;
    }
    Ok(())
}

/// Recipients of a notice, without duplicates, with the reason.
fn addressees(
    tx: &WriteTx<'_>,
    notice: &Notice,
) -> Result<Vec<(AccountId, WatchReason)>, StoreError> {
    let watching = match notice.watchers {
        true => queries::watchers(tx, notice.about)?,
        false => Vec::new(),
    };
    let named = notice.to.iter().map(|account| (*account, WatchReason::Addressed));
    let watching = watching.into_iter().filter(|(account, _)| !notice.except.contains(account));
    let mut found = Vec::new();
    for (account, why) in named.chain(watching) {
        add(tx, notice, &mut found, (account, why))?;
    }
    let admins = match notice.admins {
        Admins::No => false,
        Admins::IfNobody => found.is_empty(),
        Admins::Always => true,
    };
    if admins {
        for account in queries::admins(tx)? {
            add(tx, notice, &mut found, (account, WatchReason::Admin))?;
        }
    }
    Ok(found)
}

/// Adds a recipient, unless they are the actor, have left or have no access.
fn add(
    tx: &WriteTx<'_>,
    notice: &Notice,
    found: &mut Vec<(AccountId, WatchReason)>,
    (account, why): (AccountId, WatchReason),
) -> Result<(), StoreError> {
    let known = found.iter().any(|(one, _)| *one == account);
    if known || tx.by().account() == Some(account) {
        return Ok(());
    }
    if let Some(member) = workspace::member(tx, account)?
        && queries::may_know(tx, notice.about, &member)?
    {
        found.push((account, why));
    }
    Ok(())
}

/// Writes one person's row: a new one, or merged into a recent one. None if all channels are off.
fn tell(
    tx: &mut WriteTx<'_>,
    notification: &Notification,
    member: AccountId,
    why: WatchReason,
) -> Result<Option<Recipient>, StoreError> {
    let ways = queries::choices(tx, member)?.of(notification.kind);
    if ways == Ways::default() {
        return Ok(None);
    }
    let since = notification.at - TOGETHER;
    if let Some(mut row) = queries::joins(tx, notification, member, since)? {
        row.count += 1;
        (row.last, row.at, row.read_at) = (notification.id, notification.at, None);
        tx.put(&row)?;
        return Ok(Some(row));
    }
    let row = Recipient {
        member,
        first: notification.id,
        last: notification.id,
        kind: notification.kind,
        about: notification.about,
        count: 1,
        why,
        at: notification.at,
        read_at: None,
        // With the list off, a hidden row still serves the other channels.
        dismissed_at: (!ways.app).then_some(notification.at),
        snoozed_until: None,
    };
    tx.put(&row)?;
    Ok(Some(row))
}

/// A person's action on a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Read,
    Unread,
    Dismissed,
    Restored,
    Snoozed(Timestamp),
}

/// Applies an action to a row of the actor.
///
/// # Errors
/// If there is no such row or the snooze time is out of range.
pub fn mark(
    tx: &mut WriteTx<'_>,
    first: NotificationId,
    mark: Mark,
) -> Result<Recipient, NotificationError> {
    let member = tx.by().account().ok_or(NotificationError::NoPerson)?;
    let mut row = queries::row(tx, member, first)?.ok_or(NotificationError::NotFound)?;
    let now = tx.now();
    match mark {
        Mark::Read => row.read_at = row.read_at.or(Some(now)),
        Mark::Unread => row.read_at = None,
        Mark::Dismissed => {
            row.dismissed_at = row.dismissed_at.or(Some(now));
            row.read_at = row.read_at.or(Some(now));
        }
        Mark::Restored => (row.dismissed_at, row.snoozed_until) = (None, None),
        Mark::Snoozed(until) => {
            if until <= now || now + LONGEST_SNOOZE < until {
                return Err(NotificationError::BadTime);
            }
            (row.snoozed_until, row.read_at, row.dismissed_at) = (Some(until), None, None);
        }
    }
    tx.put(&row)?;
    Ok(row)
}

/// Marks up to `limit` of the actor's matching unread rows as read, including rows newer than the page. Returns their
/// number and the time.
///
/// # Errors
/// If the actor is no person.
pub fn read_all(
    tx: &mut WriteTx<'_>,
    wanted: queries::Wanted,
    limit: usize,
) -> Result<(usize, Timestamp), NotificationError> {
    let member = tx.by().account().ok_or(NotificationError::NoPerson)?;
    let now = tx.now();
    let wanted = queries::Wanted { unread: true, ..wanted };
    let (rows, _) = queries::list(tx, (member, now), wanted, (None, limit))?;
    let count = rows.len();
    for mut row in rows {
        row.read_at = Some(now);
        tx.put(&row)?;
    }
    Ok((count, now))
}

/// Reverts a "mark all as read": up to `limit` of the actor's rows that were read between two moments, starting at a
/// cursor. Returns the next cursor.
///
/// # Errors
/// If the actor is no person.
pub fn unread_again(
    tx: &mut WriteTx<'_>,
    (from, to): (Timestamp, Timestamp),
    (after, limit): (Option<&[u8]>, usize),
) -> Result<Option<Vec<u8>>, NotificationError> {
    let member = tx.by().account().ok_or(NotificationError::NoPerson)?;
    let of = (member, tx.now());
    let (rows, next) = queries::list(tx, of, queries::Wanted::default(), (after, limit))?;
    for mut row in rows {
        if row.read_at.is_some_and(|at| (from..=to).contains(&at)) {
            row.read_at = None;
            tx.put(&row)?;
        }
    }
    Ok(next)
}

/// Replaces the actor's notification preferences.
///
/// # Errors
/// If the hour is invalid.
pub fn choose(tx: &mut WriteTx<'_>, chosen: Choices) -> Result<Choices, NotificationError> {
    let member = tx.by().account().ok_or(NotificationError::NoPerson)?;
    if 23 < chosen.digest_hour {
        return Err(NotificationError::BadHour);
    }
    let chosen = Choices { member, ..chosen };
    tx.put(&chosen)?;
    Ok(chosen)
}

/// Ends snoozes that are due. Returns their number.
pub fn end_snoozes(tx: &mut WriteTx<'_>, limit: usize) -> Result<usize, NotificationError> {
    let now = tx.now();
    let rows = queries::due_snoozes(tx, now, limit)?;
    let count = rows.len();
    for mut row in rows {
        row.at = row.shown_at();
        row.snoozed_until = None;
        tx.put(&row)?;
    }
    Ok(count)
}

/// Makes the actor follow a subject.
///
/// # Errors
/// If the subject does not exist or cannot be followed.
pub fn follow(tx: &mut WriteTx<'_>, about: About) -> Result<(), NotificationError> {
    let member = tx.by().account().ok_or(NotificationError::NoPerson)?;
    watchable(tx, about)?;
    let now = queries::following(tx, about, member)?;
    if now.on {
        return Ok(());
    }
    if queries::watches_by_record(tx, about, member)? {
        // Following by the record needs no row. Deleting the row also unmutes.
        tx.delete::<Watch>((about, member))?;
        return Ok(());
    }
    let reason = now.reason.unwrap_or(WatchReason::Chosen);
    tx.put(&Watch { about, member, reason, muted: false, since: tx.now() })?;
    Ok(())
}

/// Mutes a subject for the actor. Mentions still notify.
///
/// # Errors
/// If the subject does not exist or cannot be followed.
pub fn unfollow(tx: &mut WriteTx<'_>, about: About) -> Result<(), NotificationError> {
    let member = tx.by().account().ok_or(NotificationError::NoPerson)?;
    watchable(tx, about)?;
    let Some(reason) = queries::following(tx, about, member)?.reason else { return Ok(()) };
    tx.put(&Watch { about, member, reason, muted: true, since: tx.now() })?;
    Ok(())
}

fn watchable(tx: &WriteTx<'_>, about: About) -> Result<(), NotificationError> {
    let there = match about {
        About::Task(id) => tx.get::<Task>(id)?.is_some(),
        _ => false,
    };
    if there { Ok(()) } else { Err(NotificationError::NotWatchable) }
}

/// Makes a member follow a subject, unless they already follow or muted it.
pub fn note_watch(
    tx: &mut WriteTx<'_>,
    about: About,
    member: AccountId,
    reason: WatchReason,
) -> Result<(), NotificationError> {
    let known = tx.get::<Watch>((about, member))?.is_some();
    if known || queries::watches_by_record(tx, about, member)? {
        return Ok(());
    }
    tx.put(&Watch { about, member, reason, muted: false, since: tx.now() })?;
    Ok(())
}
