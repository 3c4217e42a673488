//! `/api/v1/prices`: built-in and custom prices of models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::connections::model::Connection;
use features::connections::queries as connections;
use features::usage::model::price::EnteredPrice;
use features::usage::queries::{counting as learned, prices, unmetered};
use features::usage::rules::counting;
use features::usage::rules::prices::{self as rules, NewPrice};
use kernel::{Can, ConnectionId, Timestamp};
use providers::catalog::{self, Price};
use store::{ReadExt as _, Snap, StoreError, WriteTx};
use web::error::ApiError;
use web::extract::{Json, Path2, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

/// Stands for all connections.
pub(in crate::usage) const ANY: &str = "any";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/prices",
            list.needs(Can::Read).doc(|| {
                Doc::new("Model prices: entered, built-in, and models without a price")
                    .returns::<Prices>()
            }),
        )
        .put(
            "/prices/{connection}/{model}",
            set.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Set a model's price at a connection, or at `any`. Past calls keep their cost",
                )
                .body::<PriceBody>()
                .returns::<PriceView>()
            }),
        )
        .delete(
            "/prices/{connection}/{model}",
            remove.needs(Can::Admin).doc(|| {
                Doc::new("Remove a model's entered prices. The built-in price applies again")
                    .query::<Which>()
                    .returns::<Removed>()
            }),
        )
        .delete(
            "/prices/{connection}/{model}/counting",
            reset.needs(Can::Admin).doc(|| {
                Doc::new("Reset a model's token counting to the usual estimate").returns::<Reset>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct Prices {
    /// What people entered; it goes before what is built in.
    entered: Vec<PriceView>,
    built_in: Vec<BuiltInView>,
    /// Models of which calls were made in the last 30 days that nobody knows the cost of.
    unmetered: Vec<UnmeteredView>,
    /// Models that counted more tokens than usual once.
    counting: Vec<CountingView>,
}

#[derive(Serialize, JsonSchema)]
struct CountingView {
    model: String,
    /// The connection, by its short name; none for practice.
    connection: Option<String>,
    connection_id: Option<ConnectionId>,
    /// So many tokens are expected of a thousand bytes before a call is made.
    tokens_per_1000_bytes: u32,
    /// How many are expected of others.
    usual: u32,
}

#[derive(Serialize, JsonSchema)]
struct Reset {
    /// Whether there was anything to forget.
    reset: bool,
}

#[derive(Serialize, JsonSchema)]
struct PriceView {
    model: String,
    /// The connection that it is for, by its short name; none for all that are not one's own servers.
    connection: Option<String>,
    connection_id: Option<ConnectionId>,
    /// It counts for calls that begin from then on.
    #[schemars(with = "String")]
    begins_at: Timestamp,
    /// Micro-dollars for a million tokens sent; none leaves what is known otherwise.
    input_micros: Option<u64>,
    cache_read_micros: Option<u64>,
    cache_write_micros: Option<u64>,
    output_micros: Option<u64>,
    /// `holds`, `begins later` or `gave way` to one that begins after it.
    state: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct BuiltInView {
    model: String,
    name: String,
    vendor: String,
    /// Micro-dollars for a million tokens sent.
    input_micros: u64,
    cache_read_micros: u64,
    cache_write_micros: u64,
    output_micros: u64,
    /// Calls with more input than so many tokens cost more, if there is such a limit.
    long_above: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
struct UnmeteredView {
    model: String,
    provider: String,
    calls: u64,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct PriceBody {
    /// When it begins, such as `2026-12-01T00:00:00Z`; now when it is left out.
    #[schemars(with = "Option<String>")]
    begins_at: Option<Timestamp>,
    /// Micro-dollars for a million tokens sent; what is left out stays as it is known otherwise.
    input_micros: Option<u64>,
    cache_read_micros: Option<u64>,
    cache_write_micros: Option<u64>,
    output_micros: Option<u64>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct Which {
    /// Only the price that begins then; all of them when it is left out.
    #[schemars(with = "Option<String>")]
    begins_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct Removed {
    /// How many prices there were.
    removed: usize,
}

/// Resolves a connection's short name or id; `any` for all.
pub(in crate::usage) fn place(
    snap: &Snap<'_>,
    word: &str,
) -> Result<Option<ConnectionId>, ApiError> {
    if word == ANY {
        return Ok(None);
    }
    let all = connections::all(snap)?;
    let found =
        all.iter().find(|one| connections::handle(&one.name) == word || one.id.to_string() == word);
    let found = found.ok_or_else(|| ApiError::not_found("This connection"))?;
    Ok(Some(found.id))
}

/// Whether a price is in effect, begins later, or was superseded.
pub(in crate::usage) fn state(
    all: &[EnteredPrice],
    one: &EnteredPrice,
    now: Timestamp,
) -> &'static str {
    match prices::at(all, &one.model, one.connection, now) {
        _ if now < one.begins_at => "begins later",
        Some(holds) if holds.begins_at == one.begins_at => "holds",
        _ => "gave way",
    }
}

fn view(
    snap: &Snap<'_>,
    all: &[EnteredPrice],
    one: &EnteredPrice,
    now: Timestamp,
) -> Result<PriceView, StoreError> {
    let connection = match one.connection {
        Some(id) => snap.get::<Connection>(id)?,
        None => None,
    };
    Ok(PriceView {
        model: one.model.clone(),
        connection: connection.map(|connection| connections::handle(&connection.name)),
        connection_id: one.connection,
        begins_at: one.begins_at,
        input_micros: one.input_micros,
        cache_read_micros: one.cache_read_micros,
        cache_write_micros: one.cache_write_micros,
        output_micros: one.output_micros,
        state: state(all, one, now),
    })
}

async fn list(ws: Ws) -> Result<Json<Prices>, ApiError> {
    Ok(Json(ws.read_blocking(|ws| ws.read(|snap| listed(ws, snap))).await?))
}

fn listed(ws: &Ws, snap: &Snap<'_>) -> Result<Prices, StoreError> {
    let now = ws.app.clock.now();
    let all = prices::all(snap)?;
    let entered = all.iter().map(|one| view(snap, &all, one, now));
    let built_in = catalog::all().iter().filter_map(|model| {
        let Price { input, cache_read, cache_write, output } = model.price?;
        Some(BuiltInView {
            model: model.id.clone(),
            name: model.name.clone(),
            vendor: model.vendor.clone(),
            input_micros: input,
            cache_read_micros: cache_read,
            cache_write_micros: cache_write,
            output_micros: output,
            long_above: model.long.map(|long| long.above),
        })
    });
    let unmetered = unmetered::recent(ws, snap, now)?.into_iter().map(|one| UnmeteredView {
        model: one.model,
        provider: one.provider,
        calls: one.calls,
    });
    let mut counting = Vec::new();
    for one in learned::learned(snap)? {
        let connection = match one.connection {
            Some(id) => snap.get::<Connection>(id)?,
            None => None,
        };
        counting.push(CountingView {
            model: one.model,
            connection: connection.map(|connection| connections::handle(&connection.name)),
            connection_id: one.connection,
            tokens_per_1000_bytes: one.tokens,
            usual: learned::usual(),
        });
    }
    Ok(Prices {
        counting,
        entered: entered.collect::<Result<_, StoreError>>()?,
        built_in: built_in.collect(),
        unmetered: unmetered.collect(),
    })
}

async fn set(
    ws: Ws,
    who: Person,
    once: Once,
    Path2(word, model): Path2<String, String>,
    Json(body): Json<PriceBody>,
) -> Result<Json<PriceView>, ApiError> {
    let new = NewPrice {
        model,
        connection: ws.read(|snap| place(snap, &word))?,
        begins_at: body.begins_at,
        amounts: [
            body.input_micros,
            body.cache_read_micros,
            body.cache_write_micros,
            body.output_micros,
        ],
    };
    let made = ws.write(&who, once.run(move |tx| rules::set(tx, new))).await?;
    let now = ws.app.clock.now();
    ws.read(|snap| {
        let all = prices::of_model(snap, &made.model)?;
        Ok(Json(view(snap, &all, &made, now)?))
    })
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    Path2(word, model): Path2<String, String>,
    Query(which): Query<Which>,
) -> Result<Json<Removed>, ApiError> {
    let connection = ws.read(|snap| place(snap, &word))?;
    let begins_at = which.begins_at;
    let taken = move |tx: &mut WriteTx<'_>| rules::remove(tx, &model, connection, begins_at);
    let removed = ws.write(&who, once.run(taken)).await?;
    Ok(Json(Removed { removed }))
}

async fn reset(
    ws: Ws,
    who: Person,
    once: Once,
    Path2(word, model): Path2<String, String>,
) -> Result<Json<Reset>, ApiError> {
    // A deleted connection may have left a factor behind.
    let gone = word.parse::<ConnectionId>().ok();
    let connection = match ws.read(|snap| place(snap, &word)) {
        Err(error) if gone.is_none() => return Err(error),
        Err(_) => gone,
        Ok(connection) => connection,
    };
    let forget = move |tx: &mut WriteTx<'_>| counting::reset(tx, connection, &model);
    let reset = ws.write(&who, once.run(forget)).await?;
    Ok(Json(Reset { reset }))
}
