//! Records of outgoing deliveries: mail and push, their targets and credentials.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crypto::keyring::Sealed;
use kernel::key::{Key, KeyBuf};
use kernel::{AccountId, NotificationId, PushId, Timestamp, TypedId};
use store::{Class, Index, Keys, Record, Table};

/// Pending and failed deliveries.
pub const DELIVERIES: Table = Table::new(249, "deliveries");
/// Time of the next attempt.
pub const DELIVERY_DUE: Index = Index::multi(237, "deliveries_due");
/// Push subscriptions (`system.redb`).
pub const PUSHES: Table = Table::new(244, "push_subscriptions");
pub const MAIL: Table = Table::new(245, "mail_settings");
/// Sealed secrets: mail password and VAPID key.
pub const SECRETS: Table = Table::new(246, "notification_secrets");

/// Name of the mail password.
pub const MAIL_PASSWORD: &str = "mail_password";
/// Name of the VAPID key (`system.redb`).
pub const VAPID: &str = "vapid";

/// A delivery channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Out {
    Push = 0,
    /// Immediate mail.
    Mail = 1,
    /// Daily digest.
    Digest = 2,
}

impl Key for Out {
    fn encode(&self, out: &mut KeyBuf) {
        out.u8(*self as u8);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Some(Self::Push),
            1 => Some(Self::Mail),
            2 => Some(Self::Digest),
            _ => None,
        }
    }
}

/// Member, channel and row. The digest uses [`no_row`].
pub type DeliveryKey = (AccountId, (Out, NotificationId));

/// Row id of the digest.
#[must_use]
pub fn no_row() -> NotificationId {
    NotificationId::from_bytes([0; 16])
}

/// A delivery to a person. Deleted once sent; kept for a while after a permanent failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub member: AccountId,
    pub out: Out,
    /// Row id, or [`no_row`] for the digest.
    pub row: NotificationId,
    /// Rows that it reports.
    pub rows: Vec<NotificationId>,
    /// Time of the next attempt.
    #[serde(with = "millisecond::required")]
    pub due_at: Timestamp,
    pub tries: u32,
    pub last_error: Option<String>,
    /// Time of the permanent failure.
    #[serde(with = "millisecond::optional")]
    pub gave_up_at: Option<Timestamp>,
}

impl Record for Delivery {
    type Id = DeliveryKey;
    const TABLE: Table = DELIVERIES;
    // Undo cannot unsend.
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[DELIVERY_DUE];
    fn id(&self) -> DeliveryKey {
        (self.member, (self.out, self.row))
    }
    fn index(&self, keys: &mut Keys) {
        if self.gave_up_at.is_none() {
            keys.entry(DELIVERY_DUE).part(self.due_at);
        }
    }
    fn sample() -> Self {
        Self {
            member: AccountId::from_bytes([1; 16]),
            out: Out::Mail,
            row: NotificationId::from_bytes([8; 16]),
            rows: vec![NotificationId::from_bytes([8; 16])],
            due_at: kernel::time::from_ms(1_700_000_000_000),
            tries: 1,
            last_error: Some("timed out".into()),
            gave_up_at: None,
        }
    }
}

/// A browser's push subscription, for all workspaces of its account. The endpoint is a capability: never display it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSubscription {
    pub account: AccountId,
    pub id: PushId,
    /// URL at the push service.
    pub endpoint: String,
    /// Public key of the browser.
    pub p256dh: String,
    /// Shared authentication secret.
    pub auth: String,
    /// User agent.
    pub agent: String,
    #[serde(with = "millisecond::required")]
    pub made_at: Timestamp,
}

impl Record for PushSubscription {
    type Id = (AccountId, PushId);
    const TABLE: Table = PUSHES;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> (AccountId, PushId) {
        (self.account, self.id)
    }
    fn sample() -> Self {
        Self {
            account: AccountId::from_bytes([1; 16]),
            id: PushId::from_bytes([3; 16]),
            endpoint: "https://push.example/abc".into(),
            p256dh: "BCVx".into(),
            auth: "BTBZ".into(),
            agent: "Firefox on Linux".into(),
            made_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}

/// How the connection to a mail server is kept secret.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MailSecrecy {
    /// TLS from the first byte.
    #[default]
    Tls,
    /// TLS after a first word in the open.
    StartTls,
    /// None.
    Open,
}

impl MailSecrecy {
    pub const ALL: [Self; 3] = [Self::Tls, Self::StartTls, Self::Open];

    /// The form and API word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "start_tls",
            Self::Open => "open",
        }
    }
}

/// Mail server settings (one row). Without it no mail is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailSettings {
    pub host: String,
    pub port: u16,
    pub secrecy: MailSecrecy,
    /// User name, or empty.
    pub user: String,
    /// Sender address.
    pub from: String,
}

impl Record for MailSettings {
    type Id = ();
    const TABLE: Table = MAIL;
    const CLASS: Class = Class::Tracked;
    // The password belongs to this server.
    const TOGETHER: &'static [&'static [&'static str]] = &[&["host", "port", "secrecy", "user"]];
    fn id(&self) {}
    fn sample() -> Self {
        Self {
            host: "mail.marlow.example".into(),
            port: 465,
            secrecy: MailSecrecy::Tls,
            user: "hq".into(),
            from: "HQ <hq@marlow.example>".into(),
        }
    }
}

/// A sealed secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeSecret {
    pub name: String,
    /// The value, sealed with the master key.
    pub sealed: Sealed,
}

impl Record for NoticeSecret {
    type Id = String;
    const TABLE: Table = SECRETS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> String {
        self.name.clone()
    }
    fn sample() -> Self {
        Self { name: VAPID.into(), sealed: Sealed::from_stored("enc:v2:00000000:a.b.c") }
    }
}
