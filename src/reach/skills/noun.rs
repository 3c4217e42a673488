//! Skill packages on the kit.

use entity::{Area, Entity, Field, Fields, FileKind, InputKind, Stored, Values, text_of};
use kernel::{Can, Error, Timestamp};
use kit::{Acts, Answers, Extra, ExtraOf, Noun, On, Op, Page, Reply, Row, Run};
use serde_json::{Value, json};
use skill::{FindingKind, Level};
use store::{Read, ReadExt as _, Record as _, StoreError, WriteTx};
use tool::Effect;

use super::lists::SKILL_LIST;
use super::model::{LISTS, Skill, SkillId, SkillVersion};
use super::queries::{Means, Standing};
use super::{disk, list, ops, queries, rules, show};
use crate::nouns::{OP, message_schema, slugs};

/// Descriptors, for schema, history and search.
pub static NOUNS: [&Entity; 2] = [&SKILL, &SKILL_LIST];

pub(super) const TABS: &[(&str, &str)] = &[("skills", "Skills"), ("skill-lists", "Agent lists")];

pub static SKILL: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    tables: |schema| schema.with::<Skill>().with::<SkillVersion>(),
    fields: &[
        Field::text("name", "name").called("title"),
        Field::text("description", "description"),
        Field::text("source", "source"),
        Field::lines("agents", "agents").hidden().later().about("that have it; all if empty"),
        Field::text("active", "active version").hidden().internal(),
        Field::text("active_hash", "active hash").hidden(),
        Field::text("waiting", "waiting version").hidden().internal(),
        Field::text("waiting_hash", "waiting hash").hidden(),
        Field::text("newest", "newest version").hidden().internal(),
        Field::new("is_blocked", "blocked", entity::Type::YesNo),
        Field::text("proposed_by", "proposed by"),
        Field::text("by", "by").hidden().internal(),
        Field::stamp("created_at", "created"),
        Field::stamp("updated_at", "changed"),
    ],
    path: |_| "settings/skills".to_owned(),
    // An approval is not given back by an undo.
    undo: None,
    triggers: Some("Skills"),
    review: Some("settings/skills"),
    waits: Some(|row| {
        entity::decode_row::<Skill>(row).is_some_and(|skill| skill.waiting.is_some())
    }),
    missing: "skill_not_found",
    ..Entity::stored::<Skill>("skill", "skill", "skills")
};

const SOURCE: Field = Field::line("source", "source").max(2_000).about(
    "address of an archive, a SKILL.md, a git repository or a site; or a folder or archive of this machine",
);
const fn archive(about: &'static str) -> Field {
    let kind = FileKind { accept: ".zip,.tar.gz,.tgz,.gz", max_bytes: skill::MAX_BYTES };
    Field::upload(ops::ARCHIVE, "file", kind).about(about)
}

pub static SKILL_PACKAGES: Noun = Noun {
    acts: Acts { create: false, ..Acts::ALL },
    write: Can::Admin,
    command: "skills",
    proof: Some(needs_proof),
    extra: Some(Extra { schema: state_schema, prepare: states, in_lists: false }),
    ops: &[
        Op {
            name: "install",
            on: On::All,
            effect: Effect::External,
            about: "Fetch a skill. It waits for approval; nothing of it runs",
            verb: "Install skill",
            done: "Waiting for approval:",
            input: &[
                SOURCE,
                archive("a .zip or .tar.gz to use instead of the source"),
                Field::line("skill", "skill").max(64).about("if the source has several"),
                Field::lines("agents", "agents").about("that get it; all if empty"),
            ],
            run: Run::Prepared(ops::fetch_new, ops::install),
            ..OP
        },
        Op {
            name: "look",
            on: On::All,
            effect: Effect::External,
            about: "List the skills of a source",
            verb: "Show skills of a source",
            input: &[SOURCE.required()],
            answers: Answers::Json(show::skills_schema),
            run: Run::Prepared(ops::look, ops::reply),
            ..OP
        },
        Op {
            name: "all",
            on: On::All,
            effect: Effect::Read,
            about: "List all skills: packages, knowledge, agents’ folders and built-in ones",
            verb: "List all",
            answers: Answers::Json(show::skills_schema),
            offered: |_| false,
            run: Run::Prepared(list::all, ops::reply),
            ..OP
        },
        Op {
            name: "review",
            effect: Effect::Read,
            about: "Show the files, findings and changes of the version to approve, or one of its files",
            verb: "Show as text",
            input: &[
                Field::line("file", "file").max(600).about("path of a file to show instead"),
                Field::entered("from", "from line", InputKind::Count(1, 100_000_000))
                    .about("of the file"),
                Field::entered("number", "version", InputKind::Count(1, 1_000_000))
                    .about("of the file; the one to approve if empty"),
            ],
            answers: Answers::Json(message_schema),
            offered: |_| false,
            run: Run::Prepared(show::review, ops::reply),
            ..OP
        },
        Op {
            name: "approve",
            about: "Approve the waiting version with this hash, for agents to follow",
            verb: "Approve",
            done: "Approved",
            input: &[Field::line("hash", "hash")
                .required()
                .max(64)
                .about("of the version you have seen")],
            links: &["hash"],
            offered: is_waiting,
            run: Run::Prepared(ops::lay_waiting, ops::approve),
            ..OP
        },
        Op {
            name: "reject",
            about: "Remove the waiting version",
            verb: "Reject",
            done: "Rejected",
            confirm: "The waiting version is removed. The active one stays.",
            answers: Answers::Empty,
            offered: is_waiting,
            run: Run::Write(|cx, tx| {
                rules::reject(tx, cx.id()?)?;
                Ok(Reply::Empty)
            }),
            ..OP
        },
        Op {
            name: "update",
            effect: Effect::External,
            about: "Fetch the skill again, or upload it. A new version waits for approval",
            verb: "Update",
            done: "Received",
            input: &[archive("a .zip or .tar.gz; needed if the skill has no source")],
            offered: |skill| text_of(skill, "proposed_by").is_empty(),
            run: Run::Prepared(ops::fetch_again, ops::update),
            ..OP
        },
        Op {
            name: "roll-back",
            about: "Return to an earlier approved version",
            verb: "Roll back",
            done: "Rolled back",
            input: &[Field::entered("number", "version", InputKind::Count(1, 1_000_000))
                .about("its number; the one before if empty")],
            offered: |skill| 1 < count(skill, "approved_versions"),
            run: Run::Prepared(ops::lay_earlier, ops::roll_back),
            ..OP
        },
        Op {
            name: "block",
            about: "Take the skill from all agents",
            verb: "Block",
            done: "Blocked",
            offered: |skill| !is_blocked(skill),
            run: Run::Write(|cx, tx| Ok(Reply::record(&rules::block(tx, cx.id()?, true)?.id))),
            ..OP
        },
        Op {
            name: "unblock",
            about: "Give a blocked skill back to agents",
            verb: "Unblock",
            done: "Unblocked",
            offered: is_blocked,
            run: Run::Write(|cx, tx| Ok(Reply::record(&rules::block(tx, cx.id()?, false)?.id))),
            ..OP
        },
        Op {
            name: "repair",
            about: "Write the files of the active version again",
            verb: "Repair",
            answers: Answers::Json(message_schema),
            offered: |skill| flag(skill, "is_damaged"),
            run: Run::Prepared(ops::repair, ops::reply),
            ..OP
        },
    ],
    page: Some(Page {
        title: "Skills",
        row,
        live: || vec![LISTS.name, knowledge::model::ITEMS.name],
        delete: "Agents lose it, and its versions are deleted.",
        tabs: TABS,
        detail: show::detail,
        others: list::groups,
    }),
    ..Noun::of(&SKILL, "skills", "Instructions that agents read when a task fits")
};

fn is_waiting(skill: &Fields) -> bool {
    !text_of(skill, "waiting_hash").is_empty()
}

fn is_blocked(skill: &Fields) -> bool {
    flag(skill, "is_blocked")
}

fn flag(skill: &Fields, key: &str) -> bool {
    skill.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn count(skill: &Fields, key: &str) -> u64 {
    skill.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// Whether an operation needs a person at a browser or on this machine: if it changes which instructions agents get, or
/// reads files of this machine.
fn needs_proof(act: &str, values: Option<&Values>) -> bool {
    match (act, values) {
        ("approve" | "roll-back" | "unblock", _) | ("install" | "look" | "change", None) => true,
        // The source is that of the record, and may be a folder of this machine.
        ("update", values) => values.is_none_or(|values| !values.contains_key(ops::ARCHIVE)),
        ("install" | "look", Some(values)) => ops::is_local(text_of(values, "source")),
        ("change", Some(values)) => values.contains_key("agents"),
        _ => false,
    }
}

impl Stored for Skill {
    fn blank(tx: &mut WriteTx<'_>) -> Self {
        let now = tx.now();
        Self { id: tx.new_id(), by: tx.by(), created_at: now, updated_at: now, ..Self::sample() }
    }

    fn check(
        tx: &mut WriteTx<'_>,
        _: Option<&Self>,
        new: &mut Self,
        given: &Values,
    ) -> Result<(), Error> {
        if given.contains_key("agents") {
            new.agents = slugs(tx, &new.agents)?;
        }
        Ok(())
    }

    fn stamp(&mut self, now: Timestamp) {
        self.updated_at = now;
    }

    fn removing(tx: &mut WriteTx<'_>, gone: &Self) -> Result<(), Error> {
        rules::forget(tx, &gone.name)
    }
}

kernel::words! {
    /// Whether agents have a skill.
    State {
        Active = "active", "Active";
        Waiting = "waiting", "Waiting for review";
        Update = "update", "Update waiting";
        Blocked = "blocked", "Blocked";
        Shadowed = "shadowed", "Shadowed";
        Hidden = "hidden", "Hidden";
    }
}

impl State {
    pub(super) fn of(standing: &Standing, has_update: bool) -> (Self, String) {
        match standing {
            Standing::Active if has_update => (Self::Update, String::new()),
            Standing::Active => (Self::Active, String::new()),
            Standing::Waiting => (Self::Waiting, String::new()),
            Standing::Blocked => (Self::Blocked, String::new()),
            Standing::Shadowed(by) => (Self::Shadowed, format!("Shadowed by {by}")),
            Standing::Hidden(reason) => (Self::Hidden, format!("Hidden: {reason}")),
        }
    }

    pub(super) fn chip(self) -> (&'static str, &'static str) {
        let tone = match self {
            Self::Active => "ok",
            Self::Waiting | Self::Update => "warn",
            Self::Blocked => "bad",
            Self::Shadowed | Self::Hidden => "",
        };
        (self.label(), tone)
    }
}

fn state_schema() -> Fields {
    let text = json!({ "type": "string" });
    let count = json!({ "type": "integer" });
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let version = json!({ "type": "object", "properties": {
        "number": count, "hash": text, "commit": text, "created_at": text, "is_approved": { "type": "boolean" },
        "is_active": { "type": "boolean" },
    }});
    Fields::from_iter([
        ("state".to_owned(), json!({ "type": "string", "enum": State::WORDS })),
        ("reason".to_owned(), text.clone()),
        ("is_damaged".to_owned(), json!({ "type": "boolean" })),
        ("hash".to_owned(), text.clone()),
        ("version".to_owned(), count.clone()),
        ("findings".to_owned(), count.clone()),
        ("dangers".to_owned(), count.clone()),
        ("approved_versions".to_owned(), count),
        ("allowed_tools".to_owned(), texts.clone()),
        ("hosts".to_owned(), texts),
        ("versions".to_owned(), json!({ "type": "array", "items": version })),
    ])
}

/// How many findings of a version are dangers.
pub(super) fn dangers(version: &SkillVersion) -> usize {
    let is_danger =
        |word: &str| word.parse::<FindingKind>().is_ok_and(|kind| kind.level() == Level::Danger);
    version.findings.iter().filter(|one| is_danger(&one.kind)).count()
}

fn states(read: &dyn Read) -> Result<ExtraOf<'_>, StoreError> {
    let means = Means::read(read)?;
    Ok(Box::new(move |record| {
        let found = match text_of(record, "id").parse::<SkillId>() {
            Ok(id) => read.get::<Skill>(id)?,
            Err(_) => None,
        };
        let Some(skill) = found else { return Ok(Fields::new()) };
        let versions = queries::versions(read, skill.id)?;
        let of = |id| versions.iter().find(|version| Some(version.id) == id);
        let (active, waiting) = (of(skill.active), of(skill.waiting));
        let (state, reason) = State::of(&means.standing(&skill, active), waiting.is_some());
        let shown = waiting.or(active);
        let is_damaged = active.is_some_and(|version| disk::last_fault(version.id).is_some());
        let listed = versions.iter().map(|version| {
            json!({
                "number": version.number,
                "hash": version.hash,
                "commit": version.commit,
                "created_at": version.created_at.to_string(),
                "is_approved": version.approved_at.is_some(),
                "is_active": Some(version.id) == skill.active,
            })
        });
        let findings = shown.map_or(0, |version| {
            version.findings.len() + usize::try_from(version.more_findings).unwrap_or(0)
        });
        let approved = versions.iter().filter(|version| version.approved_at.is_some()).count();
        Ok(Fields::from_iter([
            ("state".to_owned(), json!(state.word())),
            ("reason".to_owned(), json!(reason)),
            ("is_damaged".to_owned(), json!(is_damaged)),
            ("hash".to_owned(), json!(shown.map_or("", |version| version.hash.as_str()))),
            ("version".to_owned(), json!(active.map_or(0, |version| version.number))),
            ("findings".to_owned(), json!(findings)),
            ("dangers".to_owned(), json!(shown.map_or(0, dangers))),
            ("approved_versions".to_owned(), json!(approved)),
            ("allowed_tools".to_owned(), json!(shown.map(|version| &version.allowed_tools))),
            ("hosts".to_owned(), json!(shown.map(|version| &version.hosts))),
            ("versions".to_owned(), listed.collect()),
        ]))
    }))
}

fn row(record: &Fields) -> Row {
    // ok: a record without the added fields has no state.
    let state = text_of(record, "state").parse::<State>().ok();
    let description = skill::one_line(&crate::names::visible(text_of(record, "description")), 200);
    let about = match text_of(record, "reason") {
        "" => description,
        reason => format!("{reason} · {description}"),
    };
    let mut marks = Vec::new();
    if 0 < count(record, "version") {
        marks.push((format!("version {}", count(record, "version")), String::new()));
    }
    match (count(record, "dangers"), count(record, "findings")) {
        (0, 0) => {}
        (0, all) => marks.push((web::format::count(all, "finding", "findings"), String::new())),
        (bad, _) => marks.push((web::format::count(bad, "danger", "dangers"), String::new())),
    }
    if !text_of(record, "proposed_by").is_empty() {
        marks.push((format!("proposed by @{}", text_of(record, "proposed_by")), String::new()));
    }
    Row {
        name: text_of(record, "name").to_owned(),
        about,
        state: state.map(State::chip),
        marks,
        ..Row::default()
    }
}
