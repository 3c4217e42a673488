//! Tests that rows are stored in the columns, read from them and removed again.

use std::collections::HashMap;
use std::sync::Arc;

use entity::{Cell, FieldValue};
use jiff::civil::date;
use kernel::TypedId as _;
use store::{Record as _, codec};
use uuid::Uuid;

use super::{Held, Order, Recall, Shared, Slim, Titles, Words, packed, unpacked};
use crate::model::{CollectionId, Contact, EntryRow, Row, RowKind};

/// A row with these values.
fn row(id: u8, values: &[(&str, FieldValue)]) -> Row {
    let mut row = Contact::sample().into_row();
    let origin = row.cells["name"].origin.clone();
    row.id = Uuid::from_bytes([id; 16]);
    let cell = |value: &FieldValue| Cell { value: Some(value.clone()), origin: origin.clone() };
    row.cells = values.iter().map(|(key, value)| ((*key).to_owned(), cell(value))).collect();
    row
}

fn value(shared: &Shared, row: &Slim, key: &str) -> Option<FieldValue> {
    shared.value(row, shared.find(key)).map(Held::value)
}

#[test]
fn a_row_keeps_its_values_whether_it_is_read_as_a_whole_or_looked_at() {
    let mut shared = Shared::default();
    let tags = FieldValue::Choices(vec!["north".into(), "vip".into()]);
    let long = FieldValue::Text("ü".repeat(300));
    let values = [
        ("day", FieldValue::Day(date(-44, 3, 15))),
        ("long", long),
        ("none", FieldValue::Choices(Vec::new())),
        ("stage", FieldValue::Choice("lead".into())),
        ("tags", tags),
        ("yes", FieldValue::YesNo(false)),
    ];
    let row = row(1, &values);
    let bytes = codec::encode_row(Contact::VERSION, 1, &row).expect("a row has bytes");
    let one = Slim::of(&row, &mut shared);
    let other = Slim::read(RowKind::CONTACTS, &bytes, &mut shared).expect("its bytes can be read");
    for slim in [&one, &other] {
        for (key, is) in values.iter().filter(|(key, _)| *key != "long") {
            assert_eq!(value(&shared, slim, key).as_ref(), Some(is), "{key}");
        }
        let long = value(&shared, slim, "long");
        assert_eq!(long, Some(FieldValue::Text("ü".repeat(200))), "its beginning is kept");
        assert_eq!(value(&shared, slim, "name"), None);
        assert_eq!(shared.raws(slim).count(), values.len());
    }
    assert_eq!((one.created, one.staged, one.unchecked), (other.created, other.staged, false));
    assert_eq!(
        shared.raw_of(&one, shared.find("tags")),
        shared.raw_of(&other, shared.find("tags"))
    );
}

#[test]
fn what_a_row_leaves_is_used_again() {
    let mut shared = Shared::default();
    let text = |words: &str| FieldValue::Text(words.to_owned());
    let stays = Slim::of(&row(1, &[("city", text("Berlin"))]), &mut shared);
    let mut goes = Slim::of(&row(2, &[("city", text("Berlin"))]), &mut shared);
    let (places, runs) = (shared.words.places.len(), shared.runs);
    for n in 0..5_000 {
        goes.release(&mut shared);
        assert_eq!(value(&shared, &goes, "city"), None);
        let city = text(&format!("{n} {}", "x".repeat(50)));
        goes = Slim::of(&row(2, &[("city", city.clone())]), &mut shared);
        shared.tidy();
        assert_eq!(value(&shared, &goes, "city"), Some(city));
    }
    assert_eq!(value(&shared, &stays, "city"), Some(text("Berlin")));
    assert_eq!((shared.words.places.len(), shared.runs), (places + 1, runs));
    assert!(shared.words.all.len() <= 2 * Words::SPARED, "lost words are taken out");
    assert_eq!(shared.words.known.len(), 2);
}

#[test]
fn rows_of_collections_share_no_run() {
    let mut shared = Shared::default();
    let mut of = |id: u8, home: u8, key: &str| {
        let mut row = EntryRow::sample().into_row();
        let cell = row.cells["name"].clone();
        row.id = Uuid::from_bytes([id; 16]);
        row.collection = Some(CollectionId::from_bytes([home; 16]));
        row.cells = [(key.to_owned(), cell)].into();
        Slim::of(&row, &mut shared)
    };
    let rows = [of(1, 1, "one"), of(2, 2, "other"), of(3, 1, "one")];
    let runs = rows.map(|row| row.slot.run);
    assert_eq!(runs, [0, 1, 0]);
    let one = shared.find("one").expect("a field");
    let runs = &shared.fields[usize::from(one)].runs;
    assert_eq!(runs.iter().flatten().count(), 1, "no room for rows that cannot have it");
}

#[test]
fn days_are_in_the_order_of_their_numbers() {
    let days =
        [date(-9999, 1, 1), date(-1, 12, 31), date(0, 1, 1), date(2026, 2, 28), date(9999, 12, 31)];
    assert!(days.is_sorted_by_key(|day| packed(*day)));
    assert!(days.iter().all(|day| unpacked(packed(*day)) == Some(*day)));
}

#[test]
fn what_is_derived_of_all_rows_is_made_once_until_one_changes() {
    let mut shared = Shared::default();
    let text = |words: &str| FieldValue::Text(words.to_owned());
    let rosa = Slim::of(&row(1, &[("name", text("Rosa"))]), &mut shared);
    let order = |archived| Order {
        collection: None,
        archived,
        field: 0,
        down: false,
        kind: None,
        choices: Vec::new(),
        people: Vec::new(),
    };
    let none = Titles::default();
    assert_eq!(*shared.order(&order(false), &none, || vec![0]), [0]);
    assert_eq!(*shared.order(&order(false), &none, || unreachable!("it is kept")), [0]);
    assert_eq!(shared.order(&order(true), &none, Vec::new).len(), 0, "another scope");
    let named = |name: &str| Arc::new(HashMap::from([(rosa.id, name.to_owned())]));
    for name in ["a", "b"] {
        let mut titles = Titles::default();
        titles.add(named(name));
        assert_eq!(*shared.order(&order(false), &titles, || vec![1]), [1], "other names");
    }
    for field in 0..100 {
        shared.order(&Order { field, ..order(false) }, &none, || vec![0]);
    }
    assert_eq!(shared.recall.orders(), Recall::ORDERS, "few are kept");
    let has = |shared: &Shared, part: &str| {
        let raw = shared.raw_of(&rosa, shared.find("name")).expect("a name");
        shared.places_with(part).has(raw.place())
    };
    assert!(has(&shared, "os") && !has(&shared, "ose"));
    let other = row(2, &[("name", text("Möwe")), ("city", text("e"))]);
    let other = Slim::of(&other, &mut shared);
    assert_eq!(*shared.order(&order(false), &none, || vec![1, 0]), [1, 0], "a row came");
    let raw = shared.raw_of(&other, shared.find("name")).expect("a name");
    assert!(shared.places_with("mowe").has(raw.place()));
    assert!(!shared.places_with("sam").has(raw.place()), "no match reaches into the next text");
    let rows = [&other];
    assert_eq!(shared.names(&rows).get(&rows[0].id).map(String::as_str), Some("mowe"));
    rosa.release(&mut shared);
    assert_eq!(*shared.order(&order(false), &none, || vec![0]), [0], "a row went");
}
