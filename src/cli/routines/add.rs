//! A routine that is made of flags: what most need, so that nobody has to write JSON for a daily look.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};

use crate::operate::Place;
use crate::reach::CommandError;
use crate::written::Fields;
use kernel::text::ellipsis;
use kernel::{RoutineSession, Thinking};

/// The longest name that is made of an instruction, in characters.
const MAX_NAME: usize = 60;

/// A new routine: a file with its fields, or flags.
#[derive(Args)]
#[command(group = ArgGroup::new("when").args(["cron", "every", "at"]))]
#[command(group = ArgGroup::new("what").args(["file", "message"]).required(true))]
pub struct Add {
    /// A file with its fields as JSON; - reads standard input
    #[arg(value_name = "FILE", conflicts_with_all = ["when", "agent", "name", "zone", "model"])]
    #[arg(conflicts_with_all = ["session", "thinking", "jitter", "keep", "deliver_to"])]
    file: Option<PathBuf>,
    /// The instructions for the agent
    #[arg(long, value_name = "TEXT", visible_alias = "system-event", requires = "when")]
    message: Option<String>,
    /// The agent
    #[arg(long, value_name = "AGENT", requires = "message")]
    agent: Option<String>,
    /// The name [default: the first line of the instructions]
    #[arg(long, value_name = "NAME", requires = "message")]
    name: Option<String>,
    /// A cron line, such as "0 9 * * 1-5"
    #[arg(long, value_name = "LINE", requires = "message")]
    cron: Option<String>,
    /// The interval: 30m, 2h or 1d
    #[arg(long, value_name = "LENGTH", value_parser = every, requires = "message")]
    every: Option<Value>,
    /// Once, at a time such as 2026-12-24T18:00; it is put away when done
    #[arg(long, value_name = "MOMENT", requires = "message")]
    at: Option<String>,
    /// The time zone [default: the workspace's]
    #[arg(long, value_name = "ZONE", visible_alias = "tz", requires = "message")]
    zone: Option<String>,
    /// The longest random delay: 90s, 10m
    #[arg(long, value_name = "LENGTH", value_parser = seconds, visible_alias = "stagger")]
    #[arg(requires = "message")]
    jitter: Option<u32>,
    /// isolated: a new conversation each time; main: the one for the agent's work without a task
    #[arg(long, value_name = "WHICH", requires = "message")]
    session: Option<RoutineSession>,
    /// Who gets the result: a paired person or an allowed room on one of the agent's channels
    #[arg(long, value_name = "PLACE", requires = "message")]
    deliver_to: Option<String>,
    /// A model instead of the agent's
    #[arg(long, value_name = "MODEL", requires = "message")]
    model: Option<String>,
    /// The thinking level instead of the agent's
    #[arg(long, value_name = "LEVEL", requires = "message")]
    thinking: Option<Thinking>,
    /// With --at: keep it in the list when done
    #[arg(long, visible_alias = "keep-after-run", requires = "at")]
    #[arg(conflicts_with_all = ["cron", "every"])]
    keep: bool,
    #[command(flatten)]
    pub place: Place,
}

impl Add {
    /// Its fields, as the API takes them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn fields(&self) -> Result<Map<String, Value>, CommandError> {
        if let Some(file) = &self.file {
            return Fields { file: file.clone() }.read();
        }
        let message = self.message.as_deref().unwrap_or_default();
        let first = message.trim().lines().next().unwrap_or_default();
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| {
            if !value.is_null() {
                fields.insert(name.to_owned(), value);
            }
        };
        set("agent", json!(self.agent));
        set("name", json!(self.name.clone().unwrap_or_else(|| ellipsis(first, MAX_NAME))));
        set("instruction", json!(message));
        set("schedule", self.schedule());
        set("jitter_secs", json!(self.jitter));
        set("session", json!(self.session));
        set("deliver_to", json!(self.deliver_to));
        set("model", json!(self.model));
        set("thinking", json!(self.thinking));
        set("delete_when_done", json!(self.at.is_some() && !self.keep));
        Ok(fields)
    }

    fn schedule(&self) -> Value {
        let mut schedule = match (&self.cron, &self.every, &self.at) {
            (Some(line), ..) => json!({ "cadence_type": "cron", "cron": line }),
            (_, Some(every), _) => every.clone(),
            (.., at) => json!({ "cadence_type": "once", "at": at }),
        };
        if let Some(zone) = &self.zone {
            schedule["timezone"] = json!(zone);
        }
        schedule
    }
}

/// A number with its unit.
fn amount(text: &str) -> Option<(u32, &str)> {
    let unit = text.trim_start_matches(|sign: char| sign.is_ascii_digit());
    let number = text.strip_suffix(unit)?.parse().ok().filter(|number| 0 < *number)?;
    Some((number, unit))
}

/// Such as `30m`, as the schedule that fires so often.
fn every(text: &str) -> Result<Value, String> {
    let (n, cadence) = match amount(text) {
        Some((n, "m")) => (n, "every_n_minutes"),
        Some((n, "h")) => (n, "every_n_hours"),
        Some((n, "d")) => (n, "every_n_days"),
        _ => return Err("use a length such as 30m, 2h or 1d".to_owned()),
    };
    Ok(json!({ "cadence_type": cadence, "interval_n": n }))
}

/// Such as `10m`, in seconds.
fn seconds(text: &str) -> Result<u32, String> {
    let factor = |unit: &str| match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        _ => None,
    };
    let found = amount(text).and_then(|(n, unit)| n.checked_mul(factor(unit)?));
    found.ok_or_else(|| "use a length such as 90s or 10m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{every, seconds};
    use serde_json::json;

    #[test]
    fn lengths_are_a_number_with_a_unit() {
        let of = |cadence, n| Ok(json!({ "cadence_type": cadence, "interval_n": n }));
        assert_eq!(every("30m"), of("every_n_minutes", 30));
        assert_eq!(every("2h"), of("every_n_hours", 2));
        assert_eq!(every("1d"), of("every_n_days", 1));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("90s"), Ok(90));
        for wrong in ["", "m", "30", "0m", "-3m", "1.5h", "3 h", "9999999999m"] {
            assert!(every(wrong).is_err() && seconds(wrong).is_err(), "{wrong}");
        }
        assert!(seconds("4294967295h").is_err(), "it does not wrap");
    }
}
