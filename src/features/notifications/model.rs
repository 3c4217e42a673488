//! Records of notifications. A released layout is frozen: add `…V1`, raise `VERSION`.
//!
//! None of them refers to what it is about: a task that an undo takes away must not be held by those
//! who follow it. What leads nowhere goes with the retention.

pub mod sending;

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{
    About, AccountId, Actor, NoticeKind, NotificationId, Part, TaskId, Timestamp, TypedId,
    WatchReason,
};
use store::{Class, Index, Keys, Record, Root, Table};

/// Who follows what, or does not want to.
pub const WATCHES: Table = Table::new(235, "watches");
/// A member, then what they follow.
pub const WATCH_BY_MEMBER: Index = Index::multi(236, "watches_by_member");
pub const NOTIFICATIONS: Table = Table::new(238, "notifications");
/// What it is about, then its kind, then its time.
pub const NOTIFICATION_BY_ABOUT: Index = Index::multi(239, "notifications_by_about");
/// What reached whom.
pub const RECIPIENTS: Table = Table::new(240, "notification_recipients");
/// A member, then when it is shown: what was not dismissed.
pub const RECIPIENT_SHOWN: Index = Index::multi(241, "notification_recipients_shown");
/// A member, then when it is shown: what was neither read nor dismissed.
pub const RECIPIENT_UNREAD: Index = Index::multi(242, "notification_recipients_unread");
/// When something that was put off comes back.
pub const RECIPIENT_SNOOZED: Index = Index::multi(247, "notification_recipients_snoozed");
/// What a person chose of all this; also what the pages of that person listen to.
pub const CHOICES: Table = Table::new(243, "notification_choices");
/// What is still to be told to many.
pub const FANOUTS: Table = Table::new(248, "notification_fanouts");

/// Somebody follows something for a reason that no other record tells, or does not want to hear of it.
/// Who made a task, has it, or manages its agent follows it without a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    pub about: About,
    pub member: AccountId,
    pub reason: WatchReason,
    /// Whether they chose not to hear of it.
    pub muted: bool,
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
}

impl Record for Watch {
    type Id = (About, AccountId);
    const TABLE: Table = WATCHES;
    // Whom something reaches is theirs to say: nobody's undo changes it.
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

/// What happened, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub id: NotificationId,
    /// What kind of thing.
    pub kind: NoticeKind,
    /// What it leads to.
    pub about: About,
    /// Who did it.
    pub actor: Actor,
    /// One line.
    pub title: String,
    /// More words, or nothing.
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

/// What reached one person. What happens to the same thing within minutes is one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub member: AccountId,
    /// What happened first; with the member it is the row's key.
    pub first: NotificationId,
    /// What happened last, which is shown.
    pub last: NotificationId,
    /// What kind of thing.
    pub kind: NoticeKind,
    /// What it leads to.
    pub about: About,
    /// How many times.
    pub count: u32,
    /// Why this person.
    pub why: WatchReason,
    /// When it happened last.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// When they read it.
    #[serde(with = "millisecond::optional")]
    pub read_at: Option<Timestamp>,
    /// When they put it away.
    #[serde(with = "millisecond::optional")]
    pub dismissed_at: Option<Timestamp>,
    /// Until when they put it off.
    #[serde(with = "millisecond::optional")]
    pub snoozed_until: Option<Timestamp>,
}

impl Recipient {
    /// When it is shown: when it happened, or when it comes back.
    #[must_use]
    pub fn shown_at(&self) -> Timestamp {
        self.snoozed_until.map_or(self.at, |until| until.max(self.at))
    }
}

impl Record for Recipient {
    type Id = (AccountId, NotificationId);
    const TABLE: Table = RECIPIENTS;
    // Reading something is not undone with what caused it.
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
}

/// What a person chose. A row that is not there is that of the defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    pub member: AccountId,
    /// By group, where it is not the default.
    pub groups: Vec<(kernel::NoticeGroup, Ways)>,
    /// By kind, where it is not that of the group.
    pub kinds: Vec<(NoticeKind, Ways)>,
    /// The hour of the day, in the person's zone, at which the email of the day is sent.
    pub digest_hour: u8,
    /// The person's zone when they chose; the workspace's when there is none.
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
        let all = Ways { app: true, push: true, mail: false, digest: true };
        Self {
            member: AccountId::from_bytes([1; 16]),
            groups: vec![(NoticeGroup::Reviews, all)],
            kinds: vec![(NoticeKind::OperationDone, Ways::default())],
            digest_hour: 8,
            zone: Some("Europe/Berlin".into()),
        }
    }
}

/// What is still to be told to many: a consumer goes on with it, a page at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fanout {
    pub notification: NotificationId,
    /// Who is left, and why they hear of it.
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
