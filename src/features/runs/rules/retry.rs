//! Starts a run again from a step of an earlier run.
//!
//! Nothing is repeated and nothing is deleted: the new conversation is a branch that shares the first events of the
//! old one. A retry replaces the old conversation, which stays readable. A fork exists beside it. Runs on one task
//! take turns; see [`branches::held`].

use crate::agents::model::Agent;
use crate::connections::model::Connection;
use crate::connections::queries::{self as connections, PRACTICE, Pick};
use crate::inbox::model::Item;
use crate::runs::model::{Branch, BranchWhy, Child, Context, EventKind, ModelSource, Run, Session};
use crate::runs::queries::branches::{self, Cut};
use crate::runs::queries::{self, talk};
use crate::tasks::model::Task;
use crate::workspace::model::Settings;
use kernel::{ConnectionId, ItemId, RunId, RunTrigger, SessionId, Thinking};
use store::{Read, ReadExt, StoreError, WriteTx};

use super::RunError;
use super::grant;
use super::input::{SessionSpec, open_session};
use super::life::{self, RunSpec};
use super::{marks, queue, taint};

/// Events read per chunk when searching for the latest summary.
const CHUNK: u32 = 256;

/// Request for a retry or fork.
#[derive(Clone, Debug)]
pub struct Again {
    pub of: RunId,
    pub why: BranchWhy,
    /// Step key as on the run's page; `None` for the beginning.
    pub step: Option<String>,
    /// Another model: `<connection>/<model>` as sent by a form, or a name.
    pub model: Option<String>,
    pub thinking: Option<Thinking>,
    /// Note for the model about the discarded part.
    pub note: String,
}

/// Checks a request before anything is changed. Returns the source run and the cut.
///
/// # Errors
/// If the run belongs to a sub-agent, has not begun or has no such step, or if a retry's run has not ended.
pub fn check(
    tx: &dyn Read,
    of: RunId,
    (why, step): (BranchWhy, Option<&str>),
) -> Result<(Run, Cut), RunError> {
    let run = tx.get::<Run>(of)?.ok_or_else(|| RunError::NotFound(of.to_string()))?;
    is_whole(tx, &run)?;
    let agent = tx.get::<Agent>(run.agent)?.ok_or(RunError::NoAgent(run.agent))?;
    if agent.archived_at.is_some() {
        return Err(RunError::Archived(agent.name));
    }
    if run.started_at.is_none() {
        return Err(RunError::NotBegun(run.name()));
    }
    if why == BranchWhy::Retry && run.is_live() {
        return Err(RunError::Live(run.name()));
    }
    match branches::cut(tx, &run, step)? {
        Some(cut) => Ok((run, cut)),
        None => Err(match step {
            Some(step) => RunError::NoStep(run.name(), step.chars().take(20).collect()),
            None => RunError::NotBegun(run.name()),
        }),
    }
}

/// Checks that a run is not a sub-agent's.
///
/// # Errors
/// `Part` if it is.
pub(super) fn is_whole(tx: &dyn Read, run: &Run) -> Result<(), RunError> {
    if run.trigger != RunTrigger::Child {
        return Ok(());
    }
    let parent = match tx.get::<Child>(run.id)? {
        Some(child) => tx.get::<Run>(child.parent)?,
        None => None,
    };
    let parent = parent.map_or_else(|| "another run".to_owned(), |parent| parent.name());
    Err(RunError::Part(run.name(), parent))
}

/// Checks that the item and task of a run still exist and are open. Called after the reverts that have to come first.
///
/// # Errors
/// If the item or task is gone or closed.
pub fn is_workable(tx: &dyn Read, run: &Run) -> Result<(), RunError> {
    let Some(item) = run.item else { return Ok(()) };
    let gone = || RunError::WorkGone(run.name());
    tx.get::<Item>(item)?.ok_or_else(gone)?;
    let Some(task) = run.task else { return Ok(()) };
    let task = tx.get::<Task>(task)?.ok_or_else(gone)?;
    if task.archived_at.is_some() {
        return Err(RunError::TaskClosed(run.name(), "archived"));
    }
    match task.status.is_open() {
        true => Ok(()),
        false => Err(RunError::TaskClosed(run.name(), task.status.label())),
    }
}

/// Starts a run again. `item` is the work of the new run, if any; the caller leases it to the run.
///
/// # Errors
/// As [`check`]; `Busy` if a retry would replace a conversation with an active run.
pub fn begin(
    tx: &mut WriteTx<'_>,
    new: Again,
    item: Option<ItemId>,
) -> Result<(Branch, Run), RunError> {
    let (source, cut) = check(tx, new.of, (new.why, new.step.as_deref()))?;
    let parent = tx.get::<Session>(source.session)?;
    let parent = parent.ok_or(RunError::NoSession(source.session))?;
    let model = match new.model.as_deref().map(str::trim).filter(|model| !model.is_empty()) {
        Some(model) => Some(locate(tx, &source, model)?),
        None => None,
    };
    let (mut session, replaced) = open(tx, &parent, new.why)?;
    session.events = cut.upto;
    session.loaded_tools.clone_from(&parent.loaded_tools);
    (session.name, session.leaf) = (parent.name.clone(), parent.leaf);
    (session.model, session.thinking) = (parent.model.clone(), parent.thinking);
    session.lasting = parent.lasting;
    session.lasting = parent.lasting;
    let context = context_at(tx, &parent, cut.upto)?;
    tx.put(&Context { session: session.id, ..context })?;
    let spec =
        RunSpec { trigger: source.trigger, item, task: source.task, title: source.title.clone() };
    let id = life::make_run(tx, &mut session, spec)?;
    grant::inherit(tx, source.id, id)?;
    let mut run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    let kept = (source.model_source == ModelSource::Message)
        .then(|| (source.connection, source.model.clone()));
    if let Some((connection, model)) = model.or(kept) {
        (run.connection, run.model) = (connection, model);
        run.model_source = ModelSource::Message;
        tx.put(&run)?;
    }
    tx.put(&session)?;
    let thinking = match new.thinking {
        Some(thinking) => Some(thinking),
        None => branches::of_run(tx, &source)?.and_then(|branch| branch.thinking),
    };
    let branch = Branch {
        session: session.id,
        parent: parent.id,
        upto: cut.upto,
        why: new.why,
        of: source.id,
        step: cut.step,
        run: run.id,
        thinking,
        note: new.note,
        by: tx.by(),
        at: tx.now(),
    };
    tx.put(&branch)?;
    if let Some(replaced) = replaced {
        queue::bring_over(tx, &replaced, &session)?;
    }
    Ok((branch, run))
}

/// Opens the conversation of the new run. A retry takes the key of the old conversation, which is archived. A fork
/// gets its own key.
pub(super) fn open(
    tx: &mut WriteTx<'_>,
    parent: &Session,
    why: BranchWhy,
) -> Result<(Session, Option<Session>), RunError> {
    let Session { agent, owner, task, .. } = *parent;
    let (key, replaced) = match why {
        BranchWhy::Retry | BranchWhy::Edit => {
            (parent.key.clone(), queries::session_by_key(tx, &parent.key)?)
        }
        BranchWhy::Fork => (fork_key(&parent.key, tx.new_id()), None),
        BranchWhy::Aside => (aside_key(&parent.key, tx.new_id()), None),
    };
    if let Some(mut former) = replaced.clone() {
        if former.active_run.is_some() {
            return Err(RunError::Busy);
        }
        former.archived_at = Some(tx.now());
        tx.put(&former)?;
    }
    let mut session = open_session(tx, SessionSpec { agent, key, owner, task })?;
    session.shared = parent.shared;
    taint::inherit(tx, parent.id, session.id)?;
    if let Some(former) = &replaced {
        marks::carry(tx, former, &session)?;
    }
    Ok((session, replaced))
}

/// Key of a side question: a conversation that is deleted after a day.
fn aside_key(key: &str, id: SessionId) -> String {
    let agent: Vec<&str> = key.splitn(3, ':').take(2).collect();
    format!("{}:explicit:{id}", agent.join(":"))
}

/// Key of a fork. The fork of a single API call is a single call too; other keys name their parent.
fn fork_key(key: &str, id: SessionId) -> String {
    if talk::is_throw_away(key)
        && let Some((before, _)) = key.split_once(":explicit:")
    {
        return format!("{before}:explicit:{id}");
    }
    let whole = key.split_once(":branch:").map_or(key, |(whole, _)| whole);
    format!("{whole}:branch:{id}")
}

/// Resolves a model to an existing connection.
fn locate(
    tx: &WriteTx<'_>,
    run: &Run,
    model: &str,
) -> Result<(Option<ConnectionId>, String), RunError> {
    if let Some((connection, model)) = Pick::parse(model) {
        let there = match connection {
            Some(id) => tx.get::<Connection>(id)?.is_some(),
            None => true,
        };
        if there {
            return Ok((connection, model));
        }
    }
    let agent = tx.get::<Agent>(run.agent)?;
    let default = tx.get::<Settings>(())?.and_then(|settings| settings.default_connection);
    let near = [agent.and_then(|agent| agent.connection), default];
    let found = connections::locate(tx, model, near)?;
    match found.0.is_none() && !model.ends_with(PRACTICE) {
        true => Err(RunError::NoModel(model.chars().take(80).collect())),
        false => Ok(found),
    }
}

/// The model's context of a conversation before event `upto`.
pub fn context_at(tx: &dyn Read, session: &Session, upto: u32) -> Result<Context, StoreError> {
    let mut context = queries::context(tx, session.id)?;
    context.asked = None;
    context.trimmed = context.trimmed.min(upto);
    context.cleared = context.cleared.min(upto);
    context.pruned_at = context.pruned_at.min(upto);
    if context.summary.is_none_or(|summary| summary < upto) {
        return Ok(context);
    }
    // The conversation was compacted later, so find the summary in effect at `upto`.
    (context.summary, context.first_kept) = (None, 0);
    let mut to = upto;
    while 0 < to {
        let from = to.saturating_sub(CHUNK);
        let newest = queries::events(tx, session.id, from, to)?.into_iter().rev();
        for event in newest {
            if let EventKind::Compacted { how, .. } = event.kind {
                (context.summary, context.first_kept) = (Some(event.n), how.first_kept);
                return Ok(context);
            }
        }
        to = from;
    }
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::{aside_key, fork_key};
    use crate::runs::queries::talk::is_throw_away;
    use kernel::{SessionId, TypedId};

    #[test]
    fn a_fork_of_a_conversation_for_one_call_is_another_such() {
        let id = SessionId::from_bytes([7; 16]);
        let key = fork_key("agent:ada:explicit:0190a0a0-0000-7000-8000-000000000000", id);
        assert!(is_throw_away(&key), "{key}");
    }

    #[test]
    fn what_is_asked_beside_a_conversation_goes_after_a_day() {
        let id = SessionId::from_bytes([7; 16]);
        let key = aside_key("agent:ada:person:0190a0a0-0000-7000-8000-000000000000", id);
        assert_eq!(key, format!("agent:ada:explicit:{id}"));
        assert!(is_throw_away(&key), "{key}");
    }

    #[test]
    fn a_fork_of_a_fork_has_a_key_as_long_as_the_first() {
        let (one, two) = (SessionId::from_bytes([7; 16]), SessionId::from_bytes([8; 16]));
        let first = fork_key("agent:ada:task:x", one);
        assert_eq!(first, format!("agent:ada:task:x:branch:{one}"));
        assert_eq!(fork_key(&first, two), format!("agent:ada:task:x:branch:{two}"));
    }
}
