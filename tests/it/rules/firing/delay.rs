//! Routines with a start delay: each has its own, which stays the same.

use super::end::once;
use super::*;
use kernel::Timestamp;

fn delayed(jitter_secs: u32) -> RoutineRequest {
    RoutineRequest { jitter_secs: Some(jitter_secs), ..every_half_hour(CatchUp::One) }
}

#[test]
fn a_firing_waits_for_its_delay_and_is_that_of_its_instant() {
    let bench = Bench::new();
    let id = bench.save(0, delayed(1_200)).id;
    let clock = bench.clock_of(id);
    let (instant, fires) = (clock.next_at.unwrap(), clock.due().unwrap());
    assert!(instant < fires, "this one has a delay");
    let at = |moment: Timestamp| {
        bench.clock.advance_ms(moment.as_millisecond() - bench.clock.now().as_millisecond());
    };
    at(fires - SignedDuration::from_millis(1));
    bench.tick();
    assert_eq!(bench.firings(id), [], "its time has come, its delay is not over");
    let bench = bench.restart();
    assert_eq!(bench.clock_of(id).due(), Some(fires), "a restart changes nothing");
    bench.clock.advance_ms(1);
    bench.tick();
    bench.tick();
    let rows = bench.firings(id);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].slot, Slot::At(instant.as_millisecond()));
    assert_eq!((rows[0].by, rows[0].fate), (FiredBy::Schedule, Fate::Started), "it is on time");
    let next = bench.clock_of(id).next_at.unwrap();
    assert_eq!(next, instant + SignedDuration::from_mins(30));
}

#[test]
fn routines_of_the_same_time_do_not_fire_at_the_same_moment() {
    let bench = Bench::new();
    let ids: Vec<RoutineId> = (0..20).map(|_| bench.save(0, delayed(600)).id).collect();
    let due: BTreeSet<Timestamp> = ids.iter().filter_map(|id| bench.clock_of(*id).due()).collect();
    assert!(15 < due.len(), "{due:?}");
    let instants: BTreeSet<Option<Timestamp>> =
        ids.iter().map(|id| bench.clock_of(*id).next_at).collect();
    assert_eq!(instants.len(), 1);
}

#[test]
fn another_delay_moves_the_firing_that_waits_and_makes_no_second_one() {
    let bench = Bench::new();
    let id = bench.save(0, delayed(1_200)).id;
    let (instant, fires) = (bench.clock_of(id).next_at.unwrap(), bench.clock_of(id).due().unwrap());
    bench.clock.advance_ms(instant.as_millisecond() - START + 1);
    assert!(bench.clock.now() < fires);
    bench.write(move |tx| save(tx, Some(id), agent_id(0), &delayed(0)));
    bench.tick();
    assert_eq!(bench.firings(id).len(), 1, "it waits no more");
    bench.write(move |tx| save(tx, Some(id), agent_id(0), &delayed(1_200)));
    bench.clock.advance_ms(fires.as_millisecond() - instant.as_millisecond());
    bench.tick();
    assert_eq!(bench.firings(id).len(), 1, "its instant has fired");
}

#[test]
fn one_moment_fires_late_and_once() {
    let bench = Bench::new();
    let id = bench.save(0, RoutineRequest { jitter_secs: Some(3_600), ..once(10) }).id;
    let clock = bench.clock_of(id);
    bench.advance(10);
    let now = view::coming(
        &bench.store.read(|snap| queries::get(snap, id)).unwrap(),
        &clock,
        bench.clock.now(),
    );
    assert_eq!(now, [from_ms(START + 10 * 60_000)], "it is still to come");
    bench.tick();
    assert_eq!(bench.firings(id), []);
    bench.advance(61);
    bench.tick();
    assert_eq!(bench.firings(id).len(), 1);
    assert!(!bench.store.read(|snap| queries::get(snap, id)).unwrap().active, "it is over");
}
