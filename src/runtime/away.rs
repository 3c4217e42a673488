//! Work on other machines. Home decides, and the machine of an agent drives: what the engine writes there goes to home as
//! a value, is carried out by the same rules, and what was answered is in the mirror before the engine goes on.

mod at_home;
pub(super) mod files;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use app::Ws;
use app::upstream::{Refusal, Upstream};
use gateways::model::{Status, local};
use gateways::queries;
use kernel::{Actor, AgentId, Cause, GatewayId, RunId};
use store::{BlobId, Read, StoreError};
use tool::{ToolCx, ToolError, ToolOutput};

use super::EngineError;
use super::command::{Command, Entry, Hand, Line, Noted, Order};
use super::journal::blocking;
use super::port::Handed;

pub use at_home::AtHome;
pub use refusal::OfHome;

/// Nothing of an agent's is begun while its machine is not linked.
pub(super) const SILENT: &str = "host_silent";
/// Nor while its gateway takes no new work.
pub(super) const PAUSED: &str = "host_paused";
/// So much of a file goes in one piece.
const PIECE: usize = 192 * 1024;
/// The largest file that goes.
const MOST: u64 = 256 * 1024 * 1024;

/// What the engine on a host says to home.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    /// Something is to be written.
    Write {
        /// By whom.
        by: Actor,
        /// And why.
        why: Cause,
        /// What.
        command: Box<Command>,
    },
    /// A tool that looks is to look where all of the workspace lies.
    Look(Look),
    /// A piece of a file that something written later names.
    Piece(Piece),
    /// Where the branch of an agent stands, with what this host does not have.
    Branch {
        /// The agent.
        agent: AgentId,
        /// Where the branch stands here.
        here: Option<String>,
        /// How many bytes of what is missing came before.
        offset: u64,
    },
    /// What is new in the branch of an agent, kept as a file.
    Commits {
        /// The agent.
        agent: AgentId,
        /// The file.
        pack: BlobId,
        /// Where the branch stands now.
        head: String,
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

/// What it found.
#[derive(Serialize, Deserialize)]
struct Found {
    text: String,
    is_error: bool,
    load: Vec<String>,
    whole: Option<String>,
}

/// A piece of a file.
#[derive(Serialize, Deserialize)]
struct Piece {
    id: BlobId,
    offset: u64,
    total: u64,
    data: String,
}

/// A branch as home has it.
#[derive(Serialize, Deserialize)]
struct Stand {
    head: Option<String>,
    /// How long all is that is missing.
    total: u64,
    data: String,
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
    asked: &Asked,
) -> Result<T, Refusal> {
    read(up.say(about, value(asked)?).await?)
}

/// Writes an entry at home.
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
    let line: Line = taken.into();
    let command = Box::new(Command::Entry { hand, line });
    let said = value(&Asked::Write { by, why, command }).map_err(EngineError::told)?;
    keep_blobs((ws, up), run, &said).await?;
    let answer = up.say(Some(run), said).await;
    let noted: Result<Option<Noted<E::Answer>>, Refusal> = answer.and_then(read);
    match noted {
        Ok(Some(noted)) => Ok(noted),
        Ok(None) => {
            // ok: it was one of these a moment ago.
            *entry.lock() = serde_json::from_value(copy).ok();
            Err(EngineError::Run(features::runs::rules::RunError::Fenced))
        }
        Err(refusal) => {
            let error = EngineError::told(refusal);
            if error.is_fenced() {
                *entry.lock() = serde_json::from_value(copy).ok(); // ok: as above
            }
            Err(error)
        }
    }
}

/// Gives home an order.
pub(super) async fn order<O: Order>(
    up: &dyn Upstream,
    (by, why): (Actor, Cause),
    order: O,
) -> Result<O::Answer, O::Error> {
    let command = Box::new(Command::Order(order.into()));
    say(up, None, &Asked::Write { by, why, command }).await.map_err(O::Error::told)
}

/// Lets a tool look at home.
pub(super) async fn look(
    up: &dyn Upstream,
    cx: &ToolCx,
    (name, arguments): (&str, &str),
) -> Result<ToolOutput, ToolError> {
    let (name, arguments) = (name.to_owned(), arguments.to_owned());
    let look = Look { run: cx.run, name, arguments, step: cx.step, most: cx.max_result };
    let found: Found = say(up, Some(cx.run), &Asked::Look(look))
        .await
        .map_err(|refusal| ToolError::Failed { code: "not_at_home", message: refusal.sentence })?;
    let Found { text, is_error, load, whole } = found;
    Ok(ToolOutput { is_error, load, whole, ..ToolOutput::text(text) })
}

/// Waits until all is in the mirror that home has written by now.
pub(super) async fn catch_up(up: &dyn Upstream) -> Result<(), EngineError> {
    say::<Value>(up, None, &Asked::Nothing).await.map(drop).map_err(EngineError::told)
}

/// Sends the files that something names which is written next.
async fn keep_blobs(
    (ws, up): (&Ws, &dyn Upstream),
    run: RunId,
    said: &Value,
) -> Result<(), EngineError> {
    let mut named = BTreeSet::new();
    blobs_of(said, &mut named);
    for id in named {
        let own = ws.clone();
        // What is not here was never a file of this host.
        let found = blocking(move || own.blobs.has(id).then(|| own.blobs.get(id, MOST)));
        if let Some(Ok(bytes)) = found.await? {
            keep(up, run, id, &bytes).await?;
        }
    }
    Ok(())
}

async fn keep(up: &dyn Upstream, run: RunId, id: BlobId, bytes: &[u8]) -> Result<(), EngineError> {
    let total = bytes.len() as u64;
    let mut offset = 0;
    for piece in bytes.chunks(PIECE) {
        let data = STANDARD.encode(piece);
        let asked = Asked::Piece(Piece { id, offset, total, data });
        let has: bool = say(up, Some(run), &asked).await.map_err(EngineError::told)?;
        if has {
            return Ok(());
        }
        offset += piece.len() as u64;
    }
    Ok(())
}

/// Takes the files out of what is said that look as if they were named in it.
fn blobs_of(said: &Value, found: &mut BTreeSet<BlobId>) {
    match said {
        Value::String(text) if text.len() == 64 => found.extend(text.parse::<BlobId>()),
        // As records name one: by its 32 bytes.
        Value::Array(all) if all.len() == 32 && all[0].is_u64() => {
            found.extend(BlobId::deserialize(said));
        }
        Value::Array(all) => all.iter().for_each(|one| blobs_of(one, found)),
        Value::Object(all) => all.values().for_each(|one| blobs_of(one, found)),
        _ => {}
    }
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
    use super::{BTreeSet, BlobId, blobs_of};
    use features::runs::model::{Body, EventKind};

    #[test]
    fn files_are_found_in_what_names_them() {
        let (one, two) = (BlobId::of(b"one"), BlobId::of(b"two"));
        let (call_id, media_type) = ("call_1".to_owned(), "image/png".to_owned());
        let picture = EventKind::Picture { call_id, media_type, id: one, len: 3 };
        let body = Body::Blob { id: two, len: 9, head: "two".to_owned() };
        let said = serde_json::json!([[picture, body], vec![7; 31], vec!["x"; 32]]);
        let mut found = BTreeSet::new();
        blobs_of(&said, &mut found);
        assert_eq!(found, BTreeSet::from([one, two]));
    }
}
