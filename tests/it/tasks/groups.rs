//! Rules of streams, labels, relations and manual order.

use features::streams::queries::StreamError;
use features::streams::rules::{self as streams, NewStream, StreamPatch};
use features::tasks::card::LABEL;
use features::tasks::queries::labels::{self as label_queries, LabelFilter, Moved};
use features::tasks::queries::{marks, relations};
use features::tasks::rules::labels::{self, NewLabel};
use features::tasks::rules::{order, relations as ties};
use kernel::RelationKind::{BlockedBy, RelatesTo};
use kernel::key::KeyBuf;
use kernel::{StreamId, rank};

use super::*;

fn later(desk: &Desk, task: TaskId, blocker: TaskId) -> Result<Task, TaskError> {
    desk.by(mira(), move |tx| ties::relate(tx, task, BlockedBy, blocker))
}

fn waits(desk: &Desk, task: TaskId) -> Vec<u32> {
    let open = desk.store.read(|snap| relations::open_blockers(snap, task)).unwrap();
    open.into_iter().map(|task| task.number).collect()
}

fn set(desk: &Desk, task: TaskId, to: TaskStatus) -> Task {
    desk.by(mira(), move |tx| rules::set_status(tx, task, to)).unwrap()
}

fn stream(desk: &Desk, name: &str) -> StreamId {
    let new = NewStream::called(name);
    desk.by(mira(), |tx| streams::create(tx, new)).unwrap().id
}

#[test]
fn tasks_never_wait_in_a_circle() {
    let desk = Desk::new();
    let all: Vec<TaskId> =
        ["a", "b", "c"].map(|title| desk.task(NewTask::titled(title)).id).to_vec();
    later(&desk, all[0], all[1]).unwrap();
    later(&desk, all[1], all[2]).unwrap();
    let error = later(&desk, all[2], all[0]).unwrap_err();
    assert_eq!(error.to_string(), "MC-1 is already blocked by MC-3, so it can't block MC-3");
    assert_eq!(later(&desk, all[0], all[0]).unwrap_err().code(), "own_relation");
    // A change without effect writes nothing.
    let seq = desk.store.head().seq;
    later(&desk, all[0], all[1]).unwrap();
    assert_eq!(desk.store.head().seq, seq);
    let part = desk.task(NewTask { parent: Some(all[0]), ..NewTask::titled("part") });
    assert_eq!(later(&desk, part.id, all[0]).unwrap_err().code(), "waits_for_whole");
    // A relation has no direction, so it is stored once.
    for (task, other) in [(all[0], all[2]), (all[2], all[0])] {
        desk.by(mira(), move |tx| ties::relate(tx, task, RelatesTo, other)).unwrap();
    }
    for task in [all[0], all[2]] {
        let related = desk.store.read(|snap| relations::related(snap, task)).unwrap();
        assert_eq!(related.len(), 1);
    }
}

#[test]
fn the_end_of_the_last_blocker_wakes_who_waited() {
    let desk = Desk::new();
    let (one, two) = (desk.task(NewTask::titled("one")).id, desk.task(NewTask::titled("two")).id);
    let task = desk.task(NewTask { status: TaskStatus::Blocked, ..for_ada("Wait") }).id;
    for blocker in [one, two] {
        later(&desk, task, blocker).unwrap();
    }
    assert_eq!(waits(&desk, task), [1, 2]);
    let before = desk.items()[0].reasons.len();
    set(&desk, one, TaskStatus::Done);
    assert_eq!((desk.get(task).status, waits(&desk, task)), (TaskStatus::Blocked, vec![2]));
    desk.by(mira(), move |tx| rules::archive(tx, two)).unwrap();
    assert_eq!((desk.get(task).status, waits(&desk, task)), (TaskStatus::Todo, vec![]));
    // The waiting assignment absorbs it: no second item.
    assert_eq!(desk.items().len(), 1);
    assert_eq!(desk.items()[0].reasons.len(), before + 1);
    // Reopened, it blocks the task again, and its end is reported again.
    set(&desk, one, TaskStatus::Todo);
    assert_eq!(waits(&desk, task), [1]);
    let blocked = desk.store.read(|snap| marks::blocked(snap)).unwrap();
    assert_eq!(blocked.get(&task), Some(&1));
    let item = desk.items()[0].id;
    desk.by(mira(), move |tx| inbox::rules::cancel(tx, item, "test")).unwrap();
    set(&desk, one, TaskStatus::Cancelled);
    let kinds: Vec<_> = desk.items().iter().map(|item| item.kind).collect();
    assert_eq!(kinds, [ItemKind::TaskAssignment, ItemKind::BlockerResolved]);
}

#[test]
fn a_person_may_let_it_begin_in_any_case() {
    let desk = Desk::new();
    let blocker = desk.task(NewTask::titled("one")).id;
    let task = desk.task(for_ada("Wait")).id;
    later(&desk, task, blocker).unwrap();
    let now = desk.clock.now();
    let standing = || {
        desk.store.read(|snap| standing::standing(snap, &queries::get(snap, task).unwrap(), now))
    };
    assert_eq!(standing().unwrap(), Standing::Blocked);
    desk.by(mira(), move |tx| rules::start_now(tx, task)).unwrap();
    let items = desk.items();
    let told: Vec<_> = items.iter().map(|item| (item.kind, item.state)).collect();
    let wanted = [
        (ItemKind::TaskAssignment, ItemState::Cancelled),
        (ItemKind::StartNow, ItemState::Pending),
    ];
    assert_eq!(told, wanted);
    assert!(!items[1].waits_for_blockers());
    assert_eq!(standing().unwrap(), Standing::Queued { why: None });
    let error = desk.by(mira(), move |tx| rules::start_now(tx, blocker)).unwrap_err();
    assert_eq!(error.code(), "nobody_begins");
}

#[test]
fn labels_are_told_apart_by_their_names_in_any_case() {
    let desk = Desk::new();
    let task = desk.task(NewTask::titled("one")).id;
    let ask = |text: &'static str| {
        desk.by(mira(), move |tx| labels::ask(tx, task, LabelFilter::read(text))).map(|_| ())
    };
    let own = || -> Vec<String> {
        let labels = desk.store.read(|snap| label_queries::of(snap, task)).unwrap();
        labels.into_iter().map(|label| label.name).collect()
    };
    ask("Bug, idea").unwrap();
    ask("+bug, +Launch, -IDEA").unwrap();
    assert_eq!(own(), ["Bug", "Launch"]);
    assert_eq!(ask("-nothing").unwrap_err().code(), "label_not_found");
    let seq = desk.store.head().seq;
    ask("launch,bug").unwrap();
    assert_eq!(desk.store.head().seq, seq, "asking for what is so already changes nothing");
    let taken = NewLabel { name: " LAUNCH ".into(), ..NewLabel::default() };
    let error = desk.by(mira(), |tx| labels::create(tx, taken)).unwrap_err();
    assert_eq!(error.code(), "label_taken");
    let long = "x".repeat(41);
    for name in ["", "a,b", "+a", long.as_str()] {
        let new = NewLabel { name: name.into(), ..NewLabel::default() };
        assert!(desk.by(mira(), |tx| labels::create(tx, new)).is_err(), "{name}");
    }
    let many: Vec<String> = (0..21).map(|n| format!("l{n}")).collect();
    let many = LabelFilter::Exactly(many);
    let error = desk.by(mira(), move |tx| labels::ask(tx, task, many)).unwrap_err();
    assert_eq!(error.code(), "too_many_labels");
    let bug = desk.store.read(|snap| label_queries::resolve(snap, "bug")).unwrap();
    let found = desk.store.read(|snap| marks::with_label(snap, &[bug.id])).unwrap();
    assert!(found.contains(task));
    desk.by(mira(), move |tx| LABEL.remove(tx, KeyBuf::of(&bug.id).bytes(), None)).unwrap();
    assert_eq!(own(), ["Launch"]);
}

#[test]
fn what_happened_to_labels_and_relations_stands_in_the_history() {
    let desk = Desk::new();
    let (task, other) = (desk.task(NewTask::titled("a")).id, desk.task(NewTask::titled("b")).id);
    desk.clock.advance_ms(60_000);
    desk.by(mira(), move |tx| labels::ask(tx, task, LabelFilter::read("bug"))).unwrap();
    desk.clock.advance_ms(20 * 60_000);
    later(&desk, task, other).unwrap();
    // Changes of labels by one person in a row form one line; a label added and removed appears in none.
    for names in ["+idea", "+late,-bug", "-late,+other"] {
        desk.clock.advance_ms(1);
        desk.by(mira(), move |tx| labels::ask(tx, task, LabelFilter::read(names))).unwrap();
    }
    let told = desk.store.read(|snap| history(snap, task, 1)).unwrap();
    let kinds: Vec<_> = told.facts.into_iter().map(|fact| fact.kind).collect();
    let moved = |added: &[&str], removed: &[&str]| {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
        FactKind::Labels(Moved { added: names(added), removed: names(removed) })
    };
    let wanted = [
        FactKind::Created,
        moved(&["bug"], &[]),
        FactKind::Field(TaskField::Relations),
        moved(&["idea", "other"], &["bug"]),
    ];
    assert_eq!(kinds, wanted);
}

#[test]
fn a_stream_has_a_name_of_its_own_while_it_is_in_use() {
    let desk = Desk::new();
    let launch = stream(&desk, "Launch");
    let again = NewStream::called("launch ");
    let error = desk.by(mira(), |tx| streams::create(tx, again)).unwrap_err();
    assert!(matches!(error, StreamError::Taken(name) if name == "Launch"));
    let task = desk.task(NewTask { stream: Some(launch), ..NewTask::titled("one") });
    let part = desk.task(NewTask { parent: Some(task.id), ..NewTask::titled("part") });
    assert_eq!(part.stream, Some(launch), "a part is where its whole is");
    desk.by(mira(), move |tx| streams::archive(tx, launch)).unwrap();
    let into = NewTask { stream: Some(launch), ..NewTask::titled("two") };
    assert!(desk.by(mira(), |tx| rules::create(tx, into)).is_err());
    stream(&desk, "Launch");
    let error = desk.by(mira(), move |tx| streams::restore(tx, launch)).unwrap_err();
    assert!(matches!(error, StreamError::Taken(_)));
    let long = StreamPatch { goal: Some("x".repeat(2_001)), ..StreamPatch::default() };
    let error = desk.by(mira(), move |tx| streams::update(tx, launch, long)).unwrap_err();
    assert!(matches!(error, StreamError::Archived(_)));
}

#[test]
fn an_order_by_hand_stays_an_order_after_many_moves() {
    let desk = Desk::new();
    let all: Vec<TaskId> = (0..20).map(|n| desk.task(NewTask::titled(n.to_string())).id).collect();
    let place =
        |id, after, before| desk.by(mira(), move |tx| order::place(tx, id, after, before)).unwrap();
    let order = || -> Vec<TaskId> {
        let ranks = desk.store.read(|snap| list::ranks(snap)).unwrap();
        ranks.into_iter().map(|(_, id)| id).collect()
    };
    assert_eq!(order(), all);
    place(all[19], None, Some(all[0]));
    place(all[0], Some(all[18]), None);
    let next = desk.task(NewTask::titled("next"));
    assert_eq!(
        order().last(),
        Some(&next.id),
        "what is made comes behind what was moved to the end"
    );
    assert_eq!(order().first(), Some(&all[19]));
    // Repeated moves into the same gap: the sort keys are shortened again.
    for n in 0..300 {
        let (one, two) = (all[1 + n % 2], all[2 - n % 2]);
        place(one, Some(all[19]), Some(two));
        let now = order();
        assert_eq!(now[..3], [all[19], one, two], "{n}");
    }
    let ranks = desk.store.read(|snap| list::ranks(snap)).unwrap();
    assert!(ranks.iter().all(|(key, _)| key.len() <= rank::MAX_LEN), "{ranks:?}");
}
