//! Commits a run's file changes to the agent's branch, as one commit.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use app::Ws;
use features::agents::files::FilesError;
use features::agents::model::Agent;
use features::agents::there::{self, LeftOver};
use features::runs::model::{EventKind, LeftOut, RUNS, Run, SessionEvent};
use features::runs::queries as runs;
use features::tasks::model::Task;
use features::workspace::model::Settings;
use git::snapshot::{Paths, Refuses};
use git::{Author, Branch, Entry, GitError};
use kernel::key;
use kernel::text::ellipsis;
use kernel::{AgentId, RunId};
use store::{Read, ReadExt, Snap, StoreError, feed};
use tool::leaks;

use super::EngineError;
use super::journal::{Journal, blocking};
use super::remote;
use super::tools::identity;

/// Number of recent feed entries searched for ended runs without a commit.
const LATELY: u64 = 1_000;

/// Commits the changed paths of a run; the returned event must be appended to the session. `None` if nothing changed. A
/// failed commit is only logged: the files stay, and the run continues.
pub(super) async fn files(journal: &mut Journal) -> Result<Option<EventKind>, EngineError> {
    if journal.paths.is_empty() && !journal.unsure {
        return Ok(None);
    }
    let taken = Taken {
        ws: journal.ws.clone(),
        run: journal.run,
        name: format!("R-{}", journal.number),
        agent: journal.agent,
        paths: journal.paths.iter().cloned().collect(),
        unsure: journal.unsure,
    };
    match commit(taken).await {
        Ok((committed, left_out)) => {
            journal.paths.clear();
            journal.unsure = false;
            say(journal, left_out).await;
            Ok(committed)
        }
        Err(EngineError::Git(error)) => {
            tracing::error!(run.id = %journal.run, %error, "an agent's files were not committed");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Records in the session which files are not committed. If the run has ended meanwhile, only the log has this.
async fn say(journal: &mut Journal, files: Vec<LeftOut>) {
    if files.is_empty() {
        return;
    }
    if let Err(error) = journal.append(vec![EventKind::LeftOut { files }]).await {
        tracing::warn!(run.id = %journal.run, %error, "it was not said which files were left out");
    }
}

/// The paths that a run has changed since its last commit, from its events.
pub(super) fn noted<'e>(
    run: &Run,
    events: impl IntoIterator<Item = &'e SessionEvent>,
) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for event in events.into_iter().filter(|event| event.run == Some(run.id)) {
        match &event.kind {
            EventKind::ToolFinished { paths: changed, .. }
            | EventKind::Late { paths: changed, .. } => paths.extend(changed.iter().cloned()),
            EventKind::Remembered { path, .. } => drop(paths.insert(path.clone())),
            EventKind::Committed { .. } => paths.clear(),
            EventKind::LeftOut { files } => {
                for file in files {
                    paths.remove(&file.path);
                }
            }
            _ => {}
        }
    }
    paths
}

/// The same, plus the files that the run was about to write, which were recorded first.
fn held(snap: &dyn Read, run: &Run) -> Result<BTreeSet<String>, StoreError> {
    let events = runs::events_of_run(snap, run, usize::MAX)?;
    let mut begun = BTreeMap::new();
    for event in events.iter().filter(|event| event.run == Some(run.id)) {
        match &event.kind {
            EventKind::ToolStarted { call_id, file: Some(mark), .. } => {
                begun.insert(call_id, std::slice::from_ref(mark));
            }
            EventKind::FilesStarted { call_id, files, .. } => {
                begun.insert(call_id, files);
            }
            EventKind::ToolFinished { call_id, .. } => drop(begun.remove(call_id)),
            _ => {}
        }
    }
    let mut paths = noted(run, &events);
    paths.extend(begun.into_values().flatten().map(|mark| mark.path.clone()));
    Ok(paths)
}

/// The uncommitted paths of these runs, except for one run.
pub(super) fn held_by(
    snap: &dyn Read,
    runs: &[Run],
    but: RunId,
) -> Result<BTreeSet<String>, StoreError> {
    let mut paths = BTreeSet::new();
    for other in runs.iter().filter(|other| other.id != but) {
        paths.append(&mut held(snap, other)?);
    }
    Ok(paths)
}

/// Returns `true` if an ended run has uncommitted changes.
pub(super) fn is_due(ws: &Ws, run: &Run) -> Result<bool, EngineError> {
    ws.read(|snap| Ok(!held(snap, run)?.is_empty()))
}

/// The trailer line that identifies the commits of a run.
pub(super) fn mark(run: &str) -> String {
    format!("Run: {run}")
}

/// Commits the changes of a run that has no task: it was ended from outside or could not be loaded.
pub(super) async fn left(ws: &Ws, run: RunId) {
    let noted = ws.read(|snap| {
        let Some(run) = snap.get::<Run>(run)? else { return Ok(None) };
        let paths = held(snap, &run)?;
        let agent = snap.get::<Agent>(run.agent)?;
        let agent = agent.filter(|_| !paths.is_empty());
        Ok::<_, EngineError>(
            agent.map(|agent| (agent, run.name(), paths.into_iter().collect::<Vec<_>>())),
        )
    });
    let committed = match noted {
        Ok(None) => return,
        Ok(Some((agent, name, paths))) => {
            keep_left(ws, &agent, LeftOver { run, name, paths }).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = committed {
        tracing::error!(run.id = %run, %error, "an agent's files were not committed");
    }
}

/// Commits a run's leftover changes where its files are. An unreachable host commits them when it is back.
async fn keep_left(ws: &Ws, agent: &Agent, left: LeftOver) -> Result<(), EngineError> {
    if ws.upstream.is_none() && remote::is_elsewhere(ws, agent.id)? {
        let result = there::left(ws, agent, left).await;
        return match result {
            Err(FilesError::Silent(_)) => Ok(()),
            other => other.map_err(remote::files::of_files),
        };
    }
    left_there(ws, agent.id, left).await
}

/// Commits a run's leftover changes here.
pub(super) async fn left_there(ws: &Ws, agent: AgentId, left: LeftOver) -> Result<(), EngineError> {
    let LeftOver { run, name, paths } = left;
    commit(Taken { ws: ws.clone(), run, name, agent, paths, unsure: false }).await.map(drop)
}

/// Commits all uncommitted files of an agent without live runs, when it is unknown which run wrote them.
pub(super) async fn keep_all(ws: &Ws, agent: &Agent) -> Result<(), EngineError> {
    if !ws.read(|snap| runs::live_of_agent(snap, agent.id))?.is_empty() {
        return Ok(());
    }
    let (own, slug, name) = (ws.clone(), agent.slug.clone(), agent.name.clone());
    let message = format!("Keep what {name} left\n\nAgent: {slug}\n");
    let kept = blocking(move || {
        let branch = Branch::agent(&slug)?;
        let author = Author::new(&name, &format!("{slug}@agents.hq"));
        let entry = Entry { author: &author, message: &message, time: own.app.clock.now() };
        let why =
            |_: &str, bytes: &[u8]| leaks::in_file(&own.app.redactor, bytes).map(|leak| leak.why);
        let none = || Ok(BTreeSet::new());
        let taken = (Paths::AllBut(&none), Some(&why as Refuses<'_>));
        own.repo()?.commit_what_may(&branch, &own.agent_folder(&slug), taken, &entry)
    });
    kept.await??;
    Ok(())
}

/// Runs that changed in the last feed entries.
fn lately(ws: &Ws, snap: &Snap<'_>) -> Result<Vec<Run>, EngineError> {
    let last = feed::newest(snap, ws.store.schema(), None, 1)?.first().map_or(0, |entry| entry.seq);
    let mut ids = BTreeSet::new();
    for seq in last.saturating_sub(LATELY)..=last {
        let Some(entry) = feed::entry(snap, seq)? else { continue };
        let changes = entry.changes.iter().filter(|change| change.table == RUNS.number);
        ids.extend(changes.filter_map(|change| key::decode::<RunId>(&change.key)));
    }
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(snap.get::<Run>(id)?);
    }
    Ok(found)
}

/// Runs that ended shortly before the last shutdown without a commit. A later run would commit their changes as its
/// own, and revert them with its work. Files that a live run has overwritten belong to that run.
pub(super) fn broken_off(ws: &Ws) -> Result<Vec<RunId>, EngineError> {
    ws.read(|snap| {
        let live = runs::live(snap)?;
        let theirs = live
            .iter()
            .map(|run| Ok((run.agent, held(snap, run)?)))
            .collect::<Result<Vec<_>, EngineError>>()?;
        let mut found = Vec::new();
        for run in lately(ws, snap)?.into_iter().filter(|run| !run.is_live()) {
            let paths = held(snap, &run)?;
            let is_theirs = |(agent, theirs): &(AgentId, BTreeSet<String>)| {
                *agent == run.agent && !theirs.is_disjoint(&paths)
            };
            if !paths.is_empty() && !theirs.iter().any(is_theirs) {
                found.push(run.id);
            }
        }
        Ok(found)
    })
}

/// Paths that other runs of the agent have changed and will commit.
fn of_others(
    ws: &Ws,
    snap: &Snap<'_>,
    (agent, run): (AgentId, RunId),
    own: &[String],
) -> Result<BTreeSet<String>, EngineError> {
    let mut others = runs::live_of_agent(snap, agent)?;
    let has_ended = |other: &Run| other.agent == agent && !other.is_live();
    others.extend(lately(ws, snap)?.into_iter().filter(has_ended));
    let mut paths = held_by(snap, &others, run)?;
    for path in own {
        paths.remove(path);
    }
    Ok(paths)
}

/// The input of a commit.
struct Taken {
    ws: Ws,
    run: RunId,
    /// The display name of the run.
    name: String,
    agent: AgentId,
    paths: Vec<String>,
    /// Take every changed file except those that other runs commit.
    unsure: bool,
}

/// Commits the files. Files that contain a key are left out and returned.
async fn commit(taken: Taken) -> Result<(Option<EventKind>, Vec<LeftOut>), EngineError> {
    let Taken { ws, run: run_id, name, agent: agent_id, paths, unsure } = taken;
    let facts = ws.read(|snap| {
        // A run that was ended from outside is gone from its host's mirror; its files are still there.
        let run = snap.get::<Run>(run_id)?;
        let task = match run.as_ref().and_then(|run| run.task) {
            Some(task) => snap.get::<Task>(task)?,
            None => None,
        };
        let (agent, settings) = (snap.get::<Agent>(agent_id)?, snap.get::<Settings>(())?);
        Ok::<_, EngineError>(agent.map(|agent| (agent, run, task, settings)))
    })?;
    let Some((agent, run, task, settings)) = facts else {
        return Err(EngineError::Broken("the agent of a run is gone"));
    };
    let own = ws.clone();
    let subject = match (&task, &settings, &run) {
        (Some(task), Some(settings), _) => {
            format!("{}-{}: {}", settings.task_key, task.number, ellipsis(&task.title, 60))
        }
        (_, _, Some(run)) => ellipsis(&run.title, 70),
        (_, _, None) => format!("Keep what {name} left"),
    };
    let message = format!("{subject}\n\n{}\nAgent: {}\n", mark(&name), agent.slug);
    let of = (agent_id, run_id);
    let now = ws.app.clock.now();
    let (snapshot, left_out) = blocking(move || {
        let branch = Branch::agent(&agent.slug)?;
        let author = Author::new(&agent.name, &format!("{}@agents.hq", agent.slug));
        let entry = Entry { author: &author, message: &message, time: now };
        let folder = ws.agent_folder(&agent.slug);
        if unsure {
            let theirs = ws.read(|snap| of_others(&ws, snap, of, &paths));
            let theirs = theirs.map_err(|error| GitError::Unasked(Box::new(error)))?;
            let is_written = |name: &str| paths.iter().any(|p| p == name) || theirs.contains(name);
            identity::as_committed(&ws, &agent.slug, is_written)?;
        }
        let others = || Ok(ws.read(|snap| of_others(&ws, snap, of, &paths))?);
        let taken = if unsure { Paths::AllBut(&others) } else { Paths::Only(&paths) };
        let left_out = RefCell::new(Vec::new());
        let refuses = |path: &str, bytes: &[u8]| {
            let leak = leaks::in_file(&ws.app.redactor, bytes)?;
            left_out.borrow_mut().push(LeftOut {
                path: path.to_owned(),
                line: u32::try_from(leak.line).unwrap_or(u32::MAX),
                why: leak.why.to_owned(),
            });
            Some(leak.why)
        };
        let taken = (taken, Some(&refuses as Refuses<'_>));
        let snapshot = ws.repo()?.commit_what_may(&branch, &folder, taken, &entry)?;
        Ok::<_, GitError>((snapshot, left_out.into_inner()))
    })
    .await??;
    // Also without a new commit: a crash may have come between an earlier commit and its transfer.
    if let Some(up) = own.upstream.as_ref() {
        remote::files::send((&own, &**up), Some(run_id), agent_id).await?;
    }
    let files = u32::try_from(snapshot.changed.len()).unwrap_or(u32::MAX);
    let committed =
        snapshot.commit.map(|id| EventKind::Committed { commit: id.to_string(), files });
    Ok((committed, left_out))
}
