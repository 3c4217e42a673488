//! `/api/v1/health`, `/api/v1/consumers`, `/api/v1/store`.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use app::jobs::JobState;
use app::{App, Ws};
use kernel::{Can, Timestamp};
use store::consumer::{self, Consume, Rebuilding, Standing};
use web::error::ApiError;
use web::extract::{Json, Path, Path2, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use features::audit::queries::Reach;
use features::global_search::queries::standing as index;

use features::health::queries::letters::{self, LetterParams, Letters};
use features::health::queries::{self, How};
use features::health::rules::{self, Act, HealthError};

#[must_use]
pub fn routes() -> Routes {
    let health = || Doc::new("Health of each part of HQ").returns::<HealthDoc>();
    let list = || Doc::new("The durable consumers and their positions").returns::<List>();
    let act = || {
        Doc::new("Pause, resume, skip an entry, rewind or rebuild a consumer")
            .body::<ActBody>()
            .returns::<ConsumerView>()
    };
    let letters = || {
        Doc::new("Entries that failed in a consumer, oldest first")
            .query::<LetterParams>()
            .returns::<Letters>()
    };
    let retry_doc = || {
        Doc::new("Retry a failed entry")
            .returns::<ConsumerView>()
            .no_key("an entry that succeeds leaves the dead letters")
    };
    let forget = || Doc::new("Drop a failed entry").returns::<ConsumerView>();
    let begin = || {
        Doc::new("Start doctor, mend, check, compact or stats")
            .status(202)
            .no_key("it starts at most once")
    };
    let state = || Doc::new("Status of such a job").returns::<Value>();
    Routes::new()
        .get("/health", health_of_all.needs(Can::Admin).doc(health))
        .get("/consumers", consumers.needs(Can::Admin).doc(list))
        .post("/consumers/{name}/{act}", act_on.needs(Can::Admin).doc(act))
        .get("/consumers/{name}/dead-letters", dead_letters.needs(Can::Admin).doc(letters))
        .post("/dead-letters/{name}/{n}/retry", retry.needs(Can::Admin).doc(retry_doc))
        .delete("/dead-letters/{name}/{n}", drop_one.needs(Can::Admin).doc(forget))
        .post("/store/{work}", begin_work.needs(Can::Admin).doc(begin))
        .get("/store/{work}", state_of_work.needs(Can::Admin).doc(state))
}

// ── Health ──

/// Health of all parts.
#[derive(Serialize)]
struct Health {
    status: How,
    parts: Vec<queries::Part>,
}

/// How each part is.
#[derive(JsonSchema)]
#[schemars(rename = "Health")]
#[expect(dead_code, reason = "only its schema is used")]
struct HealthDoc {
    /// `ok`, `degraded` or `down`: the worst of all parts.
    status: String,
    /// `{name, title, how, said}`
    parts: Vec<Value>,
}

async fn health_of_all(app: App, ws: Ws, who: Person) -> Result<Json<Health>, ApiError> {
    let parts = ws.read_blocking(move |ws| queries::parts(&app, ws, who.account)).await?;
    Ok(Json(Health { status: queries::worst(&parts), parts }))
}

// ── Consumers ──

/// Where a consumer stands.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConsumerView {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// `following`, `trying_again`, `paused` or `rebuilding`.
    pub state: String,
    /// The last entry that it has taken.
    pub cursor: u64,
    /// The last entry of the feed.
    pub head: u64,
    /// Entries that it has not taken.
    pub behind: u64,
    /// How old the first of them is, in seconds.
    pub behind_seconds: i64,
    /// Tries of the entry behind the cursor.
    pub tries: u32,
    /// What went wrong last, also when all has gone well since.
    pub last_error: Option<String>,
    /// Whether that is still to be seen to.
    pub troubled: bool,
    /// Entries that it gave up.
    pub dead_letters: usize,
    /// Whether it can be rebuilt.
    pub can_rebuild: bool,
    /// Whether it can be sent back.
    pub can_rewind: bool,
    /// Whether it can be paused and skip entries.
    pub can_pause: bool,
    /// Rows read by the rebuild that goes on.
    pub rebuilt_rows: Option<u64>,
}

impl ConsumerView {
    /// The current view of a consumer.
    #[must_use]
    pub fn of(one: Standing, now: Timestamp) -> Self {
        let rebuilt_rows = one.rebuilding.as_ref().map(|rebuilding| match rebuilding {
            Rebuilding::Clearing => 0,
            Rebuilding::Reading { rows, .. } => *rows,
        });
        let state = if one.state.paused {
            "paused"
        } else if one.state.tries > 0 {
            "trying_again"
        } else if rebuilt_rows.is_some() {
            "rebuilding"
        } else {
            "following"
        };
        let age = one.behind_since.map(|at| (now.as_millisecond() - at).max(0) / 1_000);
        Self {
            number: one.number,
            name: one.name.to_owned(),
            state: state.to_owned(),
            cursor: one.state.cursor,
            head: one.head,
            behind: one.behind,
            behind_seconds: age.unwrap_or(0),
            tries: one.state.tries,
            troubled: one.state.last_error.is_some() && one.is_troubled(),
            last_error: one.state.last_error,
            dead_letters: one.dead.len(),
            can_rebuild: one.can_rebuild,
            can_rewind: one.can_rewind,
            can_pause: one.can_pause,
            rebuilt_rows,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct List {
    items: Vec<ConsumerView>,
    next: Option<String>,
}

async fn consumers(app: App, ws: Ws) -> Result<Json<List>, ApiError> {
    let now = app.clock.now();
    let all = ws.read_blocking(queries::consumers).await?;
    let items = all.into_iter().map(|one| ConsumerView::of(one, now)).collect();
    Ok(Json(List { items, next: None }))
}

/// A consumer that people can control.
///
/// # Errors
/// The name is unknown, or the consumer runs without control.
pub fn named(app: &App, name: &str) -> Result<Arc<dyn Consume>, HealthError> {
    if app.consumers.follower(name).is_some() {
        let text = "it updates automatically; entries that failed can be retried or dropped";
        return Err(HealthError::Refused(text.to_owned()));
    }
    let found = app.consumers.named(name).cloned();
    found.ok_or_else(|| HealthError::NoConsumer(name.to_owned()))
}

/// With what.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActBody {
    /// For a rewind: the entry behind which it is to go on.
    to: Option<u64>,
    /// For a skip: the entry that is next, `cursor` and one. Refused when another one is by then.
    entry: Option<u64>,
}

impl ActBody {
    /// The entry that the action concerns.
    fn about(&self, word: &str) -> Option<u64> {
        if word == "skip" { self.entry } else { self.to }
    }
}

async fn act_on(
    app: App,
    ws: Ws,
    who: Person,
    once: Once,
    Path2(name, word): Path2<String, String>,
    Json(body): Json<ActBody>,
) -> Result<Json<ConsumerView>, ApiError> {
    let act = Act::from_word(&word, body.about(&word))?;
    if name == index::NAME {
        let at = rules::index_stands(&ws).await?;
        ws.write(&who, once.run(move |tx| rules::steer_index(tx, act, at))).await?;
        ws.finding.tell();
        let standing = ws.read_blocking(index::standing).await?;
        let standing = standing.ok_or(HealthError::NoConsumer(name))?;
        return Ok(Json(ConsumerView::of(standing, app.clock.now())));
    }
    let consumer = named(&app, &name)?;
    let own = Arc::clone(&consumer);
    ws.write(&who, once.run(move |tx| rules::act(tx, &*own, act))).await?;
    app.consumers.nudge();
    view(&app, &ws, consumer).await
}

async fn view(app: &App, ws: &Ws, one: Arc<dyn Consume>) -> Result<Json<ConsumerView>, ApiError> {
    let name = one.name();
    let follower = app.consumers.follower(name).map(|one| one.standing);
    let standing = ws.read_blocking(move |ws| match (one.number(), follower) {
        (index::NUMBER, _) => index::standing(ws),
        (_, Some(standing)) => standing(ws),
        _ => consumer::standing(&ws.store, &*one).map(Some),
    });
    let standing = standing.await?.ok_or_else(|| HealthError::NoConsumer(name.to_owned()))?;
    Ok(Json(ConsumerView::of(standing, app.clock.now())))
}

/// A source of abandoned entries: a consumer, the search index, or another follower of the feed.
///
/// # Errors
/// The name is unknown.
pub fn giving_up(app: &App, name: &str) -> Result<Arc<dyn Consume>, HealthError> {
    if name == index::NAME {
        return Ok(Arc::new(index::Letters));
    }
    match app.consumers.follower(name) {
        Some(follower) => Ok(Arc::clone(&follower.letters)),
        None => named(app, name),
    }
}

async fn dead_letters(
    app: App,
    ws: Ws,
    Path(name): Path<String>,
    Query(params): Query<LetterParams>,
) -> Result<Json<Letters>, ApiError> {
    let number = giving_up(&app, &name)?.number();
    Ok(Json(ws.read_blocking(move |ws| letters::page(ws, number, params)).await?))
}

async fn retry(
    app: App,
    ws: Ws,
    who: Person,
    Path2(name, seq): Path2<String, u64>,
) -> Result<Json<ConsumerView>, ApiError> {
    let one = giving_up(&app, &name)?;
    let own = Arc::clone(&one);
    let tried = ws.write(&who, move |tx| rules::retry(tx, &*own, seq)).await?;
    tried.map_err(HealthError::Refused)?;
    if name == index::NAME {
        ws.finding.tell();
    }
    view(&app, &ws, one).await
}

async fn drop_one(
    app: App,
    ws: Ws,
    who: Person,
    once: Once,
    Path2(name, seq): Path2<String, u64>,
) -> Result<Json<ConsumerView>, ApiError> {
    let one = giving_up(&app, &name)?;
    let own = Arc::clone(&one);
    ws.write(&who, once.run(move |tx| rules::drop_letter(tx, &*own, seq))).await?;
    view(&app, &ws, one).await
}

// ── Stores ──

async fn begin_work(
    app: App,
    ws: Ws,
    who: Person,
    Path(work): Path<String>,
) -> Result<Response, ApiError> {
    let reach = Reach::of(&app, who.account)?;
    queries::begin(&ws, &work, &who, reach)?;
    let state = app.jobs.state(&ws.slug, queries::noted_as(&work)).map(|state| reach.sees(state));
    Ok((StatusCode::ACCEPTED, axum::Json(state)).into_response())
}

async fn state_of_work(
    app: App,
    ws: Ws,
    who: Person,
    Path(work): Path<String>,
) -> Result<Json<JobState>, ApiError> {
    let reach = Reach::of(&app, who.account)?;
    let state = app.jobs.state(&ws.slug, queries::noted_as(&work)).map(|state| reach.sees(state));
    Ok(Json(state.ok_or_else(|| ApiError::not_found("Such a job since the last start"))?))
}
