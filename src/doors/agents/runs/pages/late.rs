//! What a machine said of a run after that was taken from it.

use features::runs::model::{Evidence, Run};
use features::runs::queries::evidence;
use kernel::text::ellipsis;
use store::{ReadExt, StoreError};
use web::time::RelTime;

use super::look::Look;

/// So many characters are shown of each; the API has all.
const SHOWN: usize = 600;

/// One thing that it said.
pub(super) struct Late {
    pub text: String,
    pub at: RelTime,
}

/// All of a run.
pub(super) fn of(tx: &impl ReadExt, look: &Look<'_>, run: &Run) -> Result<Vec<Late>, StoreError> {
    let all = evidence::of_run(tx, run.id)?.into_iter();
    Ok(all.map(|one| Late { at: look.time(one.at), text: words(one) }).collect())
}

fn words(one: Evidence) -> String {
    let what = match one.kind.as_str() {
        "call_begun" | "question_begun" | "review_begun" => "A model was asked.",
        "call_paid" if one.text.is_empty() => "A model answered.",
        "review_booked" => "A reviewer answered.",
        "call_failed" => "A call of a model failed.",
        "step_begun" => "A call was begun:",
        "held" => "It waited for a model.",
        _ => "",
    };
    ellipsis(format!("{what} {}", one.text).trim(), SHOWN)
}
