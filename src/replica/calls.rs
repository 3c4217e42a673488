//! What the engine here says to home. It is kept until it is answered: a cut line only makes it wait, and what was said twice
//! home does once. What happens in a run does not wait for long: while the line is cut it is written here, and home hears it
//! before anything else once there is a line again (`drain.rs`).

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

/// An answer, and the entry of the feed up to which the mirror has what was written before it.
type Heard = (u64, Result<Value, Refusal>);

/// So long a run waits for a line that is cut before it goes on by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names of what home has sent, each with its version.
pub(crate) type Versions = BTreeMap<String, u64>;

/// What is said and not answered yet, and what home has sent for those who say it.
pub(crate) struct Calls {
    /// What tells apart what this life says.
    life: String,
    state: Mutex<State>,
    /// Held while something is said that is about no run.
    turn: tokio::sync::Mutex<()>,
    /// The entry up to which the mirror has all.
    laid: watch::Sender<u64>,
    moves: watch::Sender<u64>,
    /// Since when there is no line; nothing while there is one, or what was written here is being heard.
    down: watch::Sender<Option<Instant>>,
    /// Held for reading while something is written here, for writing when a line comes back.
    gate: Arc<RwLock<()>>,
    clock: Arc<dyn Clock>,
    pub(crate) patience: Duration,
}

/// Something that home has sent, kept in memory alone.
struct Key {
    version: u64,
    value: Zeroizing<String>,
    /// The link on which it came.
    link: u64,
}

#[derive(Default)]
struct State {
    last: u64,
    /// How much was said, each with words of its own.
    said: u64,
    open: BTreeMap<u64, (Command, oneshot::Sender<Heard>)>,
    line: Option<Sender>,
    agents: BTreeSet<AgentId>,
    /// What home has sent for which agents, as it said last: nothing of its versions may be missing.
    keyed: Option<(BTreeSet<AgentId>, Versions)>,
    keys: BTreeMap<String, Key>,
    /// How often keys were dropped here, and whether they have not all come anew since.
    dropped: u64,
    lacks_keys: bool,
    /// Whether something was ever kept here that lets in whoever has it.
    had_keys: bool,
    /// Whether home has welcomed this machine on a link that goes on.
    is_welcome: bool,
    /// Counts links: what is not sent on the present one counts no more.
    link: u64,
    is_paused: bool,
    is_over: bool,
    /// Who answers what home asks.
    ears: Option<mpsc::UnboundedSender<Tell>>,
    /// Since when home has heard nothing of what is written here.
    cut: Option<Cut>,
    /// Runs of which something was written here that home has not heard.
    ahead: BTreeSet<RunId>,
    /// How often home has heard all of a run.
    drained: BTreeMap<RunId, u64>,
    /// Whether the mirror has not all yet of what home has heard.
    is_settling: bool,
}

impl Calls {
    /// Nothing was said yet. The mirror has all up to an entry; of these runs home has not heard all.
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

    /// There is a line again: nothing is written here any more. Home hears first what was, before anything else is said.
    pub(crate) async fn comes_back(&self) {
        let _nobody = self.gate.write().await;
        self.down.send_replace(None);
    }

    /// What was written here goes from the mirror: all of it comes anew from home, and nothing is begun or written before. Who
    /// works on one of these runs knows that before the first of it is gone.
    pub(crate) fn settles(&self) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.is_settling |= !state.ahead.is_empty();
        for run in &state.ahead {
            *state.drained.entry(*run).or_default() += 1;
        }
    }

    /// Home has heard all that was written here.
    pub(crate) fn is_drained(&self) {
        self.state.lock().ahead.clear();
    }

    /// Whether the mirror has not all yet of what home has heard.
    pub(crate) fn is_settling(&self) -> bool {
        self.state.lock().is_settling
    }

    pub(crate) fn is_settled(&self) {
        self.state.lock().is_settling = false;
        self.moved();
    }

    /// Says something that was written here while the line was cut, and waits for the answer.
    ///
    /// # Errors
    /// When the line is cut again.
    pub(crate) async fn says_late(
        &self,
        line: &Sender,
        run: RunId,
        mut words: Value,
    ) -> Result<Result<Value, Refusal>, LinkError> {
        words[LATE] = Value::Bool(true);
        let Some((command, _, told)) = self.keep(Some(run), words) else {
            return Ok(Err(over()));
        };
        let _open = Open { calls: self, number: command.number };
        line.send(Frame::Command(command)).await?;
        tokio::select! {
            biased;
            heard = told => Ok(heard.map_or_else(|_| Err(over()), |(_, answer)| answer)),
            why = line.over() => Err(why),
        }
    }

    /// There is a link: what was not answered is said once more, in its order.
    pub(crate) async fn linked(&self, line: &Sender) {
        let open: Vec<Command> = {
            let mut state = self.state.lock();
            state.line = Some(line.clone());
            state.cut = None;
            state.open.values().map(|(command, _)| command.clone()).collect()
        };
        self.down.send_replace(None);
        for command in open {
            // ok: where the link is cut again, it is said at the next.
            if line.send(Frame::Command(command)).await.is_err() {
                return;
            }
        }
    }

    /// There is none any more.
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

    /// Nothing is said any more.
    pub(crate) fn close(&self) {
        {
            let mut state = self.state.lock();
            state.is_over = true;
            state.open.clear();
        }
        self.moved();
    }

    /// Home has answered.
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
            Outcome::Kept => (0, Err(Refusal::new("run_fenced", "home goes on without this host"))),
        };
        // ok: nobody waits for it any more.
        let _ = tell.send(heard);
    }

    /// Home asks something. Gives it back where nobody works here yet who could answer.
    pub(crate) fn heard(&self, tell: Tell) -> Result<(), Tell> {
        match &self.state.lock().ears {
            Some(ears) => ears.send(tell).map_err(|back| back.0),
            None => Err(tell),
        }
    }

    /// The mirror has all up to an entry.
    pub(crate) fn has(&self, seq: u64) {
        self.laid.send_replace(seq);
        self.moved();
    }

    /// These agents work here.
    pub(crate) fn are(&self, agents: &BTreeSet<AgentId>) {
        {
            let mut state = self.state.lock();
            state.agents.clone_from(agents);
            state.has_come();
        }
        self.moved();
    }

    /// A link begins: home says anew what its agents may have here.
    pub(crate) fn anew(&self) {
        let mut state = self.state.lock();
        state.link += 1;
        state.is_welcome = true;
    }

    /// These agents need these versions, and nothing else.
    pub(crate) fn keyed(&self, agents: BTreeSet<AgentId>, versions: Versions) {
        {
            let mut state = self.state.lock();
            let link = state.link;
            // What was taken back while the line was cut is not sent on this one.
            state.keys.retain(|_, key| key.link == link);
            state.keyed = Some((agents, versions));
            state.has_come();
        }
        self.moved();
    }

    /// A key has come.
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

    /// A key is taken back.
    pub(crate) fn forget_key(&self, handle: &str) {
        self.state.lock().keys.remove(handle);
        self.moved();
    }

    /// All keys are taken back: this machine is not let in any more.
    pub(crate) fn forget_keys(&self) {
        {
            let mut state = self.state.lock();
            state.keys.clear();
            state.lets_go();
        }
        self.moved();
    }

    /// Whether anything that lets in whoever has it was ever kept in this process, which may have copies of it still.
    pub(crate) fn had_keys(&self) -> bool {
        self.state.lock().had_keys
    }

    /// Whether there is no line, and something is kept here that lets in whoever has it.
    pub(crate) fn keeps_keys_alone(&self) -> bool {
        let state = self.state.lock();
        !state.is_welcome && state.keys.keys().any(|handle| lets_in(handle))
    }

    /// Drops what lets in whoever has it, where the line has been cut for so long. Says whether it was.
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

    /// Whether no new work is begun.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.state.lock().is_paused = is_paused;
        self.moved();
    }

    /// Says something, and waits for the answer.
    async fn ask(&self, about: Option<RunId>, words: Value) -> Result<Heard, Refusal> {
        let (command, line, told) = self.keep(about, words).ok_or_else(over)?;
        if let Some(line) = line {
            // ok: where the link is cut, it is said at the next.
            let _ = line.send(Frame::Command(command)).await;
        }
        told.await.map_err(|_| over())
    }

    fn moved(&self) {
        self.moves.send_modify(|count| *count += 1);
    }

    /// Keeps something until it is answered. None when nothing is said any more.
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
        let (tell, told) = oneshot::channel();
        state.open.insert(number, (command.clone(), tell));
        Some((command, state.line.clone(), told))
    }
}

impl Calls {
    /// Says words about a run until they are answered, and the mirror has what was written before that.
    async fn hears(&self, run: Option<RunId>, words: Value) -> Result<Value, Refusal> {
        let (seq, answer) = self.ask(run, words).await?;
        // ok: the sender is part of what is waited on, so it is there.
        let _ = self.laid.subscribe().wait_for(|laid| seq <= *laid).await;
        answer
    }

    /// The same; nothing once the line has been cut for longer than a run waits.
    async fn tries_to(&self, run: RunId, words: Value) -> Option<Result<Value, Refusal>> {
        let Some((command, line, mut told)) = self.keep(Some(run), words) else {
            return Some(Err(over()));
        };
        let _open = Open { calls: self, number: command.number };
        let gone = self.gone(run);
        tokio::pin!(gone);
        if let Some(line) = line {
            // ok: where the link is cut, it is said at the next.
            let _ = line.send(Frame::Command(command)).await;
        }
        let heard = tokio::select! {
            biased;
            heard = &mut told => heard,
            () = &mut gone => return None,
        };
        let Ok((seq, answer)) = heard else { return Some(Err(over())) };
        let mut laid = self.laid.subscribe();
        let there = async {
            // ok: the sender is part of what is waited on, so it is there.
            let _ = laid.wait_for(|laid| answer.is_err() || seq <= *laid).await;
        };
        tokio::select! {
            biased;
            () = there => Some(answer.clone()),
            // Home has it, and the mirror has not: it is written here, too, and home knows it again.
            () = &mut gone => None,
        }
    }

    /// Waits until the line has been cut for longer than a run waits for it, and the mirror has all that home has heard.
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
                // ok: the senders are part of what is waited on, so they are there.
                _ = down.changed() => {}
                _ = moves.changed() => {}
                () = is_cut => return,
            }
        }
    }

    /// How long a run waits for the line: not at all where home has not heard yet what it wrote before.
    fn patience(&self, run: RunId) -> Duration {
        if self.state.lock().ahead.contains(&run) { Duration::ZERO } else { self.patience }
    }

    /// For how long the line is cut, when that is long enough for a run.
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

/// Something that is said and not answered yet; who waits no longer for the answer says it no more.
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
    /// Whether all is here that the agents need.
    fn is_keyed(&self) -> bool {
        let Some((agents, versions)) = &self.keyed else { return false };
        let is_here = |(handle, version): (&String, &u64)| {
            self.keys.get(handle).is_some_and(|key| key.version == *version)
        };
        *agents == self.agents && versions.iter().all(is_here)
    }

    /// Keys were dropped: nothing that may need one is begun before all have come anew.
    fn lets_go(&mut self) {
        self.keyed = None;
        self.dropped += 1;
        self.lacks_keys = true;
    }

    /// Something that home sends has come: it may be all that was dropped.
    fn has_come(&mut self) {
        self.lacks_keys &= !self.is_keyed();
    }
}

fn over() -> Refusal {
    Refusal::new("stopping", "this program is about to end")
}

fn garbled(_: serde_json::Error) -> Refusal {
    Refusal::new("garbled", "what home answered cannot be understood")
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
        state.said += 1;
        json!({ "nonce": format!("{}.{}", self.life, state.said), "what": what })
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
        // Who works with keys that were dropped is taken up anew, too.
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
            // ok: what cannot be told as it is said is written at the end of its step.
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
