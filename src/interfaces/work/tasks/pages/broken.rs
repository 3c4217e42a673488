//! What can be done about a run of a task that broke off: the banner and the timeline offer it, as its own page
//! does.

use features::runs::model::Run;
use features::runs::queries::{self as runs, onward};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::view_context::ViewContext;
use kernel::{Outcome, RunTrigger};
use store::Read;

/// What this person can do about a run. Nothing for one that works, came to its end or put its work off.
#[derive(Default)]
pub struct Deeds {
    /// The words with which it goes on where it broke off, and where they are sent.
    pub onward: Option<(String, String)>,
    /// Where its work is begun anew.
    pub retry: Option<String>,
    /// Where it is asked from which step, when its work cannot just be begun anew.
    pub again: Option<String>,
    /// Where its changes are looked at before they are undone.
    pub undo: Option<String>,
}

impl Deeds {
    /// Looks what can be done.
    pub fn of(scene: &ViewContext, read: &dyn Read, run: &Run) -> Result<Self, TaskError> {
        let over = matches!(run.outcome, None | Some(Outcome::Done | Outcome::Snoozed { .. }));
        if !scene.may_write || run.is_live() || over {
            return Ok(Self::default());
        }
        let href = scene.run_href(run.number);
        let retry = runs::left_item(&read, run)?;
        let retry = retry.map(|item| scene.ws.url(&format!("inbox/{}/retry", item.id)));
        let may_fork = run.started_at.is_some() && run.trigger != RunTrigger::Child;
        Ok(Self {
            onward: onward::of(&read, run, scene.me)?
                .map(|onward| (onward.label, format!("{href}/continue"))),
            again: (may_fork && retry.is_none()).then(|| format!("{href}/retry")),
            retry,
            undo: run.effective.then(|| scene.ws.url(&format!("undo?run={}", run.name()))),
        })
    }
}
