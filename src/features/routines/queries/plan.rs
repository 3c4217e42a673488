//! What a routine makes of a template: its tasks with what is known of an event in place of the fields that
//! they name, and who gets which.

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

/// The most of a value that is kept, in characters.
const MAX_VALUE: usize = 500;

/// The values that the tasks of a template name, as a firing keeps them.
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

/// The tasks of a template with the values of a firing.
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

/// What a firing makes: the template, its tasks with their values, and who gets which, with what cannot be
/// done as it was meant.
pub struct Plan {
    /// The tasks.
    pub items: Vec<TemplateItem>,
    /// Who has which role.
    pub roles: Roles,
    /// What cannot be done as it was meant.
    pub warnings: Vec<String>,
}

/// What a firing of a routine makes of a template.
///
/// # Errors
/// When there is no such template any more.
pub fn of(
    read: &dyn Read,
    (routine, form): (&Routine, &TasksForm),
    firing: &Firing,
) -> Result<Plan, TaskError> {
    let template = templates::get_rev(read, form.template)?.0;
    let (roles, warnings) = who(read, routine, form, &template)?;
    Ok(Plan { items: filled(&template.items, &firing.values, firing.id), roles, warnings })
}

/// Who gets which tasks of a template, and what is said of the others.
pub fn who(
    read: &dyn Read,
    routine: &Routine,
    form: &TasksForm,
    template: &Template,
) -> Result<(Roles, Vec<String>), StoreError> {
    let chosen: Roles = form.roles.iter().cloned().collect();
    templates::who(read, &template.items, &chosen, routine.created_by)
}
