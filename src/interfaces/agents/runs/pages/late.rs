//! Late reports of a machine about a run that was taken from it, shown as steps.

use std::collections::HashMap;

use askama::Template;

use features::runs::model::{RUN_EVIDENCE, RUNS, Run};
use features::runs::queries::evidence::{self, Came};
use features::runs::queries::steps::Steps;
use store::{Read, StoreError};
use web::live::Live;
use web::parts::Face;

use super::display::Look;
use super::steps::{Drawing, Shape, StepView};
use super::tools::{Line as DiffLine, Piece as Detail};

/// Number of steps shown.
const SHOWN: usize = 60;

/// The late reports; a live region of the run page.
#[derive(Default, Template)]
#[template(path = "runs/_late.html")]
pub(super) struct Late {
    live: Live,
    steps: Vec<StepView>,
    /// Whether there are more.
    more: bool,
}

impl Late {
    pub fn read(
        tx: &dyn Read,
        look: &Look<'_>,
        run: &Run,
        steps: &Steps,
        (href, face): (&str, &Face),
    ) -> Result<Self, StoreError> {
        let drawing = Drawing {
            look,
            agent: face.clone(),
            href: href.to_owned(),
            alone: false,
            over: false,
            start: None,
            again: None,
            shots: HashMap::new(),
            last: String::new(),
        };
        let (rows, more) = evidence::of_run(tx, run.id)?;
        let all = evidence::steps(&rows, &steps.all);
        let more = more || SHOWN < all.len();
        let view = |came: Came| match came {
            Came::Step(step) => drawing.aside(tx, &step),
            Came::Word(at, text) => Ok(drawing.word(at, text)),
        };
        let steps = all.into_iter().take(SHOWN).map(view).collect::<Result<_, _>>()?;
        let live = Live::new(href).record(RUNS.name, run.id);
        Ok(Self { live: live.table(RUN_EVIDENCE.name), steps, more })
    }
}
