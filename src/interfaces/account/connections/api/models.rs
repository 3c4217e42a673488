//! The API of all models, and the health of their connections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::connections::queries::offered::{self, OfferedModel};
use features::connections::queries::standing::{self, Standing};
use features::connections::queries::{self, PRACTICE, PRACTICE_LABEL, handle};
use features::connections::rules::ConnectionError;
use kernel::{Can, ConnectionId, Route, Thinking};
use providers::catalog::Price;
use providers::quota::Window;
use web::error::ApiError;
use web::extract::{Json, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

/// Default and maximum number of models.
const USUAL: usize = 500;
const MOST: usize = 2_000;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/models",
            list.needs(Can::Read).doc(|| {
                Doc::new("Available models with capabilities, prices and providers")
                    .query::<ModelListParams>()
                    .returns::<Models>()
            }),
        )
        .get(
            "/models/status",
            status.needs(Can::Read).doc(|| {
                Doc::new(
                    "Whether each connection is usable, and why not. Doesn't call the provider",
                )
                .returns::<Standings>()
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ModelListParams {
    /// Only those of this connection, by its name or id.
    connection: Option<String>,
    /// Only those whose id or name holds these words.
    q: Option<String>,
    /// How many, 500 unless asked and 2000 at most.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct Models {
    items: Vec<ModelRow>,
    /// Whether there are more than were told.
    more: bool,
}

/// A model that can be chosen.
#[derive(Serialize, JsonSchema)]
struct ModelRow {
    /// What it is chosen by: `<connection>/<id>`.
    name: String,
    /// Its id at the provider.
    id: String,
    /// Its name for people.
    title: String,
    /// Who offers it; none for practice.
    connection: Option<ConnectionId>,
    connection_name: String,
    /// On which way it is paid: `api`, `subscription`, `own` or `practice`.
    route: &'static str,
    /// The window in tokens, if known.
    window: Option<u32>,
    /// The most tokens of one answer, if known.
    max_output: Option<u32>,
    tools: bool,
    vision: bool,
    /// The thinking levels that can be chosen.
    thinking: Vec<&'static str>,
    /// What a million tokens cost, in micro-dollars; none when nobody knows. For a subscription it is the list price.
    price: Option<PriceRow>,
    /// Whether its maker has announced its end.
    deprecated: bool,
    /// Whether agents without a model of their own use it.
    is_default: bool,
}

#[derive(Serialize, JsonSchema)]
struct PriceRow {
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
}

impl From<Price> for PriceRow {
    fn from(price: Price) -> Self {
        let Price { input, cache_read, cache_write, output } = price;
        Self { input, cache_read, cache_write, output }
    }
}

#[derive(Serialize, JsonSchema)]
struct Standings {
    items: Vec<StandingView>,
}

/// How a connection stands.
#[derive(Serialize, JsonSchema)]
struct StandingView {
    connection: ConnectionId,
    name: String,
    /// On which way calls are paid.
    route: &'static str,
    /// `ok`, `auth`, `rate_limit`, `billing`, `timeout`, `format`, `no_model` or `unknown`.
    status: &'static str,
    /// A stable word for why it is not `ok`.
    reason: Option<&'static str>,
    /// What happened and what helps, for those who manage connections.
    message: String,
    /// Until when it is left alone.
    until: Option<String>,
    tested_at: Option<String>,
    /// What is left of what the account allows, where its maker tells it with each answer; for those who manage
    /// connections.
    quota: Vec<QuotaView>,
}

/// A window of time and what is left in it.
#[derive(Serialize, JsonSchema)]
struct QuotaView {
    /// Such as `5 hours`.
    name: String,
    left_percent: u8,
    resets_at: Option<String>,
    /// When that was told.
    told_at: String,
}

fn quota(ws: &Ws, id: ConnectionId) -> Vec<QuotaView> {
    let Some(reading) = ws.app.accounts.of(id).gauge.reading() else { return Vec::new() };
    let told_at = reading.at.to_string();
    let view = |window: Window| QuotaView {
        name: window.name,
        left_percent: window.left,
        resets_at: window.resets_at.map(|at| at.to_string()),
        told_at: told_at.clone(),
    };
    reading.windows.into_iter().map(view).collect()
}

impl From<Standing> for StandingView {
    fn from(standing: Standing) -> Self {
        Self {
            connection: standing.connection,
            name: standing.name,
            route: standing.route.word(),
            status: standing.status,
            reason: standing.reason,
            message: standing.says,
            until: standing.until.map(|at| at.to_string()),
            tested_at: standing.tested_at.map(|at| at.to_string()),
            quota: Vec::new(),
        }
    }
}

impl ModelListParams {
    fn is_of(&self, id: ConnectionId, name: &str) -> bool {
        let Some(wanted) = self.connection.as_deref() else { return true };
        let wanted = wanted.trim().to_lowercase();
        name.to_lowercase() == wanted || handle(name) == wanted || id.to_string() == wanted
    }

    fn says(&self, id: &str, name: &str) -> bool {
        let Some(words) = self.q.as_deref() else { return true };
        let text = format!("{id} {name}").to_lowercase();
        words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }
}

fn practice(default: bool) -> ModelRow {
    ModelRow {
        name: PRACTICE.to_owned(),
        id: PRACTICE.to_owned(),
        title: PRACTICE_LABEL.to_owned(),
        connection: None,
        connection_name: PRACTICE_LABEL.to_owned(),
        route: Route::Practice.word(),
        window: None,
        max_output: None,
        tools: true,
        vision: false,
        thinking: vec![Thinking::None.word()],
        price: Some(Price::default().into()),
        deprecated: false,
        is_default: default,
    }
}

async fn list(ws: Ws, Query(wish): Query<ModelListParams>) -> Result<Json<Models>, ApiError> {
    let most = wish.limit.unwrap_or(USUAL).min(MOST);
    let now = ws.app.clock.now();
    let all = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let default = super::default_of(snap)?;
            let mut rows = Vec::new();
            for connection in queries::all(snap)? {
                if !wish.is_of(connection.id, &connection.name) {
                    continue;
                }
                for model in offered::models(snap, &connection, now)? {
                    if rows.len() <= most && wish.says(&model.id, &model.name) {
                        let is_default =
                            default.connection == Some(connection.id) && default.model == model.id;
                        let row = row(model, is_default);
                        rows.push(ModelRow {
                            name: format!("{}/{}", handle(&connection.name), row.id),
                            connection: Some(connection.id),
                            connection_name: connection.name.clone(),
                            route: queries::route(&connection).word(),
                            ..row
                        });
                    }
                }
            }
            if wish.connection.is_none() && wish.says(PRACTICE, PRACTICE_LABEL) {
                rows.push(practice(default.connection.is_none()));
            }
            Ok::<_, ConnectionError>(rows)
        })
    });
    let mut items = all.await?;
    let more = most < items.len();
    items.truncate(most);
    Ok(Json(Models { items, more }))
}

fn row(model: OfferedModel, is_default: bool) -> ModelRow {
    let OfferedModel { id, name, known, window, max_output } = model;
    ModelRow {
        tools: known.tools,
        vision: known.vision,
        thinking: known.levels().into_iter().map(|level| level.word()).collect(),
        price: known.price.map(PriceRow::from),
        deprecated: known.deprecated,
        id,
        title: name,
        window,
        max_output,
        is_default,
        ..practice(false)
    }
}

async fn status(ws: Ws, who: Person) -> Result<Json<Standings>, ApiError> {
    let now = ws.app.clock.now();
    let all = ws.read(|snap| standing::standings(snap, &ws.app.keyring, now))?;
    let shown = all.into_iter().map(StandingView::from);
    // Only administrators may see a provider's own message.
    let manages = who.access.may(Can::Admin);
    let shown = shown.map(|view| match manages {
        true => StandingView { quota: quota(&ws, view.connection), ..view },
        false => StandingView { message: String::new(), ..view },
    });
    Ok(Json(Standings { items: shown.collect() }))
}
