//! Runs that answer a program: what it asked for, and the calls that it is to carry out.

use crate::runs::model::{Demand, EventKind, Input, InputState, Run, Session};
use kernel::{RunId, RunTrigger};
use store::{Read, ReadExt, StoreError};

use super::{OpenCall, branches, events_of_run, open_calls, open_inputs, talk};

/// How many events of a run are looked at for the message that it answers: it is read at the beginning.
const FIRST: usize = 64;

/// The message of a program that a run answers, when it asks for more than words.
pub fn asked(tx: &dyn Read, run: &Run) -> Result<Option<(Input, Demand)>, StoreError> {
    if run.trigger != RunTrigger::Api {
        return Ok(None);
    }
    // A run that repeats another answers nobody's program.
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

/// Whether a run ends when the program that asked hangs up: that of a single call which is not told to stay. One
/// that waits for results of the program's tools has answered it, and one that a person began again answers no
/// program.
pub fn is_bound(tx: &dyn Read, run: &Run) -> Result<bool, StoreError> {
    if run.trigger != RunTrigger::Api || run.waits_for_client() {
        return Ok(false);
    }
    let session = tx.get::<Session>(run.session)?;
    let bound = session.is_some_and(|session| talk::is_bound(&session.key));
    Ok(bound && branches::of_run(tx, run)?.is_none())
}

/// A call that a program is to carry out.
#[derive(Clone, Debug)]
pub struct Handed {
    /// The id that the program knows it by.
    pub id: String,
    pub call: OpenCall,
}

/// The calls that a run waits for, in order; none when it waits for no program.
pub fn handed(tx: &dyn Read, run: &Run) -> Result<Vec<Handed>, StoreError> {
    if !run.waits_for_client() {
        return Ok(Vec::new());
    }
    let all = open_calls(tx, run)?.into_iter();
    Ok(all.map(|call| Handed { id: id_of(run.id, call.place), call }).collect())
}

/// The id by which a program knows a call: it says which run waits for it.
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
