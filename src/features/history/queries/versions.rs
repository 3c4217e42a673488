//! Versions of records and feed entries, in words.

use serde_json::{Map, Value};

use crate::runs::model::RUNS;
use crate::users::model::ApiToken;
use app::App;
use kernel::{Actor, Cause, Part, Timestamp, Via};
use store::history::{self, Image, Page, Steps, Version, Walk};
use store::{Entry, Op, Read, ReadExt as _, Root, Schema, StoreError, feed};
use web::parts::Face;

use super::fields::{FieldDiff, Speaker};
use super::names::{Names, Word, noun};
use super::readable::{Eye, Looker};

/// A page of versions ends after about this many bytes of values.
const ENOUGH: usize = 1 << 20;
/// Maximum number of changes of an entry on a page.
pub const MAX_CHANGES: usize = 100;

/// A change of a record, in words.
pub struct Told {
    /// Title of the record.
    pub title: Word,
    /// Noun of the record.
    pub noun: &'static str,
    /// "made", "changed" or "removed".
    pub verb: &'static str,
    /// Changed fields.
    pub fields: Vec<FieldDiff>,
    /// Reason why no fields are shown, or empty.
    pub missing: &'static str,
}

/// Actor and cause of a change.
pub struct Byline {
    pub face: Face,
    /// Such as "in the browser" or "as a step of R-12".
    pub through: Word,
    /// The undone entry, if this is an undo.
    pub undo_of: Option<u64>,
}

/// JSON fields of a stored row.
#[must_use]
pub fn fields_of(schema: &Schema, table: u16, bytes: Option<&[u8]>) -> Option<Map<String, Value>> {
    let ops = schema.table(table)?.ops.as_ref()?;
    match (ops.json)(bytes?).ok()? {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

#[must_use]
pub fn verb(op: Op) -> &'static str {
    match op {
        Op::Insert => "created",
        Op::Update => "changed",
        Op::Delete => "removed",
    }
}

/// Describes a change.
pub fn describe(
    speaker: &Speaker<'_>,
    schema: &Schema,
    table: u16,
    version: &Version,
) -> Result<Told, StoreError> {
    let info = schema.table(table);
    let before = fields_of(schema, table, version.before.bytes());
    let after = fields_of(schema, table, version.after.bytes());
    let missing = match (&version.before, &version.after) {
        (Image::Untold, _) | (_, Image::Untold) => {
            "Previous values of these records aren’t stored."
        }
        (Image::Gone, _) | (_, Image::Gone) => {
            "The previous version is no longer stored. It expired or was deleted on purpose."
        }
        (Image::Far, _) | (_, Image::Far) => {
            "It has changed too often since to show this here. See its history."
        }
        _ => "",
    };
    // A comparison with one side missing would look like a creation or deletion.
    let fields = match missing.is_empty() {
        true => speaker.diff(table, before.as_ref(), after.as_ref())?,
        false => Vec::new(),
    };
    let title = match after.as_ref().or(before.as_ref()) {
        Some(fields) => speaker.names.title(table, fields)?,
        None => Word::plain(""),
    };
    let noun = info.map_or("record", |info| noun(table, info.name).0);
    Ok(Told { title, noun, verb: verb(version.op), fields, missing })
}

/// Actor and cause of an entry.
pub fn byline(
    app: &App,
    names: &Names<'_>,
    actor: Actor,
    cause: Cause,
) -> Result<Byline, StoreError> {
    let through = match (actor, cause) {
        (Actor::Person { via: Via::SignIn(_), .. }, _) => Word::plain("in the browser"),
        (Actor::Person { via: Via::Token(id), .. }, _) => {
            let token = app.system.read(|snap| snap.get::<ApiToken>(id))?;
            Word::plain(match token {
                Some(token) => format!("with the token “{}”", token.name),
                None => "with a deleted token".to_owned(),
            })
        }
        (Actor::Person { via: Via::Channel(_), .. }, _) => Word::plain("through a channel"),
        (Actor::Person { via: Via::Socket { .. }, .. }, _) => Word::plain("by a command"),
        (Actor::Agent { run, .. }, _) => {
            let run = names.of("run", &run.to_string())?;
            Word { text: format!("in {}", run.text), path: run.path }
        }
        (Actor::System(part), cause) => Word::plain(match (part, cause) {
            (_, Cause::Retention) => "by retention",
            (Part::Cli, _) => "by a command",
            (Part::Setup, _) => "at set-up",
            (Part::Migration, _) => "by an upgrade",
            (Part::Restore, _) => "by a restore",
            _ => "automatically",
        }),
        (Actor::Plugin(_) | Actor::Gateway(_), _) => Word::plain(""),
    };
    let undo_of = match cause {
        Cause::Undo(seq) => Some(seq),
        _ => None,
    };
    Ok(Byline { face: names.people.actor(actor), through, undo_of })
}

/// A feed entry with the changes that the viewer may see.
pub struct EntryView {
    pub seq: u64,
    pub at: Timestamp,
    pub actor: Actor,
    pub cause: Cause,
    /// Changed records, with their new versions.
    pub changes: Vec<(Root, Version)>,
    /// Number of changes that are omitted or invisible to the viewer.
    pub more: usize,
}

/// A feed entry.
pub fn entry(
    read: &dyn Read,
    schema: &Schema,
    who: Looker,
    seq: u64,
) -> Result<Option<EntryView>, StoreError> {
    let Some(entry) = feed::entry(read, seq)? else { return Ok(None) };
    let Entry { at, actor, cause, changes, .. } = entry;
    let (total, eye) = (changes.len(), Eye::new(read, who));
    let (mut views, mut steps) = (Vec::new(), Steps::default());
    for change in changes.into_iter().filter(|change| eye.may_read_history(change.table)) {
        if MAX_CHANGES <= views.len() {
            break;
        }
        let record = Root { table: change.table, key: change.key };
        // Only the current row tells the owner of a run; no versions are kept.
        if record.table == RUNS.number && !eye.sees_record(schema, &record)? {
            continue;
        }
        let Some(version) = history::at(read, schema, &record, seq, &mut steps)? else { continue };
        if eye.sees_version(record.table, &version)? {
            views.push((record, version));
        }
    }
    let more = total - views.len();
    let at = kernel::time::from_ms(at);
    Ok(Some(EntryView { seq, at, actor, cause, changes: views, more }))
}

/// Part of a record's history.
pub struct Stretch<T> {
    /// Results for the visible versions, newest first.
    pub results: Vec<T>,
    /// The last version examined, if any.
    pub last: Option<u64>,
    /// Cursor of the next part.
    pub next: Option<u64>,
}

/// Limits of a part of a history.
pub struct Bounds {
    /// `next` of the previous part.
    pub before: Option<u64>,
    /// Maximum number of versions to examine.
    pub limit: usize,
    /// Maximum total size, in the unit of `tell`. The first version is always included.
    pub enough: usize,
}

/// Calls `tell` for a part of a record's history, skipping versions that the viewer may not see. `tell` returns its
/// result and size. `None` if `before` is no version of the record.
///
/// # Errors
/// Errors of the store and of `tell`.
pub fn stretch<T, E: From<StoreError>>(
    read: &dyn Read,
    schema: &Schema,
    (who, record): (Looker, &Root),
    Bounds { before, limit, enough }: Bounds,
    mut tell: impl FnMut(Version) -> Result<(T, usize), E>,
) -> Result<Option<Stretch<T>>, E> {
    let eye = Eye::new(read, who);
    let Some(mut walk) = Walk::begin(read, schema, record, before)? else { return Ok(None) };
    let (mut results, mut size, mut last, mut full) = (Vec::new(), 0, None, false);
    for version in walk.by_ref().take(limit) {
        let version = version?;
        let seq = version.seq;
        if eye.sees_version(record.table, &version)? {
            let (one, more) = tell(version)?;
            // This version begins the next part.
            full = 0 < size && enough < size + more;
            if full {
                break;
            }
            size += more;
            results.push(one);
        }
        last = Some(seq);
    }
    let next = last.filter(|_| full || walk.goes_on());
    Ok(Some(Stretch { results, last, next }))
}

/// A page of a record's history without versions that the viewer may not see, limited to about 1 MiB. `None`
/// if `before` is no version of the record.
pub fn page(
    read: &dyn Read,
    schema: &Schema,
    whose: (Looker, &Root),
    (before, limit): (Option<u64>, usize),
) -> Result<Option<Page>, StoreError> {
    let bounds = Bounds { before, limit, enough: ENOUGH };
    let part = stretch(read, schema, whose, bounds, |version| {
        let images = [&version.before, &version.after].into_iter().filter_map(Image::bytes);
        let size = images.map(<[u8]>::len).sum();
        Ok::<_, StoreError>((version, size))
    })?;
    Ok(part.map(|part| Page { versions: part.results, next: part.next }))
}
