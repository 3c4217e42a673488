//! The API of approvals, modes and permissions.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::runs::model::Run;
use features::tasks::queries::people::People;
use features::trust::model::{Approval, Permission, PermissionUse, What};
use features::trust::queries;
use features::trust::queries::widening;
use features::trust::rules::{self, Decision, TrustError};
use kernel::{
    AccessDecision, AgentId, ApprovalAnswer, ApprovalId, Assignee, Can, PermissionId, Risk,
    Timestamp, TrustMode,
};
use store::{ReadExt as _, StoreError};
use web::error::ApiError;
use web::extract::{Json, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::permits::{self, PermissionBody};
use super::{batch, explain, presets, recent, reviewer, sandbox, taint};

/// Maximum number of pending approvals listed.
const OPEN: usize = 1_000;
/// How many of the last approvals are scanned for answered ones.
const ANSWERED: usize = 100;

#[must_use]
pub fn routes() -> Routes {
    let listed = || {
        Doc::new("Calls that need approval, oldest first; or past ones")
            .query::<ListQuery>()
            .returns::<Approvals>()
    };
    let answered = || {
        Doc::new("Answer a call; the first answer counts; `always` needs `admin`")
            .body::<AnswerBody>()
            .returns::<ApprovalOut>()
    };
    let permissions = || {
        Doc::new("The permissions of an agent and the workspace, or only the workspace's")
            .query::<PermissionQuery>()
            .returns::<Permissions>()
    };
    let routes = recent::api(taint::api(batch::api(reviewer::api(Routes::new()))));
    let routes = explain::api(routes);
    presets::api(sandbox::api(routes))
        .get("/approvals", list.needs(Can::Read).doc(listed))
        .get(
            "/approvals/{id}",
            show.needs(Can::Read)
                .doc(|| Doc::new("A pending or past call").returns::<ApprovalOut>()),
        )
        .post("/approvals/{id}/answer", answer.needs(Can::Approve).doc(answered))
        .get(
            "/agents/{agent}/mode",
            mode.needs(Can::Read).doc(|| Doc::new("An agent's mode").returns::<ModeView>()),
        )
        .put(
            "/agents/{agent}/mode",
            set_mode.needs(Can::Admin).doc(|| {
                Doc::new("Set it; applies from its next call")
                    .body::<ModeBody>()
                    .returns::<ModeView>()
            }),
        )
        .get("/permissions", permissions_of.needs(Can::Read).doc(permissions))
        .post(
            "/permissions",
            permit.needs(Can::Admin).doc(|| {
                Doc::new("Add a permission; duplicates are merged")
                    .body::<PermissionBody>()
                    .returns::<PermissionOut>()
                    .status(201)
            }),
        )
        .delete(
            "/permissions/{id}",
            remove.needs(Can::Admin).doc(|| Doc::new("Remove a permission").status(204)),
        )
}

/// Which approvals.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ListQuery {
    /// `open` unless said otherwise.
    state: Standing,
}

/// Whether somebody has answered.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// They wait.
    #[default]
    Open,
    /// Of the last hundred that were asked, those that wait no longer, the newest first.
    Answered,
}

/// Approvals.
#[derive(Serialize, JsonSchema)]
struct Approvals {
    items: Vec<ApprovalOut>,
}

/// A call that waits for a person's yes, or has waited.
#[derive(Serialize, JsonSchema)]
struct ApprovalOut {
    id: ApprovalId,
    /// The run that waits.
    run: String,
    agent: AgentId,
    /// The agent's name.
    agent_name: String,
    tool: String,
    /// What it would do, as people read it: a command line, a request, or the arguments.
    shown: String,
    /// The arguments as JSON: this is what is called.
    arguments: String,
    /// The folder in which a program runs.
    folder: String,
    /// The names of the variables that it is given.
    variables: Vec<String>,
    /// The files that a yes is bound to.
    files: Vec<String>,
    risk: Risk,
    /// Why it is asked.
    why: String,
    /// For what else a yes can count, by number from 0 on.
    offers: Vec<String>,
    asked_at: String,
    /// Until when it waits; then the run goes on without it.
    until: Option<String>,
    answer: Option<AnswerOut>,
    /// When the call was made.
    called_at: Option<String>,
}

/// How it was answered.
#[derive(Serialize, JsonSchema)]
struct AnswerOut {
    answer: ApprovalAnswer,
    /// Who; nobody when it ended by itself.
    by: Option<String>,
    /// What the agent was told besides.
    note: String,
    at: String,
}

impl ApprovalOut {
    fn of(people: &People, approval: Approval, run: &Run) -> Self {
        let Approval { id, agent, tool, plan, risk, why, offers, asked_at, until, answer, .. } =
            approval;
        Self {
            id,
            run: run.name(),
            agent,
            agent_name: people.name(Assignee::Agent(agent)),
            tool,
            files: plan.bound_to(),
            shown: plan.shown,
            arguments: plan.arguments,
            folder: plan.folder,
            variables: plan.variables,
            risk,
            why,
            offers: offers.into_iter().map(|offer| offer.label).collect(),
            asked_at: asked_at.to_string(),
            until: until.map(|at| at.to_string()),
            answer: answer.map(|answer| AnswerOut {
                answer: answer.answer,
                by: answer.by.map(|by| people.name(Assignee::Person(by))),
                note: answer.note,
                at: answer.at.to_string(),
            }),
            called_at: approval.spent_at.map(|at| at.to_string()),
        }
    }
}

async fn list(
    ws: Ws,
    who: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<Approvals>, ApiError> {
    let items = ws.read(|snap| {
        let all = match query.state {
            Standing::Open => queries::open(snap, OPEN)?,
            Standing::Answered => queries::answered(snap, ANSWERED)?,
        };
        let people = People::read(snap)?;
        let mut items = Vec::new();
        for approval in all {
            if let Some(run) = super::run_of(snap, &who, &approval)? {
                items.push(ApprovalOut::of(&people, approval, &run));
            }
        }
        Ok::<_, StoreError>(items)
    })?;
    Ok(Json(Approvals { items }))
}

fn view(ws: &Ws, who: &Person, id: ApprovalId) -> Result<Json<ApprovalOut>, ApiError> {
    let (approval, run) = super::find(ws, who, id)?;
    let people = ws.read(|snap| People::read(snap))?;
    Ok(Json(ApprovalOut::of(&people, approval, &run)))
}

async fn show(
    ws: Ws,
    who: Person,
    Path(id): Path<ApprovalId>,
) -> Result<Json<ApprovalOut>, ApiError> {
    view(&ws, &who, id)
}

/// An answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnswerBody {
    /// `once`, `run`, `always` or `denied`.
    answer: ApprovalAnswer,
    /// Which of the offers counts for the run or always; the first, unless said otherwise.
    #[serde(default)]
    offer: usize,
    /// What the agent is told besides.
    #[serde(default)]
    note: String,
}

async fn answer(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ApprovalId>,
    Json(body): Json<AnswerBody>,
) -> Result<Json<ApprovalOut>, ApiError> {
    let AnswerBody { answer, offer, note } = body;
    if let Some(can) = super::lacks(&who, answer) {
        return Err(ApiError::forbidden(can));
    }
    super::check_proof(&who, answer)?;
    super::find(&ws, &who, id)?;
    super::decide(&ws, &who, (id, Decision { answer, offer, note }), once).await?;
    view(&ws, &who, id)
}

/// A mode.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ModeBody {
    /// `locked`, `ask`, `auto` or `full`.
    mode: TrustMode,
}

/// How much an agent may do without asking.
#[derive(Debug, Serialize, JsonSchema)]
struct ModeView {
    /// `locked`: it looks and changes nothing; `ask`: it asks before what cannot be taken back; `auto`: so too, and
    /// the reviewer may say yes; `full`: it does all that its switches allow.
    mode: TrustMode,
    /// Whether it asks no more than before after it has read words from outside.
    autonomous: bool,
}

fn found(ws: &Ws, name: &str) -> Result<Agent, ApiError> {
    let agent = ws.read(|snap| agents::by_name(snap, name))?;
    agent.ok_or_else(|| ApiError::not_found("This agent"))
}

fn mode_view(ws: &Ws, agent: AgentId) -> Result<Json<ModeView>, ApiError> {
    let trust = ws.read(|snap| queries::trust_of(snap, agent))?;
    Ok(Json(ModeView { mode: trust.mode, autonomous: trust.autonomous }))
}

async fn mode(ws: Ws, _: Person, Path(name): Path<String>) -> Result<Json<ModeView>, ApiError> {
    mode_view(&ws, found(&ws, &name)?.id)
}

async fn set_mode(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(ModeBody { mode }): Json<ModeBody>,
) -> Result<Json<ModeView>, ApiError> {
    let id = found(&ws, &name)?.id;
    let set = once.run(move |tx| rules::set_mode(tx, id, mode));
    ws.write(&who, widening::checked(&who, set)).await?;
    mode_view(&ws, id)
}

/// Whose permissions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PermissionQuery {
    /// Slug or id of an agent: its own and those of the workspace.
    agent: Option<String>,
}

/// Permissions.
#[derive(Serialize, JsonSchema)]
struct Permissions {
    items: Vec<PermissionOut>,
}

/// What becomes of calls like these.
#[derive(Serialize, JsonSchema)]
struct PermissionOut {
    id: PermissionId,
    /// The agent; none for all of the workspace.
    agent: Option<AgentId>,
    /// The tool; `*` for all.
    tool: String,
    leave: AccessDecision,
    /// The calls, in words.
    calls: String,
    /// The host of requests.
    host: Option<String>,
    /// Their method.
    method: Option<String>,
    /// Why.
    note: String,
    /// Who made it.
    by: String,
    created_at: String,
    expires_at: Option<String>,
    /// When it last decided what became of a call.
    last_used_at: Option<String>,
    /// How many calls it decided in the last thirty days.
    used_in_30_days: u64,
}

impl PermissionOut {
    fn of(people: &People, rule: Permission, used: Option<&PermissionUse>, now: Timestamp) -> Self {
        let calls = permits::calls(&rule.tool, &rule.what);
        let (host, method) = match rule.what {
            What::Host { host, method } => (Some(host), Some(method)),
            _ => (None, None),
        };
        Self {
            id: rule.id,
            agent: rule.agent,
            tool: rule.tool,
            leave: rule.leave,
            calls,
            host,
            method: method.filter(|method| !method.is_empty()),
            note: rule.note,
            by: people.actor(rule.by).name,
            created_at: rule.created_at.to_string(),
            expires_at: rule.expires_at.map(|at| at.to_string()),
            last_used_at: used.map(|used| used.last_at.to_string()),
            used_in_30_days: used.map_or(0, |used| used.lately(now)),
        }
    }
}

async fn permissions_of(
    ws: Ws,
    _: Person,
    Query(query): Query<PermissionQuery>,
) -> Result<Json<Permissions>, ApiError> {
    let now = ws.app.clock.now();
    let items = ws.read(|snap| {
        let agent = permits::agent_named(snap, query.agent.as_deref())?;
        let people = People::read(snap)?;
        let mut items = Vec::new();
        for rule in queries::kept(snap, agent.map(|agent| agent.id))? {
            let used = snap.get::<PermissionUse>(rule.id)?;
            items.push(PermissionOut::of(&people, rule, used.as_ref(), now));
        }
        Ok::<_, TrustError>(items)
    })?;
    Ok(Json(Permissions { items }))
}

async fn permit(
    ws: Ws,
    who: Person,
    once: Once,
    Json(wish): Json<PermissionBody>,
) -> Result<(StatusCode, Json<PermissionOut>), ApiError> {
    let agent = ws.read(|snap| permits::agent_named(snap, wish.agent.as_deref()))?;
    let now = ws.app.clock.now();
    let new = wish.permission(agent.map(|agent| agent.id), now)?;
    let permit = once.run(move |tx| rules::permit(tx, new));
    let rule = ws.write(&who, widening::checked(&who, permit)).await?;
    let (people, used) = ws.read(|snap| {
        Ok::<_, StoreError>((People::read(snap)?, snap.get::<PermissionUse>(rule.id)?))
    })?;
    let out = PermissionOut::of(&people, rule, used.as_ref(), now);
    Ok((StatusCode::CREATED, Json(out)))
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<PermissionId>,
) -> Result<StatusCode, ApiError> {
    let revoke = once.run(move |tx| rules::revoke(tx, id));
    ws.write(&who, widening::checked(&who, revoke)).await?;
    Ok(StatusCode::NO_CONTENT)
}
