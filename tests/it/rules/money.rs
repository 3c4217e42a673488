//! Budgets on a real store: reservations, settlements, losses, refusals.

mod grants;
mod groups;
mod honest;
mod own;
mod schedules;
mod shares;
mod simulate; // simulation of offline machines, clock jumps and spending

use std::sync::Arc;

use features::agents::model::Agent;
use features::connections::model::Connection;
use features::inbox::model::Item;
use features::routines::model::{Firing, Routine, Slot, item_key};
use features::runs::model::Run;
use features::runs::model::Session;
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::usage::model::budget::{Budget, BudgetNotice};
use features::usage::model::{Reservation, Usage};
use features::usage::queries::budgets::Lack;
use features::usage::queries::{self, budgets as standing, payers};
use features::usage::rules::budgets::{BudgetRequest, remove, set};
use features::usage::rules::*;
use features::workspace::model::Settings;
use kernel::id::SeededIds;
use kernel::time::{ManualClock, from_ms};
use kernel::{
    Actor, Cause, Event, FiringId, ItemId, Part, Period, RoutineId, RunState, SessionId, StreamId,
    TaskId, TaskStatus, Thinking, Timestamp, TypedId,
};
use kernel::{AgentId, CallKind, ConnectionId, Payer, PricedBy, ReservationId, RunId};
use providers::bound::Size;
use providers::catalog::{self, Model};
use providers::model::Usage as Tokens;
use store::{NoFaults, Options, Record, Store};
use store::{ReadExt, WriteTx};

const START: i64 = 1_795_000_000_000;

struct Bench {
    store: Store,
    clock: Arc<ManualClock>,
    ids: Arc<SeededIds>,
    folder: tempfile::TempDir,
}

fn agent_id(n: u8) -> AgentId {
    AgentId::from_bytes([0x40 + n; 16])
}

fn run_id(n: u8) -> RunId {
    RunId::from_bytes([0x80 + n; 16])
}

fn task_id(n: u8) -> TaskId {
    TaskId::from_bytes([0x20 + n; 16])
}

fn stream_id(n: u8) -> StreamId {
    StreamId::from_bytes([0x10 + n; 16])
}

fn routine_id(n: u8) -> RoutineId {
    RoutineId::from_bytes([0x30 + n; 16])
}

fn firing_id(n: u8) -> FiringId {
    FiringId::from_bytes([0x38 + n; 16])
}

/// Runs that the bench's routines pay for.
const BEGUN: [[u8; 2]; 2] = [[1, 2], [0, 2]];

/// The first run works on a task, the third on its subtask, the others on none.
fn task_of(run: u8) -> Option<TaskId> {
    match run {
        0 => Some(task_id(0)),
        2 => Some(task_id(1)),
        _ => None,
    }
}

fn open(folder: &std::path::Path, clock: &Arc<ManualClock>, ids: &Arc<SeededIds>) -> Store {
    Store::open(Options {
        path: folder.join("hq.redb"),
        schema: server::schema::workspace(),
        cache: 1 << 20,
        clock: clock.clone(),
        ids: ids.clone(),
        reactor: None,
        faults: Arc::new(NoFaults),
    })
    .unwrap()
}

impl Bench {
    /// Two agents with two runs each; the first agent has a budget.
    fn new(agent: Option<i64>, month: Option<i64>, run: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(from_ms(START)));
        let ids = Arc::new(SeededIds::new(7));
        let store = open(folder.path(), &clock, &ids);
        let bench = Self { store, clock, ids, folder };
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
                for n in 0..2 {
                    tx.put(&Task {
                        id: task_id(n),
                        number: u32::from(n) + 1,
                        status: TaskStatus::InProgress,
                        parent: (n == 1).then(|| task_id(0)),
                        assignee: None,
                        stream: None,
                        series: None,
                        occurrence_at: None,
                        template: None,
                        ..Task::sample()
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
                        task: task_of(n),
                        ..Run::sample()
                    })?;
                }
                Ok(())
            })
            .unwrap();
        bench
    }

    /// Two streams and two routines: the first started the second and third run, the other created the first task.
    fn groups(&self) {
        let body = |tx: &mut WriteTx<'_>| -> Result<(), UsageError> {
            for n in 0..2 {
                let (name, lead) = (format!("stream-{n}"), None);
                tx.put(&Stream { id: stream_id(n), name, lead, ..Stream::sample() })?;
                let (name, agent) = (format!("routine-{n}"), agent_id(0));
                tx.put(&Routine { id: routine_id(n), name, agent, ..Routine::sample() })?;
                let id = firing_id(n);
                let made = (n == 1).then(|| task_id(0));
                let (routine, slot) = (routine_id(n), Slot::Manual(u64::from(n)));
                let about = None;
                tx.put(&Firing { id, routine, slot, made, about, ..Firing::sample() })?;
            }
            for n in [1, 2] {
                // The second of them is a repetition.
                let key = item_key(firing_id(0));
                let key = if n == 1 { key } else { format!("again:x:{key}") };
                let (id, agent) = (ItemId::from_bytes([0x60 + n; 16]), agent_id(n / 2));
                tx.put(&Item { id, agent, key, task: None, run: None, ..Item::sample() })?;
                let run = tx.get::<Run>(run_id(n))?.unwrap();
                tx.put(&Run { item: Some(id), ..run })?;
            }
            Ok(())
        };
        self.write(body).unwrap();
    }

    fn put_in(&self, task: u8, stream: Option<u8>) {
        let body = move |tx: &mut WriteTx<'_>| -> Result<(), UsageError> {
            let task = tx.get::<Task>(task_id(task))?.unwrap();
            Ok(tx.put(&Task { stream: stream.map(stream_id), ..task })?)
        };
        self.write(body).unwrap();
    }

    fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, UsageError> + Send + 'static,
    ) -> Result<T, UsageError> {
        self.store.write_blocking(Actor::System(Part::Engine), Cause::Timer, body)
    }

    /// Stops the program and starts it again.
    fn restart(self) -> Self {
        let Self { store, clock, ids, folder } = self;
        drop(store);
        Self { store: open(folder.path(), &clock, &ids), clock, ids, folder }
    }

    fn reserve(&self, run: u8, bound: i64) -> Result<ReservationId, UsageError> {
        self.reserve_tokens(run, bound, 0)
    }

    fn reserve_tokens(
        &self,
        run: u8,
        bound: i64,
        tokens: i64,
    ) -> Result<ReservationId, UsageError> {
        let call = Reserve {
            agent: agent_id(run / 2),
            run: run_id(run),
            call: 1,
            kind: CallKind::Step,
            callee: Callee { model: "router".into(), ..Callee::default() },
            bound_micros: bound,
            input_micros: bound / 4,
            bound_tokens: tokens,
            input_tokens: tokens / 4,
        };
        self.write(move |tx| reserve(tx, call))
    }

    /// Requests a model call; returns its effective price and the reservation.
    fn ask(
        &self,
        run: u8,
        model: Model,
        bytes: u64,
    ) -> Result<(Option<catalog::Price>, Reservation), UsageError> {
        self.write(move |tx| {
            let size = Size { bytes, images: 0 };
            let ask = Ask { provider: "openai", size, ..model_call(run, &model) };
            let admitted = admit(tx, &ask)?;
            Ok((admitted.model.price, tx.get::<Reservation>(admitted.reservation)?.unwrap()))
        })
    }

    fn set(&self, wish: BudgetRequest) {
        self.write(move |tx| set(tx, wish)).unwrap();
    }

    fn notice(&self, payer: Payer, period: Period) -> Option<BudgetNotice> {
        self.store.read(|snap| snap.get::<BudgetNotice>((payer, period))).unwrap()
    }

    fn now(&self) -> Timestamp {
        use kernel::Clock;
        self.clock.now()
    }
}

/// A request for a step of a run, with defaults for what a test does not set.
fn model_call(run: u8, model: &Model) -> Ask<'_> {
    Ask {
        agent: agent_id(run / 2),
        run: run_id(run),
        call: 1,
        kind: CallKind::Step,
        connection: None,
        provider: "anthropic",
        name: &model.id,
        model,
        size: Size { bytes: 2_000, images: 0 },
        max_output: 2_000,
        heeds_limit: true,
        percent: 100,
        fee_micros: 0,
        id: None,
    }
}

/// A hard money budget.
fn money(payer: Payer, period: Period, micros: i64) -> BudgetRequest {
    let limit_micros = Some(micros);
    BudgetRequest { payer, period, limit_micros, limit_tokens: None, soft_pct: 80, hard: true }
}

fn lack(error: &UsageError) -> &Lack {
    match error {
        UsageError::OverBudget(lack) => lack,
        other => panic!("{other}"),
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

#[test]
fn the_refusal_names_the_tightest_budget() {
    let bench = Bench::new(Some(5_000_000), Some(3_000_000), 1_000_000);
    let id = bench.reserve(0, 600_000).unwrap();
    let error = bench.reserve(0, 600_000).unwrap_err();
    assert!(lack(&error).budget.is_of_run() && lack(&error).level.left() == 400_000, "{error}");
    assert_eq!(
        error.to_string(),
        "the next call can cost $0.60, but $0.40 of $1.00 is left (the limit per run); \
         raise it or choose a cheaper model"
    );
    bench.reserve(1, 600_000).unwrap();
    bench.write(move |tx| settle(tx, id, spent(2_500_000))).unwrap();
    let error = bench.reserve(2, 10_000).unwrap_err();
    assert_eq!(lack(&error).budget.payer, Payer::Workspace, "{error}");
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
    let guessed = Spent { counted: false, ..spent(0) };
    let usage = bench.write(move |tx| book_lost(tx, id, guessed)).unwrap();
    assert_eq!((usage.billed_micros, usage.estimated), (Some(200), true));
    assert_eq!(bench.store.read(|s| queries::unsettled(s, run_id(0))).unwrap().len(), 0);
    bench.reserve(0, 201).unwrap_err();
    bench.clock.advance_ms(LINGER.as_millis().try_into().unwrap());
    bench.reserve(0, 800).unwrap();
}

#[test]
fn what_a_provider_had_counted_of_a_lost_call_is_what_it_costs() {
    let bench = Bench::new(Some(1_000), None, 0);
    let id = bench.reserve(0, 800).unwrap();
    let usage = bench.write(move |tx| book_lost(tx, id, spent(30))).unwrap();
    assert_eq!((usage.billed_micros, usage.estimated), (Some(30), true));
    // The provider may still be generating: the reservation stays.
    bench.reserve(0, 201).unwrap_err();
    bench.clock.advance_ms(LINGER.as_millis().try_into().unwrap());
    bench.reserve(0, 970).unwrap();
}

#[test]
fn a_fee_besides_the_tokens_is_reserved() {
    let bench = Bench::new(None, None, 200_000);
    let sonnet = catalog::describe("claude-sonnet-4-5");
    let reserved = |fee_micros: u64| {
        let model = sonnet.clone();
        bench.write(move |tx| {
            let kind = CallKind::Search;
            let ask = Ask { kind, max_output: 1_024, fee_micros, ..model_call(0, &model) };
            admit(tx, &ask).map(|admitted| admitted.micros)
        })
    };
    let tokens = reserved(0).unwrap();
    assert_eq!(reserved(20_000).unwrap(), tokens + 20_000);
    let refused = reserved(190_000).unwrap_err();
    assert!(lack(&refused).budget.is_of_run(), "{refused}");
}

#[test]
fn the_bound_of_a_call_comes_from_what_the_tightest_budget_can_pay() {
    let bench = Bench::new(Some(2_000_000), None, 200_000);
    let admitted = |model: Model, call: u32| {
        bench.write(move |tx| {
            let size = Size { bytes: 20_000, images: 0 };
            let ask = Ask { call, size, max_output: 16_384, ..model_call(0, &model) };
            admit(tx, &ask)
        })
    };
    let sonnet = catalog::describe("claude-sonnet-4-5");
    let first = admitted(sonnet.clone(), 1).unwrap();
    assert_eq!(first.bound.max_output, 10_833 - 4_096);
    assert!(first.micros <= 200_000);
    let refused = admitted(sonnet.clone(), 2).unwrap_err();
    assert!(lack(&refused).budget.is_of_run(), "{refused}");
    let id = first.reservation;
    bench.write(move |tx| release(tx, id)).unwrap();
    // The cost of this call is unknown: the limit applies.
    let unknown = admitted(Model::unknown("home-made-7b"), 3).unwrap_err();
    assert!(!lack(&unknown).tokens, "{unknown}");
    let practice = admitted(catalog::describe("practice"), 4).unwrap();
    assert_eq!((practice.micros, practice.bound.max_output > 1_024), (0, true));
}

#[test]
fn a_model_without_a_price_is_free_to_go_where_nothing_limits_money() {
    let ask = |bench: &Bench, run: u8| bench.ask(run, Model::unknown("x"), 2_000);
    let bench = Bench::new(None, None, 2_000_000);
    let (price, held) = ask(&bench, 0).unwrap();
    assert_eq!((price, held.micros, held.priced_by), (None, 0, PricedBy::Nobody));
    // A token limit needs no price.
    let tokens = BudgetRequest {
        limit_micros: None,
        limit_tokens: Some(1_000),
        ..money(Payer::Agent(agent_id(0)), Period::Day, 0)
    };
    bench.set(tokens);
    let error = ask(&bench, 0).unwrap_err();
    assert!(lack(&error).tokens, "{error}");
    // With a money limit on its task, the highest known price is used, without being recorded as the real one.
    bench.write(move |tx| remove(tx, tokens.payer, tokens.period)).unwrap();
    bench.set(money(Payer::Task(task_id(0)), Period::Total, 50_000_000));
    let (price, held) = ask(&bench, 0).unwrap();
    let most = catalog::all().iter().filter_map(|m| m.price).map(|p| p.output).max();
    assert!(most.unwrap() <= price.unwrap().output);
    let held_micros = held.micros;
    assert!(0 < held_micros);
    assert_eq!(held.priced_by, PricedBy::Dearest);
    let usage = bench.write(move |tx| settle(tx, held.id, spent(700))).unwrap();
    assert_eq!((usage.billed_micros, usage.list_micros), (Some(700), None));
    // Of an interrupted call only received tokens count: a reservation at an unknown price does not block repeating the
    // call.
    for _ in 0..=50_000_000 / held_micros {
        let (_, held) = ask(&bench, 0).unwrap();
        bench.write(move |tx| book_lost(tx, held.id, spent(7))).unwrap();
    }
}

#[test]
fn a_request_that_had_more_tokens_than_expected_raises_the_ratio() {
    let bench = Bench::new(None, None, 0);
    let id = bench.reserve(0, 0).unwrap();
    let mut spent = spent(0);
    spent.size = Some(Size { bytes: 1_000, images: 0 });
    spent.tokens.input = 900;
    bench.write(move |tx| settle(tx, id, spent)).unwrap();
    // Under the requested name, whatever model responded.
    let ratio = |model| bench.store.read(|s| queries::ratio(s, None, model)).unwrap().permille();
    assert_eq!((ratio("router"), ratio("claude-haiku-4-5")), (900, 500));
}

#[test]
fn a_provider_that_lies_without_shame_fills_no_budget_again() {
    let bench = Bench::new(Some(2_000_000), None, 0);
    let tokens = BudgetRequest {
        limit_micros: None,
        limit_tokens: Some(1_000_000),
        ..money(Payer::Agent(agent_id(0)), Period::Day, 0)
    };
    bench.set(tokens);
    let calls = [0, 1, 2].map(|_| bench.reserve_tokens(0, 0, 0).unwrap());
    for id in calls {
        let most = Tokens {
            input: u64::MAX,
            cache_read: u64::MAX,
            cache_write: u64::MAX,
            cache_write_1h: u64::MAX,
            output: u64::MAX,
            reasoning: u64::MAX,
        };
        let size = Some(Size { bytes: 10, images: 0 });
        let spent = Spent { tokens: most, billed_micros: Some(i64::MAX), size, ..spent(0) };
        bench.write(move |tx| settle(tx, id, spent)).unwrap();
    }
    let left = |run: u8| bench.reserve(run, 0).map_err(|error| lack(&error).level.left());
    assert!(left(0).unwrap_err() < -2_000_000, "nothing has begun anew");
    let now = bench.now();
    let used = bench.store.read(|s| standing::tokens(s, tokens.payer, Period::Day, now)).unwrap();
    assert!(1_000_000 < used, "{used}");
    // The other agent has no limit, and no call of the model is permanently too large.
    let ratio = bench.store.read(|s| queries::ratio(s, None, "router")).unwrap();
    assert_eq!(ratio.permille(), 4_000);
    let other = Some(ConnectionId::from_bytes([7; 16]));
    let there = bench.store.read(|s| queries::ratio(s, other, "router")).unwrap();
    assert_eq!(there.permille(), 500, "another connection is not to blame");
    left(2).unwrap();
}

#[test]
fn a_task_pays_for_its_parts_and_only_its_own_run_is_refused() {
    let bench = Bench::new(None, None, 0);
    bench.set(money(Payer::Task(task_id(0)), Period::Total, 1_000));
    let part = bench.reserve(2, 700).unwrap();
    let error = bench.reserve(0, 400).unwrap_err();
    assert_eq!((lack(&error).name.as_str(), lack(&error).level.left()), ("MC-1's budget", 300));
    // Another run of the same agent is not affected.
    bench.reserve(1, 4_000).unwrap();
    bench.write(move |tx| settle(tx, part, spent(700))).unwrap();
    let now = bench.now();
    let spent =
        |n| bench.store.read(|s| standing::spent(s, Payer::Task(task_id(n)), Period::Total, now));
    assert_eq!((spent(0).unwrap(), spent(1).unwrap()), (700, 700));
}

#[test]
fn a_warning_comes_once_in_a_period_and_again_for_another_limit() {
    let bench = Bench::new(Some(1_000), None, 0);
    let payer = Payer::Agent(agent_id(0));
    let spend = |billed: i64| {
        let id = bench.reserve(0, billed).unwrap();
        bench.write(move |tx| settle(tx, id, spent(billed))).unwrap();
    };
    let told = || bench.notice(payer, Period::Month);
    let seq = || bench.store.head().seq;
    let warned = |after: u64| {
        let entries = bench.store.entries_after(after, 100).unwrap();
        let events = entries.iter().flat_map(|entry| &entry.events);
        events
            .filter(|e| matches!(e, Event::BudgetWarned { .. } | Event::BudgetReached { .. }))
            .count()
    };
    spend(700);
    assert_eq!(told(), None);
    let before = seq();
    spend(100);
    assert!(!told().unwrap().reached && warned(before) == 1);
    bench.write(move |tx| budgets::put_away(tx, (payer, Period::Month))).unwrap();
    spend(50);
    assert!(told().unwrap().seen_at.is_some() && warned(before) == 1, "told once");
    spend(150);
    assert!(told().unwrap().reached && told().unwrap().seen_at.is_none());
    // A raised limit starts a new warning.
    bench.set(BudgetRequest { soft_pct: 80, ..money(payer, Period::Month, 1_200) });
    assert!(!told().unwrap().reached, "1,000 of 1,200 is more than 80 percent");
    bench.set(money(payer, Period::Month, 10_000));
    assert_eq!(told(), None);
    // A month later, nothing is spent.
    bench.set(money(payer, Period::Month, 1_100));
    bench.clock.advance_ms(86_400_000 * 31);
    assert!(bench.store.read(|s| standing::notices(s, bench.now())).unwrap().is_empty());
    spend(900);
    assert!(!told().unwrap().reached);
}

#[test]
fn what_a_run_may_cost_keeps_it_not_waiting_for_a_budget_that_was_raised() {
    let bench = Bench::new(None, Some(100_000), 400_000);
    let run = bench.store.read(|snap| snap.get::<Run>(run_id(0))).unwrap().unwrap();
    let now = bench.now();
    let can_pay = |needs| bench.store.read(|s| standing::can_pay(s, &run, needs, now)).unwrap();
    let refused = bench.reserve(0, 600_000).unwrap_err();
    assert_eq!(lack(&refused).budget.period, Period::Month);
    assert!(!can_pay((600_000, 0)));
    bench.set(money(Payer::Workspace, Period::Month, 100_100_000));
    assert!(can_pay((600_000, 0)), "it is woken");
    let refused = bench.reserve(0, 600_000).unwrap_err();
    assert!(lack(&refused).budget.is_of_run(), "and ends with a last word");
}

#[test]
fn each_limit_of_money_that_somebody_set_holds_for_models_without_a_price() {
    let (run, agent, task) =
        (Payer::Run(run_id(0)), Payer::Agent(agent_id(0)), Payer::Task(task_id(0)));
    for (payer, period) in [
        (run, Period::Total),
        (agent, Period::Run),
        (agent, Period::Month),
        (task, Period::Run),
        (task, Period::Total),
        (Payer::Workspace, Period::Day),
    ] {
        let bench = Bench::new(None, None, 2_000_000);
        bench.set(money(payer, period, 1_000));
        let refused = bench.ask(0, Model::unknown("x"), 2_000).unwrap_err();
        let lack = lack(&refused);
        assert_eq!((lack.budget.payer, lack.budget.period), (payer, period), "{refused}");
    }
}

#[test]
fn what_cannot_be_a_budget_is_refused_in_words() {
    let bench = Bench::new(None, None, 0);
    let agent = Payer::Agent(agent_id(0));
    let error = |wish: BudgetRequest| bench.write(move |tx| set(tx, wish)).unwrap_err().to_string();
    let plain = money(agent, Period::Month, 5);
    assert_eq!(
        error(BudgetRequest { soft_pct: 0, ..plain }),
        "enter a warning level from 1 to 100 percent"
    );
    assert_eq!(
        error(BudgetRequest { limit_micros: Some(-1), ..plain }),
        "enter a budget between $0.00 and $10000000.00"
    );
    assert!(error(BudgetRequest { limit_tokens: Some(-1), ..plain }).contains("tokens"));
    assert_eq!(error(money(Payer::Run(run_id(0)), Period::Day, 5)), "a run has one total budget");
    assert_eq!(
        error(money(Payer::Agent(agent_id(9)), Period::Day, 5)),
        "this agent doesn't exist; check its name"
    );
}
