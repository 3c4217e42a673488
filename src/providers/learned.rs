//! What a server has taught: how it wants to be asked, or what its models can do.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ollama::Shown;
use super::openai_chat::Quirks;
use super::openai_responses::Dialect;

/// The most models of which something is remembered: names come from outside.
const MOST: usize = 256;

/// How one server wants its models to be asked, as its refusals have said, and what they can do, as it says when it
/// is asked. All who are made for the server share it, so that each lesson is paid for once.
#[derive(Clone, Debug)]
pub struct Lessons {
    pub(super) chat: Learned<Quirks>,
    pub(super) responses: Learned<Dialect>,
    pub(super) ollama: Learned<Shown>,
}

impl Lessons {
    /// Forgets all of it: the server may be another one by now.
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

/// One thing a model, learned while the program runs. Copies share it.
#[derive(Clone, Debug)]
pub(super) struct Learned<T>(Arc<Mutex<HashMap<String, T>>>);

impl<T: Copy + Debug> Learned<T> {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(HashMap::new())))
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
