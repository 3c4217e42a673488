//! `hq inbox …`: what waits for agents, and what became of it.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::Common;
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;

/// `hq inbox …`
#[derive(Subcommand)]
pub enum Command {
    /// List items, newest first: the open ones, or those in --state
    List {
        /// Only this agent's
        #[arg(long, value_name = "AGENT")]
        agent: Option<String>,
        /// Only in this state
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        #[command(flatten)]
        place: Place,
    },
    /// Start an item now, whatever it waits for
    Retry(Which),
    /// Move an item before all others of its agent
    Front(Which),
    /// Cancel a waiting item
    Cancel(Which),
    /// Dismiss a waiting or failed item
    Drop(Which),
}

/// Where an item stands.
#[derive(Clone, Copy, ValueEnum)]
pub enum State {
    /// Waiting
    Pending,
    /// In work by a run
    Leased,
    /// Done
    Done,
    /// Failed
    #[value(alias = "dead")]
    Failed,
    /// Cancelled
    Cancelled,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Which item.
#[derive(Args)]
pub struct Which {
    /// Its id, as the list shows it
    item: String,
    #[command(flatten)]
    place: Place,
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    let (which, verb) = match command {
        Command::List { agent, state, place } => {
            let mut path = match state {
                Some(state) => format!("/api/v1/inbox?state={}", state.word()),
                None => "/api/v1/inbox?over=false".to_owned(),
            };
            if let Some(agent) = &agent {
                path.push_str("&agent=");
                path.push_str(&web::format::query_value(agent));
            }
            let all = door.call(Ask::get(path).within(place.workspace.as_ref())).await?;
            let lines = all["items"].as_array().into_iter().flatten().map(line).collect();
            return print(common, &all, &or_none(lines, "No items."));
        }
        Command::Retry(which) => (which, "retry"),
        Command::Front(which) => (which, "front"),
        Command::Cancel(which) => (which, "cancel"),
        Command::Drop(which) => (which, "drop"),
    };
    let item = web::format::query_value(&which.item);
    let body = json!({});
    let ask = Ask::post(format!("/api/v1/inbox/{item}/{verb}"), &body);
    let changed = door.call(ask.within(which.place.workspace.as_ref())).await?;
    print(common, &changed, &[line(&changed)])
}

/// "019a… · pending · task_assignment · Task assigned: Compare · held: quiet_hours".
fn line(item: &Value) -> String {
    let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let summary = item["reasons"][0]["summary"].as_str().unwrap_or_default().to_owned();
    let mut words = vec![text("id"), text("state"), text("kind"), summary];
    words.extend(item["held_reason"].as_str().map(|why| format!("held: {why}")));
    words.extend(item["last_error"].as_str().map(str::to_owned));
    words.retain(|word| !word.is_empty());
    words.join(" · ")
}
