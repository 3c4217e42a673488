//! Fields: create, change, remove; stages and other choices; presets.

use entity::{AgentsMay, Choice, Column, FieldValue, Kind, Look, Stands, free_key, key_of};
use kernel::text::one_line;
use kernel::{FieldError, RowAct, rank};
use store::{Range, ReadExt as _, StoreError, WriteTx};

use super::suggestions::void_field;
use super::tags::absorb;
use crate::cards::FIELD;
use crate::columns::{self, STAGE, StageRow};
use crate::error::CrmError;
use crate::model::{BY_KEY, CONTACTS, FieldDef, Home, RECORDS_BY_HOME, Row, RowKind, STAMPS};

/// Maximum number of custom fields per home.
const MOST: usize = 200;
/// Maximum number of choices per field.
const MOST_CHOICES: usize = 200;
/// Maximum characters of a label.
const MAX_LABEL: usize = 60;
/// Keys with another meaning in JSON records or in list conditions.
const RESERVED: [&str; 13] = [
    "sources",
    "origins",
    "suggestions",
    "archived",
    "is",
    "by",
    "created",
    "updated",
    "due",
    "quiet",
    "source",
    "tag",
    "org",
];

/// Changes of a field; `None` keeps the present value.
#[derive(Clone, Debug, Default)]
pub struct FieldPatch {
    pub label: Option<String>,
    /// Kind of its values; for a new field only.
    pub kind: Option<Kind>,
    /// Number format.
    pub look: Option<Look>,
    /// Heading of its group.
    pub group: Option<String>,
    pub choices: Option<Vec<Choice>>,
    /// Whether records must have a value.
    pub required: Option<bool>,
    /// Target table of a relation; for a new field only.
    pub to: Option<u16>,
    pub about: Option<String>,
    /// What agents may do with the field.
    pub agents: Option<AgentsMay>,
}

/// Creates a field after the others.
///
/// # Errors
/// When the input is invalid, or the limit is reached.
pub fn make_field(
    tx: &mut WriteTx<'_>,
    home: Home,
    patch: FieldPatch,
) -> Result<FieldDef, CrmError> {
    let all: Vec<FieldDef> = tx.scan(BY_KEY, &Range::prefix(home.key()))?;
    if MOST <= all.len() {
        return Err(CrmError::Refused(format!(
            "there are already {MOST} fields; remove one first"
        )));
    }
    let label = one_line(&patch.label.clone().unwrap_or_default());
    let there = columns::of(tx, home)?;
    if there.iter().any(|column| same(&column.label, &label)) {
        return Err(CrmError::field("label", format!("There's already a field \"{label}\".")));
    }
    let taken = |key: &str| {
        let is_there = there.iter().any(|column| column.key == key);
        is_there || STAMPS.contains(&key) || RESERVED.contains(&key)
    };
    let key = free_key(&label, taken);
    if key.is_empty() {
        return Err(CrmError::field("label", "Enter a name."));
    }
    let last = all.iter().map(|def| def.rank.as_str()).max();
    let now = tx.now();
    let def = FieldDef {
        id: tx.new_id(),
        home,
        key,
        label,
        kind: patch.kind.unwrap_or(Kind::Text),
        look: Look::Plain,
        group: String::new(),
        choices: Vec::new(),
        required: false,
        to: patch.to.unwrap_or(CONTACTS.number),
        about: String::new(),
        agents: AgentsMay::Write,
        rank: rank::after(last),
        created_at: now,
        updated_at: now,
        tags: Vec::new(),
    };
    let mut def = with(def, patch);
    with_keys(&mut def.choices, &[]);
    let mut def = checked(def)?;
    if columns::holds_labels(&def) {
        absorb(tx, &mut def)?;
    }
    tx.put(&def)?;
    tx.emit(FIELD.event(&def.id, RowAct::Created));
    Ok(def)
}

/// Changes a field, also a built-in one. Records with a removed choice get the choice `replaced`; without one the
/// removal is refused while a record has the choice.
///
/// # Errors
/// When the input is invalid, or a removed choice is in use.
pub fn change_field(
    tx: &mut WriteTx<'_>,
    (home, key): (Home, &str),
    patch: FieldPatch,
    replaced: Option<&str>,
) -> Result<FieldDef, CrmError> {
    let columns = columns::of(tx, home)?;
    let column = columns.iter().find(|column| column.key == key);
    let column = column.ok_or_else(|| CrmError::no("field", key))?.clone();
    if patch.kind.is_some_and(|kind| kind != column.kind) {
        let message = "To change a field's kind, convert its values.";
        return Err(CrmError::field("kind", message));
    }
    if patch.to.is_some_and(|to| column.kind == Kind::Relation && to != column.to) {
        let message = "A field's link target can't change. Create another field instead.";
        return Err(CrmError::field("to", message));
    }
    if patch.choices.is_some() && columns::are_labels(&column) {
        let message = "Tags are the workspace's labels. Change them in Settings, Labels.";
        return Err(CrmError::field("choices", message));
    }
    let old = def_of(tx, home, &column)?;
    let is_new = tx.get::<FieldDef>(old.id)?.is_none();
    let mut def = with(old.clone(), patch);
    with_keys(&mut def.choices, &old.choices);
    let mut def = checked(def)?;
    let kept = |choice: &Choice| def.choices.iter().any(|one| one.key == choice.key);
    let gone: Vec<String> = old
        .choices
        .iter()
        .filter(|choice| !kept(choice))
        .map(|choice| choice.key.clone())
        .collect();
    if key == STAGE && def.choices.is_empty() {
        return Err(CrmError::field("choices", "A pipeline needs at least one stage."));
    }
    if !gone.is_empty() {
        let to = match replaced.map(str::trim).filter(|to| !to.is_empty()) {
            None => None,
            Some(to) => {
                let stays = def.choices.iter().find(|one| one.key == to || same(&one.label, to));
                let none = || CrmError::field("replaced", "Choose one that remains.");
                Some(stays.ok_or_else(none)?.key.as_str())
            }
        };
        replace(tx, home, (key, &gone), to)?;
    }
    if def == old && !is_new {
        return Ok(def);
    }
    def.updated_at = tx.now();
    tx.put(&def)?;
    tx.emit(match is_new {
        true => FIELD.event(&def.id, RowAct::Created),
        false => FIELD.changed(&old, &def),
    });
    Ok(def)
}

/// Sets the choices of a field by their labels; existing ones keep their keys.
pub fn set_choices(
    tx: &mut WriteTx<'_>,
    (home, key): (Home, &str),
    labels: &[String],
    replaced: Option<&str>,
) -> Result<FieldDef, CrmError> {
    let columns = columns::of(tx, home)?;
    let column = columns.iter().find(|column| column.key == key);
    let column = column.ok_or_else(|| CrmError::no("field", key))?;
    let choice = |label: &String| {
        let new = || Choice { key: String::new(), ..Choice::called(label) };
        let old = column.choices.iter().find(|choice| same(&choice.label, label));
        old.cloned().map_or_else(new, |old| Choice { label: label.clone(), ..old })
    };
    let labels = labels.iter().map(|label| one_line(label)).filter(|label| !label.is_empty());
    let choices = labels.map(|label| choice(&label)).collect();
    let patch = FieldPatch { choices: Some(choices), ..FieldPatch::default() };
    change_field(tx, (home, key), patch, replaced)
}

/// Deletes a custom field. Its values stay in the records and their history, and reappear with a new field of the same
/// name.
///
/// # Errors
/// When there is no such field, or it is built in.
pub fn remove_field(tx: &mut WriteTx<'_>, (home, key): (Home, &str)) -> Result<FieldDef, CrmError> {
    let mut at = home.key();
    at.text(key);
    let def: FieldDef = tx.find(BY_KEY, &at)?.ok_or_else(|| CrmError::no("field", key))?;
    if columns::own(home).iter().any(|column| column.key == key) {
        return Err(CrmError::Refused(format!(
            "\"{}\" is built in and can't be \
            removed",
            def.label
        )));
    }
    void_field(tx, home, key)?;
    tx.delete::<FieldDef>(def.id)?;
    tx.emit(FIELD.event(&def.id, RowAct::Deleted));
    Ok(def)
}

/// The stored field of a column; a new one for a column that was never changed.
pub(super) fn def_of(
    tx: &WriteTx<'_>,
    home: Home,
    column: &Column,
) -> Result<FieldDef, StoreError> {
    let mut key = home.key();
    key.text(&column.key);
    let found: Option<FieldDef> = tx.find(BY_KEY, &key)?;
    if let Some(def) = found {
        // For tags the labels are stored, not their names.
        return Ok(match columns::holds_labels(&def) {
            true => def,
            false => FieldDef { choices: column.choices.clone(), ..def },
        });
    }
    let now = tx.now();
    Ok(FieldDef {
        id: tx.new_id(),
        home,
        key: column.key.clone(),
        label: column.label.clone(),
        kind: column.kind,
        look: column.look,
        group: column.group.clone(),
        choices: column.choices.clone(),
        required: column.required,
        to: column.to,
        about: column.about.clone(),
        agents: column.agents,
        rank: rank::nth(0),
        created_at: now,
        updated_at: now,
        tags: Vec::new(),
    })
}

fn with(def: FieldDef, patch: FieldPatch) -> FieldDef {
    FieldDef {
        label: patch.label.map_or(def.label, |label| one_line(&label)),
        look: patch.look.unwrap_or(def.look),
        group: patch.group.map_or(def.group, |group| one_line(&group)),
        choices: patch.choices.unwrap_or(def.choices),
        required: patch.required.unwrap_or(def.required),
        about: patch.about.map_or(def.about, |about| one_line(&about)),
        agents: patch.agents.unwrap_or(def.agents),
        ..def
    }
}

/// Whether two labels are equal, ignoring case.
fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// Gives each choice without a key the key of the existing choice with its label, else an unused one. Of several
/// choices with the same key and different labels the first one keeps it.
fn with_keys(choices: &mut [Choice], old: &[Choice]) {
    for n in 0..choices.len() {
        let (before, from) = choices.split_at_mut(n);
        let one = &mut from[0];
        if before.iter().any(|other| other.key == one.key && !same(&other.label, &one.label)) {
            one.key.clear();
        }
        if one.key.is_empty()
            && let Some(old) = old.iter().find(|old| same(&old.label, &one.label))
        {
            one.key.clone_from(&old.key);
        }
    }
    for n in 0..choices.len() {
        if choices[n].key.is_empty() {
            // The key of a removed choice is not reused: records that have it would change their meaning.
            let taken = |key: &str| choices.iter().chain(old).any(|one| one.key == key);
            choices[n].key = free_key(&one_line(&choices[n].label), taken);
        }
    }
}

/// Validates a field; reports all errors at once.
pub(super) fn checked(mut def: FieldDef) -> Result<FieldDef, CrmError> {
    let mut wrong = Vec::new();
    if def.label.is_empty() {
        wrong.push(FieldError::new("label", "Enter a name."));
    }
    for (field, text, most) in [
        ("label", &def.label, MAX_LABEL),
        ("group", &def.group, MAX_LABEL),
        ("about", &def.about, 300),
    ] {
        if most < text.chars().count() {
            wrong.push(FieldError::new(field, format!("Use at most {most} characters.")));
        }
    }
    if !def.kind.has_choices() {
        def.choices.clear();
    } else if def.choices.is_empty() && def.key != columns::TAGS {
        wrong.push(FieldError::new("choices", "Enter choices, one per line."));
    }
    let mut labels = Vec::new();
    for choice in &mut def.choices {
        choice.label = one_line(&choice.label);
        choice.chance = choice.chance.min(100);
        let label = &choice.label;
        if label.is_empty() || choice.key.is_empty() || MAX_LABEL < label.chars().count() {
            wrong.push(FieldError::new("choices", format!("\"{label}\" can't be a choice.")));
        } else if label.contains([',', ';']) {
            wrong.push(FieldError::new(
                "choices",
                format!("Choices can't contain commas: \"{label}\"."),
            ));
        } else if labels.contains(&label.to_lowercase()) {
            wrong.push(FieldError::new("choices", format!("\"{label}\" appears twice.")));
        }
        labels.push(label.to_lowercase());
    }
    if MOST_CHOICES < def.choices.len() {
        wrong.push(FieldError::new("choices", format!("Enter at most {MOST_CHOICES} choices.")));
    }
    if wrong.is_empty() { Ok(def) } else { Err(CrmError::Invalid(wrong)) }
}

/// All rows of a home.
pub(crate) fn rows_of(read: &dyn store::Read, home: Home) -> Result<Vec<Row>, StoreError> {
    let kind = home.kind();
    let Some(id) = home.collection() else { return kind.list(read, &Range::all()) };
    let mut key = kernel::key::KeyBuf::new();
    key.part(id);
    kind.scan(read, RECORDS_BY_HOME, &Range::prefix(key))
}

/// Whether a row has one of these choices.
fn has(row: &Row, (key, some): (&str, &[String])) -> bool {
    match row.value(key) {
        Some(FieldValue::Choice(one)) => some.contains(one),
        Some(FieldValue::Choices(all)) => all.iter().any(|one| some.contains(one)),
        _ => false,
    }
}

/// Moves all records from removed choices to another one, or refuses while a record has one of them.
fn replace(
    tx: &mut WriteTx<'_>,
    home: Home,
    gone: (&str, &[String]),
    to: Option<&str>,
) -> Result<(), CrmError> {
    let rows = rows_of(tx, home)?;
    let count = rows.iter().filter(|row| has(row, gone)).count();
    if to.is_none() && 0 < count {
        let message = format!(
            "{count} {} use a removed choice. Choose a replacement.",
            home.kind().entity().many
        );
        return Err(CrmError::field("replaced", message));
    }
    Ok(swap(tx, rows, gone, to)?)
}

/// Replaces these choices in the rows by another one, or removes them.
pub(super) fn swap(
    tx: &mut WriteTx<'_>,
    rows: Vec<Row>,
    (key, gone): (&str, &[String]),
    to: Option<&str>,
) -> Result<(), StoreError> {
    for old in rows.into_iter().filter(|row| has(row, (key, gone))) {
        let mut row = old.clone();
        if let Some(cell) = row.cells.get_mut(key) {
            cell.value = match cell.value.take() {
                Some(FieldValue::Choices(all)) => {
                    let mut left: Vec<String> =
                        all.into_iter().filter(|one| !gone.contains(one)).collect();
                    if let Some(to) = to.filter(|to| !left.iter().any(|one| one == to)) {
                        left.push(to.to_owned());
                    }
                    (!left.is_empty()).then_some(FieldValue::Choices(left))
                }
                _ => to.map(|to| FieldValue::Choice(to.to_owned())),
            };
        }
        row.updated_at = tx.now();
        row.put(tx)?;
        tx.emit(row.changed_from(&old));
    }
    Ok(())
}

/// A preset of stages and fields.
#[derive(Debug)]
pub struct Preset {
    /// Its value in forms.
    pub key: &'static str,
    pub label: &'static str,
    pub about: &'static str,
    pub stages: &'static [StageRow],
    /// Fields of contacts.
    pub fields: &'static [FieldRow],
}

/// A field of a preset: label, kind, choices.
pub type FieldRow = (&'static str, Kind, &'static [&'static str]);

/// From a name to an active contact.
const FIRST_CONTACT: &[StageRow] = &[
    ("Identified", kernel::Hue::C9, Stands::Open, 5),
    ("Researched", kernel::Hue::C10, Stands::Open, 10),
    ("Contacted", kernel::Hue::C11, Stands::Open, 25),
    ("Replied", kernel::Hue::C3, Stands::Open, 60),
    ("Active", kernel::Hue::C6, Stands::Won, 100),
];
/// Fields of a deal.
const DEAL: &[FieldRow] = &[
    ("Deal value", Kind::Number, &[]),
    ("Close date", Kind::Date, &[]),
    ("Next step", Kind::Text, &[]),
];

/// The presets that a workspace can start with.
pub const PRESETS: [Preset; 6] = [
    Preset {
        key: "sales",
        label: "Sales",
        about: "Lead, qualified, proposal, negotiation, won, lost. With deal value and close date.",
        stages: columns::SALES,
        fields: DEAL,
    },
    Preset {
        key: "first-contact",
        label: "First contact",
        about: "Identified, researched, contacted, replied, active. With deal value and close \
            date.",
        stages: FIRST_CONTACT,
        fields: DEAL,
    },
    Preset {
        key: "clients",
        label: "Clients",
        about: "Prospect, pitched, onboarding, active, paused. With engagement type and monthly \
            value.",
        stages: &[
            ("Prospect", kernel::Hue::C9, Stands::Open, 10),
            ("Pitched", kernel::Hue::C10, Stands::Open, 40),
            ("Onboarding", kernel::Hue::C11, Stands::Open, 90),
            ("Active", kernel::Hue::C6, Stands::Won, 100),
            ("Paused", kernel::Hue::C3, Stands::Lost, 0),
        ],
        fields: &[
            ("Engagement", Kind::Select, &["Retainer", "Project", "Hourly", "One-off"]),
            ("Start date", Kind::Date, &[]),
            ("Monthly value", Kind::Number, &[]),
        ],
    },
    Preset {
        key: "recruiting",
        label: "Hiring",
        about: "Sourced, screened, interview, offer, hired, rejected. With experience, seniority \
            and CV.",
        stages: &[
            ("Sourced", kernel::Hue::C9, Stands::Open, 5),
            ("Screened", kernel::Hue::C10, Stands::Open, 15),
            ("Interview", kernel::Hue::C11, Stands::Open, 40),
            ("Offer", kernel::Hue::C3, Stands::Open, 80),
            ("Hired", kernel::Hue::C6, Stands::Won, 100),
            ("Rejected", kernel::Hue::C1, Stands::Lost, 0),
        ],
        fields: &[
            ("Years of experience", Kind::Number, &[]),
            ("Seniority", Kind::Select, &["Junior", "Mid", "Senior", "Staff", "Principal"]),
            ("CV", Kind::Url, &[]),
        ],
    },
    Preset {
        key: "outreach",
        label: "Outreach to creators",
        about: "Identified, researched, contacted, replied, active. With platform, audience and \
            hook.",
        stages: FIRST_CONTACT,
        fields: &[
            ("Subscribers", Kind::Number, &[]),
            (
                "Platform",
                Kind::Select,
                &["YouTube", "TikTok", "Instagram", "X", "LinkedIn", "Newsletter"],
            ),
            ("Hook", Kind::Text, &[]),
        ],
    },
    Preset {
        key: "personal",
        label: "People I know",
        about: "New, known, close. With birthdays.",
        stages: &[
            ("New", kernel::Hue::C9, Stands::Open, 0),
            ("Known", kernel::Hue::C10, Stands::Open, 0),
            ("Close", kernel::Hue::C6, Stands::Won, 100),
        ],
        fields: &[("Birthday", Kind::Date, &[])],
    },
];

/// Creates the stages and fields of a preset for contacts. Changed stages and existing fields stay. Returns the number
/// of created fields.
pub fn start_with(tx: &mut WriteTx<'_>, key: &str) -> Result<usize, CrmError> {
    let preset = PRESETS.iter().find(|preset| preset.key == key);
    let preset = preset.ok_or_else(|| CrmError::no("set to start with", key))?;
    let mut at = Home::Contacts.key();
    at.text(STAGE);
    if !tx.taken(BY_KEY, &at)? && RowKind::CONTACTS.list(tx, &Range::all().limit(1))?.is_empty() {
        let patch =
            FieldPatch { choices: Some(columns::stages(preset.stages)), ..FieldPatch::default() };
        change_field(tx, (Home::Contacts, STAGE), patch, None)?;
    }
    let mut made = 0;
    let there = columns::of(tx, Home::Contacts)?;
    for (label, kind, choices) in preset.fields {
        if there.iter().any(|one| one.key == key_of(label) || same(&one.label, label)) {
            continue;
        }
        let patch = FieldPatch {
            label: Some((*label).to_owned()),
            kind: Some(*kind),
            group: Some("Deal".to_owned()),
            choices: Some(choices.iter().map(|one| Choice::called(one)).collect()),
            ..FieldPatch::default()
        };
        make_field(tx, Home::Contacts, patch)?;
        made += 1;
    }
    Ok(made)
}

/// Applies a preset if there are no custom fields of contacts and no contacts yet; returns whether it did.
pub fn lay_down(tx: &mut WriteTx<'_>, key: &str) -> Result<bool, CrmError> {
    let fields = tx.len(BY_KEY, &Range::prefix(Home::Contacts.key()).limit(1))?;
    if 0 < fields || !RowKind::CONTACTS.list(tx, &Range::all().limit(1))?.is_empty() {
        return Ok(false);
    }
    start_with(tx, key)?;
    Ok(true)
}
