//! Undo guard against wait cycles when relations are restored.

use std::collections::BTreeMap;

use crate::tasks::model::relation::{RELATIONS, Relation};
use crate::tasks::queries::circles::{Coming, Waiting};
use kernel::{RelationKind, TaskId};
use store::undo::{After, Hold};
use store::{Root, StoreError};

use super::{Sides, refused};

/// Restored relations that would close a cycle with current relations or with those restored before them. Restored
/// parents were already checked one by one and count as applied.
pub(super) fn circles(after: &After<'_>) -> Result<Vec<Hold>, StoreError> {
    let mut back: BTreeMap<TaskId, Vec<(TaskId, &Root)>> = BTreeMap::new();
    for row in after.rows().filter(|row| row.record.table == RELATIONS.number) {
        let Sides { now: None, to: Some(to) } = Sides::<Relation>::of(row)? else { continue };
        if to.kind == RelationKind::BlockedBy {
            back.entry(to.task).or_default().push((to.other, &row.record));
        }
    }
    let (mut coming, mut holds) = (Coming::new(), Vec::new());
    for (task, relations) in back {
        let waiting = Waiting::of(after, task, &coming)?;
        for (other, record) in relations {
            match refused(waiting.may_wait(after, other))? {
                Some(refusal) => holds.push(Hold { record: record.clone(), fields: &[], refusal }),
                None => coming.entry(other).or_default().push(task),
            }
        }
    }
    Ok(holds)
}
