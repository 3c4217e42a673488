//! Typed UUIDv7 ids. The order of ids is the order of creation.

use std::sync::Mutex;

use uuid::{Builder, NoContext, Timestamp as UuidTimestamp, Uuid};

/// The id of one kind of record.
pub trait TypedId: Copy + Eq + Ord + std::fmt::Display + 'static {
    /// Wraps a raw UUID.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The raw UUID.
    fn uuid(self) -> Uuid;
    /// Builds an id from its 16 bytes.
    fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_uuid(Uuid::from_bytes(bytes))
    }
    /// The lowest id of a moment. All ids created at or after it are greater or equal.
    fn first_at(at: crate::Timestamp) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&at.as_millisecond().max(0).to_be_bytes()[2..]);
        Self::from_bytes(bytes)
    }
    /// Eight hexadecimal digits of the random half. Unlike the leading digits, ids of the same minute do not share
    /// them.
    fn short(self) -> String {
        let text = self.uuid().simple().to_string();
        text[24..].to_owned()
    }
}

/// Crates that the expansion of `ids!` refers to in other packages.
#[doc(hidden)]
pub mod made_of {
    pub use schemars;
    pub use serde;
    pub use uuid;
}

/// Defines a distinct id type per kind of record: `ids! { /// A contact. ContactId }`.
#[macro_export]
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            $crate::id::made_of::serde::Serialize, $crate::id::made_of::serde::Deserialize,
        )]
        #[serde(transparent, crate = "::kernel::id::made_of::serde")]
        pub struct $name($crate::id::made_of::uuid::Uuid);

        impl $crate::TypedId for $name {
            fn from_uuid(uuid: $crate::id::made_of::uuid::Uuid) -> Self {
                Self(uuid)
            }
            fn uuid(self) -> $crate::id::made_of::uuid::Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl $crate::id::made_of::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(
                _: &mut $crate::id::made_of::schemars::SchemaGenerator,
            ) -> $crate::id::made_of::schemars::Schema {
                $crate::id::made_of::schemars::json_schema!({ "type": "string", "format": "uuid" })
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::made_of::uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::id::made_of::uuid::Uuid::try_parse(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// A person's account (`system.redb`).
    AccountId,
    /// A browser that is signed in.
    SignInId,
    /// An API token.
    TokenId,
    /// A workspace.
    WorkspaceId,
    /// An invitation to a workspace.
    InviteId,
    /// A passkey of a person.
    PasskeyId,
    /// An agent.
    AgentId,
    /// A task.
    TaskId,
    /// A comment.
    CommentId,
    /// A piece of delivered work.
    DeliverableId,
    /// One version of a deliverable.
    VersionId,
    /// A call that waits for a person's yes.
    ApprovalId,
    /// A rule of what agents may do without asking.
    PermissionId,
    /// An inbox item: one reason for an agent to act.
    ItemId,
    /// A queued input of a session.
    InputId,
    /// A conversation of an agent.
    SessionId,
    /// One activation of an agent.
    RunId,
    /// A usage row: one model call.
    UsageId,
    /// A provider account.
    ConnectionId,
    /// Money held back for a running call.
    ReservationId,
    /// A plugin.
    PluginId,
    /// A host that runs agents.
    GatewayId,
    /// A messaging account.
    ChannelId,
    /// A routine.
    RoutineId,
    /// One firing of a routine.
    FiringId,
    /// An import.
    ImportId,
    /// Detached machine work.
    JobId,
    /// A file on a record.
    FileId,
    /// Something that people were told.
    NotificationId,
    /// A browser that is told of notifications.
    PushId,
    /// A stream: a group of tasks.
    StreamId,
    /// A relation between two tasks.
    RelationId,
    /// A series: a task that comes again and again.
    SeriesId,
    /// A template of tasks.
    TemplateId,
    /// A reaction to a comment.
    ReactionId,
    /// A link of a record.
    LinkId,
    /// A record of any kind.
    RecordId,
}

/// Source of new ids.
pub trait IdSource: Send + Sync {
    /// A UUIDv7 for `now_ms` (milliseconds since 1970), larger than every one returned before.
    fn next(&self, now_ms: i64) -> Uuid;
}

/// Strictly increasing UUIDv7 generator: the 12 bits after the time count within a millisecond.
#[derive(Default)]
pub struct SystemIds {
    last: Mutex<(u64, u16)>,
}

impl IdSource for SystemIds {
    fn next(&self, now_ms: i64) -> Uuid {
        let now = now_ms.max(0).cast_unsigned();
        let random = Uuid::new_v7(UuidTimestamp::from_unix(NoContext, now / 1000, 0)).into_bytes();
        let (ms, count) = step(&self.last, now);
        compose(ms, count, &random[8..])
    }
}

/// Repeatable ids for tests.
pub struct SeededIds {
    last: Mutex<(u64, u16)>,
    state: Mutex<u64>,
}

impl SeededIds {
    /// Ids that depend only on the seed and the clock.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { last: Mutex::default(), state: Mutex::new(seed | 1) }
    }
}

impl IdSource for SeededIds {
    fn next(&self, now_ms: i64) -> Uuid {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // xorshift64: any spread is sufficient.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let (ms, count) = step(&self.last, now_ms.max(0).cast_unsigned());
        compose(ms, count, &state.to_be_bytes())
    }
}

/// The next (millisecond, count) pair. If the clock stalls or goes back, only the count advances.
fn step(last: &Mutex<(u64, u16)>, now: u64) -> (u64, u16) {
    let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *last = match *last {
        (ms, _) if now > ms => (now, 0),
        (ms, count) if count < 0x0fff => (ms, count + 1),
        (ms, _) => (ms + 1, 0),
    };
    *last
}

fn compose(ms: u64, count: u16, random: &[u8]) -> Uuid {
    let mut bytes = [0u8; 10];
    bytes[..2].copy_from_slice(&count.to_be_bytes());
    bytes[2..].copy_from_slice(&random[..8]);
    Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::{IdSource, SeededIds, SystemIds, TaskId, TypedId};

    #[test]
    fn ids_grow_even_when_the_clock_goes_back() {
        let ids = SystemIds::default();
        let mut before = ids.next(1_700_000_000_000);
        for step in 0..10_000 {
            let next = ids.next(1_700_000_000_000 - step);
            assert!(next > before, "{next} must be after {before}");
            assert_eq!(next.get_version_num(), 7);
            before = next;
        }
    }

    #[test]
    fn seeded_ids_repeat() {
        let (a, b) = (SeededIds::new(7), SeededIds::new(7));
        for now in [1, 1, 5, 2] {
            assert_eq!(a.next(now), b.next(now));
        }
    }

    #[test]
    fn a_typed_id_reads_what_it_prints() {
        let id = TaskId::from_uuid(SystemIds::default().next(1_700_000_000_000));
        assert_eq!(id.to_string().parse::<TaskId>().ok(), Some(id));
        assert_eq!(id.short().len(), 8);
    }
}
