//! Random schedules of sub-agents and calls: no run exceeds its budget together with its sub-agents, none exceeds its
//! share, and a share is not spent by others.

use proptest::prelude::{
    ProptestConfig, Strategy, TestCaseError, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::*;
use features::runs::model::Child;

/// Parent of each run, by index, if it is a sub-agent's.
const PARENT: [Option<usize>; 4] = [None, Some(0), Some(0), Some(1)];

#[derive(Clone, Debug)]
enum Step {
    /// Creates a sub-agent with this share, in thousandths, of what its parent has left.
    Spawn {
        run: usize,
        permille: i64,
    },
    Reserve {
        run: usize,
        bound: i64,
    },
    Settle {
        pick: usize,
        permille: i64,
    },
    Lose {
        pick: usize,
        permille: i64,
    },
    End {
        run: usize,
    },
    /// The program is killed in the middle of all calls.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let pick = 0..8_usize;
    prop_oneof![
        3 => (1..4_usize, 0..=1_000_i64).prop_map(|(run, permille)| Step::Spawn { run, permille }),
        8 => (0..4_usize, 0..400_i64).prop_map(|(run, bound)| Step::Reserve { run, bound }),
        4 => (pick.clone(), 0..=1_000_i64).prop_map(|(pick, permille)| Step::Settle { pick, permille }),
        2 => (pick, 0..=1_000_i64).prop_map(|(pick, permille)| Step::Lose { pick, permille }),
        2 => (1..4_usize).prop_map(|run| Step::End { run }),
        1 => proptest::strategy::Just(Step::Kill),
    ]
}

struct Open {
    id: ReservationId,
    run: usize,
    bound: i64,
}

struct Ledger {
    /// Limit of each created run; the first has the general limit.
    limit: [Option<i64>; 4],
    live: [bool; 4],
    open: Vec<Open>,
    /// Amounts booked by each run, and reservations of lost calls.
    gone: [i64; 4],
}

impl Ledger {
    fn is_below(mut run: usize, above: usize) -> bool {
        loop {
            match PARENT[run] {
                _ if run == above => return true,
                Some(parent) => run = parent,
                None => return false,
            }
        }
    }

    /// Amount used by a run and all its descendants.
    fn used(&self, run: usize) -> i64 {
        let below = |one: usize| Self::is_below(one, run);
        let open = self.open.iter().filter(|open| below(open.run)).map(|open| open.bound);
        let gone = (0..4).filter(|one| below(*one)).map(|one| self.gone[one]);
        open.chain(gone).sum()
    }

    /// What a run has left for a call of `by`, which is the run or a descendant.
    fn left(&self, run: usize, by: usize) -> i64 {
        let Some(limit) = self.limit[run] else { return i64::MAX };
        let others = (1..4).filter(|one| {
            PARENT[*one] == Some(run) && self.live[*one] && !Self::is_below(by, *one)
        });
        let aside = others.map(|one| (self.limit[one].unwrap_or(0) - self.used(one)).max(0));
        limit - self.used(run) - aside.sum::<i64>()
    }

    fn least(&self, by: usize) -> i64 {
        (0..4)
            .filter(|run| Self::is_below(by, *run))
            .map(|run| self.left(run, by))
            .min()
            .unwrap_or(0)
    }
}

fn number(run: usize) -> u8 {
    u8::try_from(run).unwrap()
}

fn walk(cap: i64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut bench = Bench::new(None, None, cap);
    let mut ledger = Ledger {
        limit: [Some(cap), None, None, None],
        live: [true, false, false, false],
        open: Vec::new(),
        gone: [0; 4],
    };
    for step in steps {
        match step {
            Step::Spawn { run, permille } => {
                let Some(parent) = PARENT[run].filter(|parent| ledger.live[*parent]) else {
                    continue;
                };
                if ledger.limit[run].is_some() {
                    continue;
                }
                let (id, above) = (run_id(number(run)), run_id(number(parent)));
                let agent = agent_id(number(parent) / 2);
                let left = bench
                    .write(move |tx| Ok(standing::left_of_run(tx, agent, above, tx.now())?.micros));
                let left = i64::try_from(left.unwrap().unwrap()).unwrap();
                prop_assert_eq!(left, ledger.least(parent).max(0));
                let share = left * permille / 1_000;
                let made = Child {
                    run: id,
                    parent: above,
                    limit_micros: Some(share),
                    limit_tokens: None,
                    ended_at: None,
                    ..Child::sample()
                };
                bench.write(move |tx| Ok(tx.put(&made)?)).unwrap();
                (ledger.limit[run], ledger.live[run]) = (Some(share), true);
            }
            Step::Reserve { run, bound } if ledger.live[run] => {
                let fits = bound <= ledger.least(run);
                match bench.reserve(number(run), bound) {
                    Ok(id) => {
                        prop_assert!(fits, "a call of {bound} began beyond a limit");
                        ledger.open.push(Open { id, run, bound });
                    }
                    Err(error) => {
                        prop_assert!(!fits, "refused within all limits: {error}");
                        prop_assert!(lack(&error).budget.is_of_run());
                    }
                }
            }
            Step::Settle { pick, permille } if pick < ledger.open.len() => {
                let Open { id, run, bound } = ledger.open.swap_remove(pick);
                let billed = bound * permille / 1_000;
                bench.write(move |tx| settle(tx, id, spent(billed))).unwrap();
                ledger.gone[run] += billed;
            }
            Step::Lose { pick, permille } if pick < ledger.open.len() => {
                let Open { id, run, bound } = ledger.open.swap_remove(pick);
                let billed = bound * permille / 1_000;
                bench.write(move |tx| book_lost(tx, id, spent(billed))).unwrap();
                // The unspent part stays reserved.
                ledger.gone[run] += bound;
            }
            Step::End { run } if ledger.live[run] => {
                if ledger.open.iter().any(|open| open.run == run) {
                    continue;
                }
                let id = run_id(number(run));
                bench
                    .write(move |tx| {
                        let child = tx.get::<Child>(id)?.unwrap();
                        Ok(tx.put(&Child { ended_at: Some(tx.now()), ..child })?)
                    })
                    .unwrap();
                ledger.live[run] = false;
            }
            Step::Kill => {
                bench = bench.restart();
                for run in 0..4 {
                    bench.write(move |tx| book_left(tx, run_id(run))).unwrap();
                }
                for open in std::mem::take(&mut ledger.open) {
                    ledger.gone[open.run] += open.bound;
                }
            }
            Step::Reserve { .. } | Step::Settle { .. } | Step::Lose { .. } | Step::End { .. } => {}
        }
        for run in 0..4 {
            let most = ledger.limit[run].unwrap_or(0);
            prop_assert!(ledger.used(run) <= most, "run {run} used more than {most}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_of_runs_never_spends_more_than_its_root_may(
        cap in 1..4_000_i64,
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        walk(cap, steps)?;
    }
}
