//! Golden files: the stored bytes of each record version's sample. A layout change is a new version with an `upgrade`;
//! the old file stays and must be readable. `HQ_GOLDEN=write` writes missing files and never changes existing ones.

use std::collections::BTreeSet;
use std::path::PathBuf;

use server::schema;
use store::schema::{Kind, Ops, TableInfo};
use store::{Class, codec};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/golden")
}

/// Calls `record` with the store, the table and the operations of each record.
fn each(mut record: impl FnMut(&str, &TableInfo, &Ops)) {
    for (store, schema) in [("workspace", schema::workspace()), ("system", schema::system())] {
        for info in schema.tables() {
            if let Some(ops) = &info.ops {
                record(store, info, ops);
            }
        }
    }
}

fn file_name(store: &str, info: &TableInfo, version: u8) -> String {
    format!("{store}-{:04}-{}-v{version}.hex", info.number, info.name)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a person asks for new files")]
fn samples_of_all_records_have_the_bytes_they_always_had() {
    let write = std::env::var("HQ_GOLDEN").is_ok_and(|word| word == "write");
    let mut faults = Vec::new();
    each(|store, info, ops| {
        let (file, name) = (file_name(store, info, ops.version), info.name);
        let bytes = (ops.sample)().expect("a sample can be encoded");
        assert_eq!(
            bytes,
            (ops.sample)().expect("again"),
            "the sample of {name} is always the same"
        );
        let text = format!("{}\n", hex::encode(&bytes));
        match std::fs::read_to_string(folder().join(&file)) {
            Ok(kept) if kept == text => {}
            Ok(_) => faults.push(format!(
                "{file}: other bytes; give the layout a new version, or delete the file if no \
                 release has it"
            )),
            Err(_) if write => {
                std::fs::create_dir_all(folder()).expect("a folder");
                std::fs::write(folder().join(&file), text).expect("a file");
            }
            Err(_) => faults.push(format!("{file}: missing; HQ_GOLDEN=write makes it")),
        }
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_layout_that_ever_was_is_still_read() {
    let mut known = BTreeSet::new();
    each(|store, info, ops| {
        for version in 1..=ops.version {
            let file = file_name(store, info, version);
            let text = std::fs::read_to_string(folder().join(&file)).unwrap_or_default();
            let bytes = hex::decode(text.trim()).expect("hexadecimal text");
            assert_eq!(codec::unwrap(&bytes).expect(&file).0, version);
            (ops.derive)(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
            let json = (ops.json)(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(json.is_object(), "{file}: {json}");
            assert!((ops.root)(&bytes).is_some(), "{file} has a root");
            known.insert(file);
        }
    });
    let there = std::fs::read_dir(folder()).expect("the golden files");
    for entry in there {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(known.contains(&name), "{name} belongs to no record; tables are never forgotten");
    }
}

#[test]
fn what_a_record_derives_lies_in_tables_that_it_declared() {
    for schema in [schema::workspace(), schema::system()] {
        for info in schema.tables() {
            let Some(ops) = &info.ops else { continue };
            let sample = (ops.sample)().expect("a sample");
            let derived = (ops.derive)(&sample).expect("it can be read");
            let name = info.name;
            for (index, ..) in &derived.index {
                assert!(ops.indexes.contains(index), "{name} does not declare {}", index.name);
            }
            for (count, ..) in &derived.counts {
                assert!(ops.counts.contains(count), "{name} does not declare {}", count.name);
            }
            for reference in &derived.refs {
                let target = schema.table(reference.target.table).map(|table| table.kind);
                assert!(matches!(target, Some(Kind::Record(_))), "{name} refers to no record");
            }
        }
    }
}

#[test]
fn every_tracked_record_comes_back_from_its_fields_with_the_same_bytes() {
    let mut count = 0;
    for schema in [schema::workspace(), schema::system()] {
        for info in schema.tables() {
            let Some(ops) = info.ops.as_ref() else { continue };
            if info.class() != Some(Class::Tracked) {
                continue;
            }
            let sample = (ops.sample)().expect("a sample");
            let fields = (ops.json)(&sample).expect("its fields");
            let object = fields.as_object().expect("an object").clone();
            let (_, built) = (ops.parse)(fields).unwrap_or_else(|e| panic!("{}: {e}", info.name));
            assert_eq!(built, sample, "{} does not come back from its fields", info.name);
            for name in ops.together.iter().flat_map(|group| group.iter()) {
                assert!(object.contains_key(*name), "{} has no field {name}", info.name);
            }
            count += 1;
        }
    }
    assert!(10 <= count, "{count} tracked records");
}

#[test]
fn every_tracked_table_says_who_may_read_its_history() {
    use features::history::queries::access;
    for info in schema::workspace().tables() {
        if info.class() == Some(Class::Tracked) {
            let place = "src/features/history/queries/access.rs";
            assert!(access::is_listed(info.number), "{}: add a line to {place}", info.name);
        }
    }
}
