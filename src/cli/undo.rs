//! `hq undo`: takes back what an entry or a run did, after it was said what that would be.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use serde_json::{Value, json};

use web::format;

use super::agents::{items, word};
use super::commands::print;
use super::door::{Ask, Door};
use super::history::{difference, meant};
use super::operate::{Place, failed};
use super::reach::CommandError;
use super::show::quoted;
use super::{Common, FAILED, say};

/// Flags of `hq undo`.
#[derive(Args)]
pub struct Undo {
    /// The number of an entry, as `hq activity` and `hq history` show it
    #[arg(required_unless_present = "run", conflicts_with = "run")]
    entry: Option<u64>,
    /// Only what the entry did to this record: MC-3, R-7, @ada, or TABLE/ID
    #[arg(long, conflicts_with = "run")]
    record: Option<String>,
    /// All changes of a run, such as R-7; it must have ended
    #[arg(long)]
    run: Option<String>,
    /// Also the changes of these runs, such as those that it started; separated by commas
    #[arg(long, value_name = "RUN", value_delimiter = ',', conflicts_with = "entry")]
    with: Vec<String>,
    /// Only show what would be reverted and what would stay
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Don't ask for confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: Place,
}

impl Undo {
    /// What is to be undone, as the API takes it.
    fn body(&self) -> Value {
        match (self.entry, &self.record, &self.run) {
            (Some(entry), Some(record), _) => {
                let (table, id) = match record.split_once('/') {
                    Some((table, id)) => (table, id),
                    None => meant(record, None),
                };
                json!({ "change": { "seq": entry, "table": table, "id": id } })
            }
            (_, _, Some(run)) => json!({ "run": run, "with": self.with }),
            (entry, _, None) => json!({ "entry": entry }),
        }
    }
}

/// Says what would go back, asks, and does it, if it is still the same then.
pub async fn run(common: &Common, door: &Door, flags: Undo) -> Result<u8, CommandError> {
    let (mut body, workspace) = (flags.body(), flags.place.workspace.as_ref());
    let preview = door.call(Ask::post("/api/v1/undo/preview", &body).within(workspace)).await?;
    let lines = outlook(&preview);
    if flags.dry_run {
        return print(common, &json!({ "preview": preview, "undone": null }), &lines);
    }
    if !common.json {
        lines.iter().for_each(|line| say(line));
    }
    if !flags.yes {
        if common.json || !std::io::stdin().is_terminal() {
            let words =
                "nothing was changed; use --yes to confirm, or --dry-run for the preview only";
            return Err(CommandError::Refused(words.to_owned()));
        }
        if !is_agreed().await? {
            say("Nothing was changed.");
            return Ok(FAILED);
        }
    }
    // What has changed since it was looked at is refused.
    body["basis"] = preview["basis"].clone();
    let undone = door.call(Ask::post("/api/v1/undo", &body).within(workspace)).await?;
    let line = done(&undone);
    print(common, &json!({ "preview": preview, "undone": undone }), &[line])
}

/// Asks at the terminal; only a yes is one.
async fn is_agreed() -> Result<bool, CommandError> {
    let answer = tokio::task::spawn_blocking(|| {
        let mut out = std::io::stdout().lock();
        write!(out, "Undo this? [y/N] ").and_then(|()| out.flush())?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = answer.await.map_err(failed)?.map_err(failed)?;
    Ok(["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()))
}

/// What an undo would do, a line each: what goes back, what stays and why, what goes along.
fn outlook(preview: &Value) -> Vec<String> {
    let count = |key: &str| preview[key].as_u64().unwrap_or_default();
    let (back, kept) = (items(&preview["back"]), items(&preview["kept"]));
    let mut lines = vec![match count("back_count") {
        0 => "No records to revert.".to_owned(),
        n => format!("{}:", format::count(n, "record to revert", "records to revert")),
    }];
    lines.extend(back.iter().flat_map(goes));
    lines.extend(more(count("back_count"), back.len()));
    if 0 < count("kept_count") {
        let (one, many) = ("record stays unchanged", "records stay unchanged");
        lines.push(format!("{}:", format::count(count("kept_count"), one, many)));
    }
    lines.extend(kept.iter().flat_map(stays));
    lines.extend(more(count("kept_count"), kept.len()));
    let held = items(&preview["held"]).iter();
    lines.extend(
        held.map(|one| format!("{} not reverted: {}", word(one, "what"), word(one, "why"))),
    );
    lines.extend(items(&preview["stays"]).iter().map(|one| {
        let table = word(one, "table").replace('_', " ");
        format!("{} {table} can't be undone", one["count"])
    }));
    if 0 < count("cancels") {
        let work = format::count(count("cancels"), "inbox item", "inbox items");
        lines.push(format!("{work} cancelled"));
    }
    if 0 < count("stops") {
        lines.push(format!("{} stopped", format::count(count("stops"), "run", "runs")));
    }
    let files = items(&preview["files"]).iter().filter_map(Value::as_str);
    lines.extend(files.map(|path| format!("The file {path} will be reverted")));
    lines.extend(items(&preview["caused"]).iter().map(caused));
    lines
}

/// A run that was caused and can be undone with it.
fn caused(one: &Value) -> String {
    let (run, title) = (word(one, "run"), quoted(word(one, "title")));
    let first = if one["live"] == true { "once it has ended, " } else { "" };
    format!("It started {run} {title}: {first}--with {run} also undoes that")
}

/// How many there are besides those that were told.
fn more(all: u64, shown: usize) -> Option<String> {
    let left = all.saturating_sub(shown as u64);
    (0 < left).then(|| format!("  and {} more", format::grouped(left)))
}

/// A record that goes back, from what it is now to what it would be.
fn goes(one: &Value) -> Vec<String> {
    let is_changed = word(one, "op") == "update";
    let how = match word(one, "op") {
        "delete" => "will be deleted",
        "insert" => "will be restored",
        _ => "will be reverted",
    };
    let mut lines = vec![format!("  {} {how}", word(one, "title"))];
    let fields = items(&one["fields"]).iter().filter(|_| is_changed);
    lines.extend(fields.map(|field| format!("    {}", difference(field))));
    lines.extend(items(&one["kept"]).iter().map(kept_field));
    lines
}

/// A record that stays, with the reason, and its fields with theirs.
fn stays(one: &Value) -> Vec<String> {
    let first = format!("  {}: {}", word(one, "title"), word(one, "why"));
    std::iter::once(first).chain(items(&one["fields"]).iter().map(kept_field)).collect()
}

fn kept_field(field: &Value) -> String {
    format!("    {} stays: {}", word(field, "label"), word(field, "why"))
}

/// "Undone by entry 18: 2 records reverted, 1 kept. `hq undo 18` takes that back."
fn done(undone: &Value) -> String {
    let count = |key: &str| undone[key].as_u64().unwrap_or_default();
    let mut parts = vec![format::count(count("back"), "record reverted", "records reverted")];
    let rest = [
        ("kept", "kept", "kept"),
        ("cancelled", "inbox item cancelled", "inbox items cancelled"),
        ("files", "file being reverted", "files being reverted"),
    ];
    for (key, one, many) in rest {
        parts.extend((0 < count(key)).then(|| format::count(count(key), one, many)));
    }
    let entry = count("entry");
    format!("Undone by entry {entry}: {}. To redo it: `hq undo {entry}`", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{done, outlook};

    #[test]
    fn an_outlook_tells_what_goes_back_and_what_stays_and_why() {
        let title = json!({ "label": "Title", "before": "B", "after": "A" });
        let kept = json!({ "label": "Priority", "why": "Tom changed it" });
        let preview = json!({
            "back": [
                { "title": "MC-3 B", "op": "update", "fields": [title], "kept": [kept] },
                { "title": "MC-4 C", "op": "delete", "fields": [title], "kept": [] },
            ],
            "back_count": 3,
            "kept": [{ "title": "MC-5 D", "why": "Tom has removed it since.", "fields": [] }],
            "kept_count": 1,
            "held": [{ "what": "2 messages", "why": "they are not yours" }],
            "stays": [{ "table": "session_events", "class": "log", "count": 12 }],
            "cancels": 1, "stops": 0, "files": ["notes/one.md"],
            "caused": [{ "run": "R-8", "title": "A part", "live": false }],
        });
        let expected = [
            "3 records to revert:",
            "  MC-3 B will be reverted",
            "    Title: \"B\" → \"A\"",
            "    Priority stays: Tom changed it",
            "  MC-4 C will be deleted",
            "  and 1 more",
            "1 record stays unchanged:",
            "  MC-5 D: Tom has removed it since.",
            "2 messages not reverted: they are not yours",
            "12 session events can't be undone",
            "1 inbox item cancelled",
            "The file notes/one.md will be reverted",
            "It started R-8 \"A part\": --with R-8 also undoes that",
        ];
        assert_eq!(outlook(&preview), expected);
        assert_eq!(outlook(&json!({})), ["No records to revert."]);
    }

    #[test]
    fn what_was_undone_says_how_to_have_it_again() {
        let undone = json!({ "entry": 18, "back": 1, "kept": 2, "cancelled": 0, "files": 1 });
        let expected = "Undone by entry 18: 1 record reverted, 2 kept, 1 file being reverted. \
                    To redo it: `hq undo 18`";
        assert_eq!(done(&undone), expected);
    }
}
