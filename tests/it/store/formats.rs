//! Contents of each file format: tables with their layout versions, indexes and sums, and variants of record heads. A
//! program opens files of its own format only, so an incompatible change needs a new number. One list per format is
//! stored.

use std::fmt::Write as _;
use std::path::PathBuf;

use kernel::{Actor, Cause, Event, Part, Via};
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use server::schema;
use store::{FORMAT, Schema};

/// Kinds of lines that must never be removed or moved: their position is their number.
const PLACES: [&str; 5] = ["event ", "actor ", "via ", "part ", "cause "];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/formats")
}

/// Deserializer that collects the names of an enum's variants, in order.
struct Names<'n>(&'n mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("it is no enum"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = variants;
        Err(Error::custom("only its names are wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

fn variants<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &[&str] = &[];
    // ok: it always ends with an error.
    let _ = T::deserialize(Names(&mut names));
    assert!(!names.is_empty(), "an enum has variants");
    names
}

/// The tables of a store, by number.
fn tables(out: &mut String, store: &str, schema: &Schema) {
    let mut all: Vec<_> = schema.tables().iter().collect();
    all.sort_by_key(|info| info.number);
    for info in all {
        let Some(ops) = &info.ops else { continue };
        let blobs = if ops.blobs.is_some() { ", holds files" } else { "" };
        let (number, name, version) = (info.number, info.name, ops.version);
        // The class determines what a change records; a different class would expect data that older entries lack.
        let class = info.class().expect("a record has a class");
        writeln!(out, "{store} {number:04} {name} v{version} {class:?}{blobs}").expect("a string");
        for index in ops.indexes {
            let kind = if index.unique { "unique" } else { "index" };
            let (own, name) = (index.number, index.name);
            writeln!(out, "{store} {number:04} {kind} {own:04} {name}").expect("a string");
        }
        for count in ops.counts {
            let (own, name) = (count.number, count.name);
            writeln!(out, "{store} {number:04} sum {own:04} {name}").expect("a string");
        }
    }
}

/// Description of this program's format.
fn present() -> String {
    let mut out = String::new();
    tables(&mut out, "workspace", &schema::workspace());
    tables(&mut out, "system", &schema::system());
    let lists: [&[&str]; 5] = [
        variants::<Event>(),
        variants::<Actor>(),
        variants::<Via>(),
        variants::<Part>(),
        variants::<Cause>(),
    ];
    for (kind, names) in PLACES.into_iter().zip(lists) {
        for (place, name) in names.iter().enumerate() {
            writeln!(out, "{kind}{place:03} {name}").expect("a string");
        }
    }
    out
}

/// Lines that only one of the two lists has.
fn differing(kept: &str, now: &str) -> Vec<String> {
    let gone = kept.lines().filter(|line| !now.lines().any(|other| other == *line));
    let new = now.lines().filter(|line| !kept.lines().any(|other| other == *line));
    gone.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}"))).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a person asks for a new file")]
fn whatever_an_older_program_could_not_read_is_a_new_format() {
    let (file, now) = (folder().join(format!("{FORMAT}.txt")), present());
    let write = std::env::var("HQ_GOLDEN").is_ok_and(|word| word == "write");
    match std::fs::read_to_string(&file) {
        Ok(kept) => assert!(
            kept == now,
            "format {FORMAT} had other tables, layouts or variants:\n{}\n\
             A program that knows only those would open the file and fail row by row. Raise FORMAT in \
             src/store/mod.rs to {}, add its step to src/server/migrations (it makes for old rows what \
             is new beside them), and let HQ_GOLDEN=write make {}.txt. Only while no release has \
             format {FORMAT}: delete {FORMAT}.txt and let it be made anew.",
            differing(&kept, &now).join("\n"),
            FORMAT + 1,
            FORMAT + 1,
        ),
        Err(_) if write => std::fs::write(&file, now).expect("a file"),
        Err(_) => panic!("{} is missing; HQ_GOLDEN=write makes it", file.display()),
    }
}

#[test]
fn what_is_numbered_by_its_place_keeps_it_in_every_later_format() {
    let (now, mut formats) = (present(), 0);
    for entry in std::fs::read_dir(folder()).expect("the lists of the formats") {
        let path = entry.expect("an entry").path();
        let kept = std::fs::read_to_string(&path).expect("a list");
        for line in kept.lines().filter(|line| PLACES.iter().any(|kind| line.starts_with(kind))) {
            assert!(now.lines().any(|other| other == line), "{}: {line}", path.display());
        }
        formats += 1;
    }
    assert!(0 < formats, "the list of a format is kept for ever");
}
