//! `hq template …`: groups of tasks that are made together.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use features::tasks::model::template::TemplateItem;
use features::tasks::queries::templates::{ItemView, steps};
use web::format;

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{listed, part, pick, quoted, short, table};
use super::written::{Edit, New};

/// What such fields look like.
const EXAMPLE: &str = r#"Example of a file:
  {"name": "Launch", "items": [
    {"ref": "brief", "title": "Write the brief", "assignee_role": "writer"},
    {"ref": "post", "title": "Write the post", "blocked_by": ["brief"]}]}"#;

/// `hq template …`
#[derive(Subcommand)]
pub enum Command {
    /// List task templates by name
    List(Place),
    /// Show a template: its tasks and roles
    Show(Which),
    /// Preview the tasks step by step: which can start at once, and which wait for others
    Preview(Which),
    /// Create all its tasks
    Use(Use),
    /// Create a template from the fields of POST /api/v1/task-templates
    #[command(after_help = EXAMPLE)]
    Add(New),
    /// Change the fields in the JSON; a list of items replaces all
    Edit(Edit<Which>),
    /// Delete a template; the tasks that it created stay
    Remove(Which),
}

/// Which template.
#[derive(Args)]
pub struct Which {
    /// Its name, its id, or the end of it
    template: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq template use`.
#[derive(Args)]
pub struct Use {
    #[command(flatten)]
    which: Which,
    /// Assign a role: role=slug, role=handle, role=me or role=none; may be given several times
    #[arg(long, value_name = "ROLE=WHO", value_parser = role)]
    role: Vec<(String, String)>,
    /// The stream of the tasks
    #[arg(long)]
    stream: Option<String>,
    /// The parent of the tasks
    #[arg(long, value_name = "TASK")]
    parent: Option<String>,
}

fn role(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((role, who)) if !role.trim().is_empty() && !who.trim().is_empty() => {
            Ok((role.trim().to_owned(), who.trim().to_owned()))
        }
        _ => Err("write it as role=who, such as writer=ada".to_owned()),
    }
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(place) => {
            let all = all(door, &place).await?;
            print(common, &all, &listed(&all, row, "No task templates."))
        }
        Command::Show(which) => {
            let template = find(door, &which).await?;
            print(common, &template, &whole(&template))
        }
        Command::Preview(which) => {
            let template = find(door, &which).await?;
            let steps = preview(&template)?;
            let mut lines = head(&template);
            for (n, step) in steps.iter().enumerate() {
                lines.push(format!("Step {}", n + 1));
                lines.extend(step.iter().map(|one| format!("  {}", planned(&template, one))));
            }
            let shown = json!({ "template": template["name"], "steps": steps });
            print(common, &shown, &lines)
        }
        Command::Use(flags) => spawn(common, door, flags).await,
        Command::Add(new) => {
            let template = new.make(door, "/api/v1/task-templates").await?;
            print(common, &template, &whole(&template))
        }
        Command::Edit(Edit { which, fields }) => {
            let body = Value::Object(fields.read()?);
            let path = path(&find(door, &which).await?);
            let ask = Ask::patch(path, &body).within(which.place.workspace.as_ref());
            let template = door.call(ask).await?;
            print(common, &template, &whole(&template))
        }
        Command::Remove(which) => {
            let template = find(door, &which).await?;
            let ask = Ask::delete(path(&template)).within(which.place.workspace.as_ref());
            door.call(ask).await?;
            print(common, &template, &[format!("Deleted {}.", quoted(word(&template, "name")))])
        }
    }
}

fn path(template: &Value) -> String {
    format!("/api/v1/task-templates/{}", part(word(template, "id")))
}

/// A template with its roles and tasks.
fn whole(template: &Value) -> Vec<String> {
    let mut lines = head(template);
    let rows: Vec<Vec<String>> = tasks(template).iter().map(task).collect();
    lines.extend(table(&rows));
    lines
}

async fn all(door: &Door, place: &Place) -> Result<Value, CommandError> {
    door.call(Ask::get("/api/v1/task-templates").within(place.workspace.as_ref())).await
}

async fn find(door: &Door, which: &Which) -> Result<Value, CommandError> {
    let all = all(door, &which.place).await?;
    let noun = ("task template", "hq template list");
    pick(&all, &which.template, noun, |one| vec![word(one, "name")]).cloned()
}

async fn spawn(common: &Common, door: &Door, flags: Use) -> Result<u8, CommandError> {
    let template = find(door, &flags.which).await?;
    let roles = template["roles"].as_array().map_or(&[][..], Vec::as_slice);
    let roles: Vec<&str> = roles.iter().filter_map(Value::as_str).collect();
    let mut assignees = Map::new();
    for (role, who) in flags.role {
        if !roles.contains(&role.as_str()) {
            let known = match roles.is_empty() {
                true => "it has none".to_owned(),
                false => format!("its roles: {}", roles.join(", ")),
            };
            return Err(CommandError::Failed(format!("the template has no role {role}; {known}")));
        }
        assignees.insert(role, Value::String(who));
    }
    let body = json!({ "stream": flags.stream, "parent": flags.parent, "assignees": assignees });
    let ask = Ask::post(format!("{}/spawn", path(&template)), &body)
        .within(flags.which.place.workspace.as_ref());
    let made = door.call(ask).await?;
    let tasks = made["tasks"].as_array().map_or(&[][..], Vec::as_slice);
    let rows: Vec<Vec<String>> = tasks.iter().map(super::tasks::row).collect();
    let mut lines = table(&rows);
    let warnings = made["warnings"].as_array().into_iter().flatten();
    lines.extend(warnings.filter_map(Value::as_str).map(|text| format!("Note: {text}")));
    print(common, &made, &lines)
}

fn tasks(template: &Value) -> &[Value] {
    template["items"].as_array().map_or(&[], Vec::as_slice)
}

fn row(template: &Value) -> Vec<String> {
    let count = tasks(template).len() as u64;
    let name = quoted(word(template, "name"));
    let about = word(template, "description").replace('\n', " ");
    vec![
        short(word(template, "id")).to_owned(),
        format::count(count, "task", "tasks"),
        if about.is_empty() { name } else { format!("{name} {about}") },
    ]
}

fn head(template: &Value) -> Vec<String> {
    let mut lines = vec![row(template).join(" · ")];
    let roles = template["roles"].as_array().into_iter().flatten();
    let roles: Vec<&str> = roles.filter_map(Value::as_str).collect();
    lines.extend((!roles.is_empty()).then(|| format!("Roles: {}", roles.join(", "))));
    lines
}

fn task(item: &Value) -> Vec<String> {
    let role = match word(item, "assignee_role") {
        "" => "-",
        role => role,
    };
    vec![
        word(item, "ref").to_owned(),
        word(item, "priority").to_owned(),
        role.to_owned(),
        quoted(word(item, "title")),
    ]
}

/// The tasks by the step in which each can begin: those of a later one wait for some of an earlier one.
fn preview(template: &Value) -> Result<Vec<Vec<Value>>, CommandError> {
    let failed = |error: serde_json::Error| CommandError::Failed(error.to_string());
    let items: Vec<ItemView> = serde_json::from_value(template["items"].clone()).map_err(failed)?;
    let items: Vec<TemplateItem> = items.into_iter().map(TemplateItem::from).collect();
    let circle = |key: String| {
        CommandError::Refused(format!("its tasks block each other in a cycle at {key}"))
    };
    let mut all: Vec<Vec<Value>> = Vec::new();
    for (item, step) in tasks(template).iter().zip(steps(&items).map_err(circle)?) {
        if all.len() <= step {
            all.resize_with(step + 1, Vec::new);
        }
        all[step].push(item.clone());
    }
    Ok(all)
}

/// ""Write" · medium · writer · after "Plan", "Ask"".
fn planned(template: &Value, item: &Value) -> String {
    let title = |key: &str| {
        let found = tasks(template).iter().find(|one| word(one, "ref") == key);
        quoted(found.map_or(key, |one| word(one, "title")))
    };
    let mut words = vec![quoted(word(item, "title")), word(item, "priority").to_owned()];
    let role = word(item, "assignee_role");
    words.extend((!role.is_empty()).then(|| role.to_owned()));
    let after = item["blocked_by"].as_array().into_iter().flatten();
    let after: Vec<String> = after.filter_map(Value::as_str).map(title).collect();
    words.extend((!after.is_empty()).then(|| format!("after {}", after.join(", "))));
    words.join(" · ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{planned, preview, role};

    #[test]
    fn a_template_is_told_step_by_step() {
        let template = json!({ "name": "Launch", "items": [
            { "ref": "b", "title": "Write", "priority": "high", "assignee_role": "writer", "blocked_by": ["a"] },
            { "ref": "a", "title": "Plan", "priority": "medium" },
        ]});
        let steps = preview(&template).expect("no circle");
        let titles: Vec<Vec<_>> = steps
            .iter()
            .map(|step| step.iter().map(|one| one["title"].clone()).collect())
            .collect();
        assert_eq!(titles, [[json!("Plan")], [json!("Write")]]);
        assert_eq!(planned(&template, &steps[1][0]), "\"Write\" · high · writer · after \"Plan\"");
    }

    #[test]
    fn a_role_is_read() {
        assert_eq!(role("writer=ada"), Ok(("writer".to_owned(), "ada".to_owned())));
        assert!(role("writer").is_err() && role("=ada").is_err());
    }
}
