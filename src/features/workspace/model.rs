//! Records of the workspace itself. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::connections::model::Connection;
use crypto::token::TokenHash;
use kernel::key::{Key, KeyBuf};
use kernel::{AccountId, Colour, ConnectionId, InviteId, Role, Timestamp, TypedId, WorkspaceId};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Table, codec};

/// Default maximum cost of a run, in micro-dollars: two dollars.
pub const RUN_CAP_MICROS: i64 = 2_000_000;

/// Settings of the workspace (one row).
pub const SETTINGS: Table = Table::new(16, "settings");
pub const MEMBERS: Table = Table::new(17, "members");
/// Handle of a member. Agents' slugs share this namespace by rule.
pub const MEMBER_BY_HANDLE: Index = Index::unique(18, "members_by_handle");
/// Sequence counters.
pub const COUNTERS: Table = Table::new(19, "counters");

pub const INVITES: Table = Table::new(26, "invites");
/// Public part of the token.
pub const INVITE_BY_PUBLIC: Index = Index::unique(27, "invites_by_public");
/// Token hashes of open invitations.
pub const INVITE_SECRETS: Table = Table::new(28, "invite_hashes");
/// Membership rules (one row).
pub const PEOPLE: Table = Table::new(29, "people");
/// Brand colour (one row).
pub const BRAND: Table = Table::new(48, "brand");
/// Unfinished handovers between members.
pub const HANDOVERS: Table = Table::new(32, "handovers");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Identifies a moved data folder.
    pub id: WorkspaceId,
    pub name: String,
    pub emoji: String,
    /// Prefix of task numbers, two to five letters.
    pub task_key: String,
    /// Former prefixes. They resolve for ever.
    pub old_task_keys: Vec<String>,
    /// IANA time zone.
    pub zone: String,
    /// Connection of agents without their own.
    pub default_connection: Option<ConnectionId>,
    /// Model of agents without their own.
    pub default_model: Option<String>,
    /// Monthly budget in micro-dollars.
    pub budget_micros: Option<i64>,
    /// Maximum cost of a run in micro-dollars.
    pub run_cap_micros: i64,
    /// Whether a person's comment reaches the task's agent without a mention.
    pub comments_reach_assignee: bool,
    /// Whether `exec` may run on a host without Landlock.
    pub exec_without_jail: bool,
    /// Words of the disabled modules.
    pub without: Vec<String>,
    /// Connection of the model that reviews requests in Auto mode.
    pub reviewer_connection: Option<ConnectionId>,
    /// Model of the reviewer. Without one, people are asked.
    pub reviewer_model: Option<String>,
}

/// The layout before the reviewer.
#[derive(Deserialize)]
struct SettingsV2 {
    id: WorkspaceId,
    name: String,
    emoji: String,
    task_key: String,
    old_task_keys: Vec<String>,
    zone: String,
    default_connection: Option<ConnectionId>,
    default_model: Option<String>,
    budget_micros: Option<i64>,
    run_cap_micros: i64,
    comments_reach_assignee: bool,
    exec_without_jail: bool,
    without: Vec<String>,
}

impl From<SettingsV2> for Settings {
    fn from(old: SettingsV2) -> Self {
        Self {
            id: old.id,
            name: old.name,
            emoji: old.emoji,
            task_key: old.task_key,
            old_task_keys: old.old_task_keys,
            zone: old.zone,
            default_connection: old.default_connection,
            default_model: old.default_model,
            budget_micros: old.budget_micros,
            run_cap_micros: old.run_cap_micros,
            comments_reach_assignee: old.comments_reach_assignee,
            exec_without_jail: old.exec_without_jail,
            without: old.without,
            reviewer_connection: None,
            reviewer_model: None,
        }
    }
}

#[derive(Deserialize)]
struct SettingsV1 {
    id: WorkspaceId,
    name: String,
    emoji: String,
    task_key: String,
    old_task_keys: Vec<String>,
    zone: String,
    default_connection: Option<ConnectionId>,
    default_model: Option<String>,
    budget_micros: Option<i64>,
    run_cap_micros: i64,
    comments_reach_assignee: bool,
    exec_without_jail: bool,
}

impl From<SettingsV1> for SettingsV2 {
    fn from(old: SettingsV1) -> Self {
        Self {
            id: old.id,
            name: old.name,
            emoji: old.emoji,
            task_key: old.task_key,
            old_task_keys: old.old_task_keys,
            zone: old.zone,
            default_connection: old.default_connection,
            default_model: old.default_model,
            budget_micros: old.budget_micros,
            run_cap_micros: old.run_cap_micros,
            comments_reach_assignee: old.comments_reach_assignee,
            exec_without_jail: old.exec_without_jail,
            without: Vec::new(),
        }
    }
}

impl Record for Settings {
    type Id = ();
    const TABLE: Table = SETTINGS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 3;
    const TOGETHER: &'static [&'static [&'static str]] = &[
        &["default_connection", "default_model"],
        &["task_key", "old_task_keys"],
        &["reviewer_connection", "reviewer_model"],
    ];
    fn id(&self) {}
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, self.default_connection, OnDelete::Clear);
        refs.to::<Connection>(2, self.reviewer_connection, OnDelete::Clear);
    }
    fn clear(&mut self, field: u8) {
        match field {
            // A model belongs to its connection. Practice mode applies until a person chooses another.
            1 => (self.default_connection, self.default_model) = (None, None),
            // People are asked instead.
            _ => (self.reviewer_connection, self.reviewer_model) = (None, None),
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<SettingsV1>(body).map(|old| SettingsV2::from(old).into()),
            2 => codec::decode::<SettingsV2>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: SETTINGS.name, version }),
        }
    }
    fn sample() -> Self {
        Self {
            id: WorkspaceId::from_bytes([2; 16]),
            name: "Marlow Cargo".into(),
            emoji: "🚲".into(),
            task_key: "MC".into(),
            old_task_keys: vec!["HQ".into()],
            zone: "Europe/Berlin".into(),
            default_connection: Some(ConnectionId::from_bytes([7; 16])),
            default_model: Some("practice-1".into()),
            budget_micros: Some(150_000_000),
            run_cap_micros: RUN_CAP_MICROS,
            comments_reach_assignee: true,
            exec_without_jail: false,
            without: vec!["collections".into()],
            reviewer_connection: None,
            reviewer_model: None,
        }
    }
}

/// A current or former member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Account in `system.redb`.
    pub account: AccountId,
    pub name: String,
    /// Name for `@` and tools.
    pub handle: String,
    pub email: String,
    pub role: Role,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub left_at: Option<Timestamp>,
}

impl Record for Member {
    type Id = AccountId;
    const TABLE: Table = MEMBERS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[MEMBER_BY_HANDLE];
    fn id(&self) -> AccountId {
        self.account
    }
    fn index(&self, keys: &mut Keys) {
        if self.left_at.is_none() {
            keys.entry(MEMBER_BY_HANDLE).text(&self.handle);
        }
    }
    fn sample() -> Self {
        Self {
            account: AccountId::from_bytes([1; 16]),
            name: "Mira Lang".into(),
            handle: "mira".into(),
            email: "mira@marlow.example".into(),
            role: Role::Owner,
            created_at: kernel::time::from_ms(1_700_000_000_000),
            left_at: None,
        }
    }
}

/// An invitation: a link that makes its bearer a member, once. The row stays after use or withdrawal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    pub id: InviteId,
    /// Public part of the token.
    pub public: String,
    /// Role of the new member.
    pub role: Role,
    /// Bound address in lower case.
    pub email: Option<String>,
    pub by: AccountId,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub expires_at: Timestamp,
    /// Time of use or withdrawal.
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
    pub used_by: Option<AccountId>,
}

impl Record for Invite {
    type Id = InviteId;
    const TABLE: Table = INVITES;
    // An undo must not restore access.
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[INVITE_BY_PUBLIC];
    fn id(&self) -> InviteId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.ended_at.is_none() {
            keys.entry(INVITE_BY_PUBLIC).text(&self.public);
        }
    }
    fn sample() -> Self {
        Self {
            id: InviteId::from_bytes([5; 16]),
            public: "7c4n8t2q".into(),
            role: Role::Member,
            email: Some("tom@marlow.example".into()),
            by: AccountId::from_bytes([1; 16]),
            created_at: kernel::time::from_ms(1_700_000_000_000),
            expires_at: kernel::time::from_ms(1_700_259_200_000),
            ended_at: Some(kernel::time::from_ms(1_700_001_000_000)),
            used_by: Some(AccountId::from_bytes([6; 16])),
        }
    }
}

/// Token hash of an open invitation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteSecret {
    pub invite: InviteId,
    pub hash: TokenHash,
}

impl Record for InviteSecret {
    type Id = InviteId;
    const TABLE: Table = INVITE_SECRETS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> InviteId {
        self.invite
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Invite>(1, Some(self.invite), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { invite: InviteId::from_bytes([5; 16]), hash: TokenHash::of(b"sample") }
    }
}

/// An unfinished handover of a member's work. Continued at the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    pub from: AccountId,
    pub to: AccountId,
    #[serde(with = "millisecond::required")]
    pub began_at: Timestamp,
}

impl Record for Handover {
    type Id = AccountId;
    const TABLE: Table = HANDOVERS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> AccountId {
        self.from
    }
    fn sample() -> Self {
        Self {
            from: AccountId::from_bytes([6; 16]),
            to: AccountId::from_bytes([1; 16]),
            began_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}

/// Membership rules (one row).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// Whether owners and admins must have a second factor before they do anything.
    pub factor_for_admins: bool,
}

impl Record for People {
    type Id = ();
    const TABLE: Table = PEOPLE;
    const CLASS: Class = Class::Tracked;
    fn id(&self) {}
    fn sample() -> Self {
        Self { factor_for_admins: true }
    }
}

/// Brand colour (one row). Without it, pages have HQ's own accents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brand {
    pub colour: Colour,
}

impl Record for Brand {
    type Id = ();
    const TABLE: Table = BRAND;
    const CLASS: Class = Class::Tracked;
    fn id(&self) {}
    fn sample() -> Self {
        Self { colour: Colour::Own([0x1f, 0x7a, 0x5c]) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Counting {
    Tasks = 0,
    Runs = 1,
    Jobs = 2,
}

impl Key for Counting {
    fn encode(&self, out: &mut KeyBuf) {
        out.u8(*self as u8);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Some(Self::Tasks),
            1 => Some(Self::Runs),
            2 => Some(Self::Jobs),
            _ => None,
        }
    }
}

/// Last allocated number. `Local`: an undo never takes a number back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    pub counting: Counting,
    pub last: u32,
}

impl Record for Counter {
    type Id = Counting;
    const TABLE: Table = COUNTERS;
    const CLASS: Class = Class::Local;
    fn id(&self) -> Counting {
        self.counting
    }
    fn sample() -> Self {
        Self { counting: Counting::Runs, last: 2291 }
    }
}
