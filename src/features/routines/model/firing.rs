//! Firings: one row per instant or event, with a unique slot. A released layout is frozen: add `FiringV2`, raise
//! `VERSION`, extend `upgrade`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::tasks::model::Task;
use kernel::key::{Key, KeyBuf};
use kernel::{Fate, FiredBy, FiringId, RoutineId, TaskId, Timestamp, TypedId};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec};

use super::Routine;

pub const FIRINGS: Table = Table::new(229, "routine_runs");
/// Routine and slot. Unique.
pub const BY_SLOT: Index = Index::unique(230, "routine_runs_by_slot");
/// Routine, then creation order.
pub const BY_ROUTINE: Index = Index::multi(231, "routine_runs_by_routine");
/// The created task.
pub const BY_TASK: Index = Index::multi(232, "routine_runs_by_task");

/// Cause of a firing. Together with the routine it identifies the firing. Stored by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Slot {
    /// Scheduled instant, in milliseconds since 1970.
    At(i64),
    /// Event: feed entry and position in it.
    Event(u64, u32),
    /// Digest of the events gathered since this instant.
    Digest(i64),
    /// Manual firing: a unique value from the time and a count.
    Manual(u64),
}

impl Key for Slot {
    fn encode(&self, out: &mut KeyBuf) {
        match self {
            Self::At(at) => out.u8(0).part(*at),
            Self::Event(seq, place) => out.u8(1).part(*seq).part(*place),
            Self::Digest(from) => out.u8(2).part(*from),
            Self::Manual(seq) => out.u8(3).part(*seq),
        };
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u8::take(bytes)? {
            0 => Self::At(i64::take(bytes)?),
            1 => Self::Event(u64::take(bytes)?, u32::take(bytes)?),
            2 => Self::Digest(i64::take(bytes)?),
            3 => Self::Manual(u64::take(bytes)?),
            _ => return None,
        })
    }
}

/// A firing of a routine, or the record of a skipped one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    pub id: FiringId,
    pub routine: RoutineId,
    pub slot: Slot,
    pub by: FiredBy,
    pub fate: Fate,
    /// Why nothing was started, or warnings.
    pub why: String,
    /// Number of instants or events that it covers.
    pub count: u32,
    /// Subject in one line. Empty for a schedule.
    pub subject: String,
    /// Instruction with its values filled in.
    pub instruction: String,
    /// Title of the created task. Empty if the agent is woken.
    pub title: String,
    /// Task of the event.
    pub about: Option<TaskId>,
    /// The created task. With a template, the parent of the tasks.
    pub made: Option<TaskId>,
    /// Length of the chain of routines that caused each other, including this one.
    pub depth: u8,
    /// Quiet hours hold the work until then.
    #[serde(with = "millisecond::optional")]
    pub held_until: Option<Timestamp>,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Values of the fields that the template's tasks use.
    pub values: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct FiringV1 {
    id: FiringId,
    routine: RoutineId,
    slot: Slot,
    by: FiredBy,
    fate: Fate,
    why: String,
    count: u32,
    subject: String,
    instruction: String,
    title: String,
    about: Option<TaskId>,
    made: Option<TaskId>,
    depth: u8,
    #[serde(with = "millisecond::optional")]
    held_until: Option<Timestamp>,
    #[serde(with = "millisecond::required")]
    at: Timestamp,
}

/// Decodes the layout without `values`.
fn before_templates(body: &[u8]) -> Result<Firing, DecodeError> {
    let old: FiringV1 = codec::decode(body)?;
    Ok(Firing {
        id: old.id,
        routine: old.routine,
        slot: old.slot,
        by: old.by,
        fate: old.fate,
        why: old.why,
        count: old.count,
        subject: old.subject,
        instruction: old.instruction,
        title: old.title,
        about: old.about,
        made: old.made,
        depth: old.depth,
        held_until: old.held_until,
        at: old.at,
        values: Vec::new(),
    })
}

impl Firing {
    /// Key of its inbox item.
    #[must_use]
    pub fn item_key(&self) -> String {
        item_key(self.id)
    }
}

/// Key of the inbox item of a firing.
#[must_use]
pub fn item_key(id: FiringId) -> String {
    format!("{ITEM_KEY}{id}")
}

/// Prefix of inbox item keys.
const ITEM_KEY: &str = "routine:";

/// The firing of an inbox item, from its key. Also works for a retried item.
#[must_use]
pub fn of_item_key(key: &str) -> Option<FiringId> {
    let (_, id) = key.rsplit_once(ITEM_KEY)?;
    id.parse().ok()
}

impl Record for Firing {
    type Id = FiringId;
    const TABLE: Table = FIRINGS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[BY_SLOT, BY_ROUTINE, BY_TASK];

    fn id(&self) -> FiringId {
        self.id
    }

    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_SLOT).part(self.routine).part(self.slot);
        keys.entry(BY_ROUTINE).part(self.routine);
        if let Some(task) = self.made {
            keys.entry(BY_TASK).part(task);
        }
    }

    fn refs(&self, refs: &mut Refs) {
        refs.to::<Routine>(1, Some(self.routine), OnDelete::Cascade);
        refs.to::<Task>(2, self.about, OnDelete::Clear);
        refs.to::<Task>(3, self.made, OnDelete::Clear);
    }

    fn clear(&mut self, field: u8) {
        match field {
            2 => self.about = None,
            3 => self.made = None,
            _ => {}
        }
    }

    fn root(&self) -> Root {
        Root::of::<Routine>(self.routine)
    }

    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => before_templates(body),
            _ => Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version }),
        }
    }

    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: FiringId::from_bytes([22; 16]),
            routine: RoutineId::from_bytes([21; 16]),
            slot: Slot::Event(812, 1),
            by: FiredBy::Event,
            fate: Fate::Started,
            why: String::new(),
            count: 1,
            subject: "MC-142 Compare leasing prices".into(),
            instruction: "Check it.".into(),
            title: "Check the prices".into(),
            about: Some(TaskId::from_bytes([2; 16])),
            made: Some(TaskId::from_bytes([3; 16])),
            depth: 1,
            held_until: Some(at),
            at,
            values: vec![("title".into(), "Compare leasing prices".into())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Slot, item_key, of_item_key};
    use kernel::key::KeyBuf;
    use kernel::key::decode;
    use kernel::{FiringId, TypedId as _};

    #[test]
    fn an_item_knows_its_firing_also_when_it_was_begun_again() {
        let id = FiringId::from_bytes([7; 16]);
        let key = item_key(id);
        assert_eq!(of_item_key(&key), Some(id));
        assert_eq!(of_item_key(&format!("again:{id}:{key}")), Some(id));
        assert_eq!(of_item_key("task_assignment:x:1"), None);
    }

    #[test]
    fn slots_read_what_they_write() {
        for slot in [Slot::At(-4), Slot::Event(9, 2), Slot::Digest(77), Slot::Manual(3)] {
            assert_eq!(decode::<Slot>(KeyBuf::of(&slot).bytes()), Some(slot));
        }
    }
}
