//! `/approve`: lists and answers pending approvals.

use features::agents::model::Agent;
use features::runs::model::Run;
use features::runs::queries::talk;
use features::trust::model::Approval;
use features::trust::queries as trust;
use features::trust::rules::{self, Decision, TrustError};
use kernel::ApprovalAnswer;
use kernel::text::{ellipsis, one_line};
use store::{Read, ReadExt as _, WriteTx};
use web::form::sentence;

use super::{Approve, CommandError, Place};

/// Maximum number of approvals searched, and listed.
const OPEN: usize = 1_000;
const LISTED: usize = 20;
/// Number of characters of an id shown, from its end.
const SHORT: usize = 8;
/// Selects the oldest approval.
const FIRST: &str = "first";
const NONE: &str = "Nothing needs approval.";

struct Waiting {
    approval: Approval,
    run: Run,
    who: String,
}

impl Waiting {
    /// The end of the id, which identifies the approval.
    fn short(&self) -> String {
        let id = self.approval.id.to_string();
        id[id.len().saturating_sub(SHORT)..].to_owned()
    }

    fn line(&self) -> String {
        let shown = one_line(&self.approval.plan.shown).replace('`', "'");
        let shown = ellipsis(&shown, 120);
        let (short, who, run) = (self.short(), &self.who, self.run.name());
        format!("- `{short}` {who} in {run}, {}: `{shown}`", self.approval.tool)
    }
}

impl Place {
    /// Pending approvals that this person may see, oldest first.
    fn waiting(&self, tx: &dyn Read) -> Result<Vec<Waiting>, CommandError> {
        let (me, role) = (self.me()?, self.caller.role);
        let mut waiting = Vec::new();
        for approval in trust::open(tx, OPEN)? {
            let Some(run) = tx.get::<Run>(approval.run)? else { continue };
            if talk::may_see_run(tx, &run, me, role)? {
                let agent = tx.get::<Agent>(approval.agent)?;
                let who = agent.map_or_else(|| "An agent".to_owned(), |agent| agent.name);
                waiting.push(Waiting { approval, run, who });
            }
        }
        Ok(waiting)
    }

    /// Lists pending approvals.
    pub(super) fn approvals(&self, tx: &dyn Read) -> Result<String, CommandError> {
        let waiting = self.waiting(tx)?;
        if waiting.is_empty() {
            return Ok(NONE.to_owned());
        }
        let mut lines: Vec<String> = waiting.iter().take(LISTED).map(Waiting::line).collect();
        let page = self.url("approvals");
        lines.push(format!("\n`/approve {FIRST} once` answers. [All of them]({page})"));
        Ok(lines.join("\n"))
    }

    /// Answers an approval. `Run` and `Always` use the narrowest offered permission.
    pub(super) fn approve(
        &self,
        tx: &mut WriteTx<'_>,
        request: Approve,
    ) -> Result<String, CommandError> {
        let waiting = self.waiting(tx)?;
        let which = request.which.to_ascii_lowercase();
        let is_meant = |one: &&Waiting| {
            which == FIRST || SHORT <= which.len() && one.approval.id.to_string().ends_with(&which)
        };
        let Some(one) = waiting.iter().find(is_meant) else {
            return Ok(match waiting.is_empty() {
                true => NONE.to_owned(),
                false => format!("No open approval has this ID. {}", self.approvals(tx)?),
            });
        };
        let (id, answer) = (one.approval.id, request.answer);
        let lacks = trust::needs(answer).iter().find(|can| !self.caller.access.may(**can));
        if let Some(right) = lacks.map(|can| can.label()) {
            return Ok(format!("You need the permission “{right}”. Nothing changed."));
        }
        if answer == ApprovalAnswer::Always && !self.caller.is_proved {
            let message = "Confirm your identity first under Settings › Security. Nothing changed.";
            return Ok(message.to_owned());
        }
        let (by, decision) = (self.me()?, Decision { answer, offer: 0, note: request.note });
        match tx.attempt(|tx| rules::decide(tx, id, decision, by)) {
            Ok(_) => Ok(format!("{}. {} continues.", answer.label(), one.run.name())),
            Err(TrustError::Store(error)) => Err(error.into()),
            Err(refused) => Ok(sentence(&refused.to_string())),
        }
    }
}
