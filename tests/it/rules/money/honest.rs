//! Random schedules with a provider that counts correctly: calls of every kind, retries, interruptions, lost responses,
//! sub-agents, price changes and kills. No budget is ever exceeded.

use proptest::prelude::{
    Just, ProptestConfig, Strategy, TestCaseError, any, prop_assert, prop_oneof, proptest,
};

use super::*;
use features::runs::model::Child;
use features::usage::rules::prices::{NewPrice, remove as remove_price, set as set_price};

/// Parent of each run, by index, if it is a sub-agent's.
const PARENT: [Option<usize>; 4] = [None, Some(0), None, Some(2)];
/// A model of the catalogue, and one without a price unless a person sets it.
const MODELS: [&str; 2] = ["claude-haiku-4-5", "home-made-7b"];
const KINDS: [CallKind; 4] =
    [CallKind::Step, CallKind::WrapUp, CallKind::Compaction, CallKind::Memory];
/// Limits, and the indexes of the runs that count towards them.
const LIMITS: [(Spender, Period, &[usize]); 4] = [
    (Spender::Workspace, Period::Month, &[0, 1, 2, 3]),
    (Spender::Agent(0), Period::Day, &[0, 1]),
    (Spender::Agent(1), Period::Week, &[2, 3]),
    (Spender::Task(0), Period::Total, &[0, 2]),
];

#[derive(Clone, Copy)]
enum Spender {
    Workspace,
    Agent(u8),
    Task(u8),
}

#[derive(Clone, Debug)]
enum Step {
    Call {
        run: usize,
        kind: usize,
        model: usize,
        bytes: u64,
        max_output: u32,
    },
    /// The call is settled; the tokens are thousandths of the maximum.
    Settle {
        pick: usize,
        input: u64,
        output: u64,
        cached: bool,
    },
    Refuse {
        pick: usize,
    },
    /// The response is cut off; the caller retries.
    CutOff {
        pick: usize,
        output: u64,
    },
    /// The program is killed in the middle of all calls.
    Kill,
    Wait {
        ms: i64,
    },
    Price {
        model: usize,
        input: u64,
        output: u64,
    },
    NoPrice {
        model: usize,
    },
    Spawn {
        run: usize,
        permille: i64,
    },
    End {
        run: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let pick = 0..6_usize;
    let part = 0..=1_000_u64;
    let ms = prop_oneof![Just(1_000), Just(601_000), Just(86_400_000), Just(86_400_000 * 20)];
    prop_oneof![
        10 => (0..4_usize, 0..4_usize, 0..2_usize, 100..30_000_u64, 1..6_000_u32).prop_map(
            |(run, kind, model, bytes, max_output)| Step::Call { run, kind, model, bytes, max_output }
        ),
        6 => (pick.clone(), part.clone(), part.clone(), any::<bool>()).prop_map(
            |(pick, input, output, cached)| Step::Settle { pick, input, output, cached }
        ),
        1 => pick.clone().prop_map(|pick| Step::Refuse { pick }),
        2 => (pick, part).prop_map(|(pick, output)| Step::CutOff { pick, output }),
        1 => Just(Step::Kill),
        1 => ms.prop_map(|ms| Step::Wait { ms }),
        2 => (0..2_usize, 0..90_000_000_u64, 0..90_000_000_u64)
            .prop_map(|(model, input, output)| Step::Price { model, input, output }),
        1 => (0..2_usize).prop_map(|model| Step::NoPrice { model }),
        2 => (1..4_usize, 0..=1_000_i64).prop_map(|(run, permille)| Step::Spawn { run, permille }),
        1 => (1..4_usize).prop_map(|run| Step::End { run }),
    ]
}

/// A running call.
struct Open {
    run: usize,
    admitted: Admitted,
}

/// A billed call, recorded outside the store.
struct Row {
    run: usize,
    at: Timestamp,
    micros: i64,
}

struct World {
    bench: Bench,
    limits: [Option<i64>; 4],
    cap: i64,
    /// Budget share of each sub-agent that was created.
    shares: [Option<i64>; 4],
    live: [bool; 4],
    open: Vec<Open>,
    rows: Vec<Row>,
    calls: u32,
}

fn number(run: usize) -> u8 {
    u8::try_from(run).unwrap()
}

fn connection() -> ConnectionId {
    ConnectionId::from_bytes([0x77; 16])
}

impl World {
    fn new(limits: [Option<i64>; 4], cap: i64) -> Self {
        let bench = Bench::new(None, None, cap);
        for ((spender, period, _), micros) in LIMITS.into_iter().zip(limits) {
            let payer = match spender {
                Spender::Workspace => Payer::Workspace,
                Spender::Agent(n) => Payer::Agent(agent_id(n)),
                Spender::Task(n) => Payer::Task(task_id(n)),
            };
            if let Some(micros) = micros {
                bench.set(money(payer, period, micros));
            }
        }
        let made = bench.write(|tx| {
            Ok(tx.put(&Connection { id: connection(), price: None, ..Connection::sample() })?)
        });
        made.unwrap();
        let live = PARENT.map(|parent| parent.is_none());
        let (shares, open, rows) = ([None; 4], Vec::new(), Vec::new());
        Self { bench, limits, cap, shares, live, open, rows, calls: 0 }
    }

    fn call(&mut self, (run, kind, model): (usize, usize, usize), bytes: u64, max_output: u32) {
        self.calls += 1;
        let call = self.calls;
        let asked = self.bench.write(move |tx| {
            let known = catalog::describe(MODELS[model]);
            let ask = Ask {
                call,
                kind: KINDS[kind],
                connection: Some(connection()),
                name: MODELS[model],
                size: Size { bytes, images: 0 },
                max_output,
                ..model_call(number(run), &known)
            };
            admit(tx, &ask)
        });
        match asked {
            Ok(admitted) => self.open.push(Open { run, admitted }),
            Err(UsageError::OverBudget(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn note(&mut self, run: usize, usage: &Usage) {
        self.rows.push(Row { run, at: usage.at, micros: usage.billed_micros.unwrap_or(0) });
    }

    /// Usage that the provider reports for a call, and its cost.
    fn counted(open: &Open, tokens: Tokens) -> Spent {
        Spent {
            connection: Some(connection()),
            billed_micros: queries::bill(&open.admitted.model, &tokens),
            tokens,
            ..spent(0)
        }
    }

    fn settle(&mut self, pick: usize, (input, output): (u64, u64), cached: bool) {
        let open = self.open.swap_remove(pick);
        let sent = open.admitted.bound.input * input / 1_000;
        let output = u64::from(open.admitted.bound.max_output) * output / 1_000;
        let tokens = match cached {
            true => Tokens { cache_write: sent, output, ..Tokens::default() },
            false => Tokens { input: sent, output, ..Tokens::default() },
        };
        let (id, spent) = (open.admitted.reservation, Self::counted(&open, tokens));
        let usage = self.bench.write(move |tx| settle(tx, id, spent)).unwrap();
        self.note(open.run, &usage);
    }

    fn cut_off(&mut self, pick: usize, output: u64) {
        let open = self.open.swap_remove(pick);
        let bound = open.admitted.bound;
        let output = u64::from(bound.max_output) * output / 1_000;
        let tokens = Tokens { input: bound.input, output, ..Tokens::default() };
        let (id, spent) = (open.admitted.reservation, Self::counted(&open, tokens));
        let usage = self.bench.write(move |tx| book_lost(tx, id, spent)).unwrap();
        self.note(open.run, &usage);
    }

    fn kill(mut self) -> Self {
        self.bench = self.bench.restart();
        for run in 0..4 {
            let calls = self.open.iter().filter(|open| open.run == run).count();
            let made = self.bench.write(move |tx| {
                let before = queries::of_run(tx, run_id(number(run)))?.len();
                book_left(tx, run_id(number(run)))?;
                let after = queries::of_run(tx, run_id(number(run)))?;
                assert_eq!(after.len(), before + calls);
                let mut new = after;
                new.sort_by_key(|usage| usage.id);
                Ok(new.split_off(before))
            });
            for usage in made.unwrap() {
                self.note(run, &usage);
            }
        }
        self.open.clear();
        self
    }

    fn spawn(&mut self, run: usize, permille: i64) {
        let Some(parent) = PARENT[run].filter(|parent| self.live[*parent]) else { return };
        if self.live[run] || self.shares[run].is_some() {
            return;
        }
        let (id, above) = (run_id(number(run)), run_id(number(parent)));
        let agent = agent_id(number(parent) / 2);
        let left = self.bench.write(move |tx| {
            let left = standing::left_of_run(tx, agent, above, tx.now())?.micros;
            let share = left.map(|left| i64::try_from(left).unwrap() * permille / 1_000);
            tx.put(&Child {
                run: id,
                parent: above,
                limit_micros: share,
                limit_tokens: None,
                ended_at: None,
                ..Child::sample()
            })?;
            Ok(share)
        });
        (self.shares[run], self.live[run]) = (left.unwrap(), true);
    }

    fn end(&mut self, run: usize) {
        let is_busy = self.open.iter().any(|open| open.run == run);
        if PARENT[run].is_none() || !self.live[run] || is_busy {
            return;
        }
        let id = run_id(number(run));
        let ended = self.bench.write(move |tx| {
            let child = tx.get::<Child>(id)?.unwrap();
            Ok(tx.put(&Child { ended_at: Some(tx.now()), ..child })?)
        });
        ended.unwrap();
        self.live[run] = false;
    }

    fn price(&self, model: usize, amounts: Option<(u64, u64)>) {
        let changed = self.bench.write(move |tx| {
            let done = match amounts {
                Some((input, output)) => {
                    let amounts = [Some(input), None, Some(input), Some(output)];
                    let model = MODELS[model].to_owned();
                    let new = NewPrice { model, amounts, ..NewPrice::default() };
                    set_price(tx, new).map(drop)
                }
                None => remove_price(tx, MODELS[model], None, None).map(drop),
            };
            done.expect("a price that can be one");
            Ok(())
        });
        changed.unwrap();
    }

    fn billed(&self, runs: &[usize], period: Period, now: Timestamp) -> i64 {
        let first = period.first_day(now);
        let own = self.rows.iter().filter(|row| runs.contains(&row.run));
        own.filter(|row| first <= Period::Day.first_day(row.at)).map(|row| row.micros).sum()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let now = self.bench.now();
        for ((_, period, runs), limit) in LIMITS.into_iter().zip(self.limits) {
            let billed = self.billed(runs, period, now);
            prop_assert!(
                limit.is_none_or(|limit| billed <= limit),
                "{billed} of {limit:?} {period}"
            );
        }
        for (run, share) in self.shares.into_iter().enumerate() {
            let own = self.billed(&[run], Period::Total, now);
            let most = share.unwrap_or(if self.cap == 0 { i64::MAX } else { self.cap });
            prop_assert!(own <= most, "sub-agent {run} spent {own} of {share:?}");
        }
        for runs in [[0, 1], [2, 3]] {
            let billed = self.billed(&runs, Period::Total, now);
            prop_assert!(
                self.cap == 0 || billed <= self.cap,
                "{billed} of {} by {runs:?}",
                self.cap
            );
        }
        let kept =
            self.bench.store.read(|s| standing::spent(s, Payer::Workspace, Period::Total, now));
        prop_assert!(kept.unwrap() == self.billed(&[0, 1, 2, 3], Period::Total, now));
        Ok(())
    }
}

fn walk(limits: [Option<i64>; 4], cap: i64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::new(limits, cap);
    for step in steps {
        let there = |pick: usize| pick < world.open.len();
        match step {
            Step::Call { run, kind, model, bytes, max_output } if world.live[run] => {
                world.call((run, kind, model), bytes, max_output);
            }
            Step::Settle { pick, input, output, cached } if there(pick) => {
                world.settle(pick, (input, output), cached);
            }
            Step::Refuse { pick } if there(pick) => {
                let id = world.open.swap_remove(pick).admitted.reservation;
                world.bench.write(move |tx| release(tx, id)).unwrap();
            }
            Step::CutOff { pick, output } if there(pick) => world.cut_off(pick, output),
            Step::Kill => world = world.kill(),
            Step::Wait { ms } => world.bench.clock.advance_ms(ms),
            Step::Price { model, input, output } => world.price(model, Some((input, output))),
            Step::NoPrice { model } => world.price(model, None),
            Step::Spawn { run, permille } => world.spawn(run, permille),
            Step::End { run } => world.end(run),
            Step::Call { .. } | Step::Settle { .. } | Step::Refuse { .. } | Step::CutOff { .. } => {
            }
        }
        world.check()?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nobody_spends_more_than_he_may_where_providers_count_right(
        limits in proptest::array::uniform4(proptest::option::of(0..4_000_000_i64)),
        cap in prop_oneof![Just(0), 1..3_000_000_i64],
        steps in proptest::collection::vec(step(), 1..70),
    ) {
        walk(limits, cap, steps)?;
    }
}
