//! Random schedules of messages and runs in one conversation, without a model: messages in every mode, reads, good and
//! bad ends, stops, crashes, restarts, withdrawals, restores. After each step nothing waits without a run; at the end
//! each message was read once, or its author was notified of its fate.
//!
//! `HQ_QUEUE_N` schedules (60) from seed `HQ_QUEUE_SEED`; repeat a failed one with `HQ_QUEUE_N=1`.

use std::collections::BTreeMap;
use std::sync::Arc;

use features::agents::model::Agent;
use features::runs::model::{
    Body, EventKind, Input, InputState, QueueOf, QueueRequest, Run, Session, SessionEvent,
};
use features::runs::queries::{self, queue as reading};
use features::runs::rules::{self, NewInput, RunError, RunWriter, SessionSpec};
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::{
    AccountId, Actor, Cause, DropPolicy, InputId, Outcome, QueueMode, RunState, SessionId,
    SignInId, TypedId as _, Via,
};
use server::{reactions, schema};
use store::{Limits, NoFaults, Options, Range, ReadExt as _, Record as _, Store, WriteTx};

use crate::store::{check, folder_in_memory};

/// Steps per schedule.
const STEPS: u64 = 120;

/// Random choices, reproducible from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let len = u64::try_from(all.len()).expect("a short list");
        (0 < len).then(|| all[usize::try_from(self.below(len)).expect("an index")])
    }
}

struct Scene {
    store: Store,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
    key: String,
    by: AccountId,
    dice: Dice,
    /// Sent inputs in order: text and queue mode.
    sent: BTreeMap<InputId, (String, QueueMode)>,
    /// Inputs that a person moved: they may arrive in another order.
    moved: Vec<InputId>,
}

impl Scene {
    fn open(seed: u64) -> Self {
        let folder = folder_in_memory();
        let clock = Arc::new(ManualClock::at(from_ms(1_700_000_000_000)));
        let options = Options {
            path: folder.path().join("hq.redb"),
            schema: schema::workspace(),
            cache: 4 << 20,
            clock: Arc::clone(&clock) as Arc<dyn kernel::Clock>,
            ids: Arc::new(SeededIds::new(seed)),
            reactor: Some(Arc::new(reactions::react)),
            faults: Arc::new(NoFaults),
        };
        let store = Store::open_with(options, Limits::default()).expect("it opens");
        let by = AccountId::from_bytes([1; 16]);
        let scene = Self {
            store,
            clock,
            _folder: folder,
            key: "agent:ada:main".to_owned(),
            by,
            dice: Dice(seed),
            sent: BTreeMap::new(),
            moved: Vec::new(),
        };
        let agent = Agent { connection: None, model: None, ..Agent::sample() };
        let id = agent.id;
        let spec = SessionSpec { agent: id, key: scene.key.clone(), owner: Some(by), task: None };
        scene.act(move |tx| {
            tx.put(&agent)?;
            rules::open_session(tx, spec)
        });
        scene
    }

    fn act<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, RunError> + Send + 'static,
    ) -> T {
        self.try_act(body).expect("it may be done")
    }

    fn try_act<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, RunError> + Send + 'static,
    ) -> Result<T, RunError> {
        let via = Via::SignIn(SignInId::from_bytes([9; 16]));
        let actor = Actor::Person { account: self.by, via };
        self.store.write_blocking(actor, Cause::Timer, body)
    }

    fn session(&self) -> Session {
        let found = self.store.read(|snap| queries::session_by_key(snap, &self.key));
        found.expect("readable").expect("the conversation")
    }

    fn active(&self) -> Option<Run> {
        let run = self.session().active_run?;
        self.store.read(|snap| snap.get::<Run>(run)).expect("readable")
    }

    fn inputs(&self) -> Vec<Input> {
        self.store.read(|snap| snap.list(&Range::all())).expect("readable")
    }

    /// Performs one random action.
    fn step(&mut self, n: u64) {
        match self.dice.below(20) {
            0..=7 => self.say(n),
            8..=11 => self.work(),
            12 => self.end(Outcome::Done),
            13 => self.end(Outcome::Failed { code: "x".into(), reason: "it broke".into() }),
            14 => self.stop(),
            15 => self.crash(),
            16 => self.take_back(),
            17 => self.bring_back(),
            18 => self.choose(),
            _ => {
                self.anew();
                self.clock.advance_ms(i64::try_from(self.dice.below(900)).expect("a pause"));
            }
        }
    }

    fn say(&mut self, n: u64) {
        let mode = self.dice.one_of(QueueMode::ALL).expect("a mode");
        let (session, text) = (self.session().id, format!("message {n}"));
        let new = NewInput { mode: Some(mode), ..NewInput::chat(text.clone()) };
        match self.try_act(move |tx| rules::queue(tx, session, new)) {
            Ok(sent) => {
                self.sent.insert(sent.message, (text, mode));
                if mode == QueueMode::Interrupt {
                    // The inputs waiting behind it may be redistributed.
                    self.moved.extend(self.waiting().into_iter().map(|input| input.id));
                }
            }
            Err(RunError::QueueFull(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn waiting(&self) -> Vec<Input> {
        self.inputs().into_iter().filter(Input::is_open).collect()
    }

    /// The run begins, or reads inputs that arrived meanwhile.
    fn work(&mut self) {
        let Some(run) = self.active() else { return };
        let (id, epoch, now) = (run.id, run.epoch, from_ms(self.now()));
        match run.state {
            RunState::Waiting => {
                if run.waiting.and_then(|waiting| waiting.until).is_some_and(|until| until <= now) {
                    self.act(move |tx| rules::wake(tx, id));
                }
            }
            RunState::Queued => {
                // A run that compacts first has begun without reading anything.
                let reads = self.dice.below(4) != 0;
                self.act(move |tx| {
                    let mut pen = rules::begin(tx, id)?;
                    if reads {
                        pen.read_inputs(tx)?;
                    }
                    pen.append(tx, called())?;
                    pen.save(tx).map(drop)
                });
            }
            RunState::Running => self.act(move |tx| {
                let mut pen = RunWriter::open(tx, id, epoch)?;
                pen.read_inputs(tx)?;
                pen.append(tx, called())?;
                pen.save(tx).map(drop)
            }),
            RunState::Ended => panic!("an ended run has the conversation"),
        }
    }

    fn now(&self) -> i64 {
        use kernel::Clock as _;
        self.clock.now().as_millisecond()
    }

    fn end(&mut self, outcome: Outcome) {
        let Some(run) = self.active().filter(|run| run.state == RunState::Running) else { return };
        let (id, epoch) = (run.id, run.epoch);
        self.act(move |tx| RunWriter::open(tx, id, epoch)?.end(tx, outcome, "").map(drop));
    }

    /// A person stops the run; its task hangs, so the program ends it.
    fn stop(&mut self) {
        let Some(run) = self.active() else { return };
        let (id, by) = (run.id, self.by);
        let outcome = Outcome::Stopped { by: Some(by) };
        self.act(move |tx| {
            let run = rules::request_stop(tx, id, Some(by))?;
            if run.is_live() { rules::force_end(tx, id, outcome, "").map(drop) } else { Ok(()) }
        });
    }

    fn crash(&mut self) {
        let Some(run) = self.active() else { return };
        self.act(move |tx| rules::recover(tx, run.id, ("a crash", None)).map(drop));
    }

    fn take_back(&mut self) {
        let open: Vec<InputId> = self.waiting().into_iter().map(|input| input.id).collect();
        let (Some(id), by) = (self.dice.one_of(&open), self.by) else { return };
        match self.try_act(move |tx| rules::talk::take_back(tx, id, by)) {
            Ok(()) | Err(RunError::Consumed) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn bring_back(&mut self) {
        let session = self.session().id;
        let gone = self.store.read(|snap| reading::dropped(snap, session)).expect("readable");
        let gone: Vec<InputId> = gone.into_iter().map(|input| input.id).collect();
        let (Some(id), by) = (self.dice.one_of(&gone), self.by) else { return };
        self.moved.push(id);
        match self.dice.below(4) {
            0 => self.act(move |tx| rules::queue::dismiss(tx, id, by)),
            _ => match self.try_act(move |tx| rules::queue::bring_back(tx, id, by)) {
                Ok(_) | Err(RunError::QueueFull(_)) => {}
                Err(other) => panic!("{other}"),
            },
        }
    }

    fn choose(&mut self) {
        let session = self.session().id;
        let wish = QueueRequest {
            mode: None,
            debounce_ms: Some(u32::try_from(self.dice.below(700)).expect("a pause")),
            cap: Some(1 + u32::try_from(self.dice.below(6)).expect("a few")),
            drop: self.dice.one_of(DropPolicy::ALL),
        };
        self.act(move |tx| rules::queue::choose(tx, QueueOf::Session(session), wish));
    }

    fn anew(&mut self) {
        let (session, by) = (self.session().id, self.by);
        match self.try_act(move |tx| rules::sessions::reset(tx, session, by).map(drop)) {
            Ok(()) => {}
            Err(other) => panic!("{other}"),
        }
        // The task of the former program hangs, so the program ends the run.
        let live = self.store.read(|snap| queries::live(snap)).expect("readable");
        for run in live.into_iter().filter(|run| run.session == session) {
            let outcome = Outcome::Stopped { by: Some(by) };
            self.act(move |tx| rules::force_end(tx, run.id, outcome, "").map(drop));
        }
    }

    /// Invariants that must hold after every step.
    fn check(&self, seed: u64, n: u64) {
        let at = format!("HQ_QUEUE_SEED={seed}, step {n}");
        let session = self.session();
        let active = self.active();
        assert_eq!(active.is_some(), session.active_run.is_some(), "{at}");
        assert!(
            active.as_ref().is_none_or(Run::is_live),
            "{at}: an ended run has the conversation"
        );
        let open = self.waiting();
        assert!(open.is_empty() || active.is_some(), "{at}: {open:?} wait for nobody");
        for input in &open {
            assert_eq!(input.session, session.id, "{at}: {input:?} waits where nobody reads");
            if let InputState::Assigned(run) = input.state {
                assert_eq!(Some(run), session.active_run, "{at}: {input:?} is with another run");
            }
        }
        let live = self.store.read(|snap| queries::live(snap)).expect("readable");
        assert!(live.len() <= 1, "{at}: one run a conversation: {live:?}");
    }

    /// Works off everything that is left.
    fn settle(&mut self) {
        for _ in 0..2_000 {
            if self.active().is_none() {
                return;
            }
            self.clock.advance_ms(1_000);
            self.work();
            self.end(Outcome::Done);
        }
        panic!("it never comes to rest");
    }

    /// Asserts that each message was read once, or has another recorded outcome.
    fn account(&self, seed: u64) {
        let mut read: BTreeMap<InputId, Vec<(SessionId, u32)>> = BTreeMap::new();
        let events: Vec<SessionEvent> =
            self.store.read(|snap| snap.list(&Range::all())).expect("readable");
        for event in events {
            if let EventKind::Input { input: Some(input), text: Body::Inline(text), .. } =
                event.kind
            {
                assert_eq!(self.sent[&input].0, text);
                read.entry(input).or_default().push((event.session, event.n));
            }
        }
        let mut order = Vec::new();
        for input in self.inputs() {
            let times = read.remove(&input.id).unwrap_or_default();
            match input.state {
                InputState::Consumed(_) => assert_eq!(times.len(), 1, "seed {seed}: {input:?}"),
                // A message that was removed is reported to its author with the next turn, if there is one.
                InputState::Cancelled | InputState::Dropped(_) | InputState::Overflowed => {
                    assert!(times.is_empty(), "seed {seed}: {input:?} was read");
                    continue;
                }
                _ => panic!("seed {seed}: {input:?} still waits"),
            }
            if input.mode == QueueMode::Followup
                && self.sent[&input.id].1 == QueueMode::Followup
                && !self.moved.contains(&input.id)
            {
                order.push((input.id, times[0]));
            }
        }
        assert!(read.is_empty(), "seed {seed}: read and never said: {read:?}");
        assert_eq!(self.inputs().len(), self.sent.len(), "seed {seed}: none is gone");
        let by_time = {
            let mut sorted = order.clone();
            sorted.sort_by_key(|(_, at)| *at);
            sorted
        };
        assert_eq!(order, by_time, "seed {seed}: those for afterwards come in order");
    }
}

fn called() -> EventKind {
    EventKind::CallStarted {
        call: 1,
        provider: "none".to_owned(),
        model: "none".to_owned(),
        reserved_micros: 0,
    }
}

fn setting(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a person asks for other schedules")]
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn no_message_is_lost_or_read_twice_whatever_happens() {
    let first = setting("HQ_QUEUE_SEED").unwrap_or(1);
    for seed in first..first + setting("HQ_QUEUE_N").unwrap_or(60) {
        let mut scene = Scene::open(seed);
        for n in 0..STEPS {
            scene.step(n);
            scene.check(seed, n);
        }
        scene.settle();
        scene.account(seed);
        check::all_fits(&scene.store);
    }
}
