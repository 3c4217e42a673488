//! Notification records. A released layout is frozen: add `…V1`, raise `VERSION`.
//!
//! No record references its subject: watchers of a task must not prevent an undo from removing it. Dangling rows are
//! removed by the retention.

pub mod sending;

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{
    About, AccountId, Actor, NoticeKind, NotificationId, Part, TaskId, Timestamp, TypedId,
    WatchReason,
};
use store::{Class, Index, Keys, Record, Root, Table};

/// Explicit watches and mutes.
pub const WATCHES: Table = Table::new(235, "watches");
/// Member, then subject.
pub const WATCH_BY_MEMBER: Index = Index::multi(236, "watches_by_member");
pub const NOTIFICATIONS: Table = Table::new(238, "notifications");
/// Subject, then kind, then time.
pub const NOTIFICATION_BY_ABOUT: Index = Index::multi(239, "notifications_by_about");
/// Notifications per person.
pub const RECIPIENTS: Table = Table::new(240, "notification_recipients");
/// Member, then display time. Excludes dismissed rows.
pub const RECIPIENT_SHOWN: Index = Index::multi(241, "notification_recipients_shown");
/// Member, then display time. Excludes read and dismissed rows.
pub const RECIPIENT_UNREAD: Index = Index::multi(242, "notification_recipients_unread");
/// End of the snooze.
pub const RECIPIENT_SNOOZED: Index = Index::multi(247, "notification_recipients_snoozed");
/// Preferences per person. That person's pages subscribe to this row.
pub const CHOICES: Table = Table::new(243, "notification_choices");
/// Pending recipients of notifications to many people.
pub const FANOUTS: Table = Table::new(248, "notification_fanouts");

/// An explicit watch or mute. The creator and assignee of a task and the managers of its agent follow it without a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    pub about: About,
    pub member: AccountId,
    pub reason: WatchReason,
    pub muted: bool,
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
}

impl Record for Watch {
    type Id = (About, AccountId);
    const TABLE: Table = WATCHES;
    // Undo never changes what a person follows.
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[WATCH_BY_MEMBER];
    fn id(&self) -> (About, AccountId) {
        (self.about, self.member)
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(WATCH_BY_MEMBER).part(self.member);
    }
    fn sample() -> Self {
        Self {
            about: About::Task(TaskId::from_bytes([2; 16])),
            member: AccountId::from_bytes([1; 16]),
            reason: WatchReason::Commenter,
            muted: false,
            since: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}

/// One event to notify people of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub id: NotificationId,
    pub kind: NoticeKind,
    /// Link target.
    pub about: About,
    pub actor: Actor,
    /// One line.
    pub title: String,
    /// Further text, or empty.
    pub body: String,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for Notification {
    type Id = NotificationId;
    const TABLE: Table = NOTIFICATIONS;
    const CLASS: Class = Class::Log;
    const INDEXES: &'static [Index] = &[NOTIFICATION_BY_ABOUT];
    fn id(&self) -> NotificationId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(NOTIFICATION_BY_ABOUT).part(self.about).u8(self.kind as u8).part(self.at);
    }
    fn sample() -> Self {
        Self {
            id: NotificationId::from_bytes([8; 16]),
            kind: NoticeKind::TaskCompleted,
            about: About::Task(TaskId::from_bytes([2; 16])),
            actor: Actor::System(Part::Engine),
            title: "Ada completed MC-142".into(),
            body: "Compare leasing prices".into(),
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}

/// A notification of one person. Events about the same subject within minutes share a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub member: AccountId,
    /// First notification of the row. Part of the key.
    pub first: NotificationId,
    /// Latest notification of the row, which is displayed.
    pub last: NotificationId,
    pub kind: NoticeKind,
    /// Link target.
    pub about: About,
    /// Number of merged notifications.
    pub count: u32,
    pub why: WatchReason,
    /// Time of the latest notification.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub read_at: Option<Timestamp>,
    #[serde(with = "millisecond::optional")]
    pub dismissed_at: Option<Timestamp>,
    #[serde(with = "millisecond::optional")]
    pub snoozed_until: Option<Timestamp>,
}

impl Recipient {
    /// Display time: the time of the event, or the end of the snooze if later.
    #[must_use]
    pub fn shown_at(&self) -> Timestamp {
        self.snoozed_until.map_or(self.at, |until| until.max(self.at))
    }

    /// Returns `true` if the row is displayed at `now`: neither dismissed nor snoozed.
    #[must_use]
    pub fn is_shown(&self, now: Timestamp) -> bool {
        self.dismissed_at.is_none() && self.shown_at() <= now
    }
}

impl Record for Recipient {
    type Id = (AccountId, NotificationId);
    const TABLE: Table = RECIPIENTS;
    // Undoing the cause does not undo reading.
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[RECIPIENT_SHOWN, RECIPIENT_UNREAD, RECIPIENT_SNOOZED];
    fn id(&self) -> (AccountId, NotificationId) {
        (self.member, self.first)
    }
    fn index(&self, keys: &mut Keys) {
        if self.dismissed_at.is_some() {
            return;
        }
        keys.entry(RECIPIENT_SHOWN).part(self.member).part(self.shown_at());
        if self.read_at.is_none() {
            keys.entry(RECIPIENT_UNREAD).part(self.member).part(self.shown_at());
        }
        if let Some(until) = self.snoozed_until {
            keys.entry(RECIPIENT_SNOOZED).part(until);
        }
    }
    fn root(&self) -> Root {
        Root::of::<Choices>(self.member)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            member: AccountId::from_bytes([1; 16]),
            first: NotificationId::from_bytes([8; 16]),
            last: NotificationId::from_bytes([9; 16]),
            kind: NoticeKind::TaskCompleted,
            about: About::Task(TaskId::from_bytes([2; 16])),
            count: 2,
            why: WatchReason::Creator,
            at,
            read_at: None,
            dismissed_at: None,
            snoozed_until: Some(at),
        }
    }
}

/// By which ways something reaches a person.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Ways {
    /// In the list of notifications.
    pub app: bool,
    /// On the devices that were allowed to tell, at once.
    pub push: bool,
    /// As an email, at once.
    pub mail: bool,
    /// In the email of the day.
    pub digest: bool,
    /// As a message in the direct chat with an agent's bot, at once.
    #[serde(default)]
    pub channel: bool,
}

/// Notification preferences of a person. Without a row the defaults apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    pub member: AccountId,
    /// Overrides of the defaults, by group.
    pub groups: Vec<(kernel::NoticeGroup, Ways)>,
    /// Overrides of the group, by kind.
    pub kinds: Vec<(NoticeKind, Ways)>,
    /// Hour of the daily digest, in the person's zone.
    pub digest_hour: u8,
    /// The person's zone at the time of choosing. `None` means that of the workspace.
    pub zone: Option<String>,
}

impl Record for Choices {
    type Id = AccountId;
    const TABLE: Table = CHOICES;
    const CLASS: Class = Class::Work;
    fn id(&self) -> AccountId {
        self.member
    }
    fn sample() -> Self {
        use kernel::NoticeGroup;
        let all = Ways { app: true, push: true, mail: false, digest: true, channel: true };
        Self {
            member: AccountId::from_bytes([1; 16]),
            groups: vec![(NoticeGroup::Reviews, all)],
            kinds: vec![(NoticeKind::OperationDone, Ways::default())],
            digest_hour: 8,
            zone: Some("Europe/Berlin".into()),
        }
    }
}

/// Pending recipients of a notification. A consumer handles one page at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fanout {
    pub notification: NotificationId,
    /// Pending recipients with the reason.
    pub left: Vec<(AccountId, WatchReason)>,
}

impl Record for Fanout {
    type Id = NotificationId;
    const TABLE: Table = FANOUTS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> NotificationId {
        self.notification
    }
    fn sample() -> Self {
        Self {
            notification: NotificationId::from_bytes([8; 16]),
            left: vec![(AccountId::from_bytes([1; 16]), WatchReason::Admin)],
        }
    }
}
