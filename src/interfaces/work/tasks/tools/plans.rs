//! Tools for task templates: list, preview, instantiate and save.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{own_stream, spec};
use features::runs::model::Place;
use features::runs::queries::taint;
use features::tasks::model::template::{Template, TemplateItem};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::people::People;
use features::tasks::queries::templates::{self as reads, ItemView};
use features::tasks::queries::{self, brief};
use features::tasks::rules::templates::{self as rules, NewTemplate, Spawn};
use kernel::{Assignee, Priority};
use store::WriteTx;
use tool::{Effect, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

/// A template in one line.
#[derive(Serialize)]
struct Line {
    template: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    about: String,
    tasks: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
}

impl Line {
    fn of(template: &Template) -> Self {
        Self {
            template: template.name.clone(),
            about: template.description.clone(),
            tasks: template.items.len(),
            roles: reads::roles(&template.items),
        }
    }
}

/// `template_list`: lists task templates.
pub struct TemplateList;

/// Arguments of `template_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// words in name or purpose
    q: Option<String>,
}

impl ReadTool for TemplateList {
    type Args = ListArgs;
    const SPEC: ToolSpec = spec(
        "template_list",
        Effect::Read,
        "List task templates: groups of tasks that are created together, with their dependencies.",
    );

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        let words = args.q.unwrap_or_default().to_lowercase();
        cx.ws.read(|snap| {
            let mut all = reads::all(snap)?;
            all.retain(|one| {
                let text = format!("{} {}", one.name, one.description).to_lowercase();
                words.split_whitespace().all(|word| text.contains(word))
            });
            let output = ToolOutput::of(&all.iter().map(Line::of).collect::<Vec<_>>());
            Ok(taint::shown(snap, cx, all.iter().map(|one| Place::of(one.id)), output)?)
        })
    }
}

/// `template_get`: previews a template.
pub struct TemplateGet;

/// Arguments of `template_get`.
#[derive(Deserialize, JsonSchema)]
pub struct GetArgs {
    /// its name
    template: String,
    /// role to assignee; default: the agent with the role's name
    #[serde(default)]
    roles: BTreeMap<String, String>,
}

/// A planned task.
#[derive(Serialize)]
struct Planned {
    r#ref: String,
    title: String,
    /// Tasks of the same step can start together.
    step: usize,
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignee: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocked_by: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
}

/// The preview of a template.
#[derive(Serialize)]
struct Plan {
    #[serde(flatten)]
    line: Line,
    plan: Vec<Planned>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl ReadTool for TemplateGet {
    type Args = GetArgs;
    const SPEC: ToolSpec = spec(
        "template_get",
        Effect::Read,
        "Preview a task template: its tasks, their order and assignees.",
    );

    async fn read(&self, cx: &ToolCx, args: GetArgs) -> Result<ToolOutput, ToolError> {
        cx.ws.read(|snap| {
            let template = reads::resolve(snap, &args.template)?;
            known(&template, &args.roles)?;
            let people = People::read(snap)?;
            let roles = chosen(&people, &args.roles, Assignee::Agent(cx.agent))?;
            let steps = reads::steps(&template.items);
            let steps = steps.unwrap_or_else(|_| vec![0; template.items.len()]);
            let mut warnings = Vec::new();
            let mut plan = Vec::with_capacity(template.items.len());
            for (item, step) in template.items.iter().zip(steps) {
                let who = match roles.get(&item.role) {
                    Some(who) => *who,
                    None => people.agent_called(&item.role).map(|one| Assignee::Agent(one.id)),
                };
                if who.is_none() && !item.role.is_empty() && !roles.contains_key(&item.role) {
                    let role = &item.role;
                    warnings.push(format!("{}: no agent is called \"{role}\"", item.title));
                }
                plan.push(Planned {
                    r#ref: item.key.clone(),
                    title: item.title.clone(),
                    step: step + 1,
                    priority: item.priority,
                    assignee: who.map(|who| people.handle(who)),
                    labels: item.labels.clone(),
                    blocked_by: item.blocked_by.clone(),
                    description: item.description.clone(),
                });
            }
            let output = ToolOutput::of(&Plan { line: Line::of(&template), plan, warnings });
            Ok(taint::shown(snap, cx, [Place::of(template.id)], output)?)
        })
    }
}

type Roles = std::collections::HashMap<String, Option<Assignee>>;

/// Resolves the assignees of the roles.
fn chosen(
    people: &People,
    roles: &BTreeMap<String, String>,
    me: Assignee,
) -> Result<Roles, TaskError> {
    roles
        .iter()
        .map(|(role, who)| Ok::<_, TaskError>((role.clone(), people.find(who, me)?)))
        .collect()
}

/// Rejects roles that the template does not have; otherwise the mistake would go unnoticed.
fn known(template: &Template, roles: &BTreeMap<String, String>) -> Result<(), ToolError> {
    let there = reads::roles(&template.items);
    match roles.keys().find(|role| !there.contains(role)) {
        None => Ok(()),
        Some(role) => {
            let there = match there.is_empty() {
                true => "it has none".to_owned(),
                false => format!("it has: {}", there.join(", ")),
            };
            let message = format!("\"{}\" has no role \"{role}\"; {there}", template.name);
            Err(ToolError::refused("unknown_role", message))
        }
    }
}

/// `template_spawn`: creates the tasks of a template.
pub struct TemplateSpawn;

/// Arguments of `template_spawn`.
#[derive(Deserialize, JsonSchema)]
pub struct SpawnArgs {
    /// its name
    template: String,
    /// role to assignee; default: the agent with the role's name
    #[serde(default)]
    roles: BTreeMap<String, String>,
    /// parent task of all
    parent: Option<String>,
    /// default: that of your task
    stream: Option<String>,
}

/// The created tasks.
#[derive(Serialize)]
pub(super) struct Made {
    tasks: Vec<brief::Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Creates the tasks of a template and returns them.
pub(super) fn spawn(
    tx: &mut WriteTx<'_>,
    template: &Template,
    how: &Spawn,
) -> Result<Made, TaskError> {
    let made = rules::spawn(tx, template.id, how)?;
    let names = brief::Names::read(tx)?;
    let mut tasks = Vec::with_capacity(made.tasks.len());
    for id in made.tasks {
        tasks.push(names.line(&queries::get(tx, id)?));
    }
    Ok(Made { tasks, warnings: made.warnings })
}

impl WriteTool for TemplateSpawn {
    type Args = SpawnArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "template_spawn",
        Effect::Add,
        "Create all tasks of a template. Preview them with template_get.",
    );

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SpawnArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let template = reads::resolve(tx, &args.template)?;
        known(&template, &args.roles)?;
        let people = People::read(tx)?;
        let how = Spawn {
            stream: match args.stream.as_deref() {
                Some(text) => queries::stream(tx, text)?,
                None => own_stream(cx, tx)?,
            },
            parent: match args.parent.as_deref() {
                Some(text) => Some(queries::resolve(tx, text)?.id),
                None => None,
            },
            roles: chosen(&people, &args.roles, Assignee::Agent(cx.agent))?,
        };
        Ok(ToolOutput::of(&spawn(tx, &template, &how)?))
    }
}

/// `template_save`: saves a template.
pub struct TemplateSave;

/// Arguments of `template_save`.
#[derive(Deserialize, JsonSchema)]
pub struct SaveArgs {
    /// the name of one to change; omit to create one
    template: Option<String>,
    name: Option<String>,
    description: Option<String>,
    /// all its tasks
    items: Option<Vec<ItemView>>,
}

impl WriteTool for TemplateSave {
    type Args = SaveArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "template_save",
        Effect::Add,
        "Save tasks that are needed together again as a template, or change one. Omitted fields \
         stay unchanged.",
    );

    fn commit(
        &self,
        _: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SaveArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let old = match args.template.as_deref() {
            Some(text) => Some(reads::resolve(tx, text)?),
            None => None,
        };
        let items = args.items.map(|items| items.into_iter().map(TemplateItem::from).collect());
        let was = |of: fn(&Template) -> &String| old.as_ref().map(of).cloned().unwrap_or_default();
        let new = NewTemplate {
            name: args.name.unwrap_or_else(|| was(|old| &old.name)),
            description: args.description.unwrap_or_else(|| was(|old| &old.description)),
            items: items.or_else(|| old.as_ref().map(|old| old.items.clone())).unwrap_or_default(),
        };
        let kept = match &old {
            Some(old) => rules::update(tx, old.id, new)?,
            None => rules::create(tx, new)?,
        };
        Ok(ToolOutput::of(&Line::of(&kept)))
    }
}
