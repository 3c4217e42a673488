//! `hq view …`: saved views of tasks, contacts, organizations and collections.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Common;
use super::agents::{items, word};
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{listed, part, pick, query, quoted, short, table};

/// `hq view …`
#[derive(Subcommand)]
pub enum Command {
    /// List saved views: yours and shared ones
    List(Of),
    /// Show a view, with its tasks or records
    Show {
        #[command(flatten)]
        which: Which,
        /// Maximum number of records, up to 100
        #[arg(long, default_value_t = 25)]
        limit: u32,
    },
    /// Save a view
    Add(Add),
    /// Delete a view
    Remove(Which),
}

/// Whose views.
#[derive(Args)]
pub struct Of {
    /// The list: tasks, contacts, organizations, or a collection's name
    #[arg(long, default_value = "tasks")]
    of: String,
    #[command(flatten)]
    place: Place,
}

/// Which view.
#[derive(Args)]
pub struct Which {
    /// Its name, slug or id, or the end of the id
    view: String,
    #[command(flatten)]
    of: Of,
}

/// Flags of `hq view add`.
#[derive(Args)]
pub struct Add {
    /// The name
    name: String,
    /// Words or terms, as in the filter box: 'assignee:me due:<7d label:launch', 'stage:lead quiet:>10d'
    #[arg(long, default_value = "")]
    query: String,
    /// list, board, calendar or timeline
    #[arg(long, default_value = "list")]
    layout: String,
    /// The order: for tasks priority, due, updated, created, title, manual or start; otherwise a field
    #[arg(long, default_value = "")]
    sort: String,
    /// The grouping: for tasks status, stream, assignee, priority and so on; otherwise a field
    #[arg(long, default_value = "")]
    group: String,
    /// One emoji
    #[arg(long, default_value = "")]
    icon: String,
    /// Share it with everyone
    #[arg(long)]
    shared: bool,
    #[command(flatten)]
    of: Of,
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(of) => {
            let all = all(door, &of).await?;
            print(common, &all, &listed(&all, row, "No saved views."))
        }
        Command::Show { which, limit } => show(common, door, &which, limit).await,
        Command::Add(flags) => {
            let body = json!({
                "noun": flags.of.of, "name": flags.name, "icon": flags.icon, "shared": flags.shared,
                "look": {
                    "q": flags.query, "layout": flags.layout, "sort": flags.sort,
                    "group": flags.group,
                },
            });
            let ask = Ask::post("/api/v1/views", &body).within(flags.of.place.workspace.as_ref());
            let view = door.call(ask).await?;
            print(common, &view, &[row(&view).join(" · ")])
        }
        Command::Remove(which) => {
            let view = find(door, &which).await?;
            let ask = Ask::delete(format!("/api/v1/views/{}", part(word(&view, "id"))));
            door.call(ask.within(which.of.place.workspace.as_ref())).await?;
            print(common, &view, &[format!("Deleted {}.", quoted(word(&view, "name")))])
        }
    }
}

async fn all(door: &Door, of: &Of) -> Result<Value, CommandError> {
    let params = query(&[("noun", Some(of.of.as_str()))]);
    door.call(Ask::get(format!("/api/v1/views{params}")).within(of.place.workspace.as_ref())).await
}

async fn find(door: &Door, which: &Which) -> Result<Value, CommandError> {
    let all = all(door, &which.of).await?;
    let names = |one: &Value| -> Vec<String> {
        ["name", "slug"].map(|key| word(one, key).to_owned()).to_vec()
    };
    // A slug is unique.
    let exact = items(&all).iter().find(|one| names(one).contains(&which.view));
    match exact {
        Some(one) => Ok(one.clone()),
        None => {
            let noun = ("view", "hq view list");
            pick(&all, &which.view, noun, |one| vec![word(one, "name")]).cloned()
        }
    }
}

async fn show(common: &Common, door: &Door, which: &Which, limit: u32) -> Result<u8, CommandError> {
    let view = find(door, which).await?;
    let (look, limit) = (&view["look"], limit.to_string());
    let given = |key: &str| Some(word(look, key)).filter(|text| !text.is_empty());
    // As on the page, a view of tasks without a status term shows open tasks.
    let asks = ["status:", "is:"].into_iter().any(|term| word(look, "q").contains(term));
    let (path, is_tasks) = match word(&view, "noun") {
        "tasks" => ("tasks".to_owned(), true),
        noun if noun.starts_with("collections/") => (format!("{noun}/records"), false),
        noun => (noun.to_owned(), false),
    };
    let params = query(&[
        ("q", given("q")),
        ("status", (is_tasks && !asks).then_some("open")),
        ("sort", given("sort")),
        ("limit", Some(limit.as_str())),
    ]);
    let ask = Ask::get(format!("/api/v1/{path}{params}"));
    let found = door.call(ask.within(which.of.place.workspace.as_ref())).await?;
    let mut lines = vec![row(&view).join(" · "), String::new()];
    let of_one = if is_tasks { super::tasks::row } else { super::rows::row };
    let rows: Vec<Vec<String>> = items(&found).iter().map(of_one).collect();
    lines.extend(or_none(table(&rows), if is_tasks { "No tasks." } else { "None." }));
    if found["next"].is_string() {
        lines.push("More: use --limit, or `list` with the same query".to_owned());
    }
    let name = if is_tasks { "tasks" } else { "records" };
    print(common, &json!({ "view": view, name: found["items"] }), &lines)
}

fn row(view: &Value) -> Vec<String> {
    let look = &view["look"];
    let whose = if view["shared"] == true { "shared" } else { "yours" };
    let name = quoted(word(view, "name"));
    let last = match word(look, "q") {
        "" => name,
        q => format!("{name} {q}"),
    };
    let layout = match word(look, "layout") {
        "" => "list",
        layout => layout,
    };
    vec![short(word(view, "id")).to_owned(), whose.to_owned(), layout.to_owned(), last]
}
