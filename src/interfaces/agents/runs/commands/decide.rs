//! `/approve`: lists and answers pending approvals.

use features::agents::model::Agent;
use features::runs::model::Run;
use features::runs::queries::talk;
use features::trust::model::Approval;
use features::trust::queries as trust;
use kernel::text::{ellipsis, one_line};
use store::{ReadExt as _, StoreError};
use web::form::sentence;
use web::idempotency::Once;

use super::{Approve, CommandError, Place};
use crate::trust as answers;

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

impl Place<'_> {
    /// Pending approvals that this person may see, oldest first.
    fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let who = self.who;
        self.ws.read(|snap| {
            let mut waiting = Vec::new();
            for approval in trust::open(snap, OPEN)? {
                let Some(run) = snap.get::<Run>(approval.run)? else { continue };
                if talk::may_see_run(snap, &run, who.account, who.role)? {
                    let agent = snap.get::<Agent>(approval.agent)?;
                    let who = agent.map_or_else(|| "An agent".to_owned(), |agent| agent.name);
                    waiting.push(Waiting { approval, run, who });
                }
            }
            Ok(waiting)
        })
    }

    /// Lists pending approvals.
    pub(super) fn approvals(&self) -> Result<String, CommandError> {
        let waiting = self.waiting()?;
        if waiting.is_empty() {
            return Ok(NONE.to_owned());
        }
        let mut lines: Vec<String> = waiting.iter().take(LISTED).map(Waiting::line).collect();
        let page = self.ws.url("approvals");
        lines.push(format!("\n`/approve {FIRST} once` answers. [All of them]({page})"));
        Ok(lines.join("\n"))
    }

    /// Answers an approval. `Run` and `Always` use the narrowest offered permission.
    pub(super) async fn approve(
        &self,
        request: Approve,
        once: Once,
    ) -> Result<String, CommandError> {
        let waiting = self.waiting()?;
        let which = request.which.to_ascii_lowercase();
        let is_meant = |one: &&Waiting| {
            which == FIRST || SHORT <= which.len() && one.approval.id.to_string().ends_with(&which)
        };
        let Some(one) = waiting.iter().find(is_meant) else {
            return Ok(match waiting.is_empty() {
                true => NONE.to_owned(),
                false => format!("No open approval has this ID. {}", self.approvals()?),
            });
        };
        if let Some(can) = answers::lacks(self.who, request.answer) {
            let right = can.label();
            return Ok(format!("You need the permission “{right}”. Nothing changed."));
        }
        if answers::check_proof(self.who, request.answer).is_err() {
            let message = "Confirm your identity first under Settings › Security. Nothing changed.";
            return Ok(message.to_owned());
        }
        let (id, answer) = (one.approval.id, request.answer);
        match answers::answer(self.ws, self.who, (id, answer, request.note), once).await? {
            Ok(()) => Ok(format!("{}. {} continues.", answer.label(), one.run.name())),
            Err(refused) => Ok(sentence(&refused)),
        }
    }
}
