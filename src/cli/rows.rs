//! `hq contact …`, `hq org …`, `hq record …`, `hq collection …`: records of cells. One function does what
//! the three kinds of records have in common; values are given as `key=value`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Common;
use super::agents::{items, word};
use super::commands::print;
use super::door::{Ask, Door};
use super::exports::{Export, export};
use super::fields::field_row;
use super::imports::{File, import};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{listed, part, query, quoted};
use super::tasks::flags::{Attach, Which as Named};
use super::tasks::{files, talk};

/// `hq contact …`, `hq org …`
#[derive(Subcommand)]
pub enum Command {
    /// List those that match words and conditions, such as stage:lead -tag:vip created:<7d
    List(Which),
    /// Show one, by name, email address or id, with the origin of each value
    Show(One),
    /// Create one: name=… and other values
    Add(Values),
    /// Change values: key=value; key= clears a value
    Edit {
        /// Its name, email address or id
        which: String,
        #[command(flatten)]
        values: Values,
    },
    /// Archive one
    Archive(One),
    /// Restore an archived one, by id
    Restore(One),
    /// Delete one; undo restores it
    Remove(One),
    /// Log an interaction or a note
    Log(Log),
    #[command(flatten)]
    On(OnOne),
    /// Import a CSV, JSON or XLSX file
    Import(File),
    /// Export all that match words and conditions, with all fields
    Export(Export),
}

/// What hangs on a row: its comments and files.
#[derive(Subcommand)]
pub enum OnOne {
    /// Comment on one; @slug gives an agent work
    Comment {
        #[command(flatten)]
        one: One,
        /// Markdown; - reads standard input
        text: String,
    },
    /// List comments on one, oldest first
    Comments(One),
    /// Attach files to one
    Attach {
        #[command(flatten)]
        one: One,
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List the files on one
    Files(One),
}

/// `hq record …`
#[derive(Subcommand)]
pub enum RecordCommand {
    /// List records of a collection that match words and conditions
    List {
        /// The collection's name or id
        collection: String,
        #[command(flatten)]
        which: Which,
    },
    /// Show a record, by id, with the origin of each value
    Show(One),
    /// Add a record: name=… and other values
    Add {
        /// The collection's name or id
        collection: String,
        #[command(flatten)]
        values: Values,
    },
    /// Change values: key=value; key= clears a value
    Edit {
        /// Its id
        which: String,
        #[command(flatten)]
        values: Values,
    },
    /// Archive a record
    Archive(One),
    /// Restore an archived record
    Restore(One),
    /// Delete a record; undo restores it
    Remove(One),
    #[command(flatten)]
    On(OnOne),
    /// Import a CSV, JSON or XLSX fileto a collection
    Import {
        /// The collection's name or id
        collection: String,
        #[command(flatten)]
        file: File,
    },
    /// Export all records of a collection that match words and conditions, with all fields
    Export {
        /// The collection's name or id
        collection: String,
        #[command(flatten)]
        export: Export,
    },
}

/// `hq collection …`
#[derive(Subcommand)]
pub enum CollectionCommand {
    /// List collections with their number of records
    List(At),
    /// Show a collection with its fields
    Show(One),
    /// Create a collection
    Add {
        /// The name
        name: String,
        /// One emoji
        #[arg(long)]
        icon: Option<String>,
        /// The description, in one line
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Delete a collection with its records; undo restores them
    Remove(One),
}

/// Where.
#[derive(Args)]
pub struct At {
    #[command(flatten)]
    pub(super) place: Place,
}

/// Which rows.
#[derive(Args)]
pub struct Which {
    /// Words and conditions
    q: Option<String>,
    /// The key of a field; with - in front, descending
    #[arg(long, allow_hyphen_values = true)]
    sort: Option<String>,
    /// Only archived ones
    #[arg(long)]
    archived: bool,
    /// Maximum number, up to 500
    #[arg(long)]
    limit: Option<usize>,
    #[command(flatten)]
    place: Place,
}

/// One row.
#[derive(Args)]
pub struct One {
    /// Its name, email address or id
    pub(super) which: String,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Values of a row.
#[derive(Args)]
pub struct Values {
    /// key=value
    #[arg(value_name = "KEY=VALUE")]
    values: Vec<String>,
    #[command(flatten)]
    place: Place,
}

impl Values {
    fn body(&self) -> Result<Map<String, Value>, CommandError> {
        let mut body = Map::new();
        for pair in &self.values {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                CommandError::Failed(format!("write key=value instead of {}", quoted(pair)))
            })?;
            let value = if value.is_empty() { Value::Null } else { Value::from(value) };
            body.insert(key.trim().to_owned(), value);
        }
        match body.is_empty() {
            true => Err(CommandError::Failed(
                "give at least one key=value; see `hq field list` for the keys".to_owned(),
            )),
            false => Ok(body),
        }
    }
}

/// A talk to be written down.
#[derive(Args)]
pub struct Log {
    /// With whom: a name, an email address or an id
    which: String,
    /// What was said
    text: String,
    /// email, call, meeting, note and others
    #[arg(long, default_value = "note")]
    kind: String,
    /// A summary, in one line
    #[arg(long)]
    subject: Option<String>,
    /// The follow-up
    #[arg(long, requires = "on")]
    next: Option<String>,
    /// The day of the follow-up (2026-12-24)
    #[arg(long, value_name = "DAY")]
    on: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// A kind of rows.
#[derive(Clone, Copy)]
pub struct RowKind {
    path: &'static str,
    none: &'static str,
    /// What names one in front of its id.
    word: &'static str,
    /// The field of a talk that names one.
    whose: &'static str,
}

pub const CONTACTS: RowKind =
    RowKind { path: "contacts", none: "No contacts.", word: "contact", whose: "contact" };
pub const ORGANIZATIONS: RowKind = RowKind {
    path: "organizations",
    none: "No organizations.",
    word: "organization",
    whose: "organization",
};
const RECORDS: RowKind =
    RowKind { path: "records", none: "No records.", word: "record", whose: "" };

impl RowKind {
    fn one(self, which: &str) -> String {
        format!("/api/v1/{}/{}", self.path, part(which))
    }
}

/// One by what it is called, as comments and files name it.
async fn named(door: &Door, book: RowKind, one: One) -> Result<Named, CommandError> {
    let ask = Ask::get(book.one(&one.which)).within(one.place.workspace.as_ref());
    let found = door.call(ask).await?;
    Ok(Named { task: format!("{}:{}", book.word, word(&found, "id")), place: one.place })
}

/// Runs a command of contacts or organizations.
pub async fn run(
    common: &Common,
    door: &Door,
    book: RowKind,
    command: Command,
) -> Result<u8, CommandError> {
    match command {
        Command::List(which) => {
            list(common, door, (book, format!("/api/v1/{}", book.path)), &which).await
        }
        Command::Show(one) => show(common, door, book, &one).await,
        Command::Add(values) => add(common, door, format!("/api/v1/{}", book.path), &values).await,
        Command::Edit { which, values } => edit(common, door, (book, &which), &values).await,
        Command::Archive(one) => set_archived(common, door, (book, &one), true).await,
        Command::Restore(one) => set_archived(common, door, (book, &one), false).await,
        Command::Remove(one) => remove(common, door, book.one(&one.which), &one).await,
        Command::Log(log) => write_down(common, door, book, &log).await,
        Command::On(command) => on_one(common, door, book, command).await,
        Command::Import(file) => import(common, door, book.path, &file).await,
        Command::Export(flags) => {
            export(common, door, (&format!("/api/v1/{}", book.path), book.path), &flags).await
        }
    }
}

/// Runs a command about what hangs on a row.
async fn on_one(
    common: &Common,
    door: &Door,
    book: RowKind,
    command: OnOne,
) -> Result<u8, CommandError> {
    match command {
        OnOne::Comment { one, text } => {
            let which = named(door, book, one).await?;
            talk::comment(common, door, &which, (&text, None)).await
        }
        OnOne::Comments(one) => talk::comments(common, door, &named(door, book, one).await?).await,
        OnOne::Attach { one, files } => {
            let which = named(door, book, one).await?;
            files::attach(common, door, Attach { which, files }).await
        }
        OnOne::Files(one) => files::list(common, door, &named(door, book, one).await?).await,
    }
}

/// Runs a command of records.
pub async fn run_record(
    common: &Common,
    door: &Door,
    command: RecordCommand,
) -> Result<u8, CommandError> {
    let of = |collection: &str| format!("/api/v1/collections/{}/records", part(collection));
    match command {
        RecordCommand::List { collection, which } => {
            list(common, door, (RECORDS, of(&collection)), &which).await
        }
        RecordCommand::Show(one) => show(common, door, RECORDS, &one).await,
        RecordCommand::Add { collection, values } => {
            add(common, door, of(&collection), &values).await
        }
        RecordCommand::Edit { which, values } => {
            edit(common, door, (RECORDS, &which), &values).await
        }
        RecordCommand::Archive(one) => set_archived(common, door, (RECORDS, &one), true).await,
        RecordCommand::Restore(one) => set_archived(common, door, (RECORDS, &one), false).await,
        RecordCommand::Remove(one) => remove(common, door, RECORDS.one(&one.which), &one).await,
        RecordCommand::On(command) => on_one(common, door, RECORDS, command).await,
        RecordCommand::Import { collection, file } => {
            import(common, door, &collection, &file).await
        }
        RecordCommand::Export { collection, export: flags } => {
            export(common, door, (&of(&collection), &collection), &flags).await
        }
    }
}

/// Runs a command of collections.
pub async fn run_collection(
    common: &Common,
    door: &Door,
    command: CollectionCommand,
) -> Result<u8, CommandError> {
    let at = |which: &str| format!("/api/v1/collections/{}", part(which));
    match command {
        CollectionCommand::List(here) => {
            let ask = Ask::get("/api/v1/collections").within(here.place.workspace.as_ref());
            let all = door.call(ask).await?;
            print(common, &all, &listed(&all, collection_row, "No collections."))
        }
        CollectionCommand::Show(one) => {
            let ask = Ask::get(at(&one.which)).within(one.place.workspace.as_ref());
            let shown = door.call(ask).await?;
            let mut lines = vec![collection_row(&shown).join("  ")];
            let fields = shown["fields"].as_array().into_iter().flatten();
            lines.extend(fields.map(|field| field_row(field).join("  ")));
            print(common, &shown, &lines)
        }
        CollectionCommand::Add { name, icon, description, place } => {
            let body = json!({ "name": name, "icon": icon, "description": description });
            let ask = Ask::post("/api/v1/collections", &body).within(place.workspace.as_ref());
            let made = door.call(ask).await?;
            print(common, &made, &[collection_row(&made).join("  ")])
        }
        CollectionCommand::Remove(one) => remove(common, door, at(&one.which), &one).await,
    }
}

async fn list(
    common: &Common,
    door: &Door,
    (book, path): (RowKind, String),
    which: &Which,
) -> Result<u8, CommandError> {
    let limit = which.limit.map(|limit| limit.to_string());
    let params = query(&[
        ("q", which.q.as_deref()),
        ("sort", which.sort.as_deref()),
        ("archived", which.archived.then_some("true")),
        ("limit", limit.as_deref()),
    ]);
    let ask = Ask::get(format!("{path}{params}")).within(which.place.workspace.as_ref());
    let all = door.call(ask).await?;
    let mut lines = listed(&all, row, book.none);
    if all["next"].is_string() {
        lines.push(format!("{} of {}; --limit shows more", items(&all).len(), all["total"]));
    }
    print(common, &all, &lines)
}

async fn show(common: &Common, door: &Door, book: RowKind, one: &One) -> Result<u8, CommandError> {
    let ask = Ask::get(book.one(&one.which)).within(one.place.workspace.as_ref());
    let shown = door.call(ask).await?;
    print(common, &shown, &whole(&shown))
}

async fn add(
    common: &Common,
    door: &Door,
    path: String,
    values: &Values,
) -> Result<u8, CommandError> {
    let body = Value::Object(values.body()?);
    let ask = Ask::post(path, &body).within(values.place.workspace.as_ref());
    let made = door.call(ask).await?;
    print(common, &made, &whole(&made))
}

async fn edit(
    common: &Common,
    door: &Door,
    (book, which): (RowKind, &str),
    values: &Values,
) -> Result<u8, CommandError> {
    let body = Value::Object(values.body()?);
    let ask = Ask::patch(book.one(which), &body).within(values.place.workspace.as_ref());
    let changed = door.call(ask).await?;
    print(common, &changed, &whole(&changed))
}

async fn set_archived(
    common: &Common,
    door: &Door,
    (book, one): (RowKind, &One),
    archived: bool,
) -> Result<u8, CommandError> {
    let body = json!({ "archived": archived });
    let ask = Ask::patch(book.one(&one.which), &body).within(one.place.workspace.as_ref());
    let changed = door.call(ask).await?;
    let verb = if archived { "Archived" } else { "Restored" };
    print(common, &changed, &[format!("{verb} {}.", quoted(word(&changed, "name")))])
}

async fn remove(common: &Common, door: &Door, path: String, one: &One) -> Result<u8, CommandError> {
    let gone = door.call(Ask::delete(path).within(one.place.workspace.as_ref())).await?;
    print(common, &gone, &[format!("Deleted {}.", quoted(&one.which))])
}

async fn write_down(
    common: &Common,
    door: &Door,
    book: RowKind,
    log: &Log,
) -> Result<u8, CommandError> {
    let mut body = Map::new();
    let given = [
        (book.whose, Some(&log.which)),
        ("body", Some(&log.text)),
        ("kind", Some(&log.kind)),
        ("subject", log.subject.as_ref()),
        ("next_action", log.next.as_ref()),
        ("next_on", log.on.as_ref()),
    ];
    for (key, value) in given {
        body.extend(value.map(|value| (key.to_owned(), Value::from(value.as_str()))));
    }
    let body = Value::Object(body);
    let ask = Ask::post("/api/v1/interactions", &body).within(log.place.workspace.as_ref());
    let talk = door.call(ask).await?;
    print(common, &talk, &[format!("Logged an interaction with {}.", quoted(&log.which))])
}

/// Name, stage or type, address, and the id.
/// The cells of a row in a list.
pub fn row(one: &Value) -> Vec<String> {
    let first = |keys: &[&str]| {
        let found = keys.iter().map(|key| word(one, key)).find(|text| !text.is_empty());
        found.unwrap_or("-").to_owned()
    };
    vec![
        word(one, "id").to_owned(),
        first(&["stage", "type"]),
        first(&["email", "phone", "website"]),
        quoted(word(one, "name")),
    ]
}

/// All values, each with who put it there.
fn whole(one: &Value) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", word(one, "id"), quoted(word(one, "name")))];
    let origins = one["origins"].as_object();
    for (key, origin) in origins.into_iter().flatten().filter(|(key, _)| *key != "name") {
        let value = match &one[key] {
            Value::String(text) => text.clone(),
            Value::Object(other) => {
                other.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            other => other.to_string(),
        };
        lines.push(format!("{key}: {value}  (by {})", word(origin, "by")));
    }
    for suggestion in one["suggestions"].as_array().into_iter().flatten() {
        let by = word(suggestion, "by");
        lines.push(format!("{by} suggests {}: {}", word(suggestion, "field"), suggestion["value"]));
    }
    lines
}

fn collection_row(one: &Value) -> Vec<String> {
    let count = one["records"].as_u64().unwrap_or_default();
    vec![word(one, "id").to_owned(), format!("{count} records"), quoted(word(one, "name"))]
}
