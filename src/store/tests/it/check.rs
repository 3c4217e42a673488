//! Consistency check over all bytes of a store: index rows, references and sums against a rebuild, the chain of heads,
//! rows and images against the hashes in the heads. Uses the declarations of records, but no code of the write path.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use store::blob::refs::row_key;
use store::schema::Kind;
use store::{Change, Class, Entry, Op, Range, Read, Schema, Store, StoreError, codec};

const FEED: u16 = 1;
const REFERENCES: u16 = 2;
const TOMBSTONES: u16 = 5;
const META: u16 = 6;
const REDACTED: u16 = 7;
const BLOBS: u16 = 10;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
type Tables = BTreeMap<u16, Rows>;

/// Panics with the first inconsistency.
pub fn all_fits(store: &Store) {
    let tables = read_all(store);
    let entries = store.entries_after(0, usize::MAX).expect("the feed can be read");
    let on_disk = store.read(|snap| store::feed::entries(snap, store.schema(), 0, usize::MAX));
    let on_disk = on_disk.expect("the feed can be read");
    let heads: Vec<_> = entries.iter().map(|entry| (entry.seq, entry.hash)).collect();
    let disk_heads: Vec<_> = on_disk.iter().map(|entry| (entry.seq, entry.hash)).collect();
    assert_eq!(heads, disk_heads, "what is in memory is what is on disk");
    rebuilt(&tables, store.schema(), &on_disk);
    chained(&tables[&FEED], store.head().seq);
    accounted_for(&tables, store.schema(), &on_disk);
}

/// Reads every row of every table.
fn read_all(store: &Store) -> Tables {
    let numbers: Vec<u16> = store.schema().tables().iter().map(|table| table.number).collect();
    let read = store.read(|snap| {
        let mut tables = Tables::new();
        for number in numbers {
            let rows = tables.entry(number).or_default();
            snap.raw_scan(number, &Range::all(), &mut |key, value| {
                rows.insert(key.to_vec(), value.to_vec());
                std::ops::ControlFlow::Continue(())
            })?;
        }
        Ok::<_, StoreError>(tables)
    });
    read.expect("all tables can be read")
}

/// Checks that derived rows match the declarations of the records.
fn rebuilt(tables: &Tables, schema: &Schema, entries: &[Entry]) {
    let mut wanted = Tables::new();
    let mut sums: BTreeMap<(u16, Vec<u8>), i64> = BTreeMap::new();
    for info in schema.tables() {
        let Some(ops) = &info.ops else { continue };
        for (key, row) in &tables[&info.number] {
            let derived = (ops.derive)(row).expect("a row can be read");
            for (index, index_key, value) in derived.index {
                let rows = wanted.entry(index.number).or_default();
                let before = rows.insert(index_key, value.clone());
                assert!(
                    before.is_none_or(|b| b == value),
                    "two rows with one key in {}",
                    index.name
                );
            }
            for reference in derived.refs {
                let target = &reference.target;
                assert!(
                    tables[&target.table].contains_key(&target.key),
                    "a {} refers to nothing",
                    info.name
                );
                let rows = wanted.entry(REFERENCES).or_default();
                rows.insert(reference.row_key(info.number, key), Vec::new());
            }
            for blob in derived.blobs {
                let rows = wanted.entry(BLOBS).or_default();
                rows.insert(row_key(blob, info.number, key), Vec::new());
            }
            for (count, count_key, n) in derived.counts {
                *sums.entry((count.number, count_key)).or_default() += n;
            }
        }
    }
    // Before-images hold blobs, too.
    for entry in entries {
        for (n, change) in (1u16..).zip(&entry.changes) {
            let own = key(entry.seq, n);
            let ops = schema.table(change.table).and_then(|info| info.ops.as_ref());
            let (Some(ops), Some(image)) = (ops, tables[&FEED].get(&own)) else { continue };
            for blob in (ops.derive)(image).expect("an image can be read").blobs {
                let rows = wanted.entry(BLOBS).or_default();
                rows.insert(row_key(blob, FEED, &own), Vec::new());
            }
        }
    }
    for ((table, key), sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
        wanted.entry(table).or_default().insert(key, sum.to_be_bytes().to_vec());
    }
    for info in schema.tables() {
        if matches!(info.kind, Kind::Index | Kind::Count)
            || [REFERENCES, BLOBS].contains(&info.number)
        {
            let wanted = wanted.remove(&info.number).unwrap_or_default();
            let mut there = tables[&info.number].clone();
            if info.number == BLOBS {
                // Keys of images dropped by retention stay until a sweep.
                there.retain(|key, _| {
                    key[32..34] != FEED.to_be_bytes() || tables[&FEED].contains_key(&key[34..])
                });
            }
            assert_eq!(there, wanted, "{} is not what a rebuild makes", info.name);
        }
    }
}

/// Checks that numbers have no gaps, and that each hash covers the head and the previous hash.
fn chained(feed: &Rows, last: u64) {
    let mut expected = 1u64;
    let mut previous = [0; 32];
    for (key, value) in feed {
        let (seq, part) = split(key);
        if part != 0 {
            assert_eq!(seq + 1, expected, "an image stands behind its head");
            continue;
        }
        assert_eq!(seq, expected, "no number is left out");
        let (body, own) = value.split_last_chunk::<32>().expect("a head ends with its hash");
        assert!(body.ends_with(&previous), "a head holds the hash before it");
        let mut hash = Sha256::new();
        hash.update(b"hq.head.1");
        hash.update(previous);
        hash.update(body);
        previous = hash.finalize().into();
        assert_eq!(*own, previous, "the hash of entry {seq}");
        expected += 1;
    }
    assert_eq!(expected - 1, last, "the head is the last entry");
}

/// Replays every change: operations must match the previous state, images must match the hashes of the changes that
/// wrote them, and the final rows must be the last ones written.
fn accounted_for(tables: &Tables, schema: &Schema, entries: &[Entry]) {
    let mut live: BTreeMap<(u16, Vec<u8>), (u64, [u8; 32])> = BTreeMap::new();
    let mut gone: Rows = Rows::new();
    for entry in entries {
        for (n, change) in entry.changes.iter().enumerate() {
            let info = schema.table(change.table).expect("a table of the schema");
            let class = info.class().expect("a record");
            assert!(class.in_feed(), "{} does not belong in the feed", info.name);
            let at = (change.table, change.key.clone());
            let mark = [&change.table.to_be_bytes()[..], &change.key].concat();
            let before = live.remove(&at);
            let part = u16::try_from(n + 1).expect("few changes");
            let image = tables[&FEED].get(&key(entry.seq, part));
            let may_be_gone = may_be_gone(tables, entry.seq, &mark);
            match (change.op, before) {
                (Op::Insert, None) => {
                    let deleted = gone.remove(&mark).map(|seq| number(&seq));
                    assert_eq!(change.before_rev, deleted.unwrap_or(0), "an insert names a delete");
                    assert_eq!(image, None, "what is new has no image");
                }
                (Op::Update | Op::Delete, Some((rev, hash))) => {
                    assert_eq!(change.before_rev, rev, "the rev before");
                    let wanted = class == Class::Tracked;
                    let right = image.is_some() == wanted || (wanted && may_be_gone);
                    assert!(right, "{} of entry {}: only tracked rows", info.name, entry.seq);
                    if let Some(image) = image {
                        assert_eq!(row_hash(change, image), hash, "an image is what was there");
                        assert_eq!(codec::unwrap(image).expect("a header").1, rev);
                    }
                }
                (op, before) => panic!("{op:?} of a row that was {before:?}"),
            }
            if change.op == Op::Delete {
                assert_eq!(change.hash, [0; 32]);
                if class == Class::Tracked {
                    gone.insert(mark, entry.seq.to_be_bytes().to_vec());
                }
            } else {
                live.insert(at, (entry.seq, change.hash));
            }
        }
    }
    assert_eq!(tables[&TOMBSTONES], gone, "a mark for each deleted record");
    for info in schema.tables() {
        let Some(class) = info.class() else { continue };
        for (key, row) in &tables[&info.number] {
            let rev = codec::unwrap(row).expect("a header").1;
            if !class.in_feed() {
                assert_eq!(rev, 0, "rows of {} have no rev", info.name);
                continue;
            }
            let (seq, hash) = live.remove(&(info.number, key.clone())).expect("an entry made it");
            assert_eq!(rev, seq, "the rev of a {}", info.name);
            let change = Change {
                table: info.number,
                key: key.clone(),
                op: Op::Insert,
                before_rev: 0,
                hash,
            };
            assert_eq!(row_hash(&change, row), hash, "the hash of a {}", info.name);
        }
    }
    assert!(live.is_empty(), "rows that no delete took away: {live:?}");
}

/// Whether the image of a record in an entry may have been removed.
fn may_be_gone(tables: &Tables, seq: u64, record: &[u8]) -> bool {
    let until = |row: Option<&Vec<u8>>| -> u64 {
        // A running redaction has two numbers.
        let first = |row: &Vec<u8>| codec::decode::<(u64, u64)>(row).map(|(until, _)| until);
        row.map_or(0, |row| codec::decode(row).or_else(|_| first(row)).expect("an entry's number"))
    };
    let floor = until(tables[&META].get(b"images_from".as_slice()));
    seq <= floor.max(until(tables[&REDACTED].get(record)))
}

fn row_hash(change: &Change, row: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(change.table.to_be_bytes());
    hash.update(u32::try_from(change.key.len()).expect("a short key").to_be_bytes());
    hash.update(&change.key);
    hash.update(row);
    hash.finalize().into()
}

fn split(key: &[u8]) -> (u64, u16) {
    let (seq, part) = key.split_first_chunk::<8>().expect("a number");
    (u64::from_be_bytes(*seq), u16::from_be_bytes(part.try_into().expect("a part")))
}

fn key(seq: u64, part: u16) -> Vec<u8> {
    [&seq.to_be_bytes()[..], &part.to_be_bytes()].concat()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("eight bytes"))
}
