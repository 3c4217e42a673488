//! The feed for programs: entries with the rows that they changed, and everything that there is, in
//! pieces that are never large.

use std::collections::HashMap;
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cards;
use crate::history::queries::readable::{Eye, Looker};
use kernel::Timestamp;
use store::{Class, Cursor, Entry, Range, Read, Schema, StoreError, feed};

use super::queries::{actor, cause, event, word};

/// One answer ends behind about so many bytes.
const ENOUGH: usize = 512 << 10;
/// An entry is told with rows up to about so many bytes; the rest of its changes come without theirs.
const WITH_ROWS: usize = 128 << 10;
/// An entry is told with changes up to about so many bytes; of the rest only the number.
const WITH_CHANGES: usize = 256 << 10;
/// One answer is made of at most so many changes or rows, whether they are told or not.
const LOOK: usize = 50_000;
/// What a change takes without its row, about.
const CHANGE: usize = 100;

/// Which entries are wanted, and which of their changes.
#[derive(Clone, Debug, Default)]
pub struct Only {
    /// Changes of these tables; all when there are none.
    pub tables: Vec<String>,
    /// What these did.
    pub actors: Vec<String>,
    /// Entries with these events.
    pub kinds: Vec<String>,
}

impl Only {
    fn wants(&self, schema: &Schema, entry: &Entry) -> bool {
        let parts = actor(entry.actor);
        let is_by = |word: &String| {
            let parts = parts.as_object();
            parts.is_some_and(|parts| parts.values().any(|part| part == word.as_str()))
        };
        let is_of = |name: &str| {
            self.kinds.iter().any(|word| match word.strip_suffix('*') {
                Some(stem) => name.starts_with(stem),
                None => name == word,
            })
        };
        (self.actors.is_empty() || self.actors.iter().any(is_by))
            && (self.kinds.is_empty()
                || entry.events.iter().any(|event| is_of(cards::event_name(event))))
            && (self.tables.is_empty()
                || entry.changes.iter().any(|change| {
                    schema.table(change.table).is_some_and(|info| self.wants_table(info.name))
                }))
    }

    fn wants_table(&self, name: &str) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|table| table == name)
    }
}

/// What a program asks for.
#[derive(Clone, Debug)]
pub struct FeedRequest {
    /// Who asks.
    pub who: Looker,
    /// At most so many entries.
    pub limit: usize,
    /// Whether with the rows as they are now.
    pub rows: bool,
    pub only: Only,
}

/// An entry of the feed for programs.
#[derive(Debug, Serialize)]
pub struct Change {
    /// Its number.
    pub seq: u64,
    /// Give this back as `after`.
    pub cursor: String,
    pub at: Timestamp,
    pub actor: Value,
    pub cause: Value,
    /// The changed rows.
    pub changes: Vec<Value>,
    /// How many more rows were changed, where an entry is too large to list them all.
    #[serde(skip_serializing_if = "is_zero")]
    pub changes_left_out: usize,
    /// What happened, in events.
    pub events: Vec<Value>,
    /// How many more events there were.
    #[serde(skip_serializing_if = "is_zero")]
    pub events_left_out: usize,
}

/// Entries after a place, oldest first, and the place behind all that was looked at for them. Ends
/// early when it is enough, but never before the first entry.
pub fn changes(
    read: &dyn Read,
    schema: &Schema,
    after: Cursor,
    wish: &FeedRequest,
) -> Result<(Vec<Change>, Cursor), StoreError> {
    let mut teller = Teller { read, schema, eye: Eye::new(read, wish.who), told: HashMap::new() };
    let (mut out, mut next, mut size, mut looked) = (Vec::new(), after, 0, 0);
    for _ in 0..wish.limit {
        let Some(entry) = feed::entry(read, next.seq + 1)? else { break };
        let place = Cursor { seq: entry.seq, ..after };
        looked += entry.changes.len() + 1;
        if wish.only.wants(schema, &entry) {
            let (change, bytes) = teller.entry(&entry, place, wish)?;
            // What would be too much begins the next answer.
            if 0 < size && ENOUGH < size + bytes {
                break;
            }
            size += bytes;
            out.push(change);
        }
        next = place;
        if ENOUGH <= size || LOOK <= looked {
            break;
        }
    }
    Ok((out, next))
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

struct Teller<'r> {
    read: &'r dyn Read,
    schema: &'r Schema,
    eye: Eye<'r>,
    /// The rows that stand in this answer, with the entry where they do.
    told: HashMap<(u16, Vec<u8>), u64>,
}

impl Teller<'_> {
    /// An entry, and about how large it is.
    fn entry(
        &mut self,
        entry: &Entry,
        place: Cursor,
        wish: &FeedRequest,
    ) -> Result<(Change, usize), StoreError> {
        let schema = self.schema;
        let (mut events, mut size) = (Vec::new(), CHANGE);
        for event in entry.events.iter().map(event) {
            if WITH_ROWS <= size {
                break;
            }
            size += weight(&event);
            events.push(event);
        }
        let events_left_out = entry.events.len() - events.len();
        let (mut changes, mut changes_left_out) = (Vec::new(), 0);
        for change in &entry.changes {
            let Some(info) = schema.table(change.table) else { continue };
            let Some(ops) = info.ops.as_ref().filter(|_| wish.only.wants_table(info.name)) else {
                continue;
            };
            if WITH_CHANGES <= size {
                changes_left_out += 1;
                continue;
            }
            let open = !matches!(info.class(), Some(Class::Sealed | Class::Remade))
                && self.eye.may_read(change.table);
            // A key of sixteen bytes is an id; others say something.
            let id = match open || change.key.len() == 16 {
                true => (ops.key_text)(&change.key),
                false => None,
            };
            let mut view = json!({ "table": info.name, "id": id, "op": word(change.op) });
            size += CHANGE;
            if wish.rows {
                let (name, value) = match (open, size < WITH_ROWS) {
                    (false, _) => ("withheld", Value::Bool(true)),
                    (true, false) => ("left_out", Value::Bool(true)),
                    (true, true) => self.row(entry.seq, (change.table, &change.key), ops.json)?,
                };
                size += weight(&value);
                view[name] = value;
            }
            changes.push(view);
        }
        let change = Change {
            seq: entry.seq,
            cursor: place.to_string(),
            at: kernel::time::from_ms(entry.at),
            actor: actor(entry.actor),
            cause: cause(entry.cause),
            changes,
            changes_left_out,
            events,
            events_left_out,
        };
        Ok((change, size))
    }

    /// A row as it is now: under `row`, or why it is not there.
    fn row(
        &mut self,
        seq: u64,
        (table, key): (u16, &[u8]),
        as_json: store::schema::AsJson,
    ) -> Result<(&'static str, Value), StoreError> {
        let at = self.told.entry((table, key.to_vec())).or_insert(seq);
        if *at != seq {
            return Ok(("row_at", json!(*at)));
        }
        let Some(row) = self.read.raw_get(table, key)? else { return Ok(("row", Value::Null)) };
        Ok(match self.eye.sees(table, &row)? {
            // A row that cannot be read does not hide the rest.
            true => ("row", as_json(&row).unwrap_or_default()),
            false => ("withheld", Value::Bool(true)),
        })
    }
}

/// About how many bytes a value takes as text.
#[must_use]
pub fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(all) => all.iter().map(|one| weight(one) + 1).sum::<usize>() + 2,
        Value::Object(map) => map.iter().map(|(name, one)| name.len() + 4 + weight(one)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
    }
}

/// A piece of everything that there is.
pub struct Piece {
    /// `{table, id, rev, row}`
    pub items: Vec<Value>,
    /// Where to go on: table and key.
    pub next: Option<String>,
    /// As of which entry.
    pub seq: u64,
}

/// A place in a snapshot from its text: the life of the store, then table and key.
#[must_use]
pub fn snapshot_place(text: &str) -> Option<(u64, (u16, Vec<u8>))> {
    let (life, place) = text.split_once('.')?;
    let (table, key) = place.split_once('.')?;
    let life = u64::from_str_radix(life, 16).ok()?;
    Some((life, (table.parse().ok()?, hex::decode(key).ok()?)))
}

/// Which rows of a snapshot are wanted.
pub struct Part {
    /// Only these tables; all when there are none.
    pub tables: Vec<String>,
    /// Behind this table and key.
    pub from: (u16, Vec<u8>),
    /// At most so many rows.
    pub limit: usize,
}

/// Rows that this person may read, from a place on, in the order of tables and keys. What is no part
/// of the feed is left out, and so is what holds secrets.
pub fn snapshot(
    read: &dyn Read,
    schema: &Schema,
    who: Looker,
    part: &Part,
) -> Result<Piece, StoreError> {
    let seq = feed::newest(read, schema, None, 1)?.first().map_or(0, |entry| entry.seq);
    let mut piece = Piece { items: Vec::new(), next: None, seq };
    let (eye, (table, after)) = (Eye::new(read, who), &part.from);
    let (mut size, mut looked, mut failed) = (0, 0, None);
    let mut tables: Vec<_> = schema.tables().iter().filter(|info| info.number >= *table).collect();
    tables.sort_by_key(|info| info.number);
    for info in tables {
        let shown = matches!(info.class(), Some(Class::Tracked | Class::Log | Class::Work))
            && eye.may_read(info.number)
            && (part.tables.is_empty() || part.tables.iter().any(|name| name == info.name));
        let (Some(ops), true) = (&info.ops, shown) else { continue };
        let range = match info.number == *table && !after.is_empty() {
            true => Range::all().after(after),
            false => Range::all(),
        };
        let is_full = |rows: usize, size: usize, looked: usize| {
            part.limit <= rows || ENOUGH <= size || LOOK <= looked
        };
        let mut last = None;
        read.raw_scan(info.number, &range, &mut |key, value| {
            if is_full(piece.items.len(), size, looked) {
                piece.next = last.take();
                return ControlFlow::Break(());
            }
            looked += 1;
            last = Some(format!("{}.{}", info.number, hex::encode(key)));
            match eye.sees(info.number, value) {
                Ok(true) => {}
                Ok(false) => return ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            let rev = store::codec::unwrap(value).map_or(0, |(_, rev, _)| rev);
            let row = (ops.json)(value).unwrap_or_default();
            size += CHANGE + weight(&row);
            let id = (ops.key_text)(key);
            piece.items.push(json!({ "table": info.name, "id": id, "rev": rev, "row": row }));
            ControlFlow::Continue(())
        })?;
        if let Some(error) = failed.take() {
            return Err(error);
        }
        if piece.next.is_some() {
            break;
        }
        if is_full(piece.items.len(), size, looked) {
            // Full at the end of a table: the next page begins behind its last row.
            piece.next = last;
            break;
        }
    }
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::weight;

    #[test]
    fn a_value_weighs_about_what_its_text_takes() {
        let text = "word ".repeat(1_000);
        let value = json!({ "title": text, "labels": [text, 1, null], "open": true });
        let (taken, said) = (value.to_string().len(), weight(&value));
        assert!(said.abs_diff(taken) < 50, "{said} and {taken}");
    }
}
