//! Button label and note for continuing an interrupted run.

use crate::runs::model::{Run, TAKEN_BACK};
use crate::runs::rules::{RunError, onward};
use crate::usage::queries::cap::{self, Cap};
use kernel::{AccountId, Outcome};
use store::{Read, StoreError};
use web::format;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onward {
    /// Button label.
    pub label: String,
    /// Message to the agent.
    pub note: String,
}

/// Label and note for this person; `None` if the run cannot be continued.
pub fn of(tx: &dyn Read, run: &Run, by: AccountId) -> Result<Option<Onward>, StoreError> {
    // Most runs end well: skip the lookups for them.
    if run.is_live() || matches!(run.outcome, None | Some(Outcome::Done)) {
        return Ok(None);
    }
    match onward::check(tx, run.id, by) {
        Ok((run, _)) => Ok(Some(words(&run, cap::of_run(tx, &run)?))),
        Err(RunError::Store(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Label and note by outcome. `cap` limits the next run.
#[must_use]
pub fn words(run: &Run, cap: Cap) -> Onward {
    let which = match &run.outcome {
        Some(Outcome::Limit { which }) => which.as_str(),
        Some(Outcome::Interrupted | Outcome::CrashLoop) => "away",
        Some(Outcome::Failed { code, .. }) if code == TAKEN_BACK => "taken",
        _ => "",
    };
    let says = |label: &str, note: &str| Onward { label: label.to_owned(), note: note.to_owned() };
    match (which, cap.micros, cap.tokens) {
        ("cost", Some(micros), _) => {
            let more = format::limit(micros);
            Onward {
                label: format!("Continue with another {more}"),
                note: format!("Continue where you stopped. You can spend another {more}."),
            }
        }
        ("tokens", _, Some(tokens)) => {
            let more = format::grouped(tokens.max(0).unsigned_abs());
            Onward {
                label: format!("Continue with another {more} tokens"),
                note: format!("Continue where you stopped. You can use another {more} tokens."),
            }
        }
        ("loop", ..) => says(
            "Continue",
            "Continue where you stopped, but try a different approach: you kept making the same \
             calls.",
        ),
        ("away", ..) => says(
            "Resume",
            "Continue where you stopped. HQ has restarted since, so first check what was already \
             done.",
        ),
        ("taken", ..) => says(
            "Continue",
            "Continue where you stopped. The machine you worked on stopped responding, so first \
             check what was already done.",
        ),
        _ => says("Continue", "Continue where you stopped."),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cap, words};
    use crate::runs::model::Run;
    use kernel::Outcome;
    use store::Record as _;

    #[test]
    fn what_was_used_up_stands_on_the_button() {
        let label = |outcome: Outcome, cap: Cap| {
            words(&Run { outcome: Some(outcome), ..Run::sample() }, cap).label
        };
        let limit = |which: &str| Outcome::Limit { which: which.to_owned() };
        let cap = Cap { micros: Some(2_000_000), tokens: Some(50_000), usual: false };
        assert_eq!(label(limit("cost"), cap), "Continue with another $2");
        assert_eq!(label(limit("tokens"), cap), "Continue with another 50,000 tokens");
        assert_eq!(label(limit("cost"), Cap::default()), "Continue");
        assert_eq!(label(limit("time"), cap), "Continue");
        assert_eq!(label(Outcome::CrashLoop, cap), "Resume");
        assert_eq!(label(Outcome::Stopped { by: None }, cap), "Continue");
    }
}
