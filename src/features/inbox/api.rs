//! Inbox items over the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::Ws;
use crate::features::agents::queries as agents;
use crate::kernel::cursor::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::kernel::{AgentId, Can, ItemId, ItemKind, ItemState, Priority, RunId, TaskId};
use crate::store::{ReadExt, cursor_key, key_cursor};
use crate::web::error::ApiError;
use crate::web::extract::{Json, Path, Query};
use crate::web::idempotency::Once;
use crate::web::routes::{Doc, Needs, Routes};
use crate::web::session::Person;

use super::model::Item;
use super::rules::InboxError;
use super::{queries, rules};

/// The routes of this noun below `/api/v1`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/inbox",
            list.needs(Can::Read).doc(|| {
                Doc::new("Inbox items of an agent, newest first: open ones, or those that are over")
                    .query::<Asked>()
                    .returns::<Listing>()
            }),
        )
        .get(
            "/inbox/{item}",
            get.needs(Can::Read).doc(|| Doc::new("One inbox item").returns::<View>()),
        )
        .post(
            "/inbox/{item}/retry",
            retry.needs(Can::Write).doc(|| {
                Doc::new("Let a waiting, failed or given-up item be taken at once")
                    .returns::<View>()
            }),
        )
        .post(
            "/inbox/{item}/cancel",
            cancel
                .needs(Can::Write)
                .doc(|| Doc::new("Cancel an item that no run has").returns::<View>()),
        )
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct Asked {
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
    /// Why it is not begun although it is due.
    held_reason: Option<String>,
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
        state: item.state,
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
        last_error: item.last_error,
        created_at: item.created_at.to_string(),
        ended_at: item.ended_at.map(|at| at.to_string()),
    }
}

async fn list(
    ws: Ws,
    Path(agent): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Listing>, ApiError> {
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let after = match asked.after.as_deref() {
        None => None,
        Some(text) => Some(cursor_key(text).ok_or_else(|| {
            ApiError::invalid("after", "give back the `next` of the page before")
        })?),
    };
    let page = ws.read(|snap| {
        let found = agents::by_name(snap, &agent)?;
        let id = found.ok_or_else(|| ApiError::not_found("This agent"))?.id;
        let mut hits = queries::of_agent(snap, id, asked.over, after.as_deref(), limit + 1)?;
        let more = hits.len() > limit;
        hits.truncate(limit);
        let next = hits.last().filter(|_| more).map(|hit| key_cursor(&hit.key));
        let items = hits.into_iter().map(|hit| view(hit.record)).collect();
        Ok::<_, ApiError>(Listing { items, next })
    })?;
    Ok(Json(page))
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
    let cancel = once.run(move |tx| {
        if rules::cancel(tx, id, "cancelled over the API")? {
            return Ok(());
        }
        let state = tx.get::<Item>(id)?.map_or("gone", |item| item.state.word());
        Err(InboxError::WrongState { state, hint: "stop its run in its place" })
    });
    ws.write(&who, cancel).await?;
    one(&ws, id)
}
