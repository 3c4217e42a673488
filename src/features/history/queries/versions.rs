//! Versions of records and entries of the feed, in words.

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

/// A page of versions ends behind about so many bytes of values.
const ENOUGH: usize = 1 << 20;
/// Most changes of one entry that a page shows.
pub const MAX_CHANGES: usize = 100;

/// What a change did to a record, in words.
pub struct Told {
    /// What the record is called.
    pub title: Word,
    /// What kind of thing it is.
    pub noun: &'static str,
    /// "made", "changed", "removed".
    pub verb: &'static str,
    /// What differs.
    pub fields: Vec<FieldDiff>,
    /// Why nothing is shown, or empty.
    pub missing: &'static str,
}

/// Who did something, through what and why.
pub struct Byline {
    pub face: Face,
    /// "in the browser", "as a step of R-12".
    pub through: Word,
    /// The entry that this undid.
    pub undo_of: Option<u64>,
}

/// The fields of stored bytes.
#[must_use]
pub fn fields_of(schema: &Schema, table: u16, bytes: Option<&[u8]>) -> Option<Map<String, Value>> {
    let ops = schema.table(table)?.ops.as_ref()?;
    match (ops.json)(bytes?).ok()? {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// The word for what happened.
#[must_use]
pub fn verb(op: Op) -> &'static str {
    match op {
        Op::Insert => "made",
        Op::Update => "changed",
        Op::Delete => "removed",
    }
}

/// Puts one change into words.
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
        (Image::Untold, _) | (_, Image::Untold) => "Values of such records are not kept.",
        (Image::Gone, _) | (_, Image::Gone) => {
            "What was there before is not kept any more: it was removed by age or on purpose."
        }
        (Image::Far, _) | (_, Image::Far) => {
            "It has changed too often since to look that up here; its history shows it."
        }
        _ => "",
    };
    // Half of a comparison would look like something that was made or removed.
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

/// Who did something and through what.
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
                None => "with a token that is gone".to_owned(),
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
            _ => "by itself",
        }),
        (Actor::Plugin(_) | Actor::Gateway(_), _) => Word::plain(""),
    };
    let undo_of = match cause {
        Cause::Undo(seq) => Some(seq),
        _ => None,
    };
    Ok(Byline { face: names.people.actor(actor), through, undo_of })
}

/// An entry with the changes that somebody may see.
pub struct EntryView {
    /// The entry.
    pub seq: u64,
    pub at: Timestamp,
    /// Who and why.
    pub actor: Actor,
    pub cause: Cause,
    /// The changed records, with the version that each got.
    pub changes: Vec<(Root, Version)>,
    /// How many more there are, or that this person may not see.
    pub more: usize,
}

/// An entry of the feed.
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
        // Of runs only the row tells whose they are; no version of one is kept.
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

/// A part of a record's history, as somebody tells it.
pub struct Stretch<T> {
    /// What the versions that this person may see became, newest first.
    pub told: Vec<T>,
    /// The last version that was looked at; none when there is none.
    pub last: Option<u64>,
    /// What goes on where this ends.
    pub next: Option<u64>,
}

/// Where a part of a history begins, how many versions it looks at, and behind how much it ends.
pub struct Bounds {
    /// The `next` of the part before.
    pub before: Option<u64>,
    /// Most versions that are looked at.
    pub limit: usize,
    /// It ends before what makes it larger than this, in the measure of who tells it; the first version is
    /// always told.
    pub enough: usize,
}

/// Tells a part of a record's history, without the versions that are not for this person; none when `before`
/// fits nothing. `tell` also says how much each version takes.
///
/// # Errors
/// When the store fails, and what `tell` answers.
pub fn stretch<T, E: From<StoreError>>(
    read: &dyn Read,
    schema: &Schema,
    (who, record): (Looker, &Root),
    Bounds { before, limit, enough }: Bounds,
    mut tell: impl FnMut(Version) -> Result<(T, usize), E>,
) -> Result<Option<Stretch<T>>, E> {
    let eye = Eye::new(read, who);
    let Some(mut walk) = Walk::begin(read, schema, record, before)? else { return Ok(None) };
    let (mut told, mut size, mut last, mut full) = (Vec::new(), 0, None, false);
    for version in walk.by_ref().take(limit) {
        let version = version?;
        let seq = version.seq;
        if eye.sees_version(record.table, &version)? {
            let (one, more) = tell(version)?;
            // What would be too much begins the next part.
            full = 0 < size && enough < size + more;
            if full {
                break;
            }
            size += more;
            told.push(one);
        }
        last = Some(seq);
    }
    let next = last.filter(|_| full || walk.goes_on());
    Ok(Some(Stretch { told, last, next }))
}

/// A page of a record's history, without the versions that are not for this person; none when `before`
/// fits nothing. It ends earlier behind about so many bytes as a page of words should have.
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
    Ok(part.map(|part| Page { versions: part.told, next: part.next }))
}
