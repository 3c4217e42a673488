//! Record changes for conditions and templates: field values in words, former values and the changed fields.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{MAX_SUBJECT, Moment, Stage, list};
use crate::cards;
use crate::history::queries::fields::Speaker;
use crate::history::queries::names::Names;
use crate::places::{self, Said};
use crate::routines::conditions::{Datum, value_of};
use crate::routines::registry::{self, Change, Happening, OLD, OWN};
use crate::tasks::model::TASKS;
use entity::Type;
use kernel::text::ellipsis;
use store::{Read, StoreError, codec, feed};

/// Maximum number of later changes of a row to search for an earlier version.
const LOOKED_AT: usize = 100;

/// Returns `false` for a private record of one member. Routines treat such a record as missing.
fn is_open(table: u16, row: &[u8]) -> bool {
    cards::of_table(table).is_none_or(|noun| noun.owner(row).is_none())
}

/// The row after a feed entry: the before-image of its next change. The current row if that is gone.
pub(super) fn as_of(
    read: &dyn Read,
    (table, key): (u16, &[u8]),
    seq: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut row = read.raw_get(table, key)?;
    for _ in 0..LOOKED_AT {
        let Some(bytes) = &row else { break };
        let rev = codec::unwrap(bytes)?.1;
        if rev <= seq {
            break;
        }
        let Some(entry) = feed::entry(read, rev)? else { break };
        let own = entry.changes.iter().position(|one| one.table == table && one.key == key);
        let Some(n) = own.and_then(|n| u16::try_from(n).ok()) else { break };
        match feed::before_image(read, rev, n)? {
            Some(older) => row = Some(older),
            None => break,
        }
    }
    Ok(row)
}

/// The current task with some texts of a former version. Changes of other fields have fired on their own.
fn with_words(
    now: &Map<String, Value>,
    former: &Map<String, Value>,
    words: &[String],
) -> Map<String, Value> {
    let mut task = now.clone();
    for name in words {
        task.insert(name.clone(), former.get(name).cloned().unwrap_or_default());
    }
    task
}

impl Stage {
    /// Adds a created, changed or deleted record. Returns whether any visible field changed.
    pub(super) fn record(
        &mut self,
        read: &dyn Read,
        happening: &Happening,
        (table, key): (u16, &[u8]),
        moment: &Moment<'_>,
    ) -> Result<bool, StoreError> {
        let Some(rows) = registry::rows_of(table) else { return Ok(false) };
        let before = match (&happening.change, moment.entry) {
            (Change::Row(n), Some(entry)) => {
                feed::before_image(read, entry.seq, u16::try_from(*n).unwrap_or(u16::MAX))?
            }
            (Change::Written((seq, n), _), _) => feed::before_image(read, *seq, *n)?,
            _ => None,
        };
        let before = before.filter(|row| is_open(table, row)).and_then(|row| (rows.json)(&row));
        let current = read.raw_get(table, key)?;
        let row = match moment.entry {
            Some(entry) => as_of(read, (table, key), entry.seq)?,
            None => current.clone(),
        };
        // The record has changed again since then.
        let stale = row != current;
        let now = row.filter(|row| is_open(table, row)).and_then(|row| (rows.json)(&row));
        let before = match (&happening.change, &now) {
            (Change::Written(_, words), Some(now)) => {
                Some(with_words(now, &before.unwrap_or_default(), words))
            }
            _ => before,
        };
        let Some(fields) = now.as_ref().or(before.as_ref()) else { return Ok(false) };
        let names = Names::new(read)?;
        let speaker = Speaker { names: &names, zone: self.zone.clone() };
        let word = names.title(table, fields)?;
        self.put("url", word.path);
        self.put("title", word.text);
        let is_task = table == TASKS.number;
        let id = if is_task { "id" } else { "task" };
        let on = || match places::place_of(fields)? {
            Said::Task(id) => Some(id),
            Said::Row(..) => None,
        };
        let task = fields.get(id).and_then(Value::as_str).or_else(on);
        let task = task.and_then(|id| id.parse().ok());
        // The task may have been deleted with its record.
        let there = match task {
            Some(task) => self.task(read, task, moment)?,
            None => false,
        };
        for field in happening.kind.fields() {
            let former = field.name.starts_with(OLD);
            let own = match is_task {
                true => stale || !there,
                false => task.is_none() || !registry::is_of_task(field.name),
            };
            let side = if former { before.as_ref() } else { Some(fields).filter(|_| own) };
            if let Some(side) = side
                && let Some(key) = rows.key_of(side, field.name)
            {
                let value = side.get(&key).unwrap_or(&Value::Null);
                let datum = self.datum(&speaker, (table, &key, field.of), value)?;
                self.set(field.name, datum);
            }
        }
        for key in rows.own_keys(fields) {
            let value = fields.get(key).unwrap_or(&Value::Null);
            let datum = self.datum(&speaker, (table, key, Type::Text), value)?;
            self.context.values.insert(Cow::Owned(format!("{OWN}{key}")), datum);
        }
        if self.context.subject.is_empty() {
            let title = value_of(&self.context.values, "title").shown().into_owned();
            self.context.subject = ellipsis(&title, MAX_SUBJECT);
        }
        if !happening.kind.is_change() {
            return Ok(true);
        }
        let (mut compared, mut changed) = (false, Vec::new());
        let empty = Map::new();
        let (old, new) = (before.as_ref().unwrap_or(&empty), now.as_ref().unwrap_or(&empty));
        for field in happening.kind.fields() {
            let Some(name) = field.name.strip_prefix(OLD) else { continue };
            compared = true;
            let key = rows.key_of(fields, name).unwrap_or_default();
            if old.get(&key).unwrap_or(&Value::Null) != new.get(&key).unwrap_or(&Value::Null) {
                changed.push(name.to_owned());
            }
        }
        let mut own = [rows.own_keys(old), rows.own_keys(new)].concat();
        own.sort_unstable();
        own.dedup();
        for key in own {
            if old.get(key).unwrap_or(&Value::Null) != new.get(key).unwrap_or(&Value::Null) {
                changed.push(format!("{OWN}{key}"));
            }
        }
        // A dry run has no change. Some records only report that they changed.
        let counts = !compared || !changed.is_empty() || moment.entry.is_none();
        let is_words = |name: &String| registry::WRITTEN.contains(&name.as_str());
        if is_task && changed.iter().all(is_words) {
            self.context.written.clone_from(&changed);
        }
        self.set("changed", list(changed));
        Ok(counts)
    }

    /// Value of a record field, with all its names.
    fn datum(
        &self,
        speaker: &Speaker<'_>,
        (table, key, of): (u16, &str, Type),
        value: &Value,
    ) -> Result<Datum, StoreError> {
        let spoken = |value: &Value| {
            let shown = speaker.field(table, key, (Value::Null, value.clone()))?;
            Ok::<_, StoreError>(shown.after.map(|word| word.text))
        };
        Ok(match value {
            Value::Null => Datum::Nothing,
            Value::Bool(yes) => Datum::text(if *yes { "yes" } else { "no" }),
            Value::Number(number) if of == Type::Moment => {
                let at = number.as_i64().map(kernel::time::from_ms);
                self.moment(at)
            }
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                let unit = if key.ends_with("_micros") { 1e6 } else { 1.0 };
                Datum::Number(number / unit)
            }
            Value::String(text) if of == Type::Moment => match text.parse() {
                Ok(day) => self.day(day),
                Err(_) => Datum::text(text),
            },
            // Closed lists are compared by API words.
            Value::String(text) if !of.words().is_empty() => Datum::text(text),
            Value::String(text) => {
                let shown = spoken(value)?.filter(|shown| shown != text);
                match shown {
                    Some(shown) => Datum::Words(vec![shown, text.clone()]),
                    None => Datum::text(text),
                }
            }
            Value::Array(all) => {
                let mut words = Vec::new();
                for one in all.iter().take(20) {
                    words.extend(spoken(one)?);
                }
                list(words)
            }
            Value::Object(_) => spoken(value)?.map_or(Datum::Nothing, Datum::text),
        })
    }

    /// The start of a day.
    fn day(&self, day: jiff::civil::Date) -> Datum {
        match day.to_zoned(self.zone.clone()) {
            Ok(begin) => Datum::Moment(begin.timestamp(), day),
            Err(_) => Datum::Nothing,
        }
    }
}
