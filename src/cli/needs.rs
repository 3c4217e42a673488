//! `hq needs …`: what needs you, and what you put away of it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{listed, moment, part, pick};

/// `hq needs …`
#[derive(Subcommand)]
pub enum Command {
    /// List what needs you, most urgent first
    List {
        /// List what you have snoozed or dismissed
        #[arg(long)]
        away: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Snooze a row
    Snooze {
        #[command(flatten)]
        which: Which,
        /// hour, tomorrow, week, or a time such as 2026-12-24T09:00:00Z
        #[arg(long, default_value = "tomorrow")]
        until: String,
    },
    /// Dismiss a row that needs no decision, until there is something new
    Dismiss(Which),
    /// Restore a snoozed or dismissed row
    Restore(Which),
}

/// Which of them.
#[derive(Args)]
pub struct Which {
    /// Its id, or the end of it, as the list shows it
    need: String,
    #[command(flatten)]
    place: Place,
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List { away: false, place } => {
            let all = all(door, &place).await?;
            print(common, &all, &listed(&all, row, "Nothing needs you."))
        }
        Command::List { away: true, place } => {
            let away = away(&all(door, &place).await?);
            print(common, &away, &listed(&away, away_row, "Nothing is snoozed or dismissed."))
        }
        Command::Snooze { which, until } => {
            let known = all(door, &which.place).await?;
            let put = act(door, &which, (&known, "snooze"), &json!({ "until": until })).await?;
            let line = format!("Snoozed {} until {}.", word(&put, "title"), moment(&put, "until"));
            print(common, &put, &[line])
        }
        Command::Dismiss(which) => {
            let known = all(door, &which.place).await?;
            let put = act(door, &which, (&known, "dismiss"), &json!({})).await?;
            print(common, &put, &[format!("Dismissed {}.", word(&put, "title"))])
        }
        Command::Restore(which) => {
            let known = away(&all(door, &which.place).await?);
            let all = act(door, &which, (&known, "restore"), &json!({})).await?;
            print(common, &all, &listed(&all, row, "Nothing needs you."))
        }
    }
}

async fn all(door: &Door, place: &Place) -> Result<Value, CommandError> {
    door.call(Ask::get("/api/v1/needs").within(place.workspace.as_ref())).await
}

fn away(all: &Value) -> Value {
    json!({ "items": all["away"] })
}

async fn act(
    door: &Door,
    which: &Which,
    (known, deed): (&Value, &str),
    body: &Value,
) -> Result<Value, CommandError> {
    let noun = ("row", "hq needs list");
    let id = word(pick(known, &which.need, noun, |_| Vec::new())?, "id");
    let ask = Ask::post(format!("/api/v1/needs/{}/{deed}", part(id)), body);
    door.call(ask.within(which.place.workspace.as_ref())).await
}

/// Id, what is wanted, what it is about, and what else is told of it.
fn row(need: &Value) -> Vec<String> {
    let facts = need["facts"].as_array().into_iter().flatten().filter_map(Value::as_str);
    vec![
        word(need, "id").to_owned(),
        word(need, "kind").to_owned(),
        word(need, "title").to_owned(),
        facts.collect::<Vec<_>>().join(" · "),
    ]
}

fn away_row(away: &Value) -> Vec<String> {
    let until = match away["until"].is_string() {
        true => format!("back {}", moment(away, "until")),
        false => "dismissed".to_owned(),
    };
    vec![word(away, "id").to_owned(), until, word(away, "title").to_owned()]
}

#[cfg(test)]
mod tests {
    use super::{away_row, row};
    use serde_json::json;

    #[test]
    fn a_row_is_told_with_its_id_and_what_is_put_away_with_its_end() {
        let need = json!({
            "id": "run-12-1", "kind": "Question", "title": "Which logo?", "facts": ["Ada", "MC-3"],
        });
        assert_eq!(row(&need), ["run-12-1", "Question", "Which logo?", "Ada · MC-3"]);
        let away = json!({ "id": "run-12-1", "title": "Which logo?", "until": null });
        assert_eq!(away_row(&away), ["run-12-1", "dismissed", "Which logo?"]);
    }
}
