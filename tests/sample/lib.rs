//! A noun of three fields that plugs in by its card alone. No other package of HQ knows it: what its tests see of it in
//! history, undo, search, activity, routines, links, export and doctor follows from [`BOAT`].

pub mod rules;

use entity::{Area, Entity, Field, Finds, Meaning, Type, text_of};
use kernel::{TypedId as _, ids};
use search::Document;
use serde::{Deserialize, Serialize};
use store::{Class, Range, Read, ReadExt as _, Record, StoreError, Table};

ids! {
    /// A boat.
    BoatId,
}

pub const BOATS: Table = Table::new(9_000, "boats");

/// A boat. Its `size` is a length: in a file the same word means bytes, and the two do not meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boat {
    pub id: BoatId,
    pub name: String,
    /// How long it is, in metres.
    pub size: u32,
    /// Who sails it: a member.
    pub parent: Option<kernel::AccountId>,
}

impl Record for Boat {
    type Id = BoatId;
    const TABLE: Table = BOATS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> BoatId {
        self.id
    }
    fn sample() -> Self {
        let id = BoatId::from_bytes([90; 16]);
        Self { id, name: "Dora ü".to_owned(), size: 7, parent: None }
    }
}

/// The card of boats.
pub static BOAT: Entity = Entity {
    area: Area::Work,
    fields: &[
        Field::text("name", "name").called("title"),
        Field::new("size", "length in metres", Type::Number),
        Field::text("parent", "skipper").means(Meaning::Somebody),
    ],
    path: |boat| format!("boats/{}", text_of(boat, "id")),
    finds: Some(Finds {
        number: 31,
        label: "Boats",
        glyph: "box",
        document: |row| entity::typed::<Boat>(row).map(document),
        hit: |boat| (format!("boats/{}", text_of(boat, "id")), "Boat".to_owned()),
        parts: None,
    }),
    triggers: Some("Harbour"),
    linked: true,
    check: Some(check),
    ..Entity::of::<Boat>("boat", "boat", "boats")
};

fn document(boat: Boat) -> Document {
    Document { title: boat.name, ..Document::default() }
}

/// A boat without a length is a mistake of whoever wrote it.
fn check(read: &dyn Read) -> Result<Vec<(String, String)>, StoreError> {
    let all: Vec<Boat> = read.list(&Range::all())?;
    let flat = all.into_iter().filter(|boat| boat.size == 0);
    Ok(flat.map(|boat| (boat.id.to_string(), "it has no length".to_owned())).collect())
}
