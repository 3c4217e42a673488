//! Budgets of streams and routines: which calls they cover, from when, and what happens when they are deleted.

use super::*;
use features::runs::model::Child;
use store::StoreError;

/// Current payers of a run besides the workspace, agents and runs.
fn behind(bench: &Bench, run: u8) -> Vec<Payer> {
    let all = bench.store.read(|s| payers::payers(s, agent_id(run / 2), run_id(run)));
    let mut all = all.unwrap();
    all.retain(|one| !matches!(one, Payer::Workspace | Payer::Agent(_) | Payer::Run(_)));
    all
}

fn spent_by(bench: &Bench, payer: Payer) -> i64 {
    let now = bench.now();
    bench.store.read(|s| standing::spent(s, payer, Period::Total, now)).unwrap()
}

#[test]
fn one_stream_and_all_routines_behind_a_run_pay_for_it() {
    let bench = Bench::new(None, None, 0);
    bench.groups();
    let (task, part) = (Payer::Task(task_id(0)), Payer::Task(task_id(1)));
    let [began, made] = [0, 1].map(|n| Payer::Routine(routine_id(n)));
    let streams = [0, 1].map(|n| Payer::Stream(stream_id(n)));
    assert_eq!(behind(&bench, 0), [task, made]);
    assert_eq!(behind(&bench, 1), [began]);
    assert_eq!(behind(&bench, 2), [part, task, began, made]);
    assert!(behind(&bench, 3).is_empty());
    bench.put_in(0, Some(1));
    assert_eq!(behind(&bench, 0), [task, streams[1], made]);
    // A sub-task belongs to its parent task's stream, unless it has its own.
    assert_eq!(behind(&bench, 2), [part, task, streams[1], began, made]);
    bench.put_in(1, Some(0));
    assert_eq!(behind(&bench, 2), [part, task, streams[0], began, made]);
    // The sub-agents of a routine's run are also paid by the routine.
    let child = Child {
        run: run_id(3),
        parent: run_id(1),
        root: run_id(1),
        awaited: None,
        input: None,
        ended_at: None,
        ..Child::sample()
    };
    bench.write(move |tx| Ok(tx.put(&child)?)).unwrap();
    assert_eq!(behind(&bench, 3), [began]);
}

#[test]
fn a_call_is_settled_where_it_was_reserved_although_its_task_has_moved() {
    let bench = Bench::new(None, None, 0);
    bench.groups();
    let streams = [0, 1].map(|n| Payer::Stream(stream_id(n)));
    for payer in streams {
        bench.set(money(payer, Period::Total, 1_000));
    }
    bench.put_in(0, Some(0));
    let first = bench.reserve(0, 700).unwrap();
    let error = bench.reserve(0, 301).unwrap_err();
    assert_eq!(lack(&error).name, "stream-0's budget");
    bench.put_in(0, Some(1));
    let second = bench.reserve(0, 700).unwrap();
    assert_eq!(lack(&bench.reserve(0, 301).unwrap_err()).budget.payer, streams[1]);
    // The program restarts in between.
    let bench = bench.restart();
    let usage = bench.write(move |tx| settle(tx, first, spent(650))).unwrap();
    assert_eq!(usage.stream(), Some(stream_id(0)));
    assert_eq!(streams.map(|one| spent_by(&bench, one)), [650, 0]);
    bench.write(move |tx| release(tx, second)).unwrap();
    bench.reserve(0, 1_000).unwrap();
    // A sub-task of the first stream's task still counts there.
    bench.put_in(1, Some(0));
    assert_eq!(lack(&bench.reserve(2, 351).unwrap_err()).budget.payer, streams[0]);
    bench.reserve(2, 350).unwrap();
}

#[test]
fn the_budget_of_a_routine_warns_holds_and_lets_go_on() {
    let bench = Bench::new(None, None, 0);
    bench.groups();
    let payer = Payer::Routine(routine_id(0));
    bench.set(money(payer, Period::Day, 1_000));
    let id = bench.reserve(1, 900).unwrap();
    bench.write(move |tx| settle(tx, id, spent(900))).unwrap();
    assert!(!bench.notice(payer, Period::Day).unwrap().reached);
    let error = bench.reserve(2, 200).unwrap_err();
    let found = lack(&error).clone();
    assert_eq!(found.name, "routine-0's budget today");
    let until = bench.write(move |tx| Ok(wait(tx, run_id(2), &found)?.1)).unwrap();
    assert!(bench.notice(payer, Period::Day).unwrap().reached);
    let now = bench.now();
    let can_pay = || {
        let run = bench.store.read(|s| s.get::<Run>(run_id(2))).unwrap().unwrap();
        bench.store.read(|s| standing::can_pay(s, &run, (200, 0), bench.now())).unwrap()
    };
    assert!(!can_pay());
    // Runs that this routine has not started continue.
    bench.reserve(0, 5_000).unwrap();
    assert!(bench.write(move |tx| budgets::raise(tx, payer, Period::Day)).unwrap());
    assert!(can_pay());
    bench.set(money(payer, Period::Day, 1_000));
    assert!(!can_pay());
    let pause = until.unwrap().as_millisecond() - now.as_millisecond();
    bench.clock.advance_ms(pause);
    assert!(can_pay(), "a new day");
    bench.reserve(2, 1_000).unwrap();
}

#[test]
fn who_pays_may_go_while_a_call_runs() {
    let bench = Bench::new(None, None, 0);
    bench.groups();
    bench.put_in(0, Some(0));
    let (stream, routine) = (Payer::Stream(stream_id(0)), Payer::Routine(routine_id(1)));
    for payer in [stream, routine] {
        bench.set(money(payer, Period::Month, 1_000));
    }
    let id = bench.reserve(0, 950).unwrap();
    let gone = |tx: &mut WriteTx<'_>| -> Result<(), UsageError> {
        tx.delete::<Routine>(routine_id(1))?;
        tx.delete::<Stream>(stream_id(0))?;
        Ok(())
    };
    bench.write(gone).unwrap();
    let usage = bench.write(move |tx| settle(tx, id, spent(900))).unwrap();
    assert_eq!((usage.stream(), usage.routine()), (Some(stream_id(0)), Some(routine_id(1))));
    assert_eq!((spent_by(&bench, stream), spent_by(&bench, routine)), (900, 900));
    bench
        .store
        .read(|s| {
            assert!(standing::all(s)?.iter().all(|one| ![stream, routine].contains(&one.payer)));
            assert_eq!(payers::whose(s, stream)?, "a deleted stream");
            assert_eq!(payers::handle(s, routine)?, format!("routine:{}", routine_id(1)));
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(behind(&bench, 0), [Payer::Task(task_id(0))]);
    bench.reserve(0, 5_000).unwrap();
    let refused = bench.write(move |tx| set(tx, money(routine, Period::Month, 5))).unwrap_err();
    assert!(matches!(refused, UsageError::NoPayer("routine")), "{refused}");
}

#[test]
fn names_lead_to_who_pays_and_ids_where_no_name_does() {
    let bench = Bench::new(None, None, 0);
    bench.groups();
    let read = |payer: Payer| {
        let back = bench.store.read(|s| {
            let handle = payers::handle(s, payer)?;
            let found = payers::by_handle(s, &handle)?;
            assert_eq!(found, payers::by_handle(s, &payers::lasting(payer))?);
            Ok::<_, StoreError>((handle, found))
        });
        let (handle, found) = back.unwrap();
        assert_eq!(found, Some(payer));
        handle
    };
    let (stream, routine) = (Payer::Stream(stream_id(0)), Payer::Routine(routine_id(0)));
    assert_eq!(
        (read(stream), read(routine)),
        ("stream:stream-0".into(), "routine:routine-0".into())
    );
    let rename = |tx: &mut WriteTx<'_>| -> Result<(), UsageError> {
        let other = tx.get::<Routine>(routine_id(1))?.unwrap();
        tx.put(&Routine { name: "Routine-0".into(), ..other })?;
        let old = tx.get::<Stream>(stream_id(0))?.unwrap();
        Ok(tx.put(&Stream { archived_at: Some(tx.now()), ..old })?)
    };
    bench.write(rename).unwrap();
    assert_eq!(read(routine), format!("routine:{}", routine_id(0)));
    assert_eq!(read(stream), format!("stream:{}", stream_id(0)));
    let none = ["stream:", "stream:nowhere", "routine:routine-0", "routine:", "stream"];
    for handle in none {
        assert_eq!(bench.store.read(|s| payers::by_handle(s, handle)).unwrap(), None, "{handle}");
    }
}

#[test]
fn a_stream_may_say_what_each_run_costs_and_a_routine_says_it_itself() {
    let bench = Bench::new(None, None, 0);
    bench.groups();
    bench.put_in(0, Some(0));
    let refused = money(Payer::Routine(routine_id(0)), Period::Run, 5);
    let refused = bench.write(move |tx| set(tx, refused)).unwrap_err();
    assert!(matches!(refused, UsageError::BadPeriod(_)), "{refused}");
    bench.set(money(Payer::Stream(stream_id(0)), Period::Run, 1_000));
    bench.reserve(0, 700).unwrap();
    let error = bench.reserve(0, 700).unwrap_err();
    assert_eq!(lack(&error).name, "the limit per run for stream-0");
    // The run on its sub-task has its own budget.
    bench.reserve(2, 700).unwrap();
}
