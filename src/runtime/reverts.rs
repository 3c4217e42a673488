//! Reverts agents' files for an undo: orders in the store, executed one at a time in order. An order is marked as
//! started before a file is touched, so that a half-done one cannot be withdrawn. After a crash it is started again;
//! files that are already reverted are recognised.

use std::collections::BTreeSet;
use std::time::Duration;

use app::Ws;
use app::downstream::SILENT;
use app::upstream::Refusal;
use features::agents::files::FilesError;
use features::agents::model::Agent;
use features::agents::queries::elsewhere;
use features::agents::there;
use features::history::model::{FILE_REVERTS, FileRevert, KeptFile, REVERTS_OPEN, RevertState};
use features::history::queries::error::HistoryError;
use features::history::queries::files::{self, Slice};
use features::history::rules::files::{self as rules, FilesDone};
use features::runs::model::Run;
use git::revert::{RecordedChange, Revert};
use git::{Author, Branch, CommitId, Entry as GitEntry, GitError};
use store::{Range, ReadExt, WriteTx};

use super::commit;
use super::feed::changed;
use super::journal::blocking;
use super::remote;
use super::{BY, EngineError};

/// Retry delay after a store error.
const AGAIN: Duration = Duration::from_secs(2);
/// Retry delay after a linked host did not execute an order.
const LATER: Duration = Duration::from_secs(10);
/// Orders read at once.
const PAGE: usize = 20;

/// Executes orders until the program ends.
pub(super) async fn run(ws: Ws) {
    let mut feed = ws.store.subscribe();
    let mut moves = ws.app.hosts.moves();
    let halt = ws.halt();
    loop {
        let worked = work_off(&ws).await;
        if let Err(error) = &worked {
            tracing::error!(%error, "files could not be taken back; it is tried again");
        }
        let is_held_up = matches!(worked, Ok(true));
        tokio::select! {
            () = halt.cancelled() => return,
            // No event announces that a full disk has space again.
            () = tokio::time::sleep(AGAIN), if worked.is_err() => {}
            () = tokio::time::sleep(LATER), if is_held_up => {}
            // A host with files to revert may be back.
            moved = moves.changed() => if moved.is_err() { return },
            open = changed(&mut feed, &[FILE_REVERTS]) => if !open { return },
        }
    }
}

/// Executes all possible orders. Returns whether a linked host has delayed one.
async fn work_off(ws: &Ws) -> Result<bool, EngineError> {
    // Orders whose host is unreachable or does not execute them now.
    let (mut waiting, mut is_held_up) = (BTreeSet::new(), false);
    loop {
        let range = Range::all().limit(PAGE + waiting.len());
        let mut open: Vec<FileRevert> =
            ws.read(|snap| snap.scan::<FileRevert>(REVERTS_OPEN, &range))?;
        open.retain(|order| !waiting.contains(&order.id));
        if open.is_empty() || ws.halt().is_cancelled() {
            return Ok(is_held_up);
        }
        for order in open {
            let id = order.id;
            let done = match carry_out(ws, order).await {
                Ok(None) => continue,
                Ok(Some(done)) => Ok(done),
                Err(EngineError::Git(error)) => Err(error.to_string()),
                Err(EngineError::Broken(why)) => Err(why.to_owned()),
                Err(EngineError::Home(refusal)) => {
                    tracing::info!("files go back later: {}", refusal.sentence);
                    is_held_up |= refusal.code != SILENT;
                    waiting.insert(id);
                    continue;
                }
                Err(error) => return Err(error),
            };
            write(ws, move |tx| rules::end(tx, id, done)).await?;
        }
    }
}

async fn write<T: Send + 'static>(
    ws: &Ws,
    rule: impl FnOnce(&mut WriteTx<'_>) -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, EngineError> {
    ws.write(&BY, rule).await.map_err(|error| match error {
        HistoryError::Store(error) => EngineError::Store(error),
        other => EngineError::Tool(other.to_string()),
    })
}

/// An order with its records.
struct Order {
    order: FileRevert,
    agent: Agent,
    /// The display name of the run.
    name: String,
    run: Option<Run>,
}

/// Executes an order; `None` if it was withdrawn meanwhile.
async fn carry_out(ws: &Ws, order: FileRevert) -> Result<Option<FilesDone>, EngineError> {
    let (agent, run) = ws.read(|snap| {
        Ok::<_, EngineError>((snap.get::<Agent>(order.agent)?, snap.get::<Run>(order.run)?))
    })?;
    let Some(agent) = agent else { return Err(EngineError::Broken("the agent is gone")) };
    // Do not start what cannot be done: until then the order can be withdrawn.
    if let Some(place) = ws.read(|snap| elsewhere::silent(ws, snap, agent.id))? {
        let words = format!("{}, which has the files, isn't responding", place.label);
        return Err(EngineError::Home(Refusal::new(SILENT, words)));
    }
    let name = run.as_ref().map_or_else(|| "a run".to_owned(), Run::name);
    let mut order = Order { order, agent, name, run };
    if order.order.state == RevertState::Queued {
        let id = order.order.id;
        let (commits, slices) = order.prepare(ws).await?;
        match write(ws, move |tx| rules::begin(tx, id, commits, slices)).await? {
            Some(begun) => order.order = begun,
            None => return Ok(None),
        }
    }
    order.take_back(ws).await.map(Some)
}

impl Order {
    /// The commits to revert, and their files in slices. Changes of a run that was ended from outside are committed
    /// first. The commits of another order are known once that order is done.
    async fn prepare(&self, ws: &Ws) -> Result<(Vec<String>, Vec<Slice>), EngineError> {
        let order = &self.order;
        if order.paths.is_some() {
            return Ok((order.commits.clone(), Vec::new()));
        }
        if let Some(of) = order.of {
            let former = ws.read(|snap| snap.get::<FileRevert>(of))?;
            let commit = former.filter(|former| former.state == RevertState::Done);
            return Ok((commit.and_then(|former| former.commit).into_iter().collect(), Vec::new()));
        }
        let mut commits = order.commits.clone();
        let mut marks = order.marks.iter().map(|m| (m.path.clone(), m.clone())).collect();
        if let Some(run) = &self.run {
            let done = ws.read(|snap| files::done_by(snap, run))?;
            marks = done.marks;
            if commit::is_due(ws, run)? {
                commit::left(ws, run.id).await;
                for commit in self.committed(ws).await? {
                    if !commits.contains(&commit) {
                        commits.push(commit);
                    }
                }
            }
        }
        let (own, looked) = (ws.clone(), parsed(&commits)?);
        let paths = blocking(move || own.repo()?.changed_by(&looked)).await??;
        Ok((commits, files::slices(paths, &marks)))
    }

    /// The commits of the run, oldest first.
    async fn committed(&self, ws: &Ws) -> Result<Vec<String>, EngineError> {
        let (own, slug) = (ws.clone(), self.agent.slug.clone());
        let mark = commit::mark(&self.name);
        let found: Result<_, GitError> =
            blocking(move || own.repo()?.marked(&Branch::agent(&slug)?, &mark)).await?;
        Ok(found?.iter().map(CommitId::to_string).collect())
    }

    async fn take_back(self, ws: &Ws) -> Result<FilesDone, EngineError> {
        let Self { order, agent, name, .. } = self;
        if order.commits.is_empty() {
            return Ok(FilesDone::default());
        }
        let commits = parsed(&order.commits)?;
        let paths = match &order.paths {
            Some(paths) => paths.clone(),
            None => {
                let (own, looked) = (ws.clone(), commits.clone());
                blocking(move || own.repo()?.changed_by(&looked)).await??
            }
        };
        let verb = if order.returns { "Restore" } else { "Undo" };
        let mark = format!("Order: {}", order.id);
        let message = format!("{verb} {name}\n\n{mark}\nAgent: {}\n", agent.slug);
        let noted = order.marks.into_iter().map(|mark| RecordedChange {
            path: mark.path,
            before: mark.before,
            after: mark.after,
        });
        let noted: Vec<RecordedChange> = noted.collect();
        let (own, now) = (ws.clone(), ws.app.clock.now());
        let done = there::at(ws, &agent, paths.into_iter().collect(), move |bench| {
            let author = Author::hq();
            let entry = GitEntry { author: &author, message: &message, time: now };
            let what = Revert {
                branch: &bench.branch,
                dir: &bench.folder,
                commits: &commits,
                noted: &noted,
                only: order.paths.as_deref(),
                mark: &mark,
            };
            Ok::<_, FilesError>(own.repo()?.revert(&what, &entry)?)
        });
        let done = done.await.map_err(remote::files::of_files)?;
        let kept = done.kept.into_iter();
        Ok(FilesDone {
            commit: done.commit.map(|id| id.to_string()),
            restored: done.restored,
            kept: kept.map(|(path, why)| KeptFile { path, why: why.to_owned() }).collect(),
        })
    }
}

fn parsed(commits: &[String]) -> Result<Vec<CommitId>, GitError> {
    commits.iter().map(|id| id.parse()).collect()
}
