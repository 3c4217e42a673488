//! Conversation rules as JSON: automatic restarts and retention.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::runs::model::{ConversationOptions, Habits, QueueOf};
use features::runs::queries::preferences as reading;
use features::runs::rules::{self, RunError};
use kernel::Can;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::sessions::agent;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/conversation-rules",
            of_workspace.needs(Can::Read).doc(|| {
                Doc::new("When conversations restart automatically and how long they are kept")
                    .returns::<RulesOut>()
            }),
        )
        .put(
            "/conversation-rules",
            set_workspace
                .needs(Can::Admin)
                .doc(|| Doc::new("Choose that").body::<RulesBody>().returns::<RulesOut>()),
        )
        .get(
            "/agents/{agent}/conversation-rules",
            of_agent.needs(Can::Read).doc(|| {
                Doc::new("When conversations with an agent restart automatically")
                    .returns::<RulesOut>()
            }),
        )
        .put(
            "/agents/{agent}/conversation-rules",
            set_agent
                .needs(Can::Agents)
                .doc(|| Doc::new("Choose that").body::<RulesBody>().returns::<RulesOut>()),
        )
}

/// What counts.
#[derive(Serialize, JsonSchema)]
struct RulesOut {
    /// The hour of the workspace's day at which a person's own conversation begins anew; none for never.
    daily_hour: Option<u8>,
    /// After how many minutes without a word of the person it does; none for never.
    idle_minutes: Option<i64>,
    /// For how many days conversations of sub-agents are kept.
    parts_days: i64,
    /// For how many days the steps of work are kept that is over.
    steps_days: i64,
}

impl RulesOut {
    fn of(habits: Habits) -> Json<Self> {
        Json(Self {
            daily_hour: habits.daily_hour,
            idle_minutes: habits.idle.map(|idle| idle.as_mins()),
            parts_days: habits.parts.as_hours() / 24,
            steps_days: habits.steps.as_hours() / 24,
        })
    }
}

/// A choice; what is left out is decided elsewhere.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RulesBody {
    /// The hour of the workspace's day at which a person's own conversation begins anew, 0 to 23, or 24
    /// for never.
    #[serde(default)]
    daily_hour: Option<u8>,
    /// After how many minutes without a word of the person it does; 0 for never.
    #[serde(default)]
    idle_minutes: Option<u32>,
    /// For how many days conversations of sub-agents are kept: of the workspace alone.
    #[serde(default)]
    parts_days: Option<u32>,
    /// For how many days the steps of work are kept that is over: of the workspace alone.
    #[serde(default)]
    steps_days: Option<u32>,
}

async fn choose(
    ws: &Ws,
    who: &Person,
    once: Once,
    of: QueueOf,
    body: RulesBody,
) -> Result<(), ApiError> {
    let RulesBody { daily_hour, idle_minutes, parts_days, steps_days } = body;
    let write = once.run(move |tx| -> Result<_, RunError> {
        let before = reading::chosen(tx, of)?;
        let wish =
            ConversationOptions { daily_hour, idle_minutes, parts_days, steps_days, ..before };
        rules::preferences::choose(tx, of, wish)
    });
    Ok(ws.write(who, write).await?)
}

async fn of_workspace(ws: Ws, _: Person) -> Result<Json<RulesOut>, ApiError> {
    Ok(RulesOut::of(ws.read(|snap| reading::of_workspace(snap))?))
}

async fn set_workspace(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<RulesBody>,
) -> Result<Json<RulesOut>, ApiError> {
    choose(&ws, &who, once, QueueOf::Workspace, body).await?;
    of_workspace(ws, who).await
}

async fn of_agent(ws: Ws, _: Person, Path(name): Path<String>) -> Result<Json<RulesOut>, ApiError> {
    ws.read(|snap| {
        let agent = agent(snap, &name)?;
        Ok(RulesOut::of(reading::of_agent(snap, agent.id)?))
    })
}

async fn set_agent(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<RulesBody>,
) -> Result<Json<RulesOut>, ApiError> {
    let found = ws.read(|snap| agent(snap, &name))?;
    choose(&ws, &who, once, QueueOf::Agent(found.id), body).await?;
    of_agent(ws, who, Path(name)).await
}
