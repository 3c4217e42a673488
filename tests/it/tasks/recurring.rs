//! Recurring tasks: one task per turn, whatever the clock does and however often the program starts.

use features::tasks::model::series::{DueAfter, Going, Occurrence, Series};
use features::tasks::queries::series as reads;
use features::tasks::rules::series::{self, NewSeries, SeriesPatch};
use jiff::Timestamp;
use kernel::{CadenceKind, MissedPolicy, Schedule, ScheduleFields, SeriesId};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn daily(desk: &Desk) -> Schedule {
    let fields =
        ScheduleFields { cadence_type: Some(CadenceKind::Daily), ..ScheduleFields::default() };
    fields.read("Europe/Berlin", desk.clock.now()).unwrap()
}

fn new(schedule: Schedule) -> NewSeries {
    NewSeries {
        title: "Check the chargers".to_owned(),
        description: "All four.".to_owned(),
        priority: Priority::High,
        assignee: None,
        stream: None,
        model: None,
        thinking: None,
        labels: Vec::new(),
        schedule,
        missed: MissedPolicy::AutoSkip,
        ends_on: None,
        ends_after: None,
        due: Some(DueAfter::default()),
    }
}

fn make(desk: &Desk, new: NewSeries) -> Series {
    desk.by(mira(), move |tx| series::create(tx, new)).unwrap()
}

/// Runs the timer's step.
fn tick(desk: &Desk) -> Vec<Task> {
    let mut made = Vec::new();
    let now = desk.clock.now();
    for id in desk.store.read(|snap| reads::due(snap, now, 100)).unwrap() {
        made.extend(desk.by(system(), move |tx| series::spawn_due(tx, id)).unwrap());
    }
    made
}

fn hours(desk: &Desk, hours: i64) {
    desk.clock.advance_ms(hours * 3_600_000);
}

fn used(desk: &Desk, id: SeriesId) -> Vec<Occurrence> {
    desk.store.read(|snap| reads::used(snap, id, 1_000)).unwrap()
}

fn get(desk: &Desk, id: SeriesId) -> Series {
    desk.store.read(|snap| reads::get(snap, id)).unwrap()
}

#[test]
fn a_task_is_made_when_its_turn_comes_and_the_one_before_is_missed() {
    let desk = Desk::new();
    let series = make(&desk, new(daily(&desk)));
    assert_eq!(series.next_at, Some(at("2026-11-21T08:00:00Z")), "nine in Berlin");
    assert!(tick(&desk).is_empty(), "its turn has not come");
    hours(&desk, 20);
    let [first]: [Task; 1] = tick(&desk).try_into().unwrap();
    assert_eq!((first.title.as_str(), first.priority), ("Check the chargers", Priority::High));
    assert_eq!(first.series, Some(series.id));
    assert_eq!(first.occurrence_at, Some(at("2026-11-21T08:00:00Z")));
    assert_eq!(first.due_at, Some(at("2026-11-21T22:59:59Z")), "on that day in Berlin");
    assert!(!first.due_has_time);
    assert!(tick(&desk).is_empty(), "a turn is used once");
    assert_eq!(get(&desk, series.id).next_at, Some(at("2026-11-22T08:00:00Z")));
    hours(&desk, 24);
    let [second]: [Task; 1] = tick(&desk).try_into().unwrap();
    assert_eq!(desk.get(first.id).status, TaskStatus::Missed);
    assert_eq!(desk.get(second.id).status, TaskStatus::Todo);
    let tally = desk.store.read(|snap| reads::tally(snap, series.id)).unwrap();
    assert_eq!((tally.done, tally.missed, tally.open, tally.total), (0, 1, 1, 2));
}

#[test]
fn turns_that_nobody_was_there_for_are_left_out_and_counted() {
    let desk = Desk::new();
    let kept = NewSeries { missed: MissedPolicy::Queue, ..new(daily(&desk)) };
    let series = make(&desk, kept);
    hours(&desk, 20);
    let [first]: [Task; 1] = tick(&desk).try_into().unwrap();
    hours(&desk, 5 * 24);
    let [second]: [Task; 1] = tick(&desk).try_into().unwrap();
    assert_eq!(second.occurrence_at, Some(at("2026-11-26T08:00:00Z")), "the newest alone");
    let slots = used(&desk, series.id);
    assert_eq!(slots.iter().map(|slot| slot.skipped).collect::<Vec<_>>(), [4, 0]);
    assert_eq!(desk.get(first.id).status, TaskStatus::Todo, "it was said to stay open");
}

#[test]
fn what_somebody_is_at_is_not_missed() {
    let desk = Desk::new();
    let series = make(&desk, new(daily(&desk)));
    hours(&desk, 20);
    let [first]: [Task; 1] = tick(&desk).try_into().unwrap();
    desk.by(mira(), move |tx| rules::set_status(tx, first.id, TaskStatus::Blocked)).unwrap();
    hours(&desk, 24);
    assert_eq!(tick(&desk).len(), 1);
    assert_eq!(desk.get(first.id).status, TaskStatus::Blocked);
    assert_eq!(used(&desk, series.id).len(), 2);
}

#[test]
fn a_series_ends_after_a_number_or_a_day() {
    let desk = Desk::new();
    let two = NewSeries { ends_after: Some(2), ..new(daily(&desk)) };
    let two = make(&desk, two);
    let until = NewSeries {
        ends_on: Some("2026-11-22".parse().unwrap()),
        missed: MissedPolicy::Queue,
        ..new(daily(&desk))
    };
    let until = make(&desk, until);
    for _ in 0..6 {
        hours(&desk, 24);
        tick(&desk);
    }
    for id in [two.id, until.id] {
        assert_eq!(used(&desk, id).len(), 2);
        assert_eq!((get(&desk, id).going(), get(&desk, id).next_at), (Going::Ended, None));
    }
    // With one more occurrence the series continues.
    let more = SeriesPatch { ends_after: Some(Some(3)), ..SeriesPatch::default() };
    desk.by(mira(), move |tx| series::update(tx, two.id, more)).unwrap();
    assert_eq!(get(&desk, two.id).going(), Going::Active);
    let none = SeriesPatch { ends_after: Some(Some(1)), ..SeriesPatch::default() };
    let refused = desk.by(mira(), move |tx| series::update(tx, two.id, none)).unwrap_err();
    assert_eq!(refused.fields()[0].field, "ends_after_count");
    let past = NewSeries { ends_on: Some("2026-11-01".parse().unwrap()), ..new(daily(&desk)) };
    let refused = desk.by(mira(), move |tx| series::create(tx, past)).unwrap_err();
    assert_eq!(refused.fields()[0].field, "ends_on");
}

#[test]
fn a_paused_series_makes_nothing_and_goes_on_from_now() {
    let desk = Desk::new();
    let series = make(&desk, new(daily(&desk)));
    desk.by(mira(), move |tx| series::pause(tx, series.id)).unwrap();
    hours(&desk, 72);
    assert!(tick(&desk).is_empty());
    desk.by(mira(), move |tx| series::resume(tx, series.id)).unwrap();
    assert!(tick(&desk).is_empty(), "nothing is made for the time of the pause");
    assert_eq!(get(&desk, series.id).next_at, Some(at("2026-11-24T08:00:00Z")));
    // A task created early uses up its occurrence.
    let early = desk.by(mira(), move |tx| series::spawn_now(tx, series.id)).unwrap();
    assert_eq!(early.occurrence_at, Some(at("2026-11-24T08:00:00Z")));
    hours(&desk, 24);
    assert!(tick(&desk).is_empty());
    assert_eq!(get(&desk, series.id).next_at, Some(at("2026-11-25T08:00:00Z")));
}

#[test]
fn this_and_all_that_follow_are_as_the_task_is_now() {
    let desk = Desk::new();
    let series = make(&desk, new(daily(&desk)));
    hours(&desk, 20);
    let [first]: [Task; 1] = tick(&desk).try_into().unwrap();
    let patch = TaskPatch { title: Some("Check all chargers".into()), ..TaskPatch::default() };
    desk.by(mira(), move |tx| rules::update(tx, first.id, patch)).unwrap();
    assert_eq!(get(&desk, series.id).title, "Check the chargers", "just this one");
    desk.by(mira(), move |tx| series::follow(tx, first.id, &[])).unwrap();
    assert_eq!(get(&desk, series.id).title, "Check all chargers");
    hours(&desk, 24);
    assert_eq!(tick(&desk)[0].title, "Check all chargers");
    let alone = desk.task(NewTask::titled("Alone"));
    desk.by(mira(), move |tx| series::follow(tx, alone.id, &[])).unwrap_err();
}

#[test]
fn tasks_outlive_their_series_and_agents_that_left_get_none() {
    let desk = Desk::new();
    let for_ada = NewSeries { assignee: Some(Assignee::Agent(ada_id())), ..new(daily(&desk)) };
    let series = make(&desk, for_ada);
    hours(&desk, 20);
    let [first]: [Task; 1] = tick(&desk).try_into().unwrap();
    assert_eq!(first.assignee, Some(Assignee::Agent(ada_id())));
    desk.by(system(), |tx| {
        let ada = tx.get::<Agent>(ada_id())?.unwrap();
        let now = tx.now();
        tx.put(&Agent { archived_at: Some(now), ..ada })
    })
    .unwrap();
    hours(&desk, 24);
    assert_eq!(tick(&desk)[0].assignee, None);
    desk.by(mira(), move |tx| series::remove(tx, series.id)).unwrap();
    let task = desk.get(first.id);
    assert_eq!((task.series, task.occurrence_at), (None, None));
    assert!(used(&desk, series.id).is_empty());
}

/// Actions on a series.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The clock moves forwards or backwards by hours.
    Hours(i64),
    /// The timer runs.
    Tick,
    /// The timer runs many times, as after several starts in a row.
    Ticks,
    Pause,
    Resume,
    Early,
    /// Changes the hour of day.
    Move(u8),
}

fn act() -> impl Strategy<Value = Act> {
    (0u8..9, any::<u8>()).prop_map(|(kind, n)| match kind {
        0..=2 => Act::Hours(i64::from(n % 60) + 1),
        3 => Act::Hours(-i64::from(n % 30)),
        4 => Act::Ticks,
        5 => Act::Pause,
        6 => Act::Resume,
        7 if n % 3 == 0 => Act::Early,
        7 => Act::Move(n % 24),
        _ => Act::Tick,
    })
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(12))]

    /// Each occurrence has one row and one task, no task is in the future unless it was created early, and each past
    /// occurrence is used or counted as missed.
    #[test]
    fn a_turn_is_used_once_whatever_happens(acts in proptest::collection::vec(act(), 5..40)) {
        let desk = Desk::new();
        let queue = NewSeries { missed: MissedPolicy::Queue, ..new(daily(&desk)) };
        let id = make(&desk, queue).id;
        for act in acts {
            match act {
                Act::Hours(n) => hours(&desk, n),
                Act::Tick => drop(tick(&desk)),
                Act::Ticks => {
                    let all: usize = (0..3).map(|_| tick(&desk).len()).sum();
                    prop_assert!(all <= 1);
                }
                Act::Pause => drop(desk.by(mira(), move |tx| series::pause(tx, id)).unwrap()),
                Act::Resume => drop(desk.by(mira(), move |tx| series::resume(tx, id)).unwrap()),
                Act::Early => drop(desk.by(mira(), move |tx| series::spawn_now(tx, id)).unwrap()),
                Act::Move(hour) => {
                    let fields = ScheduleFields {
                        time_of_day: Some(format!("{hour}:00")),
                        ..ScheduleFields::from(&get(&desk, id).schedule)
                    };
                    let schedule = Some(fields.read("UTC", desk.clock.now()).unwrap());
                    let patch = SeriesPatch { schedule, ..SeriesPatch::default() };
                    desk.by(mira(), move |tx| series::update(tx, id, patch)).unwrap();
                }
            }
        }
        tick(&desk);
        let (series, slots) = (get(&desk, id), used(&desk, id));
        let tasks: Vec<Task> = desk
            .store
            .read(|snap| snap.list::<Task>(&Range::all()))
            .unwrap()
            .into_iter()
            .filter(|task| task.series == Some(id))
            .collect();
        prop_assert_eq!(tasks.len(), slots.len(), "a task for each turn that was used");
        let mut turns: Vec<_> = tasks.iter().map(|task| task.occurrence_at).collect();
        turns.sort();
        turns.dedup();
        prop_assert_eq!(turns.len(), slots.len(), "and no turn twice");
        if let Some(next) = series.next_at {
            prop_assert!(next > desk.clock.now(), "what has come is used");
            prop_assert!(slots.iter().all(|slot| slot.at != next));
        }
        let spawned = desk.store.read(|snap| reads::spawned(snap, id)).unwrap();
        prop_assert_eq!(usize::try_from(spawned).unwrap(), slots.len());
    }
}
