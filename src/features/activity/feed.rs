//! Feed for API clients: entries with the rows that they changed, and a snapshot of all rows. Both in pages of
//! bounded size.

use std::collections::HashMap;
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cards;
use crate::history::queries::readable::{Eye, Looker};
use kernel::Timestamp;
use store::{Class, Cursor, Entry, Range, Read, Schema, StoreError, feed};

use super::queries::{actor, cause, event, word};

/// A response ends after about this many bytes.
const ENOUGH: usize = 512 << 10;
/// Size up to which an entry includes changed rows. Further changes have no row.
const WITH_ROWS: usize = 128 << 10;
/// Size up to which an entry includes changes. Further changes are only counted.
const WITH_CHANGES: usize = 256 << 10;
/// Maximum number of changes or rows to examine per response, whether included or not.
const LOOK: usize = 50_000;
/// Approximate size of a change without its row.
const CHANGE: usize = 100;

/// Filter for entries and changes.
#[derive(Clone, Debug, Default)]
pub struct Only {
    /// Tables. Empty means all.
    pub tables: Vec<String>,
    /// Actors. Empty means all.
    pub actors: Vec<String>,
    /// Event kinds. Empty means all.
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

#[derive(Clone, Debug)]
pub struct FeedRequest {
    pub who: Looker,
    /// Maximum number of entries.
    pub limit: usize,
    /// Whether to include current rows.
    pub rows: bool,
    pub only: Only,
}

/// An API entry of the feed.
#[derive(Debug, Serialize)]
pub struct Change {
    pub seq: u64,
    /// Value of `after` for the next request.
    pub cursor: String,
    pub at: Timestamp,
    pub actor: Value,
    pub cause: Value,
    pub changes: Vec<Value>,
    /// Number of omitted changes, if the entry is too large to list all.
    #[serde(skip_serializing_if = "is_zero")]
    pub changes_left_out: usize,
    pub events: Vec<Value>,
    /// Number of omitted events.
    #[serde(skip_serializing_if = "is_zero")]
    pub events_left_out: usize,
}

/// Entries after a cursor, oldest first, and the cursor after the last entry examined. Ends early at the size limit,
/// but never before the first entry.
pub fn changes(
    read: &dyn Read,
    schema: &Schema,
    after: Cursor,
    wish: &FeedRequest,
) -> Result<(Vec<Change>, Cursor), StoreError> {
    let mut teller =
        Teller { read, schema, eye: Eye::new(read, wish.who), seen_rows: HashMap::new() };
    let (mut out, mut next, mut size, mut looked) = (Vec::new(), after, 0, 0);
    for _ in 0..wish.limit {
        let Some(entry) = feed::entry(read, next.seq + 1)? else { break };
        let place = Cursor { seq: entry.seq, ..after };
        looked += entry.changes.len() + 1;
        if wish.only.wants(schema, &entry) {
            let (change, bytes) = teller.entry(&entry, place, wish)?;
            // This entry begins the next response.
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
    /// Rows already in this response, with their entry.
    seen_rows: HashMap<(u16, Vec<u8>), u64>,
}

impl Teller<'_> {
    /// An entry and its approximate size.
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
            // A key of sixteen bytes is an id; other keys may contain data.
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

    /// Current row under `row`, or the reason why it is missing.
    fn row(
        &mut self,
        seq: u64,
        (table, key): (u16, &[u8]),
        as_json: store::schema::AsJson,
    ) -> Result<(&'static str, Value), StoreError> {
        let at = self.seen_rows.entry((table, key.to_vec())).or_insert(seq);
        if *at != seq {
            return Ok(("row_at", json!(*at)));
        }
        let Some(row) = self.read.raw_get(table, key)? else { return Ok(("row", Value::Null)) };
        Ok(match self.eye.sees(table, &row)? {
            // An undecodable row must not hide the others.
            true => ("row", as_json(&row).unwrap_or_default()),
            false => ("withheld", Value::Bool(true)),
        })
    }
}

/// Approximate size of a value as JSON text.
#[must_use]
pub fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(all) => all.iter().map(|one| weight(one) + 1).sum::<usize>() + 2,
        Value::Object(map) => map.iter().map(|(name, one)| name.len() + 4 + weight(one)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
    }
}

/// A page of a snapshot.
pub struct Piece {
    /// `{table, id, rev, row}`
    pub items: Vec<Value>,
    /// Cursor of the next page: table and key.
    pub next: Option<String>,
    /// Entry as of which the page was read.
    pub seq: u64,
}

/// Parses a snapshot cursor: incarnation of the store, table and key.
#[must_use]
pub fn snapshot_place(text: &str) -> Option<(u64, (u16, Vec<u8>))> {
    let (life, place) = text.split_once('.')?;
    let (table, key) = place.split_once('.')?;
    let life = u64::from_str_radix(life, 16).ok()?;
    Some((life, (table.parse().ok()?, hex::decode(key).ok()?)))
}

/// Filter and position of a snapshot page.
pub struct Part {
    /// Tables. Empty means all.
    pub tables: Vec<String>,
    /// Start after this table and key.
    pub from: (u16, Vec<u8>),
    /// Maximum number of rows.
    pub limit: usize,
}

/// Rows that this person may read, ordered by table and key. Excludes tables outside the feed and secrets.
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
            // Full at the end of a table: the next page begins after its last row.
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
        let (taken, weighed) = (value.to_string().len(), weight(&value));
        assert!(weighed.abs_diff(taken) < 50, "{weighed} and {taken}");
    }
}
