//! All writes to labels, and which task has which.

use super::super::queries::checks::{self, MAX_LABELS};
use super::super::queries::error::TaskError;
use super::super::queries::labels::{self, Asked, MAX_NAME};
use crate::cards;
use crate::tasks::card::LABEL;
use crate::tasks::model::Task;
use crate::tasks::model::label::{BY_LABEL, Label, LabelId, TaskLabel};
use kernel::key::KeyBuf;
use kernel::text::{self, one_line};
use kernel::{Colour, Event, FieldError, Hue, RowAct, TaskField, TaskId, TypedId as _};
use store::{Range, ReadExt as _, StoreError, WriteTx};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 300;

/// A label to be made.
#[derive(Clone, Debug, Default)]
pub struct NewLabel {
    pub name: String,
    /// Its colour; one that follows from the name when there is none.
    pub colour: Option<Colour>,
    pub description: String,
}

/// What is to change; what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct LabelPatch {
    pub name: Option<String>,
    pub colour: Option<Colour>,
    pub description: Option<String>,
}

/// Makes a label.
///
/// # Errors
/// When the name is wrong or taken.
pub fn create(tx: &mut WriteTx<'_>, new: NewLabel) -> Result<Label, TaskError> {
    let now = tx.now();
    let label = checked(Label {
        id: tx.new_id(),
        colour: new.colour.unwrap_or_else(|| Hue::of(new.name.trim()).into()),
        name: new.name,
        description: new.description,
        created_at: now,
        updated_at: now,
    })?;
    free(tx, &label)?;
    tx.put(&label)?;
    tx.emit(LABEL.event(&label.id, RowAct::Created));
    Ok(label)
}

/// Changes a label.
///
/// # Errors
/// When there is no such label, or the name is wrong or taken.
pub fn update(tx: &mut WriteTx<'_>, id: LabelId, patch: LabelPatch) -> Result<Label, TaskError> {
    let old = labels::get_rev(tx, id)?.0;
    let mut label = checked(Label {
        name: patch.name.unwrap_or_else(|| old.name.clone()),
        colour: patch.colour.unwrap_or(old.colour),
        description: patch.description.unwrap_or_else(|| old.description.clone()),
        ..old.clone()
    })?;
    if label == old {
        return Ok(label);
    }
    free(tx, &label)?;
    label.updated_at = tx.now();
    tx.put(&label)?;
    tx.emit(LABEL.changed(&old, &label));
    Ok(label)
}

/// Takes a label away, from all tasks and from whatever else has it.
///
/// # Errors
/// When there is no such label, or more records have it than one transaction may change.
pub fn delete(tx: &mut WriteTx<'_>, id: LabelId) -> Result<Label, TaskError> {
    let label = labels::get_rev(tx, id)?.0;
    beside_tasks(tx, id, None)?;
    tx.delete::<Label>(id)?;
    tx.emit(LABEL.event(&id, RowAct::Deleted));
    Ok(label)
}

/// Makes two labels one: whatever has the first gets the second, and the first goes. Gives the one that stays.
///
/// # Errors
/// When one of them is not there, both are the same, or more records have the first than one transaction may change.
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

/// Gives records other than tasks that have a label another one in its place, or takes it off them.
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

/// The label with this name; a new one when there is none.
///
/// # Errors
/// When the name is wrong.
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

/// Does to the labels of a task what was asked, by names. New names make new labels.
///
/// # Errors
/// When the task is archived, a name is wrong, or one that should go is not known.
pub fn ask(tx: &mut WriteTx<'_>, task: TaskId, asked: Asked) -> Result<Task, TaskError> {
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    match asked {
        Asked::Exactly(names) => {
            for name in names {
                add.push(find_or_create(tx, &name)?);
            }
            remove = labels::ids_of(tx, task)?;
            remove.retain(|id| !add.contains(id));
        }
        Asked::Change { add: come, remove: go } => {
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

/// Puts labels on a task and takes others off.
///
/// # Errors
/// When the task is archived, a label is not there, or the task would have too many.
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
    // The rows of a task come in the order of their labels.
    if has != before {
        task.updated_at = tx.now();
        tx.put(&task)?;
        tx.emit(Event::TaskChanged { task: id, fields: vec![TaskField::Labels] });
    }
    Ok(task)
}

/// Refuses when the label has changed since the caller read it.
///
/// # Errors
/// `Stale`, or when there is no such label.
pub fn expect_rev(tx: &WriteTx<'_>, id: LabelId, rev: Option<u64>) -> Result<(), TaskError> {
    let Some(expected) = rev else { return Ok(()) };
    match labels::get_rev(tx, id)?.1 {
        now if now == expected => Ok(()),
        _ => Err(StoreError::Stale.into()),
    }
}

/// The label as it is kept; all that is wrong at once.
fn checked(mut label: Label) -> Result<Label, TaskError> {
    let mut wrong = Vec::new();
    label.name = one_line(&label.name);
    label.description = one_line(&label.description);
    wrong.extend(text::word_of_filters("name", &label.name));
    // These stand between names and before them where many are written in one line.
    let parts = label.name.contains([',', ';']);
    if label.name.is_empty() || parts || label.name.starts_with(['+', '-']) {
        let message =
            "A label has a name without commas and semicolons that begins with neither + nor -.";
        wrong.push(FieldError::new("name", message));
    }
    if MAX_NAME < label.name.chars().count() {
        wrong.push(FieldError::new("name", format!("At most {MAX_NAME} characters.")));
    }
    if MAX_DESCRIPTION < label.description.chars().count() {
        let message = format!("At most {MAX_DESCRIPTION} characters.");
        wrong.push(FieldError::new("description", message));
    }
    if wrong.is_empty() { Ok(label) } else { Err(TaskError::Invalid(wrong)) }
}

fn free(tx: &WriteTx<'_>, label: &Label) -> Result<(), TaskError> {
    match labels::called(tx, &label.name)? {
        Some(other) if other.id != label.id => Err(TaskError::LabelTaken(other.name)),
        _ => Ok(()),
    }
}
