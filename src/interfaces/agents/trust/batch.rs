//! Answers several pending approvals at once: those of one card, or any over the API.

use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::trust::rules::{Decision, TrustError};
use kernel::{ApprovalAnswer, ApprovalId, Can};
use web::error::{ApiError, PageError};
use web::extract::{Form, Json};
use web::flash;
use web::form::sentence;
use web::hx::{Ask, Hx};
use web::idempotency::Once;
use web::parts::Tone;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Flash;

/// Maximum number of approvals per request.
const MOST: usize = 100;

pub(super) fn pages(routes: Routes) -> Routes {
    routes.post("/approvals", answer.needs(Can::Approve))
}

pub(super) fn api(routes: Routes) -> Routes {
    routes.post(
        "/approvals/answers",
        api_answer.needs(Can::Approve).doc(|| {
            Doc::new("Answer several calls; the first answer to each counts")
                .body::<Answers>()
                .returns::<Outcomes>()
        }),
    )
}

/// Approvals with the decision on each.
type Decisions = Vec<(ApprovalId, Decision)>;

/// The form of a card.
#[derive(Debug, Default)]
struct Said {
    /// `all`, `chosen`, or `deny` for those that are not chosen.
    answer: String,
    all: Vec<ApprovalId>,
    chosen: Vec<ApprovalId>,
    note: String,
}

impl Said {
    fn of(pairs: Vec<(String, String)>) -> Self {
        let mut form = Self::default();
        for (field, value) in pairs {
            match field.as_str() {
                "answer" => form.answer = value,
                "note" => form.note = value,
                "one" => form.all.extend(value.parse::<ApprovalId>().ok()),
                "chosen" => form.chosen.extend(value.parse::<ApprovalId>().ok()),
                _ => {}
            }
        }
        form
    }

    /// The decisions; the inner error states what is missing.
    fn decisions(self) -> Result<Result<Decisions, &'static str>, TrustError> {
        let Self { answer, mut all, chosen, note } = self;
        let (answer, ids, missing) = match answer.as_str() {
            "all" => (ApprovalAnswer::Once, all, "there is nothing to allow"),
            "chosen" => (ApprovalAnswer::Once, chosen, "select what to allow first"),
            "deny" => {
                all.retain(|id| !chosen.contains(id));
                (
                    ApprovalAnswer::Denied,
                    all,
                    "everything is selected, so there is nothing left \
                    to deny",
                )
            }
            _ => return Err(TrustError::Word),
        };
        if MOST < ids.len() {
            return Err(TrustError::Refused(format!("at most {MOST} are answered at once")));
        }
        let decision = |id| (id, Decision { answer, offer: 0, note: note.clone() });
        let all: Vec<_> = ids.into_iter().map(decision).collect();
        Ok(if all.is_empty() { Err(missing) } else { Ok(all) })
    }
}

/// The outcome in a line: `2 allowed. 1 not taken: this has been answered already`.
fn summarise(answer: ApprovalAnswer, outcomes: &[(ApprovalId, Option<String>)]) -> (Tone, String) {
    let word = if answer == ApprovalAnswer::Denied { "denied" } else { "allowed" };
    let refused: Vec<&String> = outcomes.iter().filter_map(|(_, why)| why.as_ref()).collect();
    let taken = outcomes.len() - refused.len();
    match refused.first() {
        None => (Tone::Ok, format!("{taken} {word}")),
        Some(why) => (Tone::Warn, format!("{taken} {word}. {} not taken: {why}", refused.len())),
    }
}

/// `POST /approvals`
async fn answer(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let (tone, text, changed) = match Said::of(pairs).decisions()? {
        Err(missing) => (Tone::Warn, missing.to_owned(), None),
        Ok(all) => {
            let (id, answer) = (all[0].0, all[0].1.answer);
            let outcomes = super::decide_all(&ws, &who, all, Once::without_key()).await?;
            let (tone, text) = summarise(answer, &outcomes);
            (tone, text, Some(id))
        }
    };
    let text = sentence(&text);
    if hx.is_partial() {
        let ask = Ask::new().toast(tone, &text);
        let ask = match changed {
            Some(id) => ask.changed("approvals", id),
            None => ask,
        };
        return Ok((ask, "").into_response());
    }
    Ok(flash::say(&app, Flash::new(tone, text), hx.go_to(&ws.url("approvals"))))
}

/// Answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Answers {
    /// At most 100.
    answers: Vec<One>,
}

/// An answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct One {
    /// The call.
    id: ApprovalId,
    /// `once`, `run`, `always` or `denied`.
    answer: ApprovalAnswer,
    /// Which of the offers counts for the run or always; the first, unless said otherwise.
    #[serde(default)]
    offer: usize,
    /// What the agent is told besides.
    #[serde(default)]
    note: String,
}

/// What became of answers.
#[derive(Serialize, JsonSchema)]
struct Outcomes {
    items: Vec<Outcome>,
}

/// What became of an answer.
#[derive(Serialize, JsonSchema)]
struct Outcome {
    id: ApprovalId,
    /// Why it was not taken; none when it was.
    refused: Option<String>,
}

async fn api_answer(
    ws: Ws,
    who: Person,
    once: Once,
    Json(Answers { answers }): Json<Answers>,
) -> Result<Json<Outcomes>, ApiError> {
    if answers.is_empty() || MOST < answers.len() {
        return Err(ApiError::invalid("answers", format!("send 1 to {MOST} answers")));
    }
    if let Some(can) = answers.iter().find_map(|one| super::lacks(&who, one.answer)) {
        return Err(ApiError::forbidden(can));
    }
    for one in &answers {
        super::check_proof(&who, one.answer)?;
    }
    let all = answers
        .into_iter()
        .map(|One { id, answer, offer, note }| (id, Decision { answer, offer, note }));
    let outcomes = super::decide_all(&ws, &who, all.collect(), once).await?;
    let items = outcomes.into_iter().map(|(id, refused)| Outcome { id, refused });
    Ok(Json(Outcomes { items: items.collect() }))
}

#[cfg(test)]
mod tests {
    use super::{Said, summarise};
    use kernel::{ApprovalAnswer, ApprovalId, TypedId as _};

    #[test]
    fn a_card_of_several_allows_what_is_chosen_or_denies_the_rest() {
        let ids: Vec<ApprovalId> = (1..=3).map(|n| ApprovalId::from_bytes([n; 16])).collect();
        let parse = |answer: &str, chosen: &[usize]| {
            let mut pairs = vec![("answer".to_owned(), answer.to_owned())];
            pairs.extend(ids.iter().map(|id| ("one".to_owned(), id.to_string())));
            pairs.extend(chosen.iter().map(|at| ("chosen".to_owned(), ids[*at].to_string())));
            let all = Said::of(pairs).decisions().ok()?.ok()?;
            let answer = all[0].1.answer;
            Some((answer, all.into_iter().map(|(id, _)| id).collect::<Vec<_>>()))
        };
        let (yes, no) = (ApprovalAnswer::Once, ApprovalAnswer::Denied);
        assert_eq!(parse("all", &[]), Some((yes, ids.clone())));
        assert_eq!(parse("chosen", &[0, 2]), Some((yes, vec![ids[0], ids[2]])));
        assert_eq!(parse("deny", &[0, 2]), Some((no, vec![ids[1]])));
        assert_eq!(parse("chosen", &[]), None);
        assert_eq!(parse("deny", &[0, 1, 2]), None);
        assert_eq!(parse("", &[0]), None);
    }

    #[test]
    fn it_is_told_what_was_not_taken() {
        let id = ApprovalId::from_bytes([1; 16]);
        assert_eq!(summarise(ApprovalAnswer::Once, &[(id, None), (id, None)]).1, "2 allowed");
        let late = [(id, None), (id, Some("this has already been answered".to_owned()))];
        let late = summarise(ApprovalAnswer::Denied, &late);
        assert_eq!(late.1, "1 denied. 1 not taken: this has already been answered");
    }
}
