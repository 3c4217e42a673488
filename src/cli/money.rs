//! `hq usage`, `hq budget …`: what calls cost, and what may be spent.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use web::format;

use super::agents::{items, word};
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::{Common, OK};

/// Flags of `hq usage`.
#[derive(Args)]
pub struct Usage {
    /// today, 7, 30, 90 (days, including today) or month [default: month]
    #[arg(long, value_parser = ["today", "7", "30", "90", "month"])]
    range: Option<String>,
    /// A month, such as 2026-11
    #[arg(long, value_name = "MONTH", conflicts_with = "range")]
    month: Option<String>,
    /// The first day, such as 2026-11-01
    #[arg(long, value_name = "DAY", conflicts_with_all = ["range", "month"])]
    from: Option<String>,
    /// The last day
    #[arg(long, value_name = "DAY", conflicts_with_all = ["range", "month"])]
    to: Option<String>,
    /// What to group by
    #[arg(long, value_parser = ["agent", "model", "task", "stream", "routine", "gateway", "source",
        "kind", "day"])]
    by: Option<String>,
    /// Print CSV for a spreadsheet: days, or every call
    #[arg(long, value_name = "WHAT", value_parser = ["days", "calls"], num_args = 0..=1,
        default_missing_value = "days", conflicts_with = "by")]
    csv: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// `hq budget …`
#[derive(Subcommand)]
pub enum Budget {
    /// List all budgets with their use, or those of one payer
    List {
        /// workspace, agent:ada, task:MC-12, run:R-7, stream:Launch or "routine:Morning look"
        payer: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Set a budget; it applies from the next call
    Set(Set),
    /// Remove a budget
    Clear(Which),
    /// Continue work that a budget holds up, with $2 or 500,000 tokens more
    Raise(Which),
}

/// Which budget.
#[derive(Args)]
pub struct Which {
    /// workspace, agent:ada, task:MC-12, run:R-7, stream:Launch or "routine:Morning look"
    payer: String,
    /// day, week, month, total or run
    #[arg(value_parser = ["day", "week", "month", "total", "run"])]
    period: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq budget set`.
#[derive(Args)]
pub struct Set {
    #[command(flatten)]
    which: Which,
    /// The money limit in dollars, such as 40 or 2.50
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, required_unless_present = "tokens")]
    limit: Option<i64>,
    /// The token limit, sent and received
    #[arg(long, value_name = "COUNT")]
    tokens: Option<u64>,
    /// Warn at this share, in percent [default: 80]
    #[arg(long, value_name = "PERCENT")]
    warn: Option<u8>,
    /// Only warn, don't stop
    #[arg(long)]
    soft: bool,
}

pub(super) fn dollars(text: &str) -> Result<i64, String> {
    format::parse_dollars(text).ok_or_else(|| "write dollars, such as 40 or 2.50".to_owned())
}

/// `hq usage`: what calls cost.
pub async fn usage(common: &Common, door: &Door, flags: Usage) -> Result<u8, CommandError> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("range", &flags.range),
        ("month", &flags.month),
        ("from", &flags.from),
        ("to", &flags.to),
        ("by", &flags.by),
    ] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    let workspace = flags.place.workspace.as_ref();
    if let Some(what) = flags.csv {
        let ask = Ask::get(format!("/api/v1/usage/{what}.csv?{query}"));
        door.open(ask.within(workspace)).await?.print().await?;
        return Ok(OK);
    }
    let ask = Ask::get(format!("/api/v1/usage/report?{query}"));
    let report = door.call(ask.within(workspace)).await?;
    print(common, &report, &describe(&report))
}

/// A report in lines: what it is of, the head of the table, what it is summed up by, the sum.
fn describe(report: &Value) -> Vec<String> {
    let total = &report["total"];
    let mut first = format!(
        "{} to {}: {} billed, {} list price",
        word(report, "from"),
        word(report, "to"),
        money(&total["billed_micros"]),
        money(&total["list_micros"]),
    );
    if let Some(forecast) = report["forecast_micros"].as_i64() {
        first.push_str(&format!("; forecast for this month {}", format::money(forecast)));
    }
    let mut lines = vec![first];
    if let Some(unmetered) = total["unmetered"].as_u64().filter(|n| 0 < *n) {
        let calls = format::count(unmetered, "call is unmetered", "calls are unmetered");
        lines.push(format!("{calls}: their price is unknown, and no total includes them"));
    }
    lines.push(columns(word(report, "by"), ["calls", "sent", "received", "billed", "list"]));
    lines.extend(items(report).iter().map(|item| row(word(item, "name"), &item["sums"])));
    lines.push(row("all", total));
    lines
}

fn row(name: &str, sums: &Value) -> String {
    let count = |key: &str| sums[key].as_u64().unwrap_or_default();
    let sent = ["input", "cache_read", "cache_write"].map(count).iter().sum();
    let cells = [
        format::grouped(count("calls")),
        format::tokens(sent),
        format::tokens(count("output")),
        money(&sums["billed_micros"]),
        money(&sums["list_micros"]),
    ];
    let line = columns(name, cells.each_ref().map(String::as_str));
    match count("unmetered") {
        0 => line,
        n => format!("{line}  {} unmetered", format::grouped(n)),
    }
}

fn columns(name: &str, [calls, sent, received, billed, list]: [&str; 5]) -> String {
    let name = kernel::text::ellipsis(name, 36);
    format!("{name:<36} {calls:>8} {sent:>9} {received:>9} {billed:>12} {list:>12}")
}

fn money(micros: &Value) -> String {
    format::money(micros.as_i64().unwrap_or_default())
}

/// Runs one of `hq budget …`.
pub async fn budget(common: &Common, door: &Door, command: Budget) -> Result<u8, CommandError> {
    match command {
        Budget::List { payer, place } => {
            let query = payer.map_or_else(String::new, |payer| {
                format!("?payer={}", format::query_value(&payer))
            });
            let ask = Ask::get(format!("/api/v1/budgets{query}"));
            let all = door.call(ask.within(place.workspace.as_ref())).await?;
            let lines: Vec<String> = items(&all).iter().map(standing).collect();
            print(common, &all, &lines)
        }
        Budget::Set(flags) => {
            let body = json!({
                "limit_micros": flags.limit,
                "limit_tokens": flags.tokens,
                "soft_pct": flags.warn,
                "hard": !flags.soft,
            });
            let set = Ask::put(path(&flags.which), &body);
            let set = door.call(set.within(flags.which.place.workspace.as_ref())).await?;
            print(common, &set, &[standing(&set)])
        }
        Budget::Clear(which) => {
            let gone = Ask::delete(path(&which)).within(which.place.workspace.as_ref());
            let gone = door.call(gone).await?;
            let message = match gone["removed"] == true {
                true => "the budget is removed",
                false => "there was no such budget",
            };
            print(common, &gone, &[message.to_owned()])
        }
        Budget::Raise(which) => {
            let body = json!({});
            let raised = Ask::post(format!("{}/raise", path(&which)), &body);
            let raised = door.call(raised.within(which.place.workspace.as_ref())).await?;
            print(common, &raised, &[standing(&raised)])
        }
    }
}

fn path(which: &Which) -> String {
    let payer = format::query_value(&which.payer);
    format!("/api/v1/budgets/{payer}/{}", which.period)
}

/// A budget in one line.
fn standing(budget: &Value) -> String {
    let mut limits = Vec::new();
    if let Some(limit) = budget["limit_micros"].as_i64() {
        limits.push(format!("{} of {}", money(&budget["spent_micros"]), format::limit(limit)));
    }
    if let Some(limit) = budget["limit_tokens"].as_u64() {
        let spent = budget["spent_tokens"].as_u64().unwrap_or_default();
        limits.push(format!("{} of {} tokens", format::tokens(spent), format::tokens(limit)));
    }
    let mut line = format!(
        "{:<24} {:<6} {:<36} {:<8}",
        word(budget, "payer"),
        word(budget, "period"),
        limits.join(", "),
        word(budget, "state"),
    );
    if budget["hard"] == false {
        line.push_str(" only warns");
    }
    if let Some(waiting) = budget["waiting"].as_u64().filter(|n| 0 < *n) {
        line.push_str(&format!(" {}", format::count(waiting, "run waits", "runs wait")));
    }
    line.trim_end().to_owned()
}
