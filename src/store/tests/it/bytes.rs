//! Golden tests of stored bytes: what is on users' disks today must stay readable.

use std::collections::BTreeSet;

use kernel::{Actor, Cause, Event, Part, TypedId, Via};
use store::{Range, Read, StoreError, codec};

use super::toys::{Folder, Note, Toys, folder, id, note, says};

/// All rows of a table in hexadecimal.
fn rows(toys: &Toys, table: u16) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let read = toys.store.read(|snap| {
        snap.raw_scan(table, &Range::all(), &mut |key, value| {
            rows.push((hex::encode(key), hex::encode(value)));
            std::ops::ControlFlow::Continue(())
        })
    });
    read.map_err(|error: StoreError| error.to_string()).expect("a read");
    rows
}

/// A row from the parts of key and value.
fn row(key: &[&str], value: &[&str]) -> (String, String) {
    (key.concat(), value.concat())
}

const ONE: &str = "00000000000000000000000000000001";
const TWO: &str = "00000000000000000000000000000002";
const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn plan() -> Note {
    let slug = Some("a\0b".to_owned());
    Note { folder: Some(folder(1)), slug, ..Note::new(note(2), "m") }
}

#[test]
fn a_row_is_version_rev_body() {
    let row = codec::encode_row(2, 0x0102_0304_0506_0708, &(1u8, "ab", -1i64, None::<u8>));
    assert_eq!(
        hex::encode(row.expect("a row")),
        ["02", "0102030405060708", "010261620100"].concat()
    );
    assert_eq!(codec::HEADER, 9);
    let (version, rev, body) = codec::unwrap(&[2, 0, 0, 0, 0, 0, 0, 0, 5, 9]).expect("a row");
    assert_eq!((version, rev, body), (2, 5, &[9u8][..]));
    assert!(codec::unwrap(&[2, 0, 0]).is_err());
    assert!(codec::decode::<u8>(&[1, 2]).is_err(), "nothing may be left over");
}

#[test]
fn what_stands_beside_a_record_has_these_bytes() {
    let toys = Toys::open();
    toys.put(Folder { id: folder(1), inside: None }).expect("a folder");
    toys.put(plan()).expect("a note");
    let record = ["02", "0000000000000002", "10", TWO, "016d", "0103610062", "00", "0110", ONE];
    assert_eq!(rows(&toys, 100), [row(&[TWO], &[&record.concat(), "00", "00", "02"])]);
    let reference = ["006e", ONE, "0064", "01", TWO];
    assert_eq!(rows(&toys, 2), [row(&reference, &[])], "target first, then source, field, source");
    let by_owner = ["6d0000", "8000000000000001", TWO];
    assert_eq!(rows(&toys, 101), [row(&by_owner, &[TWO])], "text, a signed number, the id");
    assert_eq!(rows(&toys, 102), [row(&["6100ff620000"], &[TWO])], "a unique key has no id");
    assert_eq!(rows(&toys, 104), [row(&[ONE], &["0000000000000001"])]);
    assert_eq!(rows(&toys, 105), [row(&["6d0000"], &["0000000000000001"])]);
}

#[test]
fn the_feed_has_these_bytes() {
    let toys = Toys::open();
    let made = toys.write(|tx| {
        tx.put(&Folder { id: folder(1), inside: None })?;
        tx.put(&plan())?;
        tx.emit(says("hi"));
        Ok(())
    });
    made.expect("records");
    toys.put(Note { size: -1, ..Note::new(note(2), "m") }).expect("a change");
    toys.write(|tx| tx.delete::<Note>(note(2))).expect("a delete");

    // Own hashes of the heads.
    let first = "7bd47fa78530eaf8858a7c1307caf6137b50a786e0ee66ba60d9d0c9dc11616e";
    let second = "8fd51515a8001c7978a9f5cc407c0ae96a1fe012bb728b247017d5ff9e602dda";
    let third = "c379b09d1101a2bbaf369cb963ffdaf666d5eb4923e7585be2244f11c08a2e3c";
    let when_who_why = ["80a0abfef962", "0400", "09"].concat();
    // Table, key, operation, previous rev, hash of the new row.
    let made = "49f226d0c23fa652bae7d9829e0f46bb3192f7fa51bf57ef59dea1f3051d903f";
    let made = ["64", "10", TWO, "00", "00", made].concat();
    let beside = "a48b899f68aa8a01da939c4ef50f7034379d9de5dba2c334e5143a45a8ebd01d";
    let beside = ["6e", "10", ONE, "00", "00", beside].concat();
    let changed = "a8c643f75331a17e0bf24856d40dc47b76e46917e1c0d534bb38a08732f77a7d";
    let changed = ["64", "10", TWO, "01", "01", changed].concat();
    let deleted = ["64", "10", TWO, "02", "02", NONE].concat();
    // Kind, version, length, event.
    let event = ["0a", "01", "27", "0a", "10", ONE, "10", TWO, "00", "026869"].concat();
    let image = ["02", "0000000000000001", "10", TWO, "016d", "0103610062", "00", "0110", ONE];
    let image = [&image.concat(), "00", "00", "02"].concat();
    let last = ["02", "0000000000000002", "10", TWO, "016d", "00", "00", "00", "00", "00", "01"];
    let wanted = [
        row(
            &["0000000000000001", "0000"],
            &[&when_who_why, "02", &made, &beside, "01", &event, NONE, first],
        ),
        row(&["0000000000000002", "0000"], &[&when_who_why, "01", &changed, "00", first, second]),
        row(&["0000000000000002", "0001"], &[&image]),
        row(&["0000000000000003", "0000"], &[&when_who_why, "01", &deleted, "00", second, third]),
        row(&["0000000000000003", "0001"], &[&last.concat()]),
    ];
    assert_eq!(rows(&toys, 1), wanted);
    assert_eq!(rows(&toys, 5), [row(&["0064", TWO], &["0000000000000003"])], "a tombstone");
}

#[test]
fn the_stores_own_rows_have_these_bytes() {
    let toys = Toys::open();
    let once = toys.write(|tx| tx.once("scope", "key", [7; 32], |_| Ok::<_, StoreError>(300u32)));
    once.expect("an answer");
    let key = [&hex::encode("scope"), "0000", &hex::encode("key"), "0000"].concat();
    // Time, digest, response.
    let answer = ["0000018bcfe56800", &"07".repeat(32), "ac02"];
    assert_eq!(rows(&toys, 4), [row(&[&key], &answer)]);
    let meta = rows(&toys, 6);
    let (names, values): (Vec<_>, Vec<_>) =
        meta.iter().map(|(k, v)| (hex::decode(k).expect("hex"), v.as_str())).unzip();
    assert_eq!(names, [&b"format"[..], b"incarnation", b"wire"]);
    assert_eq!((values[0], values[2]), ("08", "01"));
}

/// The first byte of each value: its position in the list.
fn places<T: serde::Serialize>(values: &[T]) -> Vec<u8> {
    values.iter().map(|value| codec::encode(value).expect("bytes")[0]).collect()
}

#[test]
fn who_and_why_keep_their_places() {
    let actors = [
        Actor::Person { account: id(1), via: Via::SignIn(id(1)) },
        Actor::Agent { agent: id(1), run: id(1) },
        Actor::Plugin(id(1)),
        Actor::Gateway(id(1)),
        Actor::System(Part::Cli),
    ];
    assert_eq!(places(&actors), [0, 1, 2, 3, 4]);
    let ways = [Via::SignIn(id(1)), Via::Token(id(1)), Via::Channel(id(1)), Via::Socket { uid: 0 }];
    assert_eq!(places(&ways), [0, 1, 2, 3]);
    let parts = [
        Part::Cli,
        Part::Setup,
        Part::Timer,
        Part::Consumer,
        Part::Migration,
        Part::Retention,
        Part::Restore,
        Part::Engine,
    ];
    assert_eq!(places(&parts), [0, 1, 2, 3, 4, 5, 6, 7]);
    let causes = [
        Cause::Request([0; 16]),
        Cause::Step(id(1), 0),
        Cause::Routine(id(1), 0),
        Cause::Consumer(0),
        Cause::Undo(0),
        Cause::Import(id(1)),
        Cause::Job(id(1)),
        Cause::Retention,
        Cause::Migration(0),
        Cause::Setup,
        Cause::Timer,
    ];
    assert_eq!(places(&causes), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn an_event_is_numbered_by_its_place_and_named_once() {
    let mut names = BTreeSet::new();
    for kind in 0..=127u8 {
        let Some(event) = some_event(kind) else { break };
        assert_eq!(event.kind(), u16::from(kind), "{event:?}");
        assert!(names.insert(event.name()), "two events are named {}", event.name());
    }
    assert!(names.len() >= 23, "only {} events were found", names.len());
    assert_eq!(places(&[says("hi")]), [10]);
    assert_eq!(id::<kernel::TaskId>(1).uuid().as_u128(), 1);
}

/// An event of this kind, found by trying fields that are ids or zeros.
fn some_event(kind: u8) -> Option<Event> {
    let id = [&[16][..], &[0; 16]].concat();
    (0..9).flat_map(|fields| (0..1u32 << fields).map(move |ids| (fields, ids))).find_map(
        |(fields, ids)| {
            let mut bytes = vec![kind];
            for field in 0..fields {
                bytes.extend_from_slice(if ids >> field & 1 == 1 { &id } else { &[0] });
            }
            codec::decode(&bytes).ok()
        },
    )
}
