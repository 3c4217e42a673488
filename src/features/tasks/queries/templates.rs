//! Reads of task templates, and the dependency graph of their items.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::TaskError;
use super::people::People;
use super::{checks, lines};
use crate::tasks::model::template::{BY_NAME, Template, TemplateItem};
use kernel::key::KeyBuf;
use kernel::{Actor, Assignee, Priority, TemplateId, Timestamp};
use store::{Range, Read, ReadExt as _, StoreError};

/// Assignee per role of a template.
pub type Roles = HashMap<String, Option<Assignee>>;

/// Template and its revision.
pub fn get_rev(read: &dyn Read, id: TemplateId) -> Result<(Template, u64), TaskError> {
    match read.get_rev::<Template>(id)? {
        Some(found) => Ok(found),
        None => Err(unknown(read, &id.to_string())?),
    }
}

/// Finds a template by case-insensitive name or by id.
pub fn resolve(read: &dyn Read, text: &str) -> Result<Template, TaskError> {
    let text = text.trim();
    let found = match text.parse::<TemplateId>() {
        Ok(id) => read.get::<Template>(id)?,
        Err(_) => called(read, text)?,
    };
    match found {
        Some(template) => Ok(template),
        None => Err(unknown(read, text)?),
    }
}

fn unknown(read: &dyn Read, text: &str) -> Result<TaskError, StoreError> {
    let names: Vec<String> = all(read)?.into_iter().take(8).map(|one| one.name).collect();
    let hint = match names.is_empty() {
        true => "there is none yet".to_owned(),
        false => format!("there are: {}", names.join(", ")),
    };
    Ok(TaskError::NoTemplate(text.chars().take(60).collect(), hint))
}

/// Finds a template by case-insensitive name.
pub fn called(read: &dyn Read, name: &str) -> Result<Option<Template>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&name.to_lowercase());
    read.find::<Template>(BY_NAME, &key)
}

/// All templates by name.
pub fn all(read: &dyn Read) -> Result<Vec<Template>, StoreError> {
    read.scan::<Template>(BY_NAME, &Range::all())
}

/// The distinct roles of a template, in order.
#[must_use]
pub fn roles(items: &[TemplateItem]) -> Vec<String> {
    let mut roles: Vec<String> = Vec::new();
    for item in items.iter().filter(|item| !item.role.is_empty()) {
        if !roles.contains(&item.role) {
            roles.push(item.role.clone());
        }
    }
    roles
}

/// Assignees for the roles of a template if nobody chooses: the earlier choice, else the agent with this name, else
/// nobody. For an agent's arrangement, only agents that it may assign to. Also returns the reasons for unassigned
/// roles.
pub fn who(
    read: &dyn Read,
    items: &[TemplateItem],
    chosen: &Roles,
    by: Actor,
) -> Result<(Roles, Vec<String>), StoreError> {
    let people = People::read(read)?;
    let (mut who, mut warnings) = (Roles::new(), Vec::new());
    for role in roles(items) {
        let own = people.agent_called(&role).map(|agent| Assignee::Agent(agent.id));
        let wanted = chosen.get(&role).copied().unwrap_or(own);
        if wanted.is_none() && !chosen.contains_key(&role) {
            warnings.push(format!("no agent is called \"{role}\", so its tasks are unassigned"));
        }
        let may =
            checks::assignee(read, wanted).and_then(|()| lines::may_give(read, by, None, wanted));
        let gets = match may {
            Ok(()) => wanted,
            Err(TaskError::Store(error)) => return Err(error),
            Err(error) => {
                warnings.push(format!("{role}: {error}"));
                None
            }
        };
        who.insert(role, gets);
    }
    Ok((who, warnings))
}

/// Step in which each item can begin: 0 without blockers, else one more than its last blocker.
///
/// # Errors
/// The key of an item in a dependency cycle.
pub fn steps(items: &[TemplateItem]) -> Result<Vec<usize>, String> {
    let places: HashMap<&str, usize> =
        items.iter().enumerate().map(|(n, item)| (item.key.as_str(), n)).collect();
    let mut steps = vec![None::<usize>; items.len()];
    // Each round settles at least one item, or the remaining ones are in a cycle.
    loop {
        let mut settled = false;
        for (n, item) in
            items.iter().enumerate().filter(|(n, _)| steps[*n].is_none()).collect::<Vec<_>>()
        {
            let before = item.blocked_by.iter().filter_map(|key| places.get(key.as_str()));
            let before: Option<Vec<usize>> = before.map(|at| steps[*at]).collect();
            if let Some(before) = before {
                steps[n] = Some(before.into_iter().max().map_or(0, |last| last + 1));
                settled = true;
            }
        }
        if !settled {
            break;
        }
    }
    let circle = steps.iter().position(Option::is_none);
    match circle {
        Some(n) => Err(items[n].key.clone()),
        None => Ok(steps.into_iter().flatten().collect()),
    }
}

/// One task of a template, in JSON.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemView {
    /// What the others call it; its place (`1`, `2`, …) if left out.
    #[serde(default)]
    pub r#ref: String,
    /// The title.
    pub title: String,
    /// Markdown.
    #[serde(default)]
    pub description: String,
    /// `medium` if left out.
    pub priority: Option<Priority>,
    /// Who gets it: an agent's slug unless somebody else is chosen for this role.
    #[serde(default)]
    pub assignee_role: String,
    /// Names; those that are missing are made.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What it waits for: refs of others.
    #[serde(default)]
    pub blocked_by: Vec<String>,
}

impl From<&TemplateItem> for ItemView {
    fn from(item: &TemplateItem) -> Self {
        Self {
            r#ref: item.key.clone(),
            title: item.title.clone(),
            description: item.description.clone(),
            priority: Some(item.priority),
            assignee_role: item.role.clone(),
            labels: item.labels.clone(),
            blocked_by: item.blocked_by.clone(),
        }
    }
}

impl From<ItemView> for TemplateItem {
    fn from(view: ItemView) -> Self {
        Self {
            key: view.r#ref,
            title: view.title,
            description: view.description,
            priority: view.priority.unwrap_or(Priority::Medium),
            role: view.assignee_role,
            labels: view.labels,
            blocked_by: view.blocked_by,
        }
    }
}

/// A template as the API shows it.
#[derive(Serialize, JsonSchema)]
pub struct TemplateView {
    id: TemplateId,
    name: String,
    description: String,
    items: Vec<ItemView>,
    /// The roles for which somebody can be chosen.
    roles: Vec<String>,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    updated_at: Timestamp,
}

impl From<&Template> for TemplateView {
    fn from(template: &Template) -> Self {
        Self {
            id: template.id,
            name: template.name.clone(),
            description: template.description.clone(),
            items: template.items.iter().map(ItemView::from).collect(),
            roles: roles(&template.items),
            created_at: template.created_at,
            updated_at: template.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ItemView, TemplateItem, steps};

    fn item(key: &str, blocked_by: &[&str]) -> TemplateItem {
        TemplateItem::from(ItemView {
            r#ref: key.to_owned(),
            title: key.to_owned(),
            description: String::new(),
            priority: None,
            assignee_role: String::new(),
            labels: Vec::new(),
            blocked_by: blocked_by.iter().map(|key| (*key).to_owned()).collect(),
        })
    }

    #[test]
    fn tasks_begin_one_step_behind_what_they_wait_for() {
        let items = [item("d", &["b", "c"]), item("a", &[]), item("b", &["a"]), item("c", &[])];
        assert_eq!(steps(&items), Ok(vec![2, 0, 1, 0]));
        let circle = [item("a", &[]), item("b", &["c"]), item("c", &["b"])];
        assert_eq!(steps(&circle), Err("b".to_owned()));
        assert_eq!(steps(&[]), Ok(Vec::new()));
    }
}
