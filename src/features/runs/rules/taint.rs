//! The label of a conversation that has read words from outside. It goes by where words come from, never by what they
//! say: all that HQ marks as outside brings it. It stays through summaries, branches and sub-agents, until a person
//! lifts it.

use crate::jobs::model::Job;
use crate::runs::model::{
    Body, Brought, EventKind, Outside, Place, Run, SCRATCH, Session, Written,
};
use crate::runs::queries::taint;
use kernel::{Actor, JobId, RunId, SessionId};
use store::{Range, ReadExt, StoreError, WriteTx};
use tool::untrusted;

/// The most pieces that are named.
const MOST: usize = 8;
/// The tool whose programs write into the scratch folder of their agent, where nobody sees what they change.
const PROGRAM: &str = "exec";

/// Takes an event into the label of its conversation, and what it changed of the agent's files into theirs.
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
        // A patch moves what nobody has read.
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
        // What a person says is theirs, whatever stands in it.
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

/// Something was written down after words from outside were read. The first of it is kept.
fn wrote(tx: &mut WriteTx<'_>, place: Place, by: Brought) -> Result<(), StoreError> {
    match taint::is_written(tx, &place)? {
        true => Ok(()),
        false => tx.put(&Written { place, by, since: tx.now() }),
    }
}

/// Somebody wrote something down: an agent whose conversation has read words from outside brings its label there, and a
/// person takes it away, whose words it counts as from now on.
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

/// The same for what a person only adds to, which makes none of it theirs.
pub fn passed_on(tx: &mut WriteTx<'_>, place: Place) -> Result<(), StoreError> {
    match tx.by() {
        Actor::Agent { .. } => written(tx, place),
        _ => Ok(()),
    }
}

/// Somebody delivers something or puts a file somewhere: one of this name in the agent's folder that holds untrusted
/// content brings the label as well, also where nobody has read it.
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

/// A program that was left running has written these files of its agent. They carry a label where what it prints does.
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

/// A person has looked at what was written there: it counts as theirs from now on. Answers whether it did not before.
pub fn accept(tx: &mut WriteTx<'_>, place: &Place) -> Result<bool, StoreError> {
    tx.delete::<Written>(place.key())
}

/// What one conversation has read from outside is known to another from now on.
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

/// A person has looked at what a conversation has read: it counts as theirs from now on, and so does what the
/// conversation has written down. Answers whether there was anything.
pub fn lift(tx: &mut WriteTx<'_>, session: &Session) -> Result<bool, StoreError> {
    for one in tx.list::<Written>(&Range::all())? {
        let run = tx.get::<Run>(one.by.run)?;
        if run.is_some_and(|run| run.session == session.id) {
            accept(tx, &one.place)?;
        }
    }
    tx.delete::<Outside>(session.id)
}
