//! A scripted upstream for tests: linked or cut, with one answer to all requests.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use app::downstream::Tell;
use app::live::Piece;
use app::upstream::{Alone, Answered, MayAlone, Tried, Upstream};
use kernel::{AgentId, RunId};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{RwLock, mpsc, watch};
use zeroize::Zeroizing;

pub(crate) struct Scripted {
    /// How long the link has been down; `None` while it is up.
    cut_for: Option<Duration>,
    gate: Arc<RwLock<()>>,
    answer: watch::Sender<Option<Value>>,
    requests: Mutex<Vec<Value>>,
    moves: watch::Sender<u64>,
}

impl Scripted {
    fn new(cut_for: Option<Duration>) -> Self {
        Self {
            cut_for,
            gate: Arc::default(),
            answer: watch::Sender::default(),
            requests: Mutex::default(),
            moves: watch::Sender::default(),
        }
    }

    pub(crate) fn linked() -> Self {
        Self::new(None)
    }

    pub(crate) fn cut(cut_for: Duration) -> Self {
        Self::new(Some(cut_for))
    }

    /// Answers all requests, past and future.
    pub(crate) fn answers(&self, answer: Value) {
        self.answer.send_replace(Some(answer));
    }

    pub(crate) fn requests(&self) -> Vec<Value> {
        self.requests.lock().clone()
    }

    /// Returns `true` if nothing blocks the next link.
    pub(crate) fn is_free(&self) -> bool {
        self.gate.try_write().is_ok()
    }
}

impl Upstream for Scripted {
    fn say(&self, _: Option<RunId>, _: Value) -> Answered<'_> {
        unreachable!("what is said has words")
    }
    fn words(&self, what: Value) -> Value {
        what
    }
    fn says(&self, _: RunId, words: Value) -> Answered<'_> {
        Box::pin(async move {
            self.requests.lock().push(words);
            let mut answer = self.answer.subscribe();
            let answer = answer.wait_for(Option::is_some).await;
            Ok(answer.expect("it is kept").clone().expect("there is one"))
        })
    }
    fn tries(&self, run: RunId, words: Value) -> Tried<'_> {
        Box::pin(async move {
            match self.cut_for {
                None => Some(self.says(run, words).await),
                Some(_) => None,
            }
        })
    }
    fn alone(&self, _: RunId) -> MayAlone<'_> {
        Box::pin(async move {
            let gate = Arc::clone(&self.gate).read_owned().await;
            self.cut_for.map(|cut_for| Alone { cut_for, gate })
        })
    }
    fn wrote(&self, _: RunId) {}
    fn drained(&self, _: RunId) -> u64 {
        0
    }
    fn agents(&self) -> BTreeSet<AgentId> {
        BTreeSet::new()
    }
    fn is_paused(&self) -> bool {
        false
    }
    fn is_linked(&self) -> bool {
        self.cut_for.is_none()
    }
    fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }
    fn shows(&self, _: Piece) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }
    fn asks(&self, _: Value) -> Answered<'_> {
        unreachable!("nothing is asked for")
    }
    fn is_heard_by(&self, _: mpsc::UnboundedSender<Tell>) {}
    fn key(&self, _: &str) -> Option<(u64, Zeroizing<String>)> {
        None
    }
    fn keys(&self, _: &str) -> Vec<Zeroizing<String>> {
        Vec::new()
    }
    fn lacks_keys(&self) -> bool {
        false
    }
}
