//! Calls that wait for approval: the page of all of them, and the answer.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::runs::model::Run;
use features::runs::queries::questions::{self, Card, Reader};
use features::runs::queries::talk;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::view_context::ViewContext;
use features::trust::model::Approval;
use features::trust::queries;
use features::trust::rules::{Decision, TrustError};
use kernel::text::{ellipsis, one_line};
use kernel::{ApprovalAnswer, ApprovalId, Assignee, Can};
use store::Snap;
use web::error::PageError;
use web::extract::Path;
use web::form::sentence;
use web::hx::{Ask, Hx};
use web::idempotency::FormOnce;
use web::live::Live;
use web::parts::{Face, Tone};
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;
use web::{flash, html};

use super::{batch, behaviour, explain, policy, presets, recent, reviewer, sandbox, taint};

/// How many of the last approvals are searched for answered ones.
const ANSWERED: usize = 100;

#[must_use]
pub fn routes() -> Routes {
    let routes = recent::pages(taint::pages(batch::pages(reviewer::pages(Routes::new()))));
    explain::pages(presets::pages(sandbox::pages(routes)))
        .get("/approvals", index.needs(Can::Read))
        .post("/approvals/{id}", answer.needs(Can::Approve))
        .get("/agents/{slug}/behaviour", behaviour::show.needs(Can::Read))
        .post("/agents/{slug}/behaviour", behaviour::set_mode.needs(Can::Admin))
        .get("/settings/policy", policy::show.needs(Can::Read))
        .post("/permissions", policy::permit.needs(Can::Admin))
        .post("/permissions/{id}/remove", policy::remove.needs(Can::Admin))
}

/// An answered or expired approval.
struct Past {
    face: Face,
    tool: String,
    call: String,
    run: String,
    href: String,
    tone: &'static str,
    word: &'static str,
    /// Who answered; may be empty.
    by: String,
    note: String,
    at: RelTime,
    /// Address that requests the call again; may be empty.
    again: String,
}

#[derive(Template)]
#[template(path = "trust/approvals.html")]
struct ApprovalsPage {
    shell: Shell,
    live: Live,
    cards: Vec<Card>,
    past: Vec<Past>,
    review_url: String,
}

web::region!(ApprovalsPage, as_all, ApprovalsAll, "trust/approvals-all.html");

/// `GET /approvals`
async fn index(ws: Ws, who: Person, hx: Hx, shell: Shell) -> Result<Response, PageError> {
    let page = ws.read_blocking(move |ws| ws.read(|snap| view(ws, &who, snap, shell))).await?;
    match hx.is_partial() {
        true => html::fragment(&page.as_all()),
        false => html::page(&page),
    }
}

fn view(ws: &Ws, who: &Person, snap: &Snap<'_>, shell: Shell) -> Result<ApprovalsPage, TaskError> {
    let scene = ViewContext::new(ws, who, snap)?;
    let (now, zone) = (scene.today.now, &scene.today.zone);
    let reader = Reader { ws, now, zone, access: who.access, me: who.account };
    let sees = |run: &Run| talk::may_see_run(snap, run, who.account, who.role);
    let mut cards = questions::all(snap, &reader, &sees)?;
    cards.retain(|card| card.pending.is_some());
    let mut past = Vec::new();
    for approval in queries::answered(snap, ANSWERED)? {
        if let Some(run) = super::run_of(snap, who, &approval)? {
            let may = who.access.may(Can::Chat)
                && super::may_be_made_again(&approval, &run)
                && talk::may_speak(snap, &run, who.account)?;
            let retry_url = match may {
                true => ws.url(&format!("approvals/{}/again", approval.id)),
                false => String::new(),
            };
            past.extend(answered(&scene, approval, &run, retry_url));
        }
    }
    Ok(ApprovalsPage {
        shell,
        live: Live::new(ws.url("approvals")).table("approvals").table("runs"),
        cards,
        past,
        review_url: ws.url("review"),
    })
}

fn answered(scene: &ViewContext, approval: Approval, run: &Run, retry_url: String) -> Option<Past> {
    let answer = approval.answer?;
    let by = answer.by.map(|by| scene.people.name(Assignee::Person(by)));
    Some(Past {
        face: scene.people.face(Assignee::Agent(approval.agent)),
        call: match approval.plan.is_rewriting(&approval.tool) {
            true => approval.plan.line(&approval.tool),
            false => ellipsis(&one_line(&approval.plan.shown), 200),
        },
        tool: approval.tool,
        run: run.name(),
        href: scene.run_href(run.number),
        tone: match answer.answer {
            ApprovalAnswer::Once
            | ApprovalAnswer::Run
            | ApprovalAnswer::Always
            | ApprovalAnswer::Reviewed => "ok",
            ApprovalAnswer::Denied => "danger",
            _ => "neutral",
        },
        word: answer.answer.label(),
        by: by.unwrap_or_default(),
        note: answer.note,
        at: scene.time(answer.at),
        again: retry_url,
    })
}

/// The form of an approval.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    /// `allow` or `deny`.
    answer: String,
    /// `once`, or `run:N` or `always:N` with the number of the offered permission.
    how: String,
    note: String,
}

impl Said {
    fn decision(self) -> Result<Decision, TrustError> {
        let (answer, offer) = match (self.answer.as_str(), self.how.as_str()) {
            ("deny", _) => (ApprovalAnswer::Denied, 0),
            ("allow", "" | "once") => (ApprovalAnswer::Once, 0),
            ("allow", how) => beyond(how).ok_or(TrustError::Word)?,
            _ => return Err(TrustError::Word),
        };
        Ok(Decision { answer, offer, note: self.note })
    }
}

/// Parses an answer that applies to further calls.
fn beyond(how: &str) -> Option<(ApprovalAnswer, usize)> {
    let (word, number) = how.split_once(':')?;
    let answer = match word {
        "run" => ApprovalAnswer::Run,
        "always" => ApprovalAnswer::Always,
        _ => return None,
    };
    // ok: an invalid number is no answer.
    Some((answer, number.parse().ok()?))
}

/// `POST /approvals/{id}`
async fn answer(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ApprovalId>,
    FormOnce(form, once): FormOnce<Said>,
) -> Result<Response, PageError> {
    let decision = form.decision()?;
    if let Some(can) = super::lacks(&who, decision.answer) {
        return Err(PageError::forbidden(can));
    }
    super::check_proof(&who, decision.answer)?;
    let (_, run) = super::find(&ws, &who, id)?;
    let message = format!("{}; {} continues", decision.answer.label(), run.name());
    let (tone, message) = match super::decide(&ws, &who, (id, decision), once).await {
        Ok(()) => (Tone::Ok, message),
        // Another person answered first, or the run has ended; not an error of this person.
        Err(error @ (TrustError::Answered(_) | TrustError::Over)) => {
            (Tone::Warn, sentence(&error.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    if hx.is_partial() {
        let ask = Ask::new().changed("approvals", id).toast(tone, &message);
        return Ok((ask, "").into_response());
    }
    Ok(flash::say(&app, Flash::new(tone, sentence(&message)), hx.go_to(&ws.url("approvals"))))
}

#[cfg(test)]
mod tests {
    use super::{Said, beyond};
    use kernel::ApprovalAnswer;

    #[test]
    fn a_card_says_yes_or_no_and_for_how_long() {
        let parsed = |answer: &str, how: &str| {
            let parsed = Said { answer: answer.into(), how: how.into(), note: String::new() };
            parsed.decision().map(|decision| (decision.answer, decision.offer)).ok()
        };
        assert_eq!(parsed("allow", ""), Some((ApprovalAnswer::Once, 0)));
        assert_eq!(parsed("allow", "once"), Some((ApprovalAnswer::Once, 0)));
        assert_eq!(parsed("allow", "run:1"), Some((ApprovalAnswer::Run, 1)));
        assert_eq!(parsed("allow", "always:0"), Some((ApprovalAnswer::Always, 0)));
        assert_eq!(parsed("deny", "always:0"), Some((ApprovalAnswer::Denied, 0)));
        for (answer, how) in [("", ""), ("yes", "once"), ("allow", "always"), ("allow", "run:x")] {
            assert_eq!(parsed(answer, how), None, "{answer} {how}");
        }
        assert_eq!(beyond("once:1"), None);
    }
}
