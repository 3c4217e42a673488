//! Engines in order: the next one is asked after a failure, not after an empty list.

use std::time::Instant;

use net::client::HttpClient;

use super::cache::Cache;
use super::{Engine, Fault, Found, Query, ask};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The engine's name.
    pub engine: String,
    pub fault: Fault,
}

#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer, with the position of its engine; `None` if every engine failed.
    pub found: Option<(usize, Found)>,
    /// Engines that failed before, in order.
    pub failed: Vec<Attempt>,
    /// Whether the answer was kept from an earlier search.
    pub is_cached: bool,
    pub took_ms: u64,
}

impl Outcome {
    /// Name of the engine that answered; empty if none did. `engines` are those that were asked.
    pub fn provider<'e>(&self, engines: &'e [Engine]) -> &'e str {
        self.found.as_ref().map_or("", |(at, _)| engines[*at].name.as_str())
    }
}

/// Asks engines in order until one answers.
pub async fn search(
    client: &HttpClient,
    cache: &Cache,
    engines: &[Engine],
    query: &Query,
) -> Outcome {
    let began = Instant::now();
    let took = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut failed = Vec::new();
    for (at, engine) in engines.iter().enumerate() {
        if let Some(found) = engine.may_cache.then(|| cache.find(&engine.id, query)).flatten() {
            return Outcome { found: Some((at, found)), failed, is_cached: true, took_ms: took() };
        }
        match ask(client, engine, query).await {
            Ok(found) => {
                if engine.may_cache {
                    cache.keep(&engine.id, query, &found);
                }
                return Outcome {
                    found: Some((at, found)),
                    failed,
                    is_cached: false,
                    took_ms: took(),
                };
            }
            Err(fault) => {
                tracing::info!(
                    engine = engine.name,
                    code = fault.kind.code(),
                    "a search engine failed"
                );
                failed.push(Attempt { engine: engine.name.clone(), fault });
            }
        }
    }
    Outcome { found: None, failed, is_cached: false, took_ms: took() }
}
