//! Entity descriptors. A noun is a kind of record that people know by name, such as a label. Its [`Entity`] states as
//! plain data what the rest of HQ needs: tables, rights, field names, search, and events for routines. Schema,
//! reactions, history, undo, search, activity, routines, links and doctor read descriptors and name no noun that has
//! one.
//!
//! `features::cards` has the list of descriptors.

#![warn(missing_docs)]

mod address;
mod cell;
mod column;
mod field;
mod input;
mod kinds;
mod name;
mod stored;
mod value;

use std::collections::BTreeMap;

use kernel::key::{Key, KeyBuf};
use kernel::{AccountId, AgentId, Can, Event, FieldError, Problem, RowAct};
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
pub use input::{Input, InputKind, Mode, NoNames, Values, When, read as read_input, shown};
pub use kinds::{FileKind, JsonKind};
pub use name::{folded, searched, tidied};
pub use stored::{Stored, Writes};
pub use value::{Decimal, FieldValue, Target, digits, plain_url};

/// The fields of a record as JSON.
pub type Fields = Map<String, Value>;

/// The part of HQ that a noun belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Tasks, comments, deliverables.
    Work,
    /// Contacts, organizations, collections.
    Customers,
    /// Agents and their runs.
    Agents,
    /// Members, settings, connections.
    Workspace,
}

impl Area {
    /// All areas.
    pub const ALL: [Self; 4] = [Self::Work, Self::Customers, Self::Agents, Self::Workspace];

    /// Word in URLs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Customers => "customers",
            Self::Agents => "agents",
            Self::Workspace => "workspace",
        }
    }

    /// Display label.
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

/// The encoded key of a record, and the record.
pub type Keyed = (Vec<u8>, Fields);

/// Type-erased access to stored rows, created by [`Entity::of`].
#[derive(Clone, Copy)]
pub struct Rows {
    /// Decodes a row; `None` if it is unreadable.
    pub fields: fn(&[u8]) -> Option<Fields>,
    /// Parses an id into an encoded key; `None` if the text is not an id.
    pub key: fn(&str) -> Option<Vec<u8>>,
    /// Records with their encoded keys, up to a limit.
    pub list: fn(&dyn Read, usize) -> Result<Vec<Keyed>, StoreError>,
    /// The encoded row of the sample record.
    pub sample: fn() -> Vec<u8>,
}

/// Ownership of private records.
#[derive(Clone, Copy)]
pub struct Own {
    /// The only person who may read a row; `None` if all may.
    pub whose: fn(&[u8]) -> Option<AccountId>,
    /// Error code when an undo would touch another person's record.
    pub code: &'static str,
}

/// How the records of a noun appear in search.
#[derive(Clone, Copy)]
pub struct Finds {
    /// Kind number in indexes: below [`search::KINDS`], unique and never reused.
    pub number: u8,
    /// Heading of a result group: "Labels".
    pub label: &'static str,
    /// Icon of a result.
    pub glyph: &'static str,
    /// Builds the search document of a row; `None` if it is not searchable. Its audience follows from [`Entity::own`]
    /// unless the document sets one.
    pub document: fn(&[u8]) -> Option<Document>,
    /// The page of a hit, relative to the workspace, and the text after its name.
    pub hit: fn(&Fields) -> (String, String),
    /// Passages that are indexed separately, for long records.
    pub parts: Option<Parts>,
}

/// Separately indexed passages of a record.
#[derive(Clone, Copy)]
pub struct Parts {
    /// Number in indexes, next to the record's number: below [`search::KINDS`] and never reused.
    pub number: u8,
    /// Tables keyed by record whose rows hold the text.
    pub tables: &'static [u16],
    /// Reads the text of a row.
    pub text: TextOf,
    /// Splits the text of a row into one document per passage.
    pub cut: fn(&[u8], &str) -> Vec<Document>,
    /// Finds the passage of a row that matches the search words.
    pub piece: PieceOf,
}

/// A passage as shown in a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text, shortened if long.
    pub text: String,
    /// Suffix of the record's URL that opens the passage.
    pub place: String,
    /// The page or heading of the passage; may be empty.
    pub section: String,
}

/// Finds the passage of a row that matches some words: the one with the given number if it still matches (the index may
/// be older than the text), else the first that does.
pub type PieceOf =
    fn(&dyn Read, &Blobs, &[u8], (Option<u32>, &Wanted)) -> Result<Option<Piece>, StoreError>;

/// Reads the text of a row. Long text may be stored in blobs.
pub type TextOf = fn(&dyn Read, &Blobs, &[u8]) -> Result<String, StoreError>;

/// Checks whether other records depend on a row. Gets the store after the undo, the current row and the restored row.
/// Returns the reason against the undo.
pub type Rests = fn(&dyn Read, Option<&[u8]>, Option<&[u8]>) -> Result<Option<String>, StoreError>;

/// A list whose filters can be saved as views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Page path below the workspace, the list's identity in views: `contacts`.
    pub path: String,
    /// Title of the list.
    pub title: String,
    /// The record that owns the list, such as a collection; `None` for a built-in list.
    pub within: Option<Target>,
}

impl Listing {
    /// A built-in list.
    #[must_use]
    pub fn lasting(path: &str, title: &str) -> Self {
        Self { path: path.to_owned(), title: title.to_owned(), within: None }
    }
}

/// Parameters of a view by name: `q`, `layout`, `sort` and so on.
pub type LookWords<'w> = &'w [(&'static str, &'w str)];

/// Validates the parameters of a view of a list.
pub type LookFaults = fn(&dyn Read, &Listing, LookWords<'_>) -> Result<Vec<FieldError>, StoreError>;

/// The lists of a noun that can be saved as views.
#[derive(Clone, Copy)]
pub struct Lists {
    /// The paths of these lists, for people.
    pub paths: &'static str,
    /// Slugs of the built-in views.
    pub kept: &'static [&'static str],
    /// Finds a list by path or display name.
    pub find: fn(&dyn Read, &str) -> Result<Option<Listing>, StoreError>,
    /// Validates the parameters of a view.
    pub faults: LookFaults,
}

/// Handles an event in the event's transaction.
pub type React = fn(&mut WriteTx<'_>, &Event) -> Result<(), ReactionError>;

/// Renders a row as Markdown.
pub type Spoken = fn(&dyn Read, &[u8]) -> Result<String, StoreError>;

/// Converts a field's JSON for history, given the field name.
pub type Shorten = fn(&dyn Read, &str, &Value) -> Value;

/// Counts the records in use per label id.
pub type Carried = fn(&dyn Read) -> Result<BTreeMap<Uuid, usize>, StoreError>;

/// The label names of a row. Labels are read once for many rows.
pub type LabelNames = Box<dyn Fn(&[u8]) -> Vec<String>>;

/// The keys of records with one of some labels; with any label for `None`.
pub type Having = fn(&dyn Read, Option<&[Uuid]>) -> Result<Vec<Vec<u8>>, StoreError>;

/// Records of a noun that carry workspace labels.
#[derive(Clone, Copy, Debug)]
pub struct Labelled {
    /// Counts the records in use per label id.
    pub counts: Carried,
    /// The list of records with a label of this name, relative to the workspace; empty if there is none.
    pub path: fn(&str) -> String,
    /// Replaces a label on all records, or removes it. Emits an event per changed record.
    pub replace: fn(&mut WriteTx<'_>, Uuid, Option<Uuid>) -> Result<(), StoreError>,
    /// The current label names, by which records are searchable.
    pub names: fn(&dyn Read) -> Result<LabelNames, StoreError>,
    /// The records whose search text depends on labels.
    pub having: Having,
}

/// The descriptor of a kind of record.
///
/// It is plain data; [`Entity::of`] gives the defaults.
#[derive(Clone, Copy)]
pub struct Entity {
    /// Word in URLs, event kinds (`label.created`) and the API.
    pub word: &'static str,
    /// Singular, as used within a sentence.
    pub one: &'static str,
    /// Plural.
    pub many: &'static str,
    /// The part of HQ that the noun belongs to.
    pub area: Area,
    /// Table number.
    pub table: u16,
    /// Table name: the topic that open pages subscribe to.
    pub topic: &'static str,
    /// Adds the noun's tables to a schema.
    pub tables: fn(Schema) -> Schema,
    /// Access to stored rows.
    pub rows: Rows,
    /// Capability to read records and their history.
    pub read: Can,
    /// Capability to undo a change; `None` if changes cannot be undone.
    pub undo: Option<Can>,
    /// Field table. A field without an entry is shown by its JSON name.
    pub fields: &'static [Field],
    /// The title of a record, without the kind.
    pub title: fn(&Fields) -> String,
    /// The page of a record, relative to the workspace; empty if there is none.
    pub path: fn(&Fields) -> String,
    /// Ownership of private records; `None` if all records are shared.
    pub own: Option<Own>,
    /// Returns `true` if an agent may see a row; `None` if agents see every row that has no owner.
    pub agents: Option<fn(&[u8], AgentId) -> bool>,
    /// Search settings, if records are searchable.
    pub finds: Option<Finds>,
    /// Form group of the events for routines; `None` if there are none.
    pub triggers: Option<&'static str>,
    /// User-defined fields next to [`Entity::fields`], if supported. Routines refer to them as `own:KEY`.
    pub own_fields: Option<OwnFields>,
    /// Whether links of tasks can refer to a record.
    pub linked: bool,
    /// Whether history still shows the title of a deleted record that others refer to.
    pub remembered: bool,
    /// Whether records have comments and files. Requires an id as the key.
    pub discussed: bool,
    /// Reaction to events.
    pub react: Option<React>,
    /// Consistency check for doctor.
    pub check: Option<Check>,
    /// Dependency check before a change is undone.
    pub rests: Option<Rests>,
    /// The review page of records that wait for approval, relative to the workspace.
    pub review: Option<&'static str>,
    /// Whether a row waits for approval; every row of a noun with [`Entity::review`] if `None`.
    pub waits: Option<fn(&[u8]) -> bool>,
    /// Shortens a field's JSON for history.
    pub shorten: Option<Shorten>,
    /// Markdown of a whole record that can be submitted as a deliverable.
    pub spoken: Option<Spoken>,
    /// Lists that can be saved as views.
    pub lists: Option<Lists>,
    /// Use of workspace labels.
    pub labelled: Option<Labelled>,
    /// Writes through the field table; `None` if the noun has its own write rules.
    pub writes: Option<Writes>,
    /// Error code for an unknown id.
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
    /// The default descriptor for a record type: shared, not searchable, without events for routines.
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
            agents: None,
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
            waits: None,
            shorten: None,
            spoken: None,
            lists: None,
            labelled: None,
            writes: None,
            missing: "not_found",
        }
    }

    /// The default descriptor with writes through the field table.
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
        kernel::text::with_article(self.one)
    }

    /// The only person who may read a row; `None` if all may.
    #[must_use]
    pub fn owner(&self, row: &[u8]) -> Option<AccountId> {
        self.own.and_then(|own| (own.whose)(row))
    }

    /// Returns `true` if `who` may read the row, as far as ownership is concerned.
    #[must_use]
    pub fn is_for(&self, row: &[u8], who: AccountId) -> bool {
        self.owner(row).is_none_or(|owner| owner == who)
    }

    /// Returns `true` if the agent may see the row: it has no owner, and the noun's own rule allows it.
    #[must_use]
    pub fn is_for_agent(&self, row: &[u8], agent: AgentId) -> bool {
        self.owner(row).is_none() && self.agents.is_none_or(|may_see| may_see(row, agent))
    }

    /// The event for a created or deleted record.
    #[must_use]
    pub fn event(&self, id: &impl Key, act: RowAct) -> Event {
        let id = KeyBuf::of(id).into_bytes();
        Event::Row { table: self.table, id, act, fields: Vec::new() }
    }

    /// The event for a changed record.
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

    /// Reads a record by encoded key.
    pub fn get(&self, read: &dyn Read, key: &[u8]) -> Result<Option<Fields>, StoreError> {
        Ok(read.raw_get(self.table, key)?.and_then(|row| (self.rows.fields)(&row)))
    }

    /// The field with this JSON name.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The key of the record with this id or title. Empty text selects the only record, if there is just one.
    pub fn find(&self, read: &dyn Read, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        /// Maximum number of records that are scanned.
        const MOST: usize = 2_000;
        let name = name.trim();
        if let Some(key) = (self.rows.key)(name) {
            return Ok(read.raw_get(self.table, &key)?.map(|_| key));
        }
        let mut all = (self.rows.list)(read, MOST)?;
        if name.is_empty() && all.len() == 1 {
            return Ok(all.pop().map(|(key, _)| key));
        }
        let wanted = name.to_lowercase();
        let mut fits = all.into_iter().filter(|(_, fields)| {
            !wanted.is_empty() && (self.title)(fields).to_lowercase() == wanted
        });
        let found = fits.next().map(|(key, _)| key);
        // Of several with one name, none is meant.
        Ok(found.filter(|_| fits.next().is_none()))
    }
}

/// Decodes a row into its type; `None` if it is unreadable.
#[must_use]
pub fn decode_row<R: Record>(row: &[u8]) -> Option<R> {
    record::read::<R>(row).ok().map(|(row, _)| row)
}

/// A text field of a record; empty if it is absent.
#[must_use]
pub fn text_of<'f>(fields: &'f Fields, key: &str) -> &'f str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Reads the keys and labels of the user-defined fields of a noun.
pub type OwnFields = fn(&dyn Read) -> Result<Vec<(String, String)>, StoreError>;

/// Converts the error of a rule into a [`ReactionError`] of the reaction `name`.
///
/// # Errors
/// The converted error.
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

/// Decodes a row into JSON fields; `None` if it is unreadable.
#[must_use]
pub fn fields<R: Record>(row: &[u8]) -> Option<Fields> {
    of_record(&decode_row::<R>(row)?)
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

/// The encoded row of the sample record.
#[must_use]
pub fn sample<R: Record>() -> Vec<u8> {
    store::codec::encode_row(R::VERSION, 1, &R::sample()).unwrap_or_default()
}
