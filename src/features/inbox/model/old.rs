//! Former layouts of items.

use jiff::fmt::serde::timestamp::millisecond;
use serde::Deserialize;

use super::{Item, Reason};
use kernel::{AgentId, ItemId, ItemKind, ItemState, Priority, RunId, TaskId, Timestamp};
use store::codec::{self, DecodeError};

#[derive(Deserialize)]
struct ItemV1 {
    id: ItemId,
    agent: AgentId,
    kind: ItemKind,
    task: Option<TaskId>,
    key: String,
    state: ItemState,
    priority: Priority,
    reasons: Vec<Reason>,
    run: Option<RunId>,
    attempts: u32,
    #[serde(with = "millisecond::optional")]
    not_before: Option<Timestamp>,
    held_reason: Option<String>,
    last_error: Option<String>,
    depth: u8,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    ended_at: Option<Timestamp>,
}

/// Decodes the layout without `front_at`.
pub(super) fn item(body: &[u8]) -> Result<Item, DecodeError> {
    let old: ItemV1 = codec::decode(body)?;
    let by_person = old.reasons.iter().any(|reason| reason.person.is_some());
    Ok(Item {
        held_since: old.held_reason.as_ref().map(|_| old.updated_at),
        waits_from: old.created_at,
        asked_at: by_person.then_some(old.created_at),
        id: old.id,
        agent: old.agent,
        kind: old.kind,
        task: old.task,
        key: old.key,
        state: old.state,
        priority: old.priority,
        reasons: old.reasons,
        run: old.run,
        attempts: old.attempts,
        not_before: old.not_before,
        held_reason: old.held_reason,
        last_error: old.last_error,
        depth: old.depth,
        created_at: old.created_at,
        updated_at: old.updated_at,
        ended_at: old.ended_at,
        front_at: None,
        pressed: false,
    })
}
