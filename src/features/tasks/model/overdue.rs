//! Due dates that have passed: which of them people have heard of, and after how long a task is missed.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{Delegation, TaskId, Timestamp, TypedId};
use store::codec::{self, DecodeError};
use store::{Class, Record, Table};

/// Due dates of which people have heard that they passed.
pub const OVERDUE: Table = Table::new(218, "overdue_marks");
/// Rules of the workspace for tasks (one row).
pub const TASK_RULES: Table = Table::new(219, "task_rules");

/// People have heard that this due date of a task has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverdueMark {
    pub task: TaskId,
    /// The due date; another one is told of anew.
    #[serde(with = "millisecond::required")]
    pub due_at: Timestamp,
}

impl Record for OverdueMark {
    type Id = TaskId;
    const TABLE: Table = OVERDUE;
    const CLASS: Class = Class::Local;
    fn id(&self) -> TaskId {
        self.task
    }
    fn sample() -> Self {
        let due_at = kernel::time::from_ms(1_700_000_000_000);
        Self { task: TaskId::from_bytes([2; 16]), due_at }
    }
}

/// Rules of the workspace for tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRules {
    /// So many days after its due date a task that nobody is at is missed; 0 is the next day.
    pub missed_after_days: u16,
    /// To which other agents an agent may give work.
    pub delegation: Delegation,
}

/// The rules before agents had managers.
#[derive(Deserialize)]
struct TaskRulesV1 {
    missed_after_days: u16,
}

impl Default for TaskRules {
    fn default() -> Self {
        Self { missed_after_days: 3, delegation: Delegation::Reports }
    }
}

impl Record for TaskRules {
    type Id = ();
    const TABLE: Table = TASK_RULES;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
    fn id(&self) {}
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        if version != 1 {
            return Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version });
        }
        let TaskRulesV1 { missed_after_days } = codec::decode(body)?;
        Ok(Self { missed_after_days, ..Self::default() })
    }
    fn sample() -> Self {
        Self { missed_after_days: 7, delegation: Delegation::Reports }
    }
}
