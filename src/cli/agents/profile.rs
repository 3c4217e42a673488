//! `hq agent show` and `hq agent edit`: what an agent is, and how that is changed.

use clap::Args;
use serde_json::{Value, json};

use crate::Common;
use crate::commands::print;
use crate::door::{Ask, Door};
use crate::operate::Place;
use crate::reach::CommandError;
use crate::show::{moment, part, table};
use web::format;

use super::{Named, manager, word};

/// Flags of `hq agent edit`; what is left out stays.
#[derive(Args)]
pub struct Edit {
    /// Its slug or id
    agent: String,
    /// The name
    #[arg(long)]
    name: Option<String>,
    /// One emoji
    #[arg(long)]
    emoji: Option<String>,
    /// The description
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
    /// The role, in a few words
    #[arg(long)]
    role: Option<String>,
    /// The domains that it owns, separated by commas
    #[arg(long, value_name = "WORDS", value_delimiter = ',', num_args = 1)]
    domains: Option<Vec<String>>,
    /// The capabilities, separated by commas
    #[arg(long, value_name = "WORDS", value_delimiter = ',', num_args = 1)]
    capabilities: Option<Vec<String>>,
    /// The id of a connection, instead of the workspace's
    #[arg(long, requires = "model")]
    connection: Option<String>,
    /// The model, or workspace for the workspace's
    #[arg(long)]
    model: Option<String>,
    /// The thinking level: none, low, medium, high, max, or workspace for the workspace's
    #[arg(long, value_name = "LEVEL")]
    thinking: Option<String>,
    /// Whether it runs programs
    #[arg(long, value_name = "true|false")]
    exec: Option<bool>,
    /// Whether those programs use the network
    #[arg(long, value_name = "true|false")]
    network: Option<bool>,
    /// The monthly budget in dollars, or none
    #[arg(long, value_name = "DOLLARS")]
    budget: Option<String>,
    /// The handle of its manager: an agent, a person, or none
    #[arg(long, value_name = "WHO")]
    reports_to: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Edit {
    /// What is to change.
    fn body(&self) -> Result<Value, CommandError> {
        let mut body = json!({});
        let words = [
            ("name", &self.name),
            ("emoji", &self.emoji),
            ("description", &self.about),
            ("role", &self.role),
            ("reports_to", &self.reports_to),
            ("connection", &self.connection),
        ];
        for (key, value) in words {
            if let Some(value) = value {
                body[key] = json!(value);
            }
        }
        for (key, value) in [("model", &self.model), ("thinking", &self.thinking)] {
            match value.as_deref() {
                Some("workspace") => body[key] = Value::Null,
                Some(value) => body[key] = json!(value),
                None => {}
            }
        }
        for (key, value) in [("domains", &self.domains), ("capabilities", &self.capabilities)] {
            if let Some(list) = value {
                body[key] = json!(list);
            }
        }
        for (key, value) in [("exec", self.exec), ("network", self.network)] {
            if let Some(value) = value {
                body[key] = json!(value);
            }
        }
        match self.budget.as_deref() {
            None => {}
            Some("none") => body["budget_micros"] = Value::Null,
            Some(text) => {
                let micros = format::parse_dollars(text).ok_or_else(|| {
                    CommandError::Failed(format!("\"{text}\" isn't an amount in dollars"))
                })?;
                body["budget_micros"] = json!(micros);
            }
        }
        if body == json!({}) {
            return Err(CommandError::Failed(
                "say what to change, as in --about \"Finds prices\"".to_owned(),
            ));
        }
        Ok(body)
    }
}

/// `hq agent edit`
pub(super) async fn edit(common: &Common, door: &Door, flags: &Edit) -> Result<u8, CommandError> {
    let path = format!("/api/v1/agents/{}", part(&flags.agent));
    let ask = Ask::patch(path, &flags.body()?).within(flags.place.workspace.as_ref());
    let agent = door.call(ask).await?;
    print(common, &agent, &describe(&agent))
}

/// `hq agent show`
pub(super) async fn show(common: &Common, door: &Door, named: &Named) -> Result<u8, CommandError> {
    let path = format!("/api/v1/agents/{}", part(&named.agent));
    let agent = door.call(Ask::get(path).within(named.place.workspace.as_ref())).await?;
    print(common, &agent, &describe(&agent))
}

/// All that a person wants to know of it, a fact a line; what is not set has none.
fn describe(agent: &Value) -> Vec<String> {
    let list = |key: &str| {
        let all = agent[key].as_array().map_or(&[][..], Vec::as_slice);
        all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let template = match word(agent, "template_commit") {
        "" => word(agent, "template").to_owned(),
        commit => format!("{} at {}", word(agent, "template"), &commit[..commit.len().min(8)]),
    };
    let programs = match (agent["exec"] == true, agent["network"] == true) {
        (false, _) => "not allowed",
        (true, false) => "sandboxed, without network",
        (true, true) => "sandboxed, with network",
    };
    let or = |key: &str, other: &str| match word(agent, key) {
        "" => other.to_owned(),
        text => text.to_owned(),
    };
    let budget = match agent["budget_micros"].as_i64() {
        Some(micros) => format!("{} a month", format::money(micros)),
        None => "no limit".to_owned(),
    };
    let facts = [
        ("Description", word(agent, "description").to_owned()),
        ("Role", word(agent, "role").to_owned()),
        ("Team", word(agent, "team").to_owned()),
        ("Domains", list("domains")),
        ("Capabilities", list("capabilities")),
        ("Now", word(agent, "activity_label").to_owned()),
        ("Why", word(agent, "status_reason").to_owned()),
        ("Model", or("model", "the workspace's")),
        ("Thinking", or("thinking", "the workspace's")),
        ("Programs", programs.to_owned()),
        ("Budget", budget),
        ("Manager", manager(agent).trim_start_matches("reports to ").to_owned()),
        ("Template", template),
        ("Created", moment(agent, "created_at")),
        ("Archived", moment(agent, "archived_at")),
    ];
    let head =
        format!("{} {} (@{})", word(agent, "emoji"), word(agent, "name"), word(agent, "slug"));
    let rows = facts.into_iter().filter(|(_, value)| !value.is_empty() && value != "-");
    let rows: Vec<Vec<String>> =
        rows.map(|(label, value)| vec![format!("  {label}"), value]).collect();
    [head].into_iter().chain(table(&rows)).collect()
}
