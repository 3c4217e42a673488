//! Labels on the kit: uses, page, merge.

use entity::{Entity, Field, Fields, InputKind, text_of};
use features::cards;
use features::tasks::card::LABEL;
use features::tasks::model::label::{BY_NAME, Label, LabelId};
use features::tasks::queries::labels::{self, Uses};
use features::tasks::queries::marks;
use features::tasks::rules::labels as rules;
use kernel::{Can, Colour, Error};
use kit::{Answers, Deleted, Extra, ExtraOf, Noun, On, Op, OpCx, Page, Reply, Row, Run, Tools};
use serde_json::{Map, Value, json};
use store::{Read, StoreError, WriteTx};
use tool::{Effect, Group};
use web::{format, ink};

pub static LABELS: Noun = Noun {
    find: Some(|read, name| Ok(labels::called(read, name.trim())?.map(|label| key(label.id)))),
    order: Some(BY_NAME),
    paged: false,
    extra: Some(Extra { schema: uses_schema, prepare: uses, in_lists: true }),
    deleted: Deleted::Record,
    ops: &[MERGE],
    tools: Tools {
        group: Group::Tasks,
        list: "List labels with their purpose and how many tasks, contacts and organizations have \
            each.",
        save: "",
    },
    page: Some(Page {
        title: "Labels",
        row,
        live,
        delete: "It is removed from everything that has it.",
        tabs: &[],
        detail: kit::no_detail,
        others: kit::no_others,
    }),
    ..Noun::of(
        &LABEL,
        "labels",
        "Labels mark tasks, contacts, organizations and records. Agents use them too; a new label or tag appears here.",
    )
};

const MERGE: Op = Op {
    name: "merge",
    on: On::One,
    can: Can::Write,
    effect: Effect::Change,
    about: "Merge a label into another. Everything with the first gets the second",
    verb: "Merge labels",
    done: "Merged into",
    confirm: "Everything that has it gets the other label.",
    input: &[Field::entered("into", "merge into", InputKind::Record("label")).required()],
    answers: Answers::Record,
    guide: kit::no_guide,
    links: &[],
    offered: kit::always,
    tool: false,
    run: Run::Write(merge),
};

fn merge(cx: &OpCx<'_>, tx: &mut WriteTx<'_>) -> Result<Reply, Error> {
    let into = labels::resolve(tx, cx.text("into"))?.id;
    Ok(Reply::record(&rules::merge(tx, cx.id()?, into)?.id))
}

fn key(id: LabelId) -> Vec<u8> {
    kernel::key::KeyBuf::of(&id).into_bytes()
}

fn uses_schema() -> Fields {
    let about = "How many records have it, by their kind: `{\"task\": 3, \"contact\": 2}`.";
    let counts = json!({ "type": "integer", "format": "uint", "minimum": 0 });
    let uses = json!({ "type": "object", "additionalProperties": counts, "description": about });
    Map::from_iter([("uses".to_owned(), uses)])
}

/// Number of records of each kind with a label.
fn uses(read: &dyn Read) -> Result<ExtraOf<'_>, StoreError> {
    let (tasks, others) = (marks::label_counts(read)?, Uses::read(read)?);
    Ok(Box::new(move |record| {
        let Ok(label) = serde_json::from_value::<Label>(Value::Object(record.clone())) else {
            return Ok(Fields::new());
        };
        let mut uses: Map<String, Value> = others
            .of(&label)
            .into_iter()
            .map(|one| (one.noun.word.to_owned(), json!(one.count)))
            .collect();
        uses.insert("task".to_owned(), json!(tasks.get(&label.id).copied().unwrap_or(0)));
        Ok(Map::from_iter([("uses".to_owned(), Value::Object(uses))]))
    }))
}

/// The tables that affect how often labels are used.
fn live() -> Vec<&'static str> {
    let labelled = cards::all().filter(|noun| noun.labelled.is_some());
    ["task_labels"].into_iter().chain(labelled.map(|noun| noun.topic)).collect()
}

fn row(label: &Fields) -> Row {
    let name = text_of(label, "name");
    let query = format!("label:\"{}\"", name.replace('"', ""));
    let uses = label.get("uses").and_then(Value::as_object);
    let count = |word: &str| uses.and_then(|uses| uses.get(word)).and_then(Value::as_u64);
    let tasks = format::count(count("task").unwrap_or(0), "task", "tasks");
    let mut marks = vec![(tasks, format!("tasks?q={}", format::query_value(&query)))];
    let other = |noun: &'static Entity| {
        let (labelled, count) = (noun.labelled?, count(noun.word)?);
        Some((format::count(count, noun.one, noun.many), (labelled.path)(name)))
    };
    marks.extend(cards::all().filter_map(other));
    Row {
        // ok: an invalid colour is drawn as none.
        colour: text_of(label, "colour").parse::<Colour>().map(ink::drawn).unwrap_or_default(),
        marks,
        ..Row::plain(label)
    }
}
