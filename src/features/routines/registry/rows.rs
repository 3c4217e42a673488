//! Record kinds of the registry: records that are created, changed or deleted.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::fields::*;
use super::{Kind, OLD, OWN as OWN_FIELD, TASK_CHANGED};
use crate::agents::model::{Agent, Reach};
use crate::audit::model::Keeping;
use crate::cards;
use crate::comments::model::{Comment, Reaction};
use crate::connections::model::{Connection, Fallbacks, UsualThinking, Window};
use crate::deliverables::model::{Deliverable, Review, Version};
use crate::files::model::TaskFile;
use crate::inbox::model::pace::Pace;
use crate::links::model::Link;
use crate::notifications::model::sending::MailSettings;
use crate::routines::model::{Routine, RoutineRules};
use crate::runs::model::{RunLimits, SubagentLimits};
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::tasks::model::label::TaskLabel;
use crate::tasks::model::overdue::TaskRules;
use crate::tasks::model::relation::Relation;
use crate::tasks::model::series::{Occurrence, Series};
use crate::tasks::model::template::Template;
use crate::usage::model::budget::Budget;
use crate::usage::model::price::EnteredPrice;
use crate::workspace::model::{Brand, Member, People, Settings};
use entity::Entity;
use kernel::RowAct;
use kernel::key::KeyBuf;
use store::{Op, Range, Read, ReadExt as _, Record, StoreError};

/// Maximum number of records to search for a name.
const LOOKED_AT: usize = 2_000;

/// Decodes a stored row into JSON fields. `None` if it cannot be decoded.
type AsFields = fn(&[u8]) -> Option<Map<String, Value>>;

/// Finds the key of a record by name or id.
type Find = fn(&dyn Read, &str) -> Result<Option<Vec<u8>>, StoreError>;

/// Source of the names of a record and its fields.
enum Names {
    /// Common field names, with a lookup by name.
    Usual(Find),
    Card(&'static Entity),
}

/// Kinds of one table.
pub struct RowKinds {
    /// Noun for one record.
    pub one: &'static str,
    pub table: u16,
    pub kinds: &'static [Kind],
    /// Decodes a stored row into JSON fields. `None` if it cannot be decoded.
    pub json: AsFields,
    names: Names,
    /// Stored row of the record's sample.
    #[cfg(test)]
    pub sample: fn() -> Vec<u8>,
}

/// Condition field names whose JSON name differs.
const KEYS: [(&str, &str); 8] = [
    ("title", "name"),
    ("title", "label"),
    ("text", "body"),
    ("deliverable", "title"),
    ("file", "name"),
    ("handle", "slug"),
    ("speaks", "wire"),
    ("limit_dollars", "limit_micros"),
];

/// Fields that HQ maintains in records with custom fields.
const STAMPS: [&str; 5] = ["id", "collection", "created_at", "updated_at", "archived_at"];

impl RowKinds {
    /// JSON name of a condition field.
    #[must_use]
    pub fn key_of(&self, map: &Map<String, Value>, field: &str) -> Option<String> {
        let name = field.strip_prefix(OLD).unwrap_or(field);
        match self.names {
            Names::Card(card) => {
                let key = card.fields.iter().find(|one| one.name == name).map(|one| one.key);
                key.filter(|key| map.contains_key(*key)).map(str::to_owned)
            }
            Names::Usual(_) => usual_key(map, name),
        }
    }

    /// Returns `true` if the records have custom fields.
    #[must_use]
    pub fn has_own_fields(&self) -> bool {
        matches!(self.names, Names::Card(card) if card.own_fields.is_some())
    }

    /// JSON keys of the custom fields.
    pub fn own_keys<'m>(&self, map: &'m Map<String, Value>) -> Vec<&'m str> {
        let Names::Card(card) = self.names else { return Vec::new() };
        if card.own_fields.is_none() {
            return Vec::new();
        }
        map.keys().map(String::as_str).filter(|key| !is_brought(card, key)).collect()
    }

    /// Custom fields, as condition field names with labels.
    pub fn own_fields(&self, read: &dyn Read) -> Result<Vec<(String, String)>, StoreError> {
        let Names::Card(card) = self.names else { return Ok(Vec::new()) };
        let Some(all) = card.own_fields else { return Ok(Vec::new()) };
        let own = all(read)?.into_iter().filter(|(key, _)| !is_brought(card, key));
        Ok(own.map(|(key, label)| (format!("{OWN_FIELD}{key}"), label)).collect())
    }

    /// Finds the key of a record by name or id.
    pub fn find(&self, read: &dyn Read, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.names {
            Names::Card(card) => card.find(read, name),
            Names::Usual(find) => find(read, name),
        }
    }
}

fn usual_key(map: &Map<String, Value>, name: &str) -> Option<String> {
    let others = KEYS.iter().filter(|(own, _)| *own == name).map(|(_, key)| (*key).to_owned());
    let mut all = [name.to_owned(), format!("{name}_at")].into_iter().chain(others);
    all.find(|key| map.contains_key(key))
}

/// Finds a record by id, title or task id. An empty name finds the only record of the table.
fn find<R: Record>(read: &dyn Read, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let wanted = name.trim().to_lowercase();
    let all: Vec<R> = read.list(&Range::all().limit(LOOKED_AT))?;
    let single = all.len() == 1;
    for one in all {
        let key = KeyBuf::of(&one.id()).into_bytes();
        let Ok(Value::Object(map)) = serde_json::to_value(&one) else { continue };
        let called = |field: &str| {
            let text = map.get(field).and_then(Value::as_str).unwrap_or_default();
            !wanted.is_empty() && text.to_lowercase() == wanted
        };
        let fits = ["id", "title", "name", "slug", "label", "task"].into_iter().any(called);
        if fits || (single && wanted.is_empty()) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// Expands to one [`Kind`] of a record.
macro_rules! kind {
    (made, $record:ty, $word:literal, $one:literal, $group:expr, $base:expr, [$($make:ident($($arg:expr),+)),*]) => {
        Kind {
            word: concat!($word, ".created"),
            label: concat!($one, " is created"),
            group: $group,
            fields: &[&[$($make($($arg),+)),*], $base, COMMON],
            row: Some((<$record as Record>::TABLE.number, &[Op::Insert])),
        }
    };
    (gone, $record:ty, $word:literal, $one:literal, $group:expr, $base:expr, [$($make:ident($($arg:expr),+)),*]) => {
        Kind {
            word: concat!($word, ".deleted"),
            label: concat!($one, " is deleted"),
            group: $group,
            fields: &[&[$($make($($arg),+)),*], $base, COMMON],
            row: Some((<$record as Record>::TABLE.number, &[Op::Delete])),
        }
    };
    (changed, $record:ty, $word:literal, $one:literal, $group:expr, $base:expr, $fields:tt) => {
        kind!(change &[Op::Update], concat!($one, " changes"), $record, $word, $group, $base, $fields)
    };
    // Singletons, and rows that are written without knowing whether they existed.
    (set, $record:ty, $word:literal, $one:literal, $group:expr, $base:expr, $fields:tt) => {
        kind!(change &[Op::Insert, Op::Update, Op::Delete], concat!($one, " changes"), $record, $word, $group, $base, $fields)
    };
    (change $ops:expr, $label:expr, $record:ty, $word:literal, $group:expr, $base:expr, [$($make:ident($name:literal, $about:literal $(, $words:expr)?)),*]) => {
        Kind {
            word: concat!($word, ".changed"),
            label: $label,
            group: $group,
            fields: &[
                &[$($make($name, $about $(, $words)?)),*],
                &[$($make(concat!("old_", $name), concat!("the former ", $about) $(, $words)?)),*],
                CHANGED,
                $base,
                COMMON,
            ],
            row: Some((<$record as Record>::TABLE.number, $ops)),
        }
    };
}

/// Expands to the [`RowKinds`] of a record type.
macro_rules! noun {
    ($record:ty, $word:literal, $one:literal, $group:expr, $base:expr, [$($done:ident)+], $fields:tt) => {
        noun!($record, $one, &[$(kind!($done, $record, $word, $one, $group, $base, $fields)),+])
    };
    ($record:ty, $one:literal, $kinds:expr) => {
        RowKinds {
            one: $one,
            table: <$record as Record>::TABLE.number,
            kinds: $kinds,
            json: entity::fields::<$record>,
            names: Names::Usual(find::<$record>),
            #[cfg(test)]
            sample: entity::sample::<$record>,
        }
    };
}

/// For records without a name. They are labelled as in the history.
const NAMELESS: &[Field] = RECORD;
const GROUPS: &str = "Streams, labels, series and templates";
const WORK: &str = "Comments and deliverables";
const AGENTS: &str = "Agents and runs";
const PEOPLE: &str = "People";
const MODELS: &str = "Models and money";
const HOUSE: &str = "The workspace";

/// Records without a descriptor, in form order.
static OWN: &[RowKinds] = &[
    noun!(
        Task,
        "a task",
        &[
            Kind {
                word: TASK_CHANGED,
                label: "any field of a task changes",
                group: "Tasks",
                fields: &[TASK, FORMER_TASK, CHANGED, COMMON],
                row: Some((<Task as Record>::TABLE.number, &[Op::Update])),
            },
            Kind {
                word: "task.deleted",
                label: "a task is deleted",
                group: "Tasks",
                fields: &[TASK, COMMON],
                row: Some((<Task as Record>::TABLE.number, &[Op::Delete])),
            },
        ]
    ),
    noun!(TaskLabel, "task_label", "a task’s label", "Tasks", TASK, [made gone], [
        text("label", "the label")
    ]),
    noun!(Relation, "task_relation", "a task relation", "Tasks", TASK, [made gone], [
        text("kind", "the kind of relation"),
        text("other", "the other task")
    ]),
    noun!(Stream, "stream", "a stream", GROUPS, &[], [made changed gone], [
        text("title", "name"),
        text("description", "description"),
        text("goal", "goal"),
        text("lead", "lead"),
        moment("target_date", "target date"),
        moment("archived", "archiving time")
    ]),
    noun!(Series, "series", "a recurring task", GROUPS, &[], [made changed gone], [
        text("title", "title"),
        text("description", "description"),
        ranked("priority", "priority", PRIORITIES),
        text("assignee", "assignee"),
        text("stream", "stream"),
        text("model", "model"),
        moment("paused", "pausing time")
    ]),
    noun!(
        Occurrence,
        "occurrence",
        "a task of a series",
        GROUPS,
        TASK,
        [made],
        [number("skipped", "number of skipped runs before it")]
    ),
    noun!(Template, "template", "a task template", GROUPS, &[], [made changed gone], [
        text("title", "name"),
        text("description", "description")
    ]),
    noun!(Comment, "comment", "a comment", WORK, TASK, [changed gone], [
        text("text", "text"),
        list("mentions", "mentioned agents"),
        moment("settled", "resolving time")
    ]),
    noun!(Reaction, "reaction", "a reaction to a comment", WORK, TASK, [made gone], [
        text("kind", "the reaction")
    ]),
    noun!(Deliverable, "deliverable", "delivered work", WORK, TASK, [changed gone], [
        text("deliverable", "title"),
        text("state", "state"),
        number("versions", "number of versions")
    ]),
    noun!(Version, "version", "a version of delivered work", WORK, TASK, [made gone], [
        number("number", "its number"),
        text("note", "the note")
    ]),
    noun!(Review, "review", "a review", WORK, TASK, [changed gone], [
        words("verdict", "verdict", VERDICTS),
        text("note", "note")
    ]),
    noun!(TaskFile, "task_file", "a task’s file", WORK, TASK, [changed gone], [
        text("file", "name"),
        number("size", "size in bytes")
    ]),
    noun!(Link, "link", "a task’s link", WORK, TASK, [made changed gone], [
        text("label", "words"),
        text("target", "target")
    ]),
    noun!(Agent, "agent", "an agent", AGENTS, &[], [made changed gone], [
        text("title", "name"),
        text("handle", "name in URLs"),
        text("description", "description"),
        words("status", "status", AGENT_STATUSES),
        text("model", "model"),
        text("thinking", "thinking level"),
        text("reports_to", "manager"),
        yes_no("exec", "permission to run programs"),
        yes_no("network", "permission to use the network"),
        moment("archived", "archiving time")
    ]),
    noun!(
        Reach,
        "reach",
        "an agent’s host access",
        AGENTS,
        NAMELESS,
        [set],
        [list("hosts", "hosts")]
    ),
    noun!(
        Pace,
        "pace",
        "an agent’s working hours",
        AGENTS,
        NAMELESS,
        [set],
        [number("per_hour", "limit within an hour")]
    ),
    noun!(
        SubagentLimits,
        "subagent_limits",
        "the sub-agent limit",
        AGENTS,
        NAMELESS,
        [set],
        [
            number("depth", "depth"),
            number("fan_out", "number of sub-agents per run"),
            number("live", "number running at once"),
            number("total", "total number per run"),
            number("minutes", "time in minutes")
        ]
    ),
    noun!(
        RunLimits,
        "run_limits",
        "the run limit",
        AGENTS,
        NAMELESS,
        [set],
        [
            number("calls", "number of model calls"),
            number("tool_calls", "number of tool calls"),
            number("working_minutes", "working time in minutes")
        ]
    ),
    noun!(Routine, "routine", "a routine", AGENTS, &[], [made changed gone], [
        text("title", "name"),
        text("agent", "agent"),
        text("instruction", "instruction"),
        yes_no("active", "whether it is active"),
        text("stopped", "reason HQ stopped it")
    ]),
    noun!(
        RoutineRules,
        "routine_rules",
        "a routine setting",
        AGENTS,
        NAMELESS,
        [set],
        [yes_no("ask", "whether a person must activate them"), moment("paused", "pausing time")]
    ),
    noun!(Member, "member", "a member", PEOPLE, &[], [changed gone], [
        text("title", "name"),
        text("handle", "handle"),
        words("role", "role", ROLES),
        moment("left", "leaving time")
    ]),
    noun!(
        People,
        "member_rules",
        "a member requirement",
        PEOPLE,
        NAMELESS,
        [set],
        [yes_no("factor_for_admins", "two-step sign-in rule")]
    ),
    noun!(Budget, "budget", "a budget", MODELS, NAMELESS, [made changed gone], [
        text("period", "period"),
        number("limit_dollars", "limit in dollars"),
        number("limit_tokens", "token limit"),
        number("soft_pct", "percentage at which it warns"),
        yes_no("hard", "whether it stops calls")
    ]),
    noun!(EnteredPrice, "price", "a price", MODELS, NAMELESS, [made changed gone], [
        text("model", "model")
    ]),
    noun!(Connection, "connection", "a connection", MODELS, &[], [made changed gone], [
        text("title", "name"),
        text("speaks", "protocol"),
        text("default_model", "default model")
    ]),
    noun!(
        Fallbacks,
        "fallbacks",
        "a list of fallback models",
        MODELS,
        NAMELESS,
        [set],
        [text("models", "list")]
    ),
    noun!(
        UsualThinking,
        "usual_thinking",
        "the default thinking level",
        MODELS,
        NAMELESS,
        [set],
        [text("level", "level")]
    ),
    noun!(
        Window,
        "model_window",
        "a model’s context window",
        MODELS,
        NAMELESS,
        [set],
        [number("tokens", "number of tokens")]
    ),
    noun!(
        Settings,
        "settings",
        "a workspace setting",
        HOUSE,
        &[],
        [set],
        [
            text("title", "name"),
            text("task_key", "task key"),
            text("zone", "time zone"),
            text("default_model", "default model"),
            yes_no("comments_reach_assignee", "whether comments reach the assignee")
        ]
    ),
    noun!(Brand, "brand", "the brand colour", HOUSE, NAMELESS, [set], [text("colour", "colour")]),
    noun!(
        TaskRules,
        "task_rules",
        "a rule for tasks",
        HOUSE,
        NAMELESS,
        [set],
        [
            number("missed_after_days", "number of days until a task is missed"),
            text("delegation", "delegation rule")
        ]
    ),
    noun!(
        Keeping,
        "keeping",
        "the history retention",
        HOUSE,
        NAMELESS,
        [set],
        [number("days", "number of days"), number("megabytes", "number of megabytes")]
    ),
    // Mail settings expose no fields: where mail is sent is only for admins.
    noun!(MailSettings, "mail", "the mail server", HOUSE, NAMELESS, [set], []),
];

/// Nouns with descriptors. Built once per process.
static OF_CARDS: LazyLock<Vec<RowKinds>> =
    LazyLock::new(|| cards::all().filter_map(|card| Some(of_card(card, card.triggers?))).collect());

/// All record kinds, in form order.
pub(super) fn all() -> impl Iterator<Item = &'static RowKinds> + Clone {
    OWN.iter().chain(OF_CARDS.iter())
}

#[must_use]
pub fn rows_of(table: u16) -> Option<&'static RowKinds> {
    all().find(|rows| rows.table == table)
}

/// Returns `true` for a built-in field.
fn is_brought(card: &Entity, key: &str) -> bool {
    STAMPS.contains(&key) || card.fields.iter().any(|one| one.key == key)
}

/// Record kinds of a noun with a descriptor.
fn of_card(card: &'static Entity, group: &'static str) -> RowKinds {
    let seen = || card.fields.iter().filter(|field| !field.name.is_empty());
    let now: Vec<Field> =
        seen().map(|one| Field { name: one.name, label: one.label, of: one.of }).collect();
    let old: Vec<Field> = seen()
        .map(|one| Field {
            name: format!("{OLD}{}", one.name).leak(),
            label: format!("the former {}", one.label).leak(),
            of: one.of,
        })
        .collect();
    let (now, old): (&[Field], &[Field]) = (now.leak(), old.leak());
    let kind = |act: RowAct, does: &str, op: &'static [Op]| -> Kind {
        let fields: Vec<&'static [Field]> = match act {
            RowAct::Changed => vec![now, old, CHANGED, COMMON],
            RowAct::Created | RowAct::Deleted => vec![now, COMMON],
        };
        Kind {
            word: format!("{}.{}", card.word, act.word()).leak(),
            label: format!("{} {does}", card.a()).leak(),
            group,
            fields: fields.leak(),
            row: Some((card.table, op)),
        }
    };
    let kinds = vec![
        kind(RowAct::Created, "is created", &[Op::Insert]),
        kind(RowAct::Changed, "changes", &[Op::Update]),
        kind(RowAct::Deleted, "is deleted", &[Op::Delete]),
    ];
    RowKinds {
        one: card.a().leak(),
        table: card.table,
        kinds: kinds.leak(),
        json: card.rows.fields,
        names: Names::Card(card),
        #[cfg(test)]
        sample: card.rows.sample,
    }
}
