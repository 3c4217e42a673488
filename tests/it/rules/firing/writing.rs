//! Text that is typed bit by bit starts a routine once, after a pause; everything else at once.

use super::*;
use features::tasks::rules::TaskPatch;
use kernel::{RunId, TaskStatus};

/// Another author.
fn another() -> Actor {
    Actor::Agent { agent: agent_id(1), run: RunId::from_bytes([9; 16]) }
}

/// A routine that creates a task for each task change, with the new and the old title.
fn said(all: Vec<Written>) -> RoutineRequest {
    let task = TaskRequest {
        title: "{changed}: {old_title} to {title}".into(),
        unassigned: true,
        ..TaskRequest::default()
    };
    RoutineRequest { task: Some(task), ..after("task.changed", all) }
}

impl Bench {
    fn task(&self, title: &str) -> TaskId {
        let new = NewTask::titled(title);
        self.write(move |tx| tasks::create(tx, new)).id
    }

    /// Changes a task, and lets the consumer process it.
    fn patch(&self, by: Actor, task: TaskId, patch: TaskPatch) {
        let body = move |tx: &mut WriteTx<'_>| tasks::update(tx, task, patch);
        self.store.write_blocking(by, BY.1, body).unwrap();
        self.drain();
    }

    fn title(&self, by: Actor, task: TaskId, title: &str) {
        self.patch(by, task, TaskPatch { title: Some(title.into()), ..TaskPatch::default() });
    }

    /// Titles of the tasks that a routine created.
    fn said(&self, id: RoutineId) -> Vec<String> {
        let mut all: Vec<String> = self.firings(id).into_iter().map(|row| row.title).collect();
        all.sort_unstable();
        all
    }
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Write,
    Status,
    Go(i64),
    Kill,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let one = prop_oneof![
        4 => proptest::strategy::Just(Deed::Write),
        1 => proptest::strategy::Just(Deed::Status),
        4 => (1..14_i64).prop_map(Deed::Go),
        2 => proptest::strategy::Just(Deed::Kill),
    ];
    proptest::collection::vec(one, 1..18)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn words_fire_once_when_they_rest_and_all_else_at_once(deeds in deeds()) {
        let mut bench = Bench::new();
        let task = bench.task("0");
        let id = bench.save(0, said(Vec::new())).id;
        let (mut title, mut now, mut blocked) = (0, 0, false);
        let mut written: Option<(i32, i64)> = None;
        let mut wanted = Vec::new();
        // At the end all changes have settled.
        for deed in deeds.into_iter().chain([Deed::Go(10)]) {
            match deed {
                Deed::Write => {
                    let before = written.map_or(title, |(before, _)| before);
                    (title, written) = (title + 1, Some((before, now + 10)));
                    bench.title(BY.0, task, &title.to_string());
                }
                Deed::Status => {
                    blocked = !blocked;
                    let to = if blocked { TaskStatus::Blocked } else { TaskStatus::Todo };
                    bench.write(move |tx| tasks::set_status(tx, task, to));
                    bench.drain();
                    wanted.push(format!("status: {title} to {title}"));
                }
                Deed::Go(minutes) => {
                    bench.advance(minutes);
                    now += minutes;
                }
                Deed::Kill => bench = bench.restart(),
            }
            bench.tick();
            if let Some((before, _)) = written.filter(|(_, due)| *due <= now) {
                wanted.push(format!("title: {before} to {title}"));
                written = None;
            }
        }
        wanted.sort_unstable();
        prop_assert_eq!(bench.said(id), wanted);
        prop_assert!(bench.clock_of(id).writing.is_empty());
    }
}

#[test]
fn each_who_writes_fires_once_with_all_that_became_of_it() {
    let bench = Bench::new();
    let task = bench.task("Offer");
    let any = bench.save(0, said(Vec::new())).id;
    // Only the last title meets the one condition, only the first the condition on the old one.
    let conditions = vec![if_("old_title", Op::Is, "Offer"), if_("title", Op::Contains, "Jana")];
    let some = bench.save(0, said(conditions)).id;
    bench.title(BY.0, task, "Offer for");
    bench.advance(3);
    let description = Some("Leasing.".into());
    bench.patch(another(), task, TaskPatch { description, ..TaskPatch::default() });
    bench.advance(3);
    bench.title(BY.0, task, "Offer for Jana");
    assert_eq!(bench.clock_of(any).writing.len(), 2);
    bench.advance(7);
    bench.tick();
    assert_eq!(bench.said(any), ["description: Offer for to Offer for"]);
    bench.advance(3);
    bench.tick();
    assert_eq!(bench.said(any).last().unwrap(), "title: Offer to Offer for Jana");
    assert_eq!(bench.said(some), ["title: Offer to Offer for Jana"]);
    // A title changed back is no change.
    bench.title(BY.0, task, "Other");
    bench.title(BY.0, task, "Offer for Jana");
    bench.advance(10);
    bench.tick();
    assert_eq!(bench.said(any).len(), 2);
}

#[test]
fn words_with_something_else_fire_at_once_and_those_before_them_by_their_time() {
    let bench = Bench::new();
    let task = bench.task("One");
    let id = bench.save(0, said(Vec::new())).id;
    bench.title(BY.0, task, "Two");
    let both = TaskPatch {
        title: Some("Three".into()),
        priority: Some(Priority::Urgent),
        ..TaskPatch::default()
    };
    bench.patch(BY.0, task, both);
    assert_eq!(bench.said(id), ["title, priority: Two to Three"]);
    bench.advance(10);
    bench.tick();
    assert_eq!(bench.said(id), ["title, priority: Two to Three", "title: One to Two"]);
}

#[test]
fn nothing_fires_for_a_routine_that_stood_or_a_task_that_is_gone() {
    let bench = Bench::new();
    let task = bench.task("One");
    let id = bench.save(0, said(Vec::new())).id;
    let waits = || bench.clock_of(id).writing.len();
    for (n, title) in ["Two", "Three", "Four", "Five"].into_iter().enumerate() {
        bench.title(BY.0, task, title);
        assert_eq!(waits(), 1, "{title}");
        match n {
            0 => {
                bench.write(move |tx| pause(tx, id));
                assert_eq!(waits(), 0);
                bench.write(move |tx| resume(tx, id));
            }
            1 => {
                bench.write(|tx| pause_all(tx, true));
                assert_eq!(waits(), 0);
                bench.write(|tx| pause_all(tx, false));
            }
            // HQ was off for more than a day.
            2 => bench.advance(25 * 60),
            _ => bench.write(move |tx| tx.delete::<Task>(task).map(drop)),
        }
        bench.advance(10);
        bench.tick();
        assert_eq!(waits(), 0, "{title}");
    }
    assert!(bench.firings(id).is_empty());
}

#[test]
fn a_clock_that_was_ahead_keeps_words_no_longer_than_others() {
    let bench = Bench::new();
    let task = bench.task("One");
    let id = bench.save(0, said(Vec::new())).id;
    bench.advance(600);
    bench.title(BY.0, task, "Two");
    bench.advance(-600);
    let bench = bench.restart();
    bench.advance(10);
    bench.tick();
    assert_eq!(bench.said(id), ["title: One to Two"]);
}

#[test]
fn of_too_many_texts_at_once_some_fire_as_they_come() {
    let bench = Bench::new();
    let id = bench.save(0, said(Vec::new())).id;
    let all: Vec<TaskId> = (0..51).map(|n| bench.task(&format!("Task {n}"))).collect();
    for task in all {
        bench.title(BY.0, task, "Another");
    }
    assert_eq!((bench.clock_of(id).writing.len(), bench.said(id).len()), (50, 1));
}
