//! JSON routes of runs, and the OpenAI-compatible API.

mod run_limits;
mod compare;
mod context;
mod deliveries;
pub(super) mod export;
mod preferences;
mod halt;
mod limits;
pub mod openai;
mod queue;
mod sessions;
mod silent;
mod talk;
mod used;
mod view;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::runs::{looking, stopping, taking};
use app::Ws;
use features::agents::queries as agents;
use features::agents::queries::machines::Machines;
use features::runs::model::Run;
use features::runs::queries::talk as whose;
use features::runs::queries::{self, steps};
use features::runs::rules;
use features::tasks::queries as tasks;
use kernel::cursor::{DEFAULT_LIMIT, MAX_LIMIT, Page};
use kernel::{AgentId, Can, RunState};
use store::{Hit, cursor_key, key_cursor};
use web::error::ApiError;
use web::extract::{Json, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

pub use talk::{SaidOut, resent};
use view::{RunOut, StepOut};

/// How many runs a filter scans per page.
const LOOK_THROUGH: usize = 2_000;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/runs",
            list.needs(Can::Read)
                .doc(|| Doc::new("Runs, newest first").query::<ListQuery>().returns::<RunPage>()),
        )
        .get(
            "/runs/{name}",
            get.needs(Can::Read)
                .doc(|| Doc::new("A run by its name, number or id").returns::<RunOut>()),
        )
        .get(
            "/runs/{name}/steps",
            steps_of.needs(Can::Read).doc(|| {
                Doc::new("The events of a run, oldest first; ask again with `after` for newer ones")
                    .query::<StepQuery>()
                    .returns::<StepPage>()
            }),
        )
        .get(
            "/runs/{name}/steps/{n}/raw",
            super::pages::raw
                .needs(Can::Read)
                .doc(|| Doc::new("The full text of a step").media("text/plain")),
        )
        .get(
            "/runs/{name}/steps/{n}/picture",
            super::pages::picture.needs(Can::Read).doc(|| {
                Doc::new("A picture of a result, by the number of its event").media("image/*")
            }),
        )
        .get(
            "/runs/{name}/calls/{n}/page",
            super::pages::after.needs(Can::Read).doc(|| {
                Doc::new("The page of the agent's browser behind a call, by the number of the call; kept for 14 days")
                    .media("image/jpeg")
            }),
        )
        .get(
            "/runs/{name}/calls/{n}/asked",
            super::pages::requested.needs(Can::Read).doc(|| {
                Doc::new("The page of the agent's browser as it was when a person was asked before a call")
                    .media("image/jpeg")
            }),
        )
        .get(
            "/runs/{name}/export",
            export::export.needs(Can::Read).doc(|| {
                Doc::new("Export a run with all its events as JSON Lines")
                    .media("application/jsonl")
            }),
        )
        .post(
            "/runs/{name}/stop",
            stop.needs(Can::Chat)
                .doc(|| Doc::new("Stop a run; it ends within a second").returns::<RunOut>()),
        )
        .post(
            "/runs/{name}/take-back",
            take_back.needs(Can::Chat).doc(|| {
                Doc::new("Take a run back from a silent machine: it ends here and its work starts \
                    again")
                    .returns::<RunOut>()
            }),
        )
        .get(
            "/questions",
            questions
                .needs(Can::Read)
                .doc(|| Doc::new("Open questions of runs").returns::<Questions>()),
        )
        .post(
            "/runs/{name}/answer",
            answer.needs(Can::Chat).doc(|| {
                Doc::new("Answer a run's question; the run continues")
                    .body::<AnswerBody>()
                    .returns::<RunOut>()
            }),
        )
        .post(
            "/runs/{name}/go-on",
            go_on.needs(Can::Chat).doc(|| {
                Doc::new("Continue a run now that waits for a time or a task")
                    .returns::<RunOut>()
            }),
        )
        .merge(sessions::routes())
        .merge(compare::routes())
        .merge(context::routes())
        .merge(talk::routes())
        .merge(queue::routes())
        .merge(halt::routes())
        .merge(limits::routes())
        .merge(run_limits::routes())
        .merge(preferences::routes())
}

/// Which runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Slug or id of an agent.
    #[serde(default)]
    agent: Option<String>,
    /// Slug, name or id of a gateway: only runs that work on its machine, or did. `local` is the machine that HQ runs on. One
    /// that was removed has its id alone.
    #[serde(default)]
    gateway: Option<String>,
    /// `queued`, `running`, `waiting` or `ended`.
    #[serde(default)]
    state: Option<RunState>,
    /// A task's key, such as `MC-142`, or its id: only runs that work on it.
    #[serde(default)]
    task: Option<String>,
    /// The cursor of the page before.
    #[serde(default)]
    after: Option<String>,
    /// At most so many, up to 100.
    #[serde(default)]
    limit: Option<usize>,
}

/// Which steps.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StepQuery {
    /// The number of the last event that is known already.
    #[serde(default)]
    after: Option<u32>,
    /// At most so many, up to 100.
    #[serde(default)]
    limit: Option<usize>,
}

/// A page of runs.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes the answer in the OpenAPI document")]
struct RunPage {
    /// The runs.
    items: Vec<RunOut>,
    /// Give this back as `after` for the next page.
    next: Option<String>,
}

/// A page of steps.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes the answer in the OpenAPI document")]
struct StepPage {
    /// The steps.
    items: Vec<StepOut>,
    /// Give this back as `after` for the next page.
    next: Option<String>,
}

fn limit(requested: Option<usize>) -> usize {
    requested.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
}

async fn list(
    ws: Ws,
    who: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<RunOut>>, ApiError> {
    let limit = limit(query.limit);
    let page = ws.read(|snap| {
        let agent = match &query.agent {
            None => None,
            Some(name) => match agents::by_name(snap, name)? {
                Some(agent) => Some(agent.id),
                None => return Err(ApiError::invalid("agent", "there is no such agent")),
            },
        };
        let machines = Machines::with_former(snap)?;
        let machine = match &query.gateway {
            None => None,
            Some(word) => {
                Some(machines.named(word).map_err(|why| ApiError::invalid("gateway", why))?)
            }
        };
        let task = match &query.task {
            None => None,
            Some(name) => match tasks::resolve(snap, name) {
                Ok(task) => Some(task.id),
                Err(error) => return Err(ApiError::invalid("task", error.to_string())),
            },
        };
        let mut after = match query.after.as_deref() {
            None => None,
            Some(text) => Some(cursor_key(text).ok_or_else(|| {
                ApiError::invalid("after", "use the `next` of the previous page")
            })?),
        };
        let (mut items, mut seen, mut next) = (Vec::new(), 0, None);
        while items.len() < limit && seen < LOOK_THROUGH {
            let (after_key, count) = (after.as_deref(), limit + 1);
            let hits: Vec<Hit<Run>> = match (task, agent) {
                (Some(task), _) => queries::pages_of_task(snap, task, after_key, count)?,
                (None, Some(agent)) => queries::of_agent(snap, agent, after_key, count)?,
                (None, None) => queries::all(snap, after_key, count)?,
            };
            let full = hits.len() > limit;
            for hit in hits.into_iter().take(limit) {
                seen += 1;
                let run = hit.record;
                let wanted = query.state.is_none_or(|state| run.state == state)
                    && agent.is_none_or(|agent| run.agent == agent)
                    && machine.is_none_or(|machine| run.gateway == machine.gateway);
                if wanted && whose::may_see_run(snap, &run, who.account, who.role)? {
                    items.push(RunOut::in_list(&ws, snap, &run, who.account)?);
                }
                next = full.then(|| key_cursor(&hit.key));
                after = Some(hit.key);
                if items.len() == limit {
                    break;
                }
            }
            if !full {
                break;
            }
        }
        Ok::<_, ApiError>(Page { items, next })
    })?;
    Ok(Json(page))
}

fn find(ws: &Ws, who: &Person, name: &str) -> Result<Run, ApiError> {
    Ok(super::pages::find(ws, who, name)?)
}

/// The run after an action.
fn anew(ws: &Ws, who: &Person, name: &str) -> Result<Json<RunOut>, ApiError> {
    let run = find(ws, who, name)?;
    Ok(Json(ws.read(|snap| RunOut::of(ws, snap, &run, who.account))?))
}

async fn get(ws: Ws, who: Person, Path(name): Path<String>) -> Result<Json<RunOut>, ApiError> {
    let run = find(&ws, &who, &name)?;
    looking::note(&ws, &who, run.session).await?;
    Ok(Json(ws.read(|snap| RunOut::of(&ws, snap, &run, who.account))?))
}

async fn steps_of(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(query): Query<StepQuery>,
) -> Result<Json<Page<StepOut>>, ApiError> {
    let run = find(&ws, &who, &name)?;
    looking::note(&ws, &who, run.session).await?;
    let limit = limit(query.limit);
    let events = ws.read(|snap| match query.after {
        None => steps::events_of(snap, &run),
        Some(after) => {
            let from = run.first_event.max(after.saturating_add(1));
            steps::events_of(snap, &Run { first_event: from, ..run.clone() })
        }
    })?;
    let more = limit < events.len();
    let items: Vec<StepOut> = events.into_iter().take(limit).map(StepOut::of).collect();
    let next = items.last().filter(|_| more).map(|step| step.n.to_string());
    Ok(Json(Page { items, next }))
}

/// Questions.
#[derive(Serialize, JsonSchema)]
struct Questions {
    items: Vec<QuestionOut>,
}

/// A question.
#[derive(Serialize, JsonSchema)]
struct QuestionOut {
    /// The run that asks.
    run: String,
    agent: AgentId,
    /// The question.
    question: String,
    /// Answers to choose from; others are fine too.
    options: Vec<String>,
    /// Since when.
    asked_at: String,
    /// Until when; then the run goes on without an answer.
    until: Option<String>,
}

/// An answer.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnswerBody {
    /// The answer.
    text: String,
}

async fn questions(ws: Ws, who: Person) -> Result<Json<Questions>, ApiError> {
    let items = ws.read(|snap| {
        let mut items = Vec::new();
        for run in queries::live(snap)? {
            if let Some(park) = queries::park::question_of(snap, &run)?
                && whose::may_see_run(snap, &run, who.account, who.role)?
            {
                items.push(QuestionOut {
                    run: run.name(),
                    agent: run.agent,
                    question: park.question,
                    options: park.options,
                    asked_at: park.at.to_string(),
                    until: park.until.map(|at| at.to_string()),
                });
            }
        }
        Ok::<_, ApiError>(items)
    })?;
    Ok(Json(Questions { items }))
}

async fn answer(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<AnswerBody>,
) -> Result<Json<RunOut>, ApiError> {
    let run = find(&ws, &who, &name)?;
    let by = who.account;
    let write = once.run(move |tx| rules::park::answer(tx, run.id, &body.text, by).map(drop));
    ws.write(&who, write).await?;
    anew(&ws, &who, &name)
}

async fn go_on(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
) -> Result<Json<RunOut>, ApiError> {
    let run = find(&ws, &who, &name)?;
    let by = who.account;
    let write = once.run(move |tx| rules::park::let_go_on(tx, run.id, by).map(drop));
    ws.write(&who, write).await?;
    anew(&ws, &who, &name)
}

async fn stop(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
) -> Result<Json<RunOut>, ApiError> {
    let run = find(&ws, &who, &name)?;
    let by = Some(who.account);
    let stop = once.run(move |tx| rules::request_stop(tx, run.id, by).map(drop));
    ws.write(&who, stop).await?;
    stopping::see_to_end(&ws, run.id).await?;
    anew(&ws, &who, &name)
}

async fn take_back(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
) -> Result<Json<RunOut>, ApiError> {
    let run = find(&ws, &who, &name)?;
    taking::take_back(&ws, &who, &run, once).await.map_err(ApiError)?;
    anew(&ws, &who, &name)
}
