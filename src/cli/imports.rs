//! `hq imports …`, and `import` of contacts, organizations and records: files that come in.

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

/// `hq imports …`
#[derive(Subcommand)]
pub enum Command {
    /// Imports, newest first
    List(At),
    /// How far an import is, and what was wrong
    Show(One),
    /// Take an import back: what others have changed since stays
    Undo(One),
    /// Restore an import that was taken back
    Redo(One),
}

/// A file to be imported.
#[derive(Args)]
pub struct File {
    /// The file
    file: std::path::PathBuf,
    /// What becomes of rows whose record is here already
    #[arg(long, default_value = "skip", value_parser = one_of(["skip", "fill", "overwrite", "new"]))]
    clash: String,
    /// Where a column goes: "Mail=field:email", "Bikes=new:number", "Memo=" for nowhere
    #[arg(long = "map", value_name = "COLUMN=WHERE")]
    maps: Vec<String>,
    /// Only says what would happen
    #[arg(long)]
    preview: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs a command of imports.
///
/// # Errors
/// What was refused, or that nobody answers.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    let at = |which: &str| format!("/api/v1/imports/{}", part(which));
    match command {
        Command::List(here) => {
            let ask = Ask::get("/api/v1/imports").within(here.place.workspace.as_ref());
            let all = door.call(ask).await?;
            print(common, &all, &listed(&all, import_row, "No imports."))
        }
        Command::Show(one) => {
            let ask = Ask::get(at(&one.which)).within(one.place.workspace.as_ref());
            let shown = door.call(ask).await?;
            print(common, &shown, &import_lines(&shown))
        }
        Command::Undo(one) => turned(common, door, (&one, "undo")).await,
        Command::Redo(one) => turned(common, door, (&one, "redo")).await,
    }
}

/// Takes an import back or restores it, and waits for the end.
async fn turned(
    common: &Common,
    door: &Door,
    (one, verb): (&One, &str),
) -> Result<u8, CommandError> {
    let (at, workspace) = (format!("/api/v1/imports/{}", part(&one.which)), &one.place.workspace);
    let path = format!("{at}/{verb}");
    let mut now = door.call(Ask::post(path, &json!({})).within(workspace.as_ref())).await?;
    while ["undoing", "redoing"].contains(&word(&now, "state")) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        now = door.call(Ask::get(at.as_str()).within(workspace.as_ref())).await?;
    }
    print(common, &now, &import_lines(&now))
}

/// Sends a file, says where its columns go, and lets it come in.
pub(super) async fn import(
    common: &Common,
    door: &Door,
    of: &str,
    file: &File,
) -> Result<u8, CommandError> {
    let workspace = file.place.workspace.as_ref();
    let name = file.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let content = std::fs::read(&file.file).map_err(|error| {
        CommandError::Failed(format!("{} cannot be read: {error}", file.file.display()))
    })?;
    let asked = query(&[("of", Some(of)), ("name", name.as_deref())]);
    let sent =
        door.call(Ask::file(format!("/api/v1/imports{asked}"), content).within(workspace)).await?;
    let at = format!("/api/v1/imports/{}", part(word(&sent, "id")));
    let mut columns = Map::new();
    for map in &file.maps {
        let (column, goes) = map.rsplit_once('=').ok_or_else(|| {
            CommandError::Failed(format!("write COLUMN=WHERE in place of {}", quoted(map)))
        })?;
        columns.insert(column.to_owned(), Value::from(goes));
    }
    let body = json!({ "columns": columns, "clash": file.clash });
    door.call(Ask::patch(at.as_str(), &body).within(workspace)).await?;
    let verb = if file.preview { "preview" } else { "begin" };
    let mut now =
        door.call(Ask::post(format!("{at}/{verb}"), &json!({})).within(workspace)).await?;
    while word(&now, "state") == "running" {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        now = door.call(Ask::get(at.as_str()).within(workspace)).await?;
    }
    print(common, &now, &import_lines(&now))
}

fn import_row(one: &Value) -> Vec<String> {
    vec![
        word(one, "id").to_owned(),
        word(one, "state").to_owned(),
        format!("{} of {} rows", one["looked_at"], one["rows"]),
        quoted(word(one, "name")),
    ]
}

fn import_lines(one: &Value) -> Vec<String> {
    let mut lines = vec![
        import_row(one).join("  "),
        format!(
            "{} new, {} changed, {} left out, {} wrong",
            one["made"], one["changed"], one["skipped"], one["wrong"]
        ),
    ];
    for column in one["columns"].as_array().into_iter().flatten() {
        let goes = match word(column, "goes") {
            "" => "nowhere",
            goes => goes,
        };
        lines.push(format!("{}: {goes}", word(column, "header")));
    }
    for problem in one["problems"].as_array().into_iter().flatten().take(20) {
        let (column, says) = (word(problem, "column"), word(problem, "says"));
        lines.push(format!("row {} {column}: {says}", problem["row"]));
    }
    lines
}
