//! A run is taken back from a machine of which nothing is heard: it ends here, and what that machine still says of it is
//! refused. What the run may have done there is told with its end.

use crate::runs::model::{Run, TAKEN_BACK};
use crate::runs::queries;
use kernel::{Outcome, RunId, RunState};
use store::{ReadExt, WriteTx};

use super::{RunError, children, context, life};

/// Takes a run back from the machine that is called so. Work that it served begins anew.
///
/// # Errors
/// `Ended` when it has ended.
pub fn take(tx: &mut WriteTx<'_>, id: RunId, from: &str) -> Result<Run, RunError> {
    let run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    if !run.is_live() {
        return Err(RunError::Ended(run.name()));
    }
    let mut begun: Vec<String> = queries::open_calls(tx, &run)?
        .into_iter()
        .filter(|call| call.started.is_some())
        .map(|call| call.name)
        .collect();
    begun.dedup();
    let by = tx.by().account();
    context::withdraw(tx, run.session)?;
    children::stop_all(tx, id, by)?;
    let outcome = Outcome::Failed {
        code: TAKEN_BACK.to_owned(),
        reason: told(from, run.state == RunState::Queued, &begun),
    };
    life::force_end(tx, id, outcome, "")
}

/// What may have happened there, in words.
fn told(from: &str, waited: bool, begun: &[String]) -> String {
    let there = match (begun, waited) {
        ([], true) => "It did not work at that moment, as far as is known here.".to_owned(),
        ([], false) => "What it did there since the last step is not known.".to_owned(),
        ([one], _) => format!("{one} was begun there and may have taken effect."),
        (all, _) => format!("{} were begun there and may have taken effect.", all.join(", ")),
    };
    format!("Taken back from {from}, of which nothing was heard. {there}")
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn an_end_says_what_may_have_happened_there() {
        let begun = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            told("GPU box", false, &names)
        };
        let first = "Taken back from GPU box, of which nothing was heard. ";
        assert_eq!(
            begun(&["exec"]),
            format!("{first}exec was begun there and may have taken effect.")
        );
        assert!(begun(&["exec", "web_fetch"]).contains("exec, web_fetch were begun"));
        assert!(begun(&[]).ends_with("is not known."));
        assert!(told("GPU box", true, &[]).starts_with(first));
    }
}
