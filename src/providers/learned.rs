//! Behaviour and abilities learned from a server.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ollama::Shown;
use super::openai_chat::Quirks;
use super::openai_responses::Dialect;

/// Maximum number of models remembered: names come from outside.
const MOST: usize = 256;

/// Request quirks learned from a server's rejections, and abilities that it reports. Shared by all connections to the
/// server, so that each lesson is learned once.
#[derive(Clone, Debug)]
pub struct Lessons {
    pub(super) chat: Learned<Quirks>,
    pub(super) responses: Learned<Dialect>,
    pub(super) ollama: Learned<Shown>,
}

impl Lessons {
    /// Forgets everything, because the server may have been replaced.
    pub fn forget(&self) {
        self.chat.0.lock().clear();
        self.responses.0.lock().clear();
        self.ollama.0.lock().clear();
    }
}

impl Default for Lessons {
    fn default() -> Self {
        Self { chat: Learned::new(), responses: Learned::new(), ollama: Learned::new() }
    }
}

/// One value per model, learned at run time. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Learned<T>(Arc<Mutex<HashMap<String, T>>>);

impl<T: Copy + Debug> Learned<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(HashMap::new())))
    }

    /// The learned value of a model.
    pub(super) fn of(&self, model: &str) -> Option<T> {
        self.0.lock().get(model).copied()
    }

    /// Stores a value for a model. Above the maximum number of models, nothing is stored, and the value is learned
    /// again.
    pub(super) fn keep(&self, model: &str, what: T) {
        let mut known = self.0.lock();
        if known.len() < MOST || known.contains_key(model) {
            known.insert(model.to_owned(), what);
        }
    }
}
