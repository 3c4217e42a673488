//! A small cache of recent results, for pages that are drawn repeatedly.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Recent results by key, newest last.
pub struct Recent<K, V> {
    all: Mutex<VecDeque<(K, Arc<V>)>>,
    most: usize,
}

impl<K: PartialEq, V> Recent<K, V> {
    /// An empty cache for at most `most` results.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { all: Mutex::new(VecDeque::new()), most }
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<(K, Arc<V>)>> {
        // ok: after a panic of another thread the entries are still intact
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cached result.
    #[must_use]
    pub fn get(&self, is: impl Fn(&K) -> bool) -> Option<Arc<V>> {
        self.all().iter().find(|(key, _)| is(key)).map(|(_, value)| value.clone())
    }

    /// Caches a result; evicts the oldest one if full.
    pub fn keep(&self, key: K, value: Arc<V>) {
        let mut all = self.all();
        all.push_back((key, value));
        if self.most < all.len() {
            all.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Recent;

    #[test]
    fn the_oldest_answer_goes_first() {
        let recent = Recent::new(2);
        for n in 0..3 {
            recent.keep(n, Arc::new(n * 10));
        }
        let get = |n| recent.get(|key| *key == n).map(|value| *value);
        assert_eq!([get(0), get(1), get(2)], [None, Some(10), Some(20)]);
    }
}
