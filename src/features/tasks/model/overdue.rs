//! Records of overdue notifications, and the workspace's task rules.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{Delegation, TaskId, Timestamp, TypedId};
use store::codec::{self, DecodeError};
use store::{Class, Record, Table};

/// Due dates for which people were notified.
pub const OVERDUE: Table = Table::new(218, "overdue_marks");
/// Task rules of the workspace (one row).
pub const TASK_RULES: Table = Table::new(219, "task_rules");

/// Marks that people were notified of a passed due date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverdueMark {
    pub task: TaskId,
    /// A different due date is notified again.
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRules {
    /// Days after the due date until an inactive task becomes missed. 0 means the next day.
    pub missed_after_days: u16,
    /// Which other agents an agent may assign work to.
    pub delegation: Delegation,
}

/// The layout before agents had managers.
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
