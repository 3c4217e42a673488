//! What agents write into a task begins with what they have read of it.

use crate::features::runs::model::Run;
use crate::features::tasks::queries::brief::told;
use crate::features::tasks::queries::{self, words as versions};
use crate::features::tasks::rules::TaskPatch;
use crate::features::tasks::rules::words::{Settled, Words, Written, settle};
use crate::kernel::TaskId;
use crate::store::{ReadExt as _, WriteTx};
use crate::tool::{ToolCx, ToolError};

/// What a title and a description should say so that nothing is lost that somebody else has written there
/// since the agent read them: the version with the number `rev`, or where it says none, what this run has
/// last written or found when it began.
///
/// # Errors
/// When both have changed the same lines: the message has what is there now. When a text is wrong.
pub(super) fn words(
    tx: &WriteTx<'_>,
    cx: &ToolCx,
    id: TaskId,
    (title, description): (Option<String>, Option<String>),
    rev: Option<u64>,
) -> Result<TaskPatch, ToolError> {
    if title.is_none() && description.is_none() {
        return Ok(TaskPatch::default());
    }
    let (now, now_rev) = queries::get_rev(tx, id)?;
    let base = match (rev, tx.get::<Run>(cx.run)?) {
        (Some(rev), _) if rev == now_rev => None,
        (Some(rev), _) => {
            versions::version(tx, tx.schema(), id, rev).map_err(|_| no_version(rev, now_rev))?
        }
        (None, Some(run)) => {
            let begun = run.started_at.unwrap_or(run.created_at);
            versions::known_to(tx, tx.schema(), id, (run.id, begun))?
        }
        (None, None) => None,
    };
    let (was_title, was_description) = base.map(|was| (was.title, was.description)).unzip();
    let words = Words {
        title: title.map(|text| Written { text, base: was_title }),
        description: description.map(|text| Written { text, base: was_description }),
    };
    let Settled { patch, clashes } = settle(&now, words)?;
    if clashes.is_empty() {
        return Ok(patch);
    }
    let mut message = String::from("somebody else has changed this since you read it:");
    for clash in &clashes {
        message.push_str(&format!("\n\n{} now:\n{}", clash.field, told(&clash.clash.now)));
    }
    message.push_str(&format!(
        "\n\nDecide what should stay, and call task_update once more with all of the text and rev {now_rev}."
    ));
    Err(ToolError::refused("text_clash", message))
}

fn no_version(rev: u64, now: u64) -> ToolError {
    let message = format!("the task has no rev {rev}; read it with task_get: its rev is {now}");
    ToolError::refused("unknown_rev", message)
}
