//! Simulation of commands to the primary over faulty links, driven by a seed. Links cut, swallow, delay, duplicate,
//! tear and reorder messages, and either side is killed between any two steps; only its disk survives. While a link is
//! down, up to ten days, runs continue offline, and the host's clock jumps by a year. Invariants: each command is
//! applied once and in order, an answered write is in the mirror, no outage is measured too short, and both disks end
//! up equal. (Offline budgets: `tests/it/rules/money/simulate.rs`.)
//!
//! `HQ_SIM_N` sets the number of seeds (200), `HQ_SIM_SEED` the first; repeat a failed seed with `HQ_SIM_N=1`, or use
//! `make simulate N=…`. A seed fixes the choices but not the timing.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use app::upstream::Upstream as _;
use kernel::id::{IdSource as _, SeededIds};
use kernel::time::{ManualClock, from_ms};
use kernel::{Clock as _, GatewayId, RunId, TypedId as _};
use link::frame::{Ack, Answer, Command, Feed, Frame, Have, Outcome};
use link::pipe::{Fault, Faults, faulty};
use link::{
    Admitted, Carrier, Door, Facts, HostRequest, Identity, Knock, Pace, Pin, Purpose, Receiver,
    Refusal, Sender, Session, accept, knock,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

use crate::calls::Calls;

/// Default number of seeds.
const USUAL: u64 = 200;
/// Concurrent seeds, for few and for thousands of seeds. A seed mostly waits for silent links.
const SIDE_BY_SIDE: [usize; 2] = [8, 32];
/// Concurrent runs, and the commands of each.
const RUNS: usize = 2;
const COMMANDS: u64 = 10;
/// Every nth command is for the primary alone; the others are written locally while the link is down.
const AT_HOME: u64 = 4;
/// How long a run waits for the link.
const PATIENT: Duration = Duration::from_millis(4);
/// Kills of each side and number of faulty links; after that all goes well.
const ENDS: u64 = 5;
const BAD_LINES: u64 = 12;
/// Time limit of one seed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest outages to choose from, in milliseconds.
const LONGEST: [u64; 4] = [60_000, 3_600_000, 24 * 3_600_000, 240 * 3_600_000];
const YEAR_MS: i64 = 365 * 24 * 3_600_000;
/// Short timeouts, so that silent links are detected soon.
const PACE: Pace = Pace {
    handshake: Duration::from_millis(200),
    ping: Duration::from_millis(20),
    silence: Duration::from_millis(120),
};

/// A side was killed.
struct Ended;

/// A command on a disk: its run and its number.
type Row = (usize, u64);

/// The primary's disk.
#[derive(Default)]
struct Home {
    rows: Vec<Row>,
    /// The last command of each run and its answer.
    answers: [Option<(String, Value)>; RUNS],
}

impl Home {
    /// Applies a command in one transaction. Returns null for a command that was applied before with another nonce.
    fn carries_out(&mut self, command: &Command) -> Value {
        let Some(of) = (0..RUNS).find(|of| run(*of) == command.run) else { return Value::Null };
        let body = command.body.to_string();
        if let Some((before, answer)) = &self.answers[of]
            && *before == body
        {
            return answer.clone();
        }
        let number = command.body["what"]["do"].as_u64().expect("a number");
        let has = done(&self.rows, of);
        if number <= has {
            return Value::Null;
        }
        assert_eq!(number, has + 1, "a command before it is missing");
        self.rows.push((of, number));
        let answer = json!({ "did": number });
        self.answers[of] = Some((body, answer.clone()));
        answer
    }
}

/// The host's disk.
#[derive(Default)]
struct Host {
    /// Rows from the primary, in the order of its feed.
    rows: Vec<Row>,
    /// Rows that were written locally and are ahead of the primary.
    own: Vec<Row>,
    /// The outbox: commands for the primary, in order.
    waits: Vec<(usize, Value)>,
    /// Rows that were released and have to come again from the primary.
    gone: [u64; RUNS],
}

impl Host {
    /// The number of a run's commands that were written here or have arrived.
    fn has(&self, of: usize) -> u64 {
        done(&self.rows, of).max(done(&self.own, of))
    }

    /// Returns `true` once all released rows have arrived.
    fn is_whole(&self) -> bool {
        (0..RUNS).all(|of| self.gone[of] <= done(&self.rows, of))
    }

    /// Releases the local rows, because the primary has all of them.
    fn let_go(&mut self) {
        self.gone = std::array::from_fn(|of| done(&self.own, of));
        self.own.clear();
    }
}

/// The number of a run's commands on a disk.
fn done(rows: &[Row], of: usize) -> u64 {
    rows.iter().filter(|row| row.0 == of).map(|row| row.1).max().unwrap_or(0)
}

fn run(of: usize) -> RunId {
    RunId::from_bytes([u8::try_from(of).expect("few") + 1; 16])
}

fn length<T>(of: &[T]) -> u64 {
    of.len() as u64
}

/// Kills a side after this many steps.
struct Fuse(Cell<u64>);

impl Fuse {
    fn burn(&self) -> Result<(), Ended> {
        let left = self.0.get().checked_sub(1).ok_or(Ended)?;
        self.0.set(left);
        Ok(())
    }
}

/// Both sides and the links between them.
struct World {
    choices: SeededIds,
    identities: (Identity, Identity),
    home: RefCell<Home>,
    host: RefCell<Host>,
    lines: Cell<u64>,
    ends: Cell<u64>,
    /// Number of writes while offline.
    alone: Cell<u64>,
    /// The host's clock, and its elapsed time at the cut, while the link is down.
    clock: Arc<ManualClock>,
    cut: Cell<Option<Duration>>,
}

impl World {
    fn of(seed: u64) -> Self {
        Self {
            // Spread the seeds, so that neighbours have little in common.
            choices: SeededIds::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            identities: (Identity::generate(), Identity::generate()),
            home: RefCell::default(),
            host: RefCell::default(),
            lines: Cell::new(0),
            ends: Cell::new(0),
            alone: Cell::new(0),
            clock: Arc::new(ManualClock::at(from_ms(1_795_000_000_000))),
            cut: Cell::default(),
        }
    }

    /// The link is down for a while.
    fn time_passes(&self) {
        let longest = LONGEST[usize::try_from(self.below(4)).expect("one of four")];
        self.clock.advance_ms(i64::try_from(self.below(longest)).expect("days"));
        match self.below(8) {
            0 => self.clock.jump_ms(-YEAR_MS),
            1 => self.clock.jump_ms(YEAR_MS),
            _ => {}
        }
    }

    /// Marks the link as cut, if it is not.
    fn is_cut(&self) {
        self.cut.set(self.cut.get().or(Some(self.clock.passed())));
    }

    /// A pseudorandom number below `end`.
    fn below(&self, end: u64) -> u64 {
        (self.choices.next(0).as_u64_pair().1 >> 8) % end
    }

    /// The faults of one direction of the next link.
    fn faults(&self) -> Faults {
        if BAD_LINES <= self.lines.get() {
            return Faults::none();
        }
        let at = |end| usize::try_from(self.below(end)).expect("a small number");
        let one = |_| {
            let fault = match self.below(7) {
                0 => Fault::Cut,
                1 => Fault::Swallow,
                2 => Fault::Delay(Duration::from_millis(self.below(8))),
                3 => Fault::Duplicate,
                4 => Fault::Truncate(at(90)),
                5 => Fault::Reorder,
                _ => Fault::Flip(at(500)),
            };
            (at(24), fault)
        };
        Faults::all((0..self.below(3)).map(one).collect())
    }

    /// The lifetime of a side after this many kills.
    fn fuse(&self, ends: u64) -> Fuse {
        Fuse(Cell::new(if ends < ENDS { 1 + self.below(30) } else { u64::MAX }))
    }

    /// The primary: serves each link and restarts when killed; never returns.
    async fn serves(&self, mut lines: UnboundedReceiver<Carrier>) {
        let mut ends = 0;
        let mut fuse = self.fuse(ends);
        let mut line = lines.recv().await;
        while let Some(carrier) = line {
            // The newest link replaces older ones.
            line = tokio::select! {
                biased;
                newer = lines.recv() => newer,
                served = self.serve(carrier, &fuse) => {
                    if served.is_err() {
                        ends += 1;
                        fuse = self.fuse(ends);
                        self.ends.set(self.ends.get() + 1);
                    }
                    lines.recv().await
                }
            };
        }
    }

    async fn serve(&self, carrier: Carrier, fuse: &Fuse) -> Result<(), Ended> {
        let door = Door { identity: &self.identities.0, version: "1", pace: PACE };
        let welcome = |_: HostRequest| async {
            let gateway = GatewayId::from_bytes([9; 16]);
            Ok::<_, Refusal>(Admitted { gateway, label: "GPU box".to_owned(), epoch: 1 })
        };
        let Ok(accepted) = accept(carrier, door, welcome).await else { return Ok(()) };
        let Session { sender, mut receiver, pump } = accepted.session;
        let hears = async {
            let ended = self.home_hears(&sender, &mut receiver, fuse).await;
            sender.cut();
            ended
        };
        tokio::join!(pump.run(), hears).1
    }

    async fn home_hears(
        &self,
        sender: &Sender,
        receiver: &mut Receiver,
        fuse: &Fuse,
    ) -> Result<(), Ended> {
        let mut sent: Option<u64> = None;
        loop {
            let Ok(frame) = receiver.next().await else { return Ok(()) };
            fuse.burn()?;
            let mut answer = None;
            match frame {
                Frame::Have(have) => sent = Some(serde_json::from_slice(&have.have).expect("it")),
                Frame::Command(command) => {
                    let Command { run, number, .. } = command;
                    let done = self.home.borrow_mut().carries_out(&command);
                    answer = Some((run, number, done));
                }
                _ => continue,
            }
            fuse.burn()?;
            let head = length(&self.home.borrow().rows);
            if let Some(after) = sent.filter(|after| *after < head) {
                let from = usize::try_from(after).expect("few");
                let steps = serde_json::to_vec(&self.home.borrow().rows[from..]).expect("bytes");
                let feed = Feed { after, upto: head, steps: steps.into() };
                sent = Some(head);
                if sender.send(Frame::Feed(feed)).await.is_err() {
                    return Ok(());
                }
            }
            fuse.burn()?;
            if let Some((run, number, done)) = answer {
                let result = Outcome::Done(json!({ "seq": head, "answer": done }));
                if sender.send(Frame::Answer(Answer { run, number, result })).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// The host: restarts when killed, until all its runs are done.
    async fn works(&self, lines: UnboundedSender<Carrier>) {
        let mut ends = 0;
        loop {
            let fuse = self.fuse(ends);
            let has = length(&self.host.borrow().rows);
            let ahead: BTreeSet<RunId> =
                self.host.borrow().waits.iter().map(|(of, _)| run(*of)).collect();
            // A new process does not know how long the link was down before.
            self.cut.set(None);
            self.is_cut();
            let mut calls = Calls::new(format!("life {ends}"), has, self.clock.clone(), ahead);
            calls.patience = PATIENT;
            let runs = async { tokio::join!(self.goes(&calls, 0), self.goes(&calls, 1)) };
            tokio::select! {
                Ended = self.links(&calls, &lines, &fuse) => {}
                _ = runs => return,
            }
            ends += 1;
            self.ends.set(self.ends.get() + 1);
        }
    }

    /// One run, from its state in the mirror to its end.
    async fn goes(&self, calls: &Calls, of: usize) {
        let mut number = self.catches_up(calls, of).await;
        while number < COMMANDS {
            let answer = self.does(calls, of, number + 1).await;
            if answer.is_null() {
                number = self.catches_up(calls, of).await;
                continue;
            }
            number += 1;
            assert_eq!(answer, json!({ "did": number }), "the answer to another command");
        }
        // By now the primary and the mirror have everything.
        self.catches_up(calls, of).await;
    }

    /// Waits until the mirror has everything that the primary has applied. Returns the number of commands.
    async fn catches_up(&self, calls: &Calls, of: usize) -> u64 {
        calls.say(None, json!("nothing")).await.expect("it is heard");
        self.host.borrow().has(of)
    }

    /// Has one command applied: by the primary, or locally while the link is down.
    async fn does(&self, calls: &Calls, of: usize, number: u64) -> Value {
        let what = json!({ "do": number });
        if number.is_multiple_of(AT_HOME) {
            let answer = calls.say(Some(run(of)), what).await.expect("nothing is refused");
            let has = self.host.borrow().has(of);
            assert!(number <= has, "what was answered is in the mirror");
            return answer;
        }
        let words = calls.words(what);
        loop {
            if let Some(answer) = calls.tries(run(of), words.clone()).await {
                return answer.expect("nothing is refused");
            }
            if let Some(alone) = calls.alone(run(of)).await {
                let since = self.cut.get().expect("there is no line");
                let passed = self.clock.passed().saturating_sub(since);
                assert!(passed <= alone.cut_for, "{passed:?} is taken for {:?}", alone.cut_for);
                let mut host = self.host.borrow_mut();
                host.own.push((of, number));
                host.waits.push((of, words));
                calls.wrote(run(of));
                self.alone.set(self.alone.get() + 1);
                drop(alone);
                return json!({ "did": number });
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Links again and again, until the host is killed.
    async fn links(&self, calls: &Calls, lines: &UnboundedSender<Carrier>, fuse: &Fuse) -> Ended {
        let (facts, pin) = (Facts::default(), Pin::Key(self.identities.0.public()));
        loop {
            let (host, home, _) = faulty(self.faults(), self.faults());
            self.lines.set(self.lines.get() + 1);
            self.time_passes();
            if self.lines.get() < BAD_LINES {
                sleep(Duration::from_millis(self.below(12))).await;
            }
            lines.send(home).expect("home is there");
            let knocks = Knock {
                identity: &self.identities.1,
                pin: &pin,
                purpose: Purpose::Known { gateway: GatewayId::from_bytes([9; 16]) },
                facts: &facts,
                version: "1",
                pace: PACE,
            };
            if let Ok(linked) = knock(host, knocks).await {
                let Session { sender, mut receiver, pump } = linked.session;
                let hears = async {
                    let ended = self.host_hears(calls, &sender, &mut receiver, fuse).await;
                    sender.cut();
                    ended
                };
                let drains = async {
                    let ended = self.drains(calls, &sender, fuse).await;
                    if ended.is_err() {
                        sender.cut();
                    }
                    ended
                };
                let (_, heard, drained) = tokio::join!(pump.run(), hears, drains);
                let ended = heard.and(drained);
                calls.cut();
                self.is_cut();
                if ended.is_err() {
                    return Ended;
                }
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Sends the outbox to the primary, then reports what the mirror has.
    async fn drains(&self, calls: &Calls, sender: &Sender, fuse: &Fuse) -> Result<(), Ended> {
        calls.comes_back().await;
        let waits = self.host.borrow().waits.clone();
        let is_ahead = !waits.is_empty();
        for (of, words) in waits {
            fuse.burn()?;
            let Ok(heard) = calls.says_late(sender, run(of), words).await else { return Ok(()) };
            heard.expect("nothing is refused");
        }
        if is_ahead {
            fuse.burn()?;
            calls.settles();
            self.host.borrow_mut().let_go();
            fuse.burn()?;
            self.host.borrow_mut().waits.clear();
            calls.is_drained();
        }
        fuse.burn()?;
        let have = serde_json::to_vec(&length(&self.host.borrow().rows)).expect("bytes");
        if sender.send(Frame::Have(Have { have: have.into() })).await.is_ok() {
            self.cut.set(None);
            calls.linked(sender).await;
        }
        Ok(())
    }

    async fn host_hears(
        &self,
        calls: &Calls,
        sender: &Sender,
        receiver: &mut Receiver,
        fuse: &Fuse,
    ) -> Result<(), Ended> {
        loop {
            let Ok(frame) = receiver.next().await else { return Ok(()) };
            fuse.burn()?;
            match frame {
                Frame::Feed(feed) => {
                    let rows: Vec<Row> = serde_json::from_slice(&feed.steps).expect("rows");
                    let has = length(&self.host.borrow().rows);
                    assert_eq!(feed.after, has, "a step is missing");
                    self.host.borrow_mut().rows.extend(rows);
                    fuse.burn()?;
                    if self.host.borrow().is_whole() {
                        calls.is_settled();
                    }
                    calls.has(feed.upto);
                    if sender.send(Frame::Ack(Ack { seq: feed.upto })).await.is_err() {
                        return Ok(());
                    }
                }
                Frame::Answer(answer) => calls.answered(answer),
                _ => {}
            }
        }
    }
}

/// Runs one seed. Returns the number of kills and of offline writes.
async fn lives(seed: u64) -> (u64, u64) {
    let world = World::of(seed);
    let (lines, home) = unbounded_channel();
    let both = async {
        tokio::select! {
            () = world.serves(home) => panic!("home ends last"),
            () = world.works(lines) => {}
        }
    };
    assert!(timeout(PATIENCE, both).await.is_ok(), "it never came to its end");
    let (home, host) = (world.home.borrow(), world.host.borrow());
    assert_eq!(home.rows, host.rows, "both disks have the same");
    assert!(host.own.is_empty() && host.waits.is_empty(), "home has heard all");
    for of in 0..RUNS {
        let all = home.rows.iter().filter(|row| row.0 == of).map(|row| row.1);
        assert!(all.eq(1..=COMMANDS), "each once, in order: {:?}", home.rows);
    }
    (world.ends.get(), world.alone.get())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how many seeds, and which, is told from outside")]
fn what_is_said_to_home_is_done_once_and_in_order_whatever_the_line_does() {
    let setting = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = setting("HQ_SIM_N").unwrap_or(USUAL);
    let first = setting("HQ_SIM_SEED").unwrap_or(1);
    let (next, ends, alone) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    let some = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if first + count <= seed {
                return;
            }
            let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                runtime.block_on(lives(seed))
            }));
            let (ended, wrote) =
                lived.unwrap_or_else(|_| panic!("repeat it with HQ_SIM_N=1 HQ_SIM_SEED={seed}"));
            ends.fetch_add(ended, Ordering::Relaxed);
            alone.fetch_add(wrote, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let side_by_side = SIDE_BY_SIDE[usize::from(USUAL < count)];
        let all: Vec<_> = (0..side_by_side).map(|_| scope.spawn(some)).collect();
        for one in all {
            one.join().expect("a seed that failed was named");
        }
    });
    let (ends, alone) = (ends.into_inner(), alone.into_inner());
    assert!(count <= ends, "{ends} ends in {count} lives are too few");
    assert!(count < 100 || count <= alone, "{alone} commands while the line was cut are too few");
    say(&format!(
        "simulation of links: {count} seeds from {first}, {ends} ends, {alone} commands while the line was cut, all \
         as told"
    ));
}

#[expect(clippy::print_stdout, reason = "what was simulated, for whoever asks for more seeds")]
fn say(what: &str) {
    println!("{what}");
}
