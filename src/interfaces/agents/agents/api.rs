//! The agents API.

mod drafts;
mod files;
mod diverged;
mod memory;
mod reach;
mod upgrade;
mod versions;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use git::Author;
use kernel::{AgentId, AgentStatus, Can, ConnectionId, Manager, Thinking};
use store::{Read, ReadExt, Snap, StoreError};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Patch, Query, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use features::agents::model::Agent;
use features::agents::queries::lines;
use features::agents::rules::{self, AgentError, Changes, ModelChoice, NewAgent};
use features::agents::{provision, queries, templates};
use features::trust::queries::widening;

use super::at::{At, Finds};
use super::heirs;

#[must_use]
pub fn routes() -> Routes {
    let one = "/agents/{agent}";
    Routes::new()
        .get(
            "/agents",
            list.needs(Can::Read).doc(|| {
                Doc::new("All agents and what each is doing")
                    .query::<AgentListParams>()
                    .returns::<Listing>()
            }),
        )
        .post(
            "/agents",
            create.needs(Can::Agents).doc(|| {
                Doc::new("Create an agent; it is ready when this responds")
                    .body::<NewBody>()
                    .returns::<View>()
                    .status(201)
            }),
        )
        .get(
            "/templates",
            list_templates
                .needs(Can::Read)
                .doc(|| Doc::new("Templates for new agents").returns::<TemplateListing>()),
        )
        .get(
            one,
            get.needs(Can::Read)
                .doc(|| Doc::new("One agent, by its handle or id").returns::<View>()),
        )
        .patch(
            one,
            patch.needs(Can::Agents).doc(|| {
                Doc::new("Change an agent").if_match().body::<PatchBody>().returns::<View>()
            }),
        )
        .post(
            "/agents/{agent}/pause",
            pause
                .needs(Can::Agents)
                .doc(|| Doc::new("Pause new work; running work continues").returns::<View>()),
        )
        .post(
            "/agents/{agent}/resume",
            resume.needs(Can::Agents).doc(|| Doc::new("Resume work").returns::<View>()),
        )
        .post(
            "/agents/{agent}/retry",
            retry
                .needs(Can::Agents)
                .doc(|| Doc::new("Retry setting up its files").returns::<View>()),
        )
        .post(
            "/agents/{agent}/archive",
            archive.needs(Can::Agents).doc(|| {
                Doc::new("Stop its runs, empty its inbox and archive it")
                    .body::<ArchiveBody>()
                    .returns::<View>()
            }),
        )
        .post(
            "/agents/{agent}/restore",
            restore
                .needs(Can::Agents)
                .doc(|| Doc::new("Restore it from the archive").returns::<View>()),
        )
        .merge(files::routes())
        .merge(diverged::routes())
        .merge(memory::routes())
        .merge(drafts::routes())
        .merge(reach::routes())
        .merge(upgrade::routes())
        .merge(versions::routes())
}

/// An agent as the API shows it.
#[derive(Serialize, JsonSchema)]
struct View {
    id: AgentId,
    slug: String,
    name: String,
    emoji: String,
    description: String,
    /// What it is, in a few words.
    role: String,
    team: String,
    /// What it answers for.
    domains: Vec<String>,
    /// What it does.
    capabilities: Vec<String>,
    template: String,
    /// The version of its template, a commit of `template/<slug>`.
    template_commit: Option<String>,
    status: AgentStatus,
    status_reason: Option<String>,
    /// `working`, `waiting`, `queued`, `idle`, `over_budget`, `stalled`, `unreachable`, or the status.
    activity: &'static str,
    /// As pages show it: "Stalled" also while the machine of a `working` run is silent.
    activity_label: String,
    connection: Option<ConnectionId>,
    model: Option<String>,
    thinking: Option<Thinking>,
    exec: bool,
    network: bool,
    budget_micros: Option<i64>,
    budget_soft_pct: u8,
    max_output: u32,
    /// The id of the person or agent that it reports to.
    reports_to: Option<String>,
    /// The same by name.
    manager: Option<ManagerView>,
    /// Open inbox items, counted to 100.
    open_items: usize,
    created_at: String,
    updated_at: String,
    archived_at: Option<String>,
}

/// Whom an agent reports to.
#[derive(Serialize, JsonSchema)]
struct ManagerView {
    /// `person` or `agent`.
    kind: &'static str,
    handle: String,
    name: String,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct AgentListParams {
    /// The archived agents in place of the others.
    archived: bool,
}

#[derive(Serialize, JsonSchema)]
struct Listing {
    items: Vec<View>,
}

#[derive(Serialize, JsonSchema)]
struct TemplateListing {
    items: Vec<TemplateView>,
}

#[derive(Serialize, JsonSchema)]
struct TemplateView {
    slug: &'static str,
    name: &'static str,
    emoji: &'static str,
    description: &'static str,
    role: &'static str,
    team: &'static str,
    domains: &'static [String],
    capabilities: &'static [String],
    /// What one gives it, what comes back, how it works, what it leaves to others.
    roster: &'static [String],
    first_task: &'static str,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    /// Made from the name when it is left out; never changes.
    #[serde(default)]
    slug: String,
    #[serde(default)]
    emoji: Option<String>,
    #[serde(default)]
    description: Option<String>,
    /// `default` when it is left out.
    #[serde(default)]
    template: Option<String>,
    connection: Option<ConnectionId>,
    model: Option<String>,
    thinking: Option<Thinking>,
    #[serde(default)]
    exec: Option<bool>,
    budget_micros: Option<i64>,
    /// The handle or id of an agent or a person; whoever makes it when it is left out, `none` for nobody.
    reports_to: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PatchBody {
    name: Option<String>,
    emoji: Option<String>,
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    description: Option<Option<String>>,
    /// What it is, in a few words.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    role: Option<Option<String>>,
    /// What it answers for: at most 12.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<Vec<String>>")]
    domains: Option<Option<Vec<String>>>,
    /// What it does: at most 12.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<Vec<String>>")]
    capabilities: Option<Option<Vec<String>>>,
    /// With `connection`; null takes the workspace's.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    model: Option<Option<String>>,
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<ConnectionId>")]
    connection: Option<Option<ConnectionId>>,
    /// Null takes the workspace's.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<Thinking>")]
    thinking: Option<Option<Thinking>>,
    exec: Option<bool>,
    network: Option<bool>,
    /// Null, or below zero, for no limit.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<i64>")]
    budget_micros: Option<Option<i64>>,
    budget_soft_pct: Option<u8>,
    max_output: Option<u32>,
    /// The handle or id of an agent or a person; null or `none` for nobody.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    reports_to: Option<Option<String>>,
}

fn view(ws: &Ws, tx: &dyn Read, agent: Agent) -> Result<View, StoreError> {
    let activity = queries::activity(tx, &agent, ws.app.clock.now())?;
    let activity_label = queries::label_seen(ws, tx, &agent, &activity)?;
    let manager = lines::named(tx, agent.reports_to)?.map(|one| ManagerView {
        kind: if one.is_person { "person" } else { "agent" },
        handle: one.handle,
        name: one.name,
    });
    Ok(View {
        id: agent.id,
        slug: agent.slug,
        name: agent.name,
        emoji: agent.emoji,
        description: agent.description,
        role: agent.role,
        team: agent.team,
        domains: agent.domains,
        capabilities: agent.capabilities,
        template: agent.template,
        template_commit: agent.template_commit.map(|commit| commit.to_string()),
        status: agent.status,
        status_reason: agent.status_reason,
        activity: activity.state,
        activity_label,
        connection: agent.connection,
        model: agent.model,
        thinking: agent.thinking,
        exec: agent.exec,
        network: agent.network,
        budget_micros: agent.budget_micros,
        budget_soft_pct: agent.budget_soft_pct,
        max_output: agent.max_output,
        reports_to: agent.reports_to.map(|to| match to {
            Manager::Person(account) => account.to_string(),
            Manager::Agent(id) => id.to_string(),
        }),
        manager,
        open_items: activity.open,
        created_at: agent.created_at.to_string(),
        updated_at: agent.updated_at.to_string(),
        archived_at: agent.archived_at.map(|at| at.to_string()),
    })
}

/// Who gets what an archived agent has.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ArchiveBody {
    /// The handle of an agent or a person; left out, its open tasks are nobody's.
    tasks_to: Option<String>,
    /// The handle of an agent; left out, its routines stop.
    routines_to: Option<String>,
}

fn find(tx: &dyn Read, name: &str) -> Result<Agent, ApiError> {
    queries::by_name(tx, name)?.ok_or_else(|| AgentError::NotFound(name.to_owned()).into())
}

impl Finds for ApiError {
    fn find(snap: &Snap<'_>, name: &str) -> Result<Agent, Self> {
        find(snap, name)
    }
}

/// Resolves the name of a manager.
fn manager(tx: &dyn Read, name: &str) -> Result<Option<Manager>, AgentError> {
    lines::meant(tx, name)?.map_err(AgentError::NoManager)
}

fn with_etag(ws: &Ws, id: AgentId) -> Result<Tagged<View>, ApiError> {
    ws.read(|snap| {
        let found = snap.get_rev::<Agent>(id)?;
        let (agent, rev) = found.ok_or_else(|| AgentError::NotFound(id.to_string()))?;
        Ok(Tagged::ok(rev, view(ws, snap, agent)?))
    })
}

async fn list(ws: Ws, Query(params): Query<AgentListParams>) -> Result<Json<Listing>, ApiError> {
    let items = ws.read(|snap| {
        let agents = if params.archived { queries::archived(snap)? } else { queries::all(snap)? };
        agents.into_iter().map(|agent| view(&ws, snap, agent)).collect::<Result<_, StoreError>>()
    })?;
    Ok(Json(Listing { items }))
}

async fn list_templates() -> Json<TemplateListing> {
    let items = templates::builtin().iter().map(|template| TemplateView {
        slug: &template.slug,
        name: &template.manifest.name,
        emoji: &template.manifest.emoji,
        description: &template.manifest.description,
        role: &template.manifest.role,
        team: &template.manifest.team,
        domains: &template.manifest.domains,
        capabilities: &template.manifest.capabilities,
        roster: &template.manifest.roster,
        first_task: &template.manifest.first_task,
    });
    Json(TemplateListing { items: items.collect() })
}

async fn get(At { ws, agent, .. }: At<ApiError>) -> Result<Tagged<View>, ApiError> {
    let id = agent.id;
    with_etag(&ws, id)
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<Tagged<View>, ApiError> {
    let template = body.template.unwrap_or_else(|| "default".to_owned());
    let reports_to = match body.reports_to.as_deref() {
        Some(name) => ws.read(|snap| manager(snap, name))?,
        None => Some(who.account.into()),
    };
    let manifest = templates::find(&template).map(|template| &template.manifest);
    let new = NewAgent {
        name: body.name,
        slug: body.slug,
        emoji: body.emoji.or_else(|| manifest.map(|m| m.emoji.clone())).unwrap_or_default(),
        description: body
            .description
            .or_else(|| manifest.map(|m| m.description.clone()))
            .unwrap_or_default(),
        model: ModelChoice { connection: body.connection, model: body.model },
        thinking: body.thinking.or_else(|| manifest.map(|m| m.thinking)),
        exec: body.exec.unwrap_or_else(|| manifest.is_none_or(|manifest| manifest.exec)),
        budget_micros: body.budget_micros,
        reports_to,
        template,
    };
    let made = once.run(move |tx| rules::create(tx, new, &provision::template_names()));
    let made = ws.write(&who, widening::checked(&who, made));
    let id = made.await?.id;
    provision::make(&ws, &who, id).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..with_etag(&ws, id)? })
}

async fn patch(
    At { ws, who, agent: before, .. }: At<ApiError>,
    once: Once,
    if_match: IfMatch,
    Patch(body): Patch<PatchBody>,
) -> Result<Tagged<View>, ApiError> {
    let model = match (body.connection, body.model) {
        (None, None) => None,
        (connection, model) => {
            Some(ModelChoice { connection: connection.flatten(), model: model.flatten() })
        }
    };
    let reports_to = match &body.reports_to {
        Some(Some(name)) => Some(ws.read(|snap| manager(snap, name))?),
        Some(None) => Some(None),
        None => None,
    };
    let changes = Changes {
        reports_to,
        name: body.name,
        emoji: body.emoji,
        description: body.description.map(Option::unwrap_or_default),
        role: body.role.map(Option::unwrap_or_default),
        domains: body.domains.map(Option::unwrap_or_default),
        capabilities: body.capabilities.map(Option::unwrap_or_default),
        model,
        thinking: body.thinking,
        exec: body.exec,
        network: body.network,
        budget_micros: body.budget_micros.map(|micros| micros.filter(|micros| 0 <= *micros)),
        budget_soft_pct: body.budget_soft_pct,
        max_output: body.max_output,
    };
    let id = before.id;
    let change = once.run(move |tx| rules::update(tx, id, if_match.0, changes));
    let agent = ws.write(&who, widening::checked(&who, change)).await?;
    provision::tell_change(&ws, Author::person(&who.name, who.account), &before, &agent).await;
    with_etag(&ws, id)
}

async fn pause(
    At { ws, who, agent, .. }: At<ApiError>,
    once: Once,
) -> Result<Tagged<View>, ApiError> {
    let id = agent.id;
    ws.write(&who, once.run(move |tx| rules::pause(tx, id).map(drop))).await?;
    with_etag(&ws, id)
}

async fn resume(
    At { ws, who, agent, .. }: At<ApiError>,
    once: Once,
) -> Result<Tagged<View>, ApiError> {
    let id = agent.id;
    ws.write(&who, once.run(move |tx| rules::resume(tx, id).map(drop))).await?;
    with_etag(&ws, id)
}

async fn retry(
    At { ws, who, agent, .. }: At<ApiError>,
    once: Once,
) -> Result<Tagged<View>, ApiError> {
    let id = agent.id;
    ws.write(&who, once.run(move |tx| rules::retry(tx, id).map(drop))).await?;
    provision::make(&ws, &who, id).await?;
    with_etag(&ws, id)
}

async fn archive(
    At { ws, who, agent, .. }: At<ApiError>,
    once: Once,
    Json(body): Json<ArchiveBody>,
) -> Result<Tagged<View>, ApiError> {
    let id = agent.id;
    let to = |name: &Option<String>| match name {
        Some(name) => ws.read(|snap| manager(snap, name)),
        None => Ok(None),
    };
    let heirs = heirs(to(&body.tasks_to)?, to(&body.routines_to)?)?;
    ws.write(&who, once.run(move |tx| rules::retire(tx, id, heirs).map(drop))).await?;
    with_etag(&ws, id)
}

async fn restore(
    At { ws, who, agent, .. }: At<ApiError>,
    once: Once,
) -> Result<Tagged<View>, ApiError> {
    let id = agent.id;
    ws.write(&who, once.run(move |tx| rules::restore(tx, id).map(drop))).await?;
    with_etag(&ws, id)
}
