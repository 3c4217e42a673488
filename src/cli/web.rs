//! `hq web`: reads pages and searches the web with the workspace's engines.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Common;
use super::agents::word;
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::one_of;

/// `hq web …`
#[derive(Subcommand)]
pub enum Command {
    /// Read a public page, PDF or text file as Markdown
    Read(Read),
    /// Search the web; engines are in Settings, Web search
    Search(Search),
}

/// A page.
#[derive(Args)]
pub struct Read {
    /// An http or https address
    // `url` is the id of an option of every command.
    #[arg(value_name = "URL")]
    page: String,
    /// Read the host's list of pages (/llms.txt) instead of the page
    #[arg(long)]
    index: bool,
    /// Print plain text without headings and links
    #[arg(long)]
    text: bool,
    /// Maximum number of characters
    #[arg(long, default_value_t = 100_000)]
    max_chars: u32,
    #[command(flatten)]
    place: Place,
}

/// A search.
#[derive(Args)]
pub struct Search {
    /// The words
    #[arg(required = true)]
    words: Vec<String>,
    /// Number of results, 1 to 10
    #[arg(long, default_value_t = 5)]
    count: u8,
    /// Country, two letters
    #[arg(long)]
    country: Option<String>,
    /// Language, two letters
    #[arg(long)]
    language: Option<String>,
    /// Only results of the last day, week, month or year
    #[arg(long, value_parser = one_of(["day", "week", "month", "year"]))]
    freshness: Option<String>,
    /// Only results since this day, such as 2026-05-31
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Only results until this day
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// Only this host; may be given several times
    #[arg(long)]
    domain: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs a command of `hq web`.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::Read(flags) => read(common, door, flags).await,
        Command::Search(flags) => search(common, door, flags).await,
    }
}

async fn read(common: &Common, door: &Door, flags: Read) -> Result<u8, CommandError> {
    let body = json!({
        "url": flags.page,
        "index": flags.index,
        "mode": if flags.text { "text" } else { "markdown" },
        "max_chars": flags.max_chars,
    });
    let ask = Ask::post("/api/v1/web/read", &body);
    let page = door.call(ask.within(flags.place.workspace.as_ref())).await?;
    let mut lines: Vec<String> = word(&page, "text").lines().map(super::show::plain).collect();
    if page["truncated"] == true {
        lines.push(format!("[cut: {} characters in total; raise --max-chars]", page["length"]));
    }
    if page["status"].as_u64().is_some_and(|status| 400 <= status) {
        lines.push(format!("[the server answered with status {}]", page["status"]));
    }
    print(common, &page, &lines)
}

async fn search(common: &Common, door: &Door, flags: Search) -> Result<u8, CommandError> {
    let mut body = Map::new();
    body.insert("query".to_owned(), json!(flags.words.join(" ")));
    body.insert("count".to_owned(), json!(flags.count));
    for (key, value) in [
        ("country", flags.country),
        ("language", flags.language),
        ("freshness", flags.freshness),
        ("date_from", flags.from),
        ("date_to", flags.to),
    ] {
        if let Some(value) = value {
            body.insert(key.to_owned(), value.into());
        }
    }
    if !flags.domain.is_empty() {
        body.insert("domains".to_owned(), json!(flags.domain));
    }
    let ask = Ask::post("/api/v1/web/search", &Value::Object(body));
    let found = door.call(ask.within(flags.place.workspace.as_ref())).await?;
    if found["type"] == "error" {
        print(common, &found, &[format!("Not found: {}", word(&found, "message"))])?;
        return Ok(1);
    }
    let mut lines: Vec<String> = word(&found, "content").lines().map(super::show::plain).collect();
    for key in ["results", "citations"] {
        let all = found[key].as_array().map(Vec::as_slice).unwrap_or_default();
        for (n, one) in all.iter().enumerate() {
            lines.extend(source(n + 1, one));
        }
    }
    let mut lines = or_none(lines, "No results.");
    for failed in found["failed"].as_array().map(Vec::as_slice).unwrap_or_default() {
        lines.push(format!("{} failed: {}", word(failed, "provider"), word(failed, "message")));
    }
    print(common, &found, &lines)
}

fn source(n: usize, one: &Value) -> Vec<String> {
    let plain = |key: &str| super::show::plain(word(one, key));
    let mut lines = vec![format!("[{n}] {}", plain("title")), format!("    {}", plain("url"))];
    let snippet = plain("snippet");
    lines.extend((!snippet.is_empty()).then(|| format!("    {snippet}")));
    lines
}
