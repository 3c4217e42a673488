//! `hq notifications …`: what HQ has to tell you, and how it does.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use kernel::NoticeGroup;
use web::format;

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{listed, moment, one_of, part, pick, query, short, table};

/// The ways in which a notification reaches somebody, as the API calls them.
const WAYS: [&str; 5] = ["app", "push", "mail", "digest", "channel"];

/// `hq notifications …`
#[derive(Subcommand)]
pub enum Command {
    /// List your notifications, newest first
    List(List),
    /// Mark notifications as read, or all with --all
    Read(Read),
    /// Show your notification settings, or change them for a group
    Settings(Settings),
}

/// Flags of `hq notifications list`.
#[derive(Args)]
pub struct List {
    /// Only unread ones
    #[arg(long)]
    unread: bool,
    /// Only in this group
    #[arg(long, value_parser = one_of(NoticeGroup::ALL.iter().map(|one| one.word())))]
    group: Option<String>,
    /// Maximum number, up to 100
    #[arg(long, default_value_t = 25)]
    limit: u32,
    /// Continue after the previous list
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq notifications read`.
#[derive(Args)]
pub struct Read {
    /// The ids, or the ends of them, as the list shows them
    #[arg(required_unless_present = "all")]
    ids: Vec<String>,
    /// All notifications
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// With --all: only in this group
    #[arg(long, requires = "all", value_parser = one_of(NoticeGroup::ALL.iter().map(|one| one.word())))]
    group: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq notifications settings`.
#[derive(Args)]
pub struct Settings {
    /// The group to change; without it, all settings are shown
    #[arg(long, value_parser = one_of(NoticeGroup::ALL.iter().map(|one| one.word())))]
    group: Option<String>,
    /// In the list of notifications
    #[arg(long, requires = "group", value_name = "on|off", value_parser = switch)]
    app: Option<bool>,
    /// At once as push on your devices
    #[arg(long, requires = "group", value_name = "on|off", value_parser = switch)]
    push: Option<bool>,
    /// At once as an email
    #[arg(long, requires = "group", value_name = "on|off", value_parser = switch)]
    mail: Option<bool>,
    /// In the daily email
    #[arg(long, requires = "group", value_name = "on|off", value_parser = switch)]
    digest: Option<bool>,
    /// At once as a message of an agent's bot in your direct chat
    #[arg(long, requires = "group", value_name = "on|off", value_parser = switch)]
    channel: Option<bool>,
    /// The hour of the daily email in your time zone, 0 to 23
    #[arg(long, value_name = "HOUR", value_parser = clap::value_parser!(u8).range(..24))]
    hour: Option<u8>,
    #[command(flatten)]
    place: Place,
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(flags) => list(common, door, &flags).await,
        Command::Read(flags) => read(common, door, &flags).await,
        Command::Settings(flags) => settings(common, door, &flags).await,
    }
}

async fn list(common: &Common, door: &Door, flags: &List) -> Result<u8, CommandError> {
    let limit = flags.limit.to_string();
    let params = query(&[
        ("unread", flags.unread.then_some("true")),
        ("group", flags.group.as_deref()),
        ("limit", Some(limit.as_str())),
        ("after", flags.after.as_deref()),
    ]);
    let ask = Ask::get(format!("/api/v1/notifications{params}"));
    let all = door.call(ask.within(flags.place.workspace.as_ref())).await?;
    let none = if flags.unread { "No unread notifications." } else { "No notifications." };
    print(common, &all, &listed(&all, row, none))
}

/// Short id, whether it is new, when, and what.
fn row(notice: &Value) -> Vec<String> {
    let state = match (notice["read_at"].is_string(), notice["dismissed_at"].is_string()) {
        (_, true) => "away",
        (true, false) => "read",
        (false, false) => "new",
    };
    let count = notice["count"].as_u64().unwrap_or(1);
    let title = word(notice, "title").to_owned();
    vec![
        short(word(notice, "id")).to_owned(),
        state.to_owned(),
        moment(notice, "at"),
        word(notice, "group").to_owned(),
        if 1 < count { format!("{title} ({count} times)") } else { title },
    ]
}

async fn read(common: &Common, door: &Door, flags: &Read) -> Result<u8, CommandError> {
    let workspace = flags.place.workspace.as_ref();
    if flags.all {
        let body = match &flags.group {
            Some(group) => json!({ "group": group }),
            None => json!({}),
        };
        let ask = Ask::post("/api/v1/notifications/read-all", &body).within(workspace);
        let marked = door.call(ask).await?;
        let count = marked["count"].as_u64().unwrap_or_default();
        let line = match count {
            0 => "No unread notifications.".to_owned(),
            count => {
                format!("{} marked as read.", format::count(count, "notification", "notifications"))
            }
        };
        return print(common, &marked, &[line]);
    }
    let known = Ask::get("/api/v1/notifications?limit=100").within(workspace);
    let known = door.call(known).await?;
    let noun = ("notification among the newest hundred", "hq notifications list");
    let mut ids = Vec::new();
    for meant in &flags.ids {
        // An id that is whole may be older than that.
        ids.push(match meant.len() == 36 {
            true => meant.clone(),
            false => word(pick(&known, meant, noun, |_| Vec::new())?, "id").to_owned(),
        });
    }
    let (mut marked, body) = (Vec::new(), json!({ "read": true }));
    for id in ids {
        let ask = Ask::patch(format!("/api/v1/notifications/{}", part(&id)), &body);
        marked.push(door.call(ask.within(workspace)).await?);
    }
    let rows: Vec<Vec<String>> = marked.iter().map(row).collect();
    print(common, &json!({ "items": marked }), &table(&rows))
}

async fn settings(common: &Common, door: &Door, flags: &Settings) -> Result<u8, CommandError> {
    let workspace = flags.place.workspace.as_ref();
    let path = "/api/v1/notification-choices";
    let mut chosen = door.call(Ask::get(path).within(workspace)).await?;
    let given = [flags.app, flags.push, flags.mail, flags.digest, flags.channel];
    let wanted = WAYS.into_iter().zip(given);
    let wanted: Vec<(&str, bool)> = wanted.filter_map(|(way, on)| on.map(|on| (way, on))).collect();
    if !wanted.is_empty() || flags.hour.is_some() {
        if let Some(group) = &flags.group {
            for (way, on) in wanted {
                chosen["groups"][group.as_str()][way] = Value::Bool(on);
            }
        }
        if let Some(hour) = flags.hour {
            chosen["digest_hour"] = hour.into();
        }
        let body = json!({
            "digest_hour": chosen["digest_hour"],
            "groups": pairs(&chosen["groups"], "group"),
            "kinds": pairs(&chosen["kinds"], "kind"),
        });
        chosen = door.call(Ask::put(path, &body).within(workspace)).await?;
    }
    print(common, &chosen, &shown(&chosen, flags.group.as_deref()))
}

/// A map by word as the list that the API takes.
fn pairs(map: &Value, key: &str) -> Vec<Value> {
    let all = map.as_object().into_iter().flatten();
    all.map(|(word, ways)| json!({ key: word, "ways": ways })).collect()
}

/// The groups, with what differs for single kinds.
fn shown(chosen: &Value, group: Option<&str>) -> Vec<String> {
    let mut rows = Vec::new();
    for key in ["groups", "kinds"] {
        for (name, ways) in chosen[key].as_object().into_iter().flatten() {
            if group.is_some_and(|group| key == "kinds" || group != name) {
                continue;
            }
            let mut row = vec![name.clone()];
            row.extend(WAYS.map(|way| {
                let word = if ways[way] == true { way } else { "-" };
                word.to_owned()
            }));
            rows.push(row);
        }
    }
    let mut lines = table(&rows);
    let hour = chosen["digest_hour"].as_u64().unwrap_or_default();
    lines.push(format!("The daily email comes at {hour}:00."));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{pairs, shown};

    #[test]
    fn choices_are_shown_and_sent_back() {
        let ways = |app: bool| json!({ "app": app, "push": false, "mail": true, "digest": false });
        let chosen = json!({
            "digest_hour": 8, "groups": { "tasks": ways(true), "budget": ways(false) },
            "kinds": { "mention": ways(true) },
        });
        let lines = shown(&chosen, None);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines.contains(&"tasks    app  -  mail  -  -".to_owned()), "{lines:?}");
        assert_eq!(shown(&chosen, Some("budget")).len(), 2);
        let sent = pairs(&chosen["kinds"], "kind");
        assert_eq!(sent, [json!({ "kind": "mention", "ways": ways(true) })]);
    }
}
