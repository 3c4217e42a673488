//! `hq jobs …`: programs that agents left running.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use kernel::text::ellipsis;
use web::format;

use super::agents::{items, question, second, word};
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::plain;
use super::{Common, FAILED, OK, complain, say};

/// How often a job that is followed is looked at.
const GLANCE: Duration = Duration::from_millis(300);
/// How much of a command line is shown in a list.
const WIDTH: usize = 120;

/// `hq jobs …`
#[derive(Subcommand)]
pub enum Command {
    /// List programs that agents left running, newest first
    List(List),
    /// Show a program and the end of its output
    Show(Named),
    /// Show a program and follow its output until it ends; exits with 1 if it failed
    Follow(Named),
    /// Send a line to a program that reads input, as in a terminal
    Write(Write),
    /// Stop a program with all of its processes; it ends within a second
    Stop(Named),
}

/// Flags of `hq jobs list`.
#[derive(Args)]
pub struct List {
    /// Only running ones
    #[arg(long)]
    running: bool,
    /// Maximum number, up to 100
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    place: Place,
}

/// Which job.
#[derive(Args)]
pub struct Named {
    /// Its number, or its id
    job: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq jobs write`.
#[derive(Args)]
pub struct Write {
    #[command(flatten)]
    named: Named,
    /// The line; - reads standard input and sends it unchanged
    #[arg(required_unless_present = "end")]
    text: Vec<String>,
    /// Close the program's input afterwards
    #[arg(long)]
    end: bool,
}

impl Named {
    fn path(&self, rest: &str) -> String {
        format!("/api/v1/jobs/{}{rest}", format::query_value(&self.job))
    }

    async fn get(&self, door: &Door, rest: &str) -> Result<Value, CommandError> {
        door.call(Ask::get(self.path(rest)).within(self.place.workspace.as_ref())).await
    }

    async fn post(&self, door: &Door, rest: &str, body: &Value) -> Result<Value, CommandError> {
        door.call(Ask::post(self.path(rest), body).within(self.place.workspace.as_ref())).await
    }
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(flags) => list(common, door, &flags).await,
        Command::Show(named) => show(common, door, &named).await,
        Command::Follow(named) => follow(common, door, &named).await,
        Command::Write(flags) => write(common, door, &flags).await,
        Command::Stop(named) => {
            let job = named.post(door, "/stop", &json!({})).await?;
            print(common, &job, &[line(&job)])
        }
    }
}

async fn list(common: &Common, door: &Door, flags: &List) -> Result<u8, CommandError> {
    let mut path = format!("/api/v1/jobs?limit={}", flags.limit);
    if flags.running {
        path.push_str("&running=true");
    }
    let all = door.call(Ask::get(path).within(flags.place.workspace.as_ref())).await?;
    let lines: Vec<String> = items(&all).iter().map(line).collect();
    print(common, &all, &or_none(lines, "No programs."))
}

/// A job in one line; of one on another machine with that.
fn line(job: &Value) -> String {
    let command = word(job, "command").split_whitespace().collect::<Vec<_>>().join(" ");
    let (number, at) = (job["number"].as_u64().unwrap_or_default(), second(job, "started_at"));
    let machine = &job["machine"];
    let state = match (word(job, "state"), word(job, "detail")) {
        ("running", _) if machine["silent"] == true => "silent",
        ("failed", detail) => detail,
        (state, _) => state,
    };
    let on = machine["name"].as_str().map(|name| format!("  [{name}]")).unwrap_or_default();
    format!("{number:<6} {at}Z {state:<14} {}{on}", ellipsis(&command, WIDTH))
}

async fn show(common: &Common, door: &Door, named: &Named) -> Result<u8, CommandError> {
    let job = named.get(door, "").await?;
    let output = named.get(door, "/output").await?;
    let text = word(&output, "text").trim_end().to_owned();
    let unknown = word(&output, "unknown").to_owned();
    let lines: Vec<String> =
        [line(&job), text, unknown].into_iter().filter(|line| !line.is_empty()).collect();
    print(common, &json!({ "job": job, "output": output }), &lines)
}

async fn follow(common: &Common, door: &Door, named: &Named) -> Result<u8, CommandError> {
    let (mut rest, mut known) = ("/output".to_owned(), String::new());
    loop {
        let output = named.get(door, &rest).await?;
        let text = word(&output, "text");
        let unknown = word(&output, "unknown");
        if unknown != known {
            unknown.clone_into(&mut known);
            if !known.is_empty() {
                complain(&known);
            }
        }
        if let Some(next) = output["next"].as_u64() {
            rest = format!("/output?from={next}");
        }
        if !text.is_empty() {
            pass_on(common, &output, text);
        } else if output["running"] != true {
            let job = named.get(door, "").await?;
            say(&if common.json { job.to_string() } else { line(&job) });
            return Ok(if word(&job, "state") == "completed" { OK } else { FAILED });
        } else {
            tokio::time::sleep(GLANCE).await;
        }
    }
}

/// Prints a piece of an output: as it came, but to a terminal, which must not obey it.
fn pass_on(common: &Common, output: &Value, text: &str) {
    if common.json {
        return say(&output.to_string());
    }
    let mut out = std::io::stdout().lock();
    let shown = match out.is_terminal() {
        true => plain(&text.replace("\r\n", "\n").replace('\r', "\n")),
        false => text.to_owned(),
    };
    // ok: nobody reads what is printed.
    let _ = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
}

async fn write(common: &Common, door: &Door, flags: &Write) -> Result<u8, CommandError> {
    let mut text = question(&flags.text)?;
    if !flags.text.is_empty() && flags.text != ["-"] {
        text.push('\n');
    }
    let body = json!({ "text": text, "end": flags.end });
    let written = flags.named.post(door, "/input", &body).await?;
    let bytes = written["written"].as_u64().unwrap_or_default();
    print(common, &written, &[format!("{} written.", format::count(bytes, "byte", "bytes"))])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::line;

    #[test]
    fn a_job_stands_in_one_line() {
        let mut job = json!({
            "number": 7, "started_at": "2026-11-21T09:00:00.5Z", "state": "running",
            "detail": "running", "command": "make\n  test",
        });
        assert_eq!(line(&job), "7      2026-11-21T09:00:00Z running        make test");
        (job["state"], job["detail"]) = (json!("failed"), json!("exit code 2"));
        assert_eq!(line(&job), "7      2026-11-21T09:00:00Z exit code 2    make test");
        job["state"] = json!("running");
        job["machine"] = json!({ "name": "GPU box", "silent": true });
        assert_eq!(line(&job), "7      2026-11-21T09:00:00Z silent         make test  [GPU box]");
    }
}
