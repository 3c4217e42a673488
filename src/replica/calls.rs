//! Requests of this host's engine to the primary. A request is kept until it is answered: a cut link only delays it,
//! and the primary applies a repeated one once. Journal entries of a run do not wait long: while the link is down they
//! are written locally and sent first once the link is up (`drain.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use app::downstream::Tell;
use app::live::Piece;
use app::upstream::{Alone, Answered, Cut, LATE, MayAlone, Refusal, Tried, Upstream, lets_in};
use kernel::{AgentId, Clock, RunId, TypedId as _};
use link::frame::{Answer, Command, Frame, Outcome, Running};
use link::{LinkError, Sender};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{RwLock, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

/// The feed entry that the mirror must have reached, and the answer.
type Heard = (u64, Result<Value, Refusal>);

/// How long a run waits for the link before it continues offline.
const PATIENCE: Duration = Duration::from_secs(10);

/// Handles of keys with their versions.
pub(crate) type Versions = BTreeMap<String, u64>;

/// Unanswered requests, and keys from the primary.
pub(crate) struct Calls {
    /// Distinguishes the requests of this process.
    life: String,
    state: Mutex<State>,
    /// Held during a request that belongs to no run.
    turn: tokio::sync::Mutex<()>,
    /// The feed entry up to which the mirror is complete.
    laid: watch::Sender<u64>,
    moves: watch::Sender<u64>,
    /// Since when the link is down or the outbox is being sent; `None` while the link is up.
    down: watch::Sender<Option<Instant>>,
    /// Held for reading during a local write, and for writing while the link comes back.
    gate: Arc<RwLock<()>>,
    clock: Arc<dyn Clock>,
    pub(crate) patience: Duration,
}

/// A key from the primary, in memory only.
struct Key {
    version: u64,
    value: Zeroizing<String>,
    /// The link over which it came.
    link: u64,
}

#[derive(Default)]
struct State {
    last: u64,
    /// Number of distinct requests.
    requests: u64,
    open: BTreeMap<u64, (Command, oneshot::Sender<Heard>)>,
    line: Option<Sender>,
    agents: BTreeSet<AgentId>,
    /// The agents and key versions of the primary's last list; all of them must be present.
    keyed: Option<(BTreeSet<AgentId>, Versions)>,
    keys: BTreeMap<String, Key>,
    /// How often keys were dropped, and whether some have not come again since.
    dropped: u64,
    lacks_keys: bool,
    /// A key that grants access was held at some time.
    had_keys: bool,
    /// The primary has sent a welcome on the present link.
    is_welcome: bool,
    /// Counts links; keys that are not sent again on the present link expire.
    link: u64,
    is_paused: bool,
    is_over: bool,
    /// Receives the primary's questions.
    ears: Option<mpsc::UnboundedSender<Tell>>,
    /// Since when the primary has received nothing that is written here.
    cut: Option<Cut>,
    /// Runs with local writes that the primary has not received.
    ahead: BTreeSet<RunId>,
    /// How often the primary has received all local writes of a run.
    drained: BTreeMap<RunId, u64>,
    /// The mirror does not have everything yet that the primary has received.
    is_settling: bool,
}

impl Calls {
    /// The state at start. The mirror is complete up to entry `has`; `ahead` are runs with unsent local writes.
    pub(crate) fn new(
        life: String,
        has: u64,
        clock: Arc<dyn Clock>,
        ahead: BTreeSet<RunId>,
    ) -> Self {
        let cut = Some(Cut::now(&*clock));
        Self {
            life,
            state: Mutex::new(State { cut, ahead, ..State::default() }),
            turn: tokio::sync::Mutex::default(),
            laid: watch::Sender::new(has),
            moves: watch::Sender::default(),
            down: watch::Sender::new(Some(Instant::now())),
            gate: Arc::default(),
            clock,
            patience: PATIENCE,
        }
    }

    /// The link is back: local writes stop, and the outbox is sent before any other request.
    pub(crate) async fn comes_back(&self) {
        let _nobody = self.gate.write().await;
        self.down.send_replace(None);
    }

    /// Local rows are about to be removed from the mirror and come again from the primary; no run starts or writes
    /// locally before that. Tasks of these runs learn of it before the first row is removed.
    pub(crate) fn settles(&self) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.is_settling |= !state.ahead.is_empty();
        for run in &state.ahead {
            *state.drained.entry(*run).or_default() += 1;
        }
    }

    /// The primary has received all local writes.
    pub(crate) fn is_drained(&self) {
        self.state.lock().ahead.clear();
    }

    /// Returns `true` while the mirror lacks something that the primary has received.
    pub(crate) fn is_settling(&self) -> bool {
        self.state.lock().is_settling
    }

    pub(crate) fn is_settled(&self) {
        self.state.lock().is_settling = false;
        self.moved();
    }

    /// Sends a request that was written offline, and waits for the answer.
    ///
    /// # Errors
    /// If the link is cut again.
    pub(crate) async fn says_late(
        &self,
        line: &Sender,
        run: RunId,
        mut words: Value,
    ) -> Result<Result<Value, Refusal>, LinkError> {
        words[LATE] = Value::Bool(true);
        let Some((command, _, response)) = self.keep(Some(run), words) else {
            return Ok(Err(over()));
        };
        let _open = Open { calls: self, number: command.number };
        line.send(Frame::Command(command)).await?;
        tokio::select! {
            biased;
            heard = response => Ok(heard.map_or_else(|_| Err(over()), |(_, answer)| answer)),
            why = line.over() => Err(why),
        }
    }

    /// A link is up: sends all unanswered requests again, in order.
    pub(crate) async fn linked(&self, line: &Sender) {
        let open: Vec<Command> = {
            let mut state = self.state.lock();
            state.line = Some(line.clone());
            state.cut = None;
            state.open.values().map(|(command, _)| command.clone()).collect()
        };
        self.down.send_replace(None);
        for command in open {
            // ok: if the link is cut, they are sent with the next one.
            if line.send(Frame::Command(command)).await.is_err() {
                return;
            }
        }
    }

    /// The link is down.
    pub(crate) fn cut(&self) {
        {
            let mut state = self.state.lock();
            (state.line, state.is_welcome) = (None, false);
            let clock = &*self.clock;
            state.cut.get_or_insert_with(|| Cut::now(clock));
        }
        self.down.send_if_modified(|since| {
            let was_up = since.is_none();
            since.get_or_insert_with(Instant::now);
            was_up
        });
        self.moved();
    }

    /// Stops all requests.
    pub(crate) fn close(&self) {
        {
            let mut state = self.state.lock();
            state.is_over = true;
            state.open.clear();
        }
        self.moved();
    }

    /// Handles an answer of the primary.
    pub(crate) fn answered(&self, answer: Answer) {
        let Some((_, tell)) = self.state.lock().open.remove(&answer.number) else { return };
        let heard = match answer.result {
            Outcome::Done(mut body) => {
                let seq = body["seq"].as_u64().unwrap_or(0);
                match body.get_mut("refusal").map(Value::take) {
                    Some(refusal) => {
                        (seq, Err(serde_json::from_value(refusal).unwrap_or_else(garbled)))
                    }
                    None => (seq, Ok(body["answer"].take())),
                }
            }
            Outcome::Refused { code, sentence } => (0, Err(Refusal::new(code, sentence))),
            Outcome::Kept => (
                0,
                Err(Refusal::new(
                    "run_fenced",
                    "HQ continues without this \
                machine",
                )),
            ),
        };
        // ok: no receiver waits any more.
        let _ = tell.send(heard);
    }

    /// Passes on a question of the primary. Returns it if the engine is not running yet.
    pub(crate) fn heard(&self, tell: Tell) -> Result<(), Tell> {
        match &self.state.lock().ears {
            Some(ears) => ears.send(tell).map_err(|back| back.0),
            None => Err(tell),
        }
    }

    /// The mirror is complete up to this entry.
    pub(crate) fn has(&self, seq: u64) {
        self.laid.send_replace(seq);
        self.moved();
    }

    /// Sets the agents of this host.
    pub(crate) fn are(&self, agents: &BTreeSet<AgentId>) {
        {
            let mut state = self.state.lock();
            state.agents.clone_from(agents);
            state.has_come();
        }
        self.moved();
    }

    /// A link starts: the primary will send its agents' keys again.
    pub(crate) fn anew(&self) {
        let mut state = self.state.lock();
        state.link += 1;
        state.is_welcome = true;
    }

    /// Sets the key versions that these agents need.
    pub(crate) fn keyed(&self, agents: BTreeSet<AgentId>, versions: Versions) {
        {
            let mut state = self.state.lock();
            let link = state.link;
            // Keys that were revoked while the link was down are not sent on this one.
            state.keys.retain(|_, key| key.link == link);
            state.keyed = Some((agents, versions));
            state.has_come();
        }
        self.moved();
    }

    /// Stores a key.
    pub(crate) fn take_key(&self, handle: String, version: u64, value: Zeroizing<String>) {
        {
            let mut state = self.state.lock();
            let link = state.link;
            state.had_keys |= lets_in(&handle);
            state.keys.insert(handle, Key { version, value, link });
            state.has_come();
        }
        self.moved();
    }

    /// Removes a revoked key.
    pub(crate) fn forget_key(&self, handle: &str) {
        self.state.lock().keys.remove(handle);
        self.moved();
    }

    /// Removes all keys, because this host is shut out.
    pub(crate) fn forget_keys(&self) {
        {
            let mut state = self.state.lock();
            state.keys.clear();
            state.lets_go();
        }
        self.moved();
    }

    /// Returns `true` if a key that grants access was ever in this process, which may still have copies in memory.
    pub(crate) fn had_keys(&self) -> bool {
        self.state.lock().had_keys
    }

    /// Returns `true` if there is no link and a key that grants access is held.
    pub(crate) fn keeps_keys_alone(&self) -> bool {
        let state = self.state.lock();
        !state.is_welcome && state.keys.keys().any(|handle| lets_in(handle))
    }

    /// Drops the keys that grant access if the link has been down for `span`. Returns whether it did.
    pub(crate) fn drop_keys_after(&self, span: Duration) -> bool {
        {
            let mut state = self.state.lock();
            let is_cut = |cut: Cut| span <= cut.lasts(&*self.clock);
            if state.is_welcome || !state.cut.is_some_and(is_cut) {
                return false;
            }
            state.keys.retain(|handle, _| !lets_in(handle));
            state.lets_go();
        }
        self.moved();
        true
    }

    /// Sets whether no new work starts.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.state.lock().is_paused = is_paused;
        self.moved();
    }

    /// Sends a request and waits for the answer.
    async fn ask(&self, about: Option<RunId>, words: Value) -> Result<Heard, Refusal> {
        let (command, line, response) = self.keep(about, words).ok_or_else(over)?;
        if let Some(line) = line {
            // ok: if the link is cut, it is sent with the next one.
            let _ = line.send(Frame::Command(command)).await;
        }
        response.await.map_err(|_| over())
    }

    fn moved(&self) {
        self.moves.send_modify(|count| *count += 1);
    }

    /// Keeps a request until it is answered. `None` after [`Calls::close`].
    fn keep(
        &self,
        about: Option<RunId>,
        words: Value,
    ) -> Option<(Command, Option<Sender>, oneshot::Receiver<Heard>)> {
        let mut state = self.state.lock();
        if state.is_over {
            return None;
        }
        state.last += 1;
        let number = state.last;
        let run = about.unwrap_or_else(|| RunId::from_bytes([0; 16]));
        let command = Command { run, epoch: 0, number, body: words };
        let (tell, response) = oneshot::channel();
        state.open.insert(number, (command.clone(), tell));
        Some((command, state.line.clone(), response))
    }
}

impl Calls {
    /// Repeats a request about a run until it is answered and the mirror has everything written before the answer.
    async fn hears(&self, run: Option<RunId>, words: Value) -> Result<Value, Refusal> {
        let (seq, answer) = self.ask(run, words).await?;
        // ok: the sender outlives this wait.
        let _ = self.laid.subscribe().wait_for(|laid| seq <= *laid).await;
        answer
    }

    /// The same; `None` once the link has been down longer than a run waits.
    async fn tries_to(&self, run: RunId, words: Value) -> Option<Result<Value, Refusal>> {
        let Some((command, line, mut response)) = self.keep(Some(run), words) else {
            return Some(Err(over()));
        };
        let _open = Open { calls: self, number: command.number };
        let gone = self.gone(run);
        tokio::pin!(gone);
        if let Some(line) = line {
            // ok: if the link is cut, it is sent with the next one.
            let _ = line.send(Frame::Command(command)).await;
        }
        let heard = tokio::select! {
            biased;
            heard = &mut response => heard,
            () = &mut gone => return None,
        };
        let Ok((seq, answer)) = heard else { return Some(Err(over())) };
        let mut laid = self.laid.subscribe();
        let there = async {
            // ok: the sender outlives this wait.
            let _ = laid.wait_for(|laid| answer.is_err() || seq <= *laid).await;
        };
        tokio::select! {
            biased;
            () = there => Some(answer.clone()),
            // The primary has applied it, but the mirror lacks the result. It is also written here; the primary
            // recognises it.
            () = &mut gone => None,
        }
    }

    /// Waits until the link has been down longer than the run waits, and the mirror has everything that the primary has
    /// received.
    async fn gone(&self, run: RunId) {
        let (mut down, mut moves) = (self.down.subscribe(), self.moves.subscribe());
        loop {
            moves.mark_unchanged();
            let since = down.borrow_and_update().filter(|_| !self.is_settling());
            let until = since.map(|since| since + self.patience(run));
            let is_cut = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // ok: the senders outlive this wait.
                _ = down.changed() => {}
                _ = moves.changed() => {}
                () = is_cut => return,
            }
        }
    }

    /// How long a run waits for the link: not at all if it already has unsent local writes.
    fn patience(&self, run: RunId) -> Duration {
        if self.state.lock().ahead.contains(&run) { Duration::ZERO } else { self.patience }
    }

    /// How long the link has been down, if that is long enough for the run.
    fn cut_for(&self, run: RunId) -> Option<Duration> {
        let since = (*self.down.borrow())?;
        if since.elapsed() < self.patience(run) {
            return None;
        }
        let state = self.state.lock();
        let is_able = state.line.is_none() && !state.is_over && !state.is_settling;
        state.cut.filter(|_| is_able).map(|cut| cut.lasts(&*self.clock))
    }
}

/// An unanswered request; it is withdrawn when its caller stops waiting.
struct Open<'c> {
    calls: &'c Calls,
    number: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.calls.state.lock().open.remove(&self.number);
    }
}

impl State {
    /// Returns `true` if all keys of the agents are present.
    fn is_keyed(&self) -> bool {
        let Some((agents, versions)) = &self.keyed else { return false };
        let is_here = |(handle, version): (&String, &u64)| {
            self.keys.get(handle).is_some_and(|key| key.version == *version)
        };
        *agents == self.agents && versions.iter().all(is_here)
    }

    /// Keys were dropped: no step that may need one starts before all have come again.
    fn lets_go(&mut self) {
        self.keyed = None;
        self.dropped += 1;
        self.lacks_keys = true;
    }

    /// Something from the primary has arrived; it may complete the dropped keys.
    fn has_come(&mut self) {
        self.lacks_keys &= !self.is_keyed();
    }
}

fn over() -> Refusal {
    Refusal::new("stopping", "this program is stopping")
}

fn garbled(_: serde_json::Error) -> Refusal {
    Refusal::new("garbled", "HQ's response is invalid")
}

impl Upstream for Calls {
    fn say(&self, about: Option<RunId>, what: Value) -> Answered<'_> {
        Box::pin(async move {
            let _turn = match about {
                None => Some(self.turn.lock().await),
                Some(_) => None,
            };
            self.hears(about, self.words(what)).await
        })
    }

    fn words(&self, what: Value) -> Value {
        let mut state = self.state.lock();
        state.requests += 1;
        json!({ "nonce": format!("{}.{}", self.life, state.requests), "what": what })
    }

    fn says(&self, run: RunId, words: Value) -> Answered<'_> {
        Box::pin(self.hears(Some(run), words))
    }

    fn tries(&self, run: RunId, words: Value) -> Tried<'_> {
        Box::pin(self.tries_to(run, words))
    }

    fn alone(&self, run: RunId) -> MayAlone<'_> {
        Box::pin(async move {
            let gate = Arc::clone(&self.gate).read_owned().await;
            self.cut_for(run).map(|cut_for| Alone { cut_for, gate })
        })
    }

    fn wrote(&self, run: RunId) {
        self.state.lock().ahead.insert(run);
    }

    fn drained(&self, run: RunId) -> u64 {
        let state = self.state.lock();
        // Runs with dropped keys are reloaded, too.
        state.drained.get(&run).copied().unwrap_or_default() + state.dropped
    }

    fn asks(&self, what: Value) -> Answered<'_> {
        Box::pin(async move { self.ask(None, self.words(what)).await?.1 })
    }

    fn is_heard_by(&self, ears: mpsc::UnboundedSender<Tell>) {
        self.state.lock().ears = Some(ears);
    }

    fn agents(&self) -> BTreeSet<AgentId> {
        self.state.lock().agents.clone()
    }

    fn is_paused(&self) -> bool {
        let state = self.state.lock();
        state.is_paused || state.is_over || state.is_settling || !state.is_keyed()
    }

    fn is_linked(&self) -> bool {
        self.state.lock().line.is_some()
    }

    fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }

    fn shows(&self, piece: Piece) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let Some(line) = self.state.lock().line.clone() else { return };
            let (run, at) = (piece.run, piece.at as u64);
            // ok: text that cannot be serialised is written at the end of its step.
            if let Ok(body) = serde_json::to_value(&piece) {
                let _ = line.send(Frame::Running(Running { run, at, body })).await;
            }
        })
    }

    fn key(&self, handle: &str) -> Option<(u64, Zeroizing<String>)> {
        self.state.lock().keys.get(handle).map(|key| (key.version, key.value.clone()))
    }

    fn keys(&self, begins: &str) -> Vec<Zeroizing<String>> {
        let state = self.state.lock();
        let from = state.keys.range(begins.to_owned()..);
        let all = from.take_while(|(handle, _)| handle.starts_with(begins));
        all.map(|(_, key)| key.value.clone()).collect()
    }

    fn lacks_keys(&self) -> bool {
        let state = self.state.lock();
        state.lacks_keys && !state.is_over
    }
}

#[cfg(test)]
mod tests;
