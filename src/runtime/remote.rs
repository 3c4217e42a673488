//! Work on hosts. The primary decides, and an agent's host runs the engine. The host sends each write to the primary as
//! a value; the primary applies it by the same rules, and the result is in the mirror before the engine continues.
//! While the link is down, the host writes a run's journal locally and sends it later (`offline.rs`), and some
//! read-only tools use the mirror (`remote_reads.rs`).

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
use super::command::{Applied, Command, CommandHeader, Entry, JournalCommand, Order, Place};
use super::journal::blocking;
use super::port::Handed;

pub use at_home::AtHome;
pub use refusal::OfHome;
pub(super) use remote_reads::run_read;

/// Why an agent starts no work: its host is not linked, or its gateway accepts no new work.
pub(super) use features::inbox::queries::why::{HOST_PAUSED as PAUSED, HOST_SILENT as SILENT};

/// Retry delay when neither the primary nor this host may decide.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes of a blob per message.
const PIECE: usize = 192 * 1024;
/// Largest blob that is sent, in bytes.
const MOST: u64 = 256 * 1024 * 1024;

/// A request of a host's engine to the primary.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RemoteRequest {
    /// Apply a command.
    Write {
        /// Recorded with the write, like `why`.
        by: Actor,
        why: Cause,
        command: Box<Command>,
    },
    /// Run a read-only tool on the primary, which has the whole workspace.
    Look(Look),
    /// A piece of a blob that a later command names.
    Piece(Sent),
    /// The head of an agent's branch, and the commits that this host lacks.
    Branch {
        agent: AgentId,
        /// The head of the branch on the host.
        here: Option<String>,
        /// Bytes of the pack that were received before.
        offset: u64,
    },
    /// New commits of an agent's branch, stored as a blob.
    Commits {
        agent: AgentId,
        /// The blob with the pack.
        pack: BlobId,
        /// The new head of the branch.
        head: String,
    },
    /// A person's change to an agent's files on this host, and the objects that the host lacks.
    Draft {
        agent: AgentId,
        /// The commit of the change.
        draft: String,
        /// The commit that the host has.
        has: String,
        /// Bytes of the pack that were received before.
        offset: u64,
    },
    /// No action. The answer means that everything written before is in the mirror.
    Nothing,
}

/// A call of a read-only tool.
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

/// A branch on the primary.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Stand {
    head: Option<String>,
    /// Total size of the missing commits in bytes.
    total: u64,
    #[serde(with = "app::base64_serde")]
    data: Vec<u8>,
    /// The branch contains the host's head.
    has: bool,
    /// A separate branch that was kept contains the host's head.
    is_kept: bool,
}

fn value(what: &impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(what).map_err(|_| Refusal::new("internal", "this cannot be said"))
}

fn read<T: serde::de::DeserializeOwned>(what: Value) -> Result<T, Refusal> {
    serde_json::from_value(what).map_err(|_| Refusal::new("garbled", "this is unreadable"))
}

async fn say<T: serde::de::DeserializeOwned>(
    up: &dyn Upstream,
    about: Option<RunId>,
    request: &RemoteRequest,
) -> Result<T, Refusal> {
    read(up.say(about, value(request)?).await?)
}

/// Sends an entry to the primary. While the link is down, writes it here if it belongs to the run's journal.
pub(super) async fn enter<E: Entry>(
    (ws, up): (&Ws, &dyn Upstream),
    (by, why): (Actor, Cause),
    hand: CommandHeader,
    entry: &Handed<E>,
) -> Result<Applied<E::Answer>, EngineError> {
    let gone = || EngineError::Broken("a command is gone before it was applied");
    let taken = entry.lock().take().ok_or_else(gone)?;
    let copy = value(&taken).map_err(EngineError::from_refusal)?;
    let run = hand.run;
    // Only the primary starts or resumes a run.
    let is_journal = E::PLACE == Place::Journal && hand.first.is_none();
    let line: JournalCommand = taken.into();
    let (begins, needs_keys) = (offline::begins_call(&line), offline::needs_keys(&line));
    let command = Box::new(Command::Entry { hand: hand.clone(), line });
    let request =
        value(&RemoteRequest::Write { by, why, command }).map_err(EngineError::from_refusal)?;
    let noted = if is_journal {
        let entry = copy.clone();
        let (at, by) = ((ws, up), (by, why));
        offline::Write { at, by, hand, begins, needs_keys, entry, request }.noted::<E>().await
    } else {
        keep_blobs((ws, up), run, &request).await?;
        let answer = up.say(Some(run), request).await;
        answer.and_then(read::<Option<Applied<E::Answer>>>).map_err(EngineError::from_refusal)
    };
    let noted = noted.and_then(|noted| noted.ok_or_else(|| RunError::Fenced.into()));
    if noted.as_ref().is_err_and(EngineError::is_fenced) {
        // ok: the value was serialised from this type before.
        *entry.lock() = serde_json::from_value(copy).ok();
    }
    noted
}

/// Sends an order to the primary, after the blobs that it names.
pub(super) async fn order<O: Order>(
    (ws, up): (&Ws, &dyn Upstream),
    (by, why): (Actor, Cause),
    order: O,
) -> Result<O::Answer, O::Error> {
    let command = Box::new(Command::Order(order.into()));
    let given = async {
        let request = value(&RemoteRequest::Write { by, why, command })?;
        keep_blobs((ws, up), None::<RunId>, &request)
            .await
            .map_err(|error| Refusal::from(&error))?;
        read(up.say(None, request).await?)
    };
    given.await.map_err(O::Error::from_refusal)
}

/// Waits until the mirror has everything that the primary has written so far.
pub(super) async fn catch_up(up: &dyn Upstream) -> Result<(), EngineError> {
    say::<Value>(up, None, &RemoteRequest::Nothing)
        .await
        .map(drop)
        .map_err(EngineError::from_refusal)
}

/// Sends the blobs that the next command names.
async fn keep_blobs(
    (ws, up): (&Ws, &dyn Upstream),
    about: impl Into<Option<RunId>>,
    request: &Value,
) -> Result<(), EngineError> {
    let about = about.into();
    for (id, bytes) in own_files(ws, request).await? {
        keep(up, about, id, &bytes).await?;
    }
    Ok(())
}

/// The blobs of this host that a value names.
async fn own_files(ws: &Ws, request: &Value) -> Result<Vec<(BlobId, Vec<u8>)>, EngineError> {
    let mut found = Vec::new();
    for id in files_in(request) {
        let own = ws.clone();
        // A blob that is not here does not come from this host.
        let read = blocking(move || own.blobs.has(id).then(|| own.blobs.get(id, MOST)));
        if let Some(Ok(bytes)) = read.await? {
            found.push((id, bytes));
        }
    }
    Ok(found)
}

/// Splits a blob into the pieces of its transfer.
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
            say(up, about, &RemoteRequest::Piece(sent)).await.map_err(EngineError::from_refusal)?;
        if has {
            return Ok(());
        }
    }
    Ok(())
}

/// Agents on hosts, each with its gateway and the reason why it can start no work, if there is one.
pub(super) type Places = BTreeMap<AgentId, (GatewayId, Option<&'static str>)>;

/// The agents of the primary's workspace that work on hosts.
pub(super) fn places(ws: &Ws, read: &dyn Read) -> Result<Places, StoreError> {
    let mut places = Places::new();
    for (agent, gateway) in queries::places(read)? {
        let one: Option<gateways::model::Gateway> = store::ReadExt::get(read, gateway)?;
        let status = one.map(|one| one.status);
        let why = match status {
            Some(Status::Paused | Status::Draining) => Some(PAUSED),
            // The link of a revoked gateway may exist for another moment.
            Some(Status::Revoked) | None => Some(SILENT),
            _ if ws.app.hosts.is_linked(ws.id, gateway) => None,
            _ => Some(SILENT),
        };
        places.insert(agent, (gateway, why));
    }
    Ok(places)
}

/// Returns `true` if an agent works on another machine than this one.
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
        let value = serde_json::json!([[picture, body], vec![7; 31], vec!["x"; 32]]);
        assert_eq!(files_in(&value), BTreeSet::from([one, two]));
    }

    #[test]
    fn a_piece_is_understood_whoever_says_it() {
        let bytes = vec![7; super::PIECE + 1];
        let sent: Vec<Sent> = pieces(BlobId::of(&bytes), &bytes).collect();
        let at: Vec<(u64, u64)> = sent.iter().map(|one| (one.offset, one.total)).collect();
        let total = super::PIECE as u64 + 1;
        assert_eq!(at, [(0, total), (total - 1, total)]);
        let request: RemoteRequest = read(Aside::Piece(sent[1].clone()).to_json()).unwrap();
        assert!(matches!(request, RemoteRequest::Piece(piece) if piece == sent[1]));
    }
}
