//! API route of uses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use kernel::{AgentId, RunId, TaskId, Timestamp};
use web::error::ApiError;
use web::extract::{Json, Path, Query};

use super::{Whose, found};
use crate::error::VaultError;
use crate::model::{SecretId, Use, UseId, Way};
use crate::queries;

/// Uses per response.
const USES: usize = 500;

/// Which uses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UsedBy {
    /// The slug or id of an agent.
    agent: String,
    /// From this moment on; all that is known when it is left out.
    #[schemars(with = "Option<String>")]
    since: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Uses {
    items: Vec<UseView>,
}

/// The use of one value of a secret by a run.
#[derive(Serialize, JsonSchema)]
struct UseView {
    id: UseId,
    secret: SecretId,
    key: String,
    version: u32,
    agent: AgentId,
    run: RunId,
    task: Option<TaskId>,
    way: Way,
    /// Empty for a program.
    host: String,
    #[schemars(with = "String")]
    first_at: Timestamp,
    #[schemars(with = "String")]
    last_at: Timestamp,
    count: u32,
}

impl From<Use> for UseView {
    fn from(one: Use) -> Self {
        Self {
            id: one.id,
            secret: one.secret,
            key: one.key,
            version: one.version,
            agent: one.agent,
            run: one.run,
            task: one.task,
            way: one.way,
            host: one.host,
            first_at: one.first_at,
            last_at: one.last_at,
            count: one.count,
        }
    }
}

pub(super) async fn of_secret(
    ws: Ws,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<Json<Uses>, ApiError> {
    let id = found(&ws, &name, &whose)?.id;
    let uses = ws.read(|snap| queries::uses(snap, id, USES))?;
    Ok(Json(Uses { items: uses.into_iter().map(UseView::from).collect() }))
}

pub(super) async fn of_agent(ws: Ws, Query(params): Query<UsedBy>) -> Result<Json<Uses>, ApiError> {
    let since = params.since.unwrap_or(Timestamp::MIN);
    let uses = ws.read(|snap| {
        let agent = queries::agent_called(snap, &params.agent)?.id;
        queries::used_by(snap, agent, since, USES).map_err(VaultError::from)
    })?;
    Ok(Json(Uses { items: uses.into_iter().map(UseView::from).collect() }))
}
