//! Money on a real store: what is reserved, settled, lost and refused.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::{
    Just, ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::*;
use crate::features::agents::model::Agent;
use crate::features::runs::model::Session;
use crate::kernel::id::SeededIds;
use crate::kernel::time::{ManualClock, from_ms, month_of};
use crate::kernel::{Actor, Cause, Part, RunState, SessionId, Thinking, Timestamp, TypedId};
use crate::store::{NoFaults, Options, Record, Store};

const START: i64 = 1_795_000_000_000;

struct Bench {
    store: Store,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

fn agent_id(n: u8) -> AgentId {
    AgentId::from_bytes([0x40 + n; 16])
}

fn run_id(n: u8) -> RunId {
    RunId::from_bytes([0x80 + n; 16])
}

impl Bench {
    /// Two agents with two runs each, of which the first agent has a budget.
    fn new(agent: Option<i64>, month: Option<i64>, run: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(from_ms(START)));
        let store = Store::open(Options {
            path: folder.path().join("hq.redb"),
            schema: crate::server::schema::workspace(),
            cache: 1 << 20,
            clock: clock.clone(),
            ids: Arc::new(SeededIds::new(7)),
            reactor: None,
            faults: Arc::new(NoFaults),
        })
        .unwrap();
        let bench = Self { store, clock, _folder: folder };
        bench
            .write(move |tx| {
                let settings = Settings {
                    default_connection: None,
                    budget_micros: month,
                    run_cap_micros: run,
                    ..Settings::sample()
                };
                tx.put(&settings)?;
                for n in 0..2 {
                    tx.put(&Agent {
                        id: agent_id(n),
                        slug: format!("agent-{n}"),
                        connection: None,
                        budget_micros: agent.filter(|_| n == 0),
                        ..Agent::sample()
                    })?;
                }
                for n in 0..4 {
                    let session = SessionId::from_bytes([0xc0 + n; 16]);
                    let agent = agent_id(n / 2);
                    let key = format!("session-{n}");
                    tx.put(&Session { id: session, agent, key, ..Session::sample() })?;
                    tx.put(&Run {
                        id: run_id(n),
                        number: u32::from(n) + 1,
                        agent,
                        session,
                        state: RunState::Running,
                        thinking: Thinking::None,
                        ..Run::sample()
                    })?;
                }
                Ok(())
            })
            .unwrap();
        bench
    }

    fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, UsageError> + Send + 'static,
    ) -> Result<T, UsageError> {
        self.store.write_blocking(Actor::System(Part::Engine), Cause::Timer, body)
    }

    fn reserve(&self, run: u8, bound: i64) -> Result<ReservationId, UsageError> {
        let call = Reserve {
            agent: agent_id(run / 2),
            run: run_id(run),
            call: 1,
            callee: Callee { model: "router".into(), ..Callee::default() },
            bound_micros: bound,
            input_micros: bound / 4,
        };
        self.write(move |tx| reserve(tx, call))
    }

    fn now(&self) -> Timestamp {
        use crate::kernel::Clock;
        self.clock.now()
    }
}

fn spent(billed: i64) -> Spent {
    Spent {
        connection: None,
        provider: "anthropic".into(),
        model: "claude-haiku-4-5".into(),
        tokens: Tokens { input: 10, output: 5, ..Tokens::default() },
        counted: true,
        billed_micros: Some(billed),
        size: None,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Reserve { run: u8, bound: i64 },
    Settle { pick: usize, permille: i64 },
    Release { pick: usize },
    Lose { pick: usize, permille: i64 },
    Wait { ms: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let pick = 0..8_usize;
    prop_oneof![
        6 => (0..4_u8, 0..400_i64).prop_map(|(run, bound)| Step::Reserve { run, bound }),
        // A provider may count more than the bound: up to one and a half times.
        3 => (pick.clone(), 0..1_500_i64).prop_map(|(pick, permille)| Step::Settle { pick, permille }),
        1 => pick.clone().prop_map(|pick| Step::Release { pick }),
        2 => (pick, 0..1_200_i64).prop_map(|(pick, permille)| Step::Lose { pick, permille }),
        1 => prop_oneof![Just(60_000), Just(601_000), Just(86_400_000 * 31)].prop_map(|ms| Step::Wait { ms }),
    ]
}

/// What was held and spent, counted apart from the store.
#[derive(Default)]
struct Ledger {
    open: Vec<(ReservationId, u8, i64)>,
    lingering: Vec<(u8, i64, Timestamp)>,
    spent: HashMap<(u8, u32), i64>,
}

impl Ledger {
    fn held(&self, of: impl Fn(u8) -> bool, now: Timestamp) -> i64 {
        let open: i64 = self.open.iter().filter(|o| of(o.1)).map(|o| o.2).sum();
        let late = self.lingering.iter().filter(|l| of(l.0) && now < l.2);
        open + late.map(|l| l.1).sum::<i64>()
    }

    fn booked(&self, of: impl Fn(u8) -> bool, month: Option<u32>) -> i64 {
        let rows = self
            .spent
            .iter()
            .filter(|((run, m), _)| of(*run) && month.is_none_or(|month| month == *m));
        rows.map(|(_, micros)| *micros).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_call_starts_that_a_budget_may_not_be_able_to_pay(
        agent in prop_oneof![Just(None), (0..2_000_i64).prop_map(Some)],
        month in prop_oneof![Just(None), (0..3_000_i64).prop_map(Some)],
        cap in 0..1_500_i64,
        steps in proptest::collection::vec(step(), 1..50),
    ) {
        let bench = Bench::new(agent, month, cap);
        let mut ledger = Ledger::default();
        for step in steps {
            let now = bench.now();
            let this_month = month_of(now);
            match step {
                Step::Reserve { run, bound } => {
                    let mut fits = true;
                    let mut check = |limit: i64, booked: i64, held: i64| fits &= booked + held + bound <= limit;
                    if let Some(limit) = agent.filter(|_| run / 2 == 0) {
                        check(limit, ledger.booked(|r| r / 2 == 0, Some(this_month)), ledger.held(|r| r / 2 == 0, now));
                    }
                    if let Some(limit) = month {
                        check(limit, ledger.booked(|_| true, Some(this_month)), ledger.held(|_| true, now));
                    }
                    if cap > 0 {
                        check(cap, ledger.booked(|r| r == run, None), ledger.held(|r| r == run, now));
                    }
                    match bench.reserve(run, bound) {
                        Ok(id) => {
                            prop_assert!(fits, "a call of {bound} started beyond a limit");
                            ledger.open.push((id, run, bound));
                        }
                        Err(UsageError::OverBudget { left, needed, .. }) => {
                            prop_assert!(!fits, "a call of {bound} was refused within all limits");
                            prop_assert!(left < needed);
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                Step::Settle { pick, permille } if pick < ledger.open.len() => {
                    let (id, run, bound) = ledger.open.swap_remove(pick);
                    let billed = bound * permille / 1_000;
                    bench.write(move |tx| settle(tx, id, spent(billed))).unwrap();
                    *ledger.spent.entry((run, this_month)).or_default() += billed;
                }
                Step::Release { pick } if pick < ledger.open.len() => {
                    let (id, ..) = ledger.open.swap_remove(pick);
                    bench.write(move |tx| release(tx, id)).unwrap();
                }
                Step::Lose { pick, permille } if pick < ledger.open.len() => {
                    let (id, run, bound) = ledger.open.swap_remove(pick);
                    let got = bound * permille / 1_000;
                    bench.write(move |tx| book_lost(tx, id, spent(got))).unwrap();
                    let billed = got.max(bound / 4);
                    *ledger.spent.entry((run, this_month)).or_default() += billed;
                    ledger.lingering.push((run, (bound - billed).max(0), now + LINGER));
                }
                Step::Wait { ms } => bench.clock.advance_ms(ms),
                Step::Settle { .. } | Step::Release { .. } | Step::Lose { .. } => {}
            }
            let booked = bench.store.read(|snap| queries::month_total(snap, now)).unwrap();
            prop_assert_eq!(booked, ledger.booked(|_| true, Some(this_month)));
        }
    }
}

#[test]
fn the_refusal_names_the_tightest_budget() {
    let bench = Bench::new(Some(5_000_000), Some(3_000_000), 1_000_000);
    let id = bench.reserve(0, 600_000).unwrap();
    let error = bench.reserve(0, 600_000).unwrap_err();
    assert!(
        matches!(error, UsageError::OverBudget { budget: Budget::Run, left: 400_000, .. }),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "what one run may cost has $0.40 left of $1.00 and the next call may cost $0.60; \
         raise it or choose a cheaper model"
    );
    bench.reserve(1, 600_000).unwrap();
    bench.write(move |tx| settle(tx, id, spent(2_500_000))).unwrap();
    let error = bench.reserve(2, 10_000).unwrap_err();
    assert!(matches!(error, UsageError::OverBudget { budget: Budget::Workspace, .. }), "{error}");
}

#[test]
fn a_call_is_settled_once() {
    let bench = Bench::new(None, None, 0);
    let id = bench.reserve(0, 100).unwrap();
    let usage = bench.write(move |tx| settle(tx, id, spent(80))).unwrap();
    assert_eq!((usage.billed_micros, usage.estimated), (Some(80), false));
    for again in 0..3 {
        let result = bench.write(move |tx| match again {
            0 => settle(tx, id, spent(80)).map(|_| ()),
            1 => book_lost(tx, id, spent(80)).map(|_| ()),
            _ => release(tx, id),
        });
        assert!(matches!(result, Err(UsageError::Settled(_))));
    }
    assert_eq!(bench.store.read(|snap| queries::run_cost(snap, run_id(0))).unwrap(), 80);
}

#[test]
fn a_lost_call_is_booked_as_estimated_and_its_rest_lingers() {
    let bench = Bench::new(Some(1_000), None, 0);
    let id = bench.reserve(0, 800).unwrap();
    assert_eq!(bench.store.read(|s| queries::unsettled(s, run_id(0))).unwrap().len(), 1);
    let usage = bench.write(move |tx| book_lost(tx, id, spent(0))).unwrap();
    assert_eq!((usage.billed_micros, usage.estimated), (Some(200), true));
    assert_eq!(bench.store.read(|s| queries::unsettled(s, run_id(0))).unwrap().len(), 0);
    bench.reserve(0, 201).unwrap_err();
    bench.clock.advance_ms(LINGER.as_millis().try_into().unwrap());
    bench.reserve(0, 800).unwrap();
}

#[test]
fn the_bound_of_a_call_comes_from_what_the_tightest_budget_can_pay() {
    let bench = Bench::new(Some(2_000_000), None, 200_000);
    let admitted = |model: Model, call: u32| {
        bench.write(move |tx| {
            let ask = Ask {
                agent: agent_id(0),
                run: run_id(0),
                call,
                connection: None,
                provider: "anthropic",
                model: &model,
                size: Size { bytes: 20_000, images: 0 },
                max_output: 16_384,
                purpose: Purpose::Step,
            };
            admit(tx, &ask)
        })
    };
    let sonnet = catalog::describe("claude-sonnet-4-5");
    let first = admitted(sonnet.clone(), 1).unwrap();
    assert_eq!(first.bound.max_output, 10_833 - 4_096);
    assert!(first.micros <= 200_000);
    let refused = admitted(sonnet.clone(), 2).unwrap_err();
    assert!(matches!(refused, UsageError::OverBudget { budget: Budget::Run, .. }), "{refused}");
    let id = first.reservation;
    bench.write(move |tx| release(tx, id)).unwrap();
    // Nobody knows what this one costs: the limit still limits.
    let unknown = admitted(Model::unknown("home-made-7b"), 3).unwrap_err();
    assert!(matches!(unknown, UsageError::OverBudget { .. }), "{unknown}");
    let practice = admitted(catalog::describe("practice"), 4).unwrap();
    assert_eq!((practice.micros, practice.bound.max_output > 1_024), (0, true));
}

#[test]
fn a_model_without_a_price_is_free_to_go_where_nothing_limits_a_month() {
    let bench = Bench::new(None, None, 2_000_000);
    let priced = bench.store.read(|s| queries::as_counted(s, agent_id(1), Model::unknown("x")));
    assert_eq!(priced.unwrap().price, None);
    let limited = Bench::new(None, Some(1), 0);
    let priced =
        limited.store.read(|s| queries::as_counted(s, agent_id(1), Model::unknown("x"))).unwrap();
    let most = catalog::all().iter().filter_map(|m| m.price).map(|p| p.output).max();
    assert!(most.unwrap() <= priced.price.unwrap().output);
}

#[test]
fn a_request_that_had_more_tokens_than_expected_raises_the_ratio() {
    let bench = Bench::new(None, None, 0);
    let id = bench.reserve(0, 0).unwrap();
    let mut spent = spent(0);
    spent.size = Some(Size { bytes: 1_000, images: 0 });
    spent.tokens.input = 900;
    bench.write(move |tx| settle(tx, id, spent)).unwrap();
    // Under the name that was asked for, whoever answered.
    let ratio = |model| bench.store.read(|s| queries::ratio(s, model)).unwrap().permille();
    assert_eq!((ratio("router"), ratio("claude-haiku-4-5")), (900, 500));
}
