//! `hq gateway …`: the machines that agents work on.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use web::format;

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::rows::{At, One};
use super::show::{listed, moment, part, quoted};

/// `hq gateway …`
#[derive(Subcommand)]
pub enum Command {
    /// List gateways with their status
    List(At),
    /// Show a gateway, by id, slug or name
    Show(One),
    /// Create the command with which a machine joins; it is shown once
    Add(New),
    /// Change a gateway's name, labels, address or grant; its slug stays
    Rename(Change),
    /// Pause a gateway: it finishes its work and takes nothing new
    Pause(One),
    /// Resume a gateway
    Resume(One),
    /// Choose one of the machines that share a gateway's key; the others lose access
    Keep(Keep),
    /// Remove a gateway that no agent works on; its machine loses access
    Remove(One),
}

/// A machine that is to join.
#[derive(Args)]
pub struct New {
    /// The name
    label: String,
    /// Labels, separated by commas: gpu,region=eu
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    /// Minutes until the command expires, 5 to 60
    #[arg(long)]
    minutes: Option<i64>,
    #[command(flatten)]
    place: Place,
}

/// What is to change.
#[derive(Args)]
pub struct Change {
    /// Its id, slug or name
    which: String,
    /// The name
    label: Option<String>,
    /// All labels, separated by commas; empty for none
    #[arg(long)]
    labels: Option<String>,
    /// The address for people, instead of the reported one; empty for none
    #[arg(long)]
    address: Option<String>,
    /// What each run there may spend while it is disconnected, in micro-dollars
    #[arg(long)]
    grant_micros: Option<i64>,
    /// For how many hours runs may continue while disconnected
    #[arg(long)]
    cut_hours: Option<u32>,
    #[command(flatten)]
    place: Place,
}

/// Which machine goes on.
#[derive(Args)]
pub struct Keep {
    /// The id, slug or name of the gateway
    which: String,
    /// The id of the copy of its folder, as `hq gateway show` lists it
    copy: String,
    #[command(flatten)]
    place: Place,
}

fn at(which: &str) -> String {
    format!("/api/v1/gateways/{}", part(which))
}

/// Runs a command.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(here) => {
            let ask = Ask::get("/api/v1/gateways").within(here.place.workspace.as_ref());
            let all = door.call(ask).await?;
            print(common, &all, &listed(&all, row, "No gateways."))
        }
        Command::Show(one) => {
            let shown =
                door.call(Ask::get(at(&one.which)).within(one.place.workspace.as_ref())).await?;
            print(common, &shown, &describe(&shown))
        }
        Command::Add(new) => {
            let body = json!({ "label": new.label, "labels": new.labels, "minutes": new.minutes });
            let ask = Ask::post("/api/v1/gateways/tokens", &body);
            let made = door.call(ask.within(new.place.workspace.as_ref())).await?;
            print(common, &made, &joins(&made))
        }
        Command::Rename(change) => {
            let mut body = Map::new();
            body.extend(change.label.map(|label| ("label".to_owned(), json!(label))));
            body.extend(change.address.map(|address| ("address".to_owned(), json!(address))));
            let (grant, hours) = (change.grant_micros, change.cut_hours);
            body.extend(grant.map(|micros| ("grant_micros".to_owned(), json!(micros))));
            body.extend(hours.map(|hours| ("cut_hours".to_owned(), json!(hours))));
            body.extend(change.labels.map(|labels| {
                let all: Vec<&str> =
                    labels.split(',').filter(|one| !one.trim().is_empty()).collect();
                ("labels".to_owned(), json!(all))
            }));
            let ask = Ask::patch(at(&change.which), &Value::Object(body));
            let changed = door.call(ask.within(change.place.workspace.as_ref())).await?;
            print(common, &changed, &[row(&changed).join("  ")])
        }
        Command::Pause(one) => act(common, door, &one, "pause").await,
        Command::Resume(one) => act(common, door, &one, "resume").await,
        Command::Keep(Keep { which, copy, place }) => {
            let ask = Ask::post(format!("{}/keep", at(&which)), &json!({ "copy": copy }));
            let now = door.call(ask.within(place.workspace.as_ref())).await?;
            print(common, &now, &[row(&now).join("  ")])
        }
        Command::Remove(one) => {
            let ask = Ask::delete(at(&one.which)).within(one.place.workspace.as_ref());
            let gone = door.call(ask).await?;
            print(common, &gone, &[format!("Removed {}.", quoted(&one.which))])
        }
    }
}

async fn act(common: &Common, door: &Door, one: &One, verb: &str) -> Result<u8, CommandError> {
    let ask = Ask::post(format!("{}/{verb}", at(&one.which)), &json!({}));
    let now = door.call(ask.within(one.place.workspace.as_ref())).await?;
    print(common, &now, &[row(&now).join("  ")])
}

fn row(one: &Value) -> Vec<String> {
    vec![
        word(one, "slug").to_owned(),
        word(one, "status").to_owned(),
        word(one, "health").to_owned(),
        format!("{} agents", one["agents"].as_array().map_or(0, Vec::len)),
        moment(one, "last_seen_at"),
        quoted(word(one, "label")),
    ]
}

fn describe(one: &Value) -> Vec<String> {
    let mut lines = vec![row(one).join("  ")];
    let words = |key: &str| {
        let all = one[key].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let address = match word(one, "address") {
        "" => words("addresses"),
        own => own.to_owned(),
    };
    let count = one["runs_30_days"].as_u64().unwrap_or_default();
    let billed = one["billed_30_days_micros"].as_i64().unwrap_or_default();
    let runs = format::count(count, "run", "runs");
    let troubles = one["troubles"].as_array().into_iter().flatten();
    let troubles: Vec<&str> = troubles.map(|trouble| word(trouble, "told")).collect();
    let waits = match one["link"]["unsent"].as_u64() {
        None | Some(0) => String::new(),
        Some(unsent) => format::count(unsent, "change", "changes"),
    };
    let broke = match word(&one["link"], "broke_why") {
        "" => String::new(),
        why => format!("{}: {why}", moment(&one["link"], "broke_at")),
    };
    let did = format!("{runs}, {} billed", format::money(billed));
    for (name, text) in [
        ("agents", words("agents")),
        ("last 30 days", did),
        ("labels", words("labels")),
        ("address", address),
        ("version", word(one, "version").to_owned()),
        ("link", word(&one["link"], "told").to_owned()),
        ("trouble", troubles.join(" ")),
        ("waiting to be sent", waits),
        ("last connection lost", broke),
        ("refused", word(one, "turned_away").to_owned()),
        ("system", word(one, "system").to_owned()),
        ("fingerprint", word(one, "fingerprint").to_owned()),
    ] {
        if !text.is_empty() {
            lines.push(format!("{name}: {text}"));
        }
    }
    for copy in one["copies"].as_array().into_iter().flatten() {
        let (id, name) = (word(copy, "id"), word(copy, "name"));
        let (address, seen) = (word(copy, "address"), moment(copy, "seen_at"));
        lines.push(format!("copy: {id}  {name}  {address}  last heard from {seen}"));
    }
    lines
}

/// What is run on the other machine.
fn joins(made: &Value) -> Vec<String> {
    let until = moment(&made["token"], "expires_at");
    match made["command"].as_str() {
        Some(line) => {
            vec![format!("Run this once on the other machine, until {until}:"), line.to_owned()]
        }
        None => vec![
            format!("Valid until {until}. On the other machine, with this version of hq:"),
            format!("1. Save this token in the file join.token: {}", word(made, "secret")),
            format!("2. Run: {}", word(made, "by_hand")),
        ],
    }
}
