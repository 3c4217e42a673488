//! `hq activity`: what happened, and what happens.

use clap::Args;
use serde_json::Value;

use super::agents::{items, word};
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{moment, one_of, query};
use super::{Common, OK, is_said};

/// How many seconds the server waits for something to happen before it is asked again.
const WAIT: &str = "25";

/// Flags of `hq activity`.
#[derive(Args)]
pub struct Activity {
    /// Only by this actor: people, agents, system, me, a handle or a slug
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Only these kinds of events, separated by commas: task.created, or task.* for all of a noun
    #[arg(long, value_name = "KIND")]
    event: Option<String>,
    /// Only one area
    #[arg(long, value_parser = one_of(["work", "agents", "workspace"]))]
    area: Option<String>,
    /// Only changes to this record: MC-12, R-7, @ada, stream:Launch, routine:Name, or a table and an id
    #[arg(long)]
    record: Option<String>,
    /// Only by this run: R-7
    #[arg(long)]
    run: Option<String>,
    /// Only by this routine and the runs that it started: its name or id
    #[arg(long)]
    routine: Option<String>,
    /// Only for this reason: request, step, routine, undo, timer and so on
    #[arg(long, value_name = "REASON")]
    cause: Option<String>,
    /// Only from this day or time on (2026-11-20)
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Only up to the end of this day, or up to a time
    #[arg(long, value_name = "DAY", conflicts_with = "follow")]
    to: Option<String>,
    /// Maximum number of entries, up to 200
    #[arg(long, default_value_t = 30)]
    limit: u32,
    /// Continue before this cursor, as the previous list shows it
    #[arg(long, value_name = "CURSOR", conflicts_with = "follow")]
    before: Option<String>,
    /// Keep printing new entries, newest last. With --json, each entry is a line
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    place: Place,
}

impl Activity {
    /// The address, with what else is asked for.
    fn path(&self, more: &[(&str, Option<&str>)]) -> String {
        let limit = self.limit.to_string();
        let mut all = vec![
            ("by", self.by.as_deref()),
            ("event", self.event.as_deref()),
            ("area", self.area.as_deref()),
            ("record", self.record.as_deref()),
            ("run", self.run.as_deref()),
            ("routine", self.routine.as_deref()),
            ("cause", self.cause.as_deref()),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("limit", Some(limit.as_str())),
        ];
        all.extend(more);
        format!("/api/v1/activity{}", query(&all))
    }

    async fn ask(&self, door: &Door, more: &[(&str, Option<&str>)]) -> Result<Value, CommandError> {
        door.call(Ask::get(self.path(more)).within(self.place.workspace.as_ref())).await
    }
}

/// Tells what happened.
pub async fn run(common: &Common, door: &Door, flags: Activity) -> Result<u8, CommandError> {
    let mut page = flags.ask(door, &[("before", flags.before.as_deref())]).await?;
    if !flags.follow {
        let older = word(&page, "next");
        let none = if older.is_empty() { "No activity." } else { "No older activity." };
        let mut lines = or_none(items(&page).iter().map(line).collect(), none);
        lines.extend((!older.is_empty()).then(|| format!("More: --before {older}")));
        return print(common, &page, &lines);
    }
    // The newest first, as they came; whoever reads on reads downwards.
    let mut entries: Vec<Value> = items(&page).to_vec();
    entries.reverse();
    loop {
        for one in &entries {
            let line = if common.json { one.to_string() } else { line(one) };
            // `hq activity --follow | head` ends when nobody reads any more.
            if !is_said(&line) {
                return Ok(OK);
            }
        }
        let after = word(&page, "cursor").to_owned();
        page = flags.ask(door, &[("after", Some(after.as_str())), ("wait", Some(WAIT))]).await?;
        entries = items(&page).to_vec();
    }
}

/// "2026-11-20T09:00:00Z  Mira created MC-3 Compare prices  (through R-7; entry 17 can be undone)".
fn line(entry: &Value) -> String {
    let mut besides = Vec::new();
    let via = word(&entry["via"], "name");
    besides.extend((!via.is_empty()).then(|| format!("through {via}")));
    let seq = entry["seq"].as_u64().unwrap_or_default();
    let can = entry["undo"]["possible"] == true;
    besides.push(format!("entry {seq}{}", if can { ", can be undone" } else { "" }));
    let text = word(entry, "text").replace('\n', " ");
    format!("{}  {text}  ({})", moment(entry, "at"), besides.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::line;

    #[test]
    fn an_entry_stands_in_one_line() {
        let mut entry = json!({
            "seq": 17, "at": "2026-11-20T09:00:00.5Z", "text": "Ada finished R-7",
            "via": { "kind": "run", "name": "R-7" }, "undo": { "possible": false },
        });
        assert_eq!(line(&entry), "2026-11-20T09:00:00Z  Ada finished R-7  (through R-7; entry 17)");
        entry["undo"]["possible"] = json!(true);
        assert!(line(&entry).ends_with("entry 17, can be undone)"));
    }
}
