//! Desks do things, one after the other, each with its part of the ledger. A writer asks for what its
//! desk wants until it is answered, across as many ends of the program as it takes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::api::{Again, Answer, Api, Ask, Came};
use super::dice::Dice;

/// How long anything may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// What somebody does, and what must be there afterwards.
pub trait Desk: Send {
    fn name(&self) -> &'static str;
    /// All kinds of things that it does.
    fn kinds(&self) -> &'static [&'static str];
    /// How often it has done what.
    fn tally(&self) -> &Tally;
    /// What is done next; it remembers what that is. `name` is used once.
    fn next(&mut self, dice: &mut Dice, name: &str) -> Ask;
    /// Writes down what was answered to that.
    fn done(&mut self, answer: &Answer);
    /// Whether it holds up what others wait for, so that it must go on until it does not.
    fn holds_others(&self) -> bool {
        false
    }
    /// Whether it had happened although no answer came; gives what would have been answered.
    fn look<'a>(&'a mut self, _api: &'a Api<'_>) -> BoxFuture<'a, Option<Answer>> {
        panic!("{} has nothing to look for", self.name())
    }
    /// Compares the latest records, or all, with the ledger.
    fn check<'a>(&'a self, api: &'a Api<'_>, latest: usize) -> BoxFuture<'a, ()>;
    /// Waits for what goes on by itself and compares all of it. No desk does anything any more.
    fn finish<'a>(&'a mut self, api: &'a Api<'_>) -> BoxFuture<'a, ()> {
        self.check(api, usize::MAX)
    }
    /// Compares the stores with the ledger, after all. The program has ended.
    fn closed(&self, _data: &Path) {}
}

/// How often each kind of thing was done.
#[derive(Default)]
pub struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    /// One of the things that can be done now, rather what was never done.
    pub fn choose(&self, dice: &mut Dice, possible: &[&'static str]) -> &'static str {
        let fresh = possible.iter().find(|kind| !self.0.contains_key(*kind));
        // What is refused again and again must not keep everything else from being done.
        let fresh = fresh.filter(|_| dice.below(2) == 0).copied();
        fresh.unwrap_or_else(|| *dice.one(possible))
    }

    pub fn count(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// Counts what another has counted, too.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// How often.
    pub fn of(&self, kind: &str) -> usize {
        self.0.get(kind).copied().unwrap_or(0)
    }

    pub fn words(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        words.join(", ")
    }
}

/// Something that no answer has come to.
struct Pending {
    ask: Ask,
    key: String,
    /// What was answered before the program went away, if that is known.
    first: Option<Answer>,
    why: String,
}

/// A desk at work.
pub struct Writer {
    pub desk: Box<dyn Desk>,
    dice: Dice,
    acts: usize,
    pending: Option<Pending>,
    /// What was asked and answered last, for whoever reads of a fault.
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

    /// Does one thing; says whether it was answered.
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
                // What was refused has changed nothing, and may be done once nothing is in its way any more.
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

    /// Gets an answer to what was cut off. The program runs and is left alone.
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

    /// Does what was never done, if anything was not, and holds nobody up in the end.
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
                // One that is held up keeps others waiting for what it does.
                let consumers = api.get("/api/v1/consumers").await;
                panic!(
                    "{name} never comes to {untried:?}, but: {words}\nlast: {last}\n{consumers:#}"
                );
            }
            // Some things can be done only when others have come to rest, which takes as long as the
            // machine is slow: the longer it has taken, the more time they get.
            let pause = (began.elapsed() / 100).max(Duration::from_millis(10));
            tokio::time::sleep(pause).await;
            assert!(self.step(api).await, "a program that is left alone answers");
        }
    }
}
