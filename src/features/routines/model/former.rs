//! Former layouts of routines in older stores. Frozen.

use jiff::fmt::serde::timestamp::millisecond;
use serde::Deserialize;

use super::{Action, Quiet, Routine, Trigger};
use kernel::{Actor, AgentId, CatchUp, Overlap, RoutineId, RoutineSession, Thinking, Timestamp};
use store::{DecodeError, codec};

#[derive(Deserialize)]
struct RoutineV2 {
    id: RoutineId,
    agent: AgentId,
    name: String,
    instruction: String,
    trigger: Trigger,
    action: Action,
    active: bool,
    stopped: Option<String>,
    asks: bool,
    created_by: Actor,
    catch_up: CatchUp,
    catch_up_minutes: Option<u32>,
    overlap: Overlap,
    model: Option<String>,
    thinking: Option<Thinking>,
    budget_micros: Option<i64>,
    quiet: Option<Quiet>,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
}

/// Decodes the layout without jitter, archiving and conversations.
pub(super) fn before_delays(body: &[u8]) -> Result<Routine, DecodeError> {
    let old: RoutineV2 = codec::decode(body)?;
    Ok(Routine {
        id: old.id,
        agent: old.agent,
        name: old.name,
        instruction: old.instruction,
        trigger: old.trigger,
        action: old.action,
        active: old.active,
        stopped: old.stopped,
        asks: old.asks,
        created_by: old.created_by,
        catch_up: old.catch_up,
        catch_up_minutes: old.catch_up_minutes,
        overlap: old.overlap,
        model: old.model,
        thinking: old.thinking,
        budget_micros: old.budget_micros,
        quiet: old.quiet,
        created_at: old.created_at,
        updated_at: old.updated_at,
        jitter_secs: 0,
        delete_when_done: false,
        done_at: None,
        session: RoutineSession::Isolated,
        deliver_to: None,
    })
}
