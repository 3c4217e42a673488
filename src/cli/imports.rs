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
    /// List imports, newest first
    List(At),
    /// Show the progress and problems of an import
    Show(One),
    /// Undo an import; later changes by others stay
    Undo(One),
    /// Redo an import that was undone
    Redo(One),
}

/// A file to be imported.
#[derive(Args)]
pub struct File {
    /// The file
    file: std::path::PathBuf,
    /// What to do with rows that match an existing record
    #[arg(long, default_value = "skip", value_parser = one_of(["skip", "fill", "overwrite", "new"]))]
    clash: String,
    /// Where a column goes: "Mail=field:email", "Bikes=new:number", "Memo=" for nowhere; in a collection "SKU=key:sku" for
    /// the field by which rows are matched; "Record=id" for the record ids of an export
    #[arg(long = "map", value_name = "COLUMN=WHERE")]
    maps: Vec<String>,
    /// The order of day and month in the dates of a column: "Since=month_first", "Since=day_first"
    #[arg(long = "dates", value_name = "COLUMN=ORDER")]
    dates: Vec<String>,
    /// The month comes first in the dates of all columns, as in 12/31/2026
    #[arg(long)]
    month_first: bool,
    /// The decimal sign of numbers
    #[arg(long, value_parser = one_of([".", ","]))]
    decimal: Option<String>,
    /// The text encoding, such as windows-1251 [default: detected]
    #[arg(long)]
    encoding: Option<String>,
    /// The sheet of a workbook, from 1
    #[arg(long)]
    sheet: Option<u32>,
    /// The row with the headings, 0 for none
    #[arg(long)]
    header_row: Option<u32>,
    /// Whether unknown values become choices of their field [default: yes, except stages]
    #[arg(long, value_parser = one_of(["yes", "no"]))]
    add_choices: Option<String>,
    /// Only show what would happen
    #[arg(long)]
    preview: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs a command of imports.
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
        CommandError::Failed(format!("couldn't read {}: {error}", file.file.display()))
    })?;
    let params = query(&[("of", Some(of)), ("name", name.as_deref())]);
    let sent =
        door.call(Ask::file(format!("/api/v1/imports{params}"), content).within(workspace)).await?;
    let at = format!("/api/v1/imports/{}", part(word(&sent, "id")));
    let body = settings(file)?;
    let read = match door.call(Ask::patch(at.as_str(), &body).within(workspace)).await {
        Ok(read) => read,
        Err(error) => return Err(with_columns(error, &sent)),
    };
    let verb = if file.preview { "preview" } else { "begin" };
    let begun = door.call(Ask::post(format!("{at}/{verb}"), &json!({})).within(workspace)).await;
    let mut now = begun.map_err(|error| with_columns(error, &read))?;
    while word(&now, "state") == "running" {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        now = door.call(Ask::get(at.as_str()).within(workspace)).await?;
    }
    print(common, &now, &import_lines(&now))
}

/// Why a file cannot come in, with what HQ has read in it: its encoding, its headings, and where its columns go.
fn with_columns(error: CommandError, import: &Value) -> CommandError {
    let CommandError::Api { kind, words } = error else { return error };
    let lines: Vec<String> = [words].into_iter().chain(read_lines(import)).collect();
    CommandError::Api { kind, words: lines.join("\n") }
}

/// The encoding of a text that is no UTF-8, the columns and where they go.
fn read_lines(import: &Value) -> Vec<String> {
    let encoding = match word(import, "encoding") {
        "" | "utf-8" => None,
        encoding => Some(format!("read as {encoding}")),
    };
    let columns = import["columns"].as_array().into_iter().flatten().map(|column| {
        let goes = match word(column, "goes") {
            "" => "nowhere",
            goes => goes,
        };
        format!("{}: {goes}", word(column, "header"))
    });
    encoding.into_iter().chain(columns).collect()
}

/// What a person says of a file, as the API takes it.
fn settings(file: &File) -> Result<Value, CommandError> {
    let pairs = |texts: &[String], what: &str| {
        let mut pairs = Map::new();
        for one in texts {
            let (column, to) = one.rsplit_once('=').ok_or_else(|| {
                CommandError::Failed(format!("write COLUMN={what} instead of {}", quoted(one)))
            })?;
            pairs.insert(column.to_owned(), Value::from(to));
        }
        Ok::<_, CommandError>(pairs)
    };
    let mut body = Map::from_iter([
        ("columns".to_owned(), Value::from(pairs(&file.maps, "WHERE")?)),
        ("dates".to_owned(), Value::from(pairs(&file.dates, "ORDER")?)),
        ("clash".to_owned(), Value::from(file.clash.as_str())),
    ]);
    let mut set = |key: &str, value: Option<Value>| {
        body.extend(value.map(|value| (key.to_owned(), value)));
    };
    set("month_first", file.month_first.then_some(Value::from(true)));
    set("decimal_comma", file.decimal.as_deref().map(|sign| Value::from(sign == ",")));
    set("add_choices", file.add_choices.as_deref().map(|texts| Value::from(texts == "yes")));
    set("encoding", file.encoding.as_deref().map(Value::from));
    set("sheet", file.sheet.map(Value::from));
    set("header_row", file.header_row.map(Value::from));
    Ok(Value::from(body))
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
            "{} new, {} changed, {} skipped, {} wrong",
            one["made"], one["changed"], one["skipped"], one["wrong"]
        ),
    ];
    for note in one["notes"].as_array().into_iter().flatten() {
        lines.push(note.as_str().unwrap_or_default().to_owned());
    }
    lines.extend(read_lines(one));
    for problem in one["problems"].as_array().into_iter().flatten().take(20) {
        let (column, says) = (word(problem, "column"), word(problem, "says"));
        lines.push(match column {
            "" => format!("row {}: {says}", problem["row"]),
            _ => format!("row {} {column}: {says}", problem["row"]),
        });
    }
    let is_left_out = |row: &&Value| row["becomes"] == "skipped" && row["met"].is_object();
    for row in one["seen"].as_array().into_iter().flatten().filter(is_left_out).take(20) {
        let met = quoted(word(&row["met"], "name"));
        lines.push(format!("row {}: skipped, {met} already exists", row["row"]));
    }
    lines
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::{File, import_lines, settings, with_columns};
    use crate::reach::CommandError;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        file: File,
    }

    #[test]
    fn what_is_said_of_a_file_is_sent_and_nothing_else() {
        let sent = |arguments: &[&str]| {
            let line = Line::try_parse_from([&["x", "a.csv"], arguments].concat()).expect("a line");
            settings(&line.file).ok()
        };
        assert_eq!(sent(&[]), Some(json!({ "columns": {}, "dates": {}, "clash": "skip" })));
        let all = [
            "--map",
            "Since=new:date",
            "--dates",
            "Since=month_first",
            "--month-first",
            "--decimal",
            ",",
            "--add-choices",
            "no",
            "--encoding",
            "windows-1251",
            "--sheet",
            "2",
            "--header-row",
            "3",
        ];
        assert_eq!(
            sent(&all),
            Some(json!({
                "columns": { "Since": "new:date" },
                "dates": { "Since": "month_first" },
                "clash": "skip",
                "month_first": true,
                "decimal_comma": true,
                "add_choices": false,
                "encoding": "windows-1251",
                "sheet": 2,
                "header_row": 3,
            }))
        );
        assert_eq!(sent(&["--dates", "Since"]), None);
    }

    #[test]
    fn a_preview_names_the_records_that_rows_have_met() {
        let seen = json!({
            "id": "1", "state": "draft", "looked_at": 0, "rows": 2, "name": "a.csv", "made": 1, "changed": 0,
            "skipped": 1, "wrong": 0, "notes": ["Since: the day was taken as first."], "columns": [], "problems": [],
            "seen": [
                { "row": 2, "becomes": "new" },
                { "row": 3, "becomes": "skipped", "met": { "id": "2", "name": "Rosa Lin" } },
            ],
        });
        let lines = import_lines(&seen).join("\n");
        assert!(lines.contains("row 3: skipped, \"Rosa Lin\" already exists"), "{lines}");
        assert!(
            lines.contains("the day was taken as first") && !lines.contains("row 2"),
            "{lines}"
        );
    }

    #[test]
    fn a_file_that_cannot_come_in_shows_its_headings_and_its_encoding() {
        let import = json!({
            "encoding": "shift_jis",
            "columns": [{ "header": "担当者", "goes": "" }, { "header": "Email", "goes": "field:email" }],
        });
        let words = "Choose the column that has the name.".to_owned();
        let error = CommandError::Api { kind: "invalid".to_owned(), words };
        let text = with_columns(error, &import).to_string();
        let wanted = "Choose the column that has the name.\nread as shift_jis\n担当者: nowhere\nEmail: field:email";
        assert_eq!(text, wanted);
        let other = with_columns(CommandError::Refused("no".to_owned()), &import);
        assert_eq!(other.to_string(), "no");
    }
}
