//! Audit entries for display and for the API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::activity::queries::{self as activity, Words};
use crate::cards;
use crate::history::queries::shown::FieldView;
use crate::tasks::queries::people::People;
use app::Ws;
use kernel::{
    AccountId, Actor, Assignee, Cause, Event, Part, RunId, Timestamp, Via, WorkspaceState,
};
use store::keep::{self, Taken};
use store::{Cursor, Entry, Op, Read, ReadExt, Schema, StoreError, feed};
use web::parts::Face;

use super::ask::{AuditQuery, Source, cause_word, store_of};
use super::values::Values;

/// Maximum number of rows of an entry in a line.
const MAX_ROWS: usize = 20;

/// A feed entry in words.
pub struct Line {
    /// Sequence number.
    pub seq: u64,
    pub at: Timestamp,
    pub who: Face,
    /// Channel: browser, token or run.
    pub via: String,
    /// Path of the channel below the workspace, or empty.
    pub via_path: String,
    /// Cause, unless the channel already implies it.
    pub cause: String,
    /// Query for all entries with the same request, job or undo, or empty.
    pub same: String,
    /// Sentences that follow the actor's name.
    pub sentences: Vec<Words>,
    pub rows: Vec<RowLine>,
    /// Number of omitted rows.
    pub more: usize,
    /// Number of rows hidden because they are about other workspaces.
    pub hidden: usize,
    /// Event kinds.
    pub events: Vec<&'static str>,
    pub hash: String,
}

/// A changed row of an entry.
pub struct RowLine {
    pub table: &'static str,
    pub id: String,
    pub op: &'static str,
    /// Why the version before is gone, or empty.
    pub taken: &'static str,
    /// Changed fields of system records. Workspace records have a history page instead.
    pub fields: Vec<FieldView>,
}

impl Line {
    /// Distinct reasons why versions before are gone.
    #[must_use]
    pub fn taken(&self) -> Vec<&'static str> {
        let mut words: Vec<_> = self.rows.iter().map(|row| row.taken).collect();
        words.retain(|word| !word.is_empty());
        words.sort_unstable();
        words.dedup();
        words
    }
}

/// Newest first.
pub struct Page {
    pub lines: Vec<Line>,
    /// Cursor of the next page. `None` at the end.
    pub next: Option<String>,
    /// Number of entries examined.
    pub looked: u64,
    /// Time of the oldest entry examined.
    pub reached: Option<Timestamp>,
}

/// A page of matching entries.
pub fn lines(ws: &Ws, wish: &AuditQuery, limit: usize) -> Result<Page, StoreError> {
    let found = wish.search(ws, limit)?;
    let store = store_of(ws, wish.source);
    let incarnation = store.incarnation();
    let lines = ws.read(|snap| {
        let tell = |of: &dyn Read| {
            let (people, source, schema) = (People::read(snap)?, wish.source, store.schema());
            let values = match source {
                Source::Workspace => None,
                Source::Accounts => Some(Values::new(ws, snap, (of, schema), wish)?),
            };
            let teller = Teller { read: snap, of, schema, people, source, values };
            found.entries.iter().map(|entry| teller.line(entry)).collect::<Result<Vec<_>, _>>()
        };
        match wish.source {
            Source::Workspace => tell(snap),
            Source::Accounts => store.read(|of| tell(of)),
        }
    });
    Ok(Page {
        lines: lines?,
        next: found.next.map(|seq| Cursor { incarnation, seq }.to_string()),
        looked: found.looked,
        reached: found.reached.map(|(_, at)| kernel::time::from_ms(at)),
    })
}

/// Describes the entries of one snapshot. People are loaded once.
pub struct Teller<'r> {
    /// Snapshot of the workspace.
    read: &'r dyn Read,
    /// Snapshot of the store that has the entries.
    of: &'r dyn Read,
    schema: &'r Schema,
    people: People,
    source: Source,
    values: Option<Values<'r>>,
}

impl<'r> Teller<'r> {
    /// For entries of a workspace.
    pub fn of_workspace(read: &'r dyn Read, schema: &'r Schema) -> Result<Self, StoreError> {
        let people = People::read(read)?;
        Ok(Self { read, of: read, schema, people, source: Source::Workspace, values: None })
    }

    /// An entry as one sentence. Empty if it does not exist.
    ///
    /// # Errors
    /// If the entry cannot be read.
    pub fn sentence(&self, seq: u64) -> Result<String, StoreError> {
        let entries = feed::entries(self.of, self.schema, seq.saturating_sub(1), 1)?;
        let Some(entry) = entries.first().filter(|entry| entry.seq == seq) else {
            return Ok(String::new());
        };
        let line = self.line(entry)?;
        let sentences = line.sentences.iter().map(|words| {
            let parts = [words.verb.as_str(), &words.thing, &words.rest];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        });
        Ok(format!("{} {}", line.who.name, sentences.collect::<Vec<_>>().join("; ")))
    }

    fn line(&self, entry: &Entry) -> Result<Line, StoreError> {
        let mut sentences = match self.source {
            Source::Workspace => activity::sentences(self.read, self.schema, entry, &self.people)?,
            Source::Accounts => Vec::new(),
        };
        sentences.extend(entry.events.iter().filter_map(|event| self.own(event)));
        if self.source == Source::Accounts {
            sentences.extend(entry.events.iter().filter_map(of_the_whole));
        }
        if sentences.is_empty() {
            sentences.push(self.rows_in_words(entry));
        }
        let (via, via_path) = self.via(entry.actor)?;
        let (fates, hidden) = fates(self.of, self.schema, entry, MAX_ROWS)?;
        let mut rows = Vec::new();
        for (change, fate) in entry.changes.iter().zip(fates) {
            let Some(info) = self.schema.table(change.table) else { continue };
            let id = info.ops.as_ref().and_then(|ops| (ops.key_text)(&change.key));
            let id = id.unwrap_or_else(|| hex::encode(&change.key));
            let taken = match fate {
                Some(Taken::Retention) => "former version expired",
                Some(Taken::Redaction) => "former version redacted",
                None => "",
            };
            let fields = match &self.values {
                Some(values) => values.shown(entry.seq, change)?,
                None => Vec::new(),
            };
            let op = activity::word(change.op);
            rows.push(RowLine { table: info.name, id, op, taken, fields });
        }
        let by = sentences.first().and_then(|words| words.by);
        let who = match (self.source, by) {
            (Source::Accounts, _) => self.who(entry),
            (_, Some(by)) => self.people.face(by),
            _ => self.people.actor(entry.actor),
        };
        Ok(Line {
            seq: entry.seq,
            at: kernel::time::from_ms(entry.at),
            who,
            via,
            via_path,
            cause: cause(entry.cause),
            same: same(entry.cause),
            sentences,
            rows,
            hidden,
            more: entry.changes.len().saturating_sub(MAX_ROWS),
            events: cards::event_kinds(entry),
            hash: hex::encode(entry.hash),
        })
    }

    /// The person a system entry is about.
    fn who(&self, entry: &Entry) -> Face {
        let about = entry.events.iter().find_map(|event| match event {
            Event::SignedIn { account, .. } | Event::SignedOut { account, .. } => Some(*account),
            _ => None,
        });
        match about.or(entry.actor.account()) {
            Some(account) => self.people.face(Assignee::Person(account)),
            None => self.people.actor(entry.actor),
        }
    }

    /// Events that the activity page does not describe.
    fn own(&self, event: &Event) -> Option<Words> {
        let name = |account: &AccountId| self.people.name(Assignee::Person(*account));
        let (verb, thing, icon) = match event {
            Event::SignedIn { .. } => ("signed in", String::new(), "user"),
            Event::SignedOut { .. } => ("signed out", String::new(), "out"),
            Event::AccountDisabled { account } => ("disabled the account", name(account), "block"),
            Event::AccountEnabled { account } => ("enabled the account", name(account), "user"),
            Event::TokenCreated { .. } => ("created an", "API token".to_owned(), "key"),
            Event::TokenRevoked { .. } => ("revoked an", "API token".to_owned(), "key"),
            Event::FactorChanged { .. } => {
                ("changed the", "two-step sign-in or passkeys".to_owned(), "lock")
            }
            Event::RecordRedacted { table, key } => {
                let info = self.schema.table(*table);
                let name = info.map_or("record", |info| info.name);
                let id = info.and_then(|info| info.ops.as_ref()).and_then(|o| (o.key_text)(key));
                let thing = format!("{} {}", noun(name), id.unwrap_or_else(|| hex::encode(key)));
                ("removed all former versions of", thing, "hidden")
            }
            Event::ConsumerChanged { act, .. } => (act.as_str(), "consumer".to_owned(), "layers"),
            Event::StoreMended { rows } => ("repaired", format!("{rows} index rows"), "check"),
            _ => return None,
        };
        Some(Words { verb: verb.to_owned(), thing, icon, ..Words::default() })
    }

    /// Such as "added a run and 3 session events".
    fn rows_in_words(&self, entry: &Entry) -> Words {
        let mut groups: BTreeMap<(u8, &str), u64> = BTreeMap::new();
        for change in &entry.changes {
            let name = self.schema.table(change.table).map_or("rows", |info| info.name);
            let order = match change.op {
                Op::Insert => 0,
                Op::Update => 1,
                Op::Delete => 2,
            };
            *groups.entry((order, name)).or_default() += 1;
        }
        let mut text = String::new();
        let mut last = None;
        for ((order, name), n) in groups {
            let verb = ["added", "changed", "removed"][usize::from(order)];
            let joint = if text.is_empty() { "" } else { ", " };
            let verb = if last == Some(order) { String::new() } else { format!("{verb} ") };
            last = Some(order);
            let what = match n {
                1 => format!("a {}", noun(name)),
                n => format!("{n} {}", name.replace('_', " ")),
            };
            text = format!("{text}{joint}{verb}{what}");
        }
        let noted = || "recorded technical data".to_owned();
        let verb = if text.is_empty() { noted() } else { text };
        Words { verb, icon: "edit", ..Words::default() }
    }

    /// Channel and its path.
    fn via(&self, actor: Actor) -> Result<(String, String), StoreError> {
        Ok(match actor {
            Actor::Person { via, .. } => {
                let words = match via {
                    Via::SignIn(_) => "in a browser".to_owned(),
                    Via::Token(_) => "with an API token".to_owned(),
                    Via::Channel(_) => "through a channel".to_owned(),
                    Via::Socket { uid } => format!("on the server, user {uid}"),
                };
                (words, String::new())
            }
            Actor::Agent { run, .. } => self.run(run)?,
            Actor::Plugin(_) => ("a plugin".to_owned(), String::new()),
            Actor::Gateway(_) => ("another host".to_owned(), String::new()),
            Actor::System(part) => (part_words(part).to_owned(), String::new()),
        })
    }

    fn run(&self, id: RunId) -> Result<(String, String), StoreError> {
        let found = match self.source {
            Source::Workspace => self.read.get::<crate::runs::model::Run>(id)?,
            Source::Accounts => None,
        };
        Ok(match found {
            Some(run) => (format!("in R-{}", run.number), format!("runs/R-{}", run.number)),
            None => ("in a run".to_owned(), String::new()),
        })
    }
}

/// Events about whole workspaces or all of them.
fn of_the_whole(event: &Event) -> Option<Words> {
    let (verb, thing, icon) = match event {
        Event::WorkspaceAdded { slug, .. } => ("added the workspace", slug.clone(), "layers"),
        Event::WorkspaceStateChanged { to, .. } => {
            let verb = match to {
                WorkspaceState::Active => "restored",
                WorkspaceState::Archived => "archived",
                WorkspaceState::Deleting => "marked for deletion",
            };
            (verb, "a workspace".to_owned(), "layers")
        }
        Event::WorkspaceRemoved { slug, .. } => ("removed the workspace", slug.clone(), "layers"),
        Event::BackupMade { backup } => ("created the backup", backup.clone(), "check"),
        Event::BackupFailed { what, why } => (
            "reported a failure:",
            format!(
                "{what} \
            ({why})"
            ),
            "block",
        ),
        Event::MasterKeyChanged(key, None) => ("created the master key", key.clone(), "lock"),
        Event::MasterKeyChanged(key, Some(rows)) => {
            ("re-encrypted everything with", format!("the master key {key}, {rows} rows"), "lock")
        }
        Event::Restored { backup, .. } => ("restored the backup", backup.clone(), "check"),
        _ => return None,
    };
    Some(Words { verb: verb.to_owned(), thing, icon, ..Words::default() })
}

fn part_words(part: Part) -> &'static str {
    match part {
        Part::Cli => "a command on the server",
        Part::Setup => "set-up",
        Part::Timer => "a timer",
        Part::Consumer => "a consumer",
        Part::Migration => "a migration",
        Part::Retention => "retention",
        Part::Restore => "a restore",
        Part::Engine => "HQ’s engine",
    }
}

/// Query value for a cause.
fn same(cause: Cause) -> String {
    match cause {
        Cause::Request(id) => format!("request {}", hex::encode(id)),
        Cause::Job(id) => format!("backup {id}"),
        Cause::Undo(seq) => format!("undo {seq}"),
        _ => String::new(),
    }
}

/// Cause in words, unless the channel already implies it.
fn cause(cause: Cause) -> String {
    match cause {
        Cause::Step(_, step) => format!("step {step}"),
        Cause::Undo(seq) => format!("undo of entry {seq}"),
        Cause::Migration(n) => format!("migration {n}"),
        Cause::Request(_) | Cause::Setup | Cause::Timer => String::new(),
        Cause::Retention => "retention".to_owned(),
        Cause::Job(_) => "backup".to_owned(),
        other => cause_word(other).to_owned(),
    }
}

/// Singular of a table name: `session_events` becomes "session event".
fn noun(table: &str) -> String {
    let words = table.replace('_', " ");
    match words.as_str() {
        "settings" => words,
        "inbox" => "inbox item".to_owned(),
        "usage" => "usage row".to_owned(),
        _ => words.strip_suffix("ies").map_or_else(
            || words.strip_suffix('s').unwrap_or(&words).to_owned(),
            |stem| format!("{stem}y"),
        ),
    }
}

/// Why the before-versions of the first changes are gone, and the number of changes hidden because they are about other
/// workspaces.
fn fates(
    read: &dyn Read,
    schema: &Schema,
    entry: &Entry,
    limit: usize,
) -> Result<(Vec<Option<Taken>>, usize), StoreError> {
    let shown = entry.changes.iter().take(limit);
    let Some(whole) = feed::entry(read, entry.seq)? else {
        return Ok((shown.map(|_| None).collect(), 0));
    };
    // The visible changes are in the same order as all changes.
    let mut all = whole.changes.iter().enumerate();
    let fates = shown.map(|one| match all.find(|(_, other)| *other == one) {
        Some((n, _)) => keep::taken(read, schema, &whole, n),
        None => Ok(None),
    });
    let fates = fates.collect::<Result<_, _>>()?;
    Ok((fates, whole.changes.len().saturating_sub(entry.changes.len())))
}

/// An entry for the API, with the current state of former versions.
pub fn as_json_now(
    read: &dyn Read,
    schema: &Schema,
    incarnation: u64,
    entry: &Entry,
) -> Result<Value, StoreError> {
    let mut json = as_json(schema, incarnation, entry);
    let (fates, hidden) = fates(read, schema, entry, usize::MAX)?;
    json["hidden"] = hidden.into();
    let known = entry.changes.iter().zip(fates);
    let known = known.filter(|(change, _)| schema.table(change.table).is_some());
    for ((_, fate), row) in known.zip(json["changes"].as_array_mut().into_iter().flatten()) {
        row["taken"] = match fate {
            Some(Taken::Retention) => "retention".into(),
            Some(Taken::Redaction) => "redaction".into(),
            None => Value::Null,
        };
    }
    Ok(json)
}

/// An event for the API: a record is given by name instead of number and bytes.
fn event_json(schema: &Schema, event: &Event) -> Value {
    let mut json = activity::event(event);
    if let Event::RecordRedacted { table, key } = event {
        let info = schema.table(*table);
        let id = info.and_then(|info| info.ops.as_ref()).and_then(|ops| (ops.key_text)(key));
        json["data"] = json!({
            "table": info.map_or_else(|| table.to_string(), |info| info.name.to_owned()),
            "id": id.unwrap_or_else(|| hex::encode(key)),
        });
    }
    json
}

/// An entry in the layout of an export. Contains hashes instead of values.
#[must_use]
pub fn as_json(schema: &Schema, incarnation: u64, entry: &Entry) -> Value {
    let changes = entry.changes.iter().filter_map(|change| {
        let info = schema.table(change.table)?;
        let id = info.ops.as_ref().and_then(|ops| (ops.key_text)(&change.key));
        Some(json!({
            "table": info.name,
            "id": id.unwrap_or_else(|| hex::encode(&change.key)),
            "op": activity::word(change.op),
            "before_rev": change.before_rev,
            "hash": hex::encode(change.hash),
        }))
    });
    json!({
        "seq": entry.seq,
        "cursor": Cursor { incarnation, seq: entry.seq }.to_string(),
        "at": kernel::time::from_ms(entry.at),
        "actor": activity::actor(entry.actor),
        "cause": activity::cause(entry.cause),
        "changes": changes.collect::<Vec<_>>(),
        "events": entry.events.iter().map(|event| event_json(schema, event)).collect::<Vec<_>>(),
        "previous": hex::encode(entry.previous),
        "hash": hex::encode(entry.hash),
    })
}

#[cfg(test)]
mod tests {
    use super::{Cause, noun, same};
    use kernel::{JobId, TypedId as _};

    #[test]
    fn a_job_is_called_what_it_is() {
        let id = JobId::from_bytes([7; 16]);
        assert_eq!(same(Cause::Job(id)), format!("backup {id}"));
    }

    #[test]
    fn a_table_has_a_word_for_one_of_its_rows() {
        assert_eq!(noun("tasks"), "task");
        assert_eq!(noun("session_events"), "session event");
        assert_eq!(noun("entries"), "entry");
        assert_eq!(noun("settings"), "settings");
    }
}
