//! `/api/v1/runs/{name}/retry`, `/fork` and `/continue`; `/api/v1/messages/{message}/resend`.

use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::runs::model::{BranchWhy, Run};
use features::runs::queries::branches;
use interfaces_agents::runs::{SaidOut, resent};
use kernel::{Can, InputId, RunId, Thinking};
use store::ReadExt;
use web::error::ApiError;
use web::extract::{Json, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::preview::Preview;
use super::{RetryRequest, asked, begin, find, undo_basis};

#[must_use]
pub fn routes() -> Routes {
    asked::api(Routes::new())
        .get(
            "/runs/{name}/retry",
            preview.needs(Can::Write).doc(|| {
                Doc::new(
                    "What a run did from a step on: what can be undone before it is retried there",
                )
                .query::<PreviewQuery>()
                .returns::<PreviewOut>()
            }),
        )
        .post(
            "/runs/{name}/retry",
            retry.needs(Can::Write).doc(|| {
                Doc::new("Retry a run that has ended, in its place")
                    .body::<RetryBody>()
                    .returns::<AgainOut>()
                    .status(201)
            }),
        )
        .post(
            "/runs/{name}/fork",
            fork.needs(Can::Write).doc(|| {
                Doc::new("Fork a run, for example with another model")
                    .body::<ForkBody>()
                    .returns::<AgainOut>()
                    .status(201)
            }),
        )
        .post(
            "/runs/{name}/continue",
            go_on.needs(Can::Write).doc(|| {
                Doc::new(
                    "Continue an interrupted run where it stopped, with the limits of a new run",
                )
                .body::<OnwardBody>()
                .returns::<OnwardOut>()
                .status(201)
            }),
        )
        .post(
            "/messages/{message}/resend",
            resend.needs(Can::Chat).doc(|| {
                Doc::new(
                    "Resend a message, edited or not: the conversation continues from there, and \
                     the former one can still be read",
                )
                .body::<ResendBody>()
                .returns::<SaidOut>()
                .status(201)
            }),
        )
}

/// Other words, or none for the same.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResendBody {
    /// Markdown; the files of the message go along.
    #[serde(default)]
    text: Option<String>,
    /// The `leaf` of the conversation as it was seen last.
    #[serde(default)]
    expected_leaf: Option<String>,
    /// Whether what was done after the message goes back first.
    #[serde(default)]
    undo: bool,
}

/// From which step.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PreviewQuery {
    /// The step, as in the address on the run's page: `7` or `s-7`. Without it, the beginning.
    #[serde(default)]
    from: Option<String>,
}

/// A record that goes back, or stays.
#[derive(Debug, Serialize, JsonSchema)]
struct LineOut {
    /// What it is called.
    title: String,
    /// What becomes of it, or why it stays.
    what: String,
}

/// What a run did from a step on.
#[derive(Debug, Serialize, JsonSchema)]
struct PreviewOut {
    /// The run.
    run: String,
    /// The step; none for the beginning.
    from: Option<u32>,
    /// Give it back as `basis`: then exactly this goes back, or nothing.
    basis: String,
    /// Records that would go back.
    back: Vec<LineOut>,
    /// Records that would stay.
    kept: Vec<LineOut>,
    /// Files that would go back.
    files: Vec<String>,
    /// Files that stay as they are now, because they were changed before the step as well.
    files_kept: Vec<String>,
    /// What happened outside and stays.
    outside: Vec<String>,
}

/// How a run is retried.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RetryBody {
    /// The step, as in the address on the run's page: `7` or `s-7`. Without it, the beginning.
    #[serde(default)]
    from: Option<String>,
    /// Another model.
    #[serde(default)]
    model: Option<String>,
    /// How much it thinks.
    #[serde(default)]
    thinking: Option<Thinking>,
    /// Whether what the run changed from there on goes back first.
    #[serde(default)]
    undo: bool,
    /// The `basis` of a preview: refused when something else would go back now.
    #[serde(default)]
    basis: Option<String>,
}

/// How a run is forked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ForkBody {
    /// The step, as in the address on the run's page: `7` or `s-7`. Without it, the beginning.
    #[serde(default)]
    from: Option<String>,
    /// Another model.
    #[serde(default)]
    model: Option<String>,
    /// How much it thinks.
    #[serde(default)]
    thinking: Option<Thinking>,
}

/// How a run goes on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OnwardBody {
    /// What its agent is told besides.
    #[serde(default)]
    text: String,
}

/// The run in which another goes on.
#[derive(Debug, Serialize, JsonSchema)]
struct OnwardOut {
    /// Its id.
    id: RunId,
    /// Its name, such as `R-2292`.
    name: String,
    /// The run that goes on in it.
    of: String,
}

/// A run that was begun again.
#[derive(Debug, Serialize, JsonSchema)]
struct AgainOut {
    /// Its id.
    id: RunId,
    /// Its name, such as `R-2292`.
    name: String,
    /// The run that it begins again.
    of: String,
    /// `retry` or `fork`.
    why: &'static str,
    /// The step; none for the beginning.
    from: Option<u32>,
    /// What it waits for before its first step, in one sentence.
    waits: Option<String>,
}

async fn preview(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(query): Query<PreviewQuery>,
) -> Result<Json<PreviewOut>, ApiError> {
    let run = find(&ws, &who, &name)?;
    let from = query.from;
    let look = move |ws: &Ws| Preview::read(ws, &who, &run, (BranchWhy::Retry, from.as_deref()));
    let ahead = ws.read_blocking(look).await?;
    let line = |(title, what): (String, String)| LineOut { title, what };
    Ok(Json(PreviewOut {
        run: ahead.name,
        from: ahead.cut.step,
        basis: ahead.basis,
        back: ahead.back.into_iter().map(line).collect(),
        kept: ahead.kept.into_iter().map(line).collect(),
        files: ahead.files,
        files_kept: ahead.between.both.into_iter().collect(),
        outside: ahead.between.outside,
    }))
}

async fn retry(
    app: App,
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<RetryBody>,
) -> Result<(StatusCode, Json<AgainOut>), ApiError> {
    let RetryBody { from: step, model, thinking, undo, basis } = body;
    let undo = undo_basis(undo, basis.as_deref())?;
    let of = find(&ws, &who, &name)?.id;
    let wish = RetryRequest { of, why: BranchWhy::Retry, step, model, thinking, undo };
    let run = begin(&app, &ws, &who, wish, once).await?;
    answer(&ws, run)
}

async fn fork(
    app: App,
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<ForkBody>,
) -> Result<(StatusCode, Json<AgainOut>), ApiError> {
    let ForkBody { from: step, model, thinking } = body;
    let of = find(&ws, &who, &name)?.id;
    let wish = RetryRequest { of, why: BranchWhy::Fork, step, model, thinking, undo: None };
    let run = begin(&app, &ws, &who, wish, once).await?;
    answer(&ws, run)
}

async fn go_on(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<OnwardBody>,
) -> Result<(StatusCode, Json<OnwardOut>), ApiError> {
    let of = find(&ws, &who, &name)?;
    let id = super::go_on(&ws, &who, (of.id, body.text), once).await?;
    let run = ws.read(|snap| snap.get::<Run>(id))?;
    let name = run.map_or_else(String::new, |run| run.name());
    Ok((StatusCode::CREATED, Json(OnwardOut { id, name, of: of.name() })))
}

async fn resend(
    app: App,
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<InputId>,
    Json(body): Json<ResendBody>,
) -> Result<Response, ApiError> {
    let ResendBody { text, expected_leaf: leaf, undo } = body;
    let undone = undo && super::take_back(&app, &ws, &who, (id, leaf.clone())).await?;
    resent(&ws, &who, (id, text, leaf), undone, once).await
}

fn answer(ws: &Ws, id: RunId) -> Result<(StatusCode, Json<AgainOut>), ApiError> {
    let out = ws.read(|snap| {
        let gone = || ApiError::not_found("This run");
        let run = snap.get::<Run>(id)?.ok_or_else(gone)?;
        let branch = branches::of_run(snap, &run)?.ok_or_else(gone)?;
        let of = snap.get::<Run>(branch.of)?.map_or_else(String::new, |of| of.name());
        Ok::<_, ApiError>(AgainOut {
            id,
            name: run.name(),
            of,
            why: branch.why.word(),
            from: branch.step,
            waits: branches::held(snap, &run)?.map(|held| held.describe()),
        })
    })?;
    Ok((StatusCode::CREATED, Json(out)))
}
