//! What a server has taught: how it wants to be asked, or what its models can do.

use std::collections::HashMap;
use std::fmt::Debug;

use parking_lot::Mutex;

/// The most models of which something is remembered: names come from outside.
const MOST: usize = 256;

/// One thing a model, learned while the program runs.
#[derive(Debug)]
pub(super) struct Learned<T>(Mutex<HashMap<String, T>>);

impl<T: Copy + Debug> Learned<T> {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// What was learned of a model.
    pub(super) fn of(&self, model: &str) -> Option<T> {
        self.0.lock().get(model).copied()
    }

    /// Remembers something of a model. Of one more model than fit nothing is remembered: it is learned again.
    pub(super) fn keep(&self, model: &str, what: T) {
        let mut known = self.0.lock();
        if known.len() < MOST || known.contains_key(model) {
            known.insert(model.to_owned(), what);
        }
    }
}
