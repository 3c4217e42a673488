//! Requests from the primary to a linked host. The primary asks a host for files and actions that only the host has,
//! and waits a limited time for each part of the response. A process that is not a primary has no hosts.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use git::CommitId;
use kernel::AgentId;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::upstream::{Answered, Refusal};

/// Timeout for the next part of a response.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Refusal code: the host is not linked, or the link broke during the request.
pub const SILENT: &str = "host_silent";
/// Refusal code: the host is linked and does not respond.
pub const MUTE: &str = "host_mute";
/// Bytes per part of a response. Quoted as JSON, a part stays below the maximum size of a link message.
const PIECE: usize = 256 * 1024;
/// After a timeout, the same request is not repeated for this time.
const MUTED: Duration = Duration::from_secs(5);
/// Maximum length of a response in bytes.
const MOST: usize = 64 * 1024 * 1024;
/// Capacity of the queue of requests to a link.
const WAITING: usize = 64;
/// Maximum number of cached packs.
const PACKS: usize = 4;
/// Maximum total size of cached packs in bytes. A single pack may be larger.
const PACKED: usize = 256 << 20;

/// A request from the primary to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tell {
    /// Unique id of the request.
    pub number: String,
    pub what: Value,
}

/// Value of `do` in the control message.
const DO: &str = "tell";

impl Tell {
    /// Encodes the request.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "do": DO, "number": self.number, "what": self.what })
    }

    /// Decodes a request; `None` if the message is of another kind.
    #[must_use]
    pub fn of(message: &Value) -> Option<Self> {
        if message["do"].as_str() != Some(DO) {
            return None;
        }
        // ok: an unreadable request gets no response, and the primary times out.
        Self::deserialize(message).ok()
    }
}

/// A part of a host's response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Id of the request.
    pub number: String,
    /// A part of the JSON text of the response.
    pub piece: String,
    /// Whether more parts follow.
    pub more: bool,
}

impl Told {
    /// Splits a response into parts.
    #[must_use]
    pub fn all(number: &str, answer: &Result<Value, Refusal>) -> Vec<Self> {
        let message = match answer {
            Ok(answer) => json!({ "answer": answer }),
            Err(refusal) => json!({ "refusal": refusal }),
        };
        let text = message.to_string();
        let (mut all, mut rest) = (Vec::new(), text.as_str());
        loop {
            let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE));
            let more = !behind.is_empty();
            all.push(Self { number: number.to_owned(), piece: piece.to_owned(), more });
            if !more {
                return all;
            }
            rest = behind;
        }
    }
}

/// Decodes the complete text of a response.
fn read(text: &str) -> Result<Value, Refusal> {
    let garbled = || Refusal::new("garbled", "the other machine's response is invalid");
    let mut message: Value = serde_json::from_str(text).map_err(|_| garbled())?;
    match message.get_mut("refusal").map(Value::take) {
        Some(refusal) => Err(serde_json::from_value(refusal).unwrap_or_else(|_| garbled())),
        None => Ok(message["answer"].take()),
    }
}

/// A file that remains on its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stays {
    pub path: String,
    /// The reason, as a sentence without a full stop: "it is larger than 25 MiB".
    pub why: String,
}

/// State of a remote agent's files, as the primary last saw it.
#[derive(Clone, Debug)]
pub struct Look {
    pub at: Instant,
    /// Head of the agent's branch on the host.
    pub head: CommitId,
    /// Working files on the host, as a commit.
    pub now: CommitId,
    /// Whether a local folder contains exactly this commit.
    pub is_laid: bool,
    /// Number of files that remain on the host: too large, or excluded from commits.
    pub left_out: usize,
    /// The first of these files, with reasons.
    pub stays: Vec<Stays>,
}

/// Last known state of remote agents' files, and cached packs. In memory only.
#[derive(Default)]
pub struct Looks {
    seen: Mutex<HashMap<AgentId, Look>>,
    packs: Mutex<Packs>,
    owed: Mutex<BTreeSet<AgentId>>,
    mute: Mutex<HashMap<AgentId, (Instant, String)>>,
}

/// Key of a pack: its commit, and the commit that the receiver has.
pub type Packed = (CommitId, Option<CommitId>);

/// Cached packs, least recently used first.
#[derive(Default)]
struct Packs(VecDeque<(Packed, Arc<Vec<u8>>)>);

impl Packs {
    fn find(&mut self, of: Packed) -> Option<Arc<Vec<u8>>> {
        let at = self.0.iter().position(|(kept, _)| *kept == of)?;
        let found = self.0.remove(at)?;
        let pack = Arc::clone(&found.1);
        self.0.push_back(found);
        Some(pack)
    }

    /// Adds a pack and evicts the least recently used ones above the limits.
    fn keep(&mut self, of: Packed, pack: Arc<Vec<u8>>) {
        self.forget(of);
        self.0.push_back((of, pack));
        while 1 < self.0.len() && (PACKS < self.0.len() || PACKED < self.bytes()) {
            self.0.pop_front();
        }
    }

    fn forget(&mut self, of: Packed) {
        self.0.retain(|(kept, _)| *kept != of);
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(_, pack)| pack.len()).sum()
    }
}

impl Looks {
    /// Last known state of an agent's files.
    #[must_use]
    pub fn last(&self, agent: AgentId) -> Option<Look> {
        self.seen.lock().get(&agent).cloned()
    }

    /// Stores the current state of an agent's files.
    pub fn note(&self, agent: AgentId, look: Look) {
        self.mute.lock().remove(&agent);
        self.seen.lock().insert(agent, look);
    }

    /// Forgets an agent's state. Returns whether there was any.
    #[must_use]
    pub fn forget(&self, agent: AgentId) -> bool {
        self.seen.lock().remove(&agent).is_some()
    }

    /// Marks the local folder of an agent as outdated.
    pub fn is_over(&self, agent: AgentId) {
        if let Some(look) = self.seen.lock().get_mut(&agent) {
            look.is_laid = false;
        }
    }

    /// Records that the host does not show the agent's files now, with the reason.
    pub fn is_mute(&self, agent: AgentId, why: String) {
        self.mute.lock().insert(agent, (Instant::now(), why));
    }

    /// The reason, if the host failed to show the agent's files a moment ago.
    #[must_use]
    pub fn mute(&self, agent: AgentId) -> Option<String> {
        let mut mute = self.mute.lock();
        mute.retain(|_, (at, _)| at.elapsed() < MUTED);
        mute.get(&agent).map(|(_, why)| why.clone())
    }

    /// Returns a pack for transfer in parts. `make` runs only if the pack is not cached.
    pub fn pack<E>(
        &self,
        of: Packed,
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Arc<Vec<u8>>, E> {
        let known = self.packs.lock().find(of);
        if let Some(pack) = known {
            return Ok(pack);
        }
        let pack = Arc::new(make()?);
        self.packs.lock().keep(of, Arc::clone(&pack));
        Ok(pack)
    }

    /// Removes a pack after its last part was sent.
    pub fn is_out(&self, of: Packed) {
        self.packs.lock().forget(of);
    }

    /// Records agents whose commits may be missing on the primary.
    pub fn owe(&self, agents: impl IntoIterator<Item = AgentId>) {
        self.owed.lock().extend(agents);
    }

    /// Whether commits may be missing.
    #[must_use]
    pub fn owes(&self) -> bool {
        !self.owed.lock().is_empty()
    }

    /// Takes the recorded agents, to fetch their commits.
    #[must_use]
    pub fn take_owed(&self) -> BTreeSet<AgentId> {
        std::mem::take(&mut *self.owed.lock())
    }
}

/// Handles requests of the primary on a host. The engine provides the implementation.
pub trait Hears: Send + Sync {
    fn hear(&self, what: Value) -> Answered<'static>;
}

/// Requests to one host: those queued for the link, and those that wait for a response.
pub(crate) struct Questions {
    out: mpsc::Sender<Tell>,
    open: Mutex<HashMap<String, mpsc::UnboundedSender<Told>>>,
}

/// Receiver of requests that are queued for the link.
pub(crate) type Out = mpsc::Receiver<Tell>;

impl Questions {
    /// Creates an empty set of requests, and the receiver of queued ones.
    pub(crate) fn new() -> (Self, Out) {
        let (out, waiting) = mpsc::channel(WAITING);
        (Self { out, open: Mutex::default() }, waiting)
    }

    /// Sends a request. Waits at most `patience` for each part of the response.
    pub(crate) async fn ask(&self, tell: Tell, patience: Duration) -> Result<Value, Refusal> {
        let (piece, mut pieces) = mpsc::unbounded_channel();
        let _open = Open::new(self, tell.number.clone(), piece);
        let sent = tokio::time::timeout(patience, self.out.send(tell)).await;
        sent.map_err(|_| mute())?.map_err(|_| silent())?;
        let mut text = String::new();
        loop {
            let waited = tokio::time::timeout(patience, pieces.recv()).await;
            let part: Told = waited.map_err(|_| mute())?.ok_or_else(silent)?;
            if MOST < text.len() + part.piece.len() {
                return Err(Refusal::new("too_long", "the response is too long"));
            }
            text.push_str(&part.piece);
            if !part.more {
                return read(&text);
            }
        }
    }

    /// Delivers a part of a response. Drops it if the request has ended.
    pub(crate) fn deliver(&self, part: Told) {
        if let Some(wait) = self.open.lock().get(&part.number) {
            // ok: the request has just ended.
            let _ = wait.send(part);
        }
    }

    /// Ends all open requests after the link broke.
    pub(crate) fn close(&self) {
        self.open.lock().clear();
    }
}

/// An open request. Dropping it closes the request.
struct Open<'q> {
    questions: &'q Questions,
    number: String,
}

impl<'q> Open<'q> {
    fn new(questions: &'q Questions, number: String, piece: mpsc::UnboundedSender<Told>) -> Self {
        questions.open.lock().insert(number.clone(), piece);
        Self { questions, number }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.questions.open.lock().remove(&self.number);
    }
}

pub(crate) fn silent() -> Refusal {
    Refusal::new(SILENT, "the other machine isn't connected")
}

fn mute() -> Refusal {
    let words = "the other machine is connected but doesn't respond; its program may be busy, or \
        older than this one";
    Refusal::new(MUTE, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::TypedId as _;

    fn tell(number: &str) -> Tell {
        Tell { number: number.to_owned(), what: json!({ "files": 7 }) }
    }

    #[test]
    fn what_is_asked_is_known_again_and_nothing_else_is_taken_for_it() {
        assert_eq!(Tell::of(&tell("a").to_json()), Some(tell("a")));
        assert_eq!(Tell::of(&json!({ "do": "pause" })), None);
        assert_eq!(Tell::of(&json!({ "do": "tell", "number": 7 })), None);
    }

    #[test]
    fn a_long_answer_goes_in_pieces_and_is_one_again() {
        let long = json!("é\"".repeat(PIECE));
        let all = Told::all("a", &Ok(long.clone()));
        assert!(3 <= all.len(), "{}", all.len());
        assert!(all.iter().all(|part| part.piece.len() <= PIECE));
        assert_eq!(all.iter().filter(|part| !part.more).count(), 1);
        let text: String = all.iter().map(|part| part.piece.as_str()).collect();
        assert_eq!(read(&text), Ok(long));
        let refusal = Refusal::new("file_changed", "it was changed");
        let all = Told::all("a", &Err(refusal.clone()));
        assert_eq!(read(&all[0].piece), Err(refusal));
        assert!(read("nonsense").is_err_and(|refusal| refusal.code == "garbled"));
    }

    #[test]
    fn a_pack_is_made_once_until_all_of_it_is_out() {
        let (looks, of) = (Looks::default(), (CommitId::from_bytes([7; 20]), None));
        let made = std::cell::Cell::new(0);
        let make = || {
            made.set(made.get() + 1);
            Ok::<_, ()>(vec![made.get()])
        };
        assert_eq!(*looks.pack(of, make).unwrap(), [1]);
        assert_eq!(*looks.pack(of, make).unwrap(), [1]);
        looks.is_out((CommitId::from_bytes([8; 20]), None));
        assert_eq!(*looks.pack(of, make).unwrap(), [1]);
        looks.is_out(of);
        assert_eq!(*looks.pack(of, make).unwrap(), [2]);
    }

    #[test]
    fn some_packs_are_given_out_at_once_and_the_oldest_goes() {
        let (looks, made) = (Looks::default(), std::cell::Cell::new(0));
        let ask = |n: u8| {
            let make = || {
                made.set(made.get() + 1);
                Ok::<_, ()>(vec![n])
            };
            *looks.pack((CommitId::from_bytes([n; 20]), None), make).unwrap() == [n]
        };
        for _ in 0..3 {
            assert!((1..=4).all(ask), "each has its own");
        }
        assert_eq!(made.get(), 4, "each is made once");
        // Pack 1 was requested last, so pack 2 is evicted.
        assert!(ask(1) && ask(5) && ask(1));
        assert_eq!(made.get(), 5);
        assert!(ask(2));
        assert_eq!(made.get(), 6);
        assert!(looks.packs.lock().0.len() <= PACKS);
    }

    #[test]
    fn what_was_seen_is_forgotten_and_what_is_owed_is_taken_once() {
        let (looks, agent) = (Looks::default(), AgentId::from_bytes([5; 16]));
        let id = CommitId::from_bytes([7; 20]);
        let look = Look {
            at: Instant::now(),
            head: id,
            now: id,
            is_laid: true,
            left_out: 0,
            stays: Vec::new(),
        };
        looks.note(agent, look);
        looks.is_over(agent);
        assert!(looks.last(agent).is_some_and(|look| !look.is_laid));
        assert!(looks.forget(agent) && !looks.forget(agent));
        looks.owe([agent, agent]);
        assert!(looks.owes());
        assert_eq!(looks.take_owed(), BTreeSet::from([agent]));
        assert!(!looks.owes());
    }

    #[tokio::test]
    async fn an_answer_finds_who_asked_and_a_cut_line_tells_them_at_once() {
        let (questions, mut out) = Questions::new();
        let answers = async {
            let first = out.recv().await.unwrap();
            questions.deliver(Told { number: "stranger".into(), piece: "7".into(), more: false });
            for part in Told::all(&first.number, &Ok(json!("here"))) {
                questions.deliver(part);
            }
            out.recv().await.unwrap();
            questions.close();
        };
        let asks = async {
            let first = questions.ask(tell("a"), PATIENCE).await;
            (first, questions.ask(tell("b"), PATIENCE).await)
        };
        let ((), (first, second)) = tokio::join!(answers, asks);
        assert_eq!(first, Ok(json!("here")));
        assert!(second.is_err_and(|refusal| refusal.code == SILENT));
        drop(out);
        let gone = questions.ask(tell("c"), PATIENCE).await;
        assert!(gone.is_err_and(|refusal| refusal.code == SILENT));
    }

    #[tokio::test]
    async fn who_does_not_answer_is_waited_for_a_while() {
        let (questions, _out) = Questions::new();
        let mute = questions.ask(tell("a"), Duration::from_millis(1)).await;
        assert!(mute.is_err_and(|refusal| refusal.code == MUTE));
        assert!(questions.open.lock().is_empty());
    }
}
