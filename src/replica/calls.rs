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
    open: BTreeMap<u64, (Command, oneshot::Sender<Heard>)>,
    line: Option<Sender>,
    agents: BTreeSet<AgentId>,
    /// What home has sent for which agents, as it said last: nothing of its versions may be missing.
    keyed: Option<(BTreeSet<AgentId>, Versions)>,
    keys: BTreeMap<String, Key>,
    /// Counts links: what is not sent on the present one counts no more.
    link: u64,
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

    /// A link begins: home says anew what its agents may have here.
    pub(crate) fn anew(&self) {
        self.state.lock().link += 1;
    }

    /// These agents need these versions, and nothing else.
    pub(crate) fn keyed(&self, agents: BTreeSet<AgentId>, versions: Versions) {
        {
            let mut state = self.state.lock();
            let link = state.link;
            // What was taken back while the line was cut is not sent on this one.
            state.keys.retain(|_, key| key.link == link);
            state.keyed = Some((agents, versions));
        }
        self.moved();
    }

    /// A key has come.
    pub(crate) fn take_key(&self, handle: String, version: u64, value: Zeroizing<String>) {
        {
            let mut state = self.state.lock();
            let link = state.link;
            state.keys.insert(handle, Key { version, value, link });
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
            state.keyed = None;
        }
        self.moved();
    }

    /// Whether no new work is begun.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.state.lock().is_paused = is_paused;
        self.moved();
    }

    /// Says something, and waits for the answer.
    async fn ask(&self, about: Option<RunId>, what: Value) -> Result<Heard, Refusal> {
        let (command, line, told) = self.keep(about, what).ok_or_else(over)?;
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

impl State {
    /// Whether all is here that the agents need.
    fn is_keyed(&self) -> bool {
        let Some((agents, versions)) = &self.keyed else { return false };
        let is_here = |(handle, version): (&String, &u64)| {
            self.keys.get(handle).is_some_and(|key| key.version == *version)
        };
        *agents == self.agents && versions.iter().all(is_here)
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
            let (seq, answer) = self.ask(about, what).await?;
            // ok: the sender is part of what is waited on, so it is there.
            let _ = self.laid.subscribe().wait_for(|laid| seq <= *laid).await;
            answer
        })
    }

    fn asks(&self, what: Value) -> Answered<'_> {
        Box::pin(async move { self.ask(None, what).await?.1 })
    }

    fn agents(&self) -> BTreeSet<AgentId> {
        self.state.lock().agents.clone()
    }

    fn is_paused(&self) -> bool {
        let state = self.state.lock();
        state.is_paused || state.is_over || !state.is_keyed()
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents() -> BTreeSet<AgentId> {
        [AgentId::from_bytes([1; 16])].into()
    }

    fn versions(all: &[(&str, u64)]) -> Versions {
        all.iter().map(|(handle, version)| ((*handle).to_owned(), *version)).collect()
    }

    fn come(calls: &Calls, handle: &str, version: u64) {
        calls.take_key(handle.to_owned(), version, Zeroizing::new(format!("{handle} {version}")));
    }

    #[test]
    fn nothing_is_begun_before_all_keys_are_here_in_their_versions() {
        let calls = Calls::new("life".to_owned(), 0);
        calls.are(&agents());
        assert!(calls.is_paused(), "home has not said yet what they need");
        calls.keyed(agents(), versions(&[("a/0", 7), ("secret/b", 1)]));
        come(&calls, "a/0", 7);
        assert!(calls.is_paused(), "one is missing");
        come(&calls, "secret/b", 2);
        assert!(calls.is_paused(), "one is of another version");
        come(&calls, "secret/b", 1);
        assert!(!calls.is_paused());
        calls.are(&BTreeSet::new());
        assert!(calls.is_paused(), "what was sent was for other agents");
    }

    #[test]
    fn what_was_taken_back_while_the_line_was_cut_is_gone_with_the_next_link() {
        let calls = Calls::new("life".to_owned(), 0);
        calls.anew();
        come(&calls, "a/0", 1);
        come(&calls, "secret/b", 1);
        calls.keyed(agents(), versions(&[("a/0", 1), ("secret/b", 1)]));
        assert_eq!(calls.keys("secret/").len(), 1);
        calls.anew();
        assert!(calls.key("a/0").is_some(), "a run goes on meanwhile");
        come(&calls, "a/0", 1);
        calls.keyed(agents(), versions(&[("a/0", 1)]));
        assert!(calls.key("a/0").is_some_and(|(version, _)| version == 1));
        assert!(calls.key("secret/b").is_none() && calls.keys("secret/").is_empty());
        calls.forget_keys();
        assert!(calls.key("a/0").is_none() && calls.is_paused());
    }

    #[test]
    fn names_are_found_by_how_they_begin() {
        let calls = Calls::new("life".to_owned(), 0);
        for handle in ["secret", "secret/a", "secret/b", "secrets/c"] {
            come(&calls, handle, 1);
        }
        let found = calls.keys("secret/");
        assert_eq!(
            found.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
            ["secret/a 1", "secret/b 1"]
        );
    }
}
