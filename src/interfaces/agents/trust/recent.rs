//! Recent calls that a permission would have decided, shown before it is added: on the card of a call, in the form, and
//! over the API.

use askama::Template;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use app::Ws;
use features::runs::model::Run;
use features::runs::queries::talk;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::view_context::ViewContext;
use features::trust::model::Became;
use features::trust::recent::{self, DAYS, RecentCall, SHOWN};
use features::trust::rules::{NewPermission, TrustError};
use kernel::{AccessDecision, ApprovalId, Can, Timestamp};
use store::{Read, ReadExt, Snap, StoreError};
use web::error::{ApiError, PageError};
use web::extract::{Json, Path, Query};
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::permits::{self, PermissionBody, PermissionForm};

pub(super) fn pages(routes: Routes) -> Routes {
    routes
        .get("/approvals/{id}/recent", of_approval.needs(Can::Admin))
        .get("/permissions/preview", of_form.needs(Can::Admin))
}

pub(super) fn api(routes: Routes) -> Routes {
    routes
        .get(
            "/approvals/{id}/preview",
            api_of_approval.needs(Can::Admin).doc(|| {
                Doc::new("Past calls that each option of an approval would have allowed")
                    .returns::<Previews>()
            }),
        )
        .post(
            "/permissions/preview",
            api_of_wish.needs(Can::Admin).doc(|| {
                Doc::new("Past calls that a permission would have decided; nothing is added")
                    .body::<PermissionBody>()
                    .returns::<Preview>()
            }),
        )
}

/// The calls of an offered permission.
struct Offer {
    /// Label of the offer; empty for the permission of a form.
    label: String,
    summary: String,
    calls: Vec<CallLine>,
}

struct CallLine {
    at: RelTime,
    /// Outcome of the call.
    outcome: &'static str,
    /// Name and address of the run; `None` if this person may not see it.
    run: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "trust/recent.html")]
struct RecentPage {
    shell: Shell,
    lines: Lines,
    approvals_url: String,
}

#[derive(Template)]
#[template(path = "trust/_recent.html")]
struct Lines {
    all: Vec<Offer>,
}

impl askama::filters::HtmlSafe for Lines {}

/// The run of a call, if this person may see it.
fn run_of(tx: &dyn Read, who: &Person, call: &RecentCall) -> Result<Option<Run>, StoreError> {
    let Some(run) = tx.get::<Run>(call.run)? else { return Ok(None) };
    Ok(talk::may_see_run(tx, &run, who.account, who.role)?.then_some(run))
}

fn outcome(became: Became) -> &'static str {
    match became {
        Became::Passed => "allowed",
        Became::Asked => "asked for",
        Became::Refused => "refused",
        Became::Denied => "denied",
    }
}

fn summary(decision: AccessDecision, calls: usize) -> String {
    let verb = match decision {
        AccessDecision::Allow => "allowed",
        AccessDecision::Deny => "refused",
        AccessDecision::Ask => "asked for",
    };
    match calls {
        0 => format!("No calls in the last {DAYS} days match."),
        1 => format!("It would have {verb} one call in the last {DAYS} days."),
        n if n < SHOWN => format!("It would have {verb} {n} calls in the last {DAYS} days."),
        n => format!("It would have {verb} at least {n} calls in the last {DAYS} days."),
    }
}

fn offer(
    (tx, scene, who): (&Snap<'_>, &ViewContext, &Person),
    (label, decision): (String, AccessDecision),
    calls: &[RecentCall],
) -> Result<Offer, StoreError> {
    let line = |call: &RecentCall| {
        let run = run_of(tx, who, call)?.map(|run| {
            let name = run.name();
            let href = scene.ws.url(&format!("runs/{name}"));
            (name, href)
        });
        Ok(CallLine { at: scene.time(call.at), outcome: outcome(call.became), run })
    };
    let lines = calls.iter().map(line).collect::<Result<_, StoreError>>()?;
    Ok(Offer { label, summary: summary(decision, calls.len()), calls: lines })
}

/// The calls that each offer of an approval would have allowed.
async fn offers(
    ws: &Ws,
    who: &Person,
    id: ApprovalId,
) -> Result<Vec<(String, Vec<RecentCall>)>, TrustError> {
    let (approval, _) = super::find(ws, who, id)?;
    let now = ws.app.clock.now();
    ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let which = (Some(approval.agent), approval.tool.as_str());
            let (labels, new): (Vec<_>, Vec<_>) = recent::offered(&approval).into_iter().unzip();
            let all = recent::matching(snap, which, &new, now)?;
            Ok(labels.into_iter().zip(all).collect())
        })
    })
    .await
}

/// The calls that one permission would have decided.
async fn one(ws: &Ws, new: NewPermission) -> Result<Vec<RecentCall>, StoreError> {
    let now = ws.app.clock.now();
    ws.read_blocking(move |ws| {
        let tool = new.tool.clone();
        let all = ws.read(|snap| recent::matching(snap, (new.agent, &tool), &[vec![new]], now));
        Ok(all?.pop().unwrap_or_default())
    })
    .await
}

/// `GET /approvals/{id}/recent`
async fn of_approval(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<ApprovalId>,
) -> Result<Response, PageError> {
    let offers = offers(&ws, &who, id).await?;
    let all = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        let offers = offers.into_iter().map(|(label, calls)| {
            offer((snap, &scene, &who), (label, AccessDecision::Allow), &calls)
                .map_err(TaskError::from)
        });
        offers.collect::<Result<Vec<Offer>, TaskError>>()
    })?;
    let page = RecentPage { shell, lines: Lines { all }, approvals_url: ws.url("approvals") };
    match hx.is_partial() {
        true => html::fragment(&page.lines),
        false => html::page(&page),
    }
}

/// `GET /permissions/preview`: below the form while it is being filled in. Empty for an invalid permission.
async fn of_form(
    ws: Ws,
    who: Person,
    Query(form): Query<PermissionForm>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| permits::agent_named(snap, Some(&form.agent)))?;
    let wish = form.wish().and_then(|wish| {
        let new = wish.permission(agent.map(|agent| agent.id), ws.app.clock.now());
        new.map_err(|_| Wrong::none())
    });
    let Ok(new) = wish else { return html::fragment(&Lines { all: Vec::new() }) };
    let decision = new.leave;
    let calls = one(&ws, new).await?;
    let offer = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        offer((snap, &scene, &who), (String::new(), decision), &calls).map_err(TaskError::from)
    })?;
    html::fragment(&Lines { all: vec![offer] })
}

/// The last calls that a permission would have decided, each as it was judged then.
#[derive(Serialize, JsonSchema)]
struct Preview {
    /// How far it looks back, in days.
    days: i64,
    /// At most 20, newest first.
    calls: Vec<PreviewCall>,
}

#[derive(Serialize, JsonSchema)]
struct PreviewCall {
    #[schemars(with = "String")]
    at: Timestamp,
    /// The name of the run; null for one that the caller may not see.
    run: Option<String>,
    /// What became of the call: `allowed`, `asked for`, `refused` or `denied`.
    outcome: &'static str,
}

/// By the number of the offer.
#[derive(Serialize, JsonSchema)]
struct Previews {
    items: Vec<Preview>,
}

impl Preview {
    fn of(tx: &dyn Read, who: &Person, calls: &[RecentCall]) -> Result<Self, StoreError> {
        let call = |call: &RecentCall| {
            let run = run_of(tx, who, call)?.map(|run| run.name());
            Ok(PreviewCall { at: call.at, run, outcome: outcome(call.became) })
        };
        let calls = calls.iter().map(call).collect::<Result<_, StoreError>>()?;
        Ok(Self { days: DAYS, calls })
    }
}

async fn api_of_approval(
    ws: Ws,
    who: Person,
    Path(id): Path<ApprovalId>,
) -> Result<Json<Previews>, ApiError> {
    let offers = offers(&ws, &who, id).await?;
    let items = ws.read(|snap| {
        let items = offers.iter().map(|(_, calls)| Preview::of(snap, &who, calls));
        items.collect::<Result<Vec<Preview>, StoreError>>()
    })?;
    Ok(Json(Previews { items }))
}

async fn api_of_wish(
    ws: Ws,
    who: Person,
    Json(wish): Json<PermissionBody>,
) -> Result<Json<Preview>, ApiError> {
    let agent = ws.read(|snap| permits::agent_named(snap, wish.agent.as_deref()))?;
    let new = wish.permission(agent.map(|agent| agent.id), ws.app.clock.now())?;
    let calls = one(&ws, new).await?;
    Ok(Json(ws.read(|snap| Preview::of(snap, &who, &calls))?))
}

#[cfg(test)]
mod tests {
    use super::{SHOWN, summary};
    use kernel::AccessDecision;

    #[test]
    fn a_summary_counts_the_calls() {
        assert_eq!(summary(AccessDecision::Allow, 0), "No calls in the last 7 days match.");
        assert_eq!(
            summary(AccessDecision::Deny, 1),
            "It would have refused one call in the last 7 days."
        );
        let many = "It would have allowed at least 20 calls in the last 7 days.";
        assert_eq!(summary(AccessDecision::Allow, SHOWN), many);
    }
}
