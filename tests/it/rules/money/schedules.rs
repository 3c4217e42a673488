//! Random schedules of budgets, calls, lost ends, restarts and months: no call starts that a budget may be unable to
//! pay, and none is refused that all budgets can pay.

use std::collections::BTreeMap;

use proptest::prelude::{
    Just, ProptestConfig, Strategy, TestCaseError, prop_assert, prop_assert_eq, prop_oneof,
    proptest,
};

use super::*;
use features::workspace::model::RUN_CAP_MICROS;
use store::StoreError;

#[derive(Clone, Debug)]
enum Step {
    Reserve {
        run: u8,
        bound: i64,
        tokens: i64,
    },
    /// A call of a model without a known price.
    Unknown {
        run: u8,
    },
    Settle {
        pick: usize,
        permille: i64,
    },
    Refuse {
        pick: usize,
    },
    Lose {
        pick: usize,
        permille: i64,
    },
    /// The program is killed: the ends of this run's calls are lost.
    Kill {
        run: u8,
    },
    Wait {
        ms: i64,
    },
    /// A task moves into a stream, or out of all: running calls are still paid by the former one.
    Move {
        task: u8,
        stream: Option<u8>,
    },
    Limit {
        at: usize,
        micros: Option<i64>,
        tokens: Option<i64>,
        hard: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let pick = 0..8_usize;
    prop_oneof![
        8 => (0..4_u8, 0..400_i64, 0..400_i64)
            .prop_map(|(run, bound, tokens)| Step::Reserve { run, bound, tokens }),
        1 => (0..4_u8).prop_map(|run| Step::Unknown { run }),
        // A provider may count up to one and a half times the estimate.
        4 => (pick.clone(), 0..1_500_i64).prop_map(|(pick, permille)| Step::Settle { pick, permille }),
        1 => pick.clone().prop_map(|pick| Step::Refuse { pick }),
        2 => (pick, 0..1_200_i64).prop_map(|(pick, permille)| Step::Lose { pick, permille }),
        1 => (0..4_u8).prop_map(|run| Step::Kill { run }),
        1 => prop_oneof![Just(60_000), Just(601_000), Just(86_400_000), Just(86_400_000 * 31)]
            .prop_map(|ms| Step::Wait { ms }),
        2 => (0..2_u8, proptest::option::of(0..2_u8))
            .prop_map(|(task, stream)| Step::Move { task, stream }),
        3 => (0..LIMITS.len(), proptest::option::of(amount()), proptest::option::of(0..2_500_i64), 0..5_u8)
            .prop_map(|(at, micros, tokens, soft)| Step::Limit { at, micros, tokens, hard: soft != 0 }),
    ]
}

/// Money of a limit: little, or enough for a call without a known price.
fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0..2_500_i64, 1 => Just(RUN_CAP_MICROS), 1 => 5_000_000..50_000_000_i64]
}

/// Budgets that come and go: payer, period, and the runs that count. For a stream, runs count whose task was in it when
/// the call started.
const LIMITS: [(Whose, Period, &[u8]); 15] = [
    (Whose::Workspace, Period::Month, &[0, 1, 2, 3]),
    (Whose::Workspace, Period::Day, &[0, 1, 2, 3]),
    (Whose::Agent(0), Period::Month, &[0, 1]),
    (Whose::Agent(0), Period::Week, &[0, 1]),
    (Whose::Agent(1), Period::Total, &[2, 3]),
    (Whose::Task(0), Period::Total, &[0, 2]),
    (Whose::Task(1), Period::Day, &[2]),
    (Whose::Workspace, Period::Run, &[0, 1, 2, 3]),
    (Whose::Agent(1), Period::Run, &[2, 3]),
    (Whose::Run(1), Period::Total, &[1]),
    (Whose::Stream(0), Period::Month, &[0, 2]),
    (Whose::Stream(1), Period::Total, &[0, 2]),
    (Whose::Stream(1), Period::Run, &[0, 2]),
    (Whose::Routine(0), Period::Day, &BEGUN[0]),
    (Whose::Routine(1), Period::Total, &BEGUN[1]),
];

/// Index of the limit per run.
const EACH: usize = 7;

#[derive(Clone, Copy, Debug)]
enum Whose {
    Workspace,
    Agent(u8),
    Task(u8),
    Run(u8),
    Stream(u8),
    Routine(u8),
}

impl Whose {
    /// Whether a call of one of these runs counts, given the paying stream.
    fn pays(self, runs: &[u8], (run, stream): (u8, Option<u8>)) -> bool {
        match self {
            Self::Stream(n) => stream == Some(n),
            _ => runs.contains(&run),
        }
    }

    fn payer(self) -> Payer {
        match self {
            Self::Workspace => Payer::Workspace,
            Self::Agent(n) => Payer::Agent(agent_id(n)),
            Self::Task(n) => Payer::Task(task_id(n)),
            Self::Run(n) => Payer::Run(run_id(n)),
            Self::Stream(n) => Payer::Stream(stream_id(n)),
            Self::Routine(n) => Payer::Routine(routine_id(n)),
        }
    }
}

/// A running call.
struct Open {
    id: ReservationId,
    by: (u8, Option<u8>),
    micros: i64,
    tokens: i64,
    /// What is booked of both if its end is lost.
    input: (i64, i64),
}

/// Spending.
struct Row {
    by: (u8, Option<u8>),
    at: Timestamp,
    micros: i64,
    tokens: i64,
}

fn add(all: impl Iterator<Item = (i64, i64)>) -> (i64, i64) {
    all.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1))
}

/// Payer, and the runs that may count.
type Counted<'a> = (Whose, &'a [u8]);

/// A run, and the stream of its task.
type By = (u8, Option<u8>);

/// Model of reservations, spending and limits, independent of the store. Each call has its run and the stream of its
/// task at the start.
#[derive(Default)]
struct Ledger {
    open: Vec<Open>,
    /// Payer, money, tokens, end of the reservation.
    lingering: Vec<(By, i64, i64, Timestamp)>,
    rows: Vec<Row>,
    limits: BTreeMap<usize, (Option<i64>, Option<i64>, bool)>,
    /// Whether the limit per run was chosen.
    chosen: bool,
    /// Streams of the tasks; the second is a subtask of the first.
    streams: [Option<u8>; 2],
}

impl Ledger {
    /// A run with the stream that pays for its calls now.
    fn by(&self, run: u8) -> (u8, Option<u8>) {
        let stream = match run {
            0 => self.streams[0],
            2 => self.streams[1].or(self.streams[0]),
            _ => None,
        };
        (run, stream)
    }

    /// Money and tokens spent in the period.
    fn booked(&self, (whose, runs): Counted<'_>, period: Period, now: Timestamp) -> (i64, i64) {
        let first = period.first_day(now);
        let rows = self
            .rows
            .iter()
            .filter(|row| whose.pays(runs, row.by) && first <= Period::Day.first_day(row.at));
        add(rows.map(|row| (row.micros, row.tokens)))
    }

    /// The same including reservations.
    fn used(&self, (whose, runs): Counted<'_>, period: Period, now: Timestamp) -> (i64, i64) {
        let open = self.open.iter().filter(|open| whose.pays(runs, open.by));
        let late = self.lingering.iter().filter(|late| whose.pays(runs, late.0) && now < late.3);
        let held = open.map(|open| (open.micros, open.tokens));
        let held = held.chain(late.map(|late| (late.1, late.2)));
        add(held.chain([self.booked((whose, runs), period, now)]))
    }

    /// Whether a chosen hard money limit applies: all except the default limit per run.
    fn limits_money(&self, run: u8) -> bool {
        let own = self.own(run);
        self.limits.iter().any(|(at, (money, _, hard))| {
            let (whose, period, runs) = LIMITS[*at];
            let replaced = period == Period::Run && own.0.is_some();
            let set = *at != EACH || self.chosen;
            whose.pays(runs, self.by(run)) && money.is_some() && *hard && set && !replaced
        })
    }

    /// Limits of the run itself.
    fn own(&self, run: u8) -> (Option<i64>, Option<i64>, bool) {
        let at = LIMITS.iter().position(|(whose, ..)| matches!(whose, Whose::Run(n) if *n == run));
        at.and_then(|at| self.limits.get(&at)).copied().unwrap_or_default()
    }

    fn fits(&self, run: u8, micros: i64, tokens: i64, now: Timestamp) -> bool {
        let own = self.own(run);
        self.limits.iter().filter(|(_, limit)| limit.2).all(|(at, (money, words, _))| {
            let (whose, period, runs) = LIMITS[*at];
            let (mut money, mut words) = (*money, *words);
            let mut counted = (whose, runs);
            let this = [run];
            if period == Period::Run {
                // A run's own limit replaces the limit per run.
                money = money.filter(|_| own.0.is_none());
                words = words.filter(|_| own.1.is_none());
                counted = (Whose::Run(run), &this);
            }
            let used = self.used(counted, period, now);
            !whose.pays(runs, self.by(run))
                || (money.is_none_or(|limit| used.0 + micros <= limit)
                    && words.is_none_or(|limit| used.1 + tokens <= limit))
        })
    }

    /// The rest of a lost call stays reserved for a while.
    fn lose(&mut self, open: &Open, (micros, tokens): (i64, i64), now: Timestamp) {
        self.rows.push(Row { by: open.by, at: now, micros, tokens });
        let rest = ((open.micros - micros).max(0), (open.tokens - tokens).max(0));
        self.lingering.push((open.by, rest.0, rest.1, now + LINGER));
    }
}

fn used(billed: i64, tokens: i64) -> Spent {
    let input = u64::try_from(tokens).unwrap();
    Spent { tokens: Tokens { input, ..Tokens::default() }, ..spent(billed) }
}

/// Spending in the store equals the model, for every payer.
fn agree(bench: &Bench, ledger: &Ledger) -> Result<(), TestCaseError> {
    let now = bench.now();
    for (whose, _, runs) in LIMITS {
        if matches!(whose, Whose::Run(_)) {
            continue;
        }
        for period in [Period::Day, Period::Week, Period::Month, Period::Total] {
            let payer = whose.payer();
            let booked = bench.store.read(|s| {
                let money = standing::spent(s, payer, period, now)?;
                Ok::<_, StoreError>((money, standing::tokens(s, payer, period, now)?))
            });
            let wanted = ledger.booked((whose, runs), period, now);
            prop_assert_eq!(booked.unwrap(), wanted, "{:?} {}", whose, period);
        }
    }
    Ok(())
}

fn walk(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut bench = Bench::new(None, None, RUN_CAP_MICROS);
    bench.groups();
    let mut ledger = Ledger::default();
    ledger.limits.insert(EACH, (Some(RUN_CAP_MICROS), None, true));
    for step in steps {
        let now = bench.now();
        match step {
            Step::Reserve { run, bound, tokens } => {
                let fits = ledger.fits(run, bound, tokens, now);
                match bench.reserve_tokens(run, bound, tokens) {
                    Ok(id) => {
                        prop_assert!(fits, "a call of {bound} and {tokens} started beyond a limit");
                        let input = (bound / 4, tokens / 4);
                        let by = ledger.by(run);
                        ledger.open.push(Open { id, by, micros: bound, tokens, input });
                    }
                    Err(UsageError::OverBudget(lack)) => {
                        prop_assert!(!fits, "refused within all limits: {}", lack.name);
                        prop_assert!(lack.level.left() < lack.needed);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            Step::Unknown { run } => match bench.ask(run, Model::unknown("x"), 300) {
                Ok((_, held)) => {
                    prop_assert!(ledger.fits(run, held.micros, held.tokens, now));
                    prop_assert_eq!(0 < held.micros, ledger.limits_money(run));
                    ledger.open.push(Open {
                        id: held.id,
                        by: ledger.by(run),
                        micros: held.micros,
                        tokens: held.tokens,
                        input: (held.input_micros, held.input_tokens),
                    });
                }
                Err(error) => {
                    let lack = lack(&error);
                    prop_assert!(lack.level.left() < lack.needed);
                    // Without a chosen money limit it costs nothing: only overspending rejects it.
                    let refused = lack.tokens || lack.level.left() < 0;
                    prop_assert!(refused || ledger.limits_money(run), "{}", lack.name);
                }
            },
            Step::Settle { pick, permille } if pick < ledger.open.len() => {
                let open = ledger.open.swap_remove(pick);
                let part = |bound: i64| bound * permille / 1_000;
                let (billed, tokens) = (part(open.micros), part(open.tokens));
                bench.write(move |tx| settle(tx, open.id, used(billed, tokens))).unwrap();
                ledger.rows.push(Row { by: open.by, at: now, micros: billed, tokens });
            }
            Step::Refuse { pick } if pick < ledger.open.len() => {
                let id = ledger.open.swap_remove(pick).id;
                bench.write(move |tx| release(tx, id)).unwrap();
            }
            Step::Lose { pick, permille } if pick < ledger.open.len() => {
                let open = ledger.open.swap_remove(pick);
                let (got, tokens) =
                    (open.micros * permille / 1_000, open.tokens * permille / 1_000);
                let id = open.id;
                // Half of them were interrupted before the provider counted the input.
                let counted = permille % 2 == 0;
                let spent = Spent { counted, ..used(got, tokens) };
                bench.write(move |tx| book_lost(tx, id, spent)).unwrap();
                let cost = if counted { got } else { got.max(open.input.0) };
                ledger.lose(&open, (cost, tokens), now);
            }
            Step::Kill { run } => {
                bench = bench.restart();
                bench.write(move |tx| book_left(tx, run_id(run))).unwrap();
                let (own, others) = ledger.open.drain(..).partition(|open| open.by.0 == run);
                ledger.open = others;
                let own: Vec<Open> = own;
                for open in &own {
                    ledger.lose(open, open.input, now);
                }
            }
            Step::Wait { ms } => bench.clock.advance_ms(ms),
            Step::Move { task, stream } => {
                bench.put_in(task, stream);
                ledger.streams[usize::from(task)] = stream;
            }
            Step::Limit { at, micros, tokens, hard } => {
                let (whose, period, _) = LIMITS[at];
                let payer = whose.payer();
                // Zero means "no limit" for a run.
                let micros = micros.filter(|micros| period != Period::Run || 0 < *micros);
                let wish = BudgetRequest {
                    payer,
                    period,
                    limit_micros: micros,
                    limit_tokens: tokens,
                    soft_pct: 80,
                    hard,
                };
                bench.set(wish);
                ledger.chosen |= at == EACH;
                ledger.limits.insert(at, (micros, tokens, hard));
            }
            Step::Settle { .. } | Step::Refuse { .. } | Step::Lose { .. } => {}
        }
        agree(&bench, &ledger)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_call_starts_that_a_budget_may_not_be_able_to_pay(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        walk(steps)?;
    }
}
