//! Grants for offline machines: no limit is ever exceeded, and a machine knows only the grants that are reserved for
//! it.

use std::time::Duration;

use features::usage::model::grant::RunGrant;
use features::usage::rules::grants::{
    Terms, committed, drawn, fit, holds, is_anothers, longest, lose, regain, release,
    settle_reported,
};
use kernel::GatewayId;
use proptest::prelude::{
    ProptestConfig, Strategy, TestCaseError, prop_assert, prop_oneof, proptest,
};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// The machine is linked: the run's grant is renewed, and the machine is told.
    Fit { run: u8 },
    /// A call that the primary admits.
    Reserve { run: u8, bound: i64 },
    /// An admitted call ends.
    Settle { pick: usize, permille: i64 },
    /// A call during a disconnection, reported to the primary later.
    Alone { run: u8, bound: i64, permille: i64 },
    /// The run is parked.
    Release { run: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let (run, share) = (0..4_u8, 0..=1_000_i64);
    prop_oneof![
        3 => run.clone().prop_map(|run| Step::Fit { run }),
        4 => (run.clone(), 0..400_i64).prop_map(|(run, bound)| Step::Reserve { run, bound }),
        3 => (0..8_usize, share.clone()).prop_map(|(pick, permille)| Step::Settle { pick, permille }),
        4 => (run.clone(), 0..400_i64, share)
            .prop_map(|(run, bound, permille)| Step::Alone { run, bound, permille }),
        1 => run.prop_map(|run| Step::Release { run }),
    ]
}

fn terms() -> Terms {
    Terms { gateway: GatewayId::from_bytes([95; 16]), micros: 500, hours: 72 }
}

fn granted(bench: &Bench, run: u8) -> Option<RunGrant> {
    bench.write(move |tx| Ok(tx.get::<RunGrant>(run_id(run))?)).unwrap()
}

/// The report of a call made during a disconnection, as the primary processes it.
fn alone(tx: &mut WriteTx<'_>, run: u8, bound: i64, billed: i64) -> Result<(), UsageError> {
    let (id, agent) = (run_id(run), agent_id(run / 2));
    let before = committed(tx, id, tx.now())?;
    let held = Reservation {
        id: tx.new_id(),
        agent: Some(agent),
        run: Some(id),
        micros: bound,
        input_micros: 0,
        tokens: 0,
        input_tokens: 0,
        payers: payers::payers(tx, agent, id)?,
        release_at: None,
        at: tx.now(),
        ..Reservation::sample()
    };
    tx.put(&held)?;
    drawn(tx, id, before)?;
    let before = committed(tx, id, tx.now())?;
    settle(tx, held.id, spent(billed))?;
    drawn(tx, id, before)
}

fn left_of_month(bench: &Bench) -> i64 {
    let read = |tx: &mut WriteTx<'_>| -> Result<i64, UsageError> {
        let all = standing::standings(tx, &[Payer::Workspace], tx.now())?;
        let month = all.into_iter().find(|one| one.budget.period == Period::Month);
        Ok(month.and_then(|one| one.micros).map_or(0, |level| level.left()))
    };
    bench.write(read).unwrap()
}

fn walk(month: i64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let bench = Bench::new(None, Some(month), 1_000_000);
    let mut open: Vec<(ReservationId, i64)> = Vec::new();
    // What each machine believes that its run may still spend.
    let mut knows = [0_i64; 4];
    for step in steps {
        match step {
            Step::Fit { run } => {
                bench.write(move |tx| fit(tx, run_id(run), terms())).unwrap();
                knows[usize::from(run)] = granted(&bench, run).unwrap().micros;
            }
            Step::Reserve { run, bound } => {
                if let Ok(id) = bench.reserve(run, bound) {
                    open.push((id, bound));
                }
            }
            Step::Settle { pick, permille } if pick < open.len() => {
                let (id, bound) = open.swap_remove(pick);
                bench.write(move |tx| settle(tx, id, spent(bound * permille / 1_000))).unwrap();
            }
            Step::Alone { run, bound, permille } if bound <= knows[usize::from(run)] => {
                let billed = bound * permille / 1_000;
                bench.write(move |tx| alone(tx, run, bound, billed)).unwrap();
                knows[usize::from(run)] -= billed;
            }
            Step::Release { run } => {
                bench.write(move |tx| release(tx, run_id(run))).unwrap();
                knows[usize::from(run)] = 0;
            }
            Step::Settle { .. } | Step::Alone { .. } => {}
        }
        let left = left_of_month(&bench);
        prop_assert!(0 <= left, "booked, held back and granted pass the limit by {}", -left);
        for (run, knows) in (0..4).zip(knows) {
            let held = granted(&bench, run).map_or(0, |grant| grant.micros);
            prop_assert!(knows <= held, "machine {run} knows of {knows}, {held} is held back");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn grants_never_let_a_limit_be_passed(
        month in 0..3_000_i64,
        steps in proptest::collection::vec(step(), 1..50),
    ) {
        walk(month, steps)?;
    }
}

#[test]
fn a_grant_is_what_a_budget_has_left_and_holds_back_from_all_others() {
    let bench = Bench::new(None, Some(700), 1_000_000);
    bench.write(|tx| fit(tx, run_id(0), terms())).unwrap();
    bench.write(|tx| fit(tx, run_id(2), terms())).unwrap();
    let micros = |run| granted(&bench, run).map(|grant| grant.micros);
    assert_eq!((micros(0), micros(2)), (Some(500), Some(200)));
    assert!(granted(&bench, 0).unwrap().is_limited, "somebody has set what a month may cost");
    bench.reserve(3, 1).unwrap_err();
    bench.write(|tx| release(tx, run_id(0))).unwrap();
    bench.reserve(3, 500).unwrap();
}

#[test]
fn what_was_granted_is_booked_whole_when_a_run_is_taken_away_until_its_machine_says_less() {
    let bench = Bench::new(None, Some(10_000), 1_000_000);
    let billed = |tx: &mut WriteTx<'_>| -> Result<(), UsageError> {
        let run = tx.get::<Run>(run_id(0))?.unwrap();
        let connection = Some(ConnectionId::from_bytes([7; 16]));
        Ok(tx.put(&Run { connection, ..run })?)
    };
    bench.write(billed).unwrap();
    bench.write(|tx| fit(tx, run_id(0), terms())).unwrap();
    let cost = || bench.write(|tx| Ok(queries::run_cost(tx, run_id(0))?)).unwrap();
    for _ in 0..2 {
        bench.write(|tx| lose(tx, run_id(0))).unwrap();
        assert_eq!((cost(), left_of_month(&bench)), (500, 9_500));
    }
    // The run made a call unknown to the primary: its cost is known now, the rest is not.
    let held = ReservationId::from_bytes([3; 16]);
    for _ in 0..2 {
        bench.write(move |tx| settle_reported(tx, run_id(0), (held, 4), spent(120))).unwrap();
        assert_eq!((cost(), left_of_month(&bench)), (500, 9_500));
    }
    // Another machine reports that it is done, then the one that had the run.
    bench.write(|tx| regain(tx, GatewayId::from_bytes([96; 16]))).unwrap();
    assert_eq!(cost(), 500);
    for _ in 0..2 {
        bench.write(|tx| regain(tx, terms().gateway)).unwrap();
        assert_eq!((cost(), left_of_month(&bench)), (120, 9_880));
    }
    // A later report is still booked, once.
    let other = ReservationId::from_bytes([5; 16]);
    for _ in 0..2 {
        bench.write(move |tx| settle_reported(tx, run_id(0), (other, 5), spent(7))).unwrap();
        assert_eq!(cost(), 127);
    }
}

/// Cost of a run after its machine has reported, twice, the cost of a question with reservation `held`.
fn cost_of_question(bench: &Bench, held: ReservationId) -> [i64; 2] {
    [(); 2].map(|()| {
        // A question that is no part of the conversation has no step number.
        bench.write(move |tx| settle_reported(tx, run_id(0), (held, 0), spent(30))).unwrap();
        bench.write(|tx| Ok(queries::run_cost(tx, run_id(0))?)).unwrap()
    })
}

#[test]
fn a_question_is_booked_once_whatever_home_knew_of_it_and_how_often_its_machine_says_it() {
    let lost = |bench: &Bench| {
        let id = bench.reserve(0, 400).unwrap();
        bench.write(|tx| book_left(tx, run_id(0))).unwrap();
        assert_eq!(bench.write(|tx| Ok(queries::run_cost(tx, run_id(0))?)).unwrap(), 100);
        id
    };
    let settled = |bench: &Bench| {
        let id = bench.reserve(0, 400).unwrap();
        bench.write(move |tx| settle(tx, id, spent(30))).unwrap();
        id
    };
    let open = |bench: &Bench| bench.reserve(0, 400).unwrap();
    let unheard = |_: &Bench| ReservationId::from_bytes([3; 16]);
    let all: [&dyn Fn(&Bench) -> ReservationId; 4] = [&lost, &settled, &open, &unheard];
    for known in all {
        let bench = Bench::new(None, Some(10_000), 1_000_000);
        let held = known(&bench);
        assert_eq!(cost_of_question(&bench, held), [30, 30]);
        let left = bench.write(move |tx| Ok(tx.get::<Reservation>(held)?)).unwrap();
        assert_eq!(left, None, "nothing is held back for it any more");
        // A report in the name of another run has no effect on it.
        bench.write(move |tx| settle_reported(tx, run_id(1), (held, 0), spent(30))).unwrap();
        assert_eq!(bench.write(|tx| Ok(queries::run_cost(tx, run_id(0))?)).unwrap(), 30);
    }
}

#[test]
fn a_grant_holds_for_its_hours_after_the_cut_and_not_longer() {
    let bench = Bench::new(None, Some(10_000), 1_000_000);
    let asks = |run: u8, hours: u64, less: u64| {
        let cut_for = Duration::from_secs(hours * 3_600 - less);
        bench.write(move |tx| holds(tx, run_id(run), cut_for)).unwrap()
    };
    assert!(!asks(0, 1, 0), "it has none");
    assert_eq!(bench.write(|tx| longest(tx)).unwrap(), None);
    bench.write(|tx| fit(tx, run_id(0), Terms { hours: 12, ..terms() })).unwrap();
    bench.write(|tx| fit(tx, run_id(1), terms())).unwrap();
    assert!(asks(0, 12, 1) && !asks(0, 12, 0) && asks(1, 72, 1) && !asks(1, 72, 0));
    assert_eq!(bench.write(|tx| longest(tx)).unwrap(), Some(Duration::from_secs(72 * 3_600)));
    bench.write(|tx| lose(tx, run_id(1))).unwrap();
    assert!(!asks(1, 1, 0), "it was taken away");
    assert_eq!(bench.write(|tx| longest(tx)).unwrap(), Some(Duration::from_secs(12 * 3_600)));
}

#[test]
fn money_is_anothers_when_it_is_held_back_for_another() {
    let bench = Bench::new(None, Some(10_000), 1_000_000);
    let id = bench.reserve(0, 400).unwrap();
    let asks = |run: u8| bench.write(move |tx| is_anothers(tx, run_id(run), id)).unwrap();
    assert!(!asks(0) && asks(1));
    bench.write(move |tx| settle(tx, id, spent(30)).map(drop)).unwrap();
    assert!(!asks(1), "it is held back for nobody");
}
