//! `hq knowledge …`: pages, skills and files.

use std::io::Read as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::rows::{At, One};
use super::show::{listed, one_of, part, query, quoted};

/// `hq knowledge …`
#[derive(Subcommand)]
pub enum Command {
    /// Search items; without words, list the latest changes
    Search(Which),
    /// Print the text of an item, by id or title
    Show(One),
    /// Create a page or a skill, with text from a file or standard input
    Add(New),
    /// Upload files; Markdown and plain text become pages
    Upload {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The folder's name, path or id
        #[arg(long)]
        folder: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Change an item
    Edit(Change),
    /// Archive an item
    Archive(One),
    /// Restore an archived item, by id
    Restore(One),
    /// Delete an item; undo restores it
    Remove(One),
    /// List the versions of an item, newest first
    Versions {
        /// Its id or title
        which: String,
        /// Only marked versions
        #[arg(long)]
        marked: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Mark a version with a name
    Mark {
        /// Its id or title
        which: String,
        /// The number of the version
        version: u32,
        /// The name
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Remove the mark of a version
    Unmark {
        /// Its id or title
        which: String,
        /// The number of the version
        version: u32,
        #[command(flatten)]
        place: Place,
    },
    /// Restore a former version
    Revert {
        /// Its id or title
        which: String,
        /// The number of the version
        version: u32,
        #[command(flatten)]
        place: Place,
    },
    /// List changes that agents suggest to items that others read
    Suggestions(At),
    /// Accept a suggested change, by id
    Take(One),
    /// Dismiss a suggested change, by id
    Dismiss(One),
    /// List folders
    Folders(At),
    /// Create a folder
    AddFolder {
        /// The name
        name: String,
        /// The parent folder: name, path or id
        #[arg(long)]
        parent: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Delete a folder; its items move up a level
    RemoveFolder(One),
    /// Show the start-up context of an agent
    Context {
        /// The agent's handle; without one, the part that every agent has
        agent: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

/// Which items.
#[derive(Args)]
pub struct Which {
    /// Words
    q: Option<String>,
    /// Only this kind
    #[arg(long, value_parser = one_of(["page", "skill", "file", "source"]))]
    kind: Option<String>,
    /// Only in this folder or below it
    #[arg(long)]
    folder: Option<String>,
    /// Only with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only archived items
    #[arg(long)]
    archived: bool,
    /// Maximum number, up to 200
    #[arg(long)]
    limit: Option<usize>,
    #[command(flatten)]
    place: Place,
}

/// What stands around the words of an item.
#[derive(Args)]
pub struct About {
    /// The folder's name, path or id; empty for none
    #[arg(long)]
    folder: Option<String>,
    /// Who has it in the start-up context
    #[arg(long, value_parser = one_of(["library", "agent", "workspace"]))]
    scope: Option<String>,
    /// Handles of the chosen agents, separated by commas
    #[arg(long)]
    agents: Option<String>,
    /// Tags, separated by commas
    #[arg(long)]
    tags: Option<String>,
    /// A file with the text; - for standard input
    #[arg(long)]
    text: Option<PathBuf>,
    /// The reason, in one line
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl About {
    fn body(&self) -> Result<Map<String, Value>, CommandError> {
        let mut body = Map::new();
        let list = |text: &String| -> Value {
            text.split(',').map(str::trim).filter(|one| !one.is_empty()).collect()
        };
        if let Some(folder) = &self.folder {
            let folder = if folder.is_empty() { Value::Null } else { json!(folder) };
            body.insert("folder".to_owned(), folder);
        }
        let lists = [("agents", self.agents.as_ref()), ("tags", self.tags.as_ref())];
        for (key, text) in lists {
            body.extend(text.map(|text| (key.to_owned(), list(text))));
        }
        body.extend(self.scope.as_ref().map(|scope| ("scope".to_owned(), json!(scope))));
        body.extend(self.reason.as_ref().map(|why| ("reason".to_owned(), json!(why))));
        if let Some(file) = &self.text {
            body.insert("text".to_owned(), json!(words(file)?));
        }
        Ok(body)
    }
}

/// A page or a skill to be written.
#[derive(Args)]
pub struct New {
    /// The name
    title: String,
    /// Create a skill instead of a page
    #[arg(long)]
    skill: bool,
    #[command(flatten)]
    about: About,
}

/// What is to change.
#[derive(Args)]
pub struct Change {
    /// Its id or title
    which: String,
    /// The new title
    #[arg(long)]
    title: Option<String>,
    /// The encoding of its file, such as windows-1251; empty to detect it again
    #[arg(long)]
    encoding: Option<String>,
    #[command(flatten)]
    about: About,
}

/// The text of a file, or of standard input for `-`.
pub(super) fn words(file: &std::path::Path) -> Result<String, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::Failed(format!("couldn't read {}: {error}", file.display()))
    };
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(failed)
}

fn at(which: &str) -> String {
    format!("/api/v1/knowledge/{}", part(which))
}

/// Runs a command.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::Search(which) => search(common, door, &which).await,
        Command::Show(one) => {
            let shown =
                door.call(Ask::get(at(&one.which)).within(one.place.workspace.as_ref())).await?;
            let mut lines = vec![row(&shown).join("  ")];
            match word(&shown["file"], "encoding") {
                "" => {}
                encoding => lines.push(format!("read as {encoding}")),
            }
            lines.push(String::new());
            lines.extend(word(&shown, "text").lines().map(str::to_owned));
            print(common, &shown, &lines)
        }
        Command::Add(new) => {
            let mut body = new.about.body()?;
            body.insert("title".to_owned(), json!(new.title));
            body.insert("kind".to_owned(), json!(if new.skill { "skill" } else { "page" }));
            let ask = Ask::post("/api/v1/knowledge", &Value::Object(body));
            let made = door.call(ask.within(new.about.place.workspace.as_ref())).await?;
            print(common, &made, &[row(&made).join("  ")])
        }
        Command::Upload { files, folder, place } => {
            upload(common, door, (&files, folder.as_deref()), &place).await
        }
        Command::Edit(change) => {
            let mut body = change.about.body()?;
            body.extend(change.title.map(|title| ("title".to_owned(), json!(title))));
            body.extend(change.encoding.map(|label| ("encoding".to_owned(), json!(label))));
            let ask = Ask::patch(at(&change.which), &Value::Object(body));
            let changed = door.call(ask.within(change.about.place.workspace.as_ref())).await?;
            print(common, &changed, &[row(&changed).join("  ")])
        }
        Command::Archive(one) => set_archived(common, door, &one, true).await,
        Command::Restore(one) => set_archived(common, door, &one, false).await,
        Command::Remove(one) => remove(common, door, at(&one.which), &one).await,
        Command::Versions { which, marked, place } => {
            let path = format!("{}/versions?marked={marked}", at(&which));
            let all = door.call(Ask::get(path).within(place.workspace.as_ref())).await?;
            print(common, &all, &listed(&all, version_row, "No versions."))
        }
        Command::Mark { which, version, name, place } => {
            let path = format!("{}/versions/{version}/mark", at(&which));
            let ask = Ask::put(path, &json!({ "name": name })).within(place.workspace.as_ref());
            let all = door.call(ask).await?;
            print(common, &all, &[format!("Marked version {version}.")])
        }
        Command::Unmark { which, version, place } => {
            let path = format!("{}/versions/{version}/mark", at(&which));
            let gone = door.call(Ask::delete(path).within(place.workspace.as_ref())).await?;
            print(common, &gone, &[format!("Removed the mark of version {version}.")])
        }
        Command::Revert { which, version, place } => {
            let path = format!("{}/versions/{version}/restore", at(&which));
            let ask = Ask::post(path, &json!({})).within(place.workspace.as_ref());
            let now = door.call(ask).await?;
            print(common, &now, &[row(&now).join("  ")])
        }
        Command::Suggestions(here) => {
            let ask =
                Ask::get("/api/v1/knowledge/suggestions").within(here.place.workspace.as_ref());
            let all = door.call(ask).await?;
            print(common, &all, &listed(&all, suggestion_row, "No suggested changes."))
        }
        Command::Take(one) => decide(common, door, &one, "take").await,
        Command::Dismiss(one) => decide(common, door, &one, "dismiss").await,
        Command::Folders(here) => {
            let ask = Ask::get("/api/v1/knowledge/folders").within(here.place.workspace.as_ref());
            let all = door.call(ask).await?;
            print(common, &all, &listed(&all, folder_row, "No folders."))
        }
        Command::AddFolder { name, parent, place } => {
            let body = json!({ "name": name, "parent": parent });
            let ask = Ask::post("/api/v1/knowledge/folders", &body);
            let made = door.call(ask.within(place.workspace.as_ref())).await?;
            print(common, &made, &[folder_row(&made).join("  ")])
        }
        Command::RemoveFolder(one) => {
            let path = format!("/api/v1/knowledge/folders/{}", part(&one.which));
            remove(common, door, path, &one).await
        }
        Command::Context { agent, place } => {
            let params = query(&[("agent", agent.as_deref())]);
            let path = format!("/api/v1/knowledge/context{params}");
            let start = door.call(Ask::get(path).within(place.workspace.as_ref())).await?;
            let mut lines = listed(&start, share_row, "Nothing.");
            lines.push(format!("{} of {} tokens", start["tokens"], start["budget"]));
            let days = start["readers"].as_array().into_iter().flatten();
            let days: i64 = days.filter_map(|one| one["micros_a_day"].as_i64()).sum();
            if 0 < days {
                lines.push(format!("about {} a day", web::format::money(days)));
            }
            print(common, &start, &lines)
        }
    }
}

async fn search(common: &Common, door: &Door, which: &Which) -> Result<u8, CommandError> {
    let limit = which.limit.map(|limit| limit.to_string());
    let params = query(&[
        ("q", which.q.as_deref()),
        ("kind", which.kind.as_deref()),
        ("folder", which.folder.as_deref()),
        ("tag", which.tag.as_deref()),
        ("archived", which.archived.then_some("true")),
        ("limit", limit.as_deref()),
    ]);
    let path = format!("/api/v1/knowledge{params}");
    let all = door.call(Ask::get(path).within(which.place.workspace.as_ref())).await?;
    let mut lines = Vec::new();
    for one in all["items"].as_array().into_iter().flatten() {
        let mut line = row(one);
        line.extend((one["by_words"] == json!(false)).then(|| "semantic match".to_owned()));
        lines.push(line.join("  "));
        for passage in one["passages"].as_array().into_iter().flatten() {
            let text = word(passage, "text").split_whitespace().collect::<Vec<_>>().join(" ");
            let page = passage["page"].as_u64().map(|page| format!("page {page}: "));
            let line = kernel::text::ellipsis(&text, 160);
            lines.push(format!("    {}{line}", page.unwrap_or_default()));
        }
    }
    if lines.is_empty() {
        lines.push("No results.".to_owned());
    }
    lines.extend(Some(word(&all, "not_known_yet").to_owned()).filter(|line| !line.is_empty()));
    print(common, &all, &lines)
}

async fn upload(
    common: &Common,
    door: &Door,
    (files, folder): (&[PathBuf], Option<&str>),
    place: &Place,
) -> Result<u8, CommandError> {
    let (mut all, mut lines) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let content = std::fs::read(file).map_err(|error| {
            CommandError::Failed(format!("couldn't read {}: {error}", file.display()))
        })?;
        let params = query(&[("name", name.as_deref()), ("folder", folder)]);
        let ask = Ask::file(format!("/api/v1/knowledge/files{params}"), content);
        let made = door.call(ask.within(place.workspace.as_ref())).await?;
        lines.push(row(&made).join("  "));
        all.push(made);
    }
    print(common, &json!({ "items": all }), &lines)
}

async fn set_archived(
    common: &Common,
    door: &Door,
    one: &One,
    archived: bool,
) -> Result<u8, CommandError> {
    let ask = Ask::patch(at(&one.which), &json!({ "archived": archived }));
    let changed = door.call(ask.within(one.place.workspace.as_ref())).await?;
    print(common, &changed, &[row(&changed).join("  ")])
}

async fn decide(
    common: &Common,
    door: &Door,
    one: &One,
    decision: &str,
) -> Result<u8, CommandError> {
    let path = format!("/api/v1/knowledge/suggestions/{}/{decision}", part(&one.which));
    let ask = Ask::post(path, &json!({})).within(one.place.workspace.as_ref());
    let now = door.call(ask).await?;
    print(common, &now, &[row(&now).join("  ")])
}

async fn remove(common: &Common, door: &Door, path: String, one: &One) -> Result<u8, CommandError> {
    let gone = door.call(Ask::delete(path).within(one.place.workspace.as_ref())).await?;
    print(common, &gone, &[format!("Deleted {}.", quoted(&one.which))])
}

fn row(one: &Value) -> Vec<String> {
    vec![
        word(one, "id").to_owned(),
        word(one, "kind").to_owned(),
        word(one, "scope").to_owned(),
        word(one, "path").to_owned(),
        quoted(word(one, "title")),
    ]
}

fn folder_row(one: &Value) -> Vec<String> {
    vec![word(one, "id").to_owned(), quoted(word(one, "path"))]
}

fn version_row(one: &Value) -> Vec<String> {
    vec![
        one["n"].to_string(),
        word(one, "at").to_owned(),
        word(&one["by"], "name").to_owned(),
        quoted(word(one, "reason")),
        word(one, "mark").to_owned(),
    ]
}

fn suggestion_row(one: &Value) -> Vec<String> {
    vec![
        word(one, "id").to_owned(),
        word(&one["by"], "name").to_owned(),
        quoted(word(one, "title")),
        quoted(word(one, "reason")),
    ]
}

fn share_row(one: &Value) -> Vec<String> {
    let how = match (one["full"].as_bool(), one["demoted"].as_bool()) {
        (Some(true), _) => "in full",
        (_, Some(true)) => "title only, no space",
        _ => "title only",
    };
    vec![
        word(one, "id").to_owned(),
        one["tokens"].to_string(),
        how.to_owned(),
        quoted(word(one, "title")),
    ]
}
