//! Effects on a routine when what it started has ended: notice, stop, or archive.

use super::*;
use features::inbox::model::Item;
use features::routines::rules::keep::Ended;
use kernel::{ItemState, Notice};
use store::feed;

/// Request for a single firing, this many minutes after the start.
pub(super) fn once(minutes: i64) -> RoutineRequest {
    let schedule = ScheduleFields {
        cadence_type: Some(CadenceKind::Once),
        at: Some(from_ms(START + minutes * 60_000).to_string()),
        ..ScheduleFields::default()
    };
    RoutineRequest { schedule: Some(schedule), ..every_half_hour(CatchUp::One) }
}

impl Bench {
    /// All notifications so far.
    fn notices(&self) -> Vec<Notice> {
        let entry = |seq| self.store.read(|snap| feed::entry(snap, seq)).unwrap();
        let events = (1..).map_while(entry).flat_map(|entry| entry.events);
        let notice = |event| match event {
            Event::NoticeGiven { notice } => Some(notice),
            _ => None,
        };
        events.filter_map(notice).collect()
    }

    fn titles(&self) -> Vec<String> {
        self.notices().into_iter().map(|notice| notice.title).collect()
    }

    fn fails(&self, id: RoutineId) {
        self.write(move |tx| keep::over(tx, id, Ended::Failed("no answer")));
    }

    /// Ends the work that the newest firing of a routine started.
    fn end_work(&self, id: RoutineId, state: ItemState) {
        let firing = self.firings(id).pop().expect("it fired");
        self.write(move |tx| {
            let item = queries::item_of(tx, &firing)?.expect("it woke its agent");
            let last_error = (state != ItemState::Done).then(|| "no answer".to_owned());
            let item = Item { state, last_error, ended_at: Some(tx.now()), ..item };
            tx.put(&item)?;
            tx.emit(Event::ItemEnded { item: item.id, agent: item.agent, task: None });
            Ok::<_, StoreError>(())
        });
    }

    fn routine(&self, id: RoutineId) -> Routine {
        self.store.read(|snap| queries::get(snap, id)).unwrap()
    }

    fn lists(&self, id: RoutineId) -> (bool, bool) {
        let has = |all: Vec<Routine>| all.iter().any(|one| one.id == id);
        let read = self.store.read(|snap| {
            let (own, done) = (queries::all(snap)?, queries::done(snap, Some(agent_id(0)))?);
            assert!(queries::done(snap, Some(agent_id(1)))?.is_empty(), "that of another agent");
            Ok::<_, StoreError>((own, done))
        });
        let (all, done) = read.unwrap();
        (has(all), has(done))
    }
}

#[test]
fn three_failures_stop_a_routine_with_a_reason_and_a_person_resumes_it() {
    let bench = Bench::new();
    let id = bench.save(0, every_half_hour(CatchUp::One)).id;
    for n in 0..3 {
        assert!(bench.store.read(|snap| queries::get(snap, id)).unwrap().active, "{n}");
        bench.write(move |tx| keep::over(tx, id, Ended::Failed("the model does not answer")));
    }
    let stopped = bench.store.read(|snap| queries::get(snap, id)).unwrap();
    assert!(!stopped.active);
    assert!(stopped.stopped.unwrap().contains("the model does not answer"));
    assert_eq!(bench.clock_of(id).next_at, None);
    bench.advance(600);
    bench.tick();
    assert!(bench.firings(id).is_empty());
    bench.write(move |tx| resume(tx, id));
    let clock = bench.clock_of(id);
    assert_eq!(clock.failures, 0);
    assert!(clock.next_at.is_some_and(|at| bench.clock.now() < at), "no catch-up for the pause");
}

#[test]
fn two_failures_in_a_row_are_told_once_an_hour() {
    let bench = Bench::new();
    let id = bench.save(0, every_half_hour(CatchUp::One)).id;
    let well = || bench.write(move |tx| keep::over(tx, id, Ended::Well));
    bench.fails(id);
    well();
    bench.fails(id);
    assert_eq!(bench.notices(), [], "they were not in a row");
    bench.fails(id);
    let told = "The routine Look failed twice in a row";
    assert_eq!(bench.titles(), [told]);
    assert_eq!(bench.notices()[0].body, "no answer");
    well();
    bench.advance(59);
    bench.fails(id);
    bench.fails(id);
    assert_eq!(bench.titles(), [told], "an hour is not over");
    well();
    bench.advance(1);
    bench.fails(id);
    bench.fails(id);
    bench.fails(id);
    let stopped = "The routine Look was stopped";
    assert_eq!(bench.titles(), [told, told, stopped], "a stop is always told");
}

#[test]
fn what_was_given_up_is_not_told_twice() {
    let bench = Bench::new();
    let id = bench.save(0, every_half_hour(CatchUp::One)).id;
    for _ in 0..2 {
        bench.write(move |tx| keep::over(tx, id, Ended::GivenUp("no answer")));
    }
    assert_eq!(bench.notices(), []);
    assert_eq!(bench.clock_of(id).failures, 2, "it counts all the same");
}

#[test]
fn what_fires_once_and_fails_is_told_and_stays_in_the_list() {
    let bench = Bench::new();
    let id = bench.save(0, RoutineRequest { delete_when_done: true, ..once(10) }).id;
    bench.advance(10);
    bench.tick();
    bench.end_work(id, ItemState::Failed);
    assert_eq!(bench.titles(), ["The routine Look failed once"]);
    assert_eq!(bench.lists(id), (true, false));
}

#[test]
fn what_fires_once_is_put_away_when_its_work_is_done_and_its_history_stays() {
    let bench = Bench::new();
    let id = bench.save(0, RoutineRequest { delete_when_done: true, ..once(10) }).id;
    bench.write(move |tx| run_now(tx, id, None));
    bench.end_work(id, ItemState::Done);
    assert_eq!(bench.lists(id), (true, false), "its time is still to come");
    bench.advance(10);
    bench.tick();
    assert!(!bench.routine(id).active);
    assert_eq!(bench.lists(id), (true, false), "its work is not done");
    bench.end_work(id, ItemState::Done);
    assert_eq!(bench.lists(id), (false, true));
    assert_eq!(bench.firings(id).len(), 2, "what became of it can be read");
    let own = bench.store.read(|snap| queries::of_agent(snap, agent_id(0))).unwrap();
    assert_eq!(own, [], "it does not count among those that an agent may have");

    bench.advance(179 * 24 * 60);
    bench.write(move |tx| keep::forget(tx, id));
    assert_eq!(bench.lists(id), (false, true));
    bench.advance(24 * 60);
    bench.write(move |tx| keep::forget(tx, id));
    assert_eq!(bench.lists(id), (false, false));
    assert!(bench.firings(id).is_empty());
}

#[test]
fn what_makes_a_task_once_is_put_away_with_it_and_stays_as_long_as_the_task() {
    let bench = Bench::new();
    let task = TaskRequest { title: "look".into(), unassigned: true, ..TaskRequest::default() };
    let wish = RoutineRequest { task: Some(task), delete_when_done: true, ..once(10) };
    let id = bench.save(0, wish).id;
    bench.advance(10);
    bench.tick();
    assert_eq!(bench.lists(id), (false, true));
    bench.advance(200 * 24 * 60);
    bench.write(move |tx| keep::forget(tx, id));
    assert_eq!(bench.lists(id), (false, true), "it says what pays for the task");
    let made = bench.firings(id)[0].made.expect("a task");
    bench.write(move |tx| tx.delete::<Task>(made).map(drop));
    bench.write(move |tx| keep::forget(tx, id));
    assert_eq!(bench.lists(id), (false, false));
}

#[test]
fn what_was_missed_or_is_to_stay_is_not_put_away() {
    let bench = Bench::new();
    let missed =
        RoutineRequest { delete_when_done: true, catch_up: Some(CatchUp::None), ..once(10) };
    let (missed, kept) = (bench.save(0, missed).id, bench.save(0, once(10)).id);
    bench.advance(30);
    bench.tick();
    assert_eq!(bench.firings(missed)[0].fate, Fate::Missed);
    assert_eq!(bench.lists(missed), (true, false), "nobody did what it is for");
    bench.end_work(kept, ItemState::Done);
    assert_eq!(bench.lists(kept), (true, false));
}

#[test]
fn another_moment_brings_back_what_was_put_away() {
    let bench = Bench::new();
    let id = bench.save(0, RoutineRequest { delete_when_done: true, ..once(10) }).id;
    bench.advance(10);
    bench.tick();
    bench.end_work(id, ItemState::Done);
    let wish = RoutineRequest { delete_when_done: true, ..once(60) };
    bench.write(move |tx| save(tx, Some(id), agent_id(0), &wish));
    assert_eq!(bench.lists(id), (true, false));
    bench.advance(50);
    bench.tick();
    assert_eq!(bench.firings(id).len(), 2, "it fires again");
}
