//! Taint label of conversations that have read untrusted content. The label depends on the source of content, never
//! on its meaning: everything that HQ marks as untrusted sets it. It is kept through summaries, branches and
//! sub-agents until a person lifts it.

use crate::jobs::model::Job;
use crate::runs::model::{
    Body, Brought, EventKind, FileMark, Outside, Place, Run, SCRATCH, Session, Written,
};
use crate::runs::queries::taint;
use kernel::{Actor, JobId, RunId, SessionId};
use store::{Range, ReadExt, StoreError, WriteTx};
use tool::layer::SEPARATOR;
use tool::untrusted;

/// Maximum number of sources listed in a label.
const MOST: usize = 8;
/// Tool whose programs write into the agent's scratch folder, where changes are not tracked.
const PROGRAM: &str = "exec";

/// Updates the label of the event's conversation and the labels of the agent's files that the event changed.
pub(super) fn note(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    run: &Run,
    kind: &EventKind,
) -> Result<(), StoreError> {
    label(tx, session, run.id, kind)?;
    let (by, paths) = match kind {
        EventKind::ToolFinished { step, name, paths, .. }
        | EventKind::Late { step, name, paths, .. } => {
            (Brought { run: run.id, step: *step, tool: name.clone() }, paths.as_slice())
        }
        EventKind::Remembered { path, .. } => {
            let by = Brought { run: run.id, step: run.steps, tool: String::new() };
            (by, std::slice::from_ref(path))
        }
        // Files of a connected server's result. If HQ ends now, this is all that is known of them.
        EventKind::FilesStarted { step, name, files, .. } if name.contains(SEPARATOR) => {
            let by = Brought { run: run.id, step: *step, tool: name.clone() };
            for FileMark { path, .. } in files {
                wrote(tx, Place::File { agent: run.agent, path: path.clone() }, by.clone())?;
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    if by.tool == PROGRAM && taint::of(tx, session)?.is_some() {
        let scratch = Place::File { agent: run.agent, path: SCRATCH.to_owned() };
        wrote(tx, scratch, by.clone())?;
    }
    if paths.is_empty() {
        return Ok(());
    }
    let mut by = by;
    if taint::of(tx, session)?.is_none() {
        // A patch can move files that nobody has read.
        let mut moved = None;
        for path in paths {
            let place = Place::File { agent: run.agent, path: path.clone() };
            moved = moved.or(tx.get::<Written>(place.key())?);
        }
        match moved {
            Some(from) if 1 < paths.len() => by = from.by,
            _ => return Ok(()),
        }
    }
    for path in paths {
        let place = Place::File { agent: run.agent, path: path.clone() };
        wrote(tx, place, by.clone())?;
    }
    Ok(())
}

fn label(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    run: RunId,
    kind: &EventKind,
) -> Result<(), StoreError> {
    let is_marked = |text: &Body| untrusted::is_in(text.head());
    let (step, tool) = match kind {
        EventKind::ToolFinished { step, name, result, .. } if is_marked(result) => {
            (*step, name.clone())
        }
        // A person's message is trusted whatever it contains.
        EventKind::Input { by: Actor::Person { .. }, .. } => return Ok(()),
        EventKind::Input { by, text, .. } => {
            if let Actor::Agent { run: of, .. } = by
                && let Some(of) = tx.get::<Run>(*of)?
            {
                inherit(tx, of.session, session)?;
            }
            if !is_marked(text) {
                return Ok(());
            }
            (0, String::new())
        }
        _ => return Ok(()),
    };
    add(tx, session, vec![Brought { run, step, tool }])
}

/// Labels content that was written in a tainted conversation. The first source is kept.
fn wrote(tx: &mut WriteTx<'_>, place: Place, by: Brought) -> Result<(), StoreError> {
    match taint::is_written(tx, &place)? {
        true => Ok(()),
        false => tx.put(&Written { place, by, since: tx.now() }),
    }
}

/// Updates the label of content after a write. An agent with a tainted conversation sets the label. A person clears
/// it, because the content now counts as theirs.
pub fn written(tx: &mut WriteTx<'_>, place: Place) -> Result<(), StoreError> {
    match tx.by() {
        Actor::Person { .. } => accept(tx, &place).map(drop),
        Actor::Agent { run, .. } => match tx.get::<Run>(run)? {
            Some(run) if taint::of(tx, run.session)?.is_some() => {
                let by = Brought { run: run.id, step: run.steps + 1, tool: String::new() };
                wrote(tx, place, by)
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Like [`written`], for a person's addition, which does not clear the label.
pub fn passed_on(tx: &mut WriteTx<'_>, place: Place) -> Result<(), StoreError> {
    match tx.by() {
        Actor::Agent { .. } => written(tx, place),
        _ => Ok(()),
    }
}

/// Labels a delivered file. A labelled file of the same name in the agent's folder sets the label even if no run has
/// read it.
pub fn delivered(tx: &mut WriteTx<'_>, place: Place, name: &str) -> Result<(), StoreError> {
    if let Actor::Agent { agent, .. } = tx.by()
        && !name.is_empty()
    {
        let is_it = |path: &str| path.rsplit('/').next() == Some(name);
        let all = taint::files_of(tx, agent)?;
        let from = all.into_iter().find(|one| match &one.place {
            Place::File { path, .. } => is_it(path),
            _ => false,
        });
        if let Some(from) = from {
            return wrote(tx, place, from.by);
        }
    }
    written(tx, place)
}

/// Labels the files written by a background job, if the output of the job is untrusted.
pub fn job_wrote(tx: &mut WriteTx<'_>, job: JobId, paths: &[String]) -> Result<(), StoreError> {
    let Some(job) = tx.get::<Job>(job)? else { return Ok(()) };
    if !taint::is_of_job(tx, job.agent, job.session)? {
        return Ok(());
    }
    for path in paths {
        let by = Brought { run: job.run, step: job.step, tool: PROGRAM.to_owned() };
        wrote(tx, Place::File { agent: job.agent, path: path.clone() }, by)?;
    }
    Ok(())
}

/// Clears the label of content that a person has reviewed. Returns whether there was one.
pub fn accept(tx: &mut WriteTx<'_>, place: &Place) -> Result<bool, StoreError> {
    tx.delete::<Written>(place.key())
}

/// Copies the label of one conversation to another.
pub(super) fn inherit(
    tx: &mut WriteTx<'_>,
    from: SessionId,
    to: SessionId,
) -> Result<(), StoreError> {
    match taint::of(tx, from)? {
        Some(label) if from != to => add(tx, to, label.brought),
        _ => Ok(()),
    }
}

fn add(tx: &mut WriteTx<'_>, session: SessionId, brought: Vec<Brought>) -> Result<(), StoreError> {
    let known = taint::of(tx, session)?;
    let is_new = known.is_none();
    let mut label = known.unwrap_or(Outside { session, brought: Vec::new(), since: tx.now() });
    let before = label.brought.len();
    for one in brought {
        if label.brought.len() < MOST && !label.brought.contains(&one) {
            label.brought.push(one);
        }
    }
    if is_new || before < label.brought.len() {
        tx.put(&label)?;
    }
    Ok(())
}

/// Lifts the label of a conversation that a person has reviewed, and the labels of everything it wrote. Returns
/// whether there was a label.
pub fn lift(tx: &mut WriteTx<'_>, session: &Session) -> Result<bool, StoreError> {
    for one in tx.list::<Written>(&Range::all())? {
        let run = tx.get::<Run>(one.by.run)?;
        if run.is_some_and(|run| run.session == session.id) {
            accept(tx, &one.place)?;
        }
    }
    tx.delete::<Outside>(session.id)
}
