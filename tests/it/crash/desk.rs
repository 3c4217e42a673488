//! Desks run actions in sequence, each with its part of the ledger. A writer repeats its desk's request until it is
//! answered, across any number of program ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::api::{Again, Answer, Api, Ask, Came};
use super::dice::Dice;

/// Time limit for anything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A source of actions, and the checks of their results.
pub trait Desk: Send {
    fn name(&self) -> &'static str;
    /// All kinds of its actions.
    fn kinds(&self) -> &'static [&'static str];
    /// How often it has done each kind.
    fn tally(&self) -> &Tally;
    /// Chooses and remembers the next action. `name` is unique.
    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask;
    /// Records the response to it.
    fn done(&mut self, answer: &Answer);
    /// Whether it blocks others, so that it must continue until it does not.
    fn holds_others(&self) -> bool {
        false
    }
    /// If the action had taken effect without a response, returns what the response would have been.
    fn look<'a>(&'a mut self, _api: &'a Api<'_>) -> BoxFuture<'a, Option<Answer>> {
        panic!("{} has nothing to look for", self.name())
    }
    /// Compares the latest records, or all, with the ledger.
    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()>;
    /// Waits for background work and compares everything. No desk is active any more.
    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        self.check(api, usize::MAX)
    }
    /// Compares the stores with the ledger at the very end. The program has ended.
    fn closed(&self, _data: &Path) {}
}

/// Number of actions of each kind.
#[derive(Default)]
pub struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    /// Chooses a possible action, with preference for kinds that were never done.
    pub fn choose(&self, dice: &mut Dice, possible: &[&'static str]) -> &'static str {
        let fresh = possible.iter().find(|kind| !self.0.contains_key(*kind));
        // A kind that is always refused must not prevent all others.
        let fresh = fresh.filter(|_| dice.below(2) == 0).copied();
        fresh.unwrap_or_else(|| *dice.one(possible))
    }

    pub fn count(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    pub fn of(&self, kind: &str) -> usize {
        self.0.get(kind).copied().unwrap_or(0)
    }

    pub fn words(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        words.join(", ")
    }
}

/// An action without a response.
struct Pending {
    ask: Ask,
    key: String,
    /// The response before the program ended, if known.
    first: Option<Answer>,
    why: String,
}

/// A working desk.
pub struct Writer {
    pub desk: Box<dyn Desk>,
    dice: Dice,
    acts: usize,
    pending: Option<Pending>,
    /// The last request and response, for error messages.
    last: String,
}

impl Writer {
    pub fn new(desk: Box<dyn Desk>, dice: Dice) -> Self {
        Self { desk, dice, acts: 0, pending: None, last: String::new() }
    }

    /// Works until the program is gone.
    pub async fn write(&mut self, api: &Api<'_>) {
        while self.step(api).await {}
    }

    /// Performs one action; returns whether there was a response.
    async fn step(&mut self, api: &Api<'_>) -> bool {
        let (mut pending, repeats) = match self.pending.take() {
            Some(pending) => (pending, true),
            None => {
                self.acts += 1;
                let name = format!("{}-{}", self.desk.name(), self.acts);
                let ask = self.desk.next(&mut self.dice, &name);
                let key = format!("crash-{name}");
                (Pending { ask, key, first: None, why: String::new() }, false)
            }
        };
        match api.send(&pending.ask, &pending.key).await {
            Came::Answer(answer) => {
                let Ask { method, path, body, or, again, .. } = &pending.ask;
                let done = |status| matches!(status, 200..=299 | 303);
                let good = done(answer.status) || or.contains(&answer.status);
                let first = if repeats { "repeated" } else { "for the first time" };
                let (status, text) = (answer.status, &answer.text);
                assert!(good, "{method} {path} {first} answers {status}: {text}\nto {body:?}");
                // A refused request has changed nothing, and may succeed once the obstacle is gone.
                let first =
                    pending.first.filter(|first| *again == Again::Key && done(first.status));
                if let Some(first) = first {
                    let same = first.status == status && first.json["id"] == answer.json["id"];
                    assert!(same, "{method} {path}: first {}, then {text}", first.text);
                }
                let (ask, text) = (&pending.ask, kernel::text::cut(&answer.text, 2_000));
                self.last = format!("{} {}: {status} {text}", ask.method, ask.path);
                self.desk.done(&answer);
                true
            }
            Came::Gone(first, why) => {
                (pending.first, pending.why) = (pending.first.or(first), why);
                self.pending = Some(pending);
                false
            }
        }
    }

    /// Gets a response to the interrupted action. The program keeps running.
    pub async fn settle(&mut self, api: &Api<'_>) {
        let Some(pending) = &self.pending else { return };
        if pending.ask.again == Again::Look
            && let Some(answer) = self.desk.look(api).await
        {
            self.pending = None;
            self.desk.done(&answer);
            return;
        }
        let answered = self.step(api).await;
        let why = self.pending.as_ref().map(|pending| (&pending.ask, &pending.why));
        assert!(answered, "a program that was just started answers: {why:?}");
    }

    /// Performs all kinds that were never done, and ends without blocking others.
    pub async fn complete(&mut self, api: &Api<'_>) {
        let began = Instant::now();
        loop {
            let tally = self.desk.tally();
            let untried: Vec<_> =
                self.desk.kinds().iter().filter(|kind| tally.of(kind) == 0).collect();
            if untried.is_empty() && !self.desk.holds_others() {
                return;
            }
            let (name, words, last) = (self.desk.name(), tally.words(), &self.last);
            if PATIENCE <= began.elapsed() {
                // A blocked consumer may hold up others.
                let consumers = api.get("/api/v1/consumers").await;
                panic!(
                    "{name} never comes to {untried:?}, but: {words}\nlast: {last}\n{consumers:#}"
                );
            }
            // Some actions are possible only after others have settled, which takes long on a slow machine: the longer
            // it has taken, the longer the pause.
            let pause = (began.elapsed() / 100).max(Duration::from_millis(10));
            tokio::time::sleep(pause).await;
            assert!(self.step(api).await, "a program that is left alone answers");
        }
    }
}
