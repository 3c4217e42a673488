//! Sentences for changes without events, from the changed rows.

use crate::agents::model::{AGENTS, REACH};
use crate::cards;
use crate::comments::model::{COMMENTS, REACTIONS};
use crate::connections::model::{CONNECTIONS, Connection};
use crate::deliverables::model::{DELIVERABLES, REVIEWS, VERSIONS};
use crate::files::model::TASK_FILES;
use crate::history::queries;
use crate::history::queries::names::{Names, noun};
use crate::history::queries::readable::Eye;
use crate::history::queries::versions::fields_of;
use crate::inbox::model::pace::PACES;
use crate::links::model::LINKS;
use crate::routines::model::{ROUTINE_RULES, ROUTINES};
use crate::runs::model::RUN_LIMITS;
use crate::streams::model::STREAMS;
use crate::tasks::model::TASKS;
use crate::tasks::model::label::TASK_LABELS;
use crate::tasks::model::relation::RELATIONS;
use crate::tasks::model::series::{OCCURRENCES, SERIES};
use crate::tasks::model::template::TEMPLATES;
use entity::Area;
use kernel::key::KeyBuf;
use kernel::{Actor, Cause, ConnectionId, Event};
use store::{Change, Class, Entry, Op, Read, ReadExt as _, Root, Schema, StoreError, feed, record};
use web::format;

use super::Words;

const WORK: [u16; 14] = [
    TASKS.number,
    STREAMS.number,
    TASK_LABELS.number,
    RELATIONS.number,
    SERIES.number,
    TEMPLATES.number,
    OCCURRENCES.number,
    COMMENTS.number,
    REACTIONS.number,
    DELIVERABLES.number,
    VERSIONS.number,
    REVIEWS.number,
    TASK_FILES.number,
    LINKS.number,
];

/// Tables of agents and their settings.
const AGENT: [u16; 6] = [
    AGENTS.number,
    REACH.number,
    PACES.number,
    RUN_LIMITS.number,
    ROUTINES.number,
    ROUTINE_RULES.number,
];

/// Returns `true` if an entry without a sentence is described by its rows: actions of people and agents, except set-up.
pub fn is_told(entry: &Entry) -> bool {
    matches!(entry.actor, Actor::Person { .. } | Actor::Agent { .. })
        && !matches!(entry.cause, Cause::Setup | Cause::Migration(_) | Cause::Restore)
}

/// Returns `true` if an entry only changes a connection that is deleted by now and does not itself delete it.
pub fn is_of_gone(read: &dyn Read, entry: &Entry) -> Result<bool, StoreError> {
    let [Event::ConnectionChanged { connection }] = entry.events.as_slice() else {
        return Ok(false);
    };
    let is_end = |change: &Change| change.table == CONNECTIONS.number && change.op == Op::Delete;
    Ok(!entry.changes.iter().any(is_end) && read.get::<Connection>(*connection)?.is_none())
}

/// Rewrites the sentence of an entry that adds or removes a connection: "added the connection **OpenAI**". A removed
/// connection gets its last name.
pub fn name_change(
    read: &dyn Read,
    entry: &Entry,
    id: ConnectionId,
    sentence: &mut Option<(Area, Words)>,
) -> Result<(), StoreError> {
    let key = KeyBuf::of(&id);
    let is_its = |change: &Change| change.table == CONNECTIONS.number && change.key == key.bytes();
    let Some(n) = entry.changes.iter().position(is_its) else { return Ok(()) };
    match (entry.changes[n].op, sentence) {
        (Op::Insert, Some((_, words))) => words.verb = super::ADDED.to_owned(),
        // HQ itself deletes the connection of a failed attempt; that is omitted.
        (Op::Delete, sentence) if !matches!(entry.actor, Actor::System(_)) => {
            let n = u16::try_from(n).unwrap_or(u16::MAX);
            let Some(row) = feed::before_image(read, entry.seq, n)? else { return Ok(()) };
            let (was, _) = record::read::<Connection>(&row)?;
            let words = Words {
                verb: "removed the connection".to_owned(),
                thing: was.name,
                path: "settings/connections".to_owned(),
                icon: "x",
                ..Words::default()
            };
            *sentence = Some((Area::Workspace, words));
        }
        _ => {}
    }
    Ok(())
}

/// Returns `true` if the rows of an entry may yield a sentence, judged by its head alone.
pub fn may_tell(schema: &Schema, entry: &Entry) -> bool {
    is_told(entry) && entry.changes.iter().any(|change| is_shown(schema, change))
}

fn is_shown(schema: &Schema, change: &Change) -> bool {
    // Tables with private records are never described.
    !cards::may_be_own(change.table)
        && schema.table(change.table).and_then(|info| info.class()) == Some(Class::Tracked)
}

/// Such as "changed **Comment on MC-3 Compare prices**", with the number of further changes. `None` if the viewer may
/// not read the history of any changed record.
pub fn words(
    read: &dyn Read,
    schema: &Schema,
    entry: &Entry,
    (names, eye): (&Names<'_>, &Eye<'_>),
) -> Result<Option<(Area, Words)>, StoreError> {
    let is_visible =
        |change: &Change| is_shown(schema, change) && eye.may_read_history(change.table);
    let mut all = entry.changes.iter().enumerate().filter(|(_, change)| is_visible(change));
    let Some((n, change)) = all.next() else { return Ok(None) };
    let more = all.count() as u64;
    let row = match change.op {
        Op::Delete => match u16::try_from(n) {
            Ok(n) => feed::before_image(read, entry.seq, n)?,
            Err(_) => None,
        },
        Op::Insert | Op::Update => read.raw_get(change.table, &change.key)?,
    };
    let info = schema.table(change.table);
    let (one, many) = info.map_or(("record", "records"), |info| noun(change.table, info.name));
    let fields = fields_of(schema, change.table, row.as_deref()).unwrap_or_default();
    let word = match fields.is_empty() {
        true => None,
        false => Some(names.title(change.table, &fields)?),
    };
    // A record without a name is called by its noun.
    let word = word.filter(|word| !word.text.is_empty() && word.text != "A record");
    let record = Root { table: change.table, key: change.key.clone() };
    let own = word.as_ref().map(|word| word.path.clone()).filter(|path| !path.is_empty());
    let area = match change.table {
        table if WORK.contains(&table) => Area::Work,
        table if AGENT.contains(&table) => Area::Agents,
        table => cards::of_table(table).map_or(Area::Workspace, |noun| noun.area),
    };
    let (verb, icon) = match change.op {
        Op::Insert => ("created", "plus"),
        Op::Update => ("updated", "edit"),
        Op::Delete => ("removed", "x"),
    };
    let words = Words {
        verb: verb.to_owned(),
        thing: word.map_or_else(|| some(one, many), |word| word.text),
        path: own.unwrap_or_else(|| queries::path(schema, &record)),
        rest: match more {
            0 => String::new(),
            more => format!("and {}", format::count(more, "other change", "other changes")),
        },
        icon,
        ..Words::default()
    };
    Ok(Some((area, words)))
}

/// A record without a name of its own: "a connection", "run limits".
fn some(one: &str, many: &str) -> String {
    if one == many { one.to_owned() } else { kernel::text::with_article(one) }
}
