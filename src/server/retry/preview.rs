//! Preview of restarting a run: the step of the restart, the run's changes after it, and which of them can be undone.

use app::Ws;
use features::history::queries::fields::Speaker;
use features::history::queries::guard::Undoer;
use features::history::queries::names::Names;
use features::history::queries::outlook::Outlook;
use features::history::queries::preview::{self as words, PlanView};
use features::history::queries::scope::Wanted;
use features::history::rules as history;
use features::runs::model::{BranchWhy, Run};
use features::runs::queries::between::Between;
use features::runs::queries::branches::Cut;
use features::runs::rules::RunError;
use features::runs::rules::retry::{check, is_workable};
use store::Snap;
use web::session::Person;

use super::AgainError;

/// Maximum number of records listed per kind.
const MAX_TOLD: usize = 50;

/// Effects of restarting a run.
pub(super) struct Preview {
    pub name: String,
    pub cut: Cut,
    /// The run's actions after the step.
    pub between: Between,
    /// Why the run's work cannot start now.
    pub closed: Option<String>,
    /// Basis of the undo: the undo is rejected if something changed since.
    pub basis: String,
    /// Records that would be undone, with the effect on each.
    pub back: Vec<(String, String)>,
    /// Number of further records.
    pub back_more: usize,
    /// Records that would stay, with the reason.
    pub kept: Vec<(String, String)>,
    /// Files that would be undone.
    pub files: Vec<String>,
    /// Whether there is nothing to undo.
    pub nothing: bool,
}

impl Preview {
    /// Creates the preview.
    ///
    /// # Errors
    /// When the run cannot restart.
    pub fn read(
        ws: &Ws,
        who: &Person,
        run: &Run,
        (why, step): (BranchWhy, Option<&str>),
    ) -> Result<Self, AgainError> {
        ws.read(|snap| {
            let (run, cut) = check(snap, run.id, (why, step))?;
            let closed = match is_workable(snap, &run) {
                Ok(()) => None,
                Err(RunError::Store(error)) => return Err(error.into()),
                Err(error) => Some(error.to_string()),
            };
            let mut preview = Self {
                name: run.name(),
                cut,
                between: Between::read(snap, &run, cut.upto)?,
                closed,
                basis: String::new(),
                back: Vec::new(),
                back_more: 0,
                kept: Vec::new(),
                files: Vec::new(),
                nothing: true,
            };
            if why == BranchWhy::Retry {
                preview.undo(snap, ws, who, &run)?;
            }
            Ok(preview)
        })
    }

    /// Adds the changes that would be undone.
    fn undo(
        &mut self,
        snap: &Snap<'_>,
        ws: &Ws,
        who: &Person,
        run: &Run,
    ) -> Result<(), AgainError> {
        let by = Undoer::of(ws, who)?;
        let wanted = Wanted::Since(run.id, self.cut.upto);
        let outlook: Outlook = history::preview(&ws.store, snap, &wanted, &by)?;
        let names = Names::new(snap)?;
        let zone = who.time_zone();
        let speaker = Speaker { names: &names, zone };
        let view = words::view(snap, ws.store.schema(), &speaker, (&outlook, &by), MAX_TOLD)?;
        let PlanView { going, going_more, staying, work, .. } = view;
        self.nothing = outlook.is_nothing();
        self.basis = outlook.basis.to_string();
        self.files = outlook.scope.paths().into_iter().collect();
        let back = going.into_iter().map(|one| {
            let way = format!("the {} {}", one.noun, one.way.label());
            (one.title.text, way)
        });
        self.back = back.collect();
        self.back_more = going_more;
        let kept = staying.into_iter().map(|one| (one.title.text, one.why));
        let held = work.into_iter().map(|held| (held.words, held.why));
        self.kept = kept.chain(held).collect();
        Ok(())
    }
}
