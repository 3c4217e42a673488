//! `hq view …`: saved views of tasks.

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
    /// Saved views: yours and everybody's
    List(Place),
    /// One of them, and the tasks that it shows
    Show {
        #[command(flatten)]
        which: Which,
        /// How many tasks at most, up to 100
        #[arg(long, default_value_t = 25)]
        limit: u32,
    },
    /// Save a view
    Add(Add),
    /// Delete a view
    Remove(Which),
}

/// Which view.
#[derive(Args)]
pub struct Which {
    /// Its name, its word in addresses, its id, or the end of it
    view: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq view add`.
#[derive(Args)]
pub struct Add {
    /// What it is called
    name: String,
    /// Words or terms, as in the box above the list: 'assignee:me due:<7d label:launch'
    #[arg(long, default_value = "")]
    query: String,
    /// list, board, calendar or timeline
    #[arg(long, default_value = "list")]
    layout: String,
    /// The order, as the page has it: priority, due, updated, created, title, manual or start
    #[arg(long, default_value = "")]
    sort: String,
    /// By what tasks are put together: status, stream, assignee, priority and so on
    #[arg(long, default_value = "")]
    group: String,
    /// One emoji
    #[arg(long, default_value = "")]
    icon: String,
    /// Everybody has it
    #[arg(long)]
    shared: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs one of them.
///
/// # Errors
/// What was refused, or that nobody answers.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(place) => {
            let all = all(door, &place).await?;
            print(common, &all, &listed(&all, row, "No saved views."))
        }
        Command::Show { which, limit } => show(common, door, &which, limit).await,
        Command::Add(flags) => {
            let body = json!({
                "name": flags.name, "icon": flags.icon, "shared": flags.shared,
                "look": {
                    "q": flags.query, "layout": flags.layout, "sort": flags.sort,
                    "group": flags.group,
                },
            });
            let ask = Ask::post("/api/v1/views", &body).within(flags.place.workspace.as_ref());
            let view = door.call(ask).await?;
            print(common, &view, &[row(&view).join(" · ")])
        }
        Command::Remove(which) => {
            let view = find(door, &which).await?;
            let ask = Ask::delete(format!("/api/v1/views/{}", part(word(&view, "id"))));
            door.call(ask.within(which.place.workspace.as_ref())).await?;
            print(common, &view, &[format!("{} is deleted.", quoted(word(&view, "name")))])
        }
    }
}

async fn all(door: &Door, place: &Place) -> Result<Value, CommandError> {
    door.call(Ask::get("/api/v1/views").within(place.workspace.as_ref())).await
}

async fn find(door: &Door, which: &Which) -> Result<Value, CommandError> {
    let all = all(door, &which.place).await?;
    let names = |one: &Value| -> Vec<String> {
        ["name", "slug"].map(|key| word(one, key).to_owned()).to_vec()
    };
    // Its word in addresses is that of one alone.
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
    // As on the page: a view that does not speak of it shows what is open.
    let asks = ["status:", "is:"].into_iter().any(|term| word(look, "q").contains(term));
    let asked = query(&[
        ("q", given("q")),
        ("status", (!asks).then_some("open")),
        ("sort", given("sort")),
        ("limit", Some(limit.as_str())),
    ]);
    let ask = Ask::get(format!("/api/v1/tasks{asked}")).within(which.place.workspace.as_ref());
    let tasks = door.call(ask).await?;
    let mut lines = vec![row(&view).join(" · "), String::new()];
    let rows: Vec<Vec<String>> = items(&tasks).iter().map(super::tasks::row).collect();
    lines.extend(or_none(table(&rows), "No tasks."));
    if tasks["next"].is_string() {
        lines.push("There are more: --limit, or `hq task list` with the same words".to_owned());
    }
    print(common, &json!({ "view": view, "tasks": tasks["items"] }), &lines)
}

fn row(view: &Value) -> Vec<String> {
    let look = &view["look"];
    let whose = if view["shared"] == true { "everybody's" } else { "yours" };
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
