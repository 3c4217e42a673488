//! Checked claims for display.

use crate::claims::model::{CheckedClaim, ClaimCheck};
use app::Ws;
use kernel::ClaimState;

/// A claim for display.
#[derive(Clone, Debug)]
pub struct ClaimLine {
    /// State word and label.
    pub state: (&'static str, &'static str),
    pub icon: &'static str,
    pub tone: &'static str,
    pub text: String,
    /// One sentence, or empty.
    pub reason: String,
    /// Label and address of the call.
    pub call: Option<(String, String)>,
    /// Such as "exit code 101", or empty.
    pub exit: String,
}

/// The evidence for finished work.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// Such as "2 of 3 claims supported".
    pub head: String,
    pub tone: &'static str,
    /// Whether the work was accepted without evidence that its stream requires.
    pub is_marked: bool,
    pub lines: Vec<ClaimLine>,
    /// Paths and links that no call touched.
    pub untouched: Vec<String>,
}

impl Proof {
    /// The evidence of a check; without one, that there is none.
    #[must_use]
    pub fn new(ws: &Ws, check: Option<ClaimCheck>) -> Self {
        let Some(check) = check else {
            return Self { head: "No evidence".to_owned(), tone: "warn", ..Self::default() };
        };
        let all = check.claims.len();
        let supported = check.claims.iter().filter(|claim| claim.is_supported()).count();
        let is_contradicted =
            check.claims.iter().any(|claim| claim.state == ClaimState::Contradicted);
        let head = match (supported, all) {
            (_, 0) => "No evidence".to_owned(),
            (1, 1) => "Claim supported".to_owned(),
            (n, all) if n == all => format!("All {all} claims supported"),
            (n, 1) => format!("{n} of 1 claim supported"),
            (n, all) => format!("{n} of {all} claims supported"),
        };
        let tone = match (is_contradicted, check.is_lacking()) {
            (true, _) => "danger",
            (false, true) => "warn",
            (false, false) => "ok",
        };
        Self {
            head,
            tone,
            is_marked: check.required && check.is_lacking(),
            lines: check.claims.into_iter().map(|claim| ClaimLine::new(ws, claim)).collect(),
            untouched: check.untouched,
        }
    }
}

impl ClaimLine {
    fn new(ws: &Ws, claim: CheckedClaim) -> Self {
        let (icon, tone) = match claim.state {
            ClaimState::Supported => ("check", "ok"),
            ClaimState::Contradicted => ("x", "danger"),
            ClaimState::Unsupported => ("warn", "warn"),
        };
        let exit = claim.call.as_ref().and_then(|call| call.exit_code);
        Self {
            state: (claim.state.word(), claim.state.label()),
            icon,
            tone,
            text: claim.text,
            reason: claim.reason,
            exit: exit.map(|code| format!("exit code {code}")).unwrap_or_default(),
            call: claim.call.map(|call| {
                let label = format!("R-{}, step {}", call.run, call.step);
                (label, ws.url(&call.path()))
            }),
        }
    }
}
