//! The way from home to a host that is linked: home asks there what only the host knows or can do, and waits a while for the
//! answer. A program that is no home has no hosts, and asks nobody.

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

/// Home waits so long for the next piece of an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The code of the refusal where the host is not linked, or its line was cut meanwhile.
pub const SILENT: &str = "host_silent";
/// The code of the refusal where it is linked and does not answer.
pub const MUTE: &str = "host_mute";
/// An answer goes in pieces of so many bytes; quoted, each stays below the longest message of a link.
const PIECE: usize = 256 * 1024;
/// A machine that did not answer is not asked for the same again so soon.
const MUTED: Duration = Duration::from_secs(5);
/// No answer is longer.
const MOST: usize = 64 * 1024 * 1024;
/// So many questions may wait for the line.
const WAITING: usize = 64;
/// So many packs are kept while they are given out.
const PACKS: usize = 4;
/// And no more bytes of them, unless one alone has more.
const PACKED: usize = 256 << 20;

/// Something that home asks a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tell {
    /// What tells it apart from all else that is asked.
    pub number: String,
    /// What is asked.
    pub what: Value,
}

/// What home wants done, as it stands in a control message.
const DO: &str = "tell";

impl Tell {
    /// The same as it goes over the line.
    #[must_use]
    pub fn said(&self) -> Value {
        json!({ "do": DO, "number": self.number, "what": self.what })
    }

    /// What is asked, if that is what is said.
    #[must_use]
    pub fn of(said: &Value) -> Option<Self> {
        if said["do"].as_str() != Some(DO) {
            return None;
        }
        // ok: what cannot be read is not answered, and home waits no longer than it wants to.
        Self::deserialize(said).ok()
    }
}

/// A piece of what a host answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What was asked.
    pub number: String,
    /// Some of the answer, which is JSON.
    pub piece: String,
    /// Whether more comes.
    pub more: bool,
}

impl Told {
    /// An answer in the pieces in which it goes.
    #[must_use]
    pub fn all(number: &str, answer: &Result<Value, Refusal>) -> Vec<Self> {
        let said = match answer {
            Ok(answer) => json!({ "answer": answer }),
            Err(refusal) => json!({ "refusal": refusal }),
        };
        let text = said.to_string();
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

/// Reads an answer of which all pieces are there.
fn read(text: &str) -> Result<Value, Refusal> {
    let garbled =
        || Refusal::new("garbled", "what the other machine answered cannot be understood");
    let mut said: Value = serde_json::from_str(text).map_err(|_| garbled())?;
    match said.get_mut("refusal").map(Value::take) {
        Some(refusal) => Err(serde_json::from_value(refusal).unwrap_or_else(|_| garbled())),
        None => Ok(said["answer"].take()),
    }
}

/// A file that stays on the machine where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stays {
    pub path: String,
    /// Why, as a sentence without its end: "it is larger than 25 MiB".
    pub why: String,
}

/// What home has seen last of the files of an agent on another machine.
#[derive(Clone, Debug)]
pub struct Look {
    pub at: Instant,
    /// Where the branch stands there.
    pub head: CommitId,
    /// What lies there, as a commit.
    pub now: CommitId,
    /// Whether a folder here holds just that.
    pub is_laid: bool,
    /// How many files stay there: they are too large, or must not get into a commit.
    pub left_out: usize,
    /// The first of them, with why.
    pub stays: Vec<Stays>,
}

/// What home has seen last, of each agent whose files lie on another machine, and packs of files on their way. Kept in
/// memory alone.
#[derive(Default)]
pub struct Looks {
    seen: Mutex<HashMap<AgentId, Look>>,
    packs: Mutex<Packs>,
    owed: Mutex<BTreeSet<AgentId>>,
    mute: Mutex<HashMap<AgentId, (Instant, String)>>,
}

/// What a pack is of: a commit, beside what the other side has.
pub type Packed = (CommitId, Option<CommitId>);

/// Packs that are given out, the one that was asked for last at the end.
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

    /// Keeps one, and drops those that nobody has asked for longest where there are too many.
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
    /// What was seen last of an agent's files.
    #[must_use]
    pub fn last(&self, agent: AgentId) -> Option<Look> {
        self.seen.lock().get(&agent).cloned()
    }

    /// Notes what is seen now.
    pub fn note(&self, agent: AgentId, look: Look) {
        self.mute.lock().remove(&agent);
        self.seen.lock().insert(agent, look);
    }

    /// Forgets an agent; says whether anything was seen of it.
    #[must_use]
    pub fn forget(&self, agent: AgentId) -> bool {
        self.seen.lock().remove(&agent).is_some()
    }

    /// What was seen is not what is there any more.
    pub fn is_over(&self, agent: AgentId) {
        if let Some(look) = self.seen.lock().get_mut(&agent) {
            look.is_laid = false;
        }
    }

    /// The machine of an agent shows nothing of its files now, for a reason.
    pub fn is_mute(&self, agent: AgentId, why: String) {
        self.mute.lock().insert(agent, (Instant::now(), why));
    }

    /// The reason why it showed nothing a moment ago, if it did not.
    #[must_use]
    pub fn mute(&self, agent: AgentId) -> Option<String> {
        let mut mute = self.mute.lock();
        mute.retain(|_, (at, _)| at.elapsed() < MUTED);
        mute.get(&agent).map(|(_, why)| why.clone())
    }

    /// A pack that is given out piece by piece: it is made once, also while some others are given out.
    ///
    /// # Errors
    /// What making it comes to.
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

    /// All of a pack has been given out.
    pub fn is_out(&self, of: Packed) {
        self.packs.lock().forget(of);
    }

    /// Commits of these agents may not be at home yet.
    pub fn owe(&self, agents: impl IntoIterator<Item = AgentId>) {
        self.owed.lock().extend(agents);
    }

    /// Whether there are such.
    #[must_use]
    pub fn owes(&self) -> bool {
        !self.owed.lock().is_empty()
    }

    /// Takes them, to bring their commits home.
    #[must_use]
    pub fn take_owed(&self) -> BTreeSet<AgentId> {
        std::mem::take(&mut *self.owed.lock())
    }
}

/// Who answers home on a host; the engine gives it.
pub trait Hears: Send + Sync {
    /// Answers what home asks.
    fn hear(&self, what: Value) -> Answered<'static>;
}

/// Questions to one host: those that wait for the line, and those that wait for their answer.
pub(crate) struct Questions {
    out: mpsc::Sender<Tell>,
    open: Mutex<HashMap<String, mpsc::UnboundedSender<Told>>>,
}

/// Questions on their way to the line.
pub(crate) type Out = mpsc::Receiver<Tell>;

impl Questions {
    /// None yet, and where they come out that are asked.
    pub(crate) fn new() -> (Self, Out) {
        let (out, waiting) = mpsc::channel(WAITING);
        (Self { out, open: Mutex::default() }, waiting)
    }

    /// Asks, and waits at most `patience` for each piece of the answer.
    pub(crate) async fn ask(&self, tell: Tell, patience: Duration) -> Result<Value, Refusal> {
        let (piece, mut pieces) = mpsc::unbounded_channel();
        let _open = Open::new(self, tell.number.clone(), piece);
        let sent = tokio::time::timeout(patience, self.out.send(tell)).await;
        sent.map_err(|_| mute())?.map_err(|_| silent())?;
        let mut text = String::new();
        loop {
            let waited = tokio::time::timeout(patience, pieces.recv()).await;
            let told: Told = waited.map_err(|_| mute())?.ok_or_else(silent)?;
            if MOST < text.len() + told.piece.len() {
                return Err(Refusal::new("too_long", "the answer is longer than it may be"));
            }
            text.push_str(&told.piece);
            if !told.more {
                return read(&text);
            }
        }
    }

    /// A piece of an answer has come; what nobody waits for any more is dropped.
    pub(crate) fn told(&self, told: Told) {
        if let Some(wait) = self.open.lock().get(&told.number) {
            // ok: whoever asked has gone away a moment ago.
            let _ = wait.send(told);
        }
    }

    /// The line is gone: nothing of what is open is answered any more.
    pub(crate) fn close(&self) {
        self.open.lock().clear();
    }
}

/// A question that waits for its answer, until this is dropped.
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

/// The host is not linked.
pub(crate) fn silent() -> Refusal {
    Refusal::new(SILENT, "the other machine is not linked")
}

fn mute() -> Refusal {
    let words = "the other machine is linked and does not answer; its program may be busy, or older than this one";
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
        assert_eq!(Tell::of(&tell("a").said()), Some(tell("a")));
        assert_eq!(Tell::of(&json!({ "do": "pause" })), None);
        assert_eq!(Tell::of(&json!({ "do": "tell", "number": 7 })), None);
    }

    #[test]
    fn a_long_answer_goes_in_pieces_and_is_one_again() {
        let long = json!("é\"".repeat(PIECE));
        let all = Told::all("a", &Ok(long.clone()));
        assert!(3 <= all.len(), "{}", all.len());
        assert!(all.iter().all(|told| told.piece.len() <= PIECE));
        assert_eq!(all.iter().filter(|told| !told.more).count(), 1);
        let text: String = all.iter().map(|told| told.piece.as_str()).collect();
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
        // The first was asked for a moment ago: the second goes.
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
            questions.told(Told { number: "stranger".into(), piece: "7".into(), more: false });
            for told in Told::all(&first.number, &Ok(json!("here"))) {
                questions.told(told);
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
