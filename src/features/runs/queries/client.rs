//! Runs that answer an API client: its options, and the calls that it executes.

use crate::runs::model::{Demand, EventKind, Input, InputState, Run, Session};
use kernel::{RunId, RunTrigger};
use store::{Read, ReadExt, StoreError};

use super::{OpenCall, branches, events_of_run, open_calls, open_inputs, talk};

/// Number of a run's events searched for the message it answers, which is read at the beginning.
const FIRST: usize = 64;

/// The client message that a run answers, if it has options beyond text.
pub fn find_request(tx: &dyn Read, run: &Run) -> Result<Option<(Input, Demand)>, StoreError> {
    if run.trigger != RunTrigger::Api {
        return Ok(None);
    }
    // A retried run answers no client.
    let own = [InputState::Assigned(run.id), InputState::Consumed(run.id)];
    let demanding = |input: Input| {
        let demand = input.demand.clone().filter(|_| own.contains(&input.state))?;
        Some((input, demand))
    };
    if let Some(found) = open_inputs(tx, run.session)?.into_iter().find_map(demanding) {
        return Ok(Some(found));
    }
    for event in events_of_run(tx, run, FIRST)? {
        if let EventKind::Input { input: Some(id), .. } = event.kind
            && let Some(found) = tx.get::<Input>(id)?.and_then(demanding)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether a run ends when its client disconnects: the run of a single call without the option to stay. A run that
/// waits for the client's tool results has already answered. A restarted run answers no client.
pub fn is_bound(tx: &dyn Read, run: &Run) -> Result<bool, StoreError> {
    if run.trigger != RunTrigger::Api || run.waits_for_client() {
        return Ok(false);
    }
    let session = tx.get::<Session>(run.session)?;
    let bound = session.is_some_and(|session| talk::is_bound(&session.key));
    Ok(bound && branches::of_run(tx, run)?.is_none())
}

/// A call that the client executes.
#[derive(Clone, Debug)]
pub struct Handed {
    /// Call id as the client knows it.
    pub id: String,
    pub call: OpenCall,
}

/// The calls that a run waits for, in order; empty if the run does not wait for a client.
pub fn handed(tx: &dyn Read, run: &Run) -> Result<Vec<Handed>, StoreError> {
    if !run.waits_for_client() {
        return Ok(Vec::new());
    }
    let all = open_calls(tx, run)?.into_iter();
    Ok(all.map(|call| Handed { id: id_of(run.id, call.place), call }).collect())
}

/// Call id for the client, which contains the waiting run.
fn id_of(run: RunId, (event, at): (u32, usize)) -> String {
    format!("call_{run}_{event}_{at}")
}

/// The run that waits for the call with this id.
#[must_use]
pub fn run_of(id: &str) -> Option<RunId> {
    id.strip_prefix("call_")?.split('_').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{id_of, run_of};
    use kernel::{RunId, TypedId as _};

    #[test]
    fn the_id_of_a_call_says_which_run_waits() {
        let run = RunId::from_bytes([7; 16]);
        let id = id_of(run, (u32::MAX, 127));
        assert!(id.len() <= 64, "{id}");
        assert_eq!(run_of(&id), Some(run));
        assert_eq!(["call_abc", "toolu_1", "call_"].map(run_of), [None; 3]);
    }
}
