//! Files of agents that work on another machine. They lie there. Home asks for what is new and shows a copy; what people
//! change is committed here on a draft and laid there, and refused where the files are not what they were any more. While
//! the machine is silent, home shows what it was sent last.

mod words;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use app::Ws;
use app::downstream::{Look, PATIENCE, SILENT, Stays};
use app::upstream::Refusal;
use git::pack::Moved;
use git::{Branch, CommitId};
use jiff::tz::TimeZone;
use kernel::{AgentId, RunId, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use web::format;

use super::files::FilesError;
use super::model::Agent;
use super::queries::elsewhere::{self, Elsewhere};

/// A look serves those who read so soon after it.
const FRESH: Duration = Duration::from_millis(200);
/// Whoever looks waits so long for a change that is being made.
const TURN: Duration = Duration::from_secs(2);
/// A change may take so long: what is large has to go there first.
const LAYING: Duration = Duration::from_secs(120);
/// No agent has more files, as a pack.
const MOST: u64 = 600 << 20;
/// By what questions about files are known among all that is asked.
const FILES: &str = "files";
/// The code of a host that refuses a change: the files are not what they were any more.
pub const OVERTAKEN: &str = "file_changed";
/// The code of a host that refuses a change of a file that stays there, which comes with it as [`Stays`].
pub const HELD_BACK: &str = "file_stays";
/// So many files that stay on a machine are told with their names.
pub const NAMED: usize = 20;

/// What home asks a host about the files of its agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileQuestion {
    /// What lies there.
    Look(Wanted),
    /// A change that was made at home is to be laid there.
    Lay(Change),
    /// What a run that has ended left there is to be committed.
    Left(AgentId, LeftOver),
}

/// What home wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Whose files.
    pub agent: AgentId,
    /// Where the branch stands at home.
    pub head: Option<CommitId>,
    /// What home has: only what is missing beside it is sent.
    pub has: Option<CommitId>,
    /// What was seen, where the rest of that is wanted.
    pub of: Option<Lying>,
    /// How many bytes came before.
    pub offset: u64,
}

/// What lies on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lying {
    /// Where the branch stands there.
    pub head: CommitId,
    /// All that lies there, as a commit on top of that; the same where nothing differs.
    pub now: CommitId,
    /// How many files are not in it.
    pub left_out: usize,
}

/// What a host shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lies {
    /// What lies there.
    pub lying: Lying,
    /// How many bytes the pack has of what is missing at home.
    pub total: u64,
    /// Some of them.
    #[serde(with = "app::base64_serde")]
    pub data: Vec<u8>,
    /// The first of the files that stay there; only where this is asked anew.
    #[serde(default)]
    pub stays: Vec<Stays>,
}

/// A change that was made at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whose files.
    pub agent: AgentId,
    /// Where the branch stood there.
    pub head: CommitId,
    /// What lay there.
    pub now: CommitId,
    /// Where the branch is to stand: a commit that home gives out.
    pub draft: CommitId,
}

/// What a run left without a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOver {
    pub run: RunId,
    pub name: String,
    /// The files.
    pub paths: Vec<String>,
}

/// Where work on the files of an agent is done.
#[derive(Clone, Debug)]
pub struct Bench {
    pub branch: Branch,
    pub folder: PathBuf,
}

/// How it stands with files that lie on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct There {
    /// Whether they are shown as they lie there, and can be changed.
    pub is_live: bool,
    /// What is to be said of them, in whole sentences; empty where all is as if they lay here.
    pub words: String,
    /// The first of the files that lie there alone, as of the last look.
    pub stays: Vec<Stays>,
}

/// Works at the files of an agent, wherever they lie, while nobody else changes these.
///
/// # Errors
/// What the work refuses; that there is no folder, that the other machine is silent, or that its files were changed at the
/// same moment.
pub async fn at<T: Send + 'static, E: From<FilesError> + Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    paths: BTreeSet<String>,
    work: impl FnOnce(&Bench) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match place(ws, agent)? {
        None => here(ws, agent, paths, work).await,
        Some(place) => away(ws, agent, place, work).await,
    }
}

async fn here<T: Send + 'static, E: From<FilesError> + Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    paths: BTreeSet<String>,
    work: impl FnOnce(&Bench) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let folder = ws.agent_folder(&agent.slug);
    let branch = Branch::agent(&agent.slug).map_err(FilesError::from)?;
    // In the order of names, so that two that want the same do not wait for each other.
    let mut turns = Vec::with_capacity(paths.len());
    for path in &paths {
        turns.push(ws.paths.hold(&folder.join(path)).await);
    }
    let done = tokio::task::spawn_blocking(move || match folder.is_dir() {
        true => work(&Bench { branch, folder }),
        false => Err(FilesError::NoFolder.into()),
    });
    done.await.map_err(|_| FilesError::CutOff)?
}

/// Works at a copy of what lies on another machine, and lays there what came of it. Whoever asked may go away meanwhile:
/// what is begun is done, since half of it would be shown here and lie nowhere else.
async fn away<T: Send + 'static, E: From<FilesError> + Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    place: Elsewhere,
    work: impl FnOnce(&Bench) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let (own, agent) = (ws.clone(), agent.clone());
    let made = async move { changed(&own, &agent, &place, work).await };
    let done = ws.app.see_through("a change of files", made).await;
    done.unwrap_or_else(|_| Err(FilesError::CutOff.into()))
}

async fn changed<T: Send + 'static, E: From<FilesError> + Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    place: &Elsewhere,
    work: impl FnOnce(&Bench) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let folder = copy_of(ws, &agent.slug);
    let _turn = ws.paths.hold(&folder).await;
    let look = seen(ws, agent, place, Duration::ZERO).await?;
    let branch = Branch::draft(&agent.slug).map_err(FilesError::from)?;
    let bench = Bench { branch, folder };
    let (own, start, draft) = (ws.clone(), look.head, bench.branch.clone());
    let done = tokio::task::spawn_blocking(move || {
        begin(&own, &bench, start)?;
        let came = work(&bench)?;
        Ok::<_, E>((came, stands(&own, &bench.branch)?))
    });
    let done = done.await.unwrap_or_else(|_| Err(FilesError::CutOff.into()));
    // The copy is not what lies there any more, or that is not what it was.
    ws.looks.is_over(agent.id);
    let laid = match done {
        Ok((came, Some(to))) if to != start => {
            let change = Change { agent: agent.id, head: start, now: look.now, draft: to };
            lay(ws, agent, place, change).await.map(|()| came).map_err(E::from)
        }
        Ok((came, _)) => Ok(came),
        Err(error) => Err(error),
    };
    let own = ws.clone();
    let tidied = blocking(move || Ok(own.repo()?.delete_branch(&draft)?)).await;
    if let Err(error) = tidied {
        tracing::debug!(%error, "a draft stays until the next one");
    }
    laid
}

/// Lets a draft begin at a commit.
fn begin(ws: &Ws, bench: &Bench, at: CommitId) -> Result<(), FilesError> {
    ws.repo()?.place(&bench.branch, at).map_err(damaged)
}

fn stands(ws: &Ws, branch: &Branch) -> Result<Option<CommitId>, FilesError> {
    Ok(ws.repo()?.head(branch)?)
}

/// Lays a change on the other machine. It is made with that; home's own branch follows.
async fn lay(ws: &Ws, agent: &Agent, place: &Elsewhere, change: Change) -> Result<(), FilesError> {
    ask::<Value>(ws, place, &FileQuestion::Lay(change), LAYING).await?;
    if let Err(error) = go_on(ws, &agent.slug, change.draft).await {
        tracing::warn!(agent.id = %agent.id, %error, "a change is known here with the next look");
    }
    Ok(())
}

/// Lets the branch of an agent at home go on to a commit that is there, and the folder of home's copy with it.
///
/// # Errors
/// When the commit is not there, or the disk fails.
pub async fn go_on(ws: &Ws, slug: &str, to: CommitId) -> Result<Moved, FilesError> {
    let (own, folder, branch) = (ws.clone(), ws.agent_folder(slug), Branch::agent(slug)?);
    let _turn = ws.paths.hold(&folder).await;
    blocking(move || own.repo()?.bring_on(&branch, &folder, to).map_err(damaged)).await
}

/// The folder from which the files of an agent are read: as they lie on the machine where it works, while that is linked.
pub async fn folder(ws: &Ws, agent: &Agent) -> Result<PathBuf, FilesError> {
    let own = ws.agent_folder(&agent.slug);
    let Some(place) = place(ws, agent)? else {
        if ws.looks.forget(agent.id) {
            let copy = copy_of(ws, &agent.slug);
            // ok: what is left of a copy is in nobody's way.
            let _ = tokio::fs::remove_dir_all(copy).await;
        }
        return Ok(own);
    };
    match look(ws, agent, &place).await {
        Ok(_) => Ok(copy_of(ws, &agent.slug)),
        Err(FilesError::Silent(_)) => Ok(own),
        Err(error) => {
            tracing::info!(agent.id = %agent.id, %error, "what was sent last is shown");
            Ok(own)
        }
    }
}

/// The same as of the last look, for those who cannot wait for one.
pub fn last_folder(ws: &Ws, agent: &Agent) -> Result<PathBuf, FilesError> {
    let is_linked = place(ws, agent)?.is_some_and(|place| place.is_linked);
    let is_laid = ws.looks.last(agent.id).is_some_and(|look| look.is_laid);
    Ok(match is_linked && is_laid {
        true => copy_of(ws, &agent.slug),
        false => ws.agent_folder(&agent.slug),
    })
}

/// How it stands with the files of an agent that works on another machine; none where they lie here.
pub async fn state(
    ws: &Ws,
    agent: &Agent,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Option<There>, FilesError> {
    let Some(place) = place(ws, agent)? else { return Ok(None) };
    let why = match look(ws, agent, &place).await {
        Ok(look) => {
            let words = words::left_out(&look, &place.label, true);
            return Ok(Some(There { is_live: true, words, stays: look.stays }));
        }
        Err(FilesError::Silent(_)) => None,
        Err(FilesError::There { why, .. }) => Some(why),
        Err(error) => Some(error.to_string()),
    };
    let (own, branch) = (ws.clone(), Branch::agent(&agent.slug)?);
    let as_of = blocking(move || {
        let repo = own.repo()?;
        let head = repo.head(&branch)?;
        Ok(head.map(|head| repo.commit(head)).transpose()?.map(|commit| commit.time))
    });
    let old = words::old(&place, why.as_deref(), as_of.await?, (now, zone));
    let last = ws.looks.last(agent.id);
    let left_out = last.as_ref().map(|look| words::left_out(look, &place.label, false));
    let words = format!("{old} {}", left_out.unwrap_or_default()).trim_end().to_owned();
    let stays = last.map(|look| look.stays).unwrap_or_default();
    Ok(Some(There { is_live: false, words, stays }))
}

/// Asks the machine where an agent works to commit what a run that has ended left there.
///
/// # Errors
/// When the machine is silent or does not answer.
pub async fn left(ws: &Ws, agent: &Agent, left: LeftOver) -> Result<(), FilesError> {
    let Some(place) = place(ws, agent)? else { return Ok(()) };
    ask::<Value>(ws, &place, &FileQuestion::Left(agent.id, left), LAYING).await.map(drop)
}

fn place(ws: &Ws, agent: &Agent) -> Result<Option<Elsewhere>, FilesError> {
    Ok(ws.read(|snap| elsewhere::at(ws, snap, agent.id))?)
}

/// The folder of the copy of what lies on another machine.
pub(super) fn copy_of(ws: &Ws, slug: &str) -> PathBuf {
    ws.folder.join("agents").join(slug).join("there")
}

/// Looks at what lies there, unless somebody has a moment ago. A machine that did not answer then is not waited for again
/// by each of those who look, and whoever looks may go away meanwhile: the copy is made to its end.
async fn look(ws: &Ws, agent: &Agent, place: &Elsewhere) -> Result<Look, FilesError> {
    let (own, agent, place) = (ws.clone(), agent.clone(), place.clone());
    let look = async move {
        let mute = |ws: &Ws| ws.looks.mute(agent.id).map_or(Ok(()), |why| Err(there(&place, &why)));
        mute(&own)?;
        let copy = copy_of(&own, &agent.slug);
        let Ok(_turn) = tokio::time::timeout(TURN, own.paths.hold(&copy)).await else {
            return Err(there(&place, "they are being changed"));
        };
        mute(&own)?;
        let seen = seen(&own, &agent, &place, FRESH).await;
        if let Err(FilesError::There { why, .. }) = &seen {
            own.looks.is_mute(agent.id, why.clone());
        }
        seen
    };
    let looked = ws.app.see_through("a look at files", look).await;
    looked.unwrap_or(Err(FilesError::CutOff))
}

/// The same for whoever has the turn.
async fn seen(
    ws: &Ws,
    agent: &Agent,
    place: &Elsewhere,
    fresh: Duration,
) -> Result<Look, FilesError> {
    if !place.is_linked {
        return Err(silent(place, ws.app.clock.now()));
    }
    let last = ws.looks.last(agent.id);
    if let Some(look) = &last
        && look.is_laid
        && look.at.elapsed() < fresh
    {
        return Ok(look.clone());
    }
    let (own, branch) = (ws.clone(), Branch::agent(&agent.slug)?);
    let head = blocking(move || stands(&own, &branch)).await?;
    let has = last.as_ref().map(|look| look.now).or(head);
    let Fetched { lying, stays, pack } = fetched(ws, place, (agent.id, head, has)).await?;
    let is_same = last.is_some_and(|look| look.is_laid && look.now == lying.now);
    let (own, copy) = (ws.clone(), copy_of(ws, &agent.slug));
    // Until it is laid, nobody takes the copy for what lies there.
    ws.looks.is_over(agent.id);
    blocking(move || {
        let repo = own.repo()?;
        if !is_same {
            repo.take_in(lying.now, &pack).map_err(damaged)?;
            repo.mirror(lying.now, &copy)?;
        }
        if head != Some(lying.head) {
            repo.take_in(lying.head, &[]).map_err(damaged)?;
        }
        Ok(())
    })
    .await?;
    go_on(ws, &agent.slug, lying.head).await?;
    let Lying { head, now, left_out } = lying;
    let look = Look { at: Instant::now(), head, now, is_laid: true, left_out, stays };
    ws.looks.note(agent.id, look.clone());
    Ok(look)
}

/// What lies there, with a pack of what is missing here.
struct Fetched {
    lying: Lying,
    stays: Vec<Stays>,
    pack: Vec<u8>,
}

async fn fetched(
    ws: &Ws,
    place: &Elsewhere,
    (agent, head, has): (AgentId, Option<CommitId>, Option<CommitId>),
) -> Result<Fetched, FilesError> {
    let (mut of, mut stays, mut pack) = (None, Vec::new(), Vec::new());
    loop {
        let wanted = Wanted { agent, head, has, of, offset: pack.len() as u64 };
        let lies: Lies = ask(ws, place, &FileQuestion::Look(wanted), PATIENCE).await?;
        let piece = lies.data;
        let is_last = piece.is_empty() || lies.total <= (pack.len() + piece.len()) as u64;
        pack.extend(piece);
        if of.is_none() {
            stays = lies.stays.into_iter().take(NAMED).map(words::short).collect();
        }
        if MOST < pack.len() as u64 {
            return Err(there(place, "it has more files than an agent may have"));
        }
        if is_last {
            return Ok(Fetched { lying: lies.lying, stays, pack });
        }
        of = Some(lies.lying);
    }
}

async fn ask<T: DeserializeOwned>(
    ws: &Ws,
    place: &Elsewhere,
    asked: &FileQuestion,
    patience: Duration,
) -> Result<T, FilesError> {
    let what = json!({ FILES: asked });
    let answer = ws.app.hosts.ask_within(ws, place.gateway, what, patience).await;
    let answer = answer.map_err(|refusal| refused(place, refusal, ws.app.clock.now()))?;
    let read = serde_json::from_value(answer);
    read.map_err(|_| there(place, "what it answered cannot be understood"))
}

/// What a host refuses, as people hear it.
fn refused(place: &Elsewhere, refusal: Refusal, now: Timestamp) -> FilesError {
    match refusal.code.as_str() {
        SILENT => silent(place, now),
        OVERTAKEN => FilesError::Overtaken(place.label.clone()),
        HELD_BACK => match Stays::deserialize(&refusal.with) {
            Ok(Stays { path, why }) => FilesError::Stays { label: place.label.clone(), path, why },
            Err(_) => there(place, &refusal.sentence),
        },
        _ => there(place, &refusal.sentence),
    }
}

fn silent(place: &Elsewhere, now: Timestamp) -> FilesError {
    let label = &place.label;
    FilesError::Silent(match place.heard_at {
        Some(at) => {
            let length = Duration::from_secs(now.duration_since(at).unsigned_abs().as_secs());
            format!("{label} has been silent for {}", format::duration(length))
        }
        None => format!("{label} was never heard of"),
    })
}

fn there(place: &Elsewhere, why: &str) -> FilesError {
    FilesError::There { label: place.label.clone(), why: why.to_owned() }
}

pub(super) fn damaged(error: std::io::Error) -> FilesError {
    FilesError::Damaged(error.to_string())
}

pub(super) async fn blocking<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    tokio::task::spawn_blocking(body).await.map_err(|_| FilesError::CutOff)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::time::from_ms;
    use kernel::{GatewayId, Problem as _, TypedId as _};

    const NOON: i64 = 1_700_049_600_000;

    fn place(is_linked: bool, heard_at: Option<Timestamp>) -> Elsewhere {
        Elsewhere {
            gateway: GatewayId::from_bytes([95; 16]),
            label: "GPU box".to_owned(),
            is_paused: false,
            is_revoked: false,
            is_linked,
            heard_at,
        }
    }

    #[test]
    fn a_question_is_known_again() {
        let id = CommitId::from_bytes([7; 20]);
        let agent = AgentId::from_bytes([5; 16]);
        let lying = Lying { head: id, now: id, left_out: 1 };
        let wanted = Wanted { agent, head: None, has: Some(id), of: Some(lying), offset: u64::MAX };
        let change = Change { agent, head: id, now: id, draft: id };
        let paths = vec!["a.md".to_owned()];
        let left = LeftOver { run: RunId::from_bytes([6; 16]), name: "R-7".to_owned(), paths };
        for asked in
            [FileQuestion::Look(wanted), FileQuestion::Lay(change), FileQuestion::Left(agent, left)]
        {
            let said = serde_json::to_value(&asked).unwrap();
            assert_eq!(serde_json::from_value::<FileQuestion>(said).unwrap(), asked);
        }
    }

    #[test]
    fn what_a_host_refuses_is_told_as_what_it_is() {
        let place = place(true, Some(from_ms(NOON - 300_000)));
        let told = |refusal: Refusal| {
            let error = refused(&place, refusal, from_ms(NOON));
            (error.code(), error.to_string())
        };
        let code = |code: &str| told(Refusal::new(code, "it is busy"));
        let (silent, words) = code(SILENT);
        assert_eq!(silent, "gateway_offline");
        assert!(words.starts_with("GPU box has been silent for 5 min"), "{words}");
        assert_eq!(code(OVERTAKEN).0, "file_changed");
        let (other, words) = code("host_mute");
        assert!(other == "gateway_failed" && words.contains("it is busy"), "{words}");
        let with = json!({ "path": "a.md", "why": "it holds what looks like a key" });
        let (held, words) = told(Refusal { with, ..Refusal::new(HELD_BACK, "it stays") });
        assert!(held == "file_stays", "{held}");
        assert!(words.starts_with("a.md stays on GPU box as it is: it holds what "), "{words}");
        let (garbled, words) = code(HELD_BACK);
        assert!(garbled == "gateway_failed" && words.contains("it is busy"), "{words}");
    }
}
