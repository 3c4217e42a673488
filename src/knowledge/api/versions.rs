//! `/api/v1/knowledge/{id}/versions`, and the preview of an agent's context.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::queries as agents;
use features::tasks::queries::brief::Names;
use features::tasks::queries::json::WhoView;
use kernel::{AgentId, Can, Timestamp};
use store::{Read, ReadExt as _};
use web::error::ApiError;
use web::extract::{Json, Path, Path2, Query};
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use super::items::{Whole, agent_of, whole_of};
use crate::context;
use crate::error::KnowledgeError;
use crate::model::{Body, ItemKind, KnowledgeId};
use crate::readers::{self, Reader};
use crate::{queries, rules, words};

/// Versions per response.
const VERSIONS: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/knowledge/context",
            start.needs(Can::Read).doc(|| {
                Doc::new("An agent's start-up context").query::<OfAgent>().returns::<Start>()
            }),
        )
        .get(
            "/knowledge/{id}/versions",
            versions.needs(Can::Read).doc(|| {
                Doc::new("An item's versions, newest first").query::<Which>().returns::<Versions>()
            }),
        )
        .get(
            "/knowledge/{id}/versions/{n}",
            version
                .needs(Can::Read)
                .doc(|| Doc::new("A version's text, including the current one").returns::<Said>()),
        )
        .put(
            "/knowledge/{id}/versions/{n}/mark",
            mark.needs(Can::Write).doc(|| {
                Doc::new(
                    "Name a version, including the current one. Marked versions are kept \
                    permanently",
                )
                .body::<MarkBody>()
                .returns::<Versions>()
            }),
        )
        .delete(
            "/knowledge/{id}/versions/{n}/mark",
            unmark.needs(Can::Write).doc(|| Doc::new("Remove a version's name").status(204)),
        )
        .post(
            "/knowledge/{id}/versions/{n}/restore",
            restore.needs(Can::Write).doc(|| Doc::new("Restore a version").returns::<Whole>()),
        )
}

#[derive(Serialize, JsonSchema)]
struct VersionView {
    n: u32,
    by: WhoView,
    #[schemars(with = "String")]
    at: Timestamp,
    reason: String,
    /// In bytes.
    size: usize,
    current: bool,
    /// What a person has named it.
    mark: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "KnowledgeVersionsAsked")]
struct Which {
    /// Only those that are marked, however old.
    marked: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KnowledgeVersionMark")]
struct MarkBody {
    /// At most 80 characters.
    name: String,
}

#[derive(Serialize, JsonSchema)]
struct Versions {
    items: Vec<VersionView>,
}

async fn versions(
    ws: Ws,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Versions>, ApiError> {
    let items = ws.read(|snap| {
        let item = queries::item(snap, &name, None)?;
        listed(snap, item.id, which.marked)
    })?;
    Ok(Json(Versions { items }))
}

fn listed(
    read: &dyn Read,
    id: KnowledgeId,
    marked: bool,
) -> Result<Vec<VersionView>, KnowledgeError> {
    let names = Names::read(read)?;
    let Some(body) = read.get::<Body>(id)? else { return Ok(Vec::new()) };
    let marks = queries::marks(read, id)?;
    let mark = |n: u32| marks.name(n).map(str::to_owned);
    let mut all = vec![VersionView {
        n: body.n,
        by: WhoView::actor(&names, body.by),
        at: body.written_at,
        reason: body.reason,
        size: body.text.len(),
        current: true,
        mark: mark(body.n),
    }];
    let former = match marked {
        true => queries::marked(read, id)?,
        false => queries::versions(read, id, VERSIONS)?,
    };
    all.extend(former.into_iter().filter(|one| one.n < body.n).map(|one| VersionView {
        n: one.n,
        by: WhoView::actor(&names, one.by),
        at: one.at,
        size: one.text.len(),
        reason: one.reason,
        current: false,
        mark: mark(one.n),
    }));
    all.retain(|one| !marked || one.mark.is_some());
    Ok(all)
}

async fn mark(
    ws: Ws,
    who: Person,
    Path2(name, n): Path2<String, u32>,
    Json(body): Json<MarkBody>,
) -> Result<Json<Versions>, ApiError> {
    let id = ws.read(|snap| queries::item(snap, &name, None))?.id;
    ws.write(&who, move |tx| rules::mark(tx, id, (n, &body.name))).await?;
    let items = ws.read(|snap| listed(snap, id, false))?;
    Ok(Json(Versions { items }))
}

async fn unmark(
    ws: Ws,
    who: Person,
    Path2(name, n): Path2<String, u32>,
) -> Result<StatusCode, ApiError> {
    let id = ws.read(|snap| queries::item(snap, &name, None))?.id;
    ws.write(&who, move |tx| rules::unmark(tx, id, n)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a version says.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KnowledgeVersionText")]
struct Said {
    n: u32,
    text: String,
}

async fn version(ws: Ws, Path2(name, n): Path2<String, u32>) -> Result<Json<Said>, ApiError> {
    let text = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let item = queries::item(snap, &name, None)?;
            queries::said_in(snap, &ws.blobs, (item.id, n))
        })
    });
    Ok(Json(Said { n, text: text.await? }))
}

async fn restore(
    ws: Ws,
    who: Person,
    Path2(name, n): Path2<String, u32>,
) -> Result<Json<Whole>, ApiError> {
    let id = words::restore(&ws, &who, &name, n).await?;
    Ok(Json(whole_of(&ws, id).await?))
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct OfAgent {
    /// Its id or handle; without one, what every agent has.
    agent: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct ShareView {
    id: KnowledgeId,
    title: String,
    kind: ItemKind,
    /// About how many.
    tokens: usize,
    /// Whether all of it stands there, or its title alone.
    full: bool,
    /// Whether all of it would stand there if there were room.
    demoted: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StartReader")]
struct ReaderView {
    agent: AgentId,
    /// The first start with just what stands there now, seven days ago at most: all of this counts from then on.
    #[schemars(with = "String")]
    since: Timestamp,
    /// How often it began to work.
    starts: usize,
    /// Requests that the provider answered: it stands in each of them.
    calls: u64,
    /// About how many stand in front of it now.
    tokens: usize,
    /// How much of what was sent came from the provider's cache.
    cached_percent: Option<u64>,
    /// What it cost, in micro-dollars; none where no price is known.
    micros: Option<i64>,
    /// What it costs a day; none before a day is over.
    micros_a_day: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
struct Start {
    items: Vec<ShareView>,
    tokens: usize,
    budget: usize,
    /// Who began with it since it last changed; without an agent, all that did.
    readers: Vec<ReaderView>,
    /// The words, as the agent reads them.
    text: String,
}

async fn start(ws: Ws, Query(params): Query<OfAgent>) -> Result<Json<Start>, ApiError> {
    let answer = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let agent = params.agent.map(|name| agent_of(snap, &name)).transpose()?;
                let shares = context::of(snap, &ws.blobs, agent)?;
                let text = context::render(&shares);
                let agents = match agent {
                    Some(agent) => vec![agent],
                    None => agents::all(snap)?.into_iter().map(|agent| agent.id).collect(),
                };
                let reader = |one: Reader| ReaderView {
                    agent: one.agent,
                    since: one.since,
                    starts: one.starts,
                    calls: one.repeated.calls,
                    tokens: one.tokens,
                    cached_percent: one.repeated.cached_percent(),
                    micros: one.cost(),
                    micros_a_day: one.a_day(),
                };
                let readers = readers::of(ws, snap, &agents, ws.app.clock.now())?;
                let view = |share: context::Share| ShareView {
                    id: share.item.id,
                    title: share.item.title,
                    kind: share.item.kind,
                    tokens: share.tokens,
                    full: share.text.is_some(),
                    demoted: share.demoted,
                };
                Ok::<_, KnowledgeError>(Start {
                    tokens: shares.iter().map(|share| share.tokens).sum(),
                    items: shares.into_iter().map(view).collect(),
                    budget: context::BUDGET,
                    readers: readers.into_iter().map(reader).collect(),
                    text,
                })
            })
        })
        .await?;
    Ok(Json(answer))
}
