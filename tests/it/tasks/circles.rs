//! No cycles of dependent tasks, through relations, subtasks or both.

use features::tasks::queries::circles::FAR;
use features::tasks::queries::open_ends::OpenEnds;
use features::tasks::queries::relations;
use features::tasks::rules::relations as ties;
use kernel::RelationKind::BlockedBy;

use super::*;

fn waits(desk: &Desk, task: TaskId, blocker: TaskId) -> Result<(), TaskError> {
    desk.by(mira(), move |tx| ties::relate(tx, task, BlockedBy, blocker)).map(drop)
}

fn part(desk: &Desk, task: TaskId, whole: TaskId) -> Result<(), TaskError> {
    let patch = TaskPatch { parent: Some(Some(whole)), ..TaskPatch::default() };
    desk.by(mira(), move |tx| rules::update(tx, task, patch)).map(drop)
}

/// Tasks MC-1 and so on.
fn several<const N: usize>(desk: &Desk) -> [TaskId; N] {
    std::array::from_fn(|n| desk.task(NewTask::titled(format!("Task {}", n + 1))).id)
}

/// Code and text of a refusal.
fn refusal(refused: Result<(), TaskError>) -> (&'static str, String) {
    let error = refused.expect_err("it is refused");
    (error.code(), error.to_string())
}

#[test]
fn what_waits_for_a_task_does_not_become_a_part_of_it() {
    let desk = Desk::new();
    let [task, whole, between] = several(&desk);
    waits(&desk, task, whole).unwrap();
    let (code, words) = refusal(part(&desk, task, whole));
    let said = "MC-1 can't be a subtask of MC-2, which would wait for it: MC-1 waits for MC-2";
    assert_eq!((code, words.as_str()), ("part_cycle", said));
    // The other direction is contradictory as well: the waiting task must be done after its own sub-task.
    part(&desk, whole, task).unwrap();
    let (code, _) = refusal(waits(&desk, whole, task));
    assert_eq!(code, "waits_for_whole");
    waits(&desk, between, task).unwrap();
    // Also through another task.
    let (code, words) = refusal(part(&desk, between, whole));
    let said = "MC-3 can't be a subtask of MC-2, which would wait for it: MC-3 waits for MC-1, \
                MC-1 waits for its subtask MC-2";
    assert_eq!((code, words.as_str()), ("part_cycle", said));
}

#[test]
fn a_circle_through_relations_and_parts_is_refused_with_its_steps() {
    let desk = Desk::new();
    let [task, whole, inner, last] = several(&desk);
    part(&desk, inner, whole).unwrap();
    waits(&desk, task, whole).unwrap();
    waits(&desk, last, task).unwrap();
    let (code, words) = refusal(waits(&desk, inner, last));
    let said = "MC-3 can't wait for MC-4: MC-4 waits for MC-1, MC-1 waits for MC-2, MC-2 waits for \
                its subtask MC-3";
    assert_eq!((code, words.as_str()), ("wait_cycle", said));
    // A finished task blocks nothing, but may be reopened, so it counts.
    desk.by(mira(), move |tx| rules::set_status(tx, task, TaskStatus::Done)).unwrap();
    assert_eq!(refusal(waits(&desk, inner, last)).0, "wait_cycle");
    desk.by(mira(), move |tx| rules::archive(tx, task)).unwrap();
    assert_eq!(refusal(waits(&desk, inner, last)).0, "wait_cycle");
    desk.by(mira(), move |tx| rules::restore(tx, task)).unwrap();
    desk.by(mira(), move |tx| ties::unrelate(tx, task, BlockedBy, whole)).unwrap();
    waits(&desk, inner, last).unwrap();
}

/// A sub-task may begin while its whole waits, so the whole may wait for it indirectly.
#[test]
fn a_part_may_hold_up_what_its_whole_waits_for() {
    let desk = Desk::new();
    let [whole, blocker, inner] = several(&desk);
    part(&desk, inner, whole).unwrap();
    waits(&desk, whole, blocker).unwrap();
    waits(&desk, blocker, inner).unwrap();
    for task in [inner, blocker, whole] {
        let open = desk.store.read(|snap| {
            let blockers = relations::open_blockers(snap, task)?.len();
            Ok::<_, StoreError>((blockers, OpenEnds::of(snap, task)?.is_empty()))
        });
        assert_eq!(open.unwrap(), (0, true), "nothing is in its way");
        desk.by(mira(), move |tx| rules::complete(tx, task)).unwrap();
    }
}

#[test]
fn where_more_wait_than_are_looked_at_the_change_is_refused() {
    let desk = Desk::new();
    let [blocker] = several(&desk);
    // A chain of sub-tasks, written directly because that needs the fewest rows.
    let id = |n: usize| {
        let mut id = [9; 16];
        id[8..].copy_from_slice(&u64::try_from(n).unwrap().to_be_bytes());
        TaskId::from_bytes(id)
    };
    let (count, half) = (FAR + 1, FAR / 2);
    for numbers in [0..half, half..count + 1] {
        desk.by(system(), move |tx| {
            for n in numbers {
                let task = Task {
                    id: id(n),
                    number: 100 + u32::try_from(n).unwrap(),
                    assignee: None,
                    parent: n.checked_sub(1).map(id),
                    stream: None,
                    series: None,
                    occurrence_at: None,
                    template: None,
                    ..Task::sample()
                };
                tx.put(&task)?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    }
    waits(&desk, id(FAR), blocker).unwrap();
    let (code, words) = refusal(waits(&desk, id(count), blocker));
    assert_eq!(code, "too_many_wait");
    assert!(words.contains("more than 10000 tasks are blocked by MC-10101"), "{words}");
}
