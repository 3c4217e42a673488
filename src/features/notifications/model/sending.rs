//! Records of what goes out: letters and push messages, where they go, and what opens the doors there.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crypto::keyring::Sealed;
use kernel::key::{Key, KeyBuf};
use kernel::{AccountId, NotificationId, PushId, Timestamp, TypedId};
use store::{Class, Index, Keys, Record, Table};

/// What is to be sent.
pub const DELIVERIES: Table = Table::new(249, "deliveries");
/// When it is to be tried.
pub const DELIVERY_DUE: Index = Index::multi(237, "deliveries_due");
/// Browsers that are told (`system.redb`).
pub const PUSHES: Table = Table::new(244, "push_subscriptions");
/// How letters are sent.
pub const MAIL: Table = Table::new(245, "mail_settings");
/// What is kept sealed: the password of the mail server, the key that signs push messages.
pub const SECRETS: Table = Table::new(246, "notification_secrets");

/// The name of the mail server's password.
pub const MAIL_PASSWORD: &str = "mail_password";
/// The name of the key that signs push messages (`system.redb`).
pub const VAPID: &str = "vapid";

/// A way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Out {
    /// To the browsers of the person.
    Push = 0,
    /// As a letter, at once.
    Mail = 1,
    /// In the letter of the day.
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

/// The key of what is to be sent: who, how, which row. The letter of the day has [`no_row`].
pub type DeliveryKey = (AccountId, (Out, NotificationId));

/// In place of a row, for the letter of the day.
#[must_use]
pub fn no_row() -> NotificationId {
    NotificationId::from_bytes([0; 16])
}

/// Something that is to be sent to a person. It goes when it was; what was given up stays for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// To whom.
    pub member: AccountId,
    pub out: Out,
    /// The row, or none of them for the letter of the day.
    pub row: NotificationId,
    /// The rows that it tells of.
    pub rows: Vec<NotificationId>,
    /// When it is to be tried.
    #[serde(with = "millisecond::required")]
    pub due_at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Since when nobody tries any more.
    #[serde(with = "millisecond::optional")]
    pub gave_up_at: Option<Timestamp>,
}

impl Record for Delivery {
    type Id = DeliveryKey;
    const TABLE: Table = DELIVERIES;
    // What was sent was sent.
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

/// A browser that is told of what happens, in all workspaces of its person. Who knows the address may
/// send there: it is shown to nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSubscription {
    pub account: AccountId,
    pub id: PushId,
    /// The address at its push service.
    pub endpoint: String,
    /// Its public key.
    pub p256dh: String,
    /// What only it and this server know.
    pub auth: String,
    /// What kind of browser it is.
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

    /// The word in forms.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "start_tls",
            Self::Open => "open",
        }
    }
}

/// How letters are sent (one row); without it none are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailSettings {
    /// The name of the server.
    pub host: String,
    pub port: u16,
    /// How the connection is kept secret.
    pub secrecy: MailSecrecy,
    /// The name that it knows us by, or nothing.
    pub user: String,
    /// From whom letters are.
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

/// Something sealed.
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
