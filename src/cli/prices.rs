//! `hq prices …`: what models cost, and how their tokens are counted.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use web::format;

use super::Common;
use super::agents::word;
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::money::dollars;
use super::operate::Place;
use super::reach::CommandError;

/// `hq prices …`
#[derive(Subcommand)]
pub enum Command {
    /// List entered prices, models without one, and models with unusual token counts
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Set the price of a model; it applies from the next call
    Set(Set),
    /// Remove the entered prices of a model; the built-in price applies again
    Remove(Which),
    /// Reset the token counting of a model
    Reset(Which),
}

/// Which model.
#[derive(Args)]
pub struct Which {
    /// The model
    model: String,
    /// The connection, by its short name [default: all connections]
    #[arg(long, value_name = "CONNECTION", default_value = "any")]
    at: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq prices set`.
#[derive(Args)]
pub struct Set {
    #[command(flatten)]
    which: Which,
    /// Dollars for a million tokens sent, such as 3 or 2.50
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    input: Option<i64>,
    /// Dollars for a million tokens read from the provider's cache
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    cache_read: Option<i64>,
    /// Dollars for a million tokens written to it
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    cache_write: Option<i64>,
    /// Dollars for a million tokens received
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    output: Option<i64>,
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List { place } => {
            let ask = Ask::get("/api/v1/prices").within(place.workspace.as_ref());
            let all = door.call(ask).await?;
            let none = "No price entered. The catalogue's prices apply (`hq models list`).";
            print(common, &all, &or_none(describe(&all), none))
        }
        Command::Set(flags) => {
            let body = json!({
                "input_micros": flags.input,
                "cache_read_micros": flags.cache_read,
                "cache_write_micros": flags.cache_write,
                "output_micros": flags.output,
            });
            let set = Ask::put(path(&flags.which), &body);
            let set = door.call(set.within(flags.which.place.workspace.as_ref())).await?;
            print(common, &set, &[entered(&set)])
        }
        Command::Remove(which) => {
            let ask = Ask::delete(path(&which)).within(which.place.workspace.as_ref());
            let gone = door.call(ask).await?;
            let message = match gone["removed"].as_u64() {
                None | Some(0) => "no such price".to_owned(),
                Some(n) => format!("{} removed", format::count(n, "price is", "prices are")),
            };
            print(common, &gone, &[message])
        }
        Command::Reset(which) => {
            let ask = Ask::delete(format!("{}/counting", path(&which)));
            let reset = door.call(ask.within(which.place.workspace.as_ref())).await?;
            let message = match reset["reset"] == true {
                true => "token counting is reset",
                false => "token counting was normal already",
            };
            print(common, &reset, &[message.to_owned()])
        }
    }
}

fn path(which: &Which) -> String {
    let (at, model) = (format::query_value(&which.at), format::query_value(&which.model));
    format!("/api/v1/prices/{at}/{model}")
}

fn list<'v>(all: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    all[key].as_array().into_iter().flatten()
}

fn describe(all: &Value) -> Vec<String> {
    let mut lines: Vec<String> = list(all, "entered").map(entered).collect();
    lines.extend(list(all, "unmetered").map(|one| {
        let calls = format::count(one["calls"].as_u64().unwrap_or_default(), "call", "calls");
        format!(
            "{:<36} unmetered: {}, {calls} in 30 days",
            word(one, "model"),
            word(one, "provider")
        )
    }));
    lines.extend(list(all, "counting").map(|one| {
        let at = one["connection"].as_str().unwrap_or("practice");
        format!(
            "{:<36} {at}: {} tokens per 1,000 bytes, normally {}",
            word(one, "model"),
            one["tokens_per_1000_bytes"],
            one["usual"]
        )
    }));
    lines
}

/// An entered price in one line.
fn entered(price: &Value) -> String {
    let amount = |key: &str, what: &str| {
        let micros = price[key].as_i64()?;
        Some(format!("${} {what}", format::plain_dollars(micros)))
    };
    let amounts = [
        amount("input_micros", "sent"),
        amount("cache_read_micros", "from cache"),
        amount("cache_write_micros", "into cache"),
        amount("output_micros", "received"),
    ];
    let amounts: Vec<String> = amounts.into_iter().flatten().collect();
    let at = price["connection"].as_str().unwrap_or("all connections");
    format!(
        "{:<36} {at}: {} per million tokens, {}",
        word(price, "model"),
        amounts.join(", "),
        word(price, "state")
    )
}
