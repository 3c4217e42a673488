//! Tests of searching the feed: by one record, by several records, by anything in a head, in bounded pieces.

use std::collections::BTreeMap;
use std::time::Duration;

use store::{Entry, Root};

use super::super::toys::{Note, Toys, note};
use super::{Bytes as _, lived_in, run_search, seqs};

#[test]
fn the_entries_of_a_record_are_found_through_deletes_and_returns() {
    let toys = lived_in();
    let key = note(2).uuid_bytes();
    let record = [Root { table: 100, key: key.clone() }];
    let mut by_hand: BTreeMap<u64, ()> = BTreeMap::new();
    for entry in toys.store.entries_after(0, 1_000).expect("the feed") {
        if entry.changes.iter().any(|change| change.table == 100 && change.key == key) {
            by_hand.insert(entry.seq, ());
        }
    }
    let wanted: Vec<u64> = by_hand.into_keys().rev().collect();
    assert_eq!(wanted.len(), 4);
    let found = run_search(&toys, |s| s.records = &record);
    assert_eq!((seqs(&found), found.next), (wanted.clone(), None));
    assert_eq!(found.looked, 4, "only its own entries are read");
    let first = run_search(&toys, |s| {
        s.records = &record;
        s.limit = 3;
    });
    assert_eq!(seqs(&first), wanted[..3]);
    let rest = run_search(&toys, |s| {
        s.records = &record;
        s.before = first.next;
    });
    assert_eq!(seqs(&rest), wanted[3..]);
    // A record whose only trace is in heads is found by a scan.
    let job = [Root { table: 140, key: JOB.to_vec() }];
    let job = run_search(&toys, |s| s.records = &job);
    assert_eq!(job.entries.len(), 3, "made, changed, removed");
}

#[test]
fn the_entries_of_several_records_are_found_together_newest_first() {
    let toys = lived_in();
    let records = [1, 2, 3].map(|n| Root { table: 100, key: note(n).uuid_bytes() });
    let is_meant = |entry: &Entry| {
        let named = |record: &Root| entry.changes.iter().any(|c| record.is(c.table, &c.key));
        records.iter().any(named)
    };
    let feed = toys.store.entries_after(0, 1_000).expect("the feed");
    let wanted: Vec<u64> = feed.iter().rev().filter(|e| is_meant(e)).map(|e| e.seq).collect();
    let one = run_search(&toys, |s| s.records = &records[..1]);
    assert!(one.entries.len() < wanted.len(), "they have entries of their own");
    let all = run_search(&toys, |s| s.records = &records);
    assert_eq!((seqs(&all), all.next), (wanted.clone(), None));
    let (mut found, mut next) = (Vec::new(), None);
    loop {
        let page = run_search(&toys, |s| (s.records, s.limit, s.before) = (&records, 2, next));
        found.extend(seqs(&page));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(found, wanted);
}

#[test]
fn a_record_of_many_versions_is_read_in_bounded_pages_that_join() {
    let toys = Toys::open();
    for n in 1..=2_500 {
        toys.clock.advance_ms(10);
        toys.put(Note::new(note(1), &format!("{n}"))).expect("a version");
    }
    let record = [Root { table: 100, key: note(1).uuid_bytes() }];
    let until = Some(1_700_000_000_000 + 20_000);
    let (mut found, mut next, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = run_search(&toys, |s| {
            s.records = &record;
            (s.until, s.limit, s.within, s.before) = (until, 900, Duration::ZERO, next);
        });
        assert!(page.looked <= 1_000, "{}", page.looked);
        found.extend(seqs(&page));
        (next, pages) = (page.next, pages + 1);
        if next.is_none() {
            break;
        }
    }
    assert_eq!(found, (1..=2_000).rev().collect::<Vec<_>>());
    assert!((3..=6).contains(&pages), "{pages}");
}

static JOB: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];

#[test]
fn a_search_looks_backwards_in_bounded_pieces_and_says_how_far_it_came() {
    let toys = Toys::open();
    for n in 1..=2_500 {
        toys.clock.advance_ms(10);
        toys.put(Note::new(note(n), "m")).expect("a note");
    }
    let hit: &dyn Fn(&Entry) -> bool = &|entry| entry.seq == 3;
    let first = run_search(&toys, |s| {
        s.wanted = hit;
        s.within = Duration::ZERO;
    });
    assert!(first.entries.is_empty());
    assert_eq!((first.looked, first.next), (1_000, Some(1_501)));
    assert_eq!(first.reached.expect("it looked").0, 1_501);
    let mut next = first.next;
    let mut found = Vec::new();
    while let Some(before) = next {
        let more = run_search(&toys, |s| {
            s.wanted = hit;
            s.within = Duration::ZERO;
            s.before = Some(before);
        });
        found.extend(seqs(&more));
        next = more.next;
    }
    assert_eq!(found, [3]);
    let begin = 1_700_000_000_000;
    let within = run_search(&toys, |s| {
        s.since = Some(begin + 101);
        s.until = Some(begin + 150);
    });
    assert_eq!(seqs(&within), [15, 14, 13, 12, 11], "the times lie between the two");
    assert_eq!(within.looked, 5, "what is younger is not looked at");
    assert_eq!(within.next, None);
}
