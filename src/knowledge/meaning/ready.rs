//! Completeness of search in words, and the daily cost of vectors by a connection.

use app::Ws;
use features::connections::model::Connection;
use features::connections::queries as connections;
use features::connections::queries::vectors;
use features::global_search::queries::standing as index;
use features::usage::model::day::day_in;
use features::usage::queries::daily;
use kernel::{CallKind, Route};
use store::{ReadExt as _, Snap, consumer};
use web::format::count;

use super::models;
use crate::error::KnowledgeError;
use crate::queries;

/// Number of days considered, including today.
const DAYS: u32 = 7;

/// Completeness of search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Whether everything can be found.
    pub is_ready: bool,
    /// Number of items that failed and are left out; Health lists them.
    pub left_out: usize,
    /// The state in sentences, including what is missing.
    pub says: String,
    /// Number of embedded passages.
    pub passages: usize,
    /// Number of passages that are or will be embedded.
    pub all: usize,
    /// Cost of vectors; `None` for the local model or without a source.
    pub cost: Option<Cost>,
}

/// Cost of vectors by a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Micro-dollars per day; `None` without a price.
    pub a_day: Option<i64>,
    /// Number of days in the average.
    pub days: u32,
    /// Number of calls in these days.
    pub calls: u64,
    /// Whether the connection is not paid by token.
    pub is_free: bool,
}

/// The completeness of search. Opens the vectors, so call it on a blocking thread.
pub fn of(ws: &Ws) -> Result<Ready, KnowledgeError> {
    let (passages, waiting) = (models::count(ws)?, ws.vectors.waiting());
    let (unread, cost) =
        ws.read(|snap| Ok::<_, KnowledgeError>((queries::unread(snap, None)?, cost(ws, snap)?)))?;
    let mut missing = missing(ws, unread as u64, waiting as u64);
    let unindexed = ws.read(|snap| consumer::dead_letters(snap, index::NUMBER))?.len();
    let left_out = ws.vectors.left_out() + unindexed;
    if 0 < left_out {
        let are = if left_out == 1 { "is" } else { "are" };
        let items = count(left_out as u64, "item", "items");
        missing.push(format!("{items} {are} skipped. Health shows why and retries."));
    }
    let source = super::source(ws)?;
    let is_begun = source.as_ref().is_none_or(|one| ws.vectors.place(&one.id()).is_some());
    if !is_begun && waiting == 0 {
        missing.push("Vectors are being created.".to_owned());
    }
    let whole = match source {
        Some(_) => "Search is ready for keywords and meaning.",
        None => "Search is ready for keywords only.",
    };
    Ok(Ready {
        is_ready: missing.is_empty(),
        left_out,
        says: if missing.is_empty() { whole.to_owned() } else { missing.join(" ") },
        passages,
        all: passages + waiting,
        cost,
    })
}

/// What search cannot find yet, in sentences.
fn missing(ws: &Ws, unread: u64, waiting: u64) -> Vec<String> {
    let mut missing = Vec::new();
    match (ws.finding.building(), ws.finding.error()) {
        (Some(records), _) => missing.push(format!(
            "The keyword index is being built: {} so far.",
            count(records, "record", "records")
        )),
        (None, Some(error)) => {
            let why = web::form::sentence(&error);
            missing.push(format!("The keyword index has stopped. {why}"));
        }
        (None, None) => {}
    }
    if 0 < unread {
        missing.push(format!("{} still to read.", count(unread, "file", "files")));
    }
    if 0 < waiting {
        let passages = count(waiting, "passage", "passages");
        missing.push(format!("Keyword search is complete. {passages} not found by meaning yet."));
    }
    missing
}

/// Cost of the selected connection in the last days, counted from the first vector on.
fn cost(ws: &Ws, snap: &Snap<'_>) -> Result<Option<Cost>, KnowledgeError> {
    let Some(maker) = vectors::chosen(snap)? else { return Ok(None) };
    let connection: Option<Connection> = snap.get(maker.connection)?;
    let is_free = connection.is_some_and(|one| connections::route(&one) == Route::Own);
    let today = day_in(ws.app.clock.now(), &daily::zone(snap)?);
    let rolled = daily::rolled(ws, snap, today.saturating_sub(DAYS - 1)..=today)?;
    let mine = || rolled.sources.iter().filter(|one| one.kind == CallKind::Embedding);
    let first = mine().map(|one| one.day).min().unwrap_or(today);
    let days = today.saturating_sub(first) + 1;
    let calls: u64 = mine().map(|one| one.sums.calls).sum();
    let unpriced: u64 = mine().map(|one| one.sums.unpriced).sum();
    let micros = mine().fold(0_i64, |sum, one| sum.saturating_add(one.sums.billed_micros));
    let is_known = !is_free && (calls == 0 || unpriced < calls);
    let a_day = is_known.then(|| micros / i64::from(days));
    Ok(Some(Cost { a_day, days, calls, is_free }))
}
