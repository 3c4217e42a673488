//! Retention of notifications, and reminders of due tasks.

use jiff::SignedDuration;

use crate::notifications::model::{Notification, Recipient, Watch};
use crate::notifications::queries;
use crate::tasks::model::{BY_ASSIGNEE, Task};
use crate::tasks::queries as tasks;
use crate::workspace::model::Member;
use crate::workspace::queries as workspace;
use kernel::key::KeyBuf;
use kernel::{About, AccountId, Assignee, Notice, NoticeKind, TaskStatus};
use store::{Range, ReadExt, StoreError, WriteTx};

use super::{NotificationError, notify, sending};

/// How long notifications are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 90);
/// How long before its due date a task is reminded of.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// Maximum number of reminders per person at once.
const MAX_REMINDED: usize = 50;
/// Maximum number of watches to examine.
const MAX_WATCHES: usize = 20_000;

/// Deletes up to about `limit` old notifications and watches without a subject. Returns `true` if nothing is left to
/// delete.
pub fn forget(tx: &mut WriteTx<'_>, limit: usize) -> Result<bool, NotificationError> {
    let before = tx.now() - KEPT;
    let mut gone = 0;
    // Ids are in creation order, so the oldest come first.
    let members: Vec<Member> = tx.list(&Range::all())?;
    for member in members {
        let range = Range::prefix(KeyBuf::of(&member.account)).limit(limit);
        let rows: Vec<Recipient> = tx.list(&range)?;
        for row in rows.iter().filter(|row| row.shown_at() < before) {
            tx.delete::<Recipient>((row.member, row.first))?;
            gone += 1;
        }
        if limit <= gone {
            return Ok(false);
        }
    }
    let oldest: Vec<Notification> = tx.list(&Range::all().limit(limit))?;
    for one in oldest.iter().take_while(|one| one.at < before) {
        tx.delete::<Notification>(one.id)?;
        gone += 1;
    }
    if limit <= gone {
        return Ok(false);
    }
    let watches: Vec<Watch> = tx.list(&Range::all().limit(MAX_WATCHES))?;
    for watch in watches {
        if let About::Task(task) = watch.about
            && gone < limit
            && tx.get::<Task>(task)?.is_none()
        {
            tx.delete::<Watch>((watch.about, watch.member))?;
            gone += 1;
        }
    }
    sending::forget(tx)?;
    Ok(gone < limit)
}

/// Reminds people of their tasks due within a day, once per due date. Returns the number of reminders.
pub fn remind(tx: &mut WriteTx<'_>) -> Result<usize, NotificationError> {
    let mut count = 0;
    for member in workspace::members(tx)? {
        for task in due_soon(tx, member.account)? {
            let about = About::Task(task.id);
            let Some(due) = task.due_at else { continue };
            let last = queries::last_told(tx, about, NoticeKind::TaskReminder)?;
            if last.is_some_and(|at| due - AHEAD <= at) {
                continue;
            }
            let name = tasks::name(tx, task.number)?;
            let title = format!("{name} \u{201c}{}\u{201d} is due soon", task.title);
            let notice = Notice::new(NoticeKind::TaskReminder, about, title);
            notify(tx, notice.only().to(member.account))?;
            count += 1;
        }
    }
    Ok(count)
}

/// Open tasks of a person that are due within a day.
fn due_soon(tx: &WriteTx<'_>, account: AccountId) -> Result<Vec<Task>, StoreError> {
    let now = tx.now();
    let mut found = Vec::new();
    for status in TaskStatus::ALL.iter().filter(|status| status.is_open()) {
        let mut start = KeyBuf::of(&Assignee::Person(account));
        start.u8(*status as u8);
        let end = start.clone().with(&(now + AHEAD));
        let range = Range::between(start.with(&now), end).limit(MAX_REMINDED);
        found.extend(tx.scan::<Task>(BY_ASSIGNEE, &range)?);
    }
    Ok(found)
}
