//! Search results, durability and crash recovery.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use tempfile::TempDir;

use super::{Arena, ArenaError, Counts, Entry, Found, Id, record};
use crate::lanes;
use crate::model::Hash;

const MODEL: &str = "tiny@1";

struct Place {
    folder: TempDir,
    dimensions: usize,
}

impl Place {
    fn new(dimensions: usize) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), dimensions }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("vectors")
    }

    fn open(&self) -> Arena {
        Arena::open(&self.path(), MODEL, self.dimensions).expect("an arena")
    }
}

fn id(number: usize) -> Id {
    let mut id = [0; 20];
    id[12..].copy_from_slice(&(number as u64).to_be_bytes());
    id
}

fn hash(number: usize) -> Hash {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    hash
}

fn put(arena: &Arena, number: usize, vector: &[f32]) {
    arena.append(&[Entry { id: id(number), hash: hash(number), vector }]).expect("written");
}

/// Deterministic pseudo-random numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f32 {
        // SplitMix64 (Steele, Lea and Flood 2014); the sum of four values is approximately normal.
        let mut one = || {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        one() + one() + one() + one()
    }

    fn unit(&mut self, dimensions: usize) -> Vec<f32> {
        let mut vector: Vec<f32> = (0..dimensions).map(|_| self.roll()).collect();
        let length = lanes::dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|number| *number /= length);
        vector
    }
}

/// The nearest vectors by full comparison.
fn nearest(query: &[f32], all: &[(Id, Vec<f32>)], most: usize) -> Vec<Found> {
    let mut found: Vec<Found> = all
        .iter()
        .map(|(id, vector)| Found { id: *id, score: lanes::dot(query, vector) })
        .collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    found.truncate(most);
    found
}

#[test]
fn the_nearest_of_ten_thousand_are_found() {
    const DIMENSIONS: usize = 384;
    let place = Place::new(DIMENSIONS);
    let arena = place.open();
    let mut dice = Dice(1);
    let all: Vec<(Id, Vec<f32>)> =
        (0..10_000).map(|number| (id(number), dice.unit(DIMENSIONS))).collect();
    for some in all.chunks(997) {
        let entries: Vec<Entry<'_>> =
            some.iter().map(|(id, vector)| Entry { id: *id, hash: hash(0), vector }).collect();
        arena.append(&entries).expect("written");
    }
    let (mut hits, mut all_hits) = (0, 0);
    for turn in 0..20 {
        let query = dice.unit(DIMENSIONS);
        // Every second search is limited to a tenth.
        let allowed = |id: &Id| turn % 2 == 0 || id[19].is_multiple_of(10);
        let some: Vec<_> = all.iter().filter(|(id, _)| allowed(id)).cloned().collect();
        let wanted = nearest(&query, &some, 10);
        let found = arena.search(&query, 10, allowed).expect("found");
        assert_eq!(found.len(), 10);
        hits += wanted.iter().filter(|one| found.contains(one)).count();
        all_hits += wanted.len();
    }
    assert!(0.99 <= hits as f64 / all_hits as f64, "{hits} of {all_hits}");
}

#[test]
fn the_same_text_is_not_embedded_twice() {
    let place = Place::new(3);
    let arena = place.open();
    for number in [1, 2] {
        let vector = &[1.0, 2.0, number as f32];
        arena.append(&[Entry { id: id(number), hash: hash(9), vector }]).expect("written");
    }
    assert!(arena.by_hash(&hash(9)).expect("read").is_some());
    assert_eq!(arena.delete(&[id(2), id(2), id(3)]).expect("deleted"), 1);
    assert_eq!(arena.by_hash(&hash(9)).expect("read"), Some(vec![1.0, 2.0, 1.0]));
    assert_eq!(arena.hash(&id(1)), Some(hash(9)));
    assert_eq!(arena.delete(&[id(1)]).expect("deleted"), 1);
    assert_eq!(arena.by_hash(&hash(9)).expect("read"), None);
    assert_eq!(arena.counts(), Counts { live: 0, dead: 2, lost: 0 });
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_of_it_is_written() {
    let place = Place::new(2);
    let arena = place.open();
    let good = Entry { id: id(1), hash: hash(1), vector: &[1.0, 0.0] };
    for vector in [[1.0, f32::NAN].as_slice(), &[1.0], &[]] {
        assert!(arena.append(&[good, Entry { vector, ..good }]).is_err());
        assert!(arena.search(vector, 1, |_| true).is_err());
    }
    assert_eq!(arena.counts().live, 0);
    drop(arena);
    for (model, dimensions) in [("other@1", 2), (MODEL, 3)] {
        let refused = Arena::open(&place.path(), model, dimensions).err();
        assert!(matches!(refused, Some(ArenaError::OtherModel { .. })), "{refused:?}");
    }
    fs::write(place.path(), [b'x'; 100]).expect("written");
    let refused = Arena::open(&place.path(), MODEL, 2).err();
    assert!(matches!(refused, Some(ArenaError::Foreign { .. })), "{refused:?}");
}

#[test]
fn searches_without_anything_to_find_find_nothing() {
    let place = Place::new(2);
    let arena = place.open();
    assert_eq!(arena.search(&[1.0, 0.0], usize::MAX, |_| true).expect("found"), []);
    put(&arena, 1, &[0.0, 0.0]);
    assert_eq!(arena.search(&[0.0, 0.0], usize::MAX, |_| true).expect("found").len(), 1);
    assert_eq!(arena.search(&[1.0, 0.0], 0, |_| true).expect("found"), []);
    assert_eq!(arena.search(&[1.0, 0.0], 5, |_| false).expect("found"), []);
}

/// Four records: the second deleted, the third replaced by the fourth.
fn sample(place: &Place) -> Vec<u8> {
    let arena = place.open();
    for number in [1, 2, 3] {
        put(&arena, number, &[number as f32, 1.0]);
    }
    arena.delete(&[id(2)]).expect("deleted");
    put(&arena, 3, &[33.0, 1.0]);
    drop(arena);
    fs::read(place.path()).expect("a file")
}

#[test]
fn a_torn_end_is_cut_wherever_it_is_torn() {
    let place = Place::new(2);
    let whole = sample(&place);
    let size = record::size(2);
    for end in 0..whole.len() {
        for filler in [None, Some(0), Some(0xff)] {
            let mut torn = whole[..end].to_vec();
            if let Some(filler) = filler.filter(|_| record::HEAD <= end) {
                // The new length reached the disk, the bytes did not.
                torn.resize(whole.len() + 1, filler);
            }
            fs::write(place.path(), &torn).expect("written");
            let arena = place.open();
            // Complete records are restored, the deleted one is not.
            let records = end.saturating_sub(record::HEAD) / size;
            assert!(arena.get(&id(2)).expect("read").is_none(), "{end}");
            assert_eq!(arena.get(&id(1)).expect("read").is_some(), 1 <= records, "{end}");
            put(&arena, 4, &[4.0, 1.0]);
            let counts = arena.counts();
            drop(arena);
            let arena = place.open();
            assert_eq!(arena.get(&id(4)).expect("read"), Some(vec![4.0, 1.0]), "{end}");
            assert_eq!(arena.counts(), Counts { lost: 0, ..counts }, "{end}");
            let length = fs::metadata(place.path()).expect("a file").len() as usize;
            assert_eq!((length - record::HEAD) % size, 0, "{end}");
        }
    }
}

#[test]
fn a_bad_byte_takes_no_other_record_with_it() {
    let place = Place::new(2);
    let whole = sample(&place);
    let size = record::size(2);
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x40;
        fs::write(place.path(), &bad).expect("written");
        let Some(hit) = at.checked_sub(record::HEAD).map(|at| at / size) else {
            // The last bytes of the header are unused but must be zero.
            assert!(Arena::open(&place.path(), MODEL, 2).is_err(), "{at}");
            continue;
        };
        let arena = place.open();
        assert_eq!(arena.counts().lost, 1, "{at}");
        let found = |number| arena.get(&id(number)).expect("read");
        assert_eq!(found(1), (hit != 0).then(|| vec![1.0, 1.0]), "{at}");
        assert_eq!(found(2), None, "{at}");
        assert_eq!(found(3), (hit != 3).then(|| vec![33.0, 1.0]), "{at}");
    }
}

#[test]
fn an_end_that_comes_before_the_marks_brings_no_old_vector_back() {
    let place = Place::new(2);
    let mut bytes = sample(&place);
    let size = record::size(2);
    // The dead mark of the third record did not reach the disk; that of the fourth, deleted later, did.
    bytes[record::HEAD + 2 * size] = record::LIVE;
    bytes[record::HEAD + 3 * size] = record::DEAD;
    fs::write(place.path(), &bytes).expect("written");
    let arena = place.open();
    assert_eq!(arena.get(&id(3)).expect("read"), None);
    assert_eq!(fs::read(place.path()).expect("a file")[record::HEAD + 2 * size], record::DEAD);
}

#[test]
fn searches_go_on_while_vectors_come_and_go() {
    let place = Place::new(8);
    let arena = place.open();
    put(&arena, 0, &[1.0; 8]);
    let mut dice = Dice(2);
    let vectors: Vec<Vec<f32>> = (0..400).map(|_| dice.unit(8)).collect();
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            for (number, vector) in vectors.iter().enumerate() {
                put(&arena, number + 1, vector);
                if number % 3 == 0 {
                    arena.delete(&[id(number)]).expect("deleted");
                    put(&arena, 0, &[1.0; 8]);
                }
                if number % 50 == 0 {
                    arena.compact().expect("compacted");
                }
            }
        });
        while !done.is_finished() {
            let found = arena.search(&[1.0; 8], 3, |other| *other == id(0)).expect("found");
            assert!(found.iter().all(|found| found.score == 8.0));
        }
    });
    let before = arena.counts();
    arena.compact().expect("compacted");
    assert_eq!(arena.counts(), Counts { dead: 0, ..before });
    drop(arena);
    assert_eq!(place.open().counts(), Counts { dead: 0, ..before });
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(usize, i8)>),
    Delete(Vec<usize>),
    Compact,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = 0..12_usize;
    vec(
        prop_oneof![
            4 => vec((number.clone(), any::<i8>()), 1..6).prop_map(Step::Append),
            2 => vec(number, 1..5).prop_map(Step::Delete),
            1 => Just(Step::Compact),
            1 => Just(Step::Reopen),
        ],
        1..25,
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn an_arena_is_a_map_and_what_is_deleted_stays_so(steps in steps()) {
        let place = Place::new(2);
        let mut arena = place.open();
        let mut map: BTreeMap<Id, Vec<f32>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Append(entries) => {
                    let entries: Vec<_> = entries
                        .into_iter()
                        .map(|(number, value)| (number, vec![f32::from(value), 1.0]))
                        .collect();
                    let borrowed: Vec<Entry<'_>> = entries
                        .iter()
                        .map(|(number, vector)| Entry { id: id(*number), hash: hash(*number), vector })
                        .collect();
                    arena.append(&borrowed).expect("written");
                    map.extend(entries.into_iter().map(|(number, vector)| (id(number), vector)));
                }
                Step::Delete(numbers) => {
                    let ids: Vec<Id> = numbers.into_iter().map(id).collect();
                    let before = map.len();
                    ids.iter().for_each(|id| drop(map.remove(id)));
                    prop_assert_eq!(arena.delete(&ids).expect("deleted"), before - map.len());
                }
                Step::Compact => arena.compact().expect("compacted"),
                Step::Reopen => {
                    drop(arena);
                    arena = place.open();
                }
            }
            prop_assert_eq!(arena.counts().live, map.len());
        }
        let mut ids = arena.ids();
        ids.sort();
        prop_assert!(ids.iter().eq(map.keys()));
        for (id, vector) in &map {
            let stored = arena.get(id).expect("read");
            prop_assert_eq!(stored.as_ref(), Some(vector));
        }
        let query = [0.6, 0.8];
        let all: Vec<_> = map.into_iter().collect();
        prop_assert_eq!(arena.search(&query, 50, |_| true).expect("found"), nearest(&query, &all, 50));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..400), behind_a_head in any::<bool>()) {
        let place = Place::new(2);
        let mut file = if behind_a_head { record::head(MODEL, 2).to_vec() } else { Vec::new() };
        file.extend(bytes);
        fs::write(place.path(), file).expect("written");
        if let Ok(arena) = Arena::open(&place.path(), MODEL, 2) {
            prop_assert_eq!(arena.counts().live, 0);
        }
    }
}
