//! Resolves the names in a routine request: task template, role holders, saved views. Unknown names are rejected on
//! saving.

use crate::routines::delivery;
use crate::routines::event_context;
use crate::routines::model::{Action, DeliverTo, Routine, TasksForm, Trigger};
use crate::routines::rules::RoutineError;
use crate::routines::wish::{Checked, RoutineRequest};
use crate::tasks::model::template::Template;
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::people::People;
use crate::tasks::queries::{checks, templates};
use kernel::{AgentId, Assignee, FieldError};
use store::Read;

/// Resolves the names in a request. `own` is the meaning of `me`.
///
/// # Errors
/// If a name is unknown.
pub fn resolve(
    read: &dyn Read,
    wish: &RoutineRequest,
    (own, mut checked): (AgentId, Checked),
) -> Result<Checked, RoutineError> {
    let mut wrong = Vec::new();
    if let Trigger::Event(watch) = &checked.trigger {
        for view in watch.conditions.views() {
            if event_context::view_query(read, view)?.is_none() {
                let text = format!("there is no saved view \"{view}\" that all members see");
                wrong.push(FieldError::new("conditions", text));
            }
        }
    }
    if let Action::CreateTask(above) = &checked.action
        && let Some(task) = &wish.task
    {
        match task.template() {
            Some(name) => {
                let mut refused = |field: &str, error: &TaskError| {
                    wrong.push(FieldError::new(field, error.to_string()));
                };
                match templates::resolve(read, name) {
                    Ok(template) => {
                        let roles = roles(read, own, (task.roles.iter(), &template), &mut refused)?;
                        let (above, template) = (above.clone(), template.id);
                        checked.action = Action::CreateTasks(TasksForm { above, template, roles });
                    }
                    Err(TaskError::Store(error)) => return Err(error.into()),
                    Err(error) => refused("task.template", &error),
                }
            }
            None if !task.roles.is_empty() => {
                wrong.push(FieldError::new("task.roles", "only a template has roles"));
            }
            None => {}
        }
    }
    match wrong.is_empty() {
        true => Ok(checked),
        false => Err(RoutineError::Invalid(wrong)),
    }
}

/// Resolves the place for the result. One that is chosen already stays, even if it is missing now.
///
/// # Errors
/// If there is no such place on the agent's channels.
pub fn place(
    read: &dyn Read,
    wish: &RoutineRequest,
    agent: AgentId,
    before: Option<&Routine>,
) -> Result<Option<DeliverTo>, RoutineError> {
    let Some(name) = wish.place() else { return Ok(None) };
    let chosen = before.filter(|before| before.agent == agent);
    if let Some(to) = chosen.and_then(|before| before.deliver_to.as_ref())
        && to.target.to_string() == name
    {
        return Ok(Some(to.clone()));
    }
    let refused = |error: kernel::Error| {
        let message = web::form::sentence(&error.to_string());
        RoutineError::Invalid(vec![FieldError::new("deliver_to", message)])
    };
    delivery::find(read, agent, name).map(Some).map_err(refused)
}

/// Resolves the role holders of a template.
fn roles<'w>(
    read: &dyn Read,
    own: AgentId,
    (wished, template): (impl Iterator<Item = (&'w String, &'w String)>, &Template),
    refused: &mut impl FnMut(&str, &TaskError),
) -> Result<Vec<(String, Option<Assignee>)>, RoutineError> {
    let (people, known) = (People::read(read)?, templates::roles(&template.items));
    let mut all = Vec::new();
    for (role, who) in wished {
        if !known.contains(role) {
            let text = match known.is_empty() {
                true => format!("this template has no role \"{role}\"; it has none"),
                false => {
                    format!("this template has no role \"{role}\"; it has: {}", known.join(", "))
                }
            };
            refused("task.roles", &TaskError::field("task.roles", text));
            continue;
        }
        let found = people.find(who, Assignee::Agent(own));
        match found.and_then(|who| checks::assignee(read, who).map(|()| who)) {
            Ok(who) => all.push((role.clone(), who)),
            Err(TaskError::Store(error)) => return Err(error.into()),
            Err(error) => refused("task.roles", &error),
        }
    }
    Ok(all)
}
