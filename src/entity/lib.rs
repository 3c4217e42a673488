//! Descriptors of nouns. A noun is a kind of record that people know by name, such as a label. Its [`Entity`] states once,
//! as plain data, what the rest of HQ needs to know: tables, who may read and undo, field names, search, and the events
//! that routines may wait for. Schema, reactions, history, undo, search, activity, routines, links and doctor read
//! descriptors and name no noun that has one.
//!
//! `features::cards` has the list of descriptors.

#![warn(missing_docs)]

mod address;
mod cell;
mod column;
mod field;
mod input;
mod name;
mod stored;
mod value;

use std::collections::BTreeMap;

use kernel::key::{Key, KeyBuf};
use kernel::{AccountId, Can, Event, FieldError, Problem, RowAct};
use search::{Document, Wanted};
use serde_json::{Map, Value};
use store::schema::Check;
use store::{
    Blobs, Range, ReactionError, Read, ReadExt as _, Record, Schema, StoreError, WriteTx, record,
};
use uuid::Uuid;

pub use address::{GOOGLE, is_mail_address, mail_address, mails_in, phone, phones_in};
pub use cell::{Cell, Cells, MAX_SOURCE, MAX_SOURCES, Origin, Source, value_in};
pub use column::{
    AgentsMay, Choice, Column, Kind, Look, MAX_LINE, MAX_LONG, Names, Stands, free_key, key_of,
};
pub use field::{Field, Meaning, Type};
pub use input::{
    Input, InputKind, JsonKind, Mode, NoNames, Values, When, read as read_input, shown,
};
pub use name::{folded, searched, tidied};
pub use stored::{Stored, Writes};
pub use value::{Decimal, FieldValue, Target, digits, plain_url};

/// A record as JSON, field by field.
pub type Fields = Map<String, Value>;

/// Which part of HQ a noun belongs to, and what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Tasks, comments, delivered work.
    Work,
    /// Contacts, organizations, collections.
    Customers,
    /// Agents and their runs.
    Agents,
    /// Members, settings, connections.
    Workspace,
}

impl Area {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Work, Self::Customers, Self::Agents, Self::Workspace];

    /// The word in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Customers => "customers",
            Self::Agents => "agents",
            Self::Workspace => "workspace",
        }
    }

    /// The word for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Work => "Work",
            Self::Customers => "Customers",
            Self::Agents => "Agents",
            Self::Workspace => "Workspace",
        }
    }
}

/// The bytes of a record's key, and the record.
pub type Keyed = (Vec<u8>, Fields);

/// The reading of stored rows by the type of their record. Made by [`Entity::of`].
#[derive(Clone, Copy)]
pub struct Rows {
    /// The fields of a row; none when its bytes cannot be read.
    pub fields: fn(&[u8]) -> Option<Fields>,
    /// The bytes of the key that an id in words means; none when it is no id.
    pub key: fn(&str) -> Option<Vec<u8>>,
    /// Records with the bytes of their keys, at most so many.
    pub list: fn(&dyn Read, usize) -> Result<Vec<Keyed>, StoreError>,
    /// The stored row of the record's sample.
    pub sample: fn() -> Vec<u8>,
}

/// Records that somebody keeps for themselves.
#[derive(Clone, Copy)]
pub struct Own {
    /// The only person who may read a stored row; nobody when all may.
    pub whose: fn(&[u8]) -> Option<AccountId>,
    /// The code of an undo's refusal to touch what is somebody else's.
    pub code: &'static str,
}

/// The way in which the records of a noun are found.
#[derive(Clone, Copy)]
pub struct Finds {
    /// Stands in indexes: below [`search::KINDS`], never used again, and not of another kind.
    pub number: u8,
    /// The heading of a group of them: "Labels".
    pub label: &'static str,
    /// The icon before one.
    pub glyph: &'static str,
    /// The words of a stored row; none for what nobody looks for. Its audience follows from [`Entity::own`] unless the
    /// document names one.
    pub document: fn(&[u8]) -> Option<Document>,
    /// The page of a hit below the workspace, and the words behind its name.
    pub hit: fn(&Fields) -> (String, String),
    /// The pieces in which its words are found for themselves, if it is long enough for that.
    pub parts: Option<Parts>,
}

/// The pieces of a record that are found for themselves.
#[derive(Clone, Copy)]
pub struct Parts {
    /// Stands in indexes beside the number of the record: below [`search::KINDS`] and never used again.
    pub number: u8,
    /// Tables whose rows have the keys of the records and hold their words.
    pub tables: &'static [u16],
    /// The words of a stored row.
    pub text: TextOf,
    /// The pieces of a stored row with these words, each with its own and what names it.
    pub cut: fn(&[u8], &str) -> Vec<Document>,
    /// The piece of a stored row that is shown for some words.
    pub piece: PieceOf,
}

/// A piece of a record as a hit shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its words, cut when they are many.
    pub text: String,
    /// What opens it, behind the address of the record.
    pub place: String,
    /// The page or heading that it stands on or below, or nothing.
    pub told: String,
}

/// Finds the piece of a stored row that holds some words: the one of this number, which an index may have given for an
/// older text, else the first that does.
pub type PieceOf =
    fn(&dyn Read, &Blobs, &[u8], (Option<u32>, &Wanted)) -> Result<Option<Piece>, StoreError>;

/// Reads the words of a stored row; long ones may lie in blobs.
pub type TextOf = fn(&dyn Read, &Blobs, &[u8]) -> Result<String, StoreError>;

/// Why a record does not go back, as others rest on it: in a store as it would be then, the row as it is and as it would
/// be.
pub type Rests = fn(&dyn Read, Option<&[u8]>, Option<&[u8]>) -> Result<Option<String>, StoreError>;

/// A list of records that can be kept as views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Its page below the workspace, by which views know it: `contacts`.
    pub path: String,
    /// The name over it.
    pub title: String,
    /// The record with which it goes, such as a collection; none for a list that stays.
    pub within: Option<Target>,
}

impl Listing {
    /// A list that stays.
    #[must_use]
    pub fn lasting(path: &str, title: &str) -> Self {
        Self { path: path.to_owned(), title: title.to_owned(), within: None }
    }
}

/// The parts of a view with their names: `q`, `layout`, `sort` and so on.
pub type LookWords<'w> = &'w [(&'static str, &'w str)];

/// Tells what is wrong with the parts of a view of a list.
pub type LookFaults = fn(&dyn Read, &Listing, LookWords<'_>) -> Result<Vec<FieldError>, StoreError>;

/// The lists of a noun that can be kept as views.
#[derive(Clone, Copy)]
pub struct Lists {
    /// The paths of these lists, for people.
    pub paths: &'static str,
    /// The slugs of the views that are built in.
    pub kept: &'static [&'static str],
    /// The list with this path, or with the name that people call it; none when this noun has no such list.
    pub find: fn(&dyn Read, &str) -> Result<Option<Listing>, StoreError>,
    /// The parts of a view that a list does not know.
    pub faults: LookFaults,
}

/// The reaction of a noun to an event, in the transaction of the event.
pub type React = fn(&mut WriteTx<'_>, &Event) -> Result<(), ReactionError>;

/// What a stored row says, as Markdown.
pub type Spoken = fn(&dyn Read, &[u8]) -> Result<String, StoreError>;

/// What people read of a field, of its name and its JSON.
pub type Told = fn(&dyn Read, &str, &Value) -> Value;

/// How many records in use have each label, by its id.
pub type Carried = fn(&dyn Read) -> Result<BTreeMap<Uuid, usize>, StoreError>;

/// The names of the labels that a stored row has, read once for many rows.
pub type LabelNames = Box<dyn Fn(&[u8]) -> Vec<String>>;

/// The keys of the records that have one of some labels, or any where none is named.
pub type Having = fn(&dyn Read, Option<&[Uuid]>) -> Result<Vec<Vec<u8>>, StoreError>;

/// The records of a noun that carry labels of the workspace, beside tasks.
#[derive(Clone, Copy, Debug)]
pub struct Labelled {
    /// How many records in use have each label, by its id.
    pub counts: Carried,
    /// The list of those that have a label of this name, below the workspace; empty when there is no one list of them.
    pub path: fn(&str) -> String,
    /// Gives the records that have a label another one in its place, or takes it off them. A record that changes is
    /// told of.
    pub replace: fn(&mut WriteTx<'_>, Uuid, Option<Uuid>) -> Result<(), StoreError>,
    /// The names of labels as they are now: records are found by them.
    pub names: fn(&dyn Read) -> Result<LabelNames, StoreError>,
    /// The records whose words change with labels.
    pub having: Having,
}

/// A kind of record that people know by a name.
///
/// All of it is plain data; [`Entity::of`] gives the usual values.
#[derive(Clone, Copy)]
pub struct Entity {
    /// Its word in addresses, in kinds of events (`label.created`) and in the API.
    pub word: &'static str,
    /// The word for one, in the middle of a sentence.
    pub one: &'static str,
    /// The word for several.
    pub many: &'static str,
    /// The part of HQ that it belongs to.
    pub area: Area,
    /// The table of its records.
    pub table: u16,
    /// The name of that table: what open pages listen for.
    pub topic: &'static str,
    /// Adds its tables to a schema.
    pub tables: fn(Schema) -> Schema,
    /// The reading of its stored rows.
    pub rows: Rows,
    /// The right to read its records and their history.
    pub read: Can,
    /// The right to take back a change of one; none where none may be taken back.
    pub undo: Option<Can>,
    /// Its fields in words. A field without a line here is called by its name.
    pub fields: &'static [Field],
    /// The name of a record, without the kind.
    pub title: fn(&Fields) -> String,
    /// Its page below the workspace; empty when it has none.
    pub path: fn(&Fields) -> String,
    /// Whether a record may be somebody's own, and whose; none when all records are everybody's.
    pub own: Option<Own>,
    /// The way in which its records are found, if they are.
    pub finds: Option<Finds>,
    /// The group of forms under which routines may wait for its records; none when they may not.
    pub triggers: Option<&'static str>,
    /// The fields of people's own that its records have beside [`Entity::fields`], if they may have any. Routines know
    /// them as `own:KEY`.
    pub own_fields: Option<OwnFields>,
    /// Whether a link of a task may lead to one.
    pub linked: bool,
    /// Whether history still tells what one was called that was deleted, wherever others name it.
    pub remembered: bool,
    /// Whether people and agents comment on one and put files on it; its key is an id then.
    pub discussed: bool,
    /// Its reaction to events.
    pub react: Option<React>,
    /// Doctor's question to its records.
    pub check: Option<Check>,
    /// The question whether others rest on a record as it is, so that a change of it is not taken back.
    pub rests: Option<Rests>,
    /// The page on which each of its records waits for a person's yes or no, below the workspace; none where none does.
    pub review: Option<&'static str>,
    /// What history shows of a field, where the record's JSON says more than people want to read there.
    pub told: Option<Told>,
    /// What one says as a whole, where it can be delivered as work; none where it cannot.
    pub spoken: Option<Spoken>,
    /// The lists of its records that can be kept as views.
    pub lists: Option<Lists>,
    /// What its records have to do with the labels of the workspace; none where they have no labels.
    pub labelled: Option<Labelled>,
    /// The writes through its field table; none where its rules have writes of their own.
    pub writes: Option<Writes>,
    /// The code of the refusal of an id that no record has.
    pub missing: &'static str,
}

impl std::fmt::Debug for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entity({})", self.word)
    }
}

impl PartialEq for Entity {
    fn eq(&self, other: &Self) -> bool {
        self.table == other.table
    }
}

impl Eq for Entity {}

impl Entity {
    /// The card of a noun whose records are of this type: everybody who may read may read them, nobody finds them, and
    /// nothing waits for them.
    #[must_use]
    pub const fn of<R>(word: &'static str, one: &'static str, many: &'static str) -> Self
    where
        R: Record<Id: std::str::FromStr>,
    {
        Self {
            word,
            one,
            many,
            area: Area::Workspace,
            table: R::TABLE.number,
            topic: R::TABLE.name,
            tables: Schema::with::<R>,
            rows: Rows { fields: fields::<R>, key: key::<R>, list: list::<R>, sample: sample::<R> },
            read: Can::Read,
            undo: Some(Can::Write),
            fields: &[],
            title: named,
            path: nowhere,
            own: None,
            finds: None,
            triggers: None,
            own_fields: None,
            linked: false,
            remembered: false,
            discussed: false,
            react: None,
            check: None,
            rests: None,
            review: None,
            told: None,
            spoken: None,
            lists: None,
            labelled: None,
            writes: None,
            missing: "not_found",
        }
    }

    /// The same with writes through the field table.
    #[must_use]
    pub const fn stored<R: Stored>(
        word: &'static str,
        one: &'static str,
        many: &'static str,
    ) -> Self {
        Self { writes: Some(Writes::of::<R>()), ..Self::of::<R>(word, one, many) }
    }

    /// "a label", "an organization".
    #[must_use]
    pub fn a(&self) -> String {
        let article = if self.one.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        format!("{article} {}", self.one)
    }

    /// The only person who may read a stored row; nobody when all may.
    #[must_use]
    pub fn owner(&self, row: &[u8]) -> Option<AccountId> {
        self.own.and_then(|own| (own.whose)(row))
    }

    /// Whether somebody may read a stored row, as far as it is somebody's own.
    #[must_use]
    pub fn is_for(&self, row: &[u8], who: AccountId) -> bool {
        self.owner(row).is_none_or(|owner| owner == who)
    }

    /// The event that rules emit when a record came, or is gone.
    #[must_use]
    pub fn event(&self, id: &impl Key, act: RowAct) -> Event {
        let id = KeyBuf::of(id).into_bytes();
        Event::Row { table: self.table, id, act, fields: Vec::new() }
    }

    /// The event that rules emit when a record changed.
    #[must_use]
    pub fn changed<R: Record>(&self, old: &R, new: &R) -> Event {
        let id = KeyBuf::of(&new.id()).into_bytes();
        let (old, new) = (of_record(old).unwrap_or_default(), of_record(new).unwrap_or_default());
        let differs = |(key, value): &(&String, &Value)| {
            !R::STAMPS.contains(&key.as_str()) && old.get(key.as_str()) != Some(*value)
        };
        let fields = new.iter().filter(differs).map(|(key, _)| key.clone()).collect();
        Event::Row { table: self.table, id, act: RowAct::Changed, fields }
    }

    /// The fields of the record with this key; none when it is gone.
    pub fn get(&self, read: &dyn Read, key: &[u8]) -> Result<Option<Fields>, StoreError> {
        Ok(read.raw_get(self.table, key)?.and_then(|row| (self.rows.fields)(&row)))
    }

    /// The field with this name in a record's JSON.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The key of the record that an id or a title means; of the only one there is, when nothing is said.
    pub fn find(&self, read: &dyn Read, said: &str) -> Result<Option<Vec<u8>>, StoreError> {
        /// The number of records that are looked through.
        const MOST: usize = 2_000;
        let said = said.trim();
        if let Some(key) = (self.rows.key)(said) {
            return Ok(read.raw_get(self.table, &key)?.map(|_| key));
        }
        let mut all = (self.rows.list)(read, MOST)?;
        if said.is_empty() && all.len() == 1 {
            return Ok(all.pop().map(|(key, _)| key));
        }
        let wanted = said.to_lowercase();
        let mut fits = all.into_iter().filter(|(_, fields)| {
            !wanted.is_empty() && (self.title)(fields).to_lowercase() == wanted
        });
        Ok(fits.next().map(|(key, _)| key))
    }
}

/// A stored row with its type; none when its bytes cannot be read.
#[must_use]
pub fn typed<R: Record>(row: &[u8]) -> Option<R> {
    record::read::<R>(row).ok().map(|(row, _)| row)
}

/// A text of a record; nothing when there is none.
#[must_use]
pub fn text_of<'f>(fields: &'f Fields, key: &str) -> &'f str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A rule's refusal as that of a reaction of this name.
///
/// # Errors
/// The keys and labels of fields that people gave records of a noun.
pub type OwnFields = fn(&dyn Read) -> Result<Vec<(String, String)>, StoreError>;

/// The rule's own.
pub fn named_as<E: Problem>(
    name: &'static str,
    result: Result<(), E>,
) -> Result<(), ReactionError> {
    result.map_err(|error| ReactionError::new(name, &error))
}

fn named(fields: &Fields) -> String {
    text_of(fields, "name").to_owned()
}

fn nowhere(_: &Fields) -> String {
    String::new()
}

fn of_record<R: Record>(record: &R) -> Option<Fields> {
    match serde_json::to_value(record).ok()? {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// The fields of a stored row of this type; none when its bytes cannot be read.
#[must_use]
pub fn fields<R: Record>(row: &[u8]) -> Option<Fields> {
    of_record(&typed::<R>(row)?)
}

fn key<R: Record<Id: std::str::FromStr>>(id: &str) -> Option<Vec<u8>> {
    let id: R::Id = id.parse().ok()?;
    Some(KeyBuf::of(&id).into_bytes())
}

fn list<R: Record>(read: &dyn Read, most: usize) -> Result<Vec<Keyed>, StoreError> {
    let all: Vec<R> = read.list(&Range::all().limit(most))?;
    let with_key = |one: &R| Some((KeyBuf::of(&one.id()).into_bytes(), of_record(one)?));
    Ok(all.iter().filter_map(with_key).collect())
}

/// The stored row of a record's sample.
#[must_use]
pub fn sample<R: Record>() -> Vec<u8> {
    store::codec::encode_row(R::VERSION, 1, &R::sample()).unwrap_or_default()
}
