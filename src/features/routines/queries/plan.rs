//! Expansion of a task template by a firing: tasks with field values filled in, and assignees.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::routines::conditions::{Datum, Values, value_of};
use crate::routines::model::{Firing, Routine, TasksForm};
use crate::routines::registry;
use crate::routines::render;
use crate::tasks::model::template::{Template, TemplateItem};
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::templates::{self, Roles};
use kernel::FiringId;
use kernel::text::ellipsis;
use store::{Read, StoreError};

/// Maximum length of a stored value, in characters.
const MAX_VALUE: usize = 500;

/// The values that the items of a template use, for storing in a firing.
#[must_use]
pub fn values_of(
    routine: &Routine,
    items: &[TemplateItem],
    values: &Values,
) -> Vec<(String, String)> {
    let Some(kind) = routine.watch().and_then(|watch| registry::kind(&watch.event)) else {
        return Vec::new();
    };
    let texts = items.iter().flat_map(|item| [item.title.as_str(), item.description.as_str()]);
    let named: BTreeSet<&str> = texts.flat_map(render::named).collect();
    let known = named.into_iter().filter(|name| kind.field(name).is_some());
    let shown = |name: &str| ellipsis(&value_of(values, name).shown(), MAX_VALUE);
    known.map(|name| (name.to_owned(), shown(name))).collect()
}

/// The items of a template with the values of a firing filled in.
#[must_use]
pub fn filled(
    items: &[TemplateItem],
    values: &[(String, String)],
    firing: FiringId,
) -> Vec<TemplateItem> {
    let values: Values = values
        .iter()
        .map(|(name, value)| (Cow::Owned(name.clone()), Datum::text(value.as_str())))
        .collect();
    let one = |item: &TemplateItem| TemplateItem {
        title: render::task_title(&item.title, &values),
        description: render::description(
            &item.description,
            &values,
            &format!("routine/{firing}/{}", item.key),
        ),
        ..item.clone()
    };
    items.iter().map(one).collect()
}

/// The tasks that a firing creates.
pub struct Plan {
    pub items: Vec<TemplateItem>,
    pub roles: Roles,
    /// Deviations from the template.
    pub warnings: Vec<String>,
}

/// Plan of a firing.
///
/// # Errors
/// If the template does not exist any more.
pub fn of(
    read: &dyn Read,
    (routine, form): (&Routine, &TasksForm),
    firing: &Firing,
) -> Result<Plan, TaskError> {
    let template = templates::get_rev(read, form.template)?.0;
    let (roles, warnings) = who(read, routine, form, &template)?;
    Ok(Plan { items: filled(&template.items, &firing.values, firing.id), roles, warnings })
}

/// Assignees of the template's roles, with warnings for unassigned ones.
pub fn who(
    read: &dyn Read,
    routine: &Routine,
    form: &TasksForm,
    template: &Template,
) -> Result<(Roles, Vec<String>), StoreError> {
    let chosen: Roles = form.roles.iter().cloned().collect();
    templates::who(read, &template.items, &chosen, routine.created_by)
}
