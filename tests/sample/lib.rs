//! Sample noun in one file: boats. `docs/extending.md` explains it. API, page, commands, tools, history, undo, search,
//! activity, routines, links, export and doctor follow from the definitions here.

use entity::{Area, Entity, Field, Finds, Stored, Values};
use kernel::{Assignee, Can, Error, TypedId as _, ids};
use kit::{Answers, Noun, On, Op, OpCx, Page, Reply, Row, Run, Tools};
use search::Document;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Class, Range, Read, ReadExt as _, Record, StoreError, Table, WriteTx};
use tool::{Effect, Group};

ids! {
    /// A boat.
    BoatId,
}

/// A boat. Its `size` is a length; the field of the same name in files is unrelated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boat {
    pub id: BoatId,
    pub name: String,
    pub size: u32,
    pub parent: Option<Assignee>,
}

impl Record for Boat {
    type Id = BoatId;
    const TABLE: Table = Table::new(9_000, "boats");
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> BoatId {
        self.id
    }
    fn sample() -> Self {
        let id = BoatId::from_bytes([90; 16]);
        Self { id, name: "Dora ü".to_owned(), size: 7, parent: None }
    }
}

/// Descriptor of boats.
pub static BOAT: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::line("name", "name").required().max(60).called("title"),
        Field::count("size", "length in metres", 0, 500).usual("5"),
        Field::person("parent", "skipper").about("who sails it"),
    ],
    path: |_| "settings/boats".to_owned(),
    finds: Some(Finds {
        number: 31,
        label: "Boats",
        glyph: "box",
        document: |row| entity::decode_row::<Boat>(row).map(document),
        hit: |_| ("settings/boats".to_owned(), "Boat".to_owned()),
        parts: None,
    }),
    triggers: Some("Harbour"),
    linked: true,
    check: Some(check),
    missing: "boat_not_found",
    ..Entity::stored::<Boat>("boat", "boat", "boats")
};

/// Operations of boats.
pub static BOATS: Noun = Noun {
    ops: &[Op {
        name: "lengthen",
        on: On::One,
        can: Can::Write,
        effect: Effect::Change,
        about: "Make a boat longer",
        verb: "Lengthen boat",
        done: "Lengthened",
        confirm: "",
        input: &[Field::count("by", "metres", 1, 50).required()],
        answers: Answers::Record,
        tool: true,
        guide: kit::no_guide,
        links: &[],
        offered: kit::always,
        run: Run::Write(lengthen),
    }],
    tools: Tools {
        group: Group::Work,
        list: "List the boats.",
        save: "Add a boat, or change one.",
    },
    page: Some(Page {
        title: "Boats",
        row: Row::plain,
        live: Vec::new,
        delete: "It leaves the harbour.",
        tabs: &[],
        detail: kit::no_detail,
        others: kit::no_others,
    }),
    ..Noun::of(&BOAT, "boats", "The boats of the harbour and who sails them.")
};

impl Stored for Boat {
    fn blank(tx: &mut WriteTx<'_>) -> Self {
        Self { id: tx.new_id(), name: String::new(), size: 5, parent: None }
    }

    fn check(
        _: &mut WriteTx<'_>,
        _: Option<&Self>,
        new: &mut Self,
        _: &Values,
    ) -> Result<(), Error> {
        match new.name.contains('/') {
            true => Err(Error::field("name", "A boat has a name without slashes.")),
            false => Ok(()),
        }
    }
}

fn lengthen(cx: &OpCx<'_>, tx: &mut WriteTx<'_>) -> Result<Reply, Error> {
    let boat: Boat = cx.record(tx)?;
    let longer = i64::from(boat.size) + cx.count("by");
    cx.change(tx, [("size", json!(longer))])
}

fn document(boat: Boat) -> Document {
    Document { title: boat.name, ..Document::default() }
}

/// A boat without a length is invalid data.
fn check(read: &dyn Read) -> Result<Vec<(String, String)>, StoreError> {
    let all: Vec<Boat> = read.list(&Range::all())?;
    let flat = all.into_iter().filter(|boat| boat.size == 0);
    Ok(flat.map(|boat| (boat.id.to_string(), "it has no length".to_owned())).collect())
}
