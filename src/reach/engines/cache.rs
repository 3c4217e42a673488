//! Answers of engines whose terms allow it, for 15 minutes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Found, Query};

/// Lifetime of an answer.
pub const KEPT: Duration = Duration::from_secs(15 * 60);
/// Most answers. One has at most about 15 KB.
const MAX_ANSWERS: usize = 200;

/// Answers by engine and search.
#[derive(Debug, Default)]
pub struct Cache(Mutex<HashMap<(String, Query), (Found, Instant)>>);

impl Cache {
    #[must_use]
    pub fn find(&self, engine: &str, query: &Query) -> Option<Found> {
        let all = self.lock();
        let (found, at) = all.get(&(engine.to_owned(), query.clone()))?;
        (at.elapsed() < KEPT).then(|| found.clone())
    }

    pub fn keep(&self, engine: &str, query: &Query, found: &Found) {
        let mut all = self.lock();
        if MAX_ANSWERS <= all.len() {
            all.retain(|_, (_, at)| at.elapsed() < KEPT);
        }
        if MAX_ANSWERS <= all.len() {
            let oldest = all.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone());
            oldest.and_then(|key| all.remove(&key));
        }
        all.insert((engine.to_owned(), query.clone()), (found.clone(), Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Query), (Found, Instant)>> {
        // ok: an entry is inserted or removed as a whole, so the map is valid after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
