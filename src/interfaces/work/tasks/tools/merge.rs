//! Merges an agent's edits of a task with concurrent edits.

use features::runs::model::Run;
use features::tasks::queries::brief::summarise;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::{self, words as versions};
use features::tasks::rules::TaskPatch;
use features::tasks::rules::words::{Settled, Words, Written, settle};
use kernel::TaskId;
use store::{ReadExt as _, StoreError, WriteTx};
use tool::{ToolCx, ToolError};

/// The title and description to store, so that concurrent edits since the agent read them are kept. The base is the
/// version `rev`, or by default the text that this run last wrote or found when it started.
///
/// # Errors
/// Conflicting edits of the same lines; the message contains the current text. Also an invalid text.
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
    let was = match rev {
        Some(rev) if rev == now_rev => None,
        Some(rev) => match versions::texts(tx, tx.schema(), id, rev) {
            Err(TaskError::Invalid(_)) => return Err(no_version(rev, now_rev)),
            was => Some(was?),
        },
        None => known(tx, cx, id)?,
    };
    let (was_title, was_description) = was.unzip();
    let words = Words {
        title: title.map(|text| Written { text, base: was_title }),
        description: description.map(|text| Written { text, base: was_description }),
    };
    let Settled { patch, clashes } = settle(&now, words)?;
    if clashes.is_empty() {
        return Ok(patch);
    }
    let mut message = String::from("someone else has changed this since you read it:");
    for clash in &clashes {
        message.push_str(&format!("\n\n{} now:\n{}", clash.field, summarise(&clash.clash.now)));
    }
    message.push_str(&format!(
        "\n\nDecide what to keep, and call task_update again with the full text and rev {now_rev}."
    ));
    Err(ToolError::refused("text_clash", message))
}

/// The texts that this run knows without having read them again.
fn known(
    tx: &WriteTx<'_>,
    cx: &ToolCx,
    id: TaskId,
) -> Result<Option<(String, String)>, StoreError> {
    let Some(run) = tx.get::<Run>(cx.run)? else { return Ok(None) };
    let begun = run.started_at.unwrap_or(run.created_at);
    let task = versions::known_to(tx, tx.schema(), id, (run.id, begun))?;
    Ok(task.map(|task| (task.title, task.description)))
}

fn no_version(rev: u64, now: u64) -> ToolError {
    let message = format!("the task has no rev {rev}; read it with task_get: its rev is {now}");
    ToolError::refused("unknown_rev", message)
}
