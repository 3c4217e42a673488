//! Retries and forks of a run, on its page.

use features::runs::model::{Branch, BranchWhy, Run};
use features::runs::queries::branches;
use kernel::RunTrigger;
use store::{Read, ReadExt, StoreError};

use super::display::Look;

/// A related run.
pub(super) struct Kin {
    /// "Retry of", "Retried from step 2 by".
    pub words: String,
    /// "R-12".
    pub name: String,
    pub href: String,
    /// Address of the comparison of both.
    pub compare: String,
}

/// The run that this one repeats, followed by the runs that repeat this one.
pub(super) fn kin(tx: &dyn Read, look: &Look<'_>, run: &Run) -> Result<Vec<Kin>, StoreError> {
    let mut all = Vec::new();
    if let Some(branch) = branches::of_run(tx, run)?
        && let Some(of) = tx.get::<Run>(branch.of)?
    {
        let words = match branch.why {
            BranchWhy::Retry => format!("Retry, {}, of", branches::place(tx, &branch, &of)?),
            BranchWhy::Fork => format!("Fork, {}, of", branches::place(tx, &branch, &of)?),
            BranchWhy::Edit => "Edited version of".to_owned(),
            BranchWhy::Aside => "Side question to".to_owned(),
        };
        all.push(Kin::of(look, words, &of, (&of, run)));
    }
    for branch in branches::started_from(tx, run.id)? {
        if let Some(by) = tx.get::<Run>(branch.run)? {
            let words = later(&branch, &branches::place(tx, &branch, run)?);
            all.push(Kin::of(look, words, &by, (run, &by)));
        }
    }
    Ok(all)
}

fn later(branch: &Branch, place: &str) -> String {
    match branch.why {
        BranchWhy::Retry => format!("Retried {place} by"),
        BranchWhy::Fork => format!("Forked {place} as"),
        BranchWhy::Edit => "Edited as".to_owned(),
        BranchWhy::Aside => "Side question in".to_owned(),
    }
}

impl Kin {
    fn of(look: &Look<'_>, words: String, run: &Run, (a, b): (&Run, &Run)) -> Self {
        let compare = format!("runs/compare?a={}&b={}", a.name(), b.name());
        Self {
            words,
            name: run.name(),
            href: look.ws.url(&format!("runs/{}", run.name())),
            compare: look.ws.url(&compare),
        }
    }
}

/// Whether this person may repeat the run. A working run can be forked.
pub(super) fn may_fork(look: &Look<'_>, run: &Run) -> bool {
    look.may_write && run.started_at.is_some() && run.trigger != RunTrigger::Child
}
