//! Operations that need keys or the network: replacing a key, and a test search.

use std::time::Duration;

use jiff::civil::Date;
use kernel::{Error, ProblemKind};
use kit::{OpCx, Prepared, Reply};
use serde_json::{Value, json};
use store::WriteTx;
use vault::values::{self, Ends, NewValue};

use super::model::SearchEngine;
use super::{queries, rules};
use crate::engines::{self, EngineKind, Found, Query};

/// Longest test, in which several services may be asked.
const PATIENCE: Duration = Duration::from_secs(45);

pub(super) fn seal(cx: &OpCx<'_>, ws: &app::Ws) -> Result<Prepared, Error> {
    let row: SearchEngine = ws.read(|snap| cx.record(snap))?;
    if row.kind == EngineKind::Keyless {
        return Err(Error::field("key", "These services have no key."));
    }
    let key = cx.text("key").trim();
    let value = match key {
        "" => None,
        key if key.contains(char::is_whitespace) || key.contains(char::is_control) => {
            return Err(Error::field("key", "A key has no spaces or line breaks."));
        }
        key => {
            let label = "key of a search engine";
            let sealed = values::seal_watched(&ws.app, label, key, Some(Ends::Trim));
            Some(sealed.map_err(Error::of)?)
        }
    };
    Ok(Box::new(value))
}

pub(super) fn save(
    cx: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    prepared: Prepared,
) -> Result<Reply, Error> {
    let lost = |_| Error::new(ProblemKind::Internal, "internal", "the key was lost");
    let value = prepared.downcast::<Option<NewValue>>().map_err(lost)?;
    let old: SearchEngine = cx.record(tx)?;
    rules::set_key(tx, &old, *value)?;
    Ok(Reply::record(&old.id))
}

pub(super) fn result_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "message": { "type": "string" },
            "ok": { "type": "boolean" },
            "results": { "type": "integer" },
        },
        "required": ["message", "ok", "results"],
    })
}

pub(super) fn probe(cx: &OpCx<'_>, ws: &app::Ws) -> Result<Prepared, Error> {
    let row: SearchEngine = ws.read(|snap| cx.record(snap))?;
    let all = queries::opened(ws, &row)?;
    let words = match cx.text("query").trim() {
        "" => "HTTP status codes",
        words => words,
    };
    let query = Query::new(words, today(ws));
    let mut lines = Vec::new();
    let (mut is_ok, mut count) = (true, 0);
    for engine in &all {
        match wait(engines::ask(&ws.app.http, engine, &query)) {
            Ok(Found::Results { hits, .. }) => {
                count += hits.len();
                let found = web::format::count(hits.len() as u64, "result", "results");
                lines.push(format!("{} answers with {found}.", engine.name));
            }
            Ok(Found::Answer { .. }) => lines.push(format!("{} answers.", engine.name)),
            Err(message) => {
                is_ok = false;
                lines.push(web::form::sentence(&message));
            }
        }
    }
    Ok(Box::new(json!({ "message": lines.join(" "), "ok": is_ok, "results": count })))
}

/// Waits for an engine on this blocking thread.
fn wait(asked: impl Future<Output = Result<Found, engines::Fault>>) -> Result<Found, String> {
    let Ok(handle) = tokio::runtime::Handle::try_current() else {
        return Err("start HQ first".to_owned());
    };
    match handle.block_on(async { tokio::time::timeout(PATIENCE, asked).await }) {
        Ok(found) => found.map_err(|fault| fault.message),
        Err(_) => Err("it didn't answer in time".to_owned()),
    }
}

pub(super) fn today(ws: &app::Ws) -> Date {
    ws.app.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

pub(super) fn probed(
    _: &OpCx<'_>,
    _: &mut WriteTx<'_>,
    prepared: Prepared,
) -> Result<Reply, Error> {
    let lost = |_| Error::new(ProblemKind::Internal, "internal", "the result was lost");
    Ok(Reply::json(&*prepared.downcast::<Value>().map_err(lost)?))
}
