//! Notifications for display on the page, in the bell and in mails.

use jiff::tz::TimeZone;

use crate::agents::model::Agent;
use crate::cards;
use crate::connections::model::Connection;
use crate::routines::model::Routine;
use crate::runs::model::Run;
use crate::runs::queries::park;
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::tasks::queries as tasks;
use crate::tasks::queries::people::People;
use kernel::key::KeyBuf;
use kernel::{About, NoticeGroup, NoticeKind, Timestamp, WatchReason};
use store::{Read, ReadExt, StoreError};
use web::parts::Face;
use web::time::RelTime;

use super::super::model::{Notification, Recipient};

#[derive(Clone, Debug)]
pub struct Line {
    /// Id of the row.
    pub id: String,
    /// Face of the actor.
    pub face: Face,
    /// Icon of the kind.
    pub glyph: &'static str,
    /// Colour of the kind.
    pub tone: &'static str,
    /// One line.
    pub title: String,
    /// Further text, or empty.
    pub body: String,
    /// Path below the workspace, or empty.
    pub path: String,
    pub kind: &'static str,
    /// Reason for notifying this person.
    pub why: &'static str,
    pub at: RelTime,
    /// Day heading.
    pub day: String,
    pub unread: bool,
    /// Number of merged notifications, or empty for one.
    pub times: String,
    /// End of the snooze.
    pub until: Option<RelTime>,
    /// Path of the followed task below the workspace, for unfollowing, or empty.
    pub follows: String,
}

/// Display context: names, current time and time zone.
pub struct Lens<'z> {
    pub people: People,
    pub now: Timestamp,
    /// Time zone of the person.
    pub zone: &'z TimeZone,
}

impl<'z> Lens<'z> {
    pub fn new(read: &dyn Read, now: Timestamp, zone: &'z TimeZone) -> Result<Self, StoreError> {
        Ok(Self { people: People::read(read)?, now, zone })
    }

    /// Converts a row. `None` if its notification was deleted.
    pub fn line(&self, read: &dyn Read, row: &Recipient) -> Result<Option<Line>, StoreError> {
        let Some(notice) = read.get::<Notification>(row.last)? else { return Ok(None) };
        let path = path(read, row.about, row.kind)?;
        let followed = matches!(row.about, About::Task(_)) && row.why != WatchReason::Addressed;
        Ok(Some(Line {
            id: row.first.to_string(),
            face: self.people.actor(notice.actor),
            glyph: glyph(row.kind),
            tone: tone(row.kind),
            title: notice.title,
            body: notice.body,
            kind: row.kind.label(),
            why: row.why.label(),
            at: RelTime::new(row.shown_at(), self.now, self.zone),
            day: self.day(row.shown_at()),
            unread: row.read_at.is_none(),
            times: if 1 < row.count { format!("{} times", row.count) } else { String::new() },
            until: row
                .snoozed_until
                .filter(|until| self.now < *until)
                .map(|until| RelTime::new(until, self.now, self.zone)),
            follows: if followed { path.clone() } else { String::new() },
            path,
        }))
    }

    pub fn lines(&self, read: &dyn Read, rows: &[Recipient]) -> Result<Vec<Line>, StoreError> {
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            lines.extend(self.line(read, row)?);
        }
        Ok(lines)
    }

    fn day(&self, at: Timestamp) -> String {
        let today = self.now.to_zoned(self.zone.clone()).date();
        let date = at.to_zoned(self.zone.clone()).date();
        match date {
            date if today < date => "Later".to_owned(),
            date if date == today => "Today".to_owned(),
            date if Some(date) == today.yesterday().ok() => "Yesterday".to_owned(),
            _ => "Earlier".to_owned(),
        }
    }
}

/// Path of a subject below the workspace. Empty if it was deleted.
pub fn path(read: &dyn Read, about: About, kind: NoticeKind) -> Result<String, StoreError> {
    let found = match about {
        About::Workspace => Some(
            match kind {
                NoticeKind::BudgetWarned | NoticeKind::BudgetExceeded => "settings/usage",
                NoticeKind::BackupFailed => "settings/backups",
                NoticeKind::UpdateAvailable => "settings/health",
                _ => "",
            }
            .to_owned(),
        ),
        About::Task(id) => match read.get::<Task>(id)? {
            Some(task) => Some(format!("tasks/{}", tasks::name(read, task.number)?)),
            None => None,
        },
        About::Agent(id) => read.get::<Agent>(id)?.map(|agent| format!("agents/{}", agent.slug)),
        About::Run(id) => match read.get::<Run>(id)? {
            Some(run) => park::browser_of(&read, &run)?.or(Some(format!("runs/{}", run.name()))),
            None => None,
        },
        About::Connection(id) => {
            read.get::<Connection>(id)?.map(|_| "settings/connections".to_owned())
        }
        About::Routine(id) => read.get::<Routine>(id)?.map(|_| format!("routines/{id}")),
        About::Stream(id) => read.get::<Stream>(id)?.map(|_| format!("streams/{id}")),
        About::Row(table, id) => match cards::of_table(table) {
            Some(noun) => {
                noun.get(read, KeyBuf::of(&id).bytes())?.map(|fields| (noun.path)(&fields))
            }
            None => None,
        },
        About::Import(_) | About::Plugin(_) | About::Gateway(_) => None,
    };
    Ok(found.unwrap_or_default())
}

fn glyph(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::TaskCompleted | NoticeKind::OperationDone | NoticeKind::ImportFinished => {
            "check"
        }
        NoticeKind::TaskBlocked => "block",
        NoticeKind::TaskOverdue | NoticeKind::TaskReminder => "clock",
        NoticeKind::TaskAssigned => "user",
        NoticeKind::BlockerResolved => "play",
        _ => match kind.group() {
            NoticeGroup::Questions => "info",
            NoticeGroup::Reviews => "box",
            NoticeGroup::Comments => "comment",
            NoticeGroup::Tasks => "tasks",
            NoticeGroup::System => "warn",
            NoticeGroup::Budget => "chart",
        },
    }
}

fn tone(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::TaskCompleted
        | NoticeKind::OperationDone
        | NoticeKind::GatewayOnline
        | NoticeKind::ImportFinished => "ok",
        NoticeKind::System | NoticeKind::UpdateAvailable => "info",
        NoticeKind::TaskBlocked | NoticeKind::TaskOverdue | NoticeKind::BudgetExceeded => "danger",
        _ => match kind.group() {
            NoticeGroup::Questions | NoticeGroup::Budget => "warn",
            NoticeGroup::Reviews => "info",
            NoticeGroup::Comments | NoticeGroup::Tasks => "brand",
            NoticeGroup::System => "danger",
        },
    }
}

/// Topic of a push message (RFC 8030): a newer message replaces an undelivered one. At most 32 characters.
#[must_use]
pub fn topic(row: &Recipient) -> String {
    row.first.to_string().replace('-', "")
}
