//! `hq history`: what became of one record, field by field.

use clap::Args;
use serde_json::Value;

use kernel::text::ellipsis;
use kernel::time::from_ms;

use super::agents::{items, word};
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{moment, part, query, quoted};
use super::{Common, FAILED};

/// How much of a value is shown: `--json` has all of it.
const WIDTH: usize = 200;

/// Flags of `hq history`.
#[derive(Args)]
pub struct History {
    /// MC-3, R-7 or @ada; otherwise a table, such as comments, and the id. Settings have only one record
    #[arg(value_name = "RECORD")]
    of: String,
    /// The id, if a table is given
    id: Option<String>,
    /// Maximum number of versions, up to 100
    #[arg(long, default_value_t = 25)]
    limit: u32,
    /// Continue before this cursor, as the previous list shows it
    #[arg(long, value_name = "CURSOR")]
    before: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Tells every version of a record, newest first.
pub async fn run(common: &Common, door: &Door, flags: History) -> Result<u8, CommandError> {
    let (table, id) = meant(&flags.of, flags.id.as_deref());
    let limit = flags.limit.to_string();
    let params = query(&[("before", flags.before.as_deref()), ("limit", Some(limit.as_str()))]);
    let path = format!("/api/v1/history/{}/{}{params}", part(table), part(id));
    let answer = door.call(Ask::get(path).within(flags.place.workspace.as_ref())).await;
    let page = answer.map_err(|error| match error {
        why if why.code() == FAILED && id == ONLY_ONE => CommandError::Refused(format!(
            "{why}; most tables have many records: `hq history {table} ID`"
        )),
        other => other,
    })?;
    let mut lines = or_none(items(&page).iter().flat_map(version).collect(), "No history.");
    lines.extend(page["next"].as_str().map(|next| format!("More: --before {next}")));
    print(common, &page, &lines)
}

/// What stands for the id of a record of which there is one.
const ONLY_ONE: &str = "-";

/// The table and the id that somebody means.
pub fn meant<'t>(of: &'t str, id: Option<&'t str>) -> (&'t str, &'t str) {
    if let Some(id) = id {
        return (of, id);
    }
    if let Some(slug) = of.strip_prefix('@') {
        return ("agents", slug);
    }
    match of.rsplit_once('-') {
        Some((letters, number)) if is_name(letters, number) => {
            let table = if letters.eq_ignore_ascii_case("r") { "runs" } else { "tasks" };
            (table, of)
        }
        _ => (of, ONLY_ONE),
    }
}

fn is_name(letters: &str, number: &str) -> bool {
    let is_all = |text: &str, is: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|b| is(&b));
    is_all(letters, u8::is_ascii_alphanumeric) && is_all(number, u8::is_ascii_digit)
}

/// "2026-11-20T09:00:00Z  Mira changed it by a command  (entry 17)", and what differs.
fn version(one: &Value) -> Vec<String> {
    let is_new = word(one, "op") == "insert";
    let did = match word(one, "op") {
        "insert" => "created it",
        "delete" => "removed it",
        _ => "changed it",
    };
    let who = [word(&one["actor"], "name"), did, word(one, "through")];
    let who = who.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let entry = format!("entry {}", one["seq"]);
    let besides = match one["undo_of"].as_u64() {
        Some(undone) => format!("{entry}, undo of entry {undone}"),
        None => entry,
    };
    let mut lines = vec![format!("{}  {who}  ({besides})", moment(one, "at"))];
    lines.extend(items(&one["fields"]).iter().map(|field| match is_new {
        true => format!("  {}: {}", word(field, "label"), shown(field, "after")),
        false => format!("  {}", difference(field)),
    }));
    lines.extend(match word(one, "missing") {
        "gone" => Some("  This version is no longer stored.".to_owned()),
        "untold" => Some("  The contents of such records aren't shown.".to_owned()),
        _ => None,
    });
    lines
}

/// A field that differs: "Title: "Compare" → "Compare prices"".
pub fn difference(field: &Value) -> String {
    let (label, before) = (word(field, "label"), shown(field, "before"));
    format!("{label}: {before} → {}", shown(field, "after"))
}

/// What a field was, or is: moments are stored as milliseconds.
fn shown(field: &Value, side: &str) -> String {
    let is_moment = word(field, "field").ends_with("_at");
    match (&field[side], field[side].as_i64().filter(|_| is_moment)) {
        (_, Some(ms)) => format!("{:.0}", from_ms(ms)),
        (Value::Null, None) => "nothing".to_owned(),
        (Value::String(text), None) => quoted(&ellipsis(text, WIDTH)),
        (other, None) => ellipsis(&other.to_string(), WIDTH),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{difference, meant, version};

    #[test]
    fn what_is_meant_is_a_name_or_a_table_with_an_id() {
        assert_eq!(meant("MC-3", None), ("tasks", "MC-3"));
        assert_eq!(meant("r-7", None), ("runs", "r-7"));
        assert_eq!(meant("@ada", None), ("agents", "ada"));
        assert_eq!(meant("settings", None), ("settings", "-"));
        assert_eq!(meant("comments", Some("0190-1")), ("comments", "0190-1"));
        assert_eq!(meant("0190aaaa-0000-7000-8000-000000001234", None).1, "-");
    }

    #[test]
    fn a_version_tells_who_and_each_field() {
        let mut one = json!({
            "seq": 17, "at": "2026-11-20T09:00:00.5Z", "actor": { "name": "Mira" },
            "through": "by a command", "undo_of": null, "op": "update", "missing": null,
            "fields": [{ "label": "Title", "before": null, "after": "Say \"hi\"\nnow" }],
        });
        let lines = version(&one);
        assert_eq!(lines[0], "2026-11-20T09:00:00Z  Mira changed it by a command  (entry 17)");
        assert_eq!(lines[1..], ["  Title: nothing → \"Say \\\"hi\\\" now\""]);
        let due = json!({ "field": "due_at", "label": "Due", "before": 1_000, "after": null });
        assert_eq!(difference(&due), "Due: 1970-01-01T00:00:01Z → nothing");
        one["op"] = json!("insert");
        one["undo_of"] = json!(15);
        let lines = version(&one);
        assert!(lines[0].ends_with("(entry 17, undo of entry 15)"), "{}", lines[0]);
        assert_eq!(lines[1..], ["  Title: \"Say \\\"hi\\\" now\""]);
    }
}
