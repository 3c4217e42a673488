//! Counts the use of items by agents.

use features::comments::model::Comment;
use features::deliverables::model::{Content, Version};
use features::runs::model::Run;
use features::workspace::queries::modules::Off;
use kernel::{AgentId, CommentId, RunId, RunTrigger, TaskId, VersionId};
use store::{ReadExt as _, StoreError, WriteTx};

use crate::links;
use crate::model::{Item, KnowledgeId, Opening, Uses};
use crate::queries;

/// Counts the start of a run with its agent's context.
pub(crate) fn note_start(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), StoreError> {
    let Some(run) = tx.get::<Run>(run)? else { return Ok(()) };
    // A sub-agent starts without the context.
    if run.trigger == RunTrigger::Child || Off::of(tx)?.has("knowledge") {
        return Ok(());
    }
    let (agent, had) = (run.agent, queries::had(tx, run.agent)?);
    let before: Option<Opening> = tx.get(agent)?;
    if before.map_or(!had.is_empty(), |before| before.had != had) {
        tx.put(&Opening { agent, since: tx.now(), had: had.clone() })?;
    }
    for (item, ..) in had {
        change(tx, (item, agent), |uses| uses.starts = uses.starts.saturating_add(1))?;
    }
    Ok(())
}

/// Counts that an agent has read an item.
pub(crate) fn note_read(
    tx: &mut WriteTx<'_>,
    item: KnowledgeId,
    agent: AgentId,
) -> Result<(), StoreError> {
    // The item may have been deleted in the meantime.
    if tx.get::<Item>(item)?.is_none() {
        return Ok(());
    }
    let now = tx.now();
    change(tx, (item, agent), |uses| {
        (uses.reads, uses.read_at) = (uses.reads.saturating_add(1), Some(now));
    })
}

/// Counts the citations in an agent's comment.
pub(crate) fn note_comment(
    tx: &mut WriteTx<'_>,
    comment: CommentId,
    task: TaskId,
) -> Result<(), StoreError> {
    let Some(comment) = tx.get::<Comment>(comment)? else { return Ok(()) };
    let Some(agent) = comment.author.agent() else { return Ok(()) };
    quotes(tx, &comment.body, (agent, task))
}

/// Counts the citations in an agent's deliverable.
pub(crate) fn note_delivery(
    tx: &mut WriteTx<'_>,
    version: VersionId,
    task: TaskId,
) -> Result<(), StoreError> {
    let Some(version) = tx.get::<Version>(version)? else { return Ok(()) };
    let run = version.run.map(|run| tx.get::<Run>(run)).transpose()?.flatten();
    let (Some(run), Content::Text(text) | Content::Page { text, .. }) = (run, &version.content)
    else {
        return Ok(());
    };
    quotes(tx, text, (run.agent, task))
}

/// Counts each item once per text.
fn quotes(
    tx: &mut WriteTx<'_>,
    text: &str,
    (agent, task): (AgentId, TaskId),
) -> Result<(), StoreError> {
    for name in links::names(text) {
        let cited = name.strip_prefix(links::CITE).and_then(|id| id.parse::<KnowledgeId>().ok());
        let item = cited.map(|id| tx.get::<Item>(id)).transpose()?.flatten();
        let Some(item) = item.filter(|item| item.is_for(agent)) else { continue };
        change(tx, (item.id, agent), |uses| {
            (uses.quotes, uses.quoted_in) = (uses.quotes.saturating_add(1), Some(task));
        })?;
    }
    Ok(())
}

fn change(
    tx: &mut WriteTx<'_>,
    of: (KnowledgeId, AgentId),
    change: impl FnOnce(&mut Uses),
) -> Result<(), StoreError> {
    let mut uses = tx.get::<Uses>(of)?.unwrap_or_else(|| Uses::none(of.0, of.1));
    change(&mut uses);
    tx.put(&uses)
}
