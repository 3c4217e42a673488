//! What the engine here says to home. It is kept until it is answered: a cut line only makes it wait, and what was said twice
//! home does once.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use app::live::Piece;
use app::upstream::{Answered, Refusal, Upstream};
use kernel::{AgentId, RunId, TypedId as _};
use link::Sender;
use link::frame::{Answer, Command, Frame, Outcome, Running};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use zeroize::Zeroizing;

/// An answer, and the entry of the feed up to which the mirror has what was written before it.
type Heard = (u64, Result<Value, Refusal>);

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
}

#[derive(Default)]
struct State {
    last: u64,
    open: BTreeMap<u64, (Command, oneshot::Sender<Heard>)>,
    line: Option<Sender>,
    agents: BTreeSet<AgentId>,
    /// The agents for which all keys are here.
    keyed: Option<BTreeSet<AgentId>>,
    keys: BTreeMap<String, (u64, Zeroizing<String>)>,
    is_paused: bool,
    is_over: bool,
}

impl Calls {
    /// Nothing was said yet. The mirror has all up to an entry.
    pub(crate) fn new(life: String, has: u64) -> Self {
        Self {
            life,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            laid: watch::Sender::new(has),
            moves: watch::Sender::default(),
        }
    }

    /// There is a link: what was not answered is said once more, in its order.
    pub(crate) async fn linked(&self, line: &Sender) {
        let open: Vec<Command> = {
            let mut state = self.state.lock();
            state.line = Some(line.clone());
            state.open.values().map(|(command, _)| command.clone()).collect()
        };
        for command in open {
            // ok: where the link is cut again, it is said at the next.
            if line.send(Frame::Command(command)).await.is_err() {
                return;
            }
        }
    }

    /// There is none any more.
    pub(crate) fn cut(&self) {
        self.state.lock().line = None;
    }

    /// Nothing is said any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        state.open.clear();
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

    /// The mirror has all up to an entry.
    pub(crate) fn has(&self, seq: u64) {
        self.laid.send_replace(seq);
        self.moved();
    }

    /// These agents work here.
    pub(crate) fn are(&self, agents: &BTreeSet<AgentId>) {
        self.state.lock().agents.clone_from(agents);
        self.moved();
    }

    /// All keys are here that these agents need.
    pub(crate) fn keyed(&self, agents: BTreeSet<AgentId>) {
        self.state.lock().keyed = Some(agents);
        self.moved();
    }

    /// A key has come.
    pub(crate) fn take_key(&self, handle: String, version: u64, key: Zeroizing<String>) {
        self.state.lock().keys.insert(handle, (version, key));
    }

    /// A key is taken back.
    pub(crate) fn forget_key(&self, handle: &str) {
        self.state.lock().keys.remove(handle);
    }

    /// Whether no new work is begun.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.state.lock().is_paused = is_paused;
        self.moved();
    }

    fn moved(&self) {
        self.moves.send_modify(|count| *count += 1);
    }

    /// Keeps something until it is answered. None when nothing is said any more.
    fn keep(
        &self,
        about: Option<RunId>,
        what: Value,
    ) -> Option<(Command, Option<Sender>, oneshot::Receiver<Heard>)> {
        let mut state = self.state.lock();
        if state.is_over {
            return None;
        }
        state.last += 1;
        let number = state.last;
        let run = about.unwrap_or_else(|| RunId::from_bytes([0; 16]));
        let body = json!({ "nonce": format!("{}.{number}", self.life), "what": what });
        let command = Command { run, epoch: 0, number, body };
        let (tell, told) = oneshot::channel();
        state.open.insert(number, (command.clone(), tell));
        Some((command, state.line.clone(), told))
    }
}

fn garbled(_: serde_json::Error) -> Refusal {
    Refusal::new("garbled", "what home answered cannot be understood")
}

impl Upstream for Calls {
    fn say(&self, about: Option<RunId>, what: Value) -> Answered<'_> {
        Box::pin(async move {
            let over = || Refusal::new("stopping", "this program is about to end");
            let _turn = match about {
                None => Some(self.turn.lock().await),
                Some(_) => None,
            };
            let (command, line, told) = self.keep(about, what).ok_or_else(over)?;
            if let Some(line) = line {
                // ok: where the link is cut, it is said at the next.
                let _ = line.send(Frame::Command(command)).await;
            }
            let (seq, answer) = told.await.map_err(|_| over())?;
            // ok: the sender is part of what is waited on, so it is there.
            let _ = self.laid.subscribe().wait_for(|laid| seq <= *laid).await;
            answer
        })
    }

    fn agents(&self) -> BTreeSet<AgentId> {
        self.state.lock().agents.clone()
    }

    fn is_paused(&self) -> bool {
        let state = self.state.lock();
        state.is_paused || state.is_over || state.keyed.as_ref() != Some(&state.agents)
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

    fn key(&self, handle: &str) -> Option<Zeroizing<String>> {
        self.state.lock().keys.get(handle).map(|(_, key)| key.clone())
    }
}
