//! A host's side: the primary reads files here and applies people's changes.

use std::time::Duration;

use serde_json::Value;

use app::Ws;
use app::downstream::Stays;
use app::upstream::Refusal;
use features::agents::there::{
    Change, FileQuestion, HELD_BACK, Lies, Lying, NAMED, OVERTAKEN, Wanted,
};
use git::pack::Moved;
use git::snapshot::Skipped;
use git::{Branch, GitError};
use tool::leaks;

use super::{Here, Place, fetch_held, is_whole, stands};
use crate::journal::blocking;
use crate::remote::{OfHome as _, RemoteRequest as Said, Stand, read, value};
use crate::{EngineError, commit};

/// How long a read waits while files are being transferred.
const TURN: Duration = Duration::from_secs(2);
/// Bytes of a pack per response.
const SHOWN: usize = 8 << 20;

/// Answers a file request of the primary.
pub(in crate::remote) async fn answer_request(
    ws: &Ws,
    request: FileQuestion,
) -> Result<Value, Refusal> {
    let Some(up) = ws.upstream.clone() else {
        return Err(Refusal::new("no_host", "this machine runs HQ itself"));
    };
    let at: Here<'_> = (ws, &*up);
    let done = match request {
        FileQuestion::Look(wanted) => match list_files(at, wanted).await {
            Ok(lies) => return value(&lies),
            Err(error) => Err(error),
        },
        FileQuestion::Lay(change) => lay(at, change).await,
        FileQuestion::Left(agent, left) => commit::left_there(ws, agent, left).await,
    };
    done.map(|()| Value::Null).map_err(|error| Refusal::from(&error))
}

/// The present files of an agent.
async fn list_files(at: Here<'_>, wanted: Wanted) -> Result<Lies, EngineError> {
    let (ws, agent) = (at.0, wanted.agent);
    let slug = stands(ws, agent).await?.slug;
    let folder = ws.agent_folder(&slug);
    let Ok(_turn) = tokio::time::timeout(TURN, ws.paths.hold(&folder)).await else {
        let words = "they are being transferred between the two machines";
        return Err(EngineError::Home(Refusal::new("busy", words)));
    };
    let (lying, stays) = match wanted.of {
        Some(lying) => (lying, Vec::new()),
        None => {
            level(at, &wanted).await?;
            let Place { slug, branch, .. } = stands(ws, agent).await?;
            lies_here(ws, slug, branch).await?
        }
    };
    let (own, of) = (ws.clone(), (lying.now, wanted.has));
    let packed = blocking(move || {
        own.looks.pack(of, || own.repo()?.pack_of(of.0, of.1).map_err(EngineError::from))
    });
    let pack = packed.await??;
    let from = usize::try_from(wanted.offset).unwrap_or(usize::MAX).min(pack.len());
    let to = pack.len().min(from.saturating_add(SHOWN));
    if to == pack.len() {
        ws.looks.is_out(of);
    }
    Ok(Lies { lying, total: pack.len() as u64, data: pack[from..to].to_vec(), stays })
}

/// Fetches commits of the primary that are missing here, because the agent may just have moved to this host.
async fn level(at: Here<'_>, wanted: &Wanted) -> Result<(), EngineError> {
    let Place { slug, branch, .. } = stands(at.0, wanted.agent).await?;
    let (own, head) = (at.0.clone(), wanted.head);
    let is_level = blocking(move || {
        let is_on = match head {
            Some(head) => own.repo()?.is_on(&branch, head)?,
            None => true,
        };
        Ok::<_, GitError>(is_on && own.agent_folder(&slug).is_dir())
    });
    match is_level.await?? {
        true => Ok(()),
        false => fetch_held(at, None, wanted.agent).await,
    }
}

/// The state of an agent's folder, with some of the files that stay on this host.
async fn lies_here(
    ws: &Ws,
    slug: String,
    branch: Branch,
) -> Result<(Lying, Vec<Stays>), EngineError> {
    let own = ws.clone();
    let lies = blocking(move || {
        let repo = own.repo()?;
        let head = repo.head(&branch)?.ok_or_else(|| GitError::NoBranch(branch.clone()))?;
        let refuses = |_: &str, bytes: &[u8]| holds_key(&own, bytes);
        let (now, skipped) = repo.as_it_lies(&branch, &own.agent_folder(&slug), &refuses)?;
        let left_out = skipped.len();
        let stays: Vec<Stays> = skipped.into_iter().take(NAMED).map(stays).collect();
        Ok::<_, GitError>((Lying { head, now, left_out }, stays))
    });
    Ok(lies.await??)
}

/// The reason why a file with this content may not leave the host, if there is one.
fn holds_key(ws: &Ws, bytes: &[u8]) -> Option<&'static str> {
    leaks::in_file(&ws.app.redactor, bytes).map(|leak| leak.why)
}

fn stays(Skipped { path, why }: Skipped) -> Stays {
    Stays { path, why: why.to_owned() }
}

/// Applies a change made on the primary. The local branch must be at the commit that the primary saw, and each changed
/// file must have the content that it saw.
async fn lay((ws, up): Here<'_>, change: Change) -> Result<(), EngineError> {
    let slug = stands(ws, change.agent).await?.slug;
    let folder = ws.agent_folder(&slug);
    let _turn = ws.paths.hold(&folder).await;
    let Place { branch, head, .. } = stands(ws, change.agent).await?;
    if head != Some(change.head) {
        return Err(overtaken());
    }
    let mut pack = Vec::new();
    loop {
        let (offset, Change { agent, draft, now, .. }) = (pack.len() as u64, change);
        let draft_request =
            Said::Draft { agent, draft: draft.to_string(), has: now.to_string(), offset };
        let request = value(&draft_request).map_err(EngineError::from_refusal)?;
        let stand: Result<Stand, Refusal> = up.asks(request).await.and_then(read);
        if is_whole(&mut pack, &stand.map_err(EngineError::from_refusal)?) {
            break;
        }
    }
    let own = ws.clone();
    let changed = blocking(move || {
        let repo = own.repo()?;
        repo.take_in(change.draft, &pack)?;
        Ok::<_, EngineError>(repo.touched(change.head, change.draft)?)
    });
    let paths = changed.await??;
    // Lock in the order of the paths, to avoid deadlocks.
    let mut turns = Vec::with_capacity(paths.len());
    for path in &paths {
        turns.push(ws.paths.hold(&folder.join(path)).await);
    }
    let own = ws.clone();
    let laid = blocking(move || laid(&own, (&slug, &branch), change, &paths)).await??;
    drop(turns);
    match laid {
        Laid::All => Ok(()),
        Laid::Overtaken => Err(overtaken()),
        Laid::HeldBack(stays) => Err(held_back(stays)),
    }
}

/// The result of applying a change.
enum Laid {
    /// The change was applied.
    All,
    /// Files have changed meanwhile.
    Overtaken,
    /// The primary never had the content of this file, because it stays on this host.
    HeldBack(Stays),
}

/// Writes the files before the commit: after a crash they are uncommitted, but nothing is lost.
fn laid(
    ws: &Ws,
    (slug, branch): (&str, &Branch),
    change: Change,
    paths: &[String],
) -> Result<Laid, EngineError> {
    let (repo, folder) = (ws.repo()?, ws.agent_folder(slug));
    let Change { now, draft, .. } = change;
    let astray = repo.astray(&folder, (now, draft), paths)?;
    if !astray.is_empty() {
        // A file that stays here always differs from the primary's version, so a retry would not help.
        let refuses = |_: &str, bytes: &[u8]| holds_key(ws, bytes);
        let left_out = repo.left_out(branch, &folder, &astray, &refuses)?;
        let first = left_out.into_iter().next().map(stays);
        return Ok(first.map_or(Laid::Overtaken, Laid::HeldBack));
    }
    let others = repo.carry(&folder, (now, draft), Some(paths))?;
    if others.is_empty() && repo.move_on(branch, draft)? == Moved::On {
        return Ok(Laid::All);
    }
    // A run has committed or a program has written meanwhile.
    repo.carry(&folder, (draft, now), Some(paths))?;
    Ok(Laid::Overtaken)
}

fn overtaken() -> EngineError {
    let words = "the files were changed here at the same time";
    EngineError::Home(Refusal::new(OVERTAKEN, words))
}

fn held_back(stays: Stays) -> EngineError {
    let sentence = format!("{} stays here as it is: {}", stays.path, stays.why);
    match value(&stays) {
        Ok(with) => EngineError::Home(Refusal { with, ..Refusal::new(HELD_BACK, sentence) }),
        Err(refusal) => EngineError::Home(refusal),
    }
}
