//! Work on other machines. Home decides, and the machine of an agent drives: what the engine writes there goes to home as
//! a value, is carried out by the same rules, and what was answered is in the mirror before the engine goes on. While the
//! line is cut, what happens in a run is written on its machine and said later (`alone.rs`), and some tools look in what that
//! has of the workspace (`look.rs`).

mod offline;
pub(super) mod asks;
mod at_home;
pub(super) mod files;
mod late;
pub(super) mod link;
mod remote_reads;
mod refusal;
#[cfg(test)]
pub(super) mod scripted;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use app::Ws;
use app::upstream::{Refusal, Sent, Upstream, files_in};
use features::runs::rules::RunError;
use gateways::model::{Status, local};
use gateways::queries;
use kernel::{Actor, AgentId, Cause, GatewayId, RunId};
use store::{BlobId, Read, StoreError};

use super::EngineError;
use super::command::{Command, Entry, Hand, Line, Noted, Order, Place};
use super::journal::blocking;
use super::port::Handed;

pub use at_home::AtHome;
pub use refusal::OfHome;
pub(super) use remote_reads::look;

/// Why nothing of an agent's is begun: its machine is not linked, or its gateway takes no new work.
pub(super) use features::inbox::queries::why::{HOST_PAUSED as PAUSED, HOST_SILENT as SILENT};

/// So long it waits before it is tried again where neither home nor this host may decide.
const AGAIN: Duration = Duration::from_secs(1);
/// So much of a file goes in one piece.
const PIECE: usize = 192 * 1024;
/// The largest file that goes.
const MOST: u64 = 256 * 1024 * 1024;

/// What the engine on a host says to home.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RemoteRequest {
    /// Something is to be written.
    Write {
        /// By whom.
        by: Actor,
        why: Cause,
        command: Box<Command>,
    },
    /// A tool that looks is to look where all of the workspace lies.
    Look(Look),
    /// A piece of a file that something written later names.
    Piece(Sent),
    /// Where the branch of an agent stands, with what this host does not have.
    Branch {
        agent: AgentId,
        /// Where the branch stands here.
        here: Option<String>,
        /// How many bytes of what is missing came before.
        offset: u64,
    },
    /// What is new in the branch of an agent, kept as a file.
    Commits {
        agent: AgentId,
        /// The file.
        pack: BlobId,
        /// Where the branch stands now.
        head: String,
    },
    /// What people have changed of the files of an agent here, with what this host does not have of it.
    Draft {
        agent: AgentId,
        /// The change.
        draft: String,
        /// What is here.
        has: String,
        /// How many bytes of what is missing came before.
        offset: u64,
    },
    /// Nothing: what was written before the answer is in the mirror.
    Nothing,
}

/// A tool that looks.
#[derive(Serialize, Deserialize)]
struct Look {
    run: RunId,
    name: String,
    arguments: String,
    step: u32,
    most: usize,
}

#[derive(Serialize, Deserialize)]
struct Found {
    text: String,
    is_error: bool,
    load: Vec<String>,
    whole: Option<String>,
}

/// A branch as home has it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Stand {
    head: Option<String>,
    /// How long all is that is missing.
    total: u64,
    #[serde(with = "app::base64_serde")]
    data: Vec<u8>,
    /// Whether the branch leads back to where it stands on the host.
    has: bool,
    /// Whether a branch does that was kept beside it.
    is_kept: bool,
}

fn value(what: &impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(what).map_err(|_| Refusal::new("internal", "this cannot be said"))
}

fn read<T: serde::de::DeserializeOwned>(what: Value) -> Result<T, Refusal> {
    serde_json::from_value(what).map_err(|_| Refusal::new("garbled", "this cannot be understood"))
}

async fn say<T: serde::de::DeserializeOwned>(
    up: &dyn Upstream,
    about: Option<RunId>,
    asked: &RemoteRequest,
) -> Result<T, Refusal> {
    read(up.say(about, value(asked)?).await?)
}

/// Writes an entry at home; while the line is cut here, as far as it tells what happens in the run.
pub(super) async fn enter<E: Entry>(
    (ws, up): (&Ws, &dyn Upstream),
    (by, why): (Actor, Cause),
    hand: Hand,
    entry: &Handed<E>,
) -> Result<Noted<E::Answer>, EngineError> {
    let gone = || EngineError::Broken("a command is gone before it was applied");
    let taken = entry.lock().take().ok_or_else(gone)?;
    let copy = value(&taken).map_err(EngineError::told)?;
    let run = hand.run;
    // What begins a run, or goes on with one, home alone writes.
    let is_journal = E::PLACE == Place::Journal && hand.first.is_none();
    let line: Line = taken.into();
    let (begins, needs_keys) = (offline::begins_call(&line), offline::needs_keys(&line));
    let command = Box::new(Command::Entry { hand: hand.clone(), line });
    let said = value(&RemoteRequest::Write { by, why, command }).map_err(EngineError::told)?;
    let noted = if is_journal {
        let entry = copy.clone();
        let (at, by) = ((ws, up), (by, why));
        offline::Write { at, by, hand, begins, needs_keys, entry, said }.noted::<E>().await
    } else {
        keep_blobs((ws, up), run, &said).await?;
        let answer = up.say(Some(run), said).await;
        answer.and_then(read::<Option<Noted<E::Answer>>>).map_err(EngineError::told)
    };
    let noted = noted.and_then(|noted| noted.ok_or_else(|| RunError::Fenced.into()));
    if noted.as_ref().is_err_and(EngineError::is_fenced) {
        // ok: it was one of these a moment ago.
        *entry.lock() = serde_json::from_value(copy).ok();
    }
    noted
}

/// Gives home an order, behind the files that it names.
pub(super) async fn order<O: Order>(
    (ws, up): (&Ws, &dyn Upstream),
    (by, why): (Actor, Cause),
    order: O,
) -> Result<O::Answer, O::Error> {
    let command = Box::new(Command::Order(order.into()));
    let given = async {
        let said = value(&RemoteRequest::Write { by, why, command })?;
        keep_blobs((ws, up), None::<RunId>, &said).await.map_err(|error| Refusal::from(&error))?;
        read(up.say(None, said).await?)
    };
    given.await.map_err(O::Error::told)
}

/// Waits until all is in the mirror that home has written by now.
pub(super) async fn catch_up(up: &dyn Upstream) -> Result<(), EngineError> {
    say::<Value>(up, None, &RemoteRequest::Nothing).await.map(drop).map_err(EngineError::told)
}

/// Sends the files that something names which is written next.
async fn keep_blobs(
    (ws, up): (&Ws, &dyn Upstream),
    about: impl Into<Option<RunId>>,
    said: &Value,
) -> Result<(), EngineError> {
    let about = about.into();
    for (id, bytes) in own_files(ws, said).await? {
        keep(up, about, id, &bytes).await?;
    }
    Ok(())
}

/// The files of this host that something names.
async fn own_files(ws: &Ws, said: &Value) -> Result<Vec<(BlobId, Vec<u8>)>, EngineError> {
    let mut found = Vec::new();
    for id in files_in(said) {
        let own = ws.clone();
        // What is not here was never a file of this host.
        let read = blocking(move || own.blobs.has(id).then(|| own.blobs.get(id, MOST)));
        if let Some(Ok(bytes)) = read.await? {
            found.push((id, bytes));
        }
    }
    Ok(found)
}

/// A file in the pieces in which it goes.
fn pieces(id: BlobId, bytes: &[u8]) -> impl Iterator<Item = Sent> {
    let total = bytes.len() as u64;
    let mut offset = 0;
    bytes.chunks(PIECE).map(move |piece| {
        let sent = Sent { id, offset, total, data: piece.to_vec() };
        offset += piece.len() as u64;
        sent
    })
}

async fn keep(
    up: &dyn Upstream,
    about: impl Into<Option<RunId>>,
    id: BlobId,
    bytes: &[u8],
) -> Result<(), EngineError> {
    let about = about.into();
    for sent in pieces(id, bytes) {
        let has: bool =
            say(up, about, &RemoteRequest::Piece(sent)).await.map_err(EngineError::told)?;
        if has {
            return Ok(());
        }
    }
    Ok(())
}

/// Agents that work on other machines, each with why nothing new is begun there, if something keeps it from that.
pub(super) type Places = BTreeMap<AgentId, (GatewayId, Option<&'static str>)>;

/// The agents of a home that work elsewhere.
pub(super) fn places(ws: &Ws, read: &dyn Read) -> Result<Places, StoreError> {
    let mut places = Places::new();
    for (agent, gateway) in queries::places(read)? {
        let one: Option<gateways::model::Gateway> = store::ReadExt::get(read, gateway)?;
        let status = one.map(|one| one.status);
        let why = match status {
            Some(Status::Paused | Status::Draining) => Some(PAUSED),
            // Its link may still stand for a moment.
            Some(Status::Revoked) | None => Some(SILENT),
            _ if ws.app.hosts.is_linked(ws.id, gateway) => None,
            _ => Some(SILENT),
        };
        places.insert(agent, (gateway, why));
    }
    Ok(places)
}

/// Whether an agent works on another machine than this.
pub(super) fn is_elsewhere(ws: &Ws, agent: AgentId) -> Result<bool, StoreError> {
    match &ws.upstream {
        Some(up) => Ok(!up.agents().contains(&agent)),
        None => ws.read(|snap| Ok(queries::gateway_of(snap, agent)? != local())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{BlobId, RemoteRequest, Sent, files_in, pieces, read};
    use app::upstream::Aside;
    use features::runs::model::{Body, EventKind};

    #[test]
    fn files_are_found_in_what_names_them() {
        let (one, two) = (BlobId::of(b"one"), BlobId::of(b"two"));
        let (call_id, media_type) = ("call_1".to_owned(), "image/png".to_owned());
        let picture = EventKind::Picture { call_id, media_type, id: one, len: 3 };
        let body = Body::Blob { id: two, len: 9, head: "two".to_owned() };
        let said = serde_json::json!([[picture, body], vec![7; 31], vec!["x"; 32]]);
        assert_eq!(files_in(&said), BTreeSet::from([one, two]));
    }

    #[test]
    fn a_piece_is_understood_whoever_says_it() {
        let bytes = vec![7; super::PIECE + 1];
        let sent: Vec<Sent> = pieces(BlobId::of(&bytes), &bytes).collect();
        let at: Vec<(u64, u64)> = sent.iter().map(|one| (one.offset, one.total)).collect();
        let total = super::PIECE as u64 + 1;
        assert_eq!(at, [(0, total), (total - 1, total)]);
        let asked: RemoteRequest = read(Aside::Piece(sent[1].clone()).said()).unwrap();
        assert!(matches!(asked, RemoteRequest::Piece(piece) if piece == sent[1]));
    }
}
