//! Checked claims in the JSON API.

use schemars::JsonSchema;
use serde::Serialize;

use crate::claims::model::{CallRef, CheckedClaim, ClaimCheck};
use kernel::{ClaimKind, ClaimState};

/// What an agent claimed of its work, checked against the calls of its run.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WorkProof")]
pub struct ProofView {
    /// Whether there are claims and all of them are supported.
    complete: bool,
    /// Whether the stream required evidence. Incomplete work was returned once before it was accepted.
    required: bool,
    /// In the order in which they were made.
    claims: Vec<ClaimView>,
    /// Paths and links of the text that no call touched.
    untouched: Vec<String>,
}

/// A claim and its verdict.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WorkClaim")]
struct ClaimView {
    text: String,
    kind: ClaimKind,
    state: ClaimState,
    /// Why, in one sentence; none where the call says it.
    reason: Option<String>,
    call: Option<CallView>,
}

/// The call of a run that supports or contradicts a claim.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClaimedCall")]
struct CallView {
    /// The name of the run: `R-2291`.
    run: String,
    /// The number of the call in the run, from 1.
    step: u32,
    /// Where it is, below the workspace.
    path: String,
    tool: String,
    /// How the program ended, when it was one.
    exit_code: Option<i32>,
}

impl ProofView {
    #[must_use]
    pub fn new(check: ClaimCheck) -> Self {
        Self {
            complete: !check.is_lacking(),
            required: check.required,
            claims: check.claims.into_iter().map(ClaimView::new).collect(),
            untouched: check.untouched,
        }
    }
}

impl ClaimView {
    fn new(claim: CheckedClaim) -> Self {
        let CheckedClaim { text, kind, state, reason, call } = claim;
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        Self { text, kind, state, reason, call: call.map(CallView::new) }
    }
}

impl CallView {
    fn new(call: CallRef) -> Self {
        Self {
            run: format!("R-{}", call.run),
            path: call.path(),
            step: call.step,
            tool: call.tool,
            exit_code: call.exit_code,
        }
    }
}
