//! Actions for a task's run that broke off, for the banner and the timeline; the same as on the run's page.

use features::runs::model::Run;
use features::runs::queries::{self as runs, onward};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::view_context::ViewContext;
use kernel::{Outcome, RunTrigger};
use store::Read;

/// Actions of this person on a run; empty for a run that is live, done or snoozed.
#[derive(Default)]
pub struct Deeds {
    /// Label and address of "continue".
    pub onward: Option<(String, String)>,
    /// Address of "retry".
    pub retry: Option<String>,
    /// Address of "retry from step", if the work cannot be retried as a whole.
    pub again: Option<String>,
    /// Address of the undo preview.
    pub undo: Option<String>,
}

impl Deeds {
    /// The actions available to this person.
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
