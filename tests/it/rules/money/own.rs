//! Budgets of agents, workspace and single runs: their state, and which one applies.

use super::*;
use features::usage::rules::budgets::{Limits, raise, set_limits};
use features::workspace::model::RUN_CAP_MICROS;

#[test]
fn budgets_of_agents_and_of_the_workspace_stand_where_they_stood() {
    let bench = Bench::new(Some(1_000), None, 300);
    let agent = Payer::Agent(agent_id(0));
    let of = |payer| bench.store.read(|s| standing::of(s, payer)).unwrap();
    assert_eq!(of(agent).len(), 1);
    bench.set(BudgetRequest {
        limit_tokens: Some(5_000),
        soft_pct: 50,
        hard: false,
        ..money(agent, Period::Month, 2_000)
    });
    let kept = bench.store.read(|s| s.get::<Agent>(agent_id(0))).unwrap().unwrap();
    assert_eq!((kept.budget_micros, kept.budget_soft_pct), (Some(2_000), 50));
    let [one] = &of(agent)[..] else { panic!("one budget") };
    assert_eq!((one.limit_micros, one.limit_tokens), (Some(2_000), Some(5_000)));
    assert_eq!((one.soft_pct, one.hard), (50, false));
    // A soft budget blocks nothing.
    bench.set(BudgetRequest { hard: false, ..money(Payer::Workspace, Period::Month, 100) });
    let id = bench.reserve(0, 250).unwrap();
    bench.write(move |tx| settle(tx, id, spent(250))).unwrap();
    assert!(
        bench.notice(Payer::Workspace, Period::Month).unwrap().reached,
        "and tells that it is used up"
    );
    assert!(bench.write(move |tx| remove(tx, agent, Period::Month)).unwrap());
    assert!(!bench.write(move |tx| remove(tx, agent, Period::Month)).unwrap());
    assert!(of(agent).is_empty());
    assert!(bench.store.read(|s| s.get::<Budget>((agent, Period::Month))).unwrap().is_none());
    assert!(bench.write(|tx| remove(tx, Payer::Workspace, Period::Run)).unwrap());
    bench.reserve(0, 10_000).unwrap();
}

#[test]
fn a_limit_of_its_own_takes_the_place_of_what_each_run_may_cost() {
    let bench = Bench::new(None, None, 500);
    assert!(lack(&bench.reserve(0, 600).unwrap_err()).budget.is_of_run());
    bench.set(money(Payer::Run(run_id(0)), Period::Total, 900));
    let id = bench.reserve(0, 600).unwrap();
    let error = bench.reserve(0, 600).unwrap_err();
    assert_eq!(lack(&error).budget.payer, Payer::Run(run_id(0)));
    bench.write(move |tx| release(tx, id)).unwrap();
    // Each run of an agent may have a limit, too: the lowest applies.
    bench.set(money(Payer::Agent(agent_id(1)), Period::Run, 100));
    assert!(bench.reserve(2, 101).is_err());
    bench.reserve(2, 100).unwrap();
}

#[test]
fn what_each_run_may_cost_limits_calls_without_a_price_once_somebody_has_chosen_it() {
    let bench = Bench::new(None, None, RUN_CAP_MICROS);
    let priced = |run: u8| bench.ask(run, Model::unknown("x"), 300).map(|(_, held)| held.priced_by);
    assert_eq!(priced(0).unwrap(), PricedBy::Nobody);
    // Another limit of the same form is not the default one.
    let limits = |month_micros: Option<i64>, run_micros: i64| {
        bench.write(move |tx| set_limits(tx, Limits { month_micros, run_micros })).unwrap();
    };
    limits(Some(1_000), RUN_CAP_MICROS);
    limits(None, RUN_CAP_MICROS);
    assert_eq!(priced(0).unwrap(), PricedBy::Nobody);
    // Nor is one that only warns.
    bench.set(BudgetRequest { hard: false, ..money(Payer::Workspace, Period::Run, 50_000_000) });
    assert_eq!(priced(0).unwrap(), PricedBy::Nobody);
    bench.set(money(Payer::Workspace, Period::Run, 50_000_000));
    assert_eq!(priced(0).unwrap(), PricedBy::Dearest);
    bench.set(money(Payer::Workspace, Period::Run, 1_000));
    assert!(lack(&priced(1).unwrap_err()).budget.is_of_run());
    // A limit of the run itself replaces it, as always.
    bench.set(money(Payer::Run(run_id(1)), Period::Total, 50_000_000));
    assert_eq!(priced(1).unwrap(), PricedBy::Dearest);
}

#[test]
fn what_a_workspace_begins_with_may_be_chosen_as_it_is() {
    let bench = Bench::new(None, None, RUN_CAP_MICROS);
    let each = || bench.store.read(|s| standing::one(s, Payer::Workspace, Period::Run)).unwrap();
    assert!(each().unwrap().usual);
    // Raising a limit that has room leaves it the default.
    assert!(!bench.write(|tx| raise(tx, Payer::Workspace, Period::Run)).unwrap());
    assert!(each().unwrap().usual);
    bench.set(money(Payer::Workspace, Period::Run, RUN_CAP_MICROS));
    let set = each().unwrap();
    assert_eq!((set.usual, set.limit_micros), (false, Some(RUN_CAP_MICROS)));
    assert!(bench.write(|tx| remove(tx, Payer::Workspace, Period::Run)).unwrap());
    assert_eq!(each(), None);
}

#[test]
fn a_call_is_billed_by_the_tier_in_which_it_was_answered() {
    let bench = Bench::new(None, None, 2_000_000);
    let admitted = |percent: u32| {
        let model = catalog::describe("gpt-5");
        let admitted = bench.write(move |tx| {
            let ask = Ask { provider: "openai", percent, ..model_call(0, &model) };
            admit(tx, &ask)
        });
        admitted.unwrap()
    };
    let tokens = Tokens { input: 100_000, output: 100_000, ..Tokens::default() };
    let bill = |admitted: &Admitted, sooner| queries::bill(&admitted.priced(sooner, 200), &tokens);
    let (usual, fast) = (admitted(100), admitted(200));
    let once = bill(&usual, None);
    let twice = once.map(|micros| 2 * micros);
    assert!(Some(0) < once);
    assert_eq!([bill(&usual, Some(false)), bill(&fast, Some(false))], [once; 2]);
    let sooner = [bill(&fast, None), bill(&fast, Some(true)), bill(&usual, Some(true))];
    assert_eq!(sooner, [twice; 3], "what nobody says is what was asked for");
}

#[test]
fn a_call_is_on_the_machine_of_its_run_whatever_becomes_of_it() {
    let bench = Bench::new(None, None, 0);
    let there = Run::sample().gateway;
    assert!(there.is_some());
    for (run, gateway) in [(0, there), (1, None)] {
        let id = run_id(run);
        bench
            .write(move |tx| {
                let one = tx.get::<Run>(id)?.unwrap();
                Ok(tx.put(&Run { gateway, ..one })?)
            })
            .unwrap();
        let settled = bench.reserve(run, 100).unwrap();
        let settled = bench.write(move |tx| settle(tx, settled, spent(80))).unwrap();
        let lost = bench.reserve(run, 100).unwrap();
        let lost = bench.write(move |tx| book_lost(tx, lost, spent(80))).unwrap();
        assert_eq!((settled.gateway, lost.gateway), (gateway, gateway));
    }
}
