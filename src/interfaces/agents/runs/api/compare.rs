//! `/api/v1/runs/compare`: comparison of two runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::runs::model::Body;
use features::runs::queries::compare::{self, Compared, Line, Side};
use kernel::{Can, Outcome, RunState, Thinking};
use store::StoreError;
use web::error::ApiError;
use web::extract::{Json, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::super::pages::both;

/// Size limit of a text that is read in full, in bytes.
const MAX_BLOB: u64 = 4 * 1024 * 1024;

pub(super) fn routes() -> Routes {
    Routes::new().get(
        "/runs/compare",
        show.needs(Can::Read).doc(|| {
            Doc::new("Compare two runs: figures, answers and steps after they diverge")
                .query::<Which>()
                .returns::<ComparedOut>()
        }),
    )
}

/// Which two.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// A run by its name, number or id.
    a: String,
    /// Another one.
    b: String,
}

/// What one step did.
#[derive(Debug, Serialize, JsonSchema)]
struct LineOut {
    /// The step, as in the address on the run's page.
    step: String,
    /// In words.
    text: String,
    /// Whether it went wrong.
    failed: bool,
}

/// One of the two.
#[derive(Debug, Serialize, JsonSchema)]
struct SideOut {
    /// The run's name.
    run: String,
    state: RunState,
    /// How it ended, as a word.
    outcome: Option<&'static str>,
    model: String,
    thinking: Thinking,
    /// Model calls.
    calls: u32,
    /// Tool calls.
    steps: u32,
    /// Tokens sent, cached or not.
    tokens_sent: u64,
    /// Of those, read from the provider's cache.
    tokens_cached: u64,
    /// Tokens received.
    tokens_received: u64,
    /// What it cost, in micro-dollars.
    cost_micros: i64,
    /// Whether the price of each call is known.
    priced: bool,
    /// How long it worked, in milliseconds: waiting does not count.
    worked_ms: i64,
    /// From its beginning to its end, or to now, in milliseconds.
    took_ms: u64,
    /// Its last words.
    answer: String,
    /// The last text that it delivered.
    delivered: Option<String>,
    /// What it did from where they part, one list for each answer of the model.
    turns: Vec<Vec<LineOut>>,
}

/// Two runs side by side.
#[derive(Debug, Serialize, JsonSchema)]
struct ComparedOut {
    /// The first; of two of which one begins the other again, the older.
    a: SideOut,
    /// The other.
    b: SideOut,
    /// `retry` or `fork`, when the second begins the first again.
    why: Option<&'static str>,
    /// The step of the first at which; none for its beginning, or when neither begins the other again.
    from: Option<u32>,
    /// How many steps of the first belong to both.
    shared_steps: usize,
}

async fn show(
    ws: Ws,
    who: Person,
    Query(which): Query<Which>,
) -> Result<Json<ComparedOut>, ApiError> {
    let runs = both(&ws, &who, &which.a, &which.b)?;
    let read = move |ws: &Ws| {
        let whole = |body: &Body| match body {
            Body::Inline(text) => Some(text.clone()),
            Body::Blob { id, .. } => {
                ws.blobs.get(*id, MAX_BLOB).ok().and_then(|bytes| String::from_utf8(bytes).ok())
            }
        };
        let now = ws.app.clock.now();
        let read: Result<Compared, StoreError> =
            ws.read(|snap| compare::read(snap, runs, &whole, now));
        read
    };
    let all = ws.read_blocking(read).await?;
    let branch = all.branch.as_ref();
    Ok(Json(ComparedOut {
        why: branch.map(|branch| branch.why.word()),
        from: branch.and_then(|branch| branch.step),
        shared_steps: all.a.before,
        a: side(all.a),
        b: side(all.b),
    }))
}

fn side(side: Side) -> SideOut {
    let Side { run, figures, answer, delivered, turns, .. } = side;
    let line = |line: Line| LineOut { step: line.key, text: line.text, failed: line.failed };
    SideOut {
        run: run.name(),
        state: run.state,
        outcome: run.outcome.as_ref().map(Outcome::word),
        model: run.model,
        thinking: run.thinking,
        calls: run.calls,
        steps: run.steps,
        tokens_sent: figures.sent,
        tokens_cached: figures.cached,
        tokens_received: figures.received,
        cost_micros: figures.micros,
        priced: figures.priced,
        worked_ms: figures.worked_ms,
        took_ms: u64::try_from(figures.took.as_millis()).unwrap_or(u64::MAX),
        answer,
        delivered: delivered.map(|(_, text)| text),
        turns: turns.into_iter().map(|turn| turn.into_iter().map(line).collect()).collect(),
    }
}
