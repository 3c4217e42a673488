//! Deliverables and reviews.

use features::tasks::queries::grouping::{self, Cell, GroupBy};

use super::*;

#[test]
fn delivered_work_is_reviewed_by_people_until_the_task_is_done() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    let piece = desk.deliver(task.id, "Prices");
    assert_eq!(piece.state, DeliverableState::InReview);
    let error = desk.by(ada(), move |tx| rules::complete(tx, task.id)).unwrap_err();
    assert!(error.to_string().contains("\"Prices\" still needs review"), "{error}");
    let new = NewReview {
        deliverable: piece.id,
        version: None,
        verdict: Verdict::Approved,
        note: String::new(),
    };
    let error = desk.by(ada(), |tx| deliverables::review(tx, new)).unwrap_err();
    assert_eq!(error.code(), "only_people_review");
    let error = desk.review(&piece, Verdict::ChangesRequested, " ").unwrap_err();
    assert_eq!(error.fields()[0].field, "note");
    desk.review(&piece, Verdict::ChangesRequested, "add VAT").unwrap();
    let item = desk.items().into_iter().find(|item| item.kind == ItemKind::DeliverableReview);
    assert_eq!(item.unwrap().reasons[0].text, "add VAT");

    let again = NewDelivery {
        task: task.id,
        title: String::new(),
        content: Content::Url("https://example.com/a b".into()),
        note: "now with VAT".into(),
        revises: Some(piece.id),
    };
    let (second, version) = desk.by(ada(), |tx| deliverables::submit(tx, again)).unwrap();
    assert_eq!((second.title.as_str(), version.number), ("Prices", 2));
    let error = desk.review(&piece, Verdict::Approved, "").unwrap_err();
    assert_eq!(error.code(), "newer_version");
    desk.review(&second, Verdict::Approved, "").unwrap();
    assert_eq!(desk.get(task.id).status, TaskStatus::Done);
    let error = desk.review(&second, Verdict::Rejected, "no").unwrap_err();
    assert_eq!(error.code(), "not_in_review");
    let kept = desk.store.read(|snap| features::deliverables::queries::get(snap, piece.id));
    let notes: Vec<_> =
        kept.unwrap().versions.into_iter().map(|v| v.review.unwrap().note).collect();
    assert_eq!(notes, ["add VAT", ""]);
}

#[test]
fn delivered_work_stands_in_a_group_of_its_own_that_its_filter_finds() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    desk.task(NewTask { status: TaskStatus::InProgress, ..for_ada("Call them") });
    let by = (GroupBy::Status, GroupBy::None);
    let today = list::Today { now: desk.clock.now(), zone: queries::due::zone("UTC") };
    let groups = || {
        let (sort, all) = (list::Sort::Title, list::Filter::default());
        let cells = desk.store.read(|snap| grouping::cells(snap, &all, by, sort, &today, 9));
        let named = |cell: Cell| (cell.column.standing().unwrap().0, cell.total);
        cells.unwrap().into_iter().map(named).collect::<Vec<_>>()
    };
    let set = |to| desk.by(mira(), move |tx| rules::set_status(tx, task.id, to)).unwrap();
    assert_eq!(groups(), [("in_progress", 1), ("todo", 1)]);
    let piece = desk.deliver(task.id, "Prices");
    for stored in [TaskStatus::Todo, TaskStatus::InProgress, TaskStatus::Blocked] {
        set(stored);
        assert_eq!(groups(), [("in_progress", 1), ("in_review", 1)], "{stored:?} is stored");
    }
    // A cancelled task is not in review, even if its deliverable was never reviewed.
    set(TaskStatus::Cancelled);
    assert_eq!(groups(), [("in_progress", 1), ("cancelled", 1)]);
    set(TaskStatus::InProgress);
    desk.review(&piece, Verdict::ChangesRequested, "add VAT").unwrap();
    assert_eq!(groups(), [("in_progress", 2)]);
}

#[test]
fn approval_leaves_a_task_open_while_a_part_of_it_is() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    let part = desk.task(NewTask { parent: Some(task.id), ..NewTask::titled("Call them") });
    let piece = desk.deliver(task.id, "Prices");
    desk.review(&piece, Verdict::Approved, "").unwrap();
    assert_eq!(desk.get(task.id).status, TaskStatus::Todo);
    let error = desk.by(ada(), move |tx| rules::complete(tx, task.id)).unwrap_err();
    assert!(error.to_string().contains("these subtasks are open: MC-2"), "{error}");
    desk.by(mira(), move |tx| rules::set_status(tx, part.id, TaskStatus::Cancelled)).unwrap();
    desk.by(ada(), move |tx| rules::complete(tx, task.id)).unwrap();
}

#[test]
fn only_whole_web_addresses_and_plain_file_names_are_delivered() {
    let desk = Desk::new();
    let task = desk.task(for_ada("x")).id;
    let blob = store::BlobId::of(b"x");
    let file = |name: &str| Content::File { name: name.into(), blob, size: 1 };
    let bad = [
        Content::Url("javascript:alert(1)".into()),
        Content::Url("https://user:pw@example.com".into()),
        Content::Url("example.com".into()),
        Content::Text("  ".into()),
        file("../a"),
        file("a\nb"),
    ];
    for content in bad {
        let shown = format!("{content:?}");
        let (title, note) = ("t".to_owned(), String::new());
        let new = NewDelivery { task, title, content, note, revises: None };
        let error = desk.by(ada(), |tx| deliverables::submit(tx, new)).expect_err(&shown);
        assert_eq!(error.fields()[0].field, "body", "{shown}");
    }
}

#[test]
fn a_yes_wakes_the_agent_when_something_is_left_to_do() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    desk.task(NewTask { parent: Some(task.id), ..NewTask::titled("Call them") });
    let (first, second) = (desk.deliver(task.id, "Prices"), desk.deliver(task.id, "Calls"));
    let woken = |desk: &Desk| {
        let items = desk.items().into_iter().filter(|one| one.kind == ItemKind::DeliverableReview);
        items.map(|item| item.reasons[0].summary.clone()).collect::<Vec<_>>()
    };
    desk.review(&first, Verdict::Approved, "").unwrap();
    assert!(woken(&desk).is_empty(), "the other one still waits for a person");
    desk.review(&second, Verdict::Approved, "").unwrap();
    assert_eq!(woken(&desk), ["Deliverable approved: Calls"]);

    let alone = desk.task(for_ada("Write it down"));
    let piece = desk.deliver(alone.id, "Text");
    desk.review(&piece, Verdict::Approved, "").unwrap();
    assert_eq!(desk.get(alone.id).status, TaskStatus::Done);
    assert_eq!(woken(&desk).len(), 1, "finished work wakes nobody");
}
