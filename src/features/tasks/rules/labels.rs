//! All writes to labels and to the labels of tasks.

use super::super::queries::checks::{self, MAX_LABELS};
use super::super::queries::error::TaskError;
use super::super::queries::labels::{self, LabelFilter};
use crate::cards;
use crate::tasks::card::LABEL;
use crate::tasks::model::Task;
use crate::tasks::model::label::{BY_LABEL, Label, LabelId, TaskLabel};
use entity::{Mode, NoNames, Stored, Values};
use kernel::key::{self, KeyBuf};
use kernel::{Colour, Error, Event, Hue, RowAct, TaskField, TaskId, Timestamp, TypedId as _, text};
use serde_json::Value;
use store::{Range, ReadExt as _, StoreError, WriteTx};

#[derive(Clone, Debug, Default)]
pub struct NewLabel {
    pub name: String,
    /// `None` derives the colour from the name.
    pub colour: Option<Colour>,
    pub description: String,
}

/// A change. `None` keeps a value.
#[derive(Clone, Debug, Default)]
pub struct LabelPatch {
    pub name: Option<String>,
    pub colour: Option<Colour>,
    pub description: Option<String>,
}

impl LabelPatch {
    fn values(self, mode: Mode) -> Result<Values, Error> {
        let Self { name, colour, description } = self;
        let all = [
            ("name", name.map(Value::from)),
            ("colour", colour.map(|colour| colour.to_string().into())),
            ("description", description.map(Value::from)),
        ];
        let given = all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        entity::read_input(LABEL.fields, given.collect(), mode, &NoNames)
    }
}

impl Stored for Label {
    fn blank(tx: &mut WriteTx<'_>) -> Self {
        let (id, now) = (tx.new_id(), tx.now());
        let (name, description) = (String::new(), String::new());
        Self { id, name, colour: Hue::C1.into(), description, created_at: now, updated_at: now }
    }

    fn check(
        tx: &mut WriteTx<'_>,
        old: Option<&Self>,
        new: &mut Self,
        given: &Values,
    ) -> Result<(), Error> {
        if let Some(wrong) = text::word_of_filters("name", &new.name) {
            return Err(Error::invalid(vec![wrong]));
        }
        // These characters separate names, or precede them, where several are written in one line.
        if new.name.contains([',', ';']) || new.name.starts_with(['+', '-']) {
            let message =
                "Enter a name without commas and semicolons that begins with neither + nor -.";
            return Err(Error::field("name", message));
        }
        match labels::called(tx, &new.name)? {
            Some(other) if other.id != new.id => {
                return Err(TaskError::LabelTaken(other.name).into());
            }
            _ => {}
        }
        if old.is_none() && !given.contains_key("colour") {
            new.colour = Hue::of(&new.name).into();
        }
        Ok(())
    }

    fn stamp(&mut self, now: Timestamp) {
        self.updated_at = now;
    }

    fn removing(tx: &mut WriteTx<'_>, gone: &Self) -> Result<(), Error> {
        Ok(beside_tasks(tx, gone.id, None)?)
    }
}

/// Creates a label.
///
/// # Errors
/// If the name is invalid or taken.
pub fn create(tx: &mut WriteTx<'_>, new: NewLabel) -> Result<Label, TaskError> {
    let NewLabel { name, colour, description } = new;
    let patch = LabelPatch { name: Some(name), colour, description: Some(description) };
    let key = LABEL.create(tx, &patch.values(Mode::Whole)?)?;
    let id = key::decode(&key).ok_or_else(|| TaskError::NoLabel(String::new()))?;
    Ok(labels::get_rev(tx, id)?.0)
}

/// Changes a label.
///
/// # Errors
/// If there is no such label, or the name is invalid or taken.
pub fn update(tx: &mut WriteTx<'_>, id: LabelId, patch: LabelPatch) -> Result<Label, TaskError> {
    LABEL.update(tx, KeyBuf::of(&id).bytes(), None, &patch.values(Mode::Change)?)?;
    Ok(labels::get_rev(tx, id)?.0)
}

/// Merges a label into another. Everything with the first label gets the second. Returns the second.
///
/// # Errors
/// If a label does not exist, both are the same, or more records have the first than one transaction may change.
pub fn merge(tx: &mut WriteTx<'_>, from: LabelId, into: LabelId) -> Result<Label, TaskError> {
    let (_, stays) = (labels::get_rev(tx, from)?, labels::get_rev(tx, into)?.0);
    if from == into {
        return Err(TaskError::field("into", "Choose another label."));
    }
    let marks: Vec<TaskLabel> = tx.scan(BY_LABEL, &Range::prefix(KeyBuf::of(&from)))?;
    for TaskLabel { task, .. } in marks {
        if tx.get::<TaskLabel>((task, into))?.is_none() {
            tx.put(&TaskLabel { task, label: into })?;
        }
    }
    beside_tasks(tx, from, Some(into))?;
    tx.delete::<Label>(from)?;
    tx.emit(LABEL.event(&from, RowAct::Deleted));
    Ok(stays)
}

/// Replaces or removes a label on records other than tasks.
fn beside_tasks(
    tx: &mut WriteTx<'_>,
    from: LabelId,
    into: Option<LabelId>,
) -> Result<(), StoreError> {
    for labelled in cards::all().filter_map(|noun| noun.labelled) {
        (labelled.replace)(tx, from.uuid(), into.map(LabelId::uuid))?;
    }
    Ok(())
}

/// Returns the label with this name, creating it if needed.
///
/// # Errors
/// If the name is invalid.
pub fn find_or_create(tx: &mut WriteTx<'_>, name: &str) -> Result<LabelId, TaskError> {
    match labels::resolve(tx, name) {
        Ok(label) => Ok(label.id),
        Err(TaskError::NoLabel(_)) => {
            let new = NewLabel { name: name.to_owned(), ..NewLabel::default() };
            create(tx, new).map(|label| label.id)
        }
        Err(error) => Err(error),
    }
}

/// Applies a label change by name to a task. Unknown names create labels.
///
/// # Errors
/// If the task is archived, a name is invalid, or a label to remove is unknown.
pub fn ask(tx: &mut WriteTx<'_>, task: TaskId, filter: LabelFilter) -> Result<Task, TaskError> {
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    match filter {
        LabelFilter::Exactly(names) => {
            for name in names {
                add.push(find_or_create(tx, &name)?);
            }
            remove = labels::ids_of(tx, task)?;
            remove.retain(|id| !add.contains(id));
        }
        LabelFilter::Change { add: come, remove: go } => {
            for name in come {
                add.push(find_or_create(tx, &name)?);
            }
            for name in go {
                remove.push(labels::resolve(tx, &name)?.id);
            }
        }
    }
    change(tx, task, &add, &remove)
}

/// Adds labels to a task and removes others.
///
/// # Errors
/// If the task is archived, a label does not exist, or the task would have too many.
pub fn change(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    add: &[LabelId],
    remove: &[LabelId],
) -> Result<Task, TaskError> {
    let mut task = checks::in_use(tx, id)?;
    let before = labels::ids_of(tx, id)?;
    let mut has = before.clone();
    for label in remove {
        if has.contains(label) {
            tx.delete::<TaskLabel>((id, *label))?;
            has.retain(|own| own != label);
        }
    }
    for label in add {
        labels::get_rev(tx, *label)?;
        if !has.contains(label) {
            tx.put(&TaskLabel { task: id, label: *label })?;
            has.push(*label);
        }
    }
    if MAX_LABELS < has.len() {
        return Err(TaskError::TooManyLabels);
    }
    has.sort_unstable();
    // The rows of a task are in label order.
    if has != before {
        task.updated_at = tx.now();
        tx.put(&task)?;
        tx.emit(Event::TaskChanged { task: id, fields: vec![TaskField::Labels] });
    }
    Ok(task)
}
