//! Simulation of spending on a machine that is offline for seconds up to ten days, by seed. Runs continue within their
//! grants, the machine's clock jumps by up to a year, and the primary meanwhile spends, takes runs back, and receives
//! reports in parts, since the link breaks again. Primary and machine are two real stores.
//!
//! After each step: bookings, reservations and grants on the primary respect all limits; a run's calls on the machine
//! stay within its grant, and none starts after the grant's end by either clock. At the end each call is booked once,
//! at cost.
//!
//! `HQ_SIM_N` seeds (200) from `HQ_SIM_SEED`; repeat a failed one with `HQ_SIM_N=1`. Also `make simulate N=…`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use app::upstream::Cut;
use features::usage::model::grant::RunGrant;
use features::usage::rules::grants::{self, Terms};
use kernel::id::IdSource as _;
use kernel::{Clock as _, GatewayId};
use store::{Range, Root, StoreError, codec};

use super::*;

/// Default number of seeds.
const USUAL: u64 = 200;
/// Parallel seeds: most of the time each waits for a disk.
const SIDE_BY_SIDE: usize = 4;
/// Runs on the machine; one more is on the primary.
const AWAY: usize = 3;
/// Index of the run on the primary.
const OWN: usize = AWAY;
/// Cuts of the link per life.
const CUTS: u64 = 2;
const HOUR_MS: u64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * 3_600_000;

/// Primary and machine, reused by many seeds.
struct Sides {
    home: Bench,
    host: Store,
    _folder: tempfile::TempDir,
    runs: AtomicU64,
}

impl Sides {
    fn open() -> Self {
        let home = Bench::new(None, None, 1_000_000);
        let folder = tempfile::tempdir().unwrap();
        let host = Store::open(Options {
            path: folder.path().join("hq.redb"),
            schema: server::schema::workspace().mirrored(),
            cache: 1 << 20,
            clock: home.clock.clone(),
            ids: Arc::new(SeededIds::new(11)),
            reactor: None,
            faults: Arc::new(NoFaults),
        })
        .unwrap();
        // The bench's runs have the first numbers.
        Self { home, host, _folder: folder, runs: AtomicU64::new(100) }
    }
}

/// A running call.
#[derive(Clone)]
struct Call {
    of: usize,
    number: u32,
    bytes: u64,
    admitted: Admitted,
}

/// A report to the primary after the cut.
#[derive(Clone)]
enum Said {
    /// A call was started there; `known` if the primary was told before the cut.
    Begun { call: Call, known: bool },
    /// A call ended with this cost; for an interrupted one, the rest may still follow.
    Ended { call: Call, billed: i64, is_lost: bool },
}

/// Totals over all seeds.
#[derive(Default)]
struct Seen {
    admitted: u64,
    too_late: u64,
    too_dear: u64,
    taken_back: u64,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.admitted += other.admitted;
        self.too_late += other.too_late;
        self.too_dear += other.too_dear;
        self.taken_back += other.taken_back;
    }
}

struct Life<'s> {
    sides: &'s Sides,
    choices: SeededIds,
    /// The machine's clock.
    clock: ManualClock,
    terms: Terms,
    runs: Vec<Run>,
    calls: [u32; AWAY + 1],
    /// Runs that were taken back, and runs still active on the machine, which learns late.
    gone: [bool; AWAY + 1],
    there: [bool; AWAY],
    /// True cost of each run's calls.
    cost: [i64; AWAY + 1],
    /// Running calls: at most one per run.
    open: [Option<Call>; AWAY + 1],
    cut: Cut,
    /// The same, by each of two clocks.
    cut_at: (Timestamp, Duration),
    said: Vec<Said>,
    /// Number of reports that the primary has received.
    heard: usize,
    seen: Seen,
}

/// Request for a call of a priced model.
fn ask<'a>(run: &Run, model: &'a Model, call: (u32, u64, ReservationId)) -> Ask<'a> {
    let (number, bytes, id) = call;
    Ask {
        agent: run.agent,
        run: run.id,
        call: number,
        connection: run.connection,
        size: Size { bytes, images: 0 },
        id: Some(id),
        ..model_call(0, model)
    }
}

fn model() -> Model {
    catalog::describe("claude-haiku-4-5")
}

/// Writes a row as if replicated from the primary.
fn lay<R: Record>(tx: &mut WriteTx<'_>, row: &R) -> Result<(), StoreError> {
    let bytes = codec::encode_row(R::VERSION, 1, row)?;
    tx.put_mirrored(&Root::of::<R>(row.id()), bytes).map(drop)
}

/// Asserts that no budget of a run is exceeded.
fn must_be_within(tx: &WriteTx<'_>, run: &Run) -> Result<(), UsageError> {
    let payers = payers::payers(tx, run.agent, run.id)?;
    for one in standing::standings(tx, &payers, tx.now())? {
        let left = one.micros.map_or(0, |level| level.left());
        assert!(0 <= left, "booked, held back and granted pass {:?} by {}", one.budget, -left);
    }
    Ok(())
}

/// Asserts that a run's spending and reservations on the machine are within its grant.
fn must_be_granted(tx: &WriteTx<'_>, run: RunId) -> Result<(), UsageError> {
    let grant = tx.get::<RunGrant>(run)?.map_or(0, |grant| grant.micros);
    let held: Vec<Reservation> = tx.list(&Range::all())?;
    let held = held.iter().filter(|held| held.run == Some(run)).map(|held| held.micros);
    let booked = queries::of_run(tx, run)?;
    let booked = booked.iter().filter_map(|one| one.billed_micros);
    let all: i64 = held.chain(booked).sum();
    assert!(all <= grant, "{all} is admitted of a grant of {grant}");
    Ok(())
}

impl<'s> Life<'s> {
    fn begin(sides: &'s Sides, seed: u64) -> Self {
        // Neighbouring seeds should have little in common.
        let choices = SeededIds::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let clock = ManualClock::at(from_ms(START));
        let (cut, cut_at) = (Cut::now(&clock), (clock.now(), clock.passed()));
        let gateway = GatewayId::from_bytes([95; 16]);
        let mut life = Self {
            sides,
            choices,
            clock,
            terms: Terms { gateway, micros: 0, hours: 0 },
            runs: Vec::new(),
            calls: [0; AWAY + 1],
            gone: [false; AWAY + 1],
            there: [true; AWAY],
            cost: [0; AWAY + 1],
            open: [const { None }; AWAY + 1],
            cut,
            cut_at,
            said: Vec::new(),
            heard: 0,
            seen: Seen::default(),
        };
        life.terms.micros = 30_000 + life.amount(270_000);
        life.terms.hours = 1 + u32::try_from(life.below(96)).unwrap();
        let (month, each) = (40_000 + life.amount(1_200_000), 100_000 + life.amount(900_000));
        let begun = sides.runs.fetch_add(AWAY as u64 + 1, Ordering::Relaxed);
        let ids: Vec<RunId> = (0..=AWAY).map(|_| life.new_id()).collect();
        let made = move |tx: &mut WriteTx<'_>| -> Result<Vec<Run>, UsageError> {
            for grant in tx.list::<RunGrant>(&Range::all())? {
                tx.delete::<RunGrant>(grant.run)?;
            }
            for held in tx.list::<Reservation>(&Range::all())? {
                tx.delete::<Reservation>(held.id)?;
            }
            let settings = tx.get::<Settings>(())?.expect("the settings");
            let spent = queries::month_total(tx, tx.now())?;
            tx.put(&Settings {
                budget_micros: Some(spent + month),
                run_cap_micros: each,
                ..settings
            })?;
            let mut runs = Vec::new();
            for (n, id) in (0..4).zip(ids) {
                let run = tx.get::<Run>(run_id(n))?.expect("a run of the bench");
                let number = u32::try_from(begun).expect("few") + u32::from(n);
                let connection = Some(ConnectionId::from_bytes([7; 16]));
                let run = Run { id, number, connection, task: None, item: None, ..run };
                tx.put(&run)?;
                runs.push(run);
            }
            Ok(runs)
        };
        life.runs = sides.home.write(made).unwrap();
        let runs = life.runs.clone();
        let laid = life.host(move |tx| Ok(runs.iter().try_for_each(|run| lay(tx, run))?));
        laid.unwrap();
        life
    }

    /// A random number below `end`.
    fn below(&self, end: u64) -> u64 {
        (self.choices.next(0).as_u64_pair().1 >> 8) % end
    }

    fn amount(&self, end: u64) -> i64 {
        i64::try_from(self.below(end)).unwrap()
    }

    fn one_of(&self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }

    fn new_id<T: TypedId>(&self) -> T {
        T::from_uuid(self.choices.next(START))
    }

    /// Runs a transaction for a run on the primary and checks its budgets.
    fn home<T: Send + 'static>(
        &self,
        of: usize,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, UsageError> + Send + 'static,
    ) -> Result<T, UsageError> {
        let run = self.runs[of].clone();
        self.sides.home.write(move |tx| {
            let done = body(tx)?;
            must_be_within(tx, &run)?;
            Ok(done)
        })
    }

    /// Runs a transaction on the machine.
    fn host<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, UsageError> + Send + 'static,
    ) -> Result<T, UsageError> {
        self.sides.host.write_blocking(Actor::System(Part::Engine), Cause::Timer, body)
    }

    /// Cost of an ended call.
    fn bill(&self, call: &Call) -> i64 {
        call.admitted.micros * self.amount(1_001) / 1_000
    }

    /// The next call of a run.
    fn next(&mut self, of: usize) -> (u32, u64, ReservationId) {
        self.calls[of] += 1;
        (self.calls[of], 500 + self.below(20_000), self.new_id())
    }

    /// A run requests a call from the primary, which renews the grant of a run on the machine.
    fn asks(&mut self, of: usize) {
        let (run, question, terms) = (self.runs[of].clone(), self.next(of), self.terms);
        let asked = self.home(of, move |tx| {
            let admitted = admit(tx, &ask(&run, &model(), question))?;
            if of != OWN {
                grants::fit(tx, run.id, terms)?;
            }
            Ok(admitted)
        });
        let (number, bytes, _) = question;
        match asked {
            Ok(admitted) => self.open[of] = Some(Call { of, number, bytes, admitted }),
            Err(UsageError::OverBudget(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// A call ends, and the primary is told at once.
    fn ends(&mut self, call: &Call) {
        let (of, billed) = (call.of, self.bill(call));
        let (run, id, terms) = (self.runs[of].id, call.admitted.reservation, self.terms);
        let ended = self.home(of, move |tx| {
            settle(tx, id, spent(billed))?;
            if of == OWN { Ok(()) } else { grants::fit(tx, run, terms) }
        });
        ended.unwrap();
        self.cost[of] += billed;
    }

    /// The next action of a linked run.
    fn goes_on(&mut self, of: usize) {
        match self.open[of].take() {
            Some(call) => self.ends(&call),
            None => self.asks(of),
        }
    }

    /// All runs of the machine have grants that it knows. One more call may be admitted on the primary with a lost
    /// response.
    fn is_cut_off(&mut self) {
        let terms = self.terms;
        for of in (0..AWAY).filter(|of| !self.gone[*of]) {
            let run = self.runs[of].id;
            let grant = self.home(of, move |tx| {
                grants::fit(tx, run, terms)?;
                Ok(tx.get::<RunGrant>(run)?.expect("its grant"))
            });
            let grant = grant.unwrap();
            self.host(move |tx| Ok(lay(tx, &grant)?)).unwrap();
        }
        self.cut = Cut::now(&self.clock);
        self.cut_at = (self.clock.now(), self.clock.passed());
        let of = self.one_of(AWAY);
        if !self.gone[of] && self.open[of].is_none() {
            self.asks(of);
            if let Some(call) = self.open[of].take() {
                let (number, bytes) = (call.number, call.bytes);
                self.begins_there(of, (number, bytes, call.admitted.reservation), true);
                if self.open[of].is_none() {
                    // If it is not admitted there, the run waits for the primary's response.
                    self.open[of] = Some(call);
                    self.there[of] = false;
                }
            }
        }
    }

    /// A run requests a call from the machine.
    fn begins_there(&mut self, of: usize, question: (u32, u64, ReservationId), known: bool) {
        let (run, cut_for) = (self.runs[of].clone(), self.cut.lasts(&self.clock));
        let asked = self.host(move |tx| {
            if !grants::holds(tx, run.id, cut_for)? {
                return Ok(None);
            }
            let admitted = admit(tx, &ask(&run, &model(), question))?;
            must_be_granted(tx, run.id)?;
            Ok(Some(admitted))
        });
        let admitted = match asked {
            Ok(Some(admitted)) => admitted,
            Ok(None) => return self.seen.too_late += 1,
            Err(UsageError::Ungranted) => return self.seen.too_dear += 1,
            Err(error) => panic!("{error}"),
        };
        let span = Duration::from_secs(u64::from(self.terms.hours) * 3_600);
        let (told, passed) = self.cut_at;
        let told = Duration::try_from(self.clock.now().duration_since(told)).unwrap_or_default();
        assert!(told < span, "{told:?} after the cut by its clock");
        assert!(self.clock.passed().saturating_sub(passed) < span, "too long after the cut");
        self.seen.admitted += 1;
        let (number, bytes, _) = question;
        let call = Call { of, number, bytes, admitted };
        self.said.push(Said::Begun { call: call.clone(), known });
        self.open[of] = Some(call);
    }

    /// A call ends on the machine.
    fn ends_there(&mut self, call: Call) {
        let (billed, is_lost) = (self.bill(&call), self.below(4) == 0);
        let (run, id) = (self.runs[call.of].id, call.admitted.reservation);
        let ended = self.host(move |tx| {
            match (grants::is_at_home(tx, id)?, is_lost) {
                (true, _) => {}
                (false, true) => drop(book_lost(tx, id, spent(billed))?),
                (false, false) => drop(settle(tx, id, spent(billed))?),
            }
            must_be_granted(tx, run)
        });
        ended.unwrap();
        self.cost[call.of] += billed;
        self.said.push(Said::Ended { call, billed, is_lost });
    }

    /// An action while the link is down.
    fn goes_on_alone(&mut self) {
        match self.below(12) {
            0..=5 => {
                let of = self.one_of(AWAY);
                if !self.there[of] {
                    return;
                }
                match self.open[of].take() {
                    Some(call) => self.ends_there(call),
                    None => {
                        let question = self.next(of);
                        self.begins_there(of, question, false);
                    }
                }
            }
            6 | 7 => {
                let most = [60_000, HOUR_MS, 24 * HOUR_MS, 240 * HOUR_MS][self.one_of(4)];
                self.clock.advance_ms(self.amount(most));
            }
            8 => self.clock.jump_ms([-YEAR_MS, YEAR_MS][self.one_of(2)]),
            9 => self.take_back(),
            _ => self.goes_on(OWN),
        }
    }

    /// People take a run back from the machine.
    fn take_back(&mut self) {
        let of = self.one_of(AWAY);
        if self.gone[of] || self.below(2) == 0 {
            return;
        }
        let run = self.runs[of].id;
        let taken = self.home(of, move |tx| {
            book_left(tx, run)?;
            grants::lose(tx, run)
        });
        taken.unwrap();
        self.gone[of] = true;
        self.seen.taken_back += 1;
    }

    /// The primary gets a report.
    fn hears(&mut self, said: Said) {
        let (Said::Begun { call, .. } | Said::Ended { call, .. }) = &said;
        let (of, id) = (call.of, call.admitted.reservation);
        let (run, is_gone) = (self.runs[of].clone(), self.gone[of]);
        let heard = self.home(of, move |tx| {
            let before = grants::committed(tx, run.id, tx.now())?;
            match said {
                Said::Begun { known: true, .. } => return Ok(()),
                // A call that started too late costs nothing.
                Said::Begun { .. } if is_gone => return Ok(()),
                Said::Begun { call, .. } => {
                    let question = (call.number, call.bytes, id);
                    grants::made(tx, &ask(&run, &model(), question), &call.admitted)?;
                }
                Said::Ended { call, billed, .. } if is_gone => {
                    return grants::settle_reported(tx, run.id, (id, call.number), spent(billed));
                }
                Said::Ended { billed, is_lost: true, .. } => {
                    book_lost(tx, id, spent(billed))?;
                }
                Said::Ended { billed, .. } => {
                    settle(tx, id, spent(billed))?;
                }
            }
            grants::drawn(tx, run.id, before)
        });
        heard.unwrap();
    }

    /// The link is back, maybe briefly: the primary gets pending reports. Returns whether that is all.
    fn drains(&mut self) -> bool {
        let all = self.said.len();
        let upto = if self.below(3) == 0 { self.one_of(all + 1) } else { all };
        while self.heard < upto {
            let said = self.said[self.heard].clone();
            self.hears(said);
            self.heard += 1;
            if self.below(3) == 0 {
                self.goes_on(OWN);
            }
        }
        self.heard == all
    }

    /// The primary has all reports: the machine's data is cleared, and further actions are reported at once.
    fn is_linked(&mut self) {
        for of in 0..AWAY {
            let run = self.runs[of].id;
            let forgot = self.host(move |tx| {
                grants::forget(tx, run)?;
                Ok(tx.drop_mirrored(&Root::of::<RunGrant>(run))?)
            });
            forgot.unwrap();
            match self.open[of].take() {
                Some(call) if self.gone[of] => {
                    let billed = self.bill(&call);
                    self.cost[of] += billed;
                    self.hears(Said::Ended { call, billed, is_lost: false });
                }
                Some(call) => self.ends(&call),
                None => {}
            }
            self.there[of] = !self.gone[of];
        }
        let gateway = self.terms.gateway;
        self.home(OWN, move |tx| grants::regain(tx, gateway)).unwrap();
        self.said.clear();
        self.heard = 0;
        for of in 0..AWAY {
            let run = self.runs[of].id;
            let booked = self.home(of, move |tx| Ok(queries::run_cost(tx, run)?)).unwrap();
            assert_eq!(booked, self.cost[of], "each call is booked once, for what it has cost");
        }
    }

    /// Runs a life from start to end.
    fn lives(mut self) -> Seen {
        for _ in 0..CUTS {
            for _ in 0..2 + self.below(8) {
                let of = self.one_of(AWAY + 1);
                if !self.gone[of] {
                    self.goes_on(of);
                }
            }
            self.is_cut_off();
            for _ in 0..4 + self.below(16) {
                self.goes_on_alone();
            }
            while !self.drains() {
                for _ in 0..self.below(4) {
                    self.goes_on_alone();
                }
            }
            self.is_linked();
        }
        self.seen
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how many seeds, and which, is told from outside")]
fn grants_never_overspend_however_long_the_line_is_cut_and_whatever_clocks_say() {
    let setting = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = setting("HQ_SIM_N").unwrap_or(USUAL);
    let first = setting("HQ_SIM_SEED").unwrap_or(1);
    let next = AtomicU64::new(first);
    let some = || {
        let (sides, mut all) = (Sides::open(), Seen::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if first + count <= seed {
                return all;
            }
            let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Life::begin(&sides, seed).lives()
            }));
            let seen =
                lived.unwrap_or_else(|_| panic!("repeat it with HQ_SIM_N=1 HQ_SIM_SEED={seed}"));
            all.add(&seen);
        }
    };
    let mut all = Seen::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(some)).collect();
        for one in threads {
            all.add(&one.join().expect("a seed that failed was named"));
        }
    });
    let Seen { admitted, too_late, too_dear, taken_back } = all;
    if 100 <= count {
        assert!(count <= admitted, "{admitted} calls while the line was cut are too few");
        let least = [too_late, too_dear, taken_back].map(|n| 10 * n);
        assert!(least.iter().all(|n| count <= *n), "{too_late}, {too_dear}, {taken_back}");
    }
    say(&format!(
        "simulation of grants: {count} seeds from {first}, {admitted} calls while the line was cut, {too_late} too late and \
         {too_dear} too dear, {taken_back} runs taken back, all as told"
    ));
}

#[expect(clippy::print_stdout, reason = "what was simulated, for whoever asks for more seeds")]
fn say(what: &str) {
    println!("{what}");
}
