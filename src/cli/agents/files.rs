//! `hq agent files …`: what an agent has written, read and changed at the terminal.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Common;
use crate::commands::{or_none, print};
use crate::door::{Ask, Door};
use crate::operate::Place;
use crate::reach::CommandError;
use crate::show::{moment, part, query, table};
use web::format::{count, size};

use super::{items, word};

/// The largest file that is sent, in bytes: HQ takes no larger one.
const MOST: u64 = 25 << 20;

/// `hq agent files …`
#[derive(Subcommand)]
pub enum Command {
    /// List its files, two folders deep and along the path, with new and changed ones since the latest commit
    List {
        #[command(flatten)]
        agent: OfAgent,
        /// A folder to show in full
        #[arg(default_value = "")]
        path: String,
    },
    /// Find files that have all words in their name or in one line
    Search {
        #[command(flatten)]
        agent: OfAgent,
        /// The words
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Print one file
    Read(OfFile),
    /// Save or create a file
    Write(Write),
    /// List the commits of its files, newest first
    History(History),
    /// Restore a file as of a commit
    Restore {
        #[command(flatten)]
        of: OfFile,
        /// The commit, as the history shows it
        commit: String,
    },
    /// List conflicting versions from another gateway; with a name, show the differences of that one
    Kept {
        #[command(flatten)]
        agent: OfAgent,
        /// Its name in the list
        name: Option<String>,
    },
    /// Merge such a version into its files, as far as possible
    Take(OfKept),
    /// Discard such a version for good
    Drop(OfKept),
}

/// Whose files.
#[derive(Args)]
pub struct OfAgent {
    /// The agent's slug or id
    agent: String,
    #[command(flatten)]
    place: Place,
}

/// Which file.
#[derive(Args)]
pub struct OfFile {
    #[command(flatten)]
    agent: OfAgent,
    /// The file in the agent's folder, such as notes/harbour.md
    path: String,
}

/// What of that which was kept.
#[derive(Args)]
pub struct OfKept {
    #[command(flatten)]
    agent: OfAgent,
    /// Its name, as `hq agent files kept` lists it
    name: String,
}

/// Flags of `hq agent files write`.
#[derive(Args)]
pub struct Write {
    #[command(flatten)]
    of: OfFile,
    /// The file with the new content; - reads standard input
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The content that you started from: later changes by the agent in other lines are then kept
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
}

/// Flags of `hq agent files history`.
#[derive(Args)]
pub struct History {
    #[command(flatten)]
    agent: OfAgent,
    /// A file or folder [default: all files]
    #[arg(default_value = "")]
    path: String,
    /// Maximum number of commits, up to 100
    #[arg(long, default_value_t = 25)]
    limit: u32,
    /// Continue before this commit, as the previous list shows it
    #[arg(long, value_name = "COMMIT")]
    before: Option<String>,
}

impl OfAgent {
    /// An address below the agent's.
    fn at(&self, below: &str) -> String {
        format!("/api/v1/agents/{}/{below}", part(&self.agent))
    }

    /// A question about this agent.
    fn within(&self, ask: Ask) -> Ask {
        ask.within(self.place.workspace.as_ref())
    }
}

impl OfKept {
    fn address(&self) -> String {
        self.agent.at(&format!("kept/{}", part(&self.name)))
    }
}

impl OfFile {
    /// Where the file is.
    fn address(&self) -> String {
        let parts: Vec<String> = self.path.split('/').map(part).collect();
        self.agent.at(&format!("files/{}", parts.join("/")))
    }
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List { agent, path } => list(common, door, &agent, &path).await,
        Command::Search { agent, words } => search(common, door, &agent, &words.join(" ")).await,
        Command::Read(of) => read(common, door, &of).await,
        Command::Write(flags) => write(common, door, &flags).await,
        Command::History(flags) => history(common, door, &flags).await,
        Command::Restore { of, commit } => restore(common, door, &of, &commit).await,
        Command::Kept { agent, name } => kept(common, door, &agent, name.as_deref()).await,
        Command::Take(of) => take(common, door, &of).await,
        Command::Drop(of) => {
            let gone = door.call(of.agent.within(Ask::delete(of.address()))).await?;
            print(common, &gone, &[format!("Discarded {}.", of.name)])
        }
    }
}

async fn list(
    common: &Common,
    door: &Door,
    agent: &OfAgent,
    path: &str,
) -> Result<u8, CommandError> {
    let address = agent.at(&format!("files{}", query(&[("path", Some(path))])));
    let all = door.call(agent.within(Ask::get(address))).await?;
    let rows: Vec<Vec<String>> = items(&all).iter().map(row).collect();
    let mut lines = or_none(table(&rows), "No files.");
    match word(&all["there"], "words") {
        "" => {}
        words => lines.push(words.to_owned()),
    }
    if all["is_cut"] == true {
        lines.push("There are more files: name a folder.".to_owned());
    }
    print(common, &all, &lines)
}

/// Prints a line each as `path:12: what it says`, and the path alone where only the name was found.
async fn search(
    common: &Common,
    door: &Door,
    agent: &OfAgent,
    words: &str,
) -> Result<u8, CommandError> {
    let address = agent.at(&format!("file-search{}", query(&[("q", Some(words))])));
    let all = door.call(agent.within(Ask::get(address))).await?;
    let mut lines = Vec::new();
    for hit in items(&all) {
        let path = word(hit, "path");
        let found = hit["lines"].as_array().map_or(&[][..], Vec::as_slice);
        if found.is_empty() {
            lines.push(path.to_owned());
        }
        lines.extend(
            found.iter().map(|line| format!("{path}:{}: {}", line["number"], word(line, "text"))),
        );
        match hit["more"].as_u64().unwrap_or(0) {
            0 => {}
            more => lines.push(format!("{path}: {} more", count(more, "line", "lines"))),
        }
    }
    let mut lines = or_none(lines, "No results.");
    if all["is_cut"] == true {
        lines.push("There may be more results.".to_owned());
    }
    print(common, &all, &lines)
}

fn row(node: &Value) -> Vec<String> {
    let (path, is_folder) = (word(node, "path"), node["is_folder"] == true);
    let mark = match word(node, "standing") {
        mark @ ("new" | "changed") => mark,
        _ => "",
    };
    let size = node["bytes"].as_u64().map_or_else(String::new, size);
    let name = if is_folder { format!("{path}/") } else { path.to_owned() };
    vec![size, mark.to_owned(), name]
}

async fn read(common: &Common, door: &Door, of: &OfFile) -> Result<u8, CommandError> {
    if common.json {
        let file = door.call(of.agent.within(Ask::get(of.address()))).await?;
        return print(common, &file, &[]);
    }
    let raw = Ask::get(format!("{}?raw=1", of.address()));
    door.open(of.agent.within(raw)).await?.print().await?;
    Ok(crate::OK)
}

async fn write(common: &Common, door: &Door, flags: &Write) -> Result<u8, CommandError> {
    let of = &flags.of;
    let bytes = content(&flags.from)?;
    let now = door.call(of.agent.within(Ask::get(of.address()))).await;
    let done = match (now, String::from_utf8(bytes)) {
        (Ok(now), Ok(text)) => {
            let base = flags.base.as_deref().map(content).transpose()?;
            let body = match base.map(String::from_utf8) {
                Some(Ok(base)) => json!({ "text": text, "base": base }),
                Some(Err(_)) => {
                    return Err(CommandError::Failed("--base: the file isn't text".to_owned()));
                }
                None => json!({ "text": text, "hash": now["hash"] }),
            };
            door.call(of.agent.within(Ask::put(of.address(), &body))).await?
        }
        (Ok(_), Err(_)) => {
            let why = "the file isn't text, and an existing file can only be changed as text";
            return Err(CommandError::Failed(format!("{}: {why}", flags.from.display())));
        }
        (Err(error), sent) if error.kind() == "file_not_found" => {
            let new = match sent {
                Ok(text) => Ask::post(of.address(), &json!({ "text": text })),
                Err(error) => Ask::file(of.address(), error.into_bytes()),
            };
            let made = door.call(of.agent.within(new)).await?;
            return print(common, &made, &[format!("Created {}.", of.path)]);
        }
        (Err(error), _) => return Err(error),
    };
    let message = match (done["commit"].is_null(), done["joined"] == true) {
        (true, _) => format!("{} already has this content.", of.path),
        (false, false) => format!("Saved {}.", of.path),
        (false, true) => {
            format!("Saved {}, merged with newer changes.", of.path)
        }
    };
    print(common, &done, &[message])
}

/// A file of this machine, or what is piped in.
fn content(from: &Path) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let read = match from == Path::new("-") {
        true => std::io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes),
        false => std::fs::File::open(from).and_then(|f| f.take(MOST + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| CommandError::Failed(format!("{}: {error}", from.display())))?;
    Ok(bytes)
}

async fn history(common: &Common, door: &Door, flags: &History) -> Result<u8, CommandError> {
    let limit = flags.limit.to_string();
    let params = query(&[
        ("path", Some(flags.path.as_str())),
        ("before", flags.before.as_deref()),
        ("limit", Some(limit.as_str())),
    ]);
    let ask = Ask::get(flags.agent.at(&format!("history{params}")));
    let page = door.call(flags.agent.within(ask)).await?;
    let line = |one: &Value| {
        let words = [word(one, "commit"), word(one, "author"), word(one, "subject")];
        let [commit, author, subject] = words.map(str::to_owned);
        vec![commit, moment(one, "at"), author, subject]
    };
    let rows: Vec<Vec<String>> = items(&page).iter().map(line).collect();
    let mut lines = or_none(table(&rows), "No commits yet.");
    lines.extend(page["next"].as_str().map(|next| format!("More: --before {next}")));
    print(common, &page, &lines)
}

async fn restore(
    common: &Common,
    door: &Door,
    of: &OfFile,
    commit: &str,
) -> Result<u8, CommandError> {
    let address = of.agent.at(&format!("history/{}/restore", part(commit)));
    let ask = Ask::post(address, &json!({ "path": of.path }));
    let done = door.call(of.agent.within(ask)).await?;
    let message = match done["commit"].is_null() {
        true => format!("{} already has this content.", of.path),
        false => format!("Restored {}. The previous version stays in its history.", of.path),
    };
    print(common, &done, &[message])
}

async fn kept(
    common: &Common,
    door: &Door,
    agent: &OfAgent,
    name: Option<&str>,
) -> Result<u8, CommandError> {
    let Some(name) = name else {
        let all = door.call(agent.within(Ask::get(agent.at("kept")))).await?;
        let line = |one: &Value| {
            let commits = count(one["commits"].as_u64().unwrap_or(0), "commit", "commits");
            vec![word(one, "name").to_owned(), moment(one, "at"), commits]
        };
        let rows: Vec<Vec<String>> = items(&all).iter().map(line).collect();
        return print(common, &all, &or_none(table(&rows), "No conflicting versions."));
    };
    let one = door.call(agent.within(Ask::get(agent.at(&format!("kept/{}", part(name)))))).await?;
    let mut lines = Vec::new();
    for file in one["files"].as_array().into_iter().flatten() {
        lines.push(format!("{} {}", word(file, "change"), word(file, "path")));
        lines.extend(word(file, "diff").lines().map(str::to_owned));
    }
    print(common, &one, &or_none(lines, "No files were changed."))
}

async fn take(common: &Common, door: &Door, of: &OfKept) -> Result<u8, CommandError> {
    let ask = Ask::post(format!("{}/take", of.address()), &json!({}));
    let taken = door.call(of.agent.within(ask)).await?;
    let named = |key: &str| taken[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut lines: Vec<String> = named("took").map(|path| format!("{path} is merged.")).collect();
    lines.extend(named("stays").map(|path| format!("{path} is unchanged.")));
    print(common, &taken, &or_none(lines, "No files to change."))
}
