//! Property tests: random acts of two authors, undo, and undo of the undo.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use serde_json::Value;
use store::{Range, Read as _, Record, Root, StoreError, codec};

use super::super::toys::{Folder, Note, Toys, folder, note};
use super::{named, undo_all};

#[derive(Clone, Debug)]
pub enum Act {
    Put(Note),
    Folder(u64, Option<u64>),
    Delete(u64),
    DeleteFolder(u64),
}

pub fn act() -> impl Strategy<Value = Act> {
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
            // Never its own ancestor, so that the previous state can be restored.
            Act::Folder(n, inside.filter(|inside| *inside < n))
        }),
        3 => (0..6u64).prop_map(Act::Delete),
        1 => (0..3u64).prop_map(Act::DeleteFolder),
    ]
}

/// Runs one transaction of acts that the store may refuse one by one. Returns whether it got an entry.
pub fn commit(toys: &Toys, acts: Vec<Act>) -> bool {
    let before = toys.seq();
    toys.write(move |tx| {
        for act in acts {
            // ok: a refused act has no effect.
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

/// All tracked rows, without their revs.
pub fn tracked(toys: &Toys) -> BTreeMap<Root, Vec<u8>> {
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

pub fn fields(toys: &Toys) -> BTreeMap<(Root, String), Value> {
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
        // Also checks that there is no dangling reference or duplicate unique key, and that indexes and sums match a
        // rebuild.
        undo_all(&toys, &entries);
        let after = fields(&toys);
        for at in now.keys().chain(after.keys()) {
            if now.get(at) != after.get(at) {
                assert_eq!(last.get(at), Some(&true), "{at:?} was written last by another");
            }
        }
    }
}
