//! One definition per act. A [`Noun`] is an [`Entity`] with its operations; from it follow API routes with their OpenAPI
//! entries ([`api`]), tools of agents ([`tools`]), a settings page with list, form, history and buttons ([`pages`]), and
//! the commands of `hq` (package `cli`).
//!
//! Rules stay plain functions over a transaction: checks in [`entity::Stored`], operations in [`Op::run`]. Nothing here
//! knows a noun. `docs/extending.md` walks through a noun of 60 lines.

// Templates name what stands here by its full path.
extern crate self as kit;

mod api;
mod form;
mod names;
mod pages;
mod records;
pub mod registry;
mod schema;
mod tools;

use std::any::Any;

use entity::{Entity, Field, Fields, Values};
use kernel::{Can, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Index, Read, StoreError, WriteTx};

pub use api::routes as api;
pub use pages::routes as pages;
pub use tools::registry as tools;

/// A noun with all that can be done with it.
pub struct Noun {
    pub entity: &'static Entity,
    /// Its word in addresses, in the plural: `labels`.
    pub plural: &'static str,
    /// The name of a record's part in its address; the word of the entity where it is empty.
    pub param: &'static str,
    /// What it is for, in a sentence: heading of its page, summary of its commands.
    pub about: &'static str,
    /// Which of create, change and delete people, programs and agents have.
    pub acts: Acts,
    /// The right to write.
    pub write: Can,
    /// The key that a name means, where that is not a record's title in any case.
    pub find: Option<Find>,
    /// The index in whose order records are listed; that of their keys without one.
    pub order: Option<Index>,
    /// Whether lists come in pages of `limit` records; without, they come whole.
    pub paged: bool,
    /// Which records a list has, where that is asked for; it comes whole then.
    pub select: Option<Select>,
    /// Fields that are computed from other records.
    pub extra: Option<Extra>,
    /// What the API answers when a record is deleted.
    pub deleted: Deleted,
    /// Operations beside create, change and delete.
    pub ops: &'static [Op],
    /// Whether `hq` has commands for it.
    pub commands: bool,
    /// What agents have of it.
    pub tools: Tools,
    /// Its page in the settings.
    pub page: Option<Page>,
}

/// Finds the key of the record that a name means.
pub type Find = fn(&dyn Read, &str) -> Result<Option<Vec<u8>>, StoreError>;

impl Noun {
    /// A noun of this entity: created, changed and deleted by whoever may write, listed in pages, without tools and
    /// without a page.
    #[must_use]
    pub const fn of(entity: &'static Entity, plural: &'static str, about: &'static str) -> Self {
        Self {
            entity,
            plural,
            param: "",
            about,
            acts: Acts::ALL,
            write: Can::Write,
            find: None,
            order: None,
            paged: true,
            select: None,
            extra: None,
            deleted: Deleted::Nothing,
            ops: &[],
            commands: true,
            tools: Tools::NONE,
            page: None,
        }
    }

    /// Whether its lists come in pages.
    #[must_use]
    pub fn is_paged(&self) -> bool {
        self.paged && self.select.is_none()
    }

    /// The operation with this name.
    #[must_use]
    pub fn op(&self, name: &str) -> Option<&'static Op> {
        self.ops.iter().find(|op| op.name == name)
    }
}

/// Which of the usual acts a noun has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acts {
    pub create: bool,
    pub change: bool,
    pub delete: bool,
}

impl Acts {
    /// All of them.
    pub const ALL: Self = Self { create: true, change: true, delete: true };
    /// None: it is read.
    pub const NONE: Self = Self { create: false, change: false, delete: false };
}

/// What the API answers when a record is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The record as it was.
    Record,
    /// Nothing: 204.
    Nothing,
}

/// A choice of records, with parameters.
#[derive(Clone, Copy)]
pub struct Select {
    /// Its parameters behind the question mark.
    pub params: &'static [Field],
    /// The keys of the records, in their order. Somebody's own are left out behind this.
    pub keys: SelectKeys,
}

/// Finds the keys of the records that fit some parameters.
pub type SelectKeys = fn(&dyn Read, &Values) -> Result<Vec<Vec<u8>>, Error>;

/// Computed fields of a noun.
#[derive(Clone, Copy)]
pub struct Extra {
    /// The JSON schema of each, by its name.
    pub schema: fn() -> Fields,
    /// Reads what they need, once for a whole list.
    pub prepare: Prepare,
    /// Whether only lists have them.
    pub in_lists: bool,
}

/// Reads what the computed fields of a list need.
pub type Prepare = for<'r> fn(&'r dyn Read) -> Result<ExtraOf<'r>, StoreError>;

/// The computed fields of one record.
pub type ExtraOf<'r> = Box<dyn Fn(&Fields) -> Result<Fields, StoreError> + 'r>;

/// What agents have of a noun: a tool to list it and one to save it, each if it says something.
#[derive(Clone, Copy)]
pub struct Tools {
    pub group: tool::Group,
    /// What `<word>_list` is for; empty for none.
    pub list: &'static str,
    /// What `<word>_save` is for; empty for none.
    pub save: &'static str,
}

impl Tools {
    /// No tools.
    pub const NONE: Self = Self { group: tool::Group::Work, list: "", save: "" };
}

/// The page of a noun in the settings, at `settings/<plural>`.
#[derive(Clone, Copy)]
pub struct Page {
    /// Its heading.
    pub title: &'static str,
    /// A row of its list.
    pub row: fn(&Fields) -> Row,
    /// The tables beside its own whose changes renew the list.
    pub live: fn() -> Vec<&'static str>,
    /// What deleting a record does, for the question before it.
    pub delete: &'static str,
}

/// A record in the list of its page.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The colour of its name, drawn as a chip; empty for plain text.
    pub colour: String,
    /// A line about it.
    pub about: String,
    /// A state with its tone, such as `("Paused", "warn")`.
    pub state: Option<(&'static str, &'static str)>,
    /// What belongs to it: words, and a path below the workspace or nothing.
    pub marks: Vec<(String, String)>,
}

impl Row {
    /// A row of a record with a name and perhaps a description.
    #[must_use]
    pub fn plain(record: &Fields) -> Self {
        Self {
            name: entity::text_of(record, "name").to_owned(),
            about: entity::text_of(record, "description").to_owned(),
            ..Self::default()
        }
    }
}

/// What an operation is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The noun as a whole: `POST /api/v1/labels/<op>`.
    All,
    /// One record: `POST /api/v1/labels/{label}/<op>`.
    One,
}

/// An operation beside create, change and delete.
pub struct Op {
    /// Its word in addresses and commands: `merge`.
    pub name: &'static str,
    pub on: On,
    pub can: Can,
    /// What it does to the workspace or outside of it: what permissions decide by.
    pub effect: tool::Effect,
    /// What it does, in a sentence without a full stop.
    pub about: &'static str,
    /// The words on its button.
    pub verb: &'static str,
    /// The words of the page when it is done, before the name of the record that it answers: `Merged into`.
    pub done: &'static str,
    /// What the page asks before it; empty asks nothing.
    pub confirm: &'static str,
    /// The fields that it takes.
    pub input: &'static [Field],
    /// What it answers.
    pub answers: Answers,
    /// Whether agents have it, as `<word>_<name>`.
    pub tool: bool,
    pub run: Run,
}

/// The form of an operation's answer.
#[derive(Clone, Copy)]
pub enum Answers {
    /// A record of the noun.
    Record,
    /// JSON of this schema.
    Json(fn() -> Value),
    /// Nothing: 204.
    Empty,
}

/// How an operation is run.
#[derive(Clone, Copy)]
pub enum Run {
    /// In one transaction.
    Write(fn(&OpCx<'_>, &mut WriteTx<'_>) -> Result<Reply, Error>),
    /// First outside of a transaction, for what needs randomness, keys, files or the network; then in one. The first
    /// part may block and may run twice.
    Prepared(
        fn(&OpCx<'_>, &app::Ws) -> Result<Prepared, Error>,
        fn(&OpCx<'_>, &mut WriteTx<'_>, Prepared) -> Result<Reply, Error>,
    ),
}

/// What the first part of an operation hands to its second.
pub type Prepared = Box<dyn Any + Send>;

/// Where an operation is run.
pub struct OpCx<'c> {
    pub noun: &'static Noun,
    /// The key of the record, of an operation on one.
    pub key: Option<&'c [u8]>,
    /// The values of its fields.
    pub input: &'c Values,
}

impl OpCx<'_> {
    /// The key of the record.
    ///
    /// # Errors
    /// Of an operation on all.
    pub fn key(&self) -> Result<&[u8], Error> {
        self.key.ok_or_else(|| self.noun.entity.not_found(""))
    }

    /// The id of the record.
    ///
    /// # Errors
    /// Of an operation on all, or of another kind of record.
    pub fn id<I: kernel::key::Key>(&self) -> Result<I, Error> {
        kernel::key::decode(self.key()?).ok_or_else(|| self.noun.entity.not_found(""))
    }

    /// The record.
    ///
    /// # Errors
    /// When it is gone.
    pub fn record<R: store::Record>(&self, read: &dyn Read) -> Result<R, Error> {
        let row = read.raw_get(self.noun.entity.table, self.key()?)?;
        let record = row.as_deref().and_then(entity::typed::<R>);
        record.ok_or_else(|| self.noun.entity.not_found(""))
    }

    /// Changes fields of the record, with the checks of its noun, and answers it.
    ///
    /// # Errors
    /// What the checks refuse.
    pub fn change<const N: usize>(
        &self,
        tx: &mut WriteTx<'_>,
        fields: [(&str, Value); N],
    ) -> Result<Reply, Error> {
        let values = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        self.noun.entity.update(tx, self.key()?, None, &values)?;
        Ok(Reply::Record(self.key()?.to_vec()))
    }

    /// A whole number of the input; 0 when it was not sent.
    #[must_use]
    pub fn count(&self, key: &str) -> i64 {
        self.input.get(key).and_then(Value::as_i64).unwrap_or(0)
    }

    /// A text of the input; empty when it was not sent.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        entity::text_of(self.input, key)
    }

    /// A yes or no of the input; no when it was not sent.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.input.get(key).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// What an operation answers. Kept for 24 hours under the key of its request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The record with this key, as it is after the transaction.
    Record(Vec<u8>),
    /// This JSON.
    Json(String),
    /// Nothing: 204.
    Empty,
}

impl Reply {
    /// The record with this id.
    #[must_use]
    pub fn record(id: &impl kernel::key::Key) -> Self {
        Self::Record(kernel::key::KeyBuf::of(id).into_bytes())
    }

    /// Any value.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::Json(value.to_string())
    }
}
