//! What a permission would have done with the calls of the last 30 days, told before it is kept: on the card of a call, in
//! the form, and over the API. Each call counts as it was judged then, whether people were asked for it or not.

use askama::Template;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use app::Ws;
use features::runs::model::Run;
use features::runs::queries::talk;
use features::trust::replay::{self, DAYS, MOST, Replay};
use features::trust::rules::{NewPermission, TrustError};
use kernel::{ApprovalId, Can, Leave};
use store::{Read, ReadExt, StoreError};
use web::error::{ApiError, PageError};
use web::extract::{Json, Path, Query};
use web::form::Wrong;
use web::format::grouped;
use web::html;
use web::hx::Hx;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Shell;

use super::permits::{self, Typed, Wish};

/// Routes below the workspace.
pub(super) fn pages(routes: Routes) -> Routes {
    routes
        .get("/approvals/{id}/replay", of_approval.needs(Can::Admin))
        .get("/permissions/preview", of_form.needs(Can::Admin))
}

/// Routes below `/api/v1`.
pub(super) fn api(routes: Routes) -> Routes {
    routes
        .get(
            "/approvals/{id}/preview",
            api_of_approval.needs(Can::Admin).doc(|| {
                Doc::new(
                    "What each offer of an approval would have let through in the last 30 days",
                )
                .returns::<Previews>()
            }),
        )
        .post(
            "/permissions/preview",
            api_of_wish.needs(Can::Admin).doc(|| {
                Doc::new("What a permission would have done in the last 30 days; nothing is added")
                    .body::<Wish>()
                    .returns::<Preview>()
            }),
        )
}

/// What a permission would have done, in words.
struct Told {
    /// What is offered; empty for the permission of a form.
    label: String,
    words: String,
    /// Runs that made such calls: name and page.
    runs: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "trust/replay.html")]
struct ReplayPage {
    shell: Shell,
    all: Vec<Told>,
    approvals_url: String,
}

web::region!(ReplayPage, as_lines, ReplayLines, "trust/replay-lines.html");

#[derive(Template)]
#[template(path = "trust/_replay.html")]
struct Lines {
    all: Vec<Told>,
}

/// The runs of a replay that this person may see.
fn runs_of(tx: &dyn Read, who: &Person, replay: &Replay) -> Result<Vec<Run>, StoreError> {
    let mut runs = Vec::new();
    for run in &replay.runs {
        if let Some(run) = tx.get::<Run>(*run)?
            && talk::may_see_run(tx, &run, who.account, who.role)?
        {
            runs.push(run);
        }
    }
    Ok(runs)
}

fn told(
    ws: &Ws,
    (tx, who): (&dyn Read, &Person),
    (label, leave): (String, Leave),
    replay: &Replay,
) -> Result<Told, StoreError> {
    let runs = runs_of(tx, who, replay)?.into_iter().map(|run| {
        let name = run.name();
        let href = ws.url(&format!("runs/{name}"));
        (name, href)
    });
    Ok(Told { label, words: words(leave, replay), runs: runs.collect() })
}

/// How many calls, in a sentence or two.
fn words(leave: Leave, replay: &Replay) -> String {
    let Replay { calls, met, denied, more, .. } = *replay;
    let number = |n: usize| grouped(n as u64);
    let would = |which: &str| match leave {
        Leave::Allow => format!("Would have let through {which} without a question."),
        Leave::Deny => format!("Would have refused {which}."),
        Leave::Ask => format!("Would have asked for {which}."),
    };
    let which = match (calls, met) {
        (1, 1) => format!("the one call of the last {DAYS} days"),
        (_, 0) => format!("none of the {} calls of the last {DAYS} days", number(calls)),
        _ => format!("{} of the {} calls of the last {DAYS} days", number(met), number(calls)),
    };
    let mut words = match calls {
        0 => format!("No such call of the last {DAYS} days is known."),
        1 if met == 0 => format!("Would not have touched the one call of the last {DAYS} days."),
        _ => would(&which),
    };
    if leave == Leave::Allow && 0 < denied {
        words.push_str(&format!(" A person said no to {} of them.", number(denied)));
    }
    if more {
        let most = number(MOST);
        words.push_str(&format!(" Only the last {most} calls of all tools were looked at."));
    }
    words
}

/// What each offer of an approval would have let through.
async fn offers(
    ws: &Ws,
    who: &Person,
    id: ApprovalId,
) -> Result<Vec<(String, Replay)>, TrustError> {
    let (approval, _) = super::find(ws, who, id)?;
    let now = ws.app.clock.now();
    ws.look(move |ws| {
        ws.read(|snap| {
            let which = (Some(approval.agent), approval.tool.as_str());
            let (labels, new): (Vec<_>, Vec<_>) = replay::offered(&approval).into_iter().unzip();
            let all = replay::of(snap, which, &new, now)?;
            Ok(labels.into_iter().zip(all).collect())
        })
    })
    .await
}

/// What one permission would have done.
async fn one(ws: &Ws, new: NewPermission) -> Result<Replay, StoreError> {
    let now = ws.app.clock.now();
    ws.look(move |ws| {
        let tool = new.tool.clone();
        let all = ws.read(|snap| replay::of(snap, (new.agent, &tool), &[vec![new]], now));
        Ok(all?.pop().unwrap_or_default())
    })
    .await
}

/// `GET /approvals/{id}/replay`
async fn of_approval(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<ApprovalId>,
) -> Result<Response, PageError> {
    let offers = offers(&ws, &who, id).await?;
    let all = ws.read(|snap| {
        let told = offers
            .into_iter()
            .map(|(label, replay)| told(&ws, (snap, &who), (label, Leave::Allow), &replay));
        told.collect::<Result<Vec<Told>, StoreError>>()
    })?;
    let page = ReplayPage { shell, all, approvals_url: ws.url("approvals") };
    match hx.is_partial() {
        true => html::fragment(&page.as_lines()),
        false => html::page(&page),
    }
}

/// `GET /permissions/preview`: below the form, while it is filled in. What cannot be added yet says nothing.
async fn of_form(ws: Ws, who: Person, Query(typed): Query<Typed>) -> Result<Response, PageError> {
    let agent = ws.read(|snap| permits::agent_named(snap, Some(&typed.agent)))?;
    let wish = typed.wish().and_then(|wish| {
        let new = wish.permission(agent.map(|agent| agent.id), ws.app.clock.now());
        new.map_err(|_| Wrong::none())
    });
    let Ok(new) = wish else { return html::fragment(&Lines { all: Vec::new() }) };
    let leave = new.leave;
    let replay = one(&ws, new).await?;
    let told = ws.read(|snap| told(&ws, (snap, &who), (String::new(), leave), &replay))?;
    html::fragment(&Lines { all: vec![told] })
}

/// What a permission would have done with the calls of the last 30 days, each as it was judged then.
#[derive(Serialize, JsonSchema)]
struct Preview {
    /// How far it looks back, in days.
    days: i64,
    /// How many calls of the tool there were, let through, asked for or refused, each once.
    calls: usize,
    /// How many of them people were asked for.
    asked: usize,
    /// How many of all it would have let through, refused or asked for.
    met: usize,
    /// How many of these a person said no to.
    denied: usize,
    /// The last runs that made such calls, at most five.
    runs: Vec<String>,
    /// Whether there were more than the last 100,000 calls of the workspace, which alone were looked at.
    more: bool,
}

/// What each offer of an approval would have let through.
#[derive(Serialize, JsonSchema)]
struct Previews {
    /// By the number of the offer.
    items: Vec<Preview>,
}

impl Preview {
    fn of(tx: &dyn Read, who: &Person, replay: &Replay) -> Result<Self, StoreError> {
        let Replay { calls, asked, met, denied, more, .. } = *replay;
        let runs = runs_of(tx, who, replay)?.iter().map(Run::name).collect();
        Ok(Self { days: DAYS, calls, asked, met, denied, runs, more })
    }
}

async fn api_of_approval(
    ws: Ws,
    who: Person,
    Path(id): Path<ApprovalId>,
) -> Result<Json<Previews>, ApiError> {
    let offers = offers(&ws, &who, id).await?;
    let items = ws.read(|snap| {
        let items = offers.iter().map(|(_, replay)| Preview::of(snap, &who, replay));
        items.collect::<Result<Vec<Preview>, StoreError>>()
    })?;
    Ok(Json(Previews { items }))
}

async fn api_of_wish(
    ws: Ws,
    who: Person,
    Json(wish): Json<Wish>,
) -> Result<Json<Preview>, ApiError> {
    let agent = ws.read(|snap| permits::agent_named(snap, wish.agent.as_deref()))?;
    let new = wish.permission(agent.map(|agent| agent.id), ws.app.clock.now())?;
    let replay = one(&ws, new).await?;
    Ok(Json(ws.read(|snap| Preview::of(snap, &who, &replay))?))
}

#[cfg(test)]
mod tests {
    use super::{Replay, words};
    use kernel::Leave;

    #[test]
    fn a_replay_says_how_many_calls_of_how_many() {
        let told = |leave, calls, met, denied| {
            words(leave, &Replay { calls, met, denied, ..Replay::default() })
        };
        assert_eq!(told(Leave::Allow, 0, 0, 0), "No such call of the last 30 days is known.");
        assert_eq!(
            told(Leave::Allow, 1_240, 37, 2),
            "Would have let through 37 of the 1,240 calls of the last 30 days without a question. \
             A person said no to 2 of them."
        );
        assert_eq!(
            told(Leave::Allow, 1, 0, 0),
            "Would not have touched the one call of the last 30 days."
        );
        assert_eq!(
            told(Leave::Deny, 3, 0, 0),
            "Would have refused none of the 3 calls of the last 30 days."
        );
        assert_eq!(
            told(Leave::Ask, 1, 1, 1),
            "Would have asked for the one call of the last 30 days."
        );
        let replay = Replay { calls: 9, met: 9, more: true, ..Replay::default() };
        assert_eq!(
            words(Leave::Deny, &replay),
            "Would have refused 9 of the 9 calls of the last 30 days. \
             Only the last 100,000 calls of all tools were looked at."
        );
    }
}
