//! Views of lists of rows: built-in views, and validation of saved ones.

use ::list::figures::Foot;
use entity::{Column, Listing, Lists, LookWords, Target};
use features::views::model::{ListView, Look};
use kernel::FieldError;
use kernel::TypedId as _;
use kernel::filter::{self, Query, unknown_key};
use store::{Read, StoreError};

use crate::error::CrmError;
use crate::model::{COLLECTIONS as TABLE, CollectionId, Home, NAME};
use crate::{columns, filters, list, queries};

/// The word of the board in addresses; a table has none.
pub const BOARD: &str = "board";
/// The word of the cards layout in addresses.
pub const CARDS: &str = "cards";

const KEPT: &[&str] = &["all", "due", "check", "archived"];

pub const CONTACTS: Lists = Lists {
    paths: "contacts",
    kept: KEPT,
    find: |_, path| Ok((path == "contacts").then(|| Listing::lasting(path, "Contacts"))),
    faults: |read, _, words| faults(read, Home::Contacts, words),
};

pub const ORGANIZATIONS: Lists = Lists {
    paths: "organizations",
    kept: KEPT,
    find: |_, path| Ok((path == "organizations").then(|| Listing::lasting(path, "Organizations"))),
    faults: |read, _, words| faults(read, Home::Organizations, words),
};

/// The lists of collections' records.
pub const COLLECTIONS: Lists = Lists {
    paths: "a collection by its name",
    kept: KEPT,
    find: of_collection,
    faults: |read, listing, words| {
        let id = listing.within.map(|target| CollectionId::from_uuid(target.id));
        id.map_or(Ok(Vec::new()), |id| faults(read, Home::Collection(id), words))
    },
};

/// The path of a collection's list.
#[must_use]
pub fn path_of(id: CollectionId) -> String {
    format!("collections/{id}")
}

fn of_collection(read: &dyn Read, path: &str) -> Result<Option<Listing>, StoreError> {
    let name = path.strip_prefix("collections/").unwrap_or(path);
    let one = match queries::collection(read, name) {
        Ok(one) => one,
        Err(CrmError::Store(error)) => return Err(error),
        Err(_) => return Ok(None),
    };
    let within = Target { table: TABLE.number, id: one.id.uuid() };
    Ok(Some(Listing { path: path_of(one.id), title: one.name, within: Some(within) }))
}

/// The built-in views; the first is the default.
#[must_use]
pub fn built_in(home: Home) -> Vec<ListView> {
    let mut all = vec![ListView { first: true, ..ListView::built_in("all", "All", "") }];
    if home == Home::Contacts {
        all.push(ListView::built_in("due", "Follow-up due", "due:<1d"));
    }
    all.push(ListView::built_in("check", "To check", "is:unchecked"));
    all.push(ListView::built_in("archived", "Archived", "is:archived"));
    all
}

/// Replaces default words by empty ones.
#[must_use]
pub fn tidy(mut look: Look) -> Look {
    for (word, usual) in [(&mut look.layout, &["list", "table"][..]), (&mut look.group, &["none"])]
    {
        if usual.contains(&word.as_str()) {
            word.clear();
        }
    }
    look
}

/// The default column of a board: the stages, else the first custom select field.
#[must_use]
pub fn pipeline(columns: &[Column]) -> Option<&Column> {
    let is_choice = |column: &&Column| column.kind == entity::Kind::Select;
    let stage = columns.iter().find(|column| column.key == columns::STAGE);
    stage.or_else(|| columns.iter().filter(|column| !column.own).find(is_choice))
}

/// Words of a look that are invalid for these rows.
fn faults(
    read: &dyn Read,
    home: Home,
    words: LookWords<'_>,
) -> Result<Vec<FieldError>, StoreError> {
    let columns = columns::of(read, home)?;
    let of = |name: &str| words.iter().find(|(one, _)| *one == name).map_or("", |(_, word)| word);
    let mut faults = Vec::new();
    let mut wrong = |field: &str, message: String| faults.push(FieldError::new(field, message));
    if !["", "list", "table", BOARD, CARDS].contains(&of("layout")) {
        wrong("layout", "Choose table (list), board or cards.".to_owned());
    }
    if let Some(message) = list::unsorted(of("sort"), &columns) {
        wrong("sort", message);
    }
    let group = of("group");
    match columns.iter().find(|column| column.key == group) {
        Some(column) if !list::groups_by(column) => {
            wrong("group", format!("{} is different in every row.", column.label));
        }
        None if !["", "none"].contains(&group) => wrong("group", columns::unknown(group, &columns)),
        _ => {}
    }
    for key in of("columns").split(',').map(str::trim).filter(|key| !["", "-", NAME].contains(key))
    {
        if columns.iter().all(|column| column.key != key) {
            wrong("columns", columns::unknown(key, &columns));
        }
    }
    if let Some(message) = Foot::fault(of("foot"), &columns) {
        wrong("foot", message);
    }
    for name in ["lanes", "wip"] {
        if !of(name).is_empty() {
            wrong(name, "Only task boards have these.".to_owned());
        }
    }
    let keys = filters::keys(home, &columns);
    for term in Query::parse(of("q")).terms.iter().filter(|term| !term.is_words()) {
        let known = |key: &str| filter::key(&keys, key).is_some();
        if !known(&term.key) && !known(filters::short(filters::called(&term.key))) {
            wrong("q", unknown_key(&term.key, &keys));
        }
    }
    Ok(faults)
}
