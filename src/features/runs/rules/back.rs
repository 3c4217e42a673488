//! Takes a run back from a host that is silent or no longer admitted. The run ends on the primary and later writes of
//! the host are refused. The outcome states what may have happened on the host.

use crate::runs::model::{Run, TAKEN_BACK};
use crate::runs::queries;
use crate::usage::model::grant::RunGrant;
use kernel::{GatewayId, Outcome, RunId, RunState};
use store::{ReadExt, WriteTx};
use web::format;

use super::{RunError, children, context, life};

/// Why a run is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A person decided so because the host is silent.
    Silent,
    Revoked,
    Removed,
}

/// Takes back all runs of a gateway that is no longer admitted.
pub fn take_all(
    tx: &mut WriteTx<'_>,
    gateway: GatewayId,
    from: &str,
    why: Why,
) -> Result<(), RunError> {
    for run in queries::live_on(tx, gateway)? {
        match take(tx, run.id, from, why) {
            // A sub-agent may have ended together with its parent.
            Ok(_) | Err(RunError::Ended(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes a run back from the host named `from`. Its item starts from the beginning.
///
/// # Errors
/// `Ended` if the run has ended.
pub fn take(tx: &mut WriteTx<'_>, id: RunId, from: &str, why: Why) -> Result<Run, RunError> {
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
    let grant = tx.get::<RunGrant>(id)?.filter(|grant| run.is_at_work() && grant.lost.is_none());
    let mut reason = describe(from, why, run.state == RunState::Queued, &begun);
    // A disconnected host learns of this only when it reconnects.
    if let Some(grant) = grant.filter(|grant| why != Why::Silent && 0 < grant.micros) {
        let most = format::money(grant.micros);
        reason = format!(
            "{reason} If the machine is cut off, the run ends there when it reconnects, and may cost up to {most} until then."
        );
    }
    let by = tx.by().account();
    context::withdraw(tx, run.session)?;
    children::stop_all(tx, id, by)?;
    let outcome = Outcome::Failed { code: TAKEN_BACK.to_owned(), reason };
    life::force_end(tx, id, outcome, "")
}

/// What may have happened on the host, as text.
fn describe(from: &str, why: Why, waited: bool, begun: &[String]) -> String {
    let there = match (begun, waited) {
        ([], true) => "It wasn’t working at that moment, as far as HQ knows.".to_owned(),
        ([], false) => "Its actions since the last step are unknown.".to_owned(),
        ([one], _) => format!("{one} was started there and may have taken effect."),
        (all, _) => format!("{} were started there and may have taken effect.", all.join(", ")),
    };
    match why {
        Why::Silent => format!("Taken back from {from}, which stopped responding. {there}"),
        Why::Revoked => format!("The gateway {from} was revoked. {there}"),
        Why::Removed => format!("The gateway {from} was removed. {there}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Why, describe};

    #[test]
    fn an_end_says_what_may_have_happened_there() {
        let begun = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            describe("GPU box", Why::Silent, false, &names)
        };
        let first = "Taken back from GPU box, which stopped responding. ";
        assert_eq!(
            begun(&["exec"]),
            format!("{first}exec was started there and may have taken effect.")
        );
        assert!(begun(&["exec", "web_fetch"]).contains("exec, web_fetch were started"));
        assert!(begun(&[]).ends_with("are unknown."));
        assert!(describe("GPU box", Why::Silent, true, &[]).starts_with(first));
        let revoked = describe("GPU box", Why::Revoked, false, &[]);
        assert!(revoked.starts_with("The gateway GPU box was revoked. Its"), "{revoked}");
    }
}
