//! The API of inbox items.

mod pace;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::queries as agents;
use kernel::cursor::{DEFAULT_LIMIT, MAX_LIMIT};
use kernel::{AgentId, Can, ItemId, ItemKind, ItemState, Priority, RunId, TaskId};
use store::{ReadExt, Snap, cursor_key, key_cursor};
use web::error::ApiError;
use web::extract::{Json, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use features::inbox::model::Item;
use features::inbox::queries::list::{self as pages, Filter};
use features::inbox::rules::InboxError;
use features::inbox::{queries, rules};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/inbox",
            list.needs(Can::Read).doc(|| {
                Doc::new("Inbox items of an agent, newest first: open or closed ones")
                    .query::<InboxParams>()
                    .returns::<Listing>()
            }),
        )
        .get(
            "/inbox",
            all.needs(Can::Read).doc(|| {
                Doc::new("Inbox items of all agents, newest first")
                    .query::<AllInboxesParams>()
                    .returns::<Listing>()
            }),
        )
        .get(
            "/inbox/{item}",
            get.needs(Can::Read).doc(|| Doc::new("One inbox item").returns::<View>()),
        )
        .post(
            "/inbox/{item}/retry",
            retry
                .needs(Can::Write)
                .doc(|| Doc::new("Run a waiting or failed item now").returns::<View>()),
        )
        .post(
            "/inbox/{item}/cancel",
            cancel
                .needs(Can::Write)
                .doc(|| Doc::new("Cancel an item that isn't running").returns::<View>()),
        )
        .post(
            "/inbox/{item}/front",
            to_front
                .needs(Can::Write)
                .doc(|| Doc::new("Move a waiting item to the front").returns::<View>()),
        )
        .post(
            "/inbox/{item}/drop",
            discard
                .needs(Can::Write)
                .doc(|| Doc::new("Drop a waiting or failed item").returns::<View>()),
        )
        .merge(pace::routes())
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct AllInboxesParams {
    /// Of this agent: its name in mentions, or its id.
    agent: Option<String>,
    /// Only those that stand here.
    state: Option<ItemState>,
    /// Only those that are over, or only those that are not.
    over: Option<bool>,
    /// The `next` of the page before.
    after: Option<String>,
    /// At most 100.
    limit: Option<usize>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct InboxParams {
    /// The items that are over, in place of the open ones.
    over: bool,
    /// The `next` of the page before.
    after: Option<String>,
    /// At most 100.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct View {
    id: ItemId,
    agent: AgentId,
    kind: ItemKind,
    state: ItemState,
    priority: Priority,
    task: Option<TaskId>,
    run: Option<RunId>,
    reasons: Vec<ReasonView>,
    attempts: u32,
    /// Not begun before this moment.
    not_before: Option<String>,
    /// Why it is not begun although it is due: `quiet_hours`, `rate_limit`, `agent_paused`, …
    held_reason: Option<String>,
    /// Since when.
    held_since: Option<String>,
    /// When a person moved it to the front.
    front_at: Option<String>,
    last_error: Option<String>,
    created_at: String,
    ended_at: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct ReasonView {
    summary: String,
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Listing {
    items: Vec<View>,
    /// Give this back as `after`; none at the end.
    next: Option<String>,
}

fn view(item: Item) -> View {
    View {
        id: item.id,
        agent: item.agent,
        kind: item.kind,
        state: item.state.shown(),
        priority: item.priority,
        task: item.task,
        run: item.run,
        reasons: item
            .reasons
            .into_iter()
            .map(|reason| ReasonView { summary: reason.summary, text: reason.text })
            .collect(),
        attempts: item.attempts,
        not_before: item.not_before.map(|at| at.to_string()),
        held_reason: item.held_reason,
        held_since: item.held_since.map(|at| at.to_string()),
        front_at: item.front_at.map(|at| at.to_string()),
        last_error: item.last_error,
        created_at: item.created_at.to_string(),
        ended_at: item.ended_at.map(|at| at.to_string()),
    }
}

async fn list(
    ws: Ws,
    Path(agent): Path<String>,
    Query(params): Query<InboxParams>,
) -> Result<Json<Listing>, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let after = after(params.after.as_deref())?;
    let page = ws.read(|snap| {
        let found = agents::by_name(snap, &agent)?;
        let id = found.ok_or_else(|| ApiError::not_found("This agent"))?.id;
        let mut hits = queries::of_agent(snap, id, params.over, after.as_deref(), limit + 1)?;
        let more = hits.len() > limit;
        hits.truncate(limit);
        let next = hits.last().filter(|_| more).map(|hit| key_cursor(&hit.key));
        let items = hits.into_iter().map(|hit| view(hit.record)).collect();
        Ok::<_, ApiError>(Listing { items, next })
    })?;
    Ok(Json(page))
}

async fn all(ws: Ws, Query(params): Query<AllInboxesParams>) -> Result<Json<Listing>, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let after = after(params.after.as_deref())?;
    let read = move |snap: &Snap<'_>| {
        let agent = match params.agent.as_deref() {
            None => None,
            Some(name) => {
                let found = agents::by_name(snap, name)?;
                Some(found.ok_or_else(|| ApiError::not_found("This agent"))?.id)
            }
        };
        let filter = Filter { agent, over: params.over, state: params.state };
        let (items, next) = pages::page(snap, &filter, after, limit)?;
        let next = next.map(|key| key_cursor(&key));
        Ok::<_, ApiError>(Listing { items: items.into_iter().map(view).collect(), next })
    };
    Ok(Json(ws.read_blocking(move |ws| ws.read(read)).await?))
}

/// Parses the cursor of a page.
fn after(text: Option<&str>) -> Result<Option<Vec<u8>>, ApiError> {
    let read = |text| {
        cursor_key(text)
            .ok_or_else(|| ApiError::invalid("after", "use the `next` of the previous page"))
    };
    text.map(read).transpose()
}

fn one(ws: &Ws, id: ItemId) -> Result<Json<View>, ApiError> {
    let item = ws.read(|snap| snap.get::<Item>(id)?.ok_or(InboxError::NotFound(id)))?;
    Ok(Json(view(item)))
}

async fn get(ws: Ws, Path(id): Path<ItemId>) -> Result<Json<View>, ApiError> {
    one(&ws, id)
}

async fn retry(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ItemId>,
) -> Result<Json<View>, ApiError> {
    ws.write(&who, once.run(move |tx| rules::retry(tx, id))).await?;
    one(&ws, id)
}

async fn cancel(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ItemId>,
) -> Result<Json<View>, ApiError> {
    ws.write(&who, once.run(move |tx| rules::call_off(tx, id))).await?;
    one(&ws, id)
}

async fn to_front(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ItemId>,
) -> Result<Json<View>, ApiError> {
    ws.write(&who, once.run(move |tx| rules::to_front(tx, id))).await?;
    one(&ws, id)
}

async fn discard(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ItemId>,
) -> Result<Json<View>, ApiError> {
    ws.write(&who, once.run(move |tx| rules::discard(tx, id))).await?;
    one(&ws, id)
}
