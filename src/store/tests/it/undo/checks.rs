//! Undo cases that only one check of a plan detects: conflicts between rows of the plan, dependent rows that are partly
//! in the plan, values missing in the middle of a chain.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use store::undo::{self, After, Ask, FieldWhy, Guard, Hold, Refusal, Why};
use store::{BlobId, Read, Root, StoreError, record};

use super::super::toys::{
    ACTOR, CAUSE, Folder, Job, Mark, Note, Slip, Toys, folder, id, note, runtime,
};
use super::{carry_out, forget_images, named, owner, plan_of, root, undo_all};

fn slug(n: u64, slug: Option<&str>) -> Note {
    Note { slug: slug.map(Into::into), ..named(n, "x") }
}

#[test]
fn of_two_rows_that_go_back_to_one_unique_key_one_stays() {
    let toys = Toys::open();
    toys.put(slug(1, Some("a"))).unwrap();
    toys.put(slug(1, None)).unwrap();
    toys.put(slug(2, Some("a"))).unwrap();
    toys.put(slug(2, Some("b"))).unwrap();
    // Both had the slug `a` before an own change, one after the other.
    let plan = undo_all(&toys, &[2, 4]);
    assert_eq!(plan.rows.iter().map(|row| &row.record).collect::<Vec<_>>(), [&root(1)]);
    assert_eq!(plan.kept[0].record, root(2));
    assert_eq!(plan.kept[0].why, Why::Taken { index: "note_by_slug" });
    let slug = |n: u64| toys.get::<Note>(note(n)).unwrap().slug;
    assert_eq!((slug(1).as_deref(), slug(2).as_deref()), (Some("a"), Some("b")));
}

#[test]
fn what_goes_back_refers_to_nothing_that_goes_away_with_it() {
    let toys = Toys::open();
    toys.put(named(1, "theirs")).unwrap();
    toys.put(named(5, "made")).unwrap();
    toys.put(Note { parent: Some(note(5)), ..named(1, "theirs") }).unwrap();
    toys.put(named(1, "theirs")).unwrap();
    let plan = undo_all(&toys, &[2, 4]);
    assert_eq!(owner(&toys, 5), None, "nobody else has changed what was made");
    assert_eq!(toys.get::<Note>(note(1)).unwrap().parent, None);
    assert_eq!(plan.kept[0].why, Why::MissingTarget { table: 100 });
}

#[test]
fn what_goes_back_may_refer_to_what_comes_back_with_it() {
    let toys = Toys::open();
    toys.put(Folder { id: folder(1), inside: None }).unwrap();
    toys.put(Note { folder: Some(folder(1)), ..named(1, "in") }).unwrap();
    toys.write(|tx| tx.delete::<Folder>(folder(1))).unwrap();
    assert_eq!(owner(&toys, 1), None, "it went with its folder");
    let plan = undo_all(&toys, &[3]);
    assert!(plan.kept.is_empty(), "{:?}", plan.kept);
    assert_eq!(toys.get::<Note>(note(1)).unwrap().folder, Some(folder(1)));
}

#[test]
fn two_rows_do_not_come_to_stand_below_each_other() {
    let toys = Toys::open();
    let put = |n: u64, inside: Option<u64>| {
        toys.put(Folder { id: folder(n), inside: inside.map(folder) }).unwrap();
    };
    put(1, None);
    put(2, None);
    put(2, Some(1));
    put(2, None);
    put(1, Some(2));
    put(1, None);
    // Each could be reverted alone; reverting both would make a cycle.
    let plan = undo_all(&toys, &[4, 6]);
    assert!(plan.rows.is_empty(), "{:?}", plan.rows);
    assert_eq!(plan.kept.iter().map(|kept| &kept.why).collect::<Vec<_>>(), [&Why::Cycle; 2]);
}

#[test]
fn what_others_hang_on_a_made_record_keeps_it_also_where_the_rest_of_theirs_goes_back() {
    let toys = Toys::open();
    toys.put(named(1, "theirs")).unwrap();
    toys.write(|tx| {
        tx.put(&named(5, "made"))?;
        tx.put(&Note { guard: Some(note(5)), ..named(2, "made, too") })?;
        tx.put(&Note { slug: Some("own".into()), ..named(1, "theirs") })
    })
    .unwrap();
    let theirs = Note { slug: Some("own".into()), parent: Some(note(5)), ..named(1, "theirs") };
    toys.put(theirs).unwrap();
    let plan = undo_all(&toys, &[2]);
    let one = toys.get::<Note>(note(1)).unwrap();
    assert_eq!((one.slug, one.parent), (None, Some(note(5))), "the own field alone goes back");
    assert_eq!(plan.kept[0].why, Why::Referenced { by: root(1) });
    assert_eq!((owner(&toys, 5).as_deref(), owner(&toys, 2)), (Some("made"), None));
}

#[test]
fn what_own_entries_hang_on_a_made_record_lets_it_go() {
    let toys = Toys::open();
    toys.put(named(1, "theirs")).unwrap();
    toys.write(|tx| {
        tx.put(&named(5, "made"))?;
        tx.put(&Note { parent: Some(note(5)), ..named(1, "theirs") })
    })
    .unwrap();
    let plan = undo_all(&toys, &[2]);
    assert!(plan.kept.is_empty(), "{:?}", plan.kept);
    assert_eq!((owner(&toys, 5), toys.get::<Note>(note(1)).unwrap().parent), (None, None));
}

#[test]
fn a_row_that_refers_to_something_else_again_lets_a_made_record_go() {
    let toys = Toys::open();
    toys.put(named(6, "before")).unwrap();
    toys.put(Note { parent: Some(note(6)), ..named(1, "theirs") }).unwrap();
    toys.write(|tx| {
        tx.put(&named(5, "made"))?;
        tx.put(&Note { parent: Some(note(5)), ..named(1, "theirs") })
    })
    .unwrap();
    let plan = undo_all(&toys, &[3]);
    assert!(plan.kept.is_empty(), "{:?}", plan.kept);
    assert_eq!(owner(&toys, 5), None);
    assert_eq!(toys.get::<Note>(note(1)).unwrap().parent, Some(note(6)));
}

#[test]
fn what_only_points_at_each_other_may_do_so_again() {
    let toys = Toys::open();
    let put = |n: u64, parent: Option<u64>| {
        toys.put(Note { parent: parent.map(note), ..named(n, "x") }).unwrap();
    };
    put(1, None);
    put(2, None);
    put(1, Some(2));
    put(1, None);
    put(2, Some(1));
    // These references do not cascade, so mutual references make no hierarchy.
    let plan = undo_all(&toys, &[4]);
    assert!(plan.kept.is_empty(), "{:?}", plan.kept);
    assert_eq!(toys.get::<Note>(note(1)).unwrap().parent, Some(note(2)));
}

#[test]
fn what_the_feed_does_not_keep_goes_with_what_it_is_for() {
    let toys = Toys::open();
    toys.put(named(1, "made")).unwrap();
    toys.put(Mark { id: id(1), note: Some(note(1)) }).unwrap();
    let plan = undo_all(&toys, &[1]);
    assert!(plan.kept.is_empty(), "{:?}", plan.kept);
    assert_eq!(plan.rows[0].takes, [Root::of::<Mark>(id(1))]);
    assert_eq!((owner(&toys, 1), toys.get::<Mark>(id(1))), (None, None));
}

#[test]
fn work_that_own_entries_only_changed_keeps_what_they_made() {
    let toys = Toys::open();
    toys.put(Job { id: id(1), note: None, open: true }).unwrap();
    toys.write(|tx| {
        tx.put(&named(1, "made"))?;
        tx.put(&Job { id: id(1), note: Some(note(1)), open: true })
    })
    .unwrap();
    let plan = undo_all(&toys, &[2]);
    assert!(plan.made.is_empty(), "{:?}", plan.made);
    assert_eq!(plan.kept[0].why, Why::Referenced { by: Root::of::<Job>(id(1)) });
    assert!(owner(&toys, 1).is_some() && toys.get::<Job>(id(1)).is_some());
}

#[test]
fn work_that_is_gone_already_is_not_told() {
    let toys = Toys::open();
    toys.put(Job { id: id(1), note: None, open: true }).unwrap();
    toys.write(|tx| tx.delete::<Job>(id(1))).unwrap();
    let plan = plan_of(&toys, &[1], None);
    assert!(plan.made.is_empty() && plan.held.is_empty(), "{plan:?}");
    assert_eq!(plan.stays[0].count, 1, "but that it was made");
}

#[test]
fn work_that_others_have_for_a_made_record_keeps_it() {
    let toys = Toys::open();
    toys.put(named(1, "made")).unwrap();
    toys.put(Job { id: id(1), note: Some(note(1)), open: true }).unwrap();
    let plan = undo_all(&toys, &[1]);
    let job = Root::of::<Job>(id(1));
    assert_eq!(plan.kept[0].why, Why::Referenced { by: job });
    assert!(owner(&toys, 1).is_some() && toys.get::<Job>(id(1)).is_some());
}

#[test]
fn work_goes_with_the_work_that_it_is_part_of() {
    let toys = Toys::open();
    let job = Job { id: id(1), note: Some(note(1)), open: true };
    let part = Slip { id: id(2), blob: BlobId::of(b"a"), job: Some(job.id) };
    let whole = part.clone();
    toys.write(move |tx| {
        tx.put(&named(1, "made"))?;
        tx.put(&job)?;
        tx.put(&whole)
    })
    .unwrap();
    let plan = undo_all(&toys, &[1]);
    let along = [Root::of::<Job>(id(1)), Root::of::<Slip>(id(2))];
    assert_eq!(plan.rows[0].takes, along, "all that hangs on it, however far");
    assert_eq!((toys.get::<Job>(id(1)), toys.get::<Slip>(id(2))), (None, None));

    // A dependent row that somebody else wrote keeps all of them.
    let toys = Toys::open();
    toys.write(|tx| {
        tx.put(&named(1, "made"))?;
        tx.put(&Job { id: id(1), note: Some(note(1)), open: true })
    })
    .unwrap();
    toys.put(part).unwrap();
    let plan = undo_all(&toys, &[1]);
    assert_eq!(plan.kept[0].why, Why::Referenced { by: Root::of::<Slip>(id(2)) });
    assert!(owner(&toys, 1).is_some() && toys.get::<Job>(id(1)).is_some());
}

#[test]
fn fields_that_mean_something_together_stay_together() {
    let toys = Toys::open();
    toys.put(named(1, "x")).unwrap();
    toys.put(Note { labels: vec![1], size: 5, ..named(1, "own") }).unwrap();
    toys.put(Note { labels: vec![2], size: 5, ..named(1, "own") }).unwrap();
    let plan = undo_all(&toys, &[2]);
    let now = toys.get::<Note>(note(1)).unwrap();
    assert_eq!((now.owner.as_str(), now.labels, now.size), ("x", vec![2], 5));
    let kept: Vec<_> = plan.rows[0].kept.iter().map(|kept| kept.name.as_str()).collect();
    assert_eq!(kept, ["labels", "size"]);
}

/// A guard that holds every size.
struct Sizes;

impl Guard for Sizes {
    fn table(&self, _: u16) -> bool {
        true
    }

    fn work(&self, _: &dyn Read, _: &Root) -> Result<Option<Refusal>, StoreError> {
        Ok(None)
    }

    fn holds(&self, after: &After<'_>) -> Result<Vec<Hold>, StoreError> {
        let size = |bytes: &Option<Vec<u8>>| {
            let read = bytes.as_deref().map(|bytes| record::read::<Note>(bytes).expect("a note"));
            read.map(|(note, _)| note.size)
        };
        let held = after.rows().filter(|row| size(&row.now) != size(&row.to));
        let refusal = Refusal { code: "fixed", why: "it is fixed".to_owned() };
        let hold = |row: &undo::Row| {
            let record = row.record.clone();
            Hold { record, fields: &["size"], refusal: refusal.clone() }
        };
        Ok(held.map(hold).collect())
    }
}

#[test]
fn what_may_not_go_back_holds_what_means_something_only_with_it() {
    let toys = Toys::open();
    toys.put(named(1, "x")).unwrap();
    toys.put(Note { labels: vec![1], size: 5, ..named(1, "own") }).unwrap();
    let entries = BTreeSet::from([2]);
    let ask = Ask { entries: &entries, only: None, guard: &Sizes };
    let plan = toys.store.read(|snap| undo::plan(snap, toys.store.schema(), &ask)).unwrap();
    let to = record::read::<Note>(plan.rows[0].to.as_deref().unwrap()).unwrap().0;
    assert_eq!((to.owner.as_str(), to.labels, to.size), ("x", vec![1], 5));
    let kept = plan.rows[0].kept.iter();
    let kept: Vec<_> = kept.map(|one| (one.name.as_str(), &one.why)).collect();
    assert!(matches!(kept[..], [("labels", FieldWhy::Refused(_)), ("size", FieldWhy::Refused(_))]));
}

#[test]
fn where_the_values_of_others_are_gone_nothing_is_guessed() {
    // Without the image of their entry, or of the own one after it, their change is unknown.
    for gone in [3, 4] {
        let toys = Toys::open();
        toys.put(named(1, "ada")).unwrap();
        toys.put(Note { slug: Some("own".into()), ..named(1, "ada") }).unwrap();
        toys.put(Note { slug: Some("own".into()), ..named(1, "theirs") }).unwrap();
        toys.put(Note { slug: Some("again".into()), ..named(1, "theirs") }).unwrap();
        let toys = forget_images(toys, gone);
        let plan = carry_out(&toys, &[2, 4], None);
        assert!(plan.rows.is_empty(), "{gone}: {:?}", plan.rows);
        assert_eq!(plan.kept[0].why, Why::Gone, "{gone}");
        assert_eq!(owner(&toys, 1).as_deref(), Some("theirs"));
    }
}

#[test]
fn a_record_that_has_changed_very_often_since_is_not_looked_through() {
    let toys = Toys::open();
    toys.put(named(1, "first")).unwrap();
    toys.put(named(1, "own")).unwrap();
    runtime().block_on(async {
        for piece in 0..6 {
            let writes = (0..900).map(|n| {
                let put = named(1, &format!("theirs {piece} {n}"));
                toys.store.write(ACTOR, CAUSE, move |tx| tx.put(&put))
            });
            for written in join_all(writes).await {
                written.expect("a write");
            }
        }
    });
    let last = owner(&toys, 1);
    let plan = undo_all(&toys, &[2]);
    assert_eq!(plan.kept[0].why, Why::TooOften);
    assert_eq!(owner(&toys, 1), last);
}
