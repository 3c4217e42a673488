//! One definition per operation. A [`Noun`] is an [`Entity`] with its operations. API routes with OpenAPI entries
//! ([`api`]), agent tools ([`tools`]), a settings page with list, form, history and buttons ([`pages`]), and the
//! commands of `hq` (package `cli`) are derived from it.
//!
//! Rules stay plain functions over a transaction: checks in [`entity::Stored`], operations in [`Op::run`]. The kit
//! contains no noun-specific code. `docs/extending.md` walks through the sample noun.

// Templates refer to this package by its full path.
extern crate self as kit;

mod api;
mod form;
mod leave;
mod names;
mod pages;
mod parts;
mod records;
pub mod registry;
mod schema;
mod tools;
mod upload;

use std::any::Any;

use entity::{Entity, Field, Fields, Values};
use features::deliverables::queries::diff::Line;
use kernel::{Can, Error, ProblemKind, Via};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{BlobId, Index, Read, StoreError, WriteTx};
use web::session::{PROOF_REQUIRED, Person};

pub use api::routes as api;
pub use pages::routes as pages;
pub use tools::registry as tools;

/// A noun with its operations.
pub struct Noun {
    pub entity: &'static Entity,
    /// Plural word in URLs: `labels`.
    pub plural: &'static str,
    /// Path parameter for a record; the entity's word if empty.
    pub param: &'static str,
    /// Description in one sentence: page heading and command summary.
    pub about: &'static str,
    /// Which of create, change and delete are available.
    pub acts: Acts,
    /// Capability to write.
    pub write: Can,
    /// Resolves a name to a key. By default, titles are compared case-insensitively.
    pub find: Option<Find>,
    /// Index that determines the list order; key order if `None`.
    pub order: Option<Index>,
    /// Whether lists are paged by `limit`. If not, they are returned whole.
    pub paged: bool,
    /// Custom record selection. The list is then returned whole.
    pub select: Option<Select>,
    /// Fields computed from other records.
    pub extra: Option<Extra>,
    /// API response to a deletion.
    pub deleted: Deleted,
    /// Operations besides create, change and delete.
    pub ops: &'static [Op],
    /// Whether `hq` has commands for the noun.
    pub commands: bool,
    /// Its command word; the entity's word if empty.
    pub command: &'static str,
    /// The list field that takes the words after `--` of `hq <noun> add`; empty for none.
    pub trailing: &'static str,
    /// Which writes need a person with a recent proof of identity.
    pub proof: Option<NeedsProof>,
    /// Completes the values that API, commands and page send to create or change a record.
    pub complete: Option<Complete>,
    /// Agent tools.
    pub tools: Tools,
    /// Settings page.
    pub page: Option<Page>,
}

/// Whether a write needs a person with a recent proof of identity: given `create`, `change` or the name of an
/// operation, and the sent values (`None` for a form that is still empty). API tokens are refused then.
pub type NeedsProof = fn(&str, Option<&Values>) -> bool;

/// Completes sent values before the transaction, for network access. It gets the key of a changed record. It may block,
/// and may run twice.
pub type Complete = fn(&app::Ws, Option<&[u8]>, Values) -> Result<Values, Error>;

/// Resolves a name to a record key.
pub type Find = fn(&dyn Read, &str) -> Result<Option<Vec<u8>>, StoreError>;

impl Noun {
    /// A noun with defaults: all writes for holders of the write capability, paged lists, no tools, no page.
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
            command: "",
            trailing: "",
            proof: None,
            complete: None,
            tools: Tools::NONE,
            page: None,
        }
    }

    /// The word of its commands.
    #[must_use]
    pub fn word(&self) -> &'static str {
        if self.command.is_empty() { self.entity.word } else { self.command }
    }

    /// Refuses a write that needs a person with a recent proof of identity.
    pub(crate) fn check_proof(
        &self,
        who: &Person,
        act: &str,
        values: &Values,
    ) -> Result<(), Error> {
        let needs = |values| self.proof.is_some_and(|needs| needs(act, values));
        let file = self.op(act).and_then(Op::file);
        let has_file = file.is_some_and(|file| values.contains_key(file.key));
        // A person who sends a file gives the proof that the form asks for. A token can't, and needs none for that.
        let is_form = !matches!(who.via, Via::Token(_) | Via::Channel(_));
        let is_needed = needs(Some(values)) || (has_file && is_form && needs(None));
        if !is_needed {
            return Ok(());
        }
        let refused = |code, text: &str| Error::new(ProblemKind::Forbidden, code, text);
        match who.via {
            Via::Token(_) | Via::Channel(_) => {
                let text = "an API token can't do this; use a browser, or hq on the server";
                Err(refused("person_required", text))
            }
            Via::SignIn(_) | Via::Socket { .. } if who.is_proved => Ok(()),
            Via::SignIn(_) | Via::Socket { .. } => {
                let text = "confirm it's you first, as with /api/v1/proof; that lasts ten minutes";
                Err(refused(PROOF_REQUIRED, text))
            }
        }
    }

    /// The sent values, completed by the noun.
    pub(crate) fn completed(
        &self,
        ws: &app::Ws,
        key: Option<&[u8]>,
        values: Values,
    ) -> Result<Values, Error> {
        match self.complete {
            Some(complete) => complete(ws, key, values),
            None => Ok(values),
        }
    }

    /// Returns `true` if lists are paged.
    #[must_use]
    pub fn is_paged(&self) -> bool {
        self.paged && self.select.is_none()
    }

    /// Finds an operation by name.
    #[must_use]
    pub fn op(&self, name: &str) -> Option<&'static Op> {
        self.ops.iter().find(|op| op.name == name)
    }
}

/// Which of the standard writes a noun has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acts {
    pub create: bool,
    pub change: bool,
    pub delete: bool,
}

impl Acts {
    pub const ALL: Self = Self { create: true, change: true, delete: true };
    /// Read-only.
    pub const NONE: Self = Self { create: false, change: false, delete: false };
}

/// API response to a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The deleted record.
    Record,
    /// 204 without a body.
    Nothing,
}

/// A custom record selection with parameters.
#[derive(Clone, Copy)]
pub struct Select {
    /// Query parameters.
    pub params: &'static [Field],
    /// The keys of the records, in order. Private records of others are filtered out afterwards.
    pub keys: SelectKeys,
}

/// Selects record keys by parameters.
pub type SelectKeys = fn(&dyn Read, &Values) -> Result<Vec<Vec<u8>>, Error>;

/// Computed fields of a noun.
#[derive(Clone, Copy)]
pub struct Extra {
    /// JSON schema per field name.
    pub schema: fn() -> Fields,
    /// Reads shared data once for a whole list.
    pub prepare: Prepare,
    /// Whether only lists have these fields.
    pub in_lists: bool,
}

/// Reads the data that the computed fields of a list need.
pub type Prepare = for<'r> fn(&'r dyn Read) -> Result<ExtraOf<'r>, StoreError>;

/// The computed fields of one record.
pub type ExtraOf<'r> = Box<dyn Fn(&Fields) -> Result<Fields, StoreError> + 'r>;

/// Agent tools of a noun. A tool exists if its description is not empty.
#[derive(Clone, Copy)]
pub struct Tools {
    pub group: tool::Group,
    /// Description of `<word>_list`; empty for none.
    pub list: &'static str,
    /// Description of `<word>_save`; empty for none.
    pub save: &'static str,
}

impl Tools {
    /// No tools.
    pub const NONE: Self = Self { group: tool::Group::Work, list: "", save: "" };
}

/// Settings page of a noun, at `settings/<plural>`.
#[derive(Clone, Copy)]
pub struct Page {
    pub title: &'static str,
    /// Renders a row of the list.
    pub row: fn(&Fields) -> Row,
    /// Additional tables whose changes refresh the list.
    pub live: fn() -> Vec<&'static str>,
    /// The effect of a deletion, for the confirmation.
    pub delete: &'static str,
    /// Pages shown as tabs: plural and label. Only the first is in the settings menu. Empty for a page of its own.
    pub tabs: &'static [(&'static str, &'static str)],
    /// What the page of one record shows besides its form.
    pub detail: DetailOf,
    /// Things of the same kind that are no records of the noun, listed below its records.
    pub others: OthersOf,
}

/// The sections of a record, by its fields.
pub type DetailOf = fn(&app::Ws, &dyn Read, &Fields) -> Result<Vec<Section>, StoreError>;

/// The lists below the records of a page.
pub type OthersOf = fn(&app::Ws, &dyn Read) -> Result<Vec<Group>, StoreError>;

/// For [`Page::detail`]: nothing.
///
/// # Errors
/// Never.
pub fn no_detail(_: &app::Ws, _: &dyn Read, _: &Fields) -> Result<Vec<Section>, StoreError> {
    Ok(Vec::new())
}

/// For [`Page::others`]: nothing.
///
/// # Errors
/// Never.
pub fn no_others(_: &app::Ws, _: &dyn Read) -> Result<Vec<Group>, StoreError> {
    Ok(Vec::new())
}

/// A list below the records of a settings page.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub title: String,
    /// Rows, each with the path of its page relative to the workspace, or an empty one.
    pub rows: Vec<(Row, String)>,
}

/// A part of the page of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub title: String,
    pub body: SectionBody,
}

/// The content of a [`Section`]. Nothing in it is interpreted as markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionBody {
    Text(String),
    /// Text in a fixed-width font, with its line breaks.
    Code(String),
    /// The differences between an old and a new text.
    Changes(String, String),
    /// Lines of a difference.
    Lines(Vec<Line>),
}

/// A row in the list of a settings page.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub name: String,
    /// Path of a picture relative to the workspace; empty for none.
    pub picture: String,
    /// Chip colour of the name; empty for plain text.
    pub colour: String,
    /// A line of description.
    pub about: String,
    /// Status with its tone, such as `("Paused", "warn")`.
    pub state: Option<(&'static str, &'static str)>,
    /// Related items: text, and a path relative to the workspace or empty.
    pub marks: Vec<(String, String)>,
}

impl Row {
    /// A row with the record's name and description.
    #[must_use]
    pub fn plain(record: &Fields) -> Self {
        Self {
            name: entity::text_of(record, "name").to_owned(),
            about: entity::text_of(record, "description").to_owned(),
            ..Self::default()
        }
    }
}

/// The target of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The noun as a whole: `POST /api/v1/labels/<op>`.
    All,
    /// One record: `POST /api/v1/labels/{label}/<op>`.
    One,
}

/// An operation besides create, change and delete.
pub struct Op {
    /// Word in URLs and commands: `merge`.
    pub name: &'static str,
    pub on: On,
    pub can: Can,
    /// Effect on the workspace or external systems. Permissions depend on it.
    pub effect: tool::Effect,
    /// Description in one sentence without a full stop.
    pub about: &'static str,
    /// Button label.
    pub verb: &'static str,
    /// Success message, followed by the name of the returned record: `Merged into`.
    pub done: &'static str,
    /// Confirmation question; empty for none.
    pub confirm: &'static str,
    pub input: &'static [Field],
    /// Type of the response.
    pub answers: Answers,
    /// Whether agents have the operation as the tool `<word>_<name>`.
    pub tool: bool,
    /// Instructions above the form: titles with Markdown.
    pub guide: fn() -> Vec<(&'static str, &'static str)>,
    /// Fields that a link to the form may fill in. On the page of a record that has a field of the same name, they begin
    /// with its value.
    pub links: &'static [&'static str],
    /// Whether the page of a record offers the operation, by the record's fields; the page of the noun, with none. API and
    /// commands always have it.
    pub offered: fn(&Fields) -> bool,
    pub run: Run,
}

impl Op {
    /// The field of its input that takes a file. There is at most one.
    #[must_use]
    pub fn file(&self) -> Option<&'static Field> {
        self.input.iter().find(|field| field.file_kind().is_some())
    }
}

/// An uploaded file. No record refers to its blob yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentFile {
    pub name: String,
    pub blob: BlobId,
    /// In bytes.
    pub size: u64,
}

/// For [`Op::guide`]: none.
#[must_use]
pub fn no_guide() -> Vec<(&'static str, &'static str)> {
    Vec::new()
}

/// For [`Op::guide`]: the sections of a Markdown text whose headings of level 2 start with `word`, which is cut off.
#[must_use]
pub fn sections(text: &'static str, word: &str) -> Vec<(&'static str, &'static str)> {
    let parts = text.split("\n## ").skip(1);
    parts.filter_map(|part| part.strip_prefix(word)?.trim_start().split_once('\n')).collect()
}

/// For [`Op::offered`]: every record's page has the operation.
#[must_use]
pub fn always(_: &Fields) -> bool {
    true
}

/// Type of an operation's response.
#[derive(Clone, Copy)]
pub enum Answers {
    /// A record of the noun.
    Record,
    /// JSON with this schema.
    Json(fn() -> Value),
    /// JSON with this schema that shows a secret once: it is not stored, so that a repeated request runs again.
    Secret(fn() -> Value),
    /// JSON with this schema whose `url` a person opens in a browser; `host` names its host. It is not stored.
    Link(fn() -> Value),
    /// 204 without a body.
    Empty,
}

/// How an operation runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// In one transaction.
    Write(fn(&OpCx<'_>, &mut WriteTx<'_>) -> Result<Reply, Error>),
    /// In two steps: first without a transaction, for randomness, keys, files or network access; then in a transaction.
    /// The first step may block and may run twice.
    Prepared(
        fn(&OpCx<'_>, &app::Ws) -> Result<Prepared, Error>,
        fn(&OpCx<'_>, &mut WriteTx<'_>, Prepared) -> Result<Reply, Error>,
    ),
}

/// Data passed from the first step of an operation to the second.
pub type Prepared = Box<dyn Any + Send>;

/// Context of an operation.
pub struct OpCx<'c> {
    pub noun: &'static Noun,
    /// Key of the record; `None` for operations on the whole noun.
    pub key: Option<&'c [u8]>,
    pub input: &'c Values,
}

impl OpCx<'_> {
    /// The key of the record.
    ///
    /// # Errors
    /// If the operation is on the whole noun.
    pub fn key(&self) -> Result<&[u8], Error> {
        self.key.ok_or_else(|| self.noun.entity.not_found(""))
    }

    /// The id of the record.
    ///
    /// # Errors
    /// If the operation is on the whole noun, or the id type does not match.
    pub fn id<I: kernel::key::Key>(&self) -> Result<I, Error> {
        kernel::key::decode(self.key()?).ok_or_else(|| self.noun.entity.not_found(""))
    }

    /// The record.
    ///
    /// # Errors
    /// If it was deleted.
    pub fn record<R: store::Record>(&self, read: &dyn Read) -> Result<R, Error> {
        let row = read.raw_get(self.noun.entity.table, self.key()?)?;
        let record = row.as_deref().and_then(entity::decode_row::<R>);
        record.ok_or_else(|| self.noun.entity.not_found(""))
    }

    /// Changes fields of the record with the noun's checks, and returns it.
    ///
    /// # Errors
    /// Rejections by the checks.
    pub fn change<const N: usize>(
        &self,
        tx: &mut WriteTx<'_>,
        fields: [(&str, Value); N],
    ) -> Result<Reply, Error> {
        let values = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        self.noun.entity.update(tx, self.key()?, None, &values)?;
        Ok(Reply::Record(self.key()?.to_vec()))
    }

    /// An integer of the input; 0 if absent.
    #[must_use]
    pub fn count(&self, key: &str) -> i64 {
        self.input.get(key).and_then(Value::as_i64).unwrap_or(0)
    }

    /// A text of the input; empty if absent.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        entity::text_of(self.input, key)
    }

    /// The file of the input; `None` if none was sent.
    #[must_use]
    pub fn file(&self, key: &str) -> Option<SentFile> {
        let file = self.input.get(key)?.as_object()?;
        Some(SentFile {
            name: entity::text_of(file, "name").to_owned(),
            blob: entity::text_of(file, "blob").parse().ok()?,
            size: file.get("size").and_then(Value::as_u64).unwrap_or(0),
        })
    }

    /// A boolean of the input; `false` if absent.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.input.get(key).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// Reply of an operation. Stored for 24 hours under the request's idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The record with this key, in its state after the transaction.
    Record(Vec<u8>),
    /// This JSON.
    Json(String),
    /// 204 without a body.
    Empty,
}

impl Reply {
    /// The record with this id.
    #[must_use]
    pub fn record(id: &impl kernel::key::Key) -> Self {
        Self::Record(kernel::key::KeyBuf::of(id).into_bytes())
    }

    /// Any JSON value.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::Json(value.to_string())
    }
}
