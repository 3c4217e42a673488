//! Undo: what own entries did goes back, what others wrote since stays, and nothing breaks.

use std::collections::{BTreeMap, BTreeSet};

use hq::kernel::time::Clock as _;
use hq::kernel::{Cause, Problem as _, TaskId};
use hq::store::undo::moment::go_back;
use hq::store::undo::{self, After, Ask, FieldWhy, Guard, Hold, Plan, Refusal, Unguarded, Why};
use hq::store::{Range, Read, Record, Root, StoreError, codec, record};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use serde_json::Value;

use super::check;
use super::toys::{ACTOR, Folder, Job, Line, Note, Sealed, Toys, folder, id, note};

/// Takes the images of an entry away, as retention will.
pub fn forget_images(toys: Toys, seq: u64) -> Toys {
    let path = toys.path();
    toys.store.close();
    let db = redb::Database::open(path).expect("nobody else has it");
    let txn = db.begin_write().expect("a transaction");
    {
        let feed = redb::TableDefinition::<&[u8], &[u8]>::new("t0001");
        let mut feed = txn.open_table(feed).expect("the feed");
        for part in 1..=100u16 {
            let key = [&seq.to_be_bytes()[..], &part.to_be_bytes()].concat();
            feed.remove(&*key).expect("it goes");
        }
    }
    txn.commit().expect("a commit");
    drop(db);
    toys.reopen()
}

fn plan_of(toys: &Toys, entries: &[u64], only: Option<&Root>) -> Plan {
    let entries: BTreeSet<u64> = entries.iter().copied().collect();
    let schema = toys.store.schema();
    let ask = Ask { entries: &entries, only, guard: &Unguarded };
    toys.store.read(|snap| undo::plan(snap, schema, &ask)).expect("a plan")
}

/// Undoes entries and gives the plan that was carried out.
fn undo_all(toys: &Toys, entries: &[u64]) -> Plan {
    undo_only(toys, entries, None)
}

fn undo_only(toys: &Toys, entries: &[u64], only: Option<Root>) -> Plan {
    let plan = carry_out(toys, entries, only);
    check::all_fits(&toys.store);
    plan
}

fn carry_out(toys: &Toys, entries: &[u64], only: Option<Root>) -> Plan {
    let entries: BTreeSet<u64> = entries.iter().copied().collect();
    let of = entries.last().copied().unwrap_or_default();
    let done = toys.store.write_blocking(ACTOR, Cause::Undo(of), move |tx| {
        let ask = Ask { entries: &entries, only: only.as_ref(), guard: &Unguarded };
        let plan = undo::plan(tx, tx.schema(), &ask)?;
        tx.undo(&plan)?;
        Ok::<_, StoreError>(plan)
    });
    done.expect("it can be undone")
}

fn owner(toys: &Toys, n: u64) -> Option<String> {
    toys.get::<Note>(note(n)).map(|note| note.owner)
}

fn root(n: u64) -> Root {
    Root::of::<Note>(note(n))
}

fn named(n: u64, owner: &str) -> Note {
    Note::new(note(n), owner)
}

#[test]
fn what_nobody_touched_since_goes_back_whole_and_forward_again() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(named(3, "gone soon")).unwrap();
    toys.write(|tx| {
        tx.put(&Note { size: 9, slug: Some("plan".into()), ..named(1, "bo") })?;
        tx.put(&named(2, "new"))?;
        tx.delete::<Note>(note(3)).map(|_| ())
    })
    .unwrap();
    let done = toys.seq();
    undo_all(&toys, &[done]);
    assert_eq!(toys.get::<Note>(note(1)), Some(named(1, "ada")));
    assert_eq!(owner(&toys, 2), None);
    assert_eq!(owner(&toys, 3).as_deref(), Some("gone soon"));
    undo_all(&toys, &[done + 1]);
    assert_eq!(owner(&toys, 1).as_deref(), Some("bo"));
    assert_eq!(owner(&toys, 2).as_deref(), Some("new"));
    assert_eq!(owner(&toys, 3), None);
    assert!(undo_all(&toys, &[done]).rows.is_empty() || owner(&toys, 2).is_none());
}

#[test]
fn a_preview_changes_nothing_and_has_the_basis_of_what_is_done() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(named(1, "bo")).unwrap();
    let seq = toys.seq();
    let seen = plan_of(&toys, &[2], None);
    assert_eq!((toys.seq(), owner(&toys, 1).as_deref()), (seq, Some("bo")));
    toys.put(named(7, "elsewhere")).unwrap();
    let done = undo_all(&toys, &[2]);
    assert_eq!(seen.basis.digest, done.basis.digest, "the same would happen");
    assert_eq!((seen.basis.seq, done.basis.seq), (2, 3));
}

#[test]
fn fields_that_others_wrote_since_stay_and_are_told_with_their_author() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(Note { size: 5, labels: vec![1], ..named(1, "bo") }).unwrap();
    toys.put(Note { size: 5, labels: vec![1], ..named(1, "cy") }).unwrap();
    let plan = undo_all(&toys, &[2]);
    let note = toys.get::<Note>(note(1)).unwrap();
    assert_eq!((note.owner.as_str(), note.size, note.labels), ("cy", 1, Vec::new()));
    let [kept] = &plan.rows[0].kept[..] else { panic!("one field: {:?}", plan.rows[0].kept) };
    assert_eq!(kept.name, "owner");
    assert!(matches!(kept.why, FieldWhy::Changed(by) if by.seq == 3));
}

#[test]
fn a_value_that_another_wrote_again_is_theirs_even_when_it_is_the_same() {
    let toys = Toys::open();
    for owner in ["ada", "bo", "cy", "bo"] {
        toys.put(named(1, owner)).unwrap();
    }
    let plan = undo_all(&toys, &[2]);
    assert_eq!(owner(&toys, 1).as_deref(), Some("bo"));
    assert!(plan.rows.is_empty());
    assert!(matches!(&plan.kept[0].why, Why::Changed(by) if by.seq == 4), "{:?}", plan.kept);
}

#[test]
fn what_a_run_wrote_over_others_goes_back_to_what_they_had_written() {
    let toys = Toys::open();
    for owner in ["ada", "own", "theirs", "own again"] {
        toys.put(named(1, owner)).unwrap();
    }
    undo_all(&toys, &[2, 4]);
    assert_eq!(owner(&toys, 1).as_deref(), Some("theirs"));
}

#[test]
fn made_records_that_others_changed_or_refer_to_are_kept_and_told() {
    let toys = Toys::open();
    toys.write(|tx| {
        (1..=4).try_for_each(|n| tx.put(&named(n, "made")))?;
        tx.put(&Job { id: id(1), note: Some(note(4)), open: true })
    })
    .unwrap();
    toys.put(named(1, "changed")).unwrap();
    toys.put(Note { parent: Some(note(2)), ..named(9, "refers") }).unwrap();
    let plan = undo_all(&toys, &[1]);
    assert_eq!(owner(&toys, 1).as_deref(), Some("changed"));
    assert_eq!(owner(&toys, 2).as_deref(), Some("made"));
    assert_eq!((owner(&toys, 3), owner(&toys, 4)), (None, None));
    assert_eq!(toys.get::<Job>(id(1)), None, "work that was made for it goes with it");
    let why: BTreeMap<_, _> = plan.kept.iter().map(|k| (k.record.clone(), &k.why)).collect();
    assert!(matches!(why[&root(1)], Why::Changed(_)));
    assert_eq!(*why[&root(2)], Why::Referenced { by: root(9) });
    assert_eq!(plan.made.len(), 1);
}

#[test]
fn a_record_that_others_deleted_stays_deleted() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(named(1, "bo")).unwrap();
    toys.write(|tx| tx.delete::<Note>(note(1))).unwrap();
    let plan = undo_all(&toys, &[2]);
    assert!(plan.rows.is_empty());
    assert!(matches!(&plan.kept[0].why, Why::Deleted(by) if by.seq == 3));
}

#[test]
fn a_unique_key_that_another_took_keeps_the_row_where_it_is() {
    let toys = Toys::open();
    let with = |n: u64, slug: Option<&str>| Note { slug: slug.map(Into::into), ..named(n, "x") };
    toys.put(with(1, Some("a"))).unwrap();
    toys.put(with(1, None)).unwrap();
    toys.put(with(2, Some("a"))).unwrap();
    let plan = undo_all(&toys, &[2]);
    assert_eq!(plan.kept[0].why, Why::Taken { index: "note_by_slug" });
    assert_eq!(toys.get::<Note>(note(1)).unwrap().slug, None);
}

#[test]
fn keys_that_were_exchanged_are_exchanged_back() {
    let toys = Toys::open();
    let with = |n: u64, slug: Option<&str>| Note { slug: slug.map(Into::into), ..named(n, "x") };
    toys.put(with(1, Some("a"))).unwrap();
    toys.put(with(2, Some("b"))).unwrap();
    let (one, two) = (with(1, Some("b")), with(2, Some("a")));
    toys.write(move |tx| {
        tx.put(&Note { slug: None, ..one.clone() })?;
        tx.put(&two)?;
        tx.put(&one)
    })
    .unwrap();
    undo_all(&toys, &[3]);
    assert_eq!(toys.get::<Note>(note(1)).unwrap().slug.as_deref(), Some("a"));
    assert_eq!(toys.get::<Note>(note(2)).unwrap().slug.as_deref(), Some("b"));
}

#[test]
fn a_row_whose_target_is_gone_stays_and_takes_along_what_needs_it() {
    let toys = Toys::open();
    toys.put(Folder { id: folder(1), inside: None }).unwrap();
    toys.put(Note { folder: Some(folder(1)), ..named(1, "in") }).unwrap();
    toys.put(Note { guard: Some(note(1)), ..named(2, "guards") }).unwrap();
    toys.write(|tx| {
        tx.delete::<Note>(note(2))?;
        tx.delete::<Note>(note(1)).map(|_| ())
    })
    .unwrap();
    let deleted = toys.seq();
    toys.write(|tx| tx.delete::<Folder>(folder(1))).unwrap();
    let plan = undo_all(&toys, &[deleted]);
    assert!(plan.rows.is_empty(), "{:?}", plan.rows);
    let why: Vec<_> = plan.kept.iter().map(|k| k.why.clone()).collect();
    assert_eq!(why, [Why::MissingTarget { table: 110 }, Why::MissingTarget { table: 100 }]);
}

#[test]
fn nothing_comes_to_stand_below_itself() {
    let toys = Toys::open();
    let put = |n: u64, inside: Option<u64>| {
        toys.put(Folder { id: folder(n), inside: inside.map(folder) }).unwrap();
    };
    put(1, None);
    put(2, Some(1));
    put(2, None);
    put(1, Some(2));
    let plan = undo_all(&toys, &[3]);
    assert_eq!(plan.kept[0].why, Why::Cycle);
    assert_eq!(toys.get::<Folder>(folder(2)).unwrap().inside, None);
}

#[test]
fn values_that_are_gone_are_told_and_do_not_fail_the_rest() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(named(1, "bo")).unwrap();
    toys.put(named(2, "x")).unwrap();
    let toys = forget_images(toys, 2);
    let plan = carry_out(&toys, &[2, 3], None);
    assert_eq!(plan.kept[0].why, Why::Gone);
    assert_eq!((owner(&toys, 1).as_deref(), owner(&toys, 2)), (Some("bo"), None));
}

#[test]
fn what_happened_happened() {
    let toys = Toys::open();
    toys.write(|tx| {
        tx.put(&Line { id: id(1), note: note(1), amount: 5 })?;
        tx.put(&Sealed { id: id(1), value: "one".into() })?;
        tx.put(&named(1, "ada"))
    })
    .unwrap();
    let plan = undo_all(&toys, &[1]);
    assert_eq!(owner(&toys, 1), None);
    assert!(toys.get::<Line>(id(1)).is_some() && toys.get::<Sealed>(id(1)).is_some());
    let stays: Vec<_> = plan.stays.iter().map(|s| (s.table, s.count)).collect();
    assert_eq!(stays, [(120, 1), (130, 1)]);
}

#[test]
fn one_record_of_an_entry_can_go_back_alone_and_only_where_it_is_allowed() {
    let toys = Toys::open();
    toys.write(|tx| (1..=3).try_for_each(|n| tx.put(&named(n, "made")))).unwrap();
    undo_only(&toys, &[1], Some(root(2)));
    assert_eq!((owner(&toys, 1).is_some(), owner(&toys, 2)), (true, None));
    let entries = BTreeSet::from([1]);
    let ask = Ask { entries: &entries, only: None, guard: &Warden::default() };
    let schema = toys.store.schema();
    let plan = toys.store.read(|snap| undo::plan(snap, schema, &ask)).unwrap();
    assert!(plan.rows.is_empty());
    assert!(plan.kept.iter().all(|kept| kept.why == Why::NotAllowed));
}

/// A guard that lets nobody be renamed from or to a name, lets no more than so many notes come back, and
/// keeps work.
#[derive(Default)]
struct Warden {
    name: Option<&'static str>,
    notes: bool,
    keeps_work: bool,
}

const FORBIDDEN: &str = "forbidden";

fn refusal() -> Refusal {
    Refusal { code: FORBIDDEN, why: "it is not yours".to_owned() }
}

impl Guard for Warden {
    fn table(&self, table: u16) -> bool {
        self.notes || table != Note::TABLE.number
    }

    fn work(&self, _: &dyn Read, _: &Root) -> Result<Option<Refusal>, StoreError> {
        Ok(self.keeps_work.then(refusal))
    }

    fn holds(&self, after: &After<'_>) -> Result<Vec<Hold>, StoreError> {
        let mut holds = Vec::new();
        for row in after.rows().filter(|row| row.record.table == Note::TABLE.number) {
            let owner = |bytes: &Option<Vec<u8>>| {
                let note =
                    bytes.as_deref().map(|bytes| record::read::<Note>(bytes).expect("a note"));
                note.map(|(note, _)| note.owner)
            };
            let (now, to) = (owner(&row.now), owner(&row.to));
            if now != to && (now.as_deref() == self.name || to.as_deref() == self.name) {
                let record = row.record.clone();
                holds.push(Hold { record, fields: &["owner"], refusal: refusal() });
            }
        }
        Ok(holds)
    }
}

#[test]
fn what_its_rules_forbid_stays_field_by_field_and_takes_along_what_hangs_on_it() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(Note { size: 7, ..named(1, "bo") }).unwrap();
    let changed = toys.seq();
    toys.write(|tx| {
        tx.put(&named(2, "bo"))?;
        tx.put(&Note { parent: Some(note(2)), ..named(3, "cy") })
    })
    .unwrap();
    let made = toys.seq();
    let warden = Warden { name: Some("bo"), notes: true, keeps_work: false };
    let look = |entries: &[u64]| {
        let entries: BTreeSet<u64> = entries.iter().copied().collect();
        let ask = Ask { entries: &entries, only: None, guard: &warden };
        toys.store.read(|snap| undo::plan(snap, toys.store.schema(), &ask)).unwrap()
    };
    let plan = look(&[changed]);
    let to = record::read::<Note>(plan.rows[0].to.as_deref().unwrap()).unwrap().0;
    assert_eq!((to.owner.as_str(), to.size), ("bo", 1), "the rest goes back");
    let [kept] = &plan.rows[0].kept[..] else { panic!("{:?}", plan.rows[0].kept) };
    assert_eq!((kept.name.as_str(), &kept.why), ("owner", &FieldWhy::Refused(refusal())));
    // What was made cannot lose a field: it stays whole; what it has no need of goes.
    let plan = look(&[made]);
    let kept: Vec<_> = plan.kept.iter().map(|kept| (&kept.record, &kept.why)).collect();
    assert_eq!(kept, [(&root(2), &Why::Refused(refusal()))]);
    assert_eq!(plan.rows.iter().map(|row| &row.record).collect::<Vec<_>>(), [&root(3)]);
}

#[test]
fn work_that_may_not_be_taken_away_keeps_what_it_is_for() {
    let toys = Toys::open();
    toys.write(|tx| {
        tx.put(&named(1, "made"))?;
        tx.put(&Job { id: id(1), note: Some(note(1)), open: true })
    })
    .unwrap();
    let entries = BTreeSet::from([1]);
    let warden = Warden { name: None, notes: true, keeps_work: true };
    let ask = Ask { entries: &entries, only: None, guard: &warden };
    let plan = toys.store.read(|snap| undo::plan(snap, toys.store.schema(), &ask)).unwrap();
    assert!(plan.rows.is_empty() && plan.made.is_empty());
    assert_eq!(plan.held.len(), 1);
    assert!(matches!(plan.kept[0].why, Why::Referenced { .. }), "{:?}", plan.kept);
}

#[test]
fn ten_thousand_changes_go_back_at_once_and_more_are_refused_with_their_number() {
    let toys = Toys::open();
    for piece in 0..2u64 {
        let range = piece * 5_001..(piece + 1) * 5_001;
        toys.write(move |tx| range.into_iter().try_for_each(|n| tx.put(&named(n, "bulk"))))
            .unwrap();
    }
    let entries = BTreeSet::from([1, 2]);
    let schema = toys.store.schema();
    let ask = Ask { entries: &entries, only: None, guard: &Unguarded };
    let refused = toys.store.read(|snap| undo::plan(snap, schema, &ask)).unwrap_err();
    assert_eq!(refused.code(), "too_many");
    assert!(refused.to_string().contains("10002"), "{refused}");
    toys.write(|tx| tx.delete::<Note>(note(0)).map(|_| ())).unwrap();
    toys.write(|tx| tx.delete::<Note>(note(5_001)).map(|_| ())).unwrap();
    let plan = toys
        .store
        .write_blocking(ACTOR, Cause::Undo(2), move |tx| {
            let ask = Ask { entries: &entries, only: None, guard: &Unguarded };
            let plan = undo::plan(tx, tx.schema(), &ask)?;
            tx.undo(&plan)?;
            Ok::<_, StoreError>(plan)
        })
        .unwrap();
    assert_eq!(plan.rows.len(), 10_000);
    assert_eq!(toys.get::<Note>(note(77)), None);
}

// ── Whatever happens ──

#[derive(Clone, Debug)]
enum Act {
    Put(Note),
    Folder(u64, Option<u64>),
    Delete(u64),
    DeleteFolder(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let refs = (option::of(0..3u64), option::of(0..6u64), option::weighted(0.2, 0..6u64));
    let fields = (0..3u8, option::of(0..3u8), vec(0..3u8, 0..2));
    prop_oneof![
        8 => (0..6u64, fields, refs, 0..3i64).prop_map(|(n, (owner, slug, labels), refs, size)| {
            Act::Put(Note {
                slug: slug.map(|s| format!("s{s}")),
                labels,
                folder: refs.0.map(folder),
                parent: refs.1.map(note),
                guard: refs.2.map(note),
                size,
                ..named(n, &format!("o{owner}"))
            })
        }),
        2 => (0..3u64, option::of(0..3u64)).prop_map(|(n, inside)| {
            // Never below itself, so that what was there may be restored.
            Act::Folder(n, inside.filter(|inside| *inside < n))
        }),
        3 => (0..6u64).prop_map(Act::Delete),
        1 => (0..3u64).prop_map(Act::DeleteFolder),
    ]
}

/// One transaction of acts that the store may refuse one by one. Answers whether it got an entry.
fn commit(toys: &Toys, acts: Vec<Act>) -> bool {
    let before = toys.seq();
    toys.write(move |tx| {
        for act in acts {
            // ok: what the store refuses does not happen.
            let _ = tx.attempt(|tx| match &act {
                Act::Put(note) => tx.put(note),
                Act::Folder(n, inside) => {
                    tx.put(&Folder { id: folder(*n), inside: inside.map(folder) })
                }
                Act::Delete(n) => tx.delete::<Note>(note(*n)).map(|_| ()),
                Act::DeleteFolder(n) => tx.delete::<Folder>(folder(*n)).map(|_| ()),
            });
        }
        Ok(())
    })
    .expect("the rest is written");
    before < toys.seq()
}

/// All rows of tracked records, without their revs.
fn tracked(toys: &Toys) -> BTreeMap<Root, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for table in [Note::TABLE.number, Folder::TABLE.number] {
        toys.store
            .read(|snap| {
                snap.raw_scan(table, &Range::all(), &mut |key, row| {
                    let body = row[codec::HEADER..].to_vec();
                    rows.insert(Root { table, key: key.to_vec() }, body);
                    std::ops::ControlFlow::Continue(())
                })
            })
            .map_err(|error: StoreError| error)
            .expect("rows can be read");
    }
    rows
}

fn fields(toys: &Toys) -> BTreeMap<(Root, String), Value> {
    let mut all = BTreeMap::new();
    for (record, body) in tracked(toys) {
        let info = toys.store.schema().table(record.table).expect("a table");
        let ops = info.ops.as_ref().expect("a record");
        let row = codec::wrap(ops.version, 0, &body);
        let Value::Object(map) = (ops.json)(&row).expect("fields") else { panic!("an object") };
        all.extend(map.into_iter().map(|(name, value)| ((record.clone(), name), value)));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn with_no_change_of_others_undo_and_its_undo_leave_the_same_rows_and_indexes(
        before in vec(vec(act(), 1..5), 0..5), own in vec(vec(act(), 1..5), 1..5)
    ) {
        let toys = Toys::open();
        for acts in before {
            commit(&toys, acts);
        }
        let start = tracked(&toys);
        let mut entries = Vec::new();
        for acts in own {
            if commit(&toys, acts) {
                entries.push(toys.seq());
            }
        }
        let end = tracked(&toys);
        let plan = undo_all(&toys, &entries);
        assert!(plan.kept.is_empty(), "{:?}", plan.kept);
        assert_eq!(tracked(&toys), start);
        if !plan.rows.is_empty() {
            let back = undo_all(&toys, &[toys.seq()]);
            assert!(back.kept.is_empty(), "{:?}", back.kept);
            assert_eq!(tracked(&toys), end);
        }
    }

    #[test]
    fn with_changes_of_others_undo_touches_only_what_its_author_wrote_last(
        steps in vec((vec(act(), 1..4), any::<bool>()), 1..12)
    ) {
        let toys = Toys::open();
        let mut last: BTreeMap<(Root, String), bool> = BTreeMap::new();
        let (mut entries, mut now) = (Vec::new(), fields(&toys));
        for (acts, own) in steps {
            if !commit(&toys, acts) {
                continue;
            }
            if own {
                entries.push(toys.seq());
            }
            let after = fields(&toys);
            for at in now.keys().chain(after.keys()) {
                if now.get(at) != after.get(at) {
                    last.insert(at.clone(), own);
                }
            }
            now = after;
        }
        // Also: no reference to nothing, no broken unique key, indexes and sums as a rebuild makes them.
        undo_all(&toys, &entries);
        let after = fields(&toys);
        for at in now.keys().chain(after.keys()) {
            if now.get(at) != after.get(at) {
                assert_eq!(last.get(at), Some(&true), "{at:?} was written last by another");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_store_that_goes_back_to_a_moment_has_every_tracked_row_as_it_was_then(
        steps in vec(vec(act(), 1..5), 1..10), pick in any::<proptest::sample::Index>()
    ) {
        let toys = Toys::open();
        let mut moments = vec![(toys.clock.now(), tracked(&toys))];
        for acts in steps {
            toys.clock.advance_ms(10);
            commit(&toys, acts);
            moments.push((toys.clock.now(), tracked(&toys)));
        }
        let (at, then) = &moments[pick.index(moments.len())];
        let back = go_back(&toys.store, *at, (ACTOR, Cause::Undo(0))).expect("it goes back");
        assert!(back.left.is_empty(), "{back:?}");
        assert_eq!(tracked(&toys), *then);
        check::all_fits(&toys.store);
    }
}

#[test]
fn a_store_goes_back_over_more_changes_than_one_transaction_takes() {
    let toys = Toys::open();
    let fill = |owner: &'static str, range: std::ops::Range<u64>| {
        toys.clock.advance_ms(10);
        toys.write(move |tx| range.into_iter().try_for_each(|n| tx.put(&named(n, owner)))).unwrap();
    };
    fill("first", 0..2_000);
    fill("second", 1_000..3_000);
    let (at, then) = (toys.clock.now(), tracked(&toys));
    for owner in ["third", "fourth", "fifth"] {
        fill(owner, 500..4_500);
    }
    let back = go_back(&toys.store, at, (ACTOR, Cause::Undo(0))).expect("it goes back");
    assert_eq!((back.to, back.entries), (2, 3));
    assert!(back.left.is_empty(), "{back:?}");
    assert_eq!(tracked(&toys), then);
}

#[test]
fn a_note_that_is_undone_twice_by_two_people_goes_back_once() {
    let toys = Toys::open();
    let made: TaskId = note(1);
    toys.put(Note::new(made, "ada")).unwrap();
    undo_all(&toys, &[1]);
    let again = undo_all(&toys, &[1]);
    assert!(again.rows.is_empty());
    assert!(matches!(again.kept[0].why, Why::Deleted(_)));
}
